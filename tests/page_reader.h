/* page_reader.h - a strict reader of the report's page: stricter than any browser, so that what it takes is
 * taken by all.
 *
 * Every element is known, opened and closed in order; empty ones end in "/>". Attributes are known, quoted,
 * and none runs a script, loads anything or carries a style. Text has no raw markup, no control or direction
 * characters. Elements with an id are unique, and every link leads to one of them. A complaint fails the test
 * with its place.
 */
#ifndef BROOD_PAGE_READER_H
#define BROOD_PAGE_READER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"

struct page {
    struct str all;
    size_t at;
    struct str open[400]; /* names of the open elements */
    int n_open;
    struct map *ids;
    struct str links[20000];
    size_t n_links, n_elements;
    struct buf text; /* what is shown, unescaped, and titles */
    struct str style, script, policy;
    int n_scripts, n_styles;
    size_t n_circles, n_dropped, n_written; /* drawn dots; elements with data-d, data-w and an id */
};

static inline _Noreturn void page_complain(const struct page *p, const char *what) {
    const size_t from = p->at > 60 ? p->at - 60 : 0;
    fail_msg("%s at byte %zu: ...%.*s...", what, p->at, (int)MIN(120, p->all.len - from), p->all.ptr + from);
    abort();
}

static inline bool page_listed(const char *list, struct str word) {
    for (const char *w = list; *w;) {
        const size_t n = strcspn(w, " ");
        if (str_equal((struct str){w, n}, word)) return true;
        w += n + (w[n] == ' ');
    }
    return false;
}

/* Unescapes s into out; complains about anything raw. */
static inline void page_unescape(struct page *p, struct str s, struct buf *out) {
    static const struct {
        const char *name;
        char c;
    } entities[] = {{"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&#39;", '\''}};
    for (size_t i = 0; i < s.len;) {
        uint32_t c;
        const int n = str_utf8(s, i, &c);
        if (n == 0) page_complain(p, "ill-formed UTF-8");
        if ((c < 0x20 && c != '\n' && c != '\t') || (c >= 0x7f && c <= 0x9f))
            page_complain(p, "a control character");
        if ((c >= 0x200e && c <= 0x200f) || (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) ||
            c == 0x61c || c == 0xfeff || c == 0x200b)
            page_complain(p, "a character that is not seen or turns the text");
        if (c == '<' || c == '>' || c == '\'') page_complain(p, "raw markup");
        if (c != '&') {
            buf_add(out, s.ptr + i, (size_t)n);
            i += (size_t)n;
            continue;
        }
        size_t e = 0;
        while (e < ARRAY_LEN(entities) &&
               !str_starts((struct str){s.ptr + i, s.len - i}, str_from(entities[e].name)))
            e++;
        if (e == ARRAY_LEN(entities)) page_complain(p, "an ampersand that is no entity");
        buf_add_char(out, entities[e].c);
        i += strlen(entities[e].name);
    }
}

static inline void page_attribute(struct page *p, struct str element, struct str name, struct str value) {
    static const char known[] =
        "lang charset http-equiv content name class id href hidden open type min max value for checked role "
        "aria-label aria-hidden tabindex title scope colspan dir data-w data-s data-d data-l data-r data-c "
        "data-open "
        "viewBox width height x y d cx cy r rx points preserveAspectRatio autocomplete";
    struct buf plain = {0};
    if (!page_listed(known, name)) page_complain(p, "an unknown attribute");
    if (!(str_equal(name, STR("content")) && str_equal(element, STR("meta"))))
        page_unescape(p, value, &plain);
    if (str_equal(name, STR("content")) && str_find(value, STR("default-src")) >= 0) p->policy = value;
    if (str_equal(name, STR("id")) && !map_put(p->ids, value, 1)) page_complain(p, "an id twice");
    if (str_equal(name, STR("href"))) {
        if (!str_equal(element, STR("a")) || value.len < 2 || value.ptr[0] != '#')
            page_complain(p, "a link out");
        if (p->n_links < ARRAY_LEN(p->links))
            p->links[p->n_links++] = (struct str){value.ptr + 1, value.len - 1};
    }
    if (str_equal(name, STR("title")) || str_equal(name, STR("aria-label")))
        buf_add_str(&p->text, buf_str(&plain));
    buf_free(&plain);
}

static inline struct str page_word(struct page *p) {
    const size_t from = p->at;
    while (p->at < p->all.len &&
           (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-", p->all.ptr[p->at]) ||
            (p->at > from && strchr("0123456789", p->all.ptr[p->at]))))
        p->at++;
    if (p->at == from) page_complain(p, "a name was expected");
    return (struct str){p->all.ptr + from, p->at - from};
}

static inline bool page_next_is(struct page *p, const char *text) {
    const struct str rest = {p->all.ptr + p->at, p->all.len - p->at};
    if (!str_starts(rest, str_from(text))) return false;
    p->at += strlen(text);
    return true;
}

/* Raw content of a style or a script, to its end tag. */
static inline struct str page_raw(struct page *p, const char *end) {
    const struct str rest = {p->all.ptr + p->at, p->all.len - p->at};
    const ptrdiff_t n = str_find(rest, str_from(end));
    if (n < 0) page_complain(p, "no end of it");
    p->at += (size_t)n;
    return (struct str){rest.ptr, (size_t)n};
}

static inline void page_element(struct page *p) {
    static const char known[] = "html head meta title style body header nav main section h1 h2 h3 h4 p a b "
                                "small code span div ul li ol dl dt "
                                "dd table thead tbody tr th td figure svg path circle rect g text details "
                                "summary form label input select "
                                "option output button br sup script";
    static const char empty[] = "meta input br path circle rect";
    const struct str name = page_word(p);
    bool has_id = false, has_w = false, has_d = false;
    if (!page_listed(known, name)) page_complain(p, "an unknown element");
    p->n_elements++;
    while (page_next_is(p, " ")) {
        const struct str attribute = page_word(p);
        if (!page_next_is(p, "=\"")) page_complain(p, "an attribute without a quoted value");
        const size_t from = p->at;
        while (p->at < p->all.len && p->all.ptr[p->at] != '"') p->at++;
        page_attribute(p, name, attribute, (struct str){p->all.ptr + from, p->at - from});
        p->at++;
        has_id = has_id || str_equal(attribute, STR("id"));
        has_w = has_w || str_equal(attribute, STR("data-w"));
        has_d = has_d || str_equal(attribute, STR("data-d"));
    }
    p->n_circles += str_equal(name, STR("circle"));
    p->n_written += has_id && has_w;
    p->n_dropped += has_id && has_d;
    if (page_next_is(p, "/>")) {
        if (!page_listed(empty, name)) page_complain(p, "an element without its end");
        return;
    }
    if (!page_next_is(p, ">")) page_complain(p, "the end of a tag was expected");
    if (page_listed(empty, name)) page_complain(p, "an empty element that is left open");
    if (p->n_open == (int)ARRAY_LEN(p->open)) page_complain(p, "too deep");
    p->open[p->n_open++] = name;
    if (str_equal(name, STR("style"))) p->style = page_raw(p, "</style>"), p->n_styles++;
    if (str_equal(name, STR("script"))) p->script = page_raw(p, "</script>"), p->n_scripts++;
}

static inline void page_read(struct page *p, struct str all) {
    *p = (struct page){.all = all, .ids = map_new(1000)};
    if (!page_next_is(p, "<!DOCTYPE html>\n")) page_complain(p, "no document type");
    while (p->at < all.len) {
        if (page_next_is(p, "</")) {
            const struct str name = page_word(p);
            if (p->n_open == 0 || !str_equal(p->open[p->n_open - 1], name))
                page_complain(p, "an end of what is not open");
            p->n_open--;
            if (!page_next_is(p, ">")) page_complain(p, "the end of a tag was expected");
            buf_add_char(&p->text, '\n');
        } else if (page_next_is(p, "<")) {
            page_element(p);
        } else {
            const size_t from = p->at;
            while (p->at < all.len && all.ptr[p->at] != '<') p->at++;
            page_unescape(p, (struct str){all.ptr + from, p->at - from}, &p->text);
        }
    }
    if (p->n_open != 0) page_complain(p, "elements left open");
    for (size_t i = 0; i < p->n_links; i++) {
        uint32_t ignored;
        if (!map_get(p->ids, p->links[i], &ignored))
            fail_msg("a link to nothing: %.*s", (int)p->links[i].len, p->links[i].ptr);
    }
}

static inline void page_free(struct page *p) {
    map_free(p->ids);
    buf_free(&p->text);
}

#endif
