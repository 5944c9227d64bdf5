/* html_write.c - text, numbers and cells of the page. */
#include "eval/html_write.h"

#include <math.h>
#include <string.h>

#include "base/format.h"

/* ---- text ---- */

/* What would not be seen, or would move what stands around it. */
static bool is_hidden(uint32_t c) {
    return (c >= 0x7f && c <= 0x9f) || c == 0x61c || c == 0x180e || (c >= 0x200b && c <= 0x200b) ||
           (c >= 0x200e && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) ||
           c == 0xfeff || (c >= 0xfff9 && c <= 0xfffb) || (c >= 0xe0000 && c <= 0xe0fff);
}

static bool is_no_character(uint32_t c) {
    return (c & 0xfffe) == 0xfffe || (c >= 0xfdd0 && c <= 0xfdef);
}

static void add_scalar(struct buf *b, uint32_t c) {
    switch (c) {
    case '&':
        buf_add_str(b, STR("&amp;"));
        return;
    case '<':
        buf_add_str(b, STR("&lt;"));
        return;
    case '>':
        buf_add_str(b, STR("&gt;"));
        return;
    case '"':
        buf_add_str(b, STR("&quot;"));
        return;
    case '\'':
        buf_add_str(b, STR("&#39;"));
        return;
    case '\n':
    case '\t':
        buf_add_char(b, (char)c);
        return;
    default:
        break;
    }
    if (c < 0x20)
        buf_add_utf8(b, 0x2400 + c); /* the picture of a control character */
    else if (is_hidden(c))
        buf_printf(b, "[U+%04X]", (unsigned)c);
    else
        buf_add_utf8(b, is_no_character(c) ? 0xfffd : c);
}

void html_text(struct buf *b, struct str s) {
    for (size_t i = 0; i < s.len;) {
        uint32_t c;
        const int n = str_utf8(s, i, &c);
        if (n == 0)
            buf_add_utf8(b, 0xfffd);
        else if (!(c == '\r' && i + 1 < s.len && s.ptr[i + 1] == '\n'))
            add_scalar(b, c);
        i += (size_t)MAX(n, 1);
    }
}

void html_cstr(struct buf *b, const char *s) {
    html_text(b, str_from(s));
}

/* The nearest place not after `at` where a character begins. */
static size_t boundary(struct str s, size_t at) {
    while (at > 0 && at < s.len && ((unsigned char)s.ptr[at] & 0xc0) == 0x80) at--;
    return at;
}

void html_text_cut(struct buf *b, struct str s, size_t n_max) {
    if (s.len <= n_max) {
        html_text(b, s);
        return;
    }
    const size_t head = boundary(s, n_max / 4 * 3), tail = boundary(s, s.len - n_max / 4);
    html_text(b, (struct str){s.ptr, head});
    buf_printf(b, "\n[... %zu bytes left out ...]\n", tail - head);
    html_text(b, (struct str){s.ptr + tail, s.len - tail});
}

void html_excerpt(struct buf *b, struct str s, size_t n_max) {
    s = str_trim(s);
    bool space = false;
    size_t n = 0;
    for (size_t i = 0; i < s.len; n++) {
        uint32_t c;
        const int len = str_utf8(s, i, &c);
        if (n >= n_max) {
            buf_add_str(b, STR("…"));
            return;
        }
        if (len == 0) c = 0xfffd;
        const bool is_space = c == ' ' || c == '\n' || c == '\t' || c == '\r';
        if (!is_space)
            add_scalar(b, c);
        else if (!space)
            buf_add_char(b, ' ');
        space = is_space;
        i += (size_t)MAX(len, 1);
    }
}

/* ---- numbers ---- */

void html_count(struct buf *b, double x) {
    char text[FORMAT_MAX];
    if (isfinite(x))
        html_cstr(b, format_count(text, x));
    else
        buf_add_str(b, STR("–"));
}

void html_points(struct buf *b, struct interval v, bool signs) {
    buf_printf(b, signs ? "%+.1f" : "%.1f", 100 * v.mean);
    if (v.low == v.high) return;
    buf_printf(b, signs ? " <small>%+.1f to %+.1f</small>" : " <small>%.1f–%.1f</small>", 100 * v.low,
               100 * v.high);
}

/* ---- cells ---- */

void html_th(struct buf *b, const char *text) {
    buf_add_str(b, STR("<th scope=\"col\">"));
    html_cstr(b, text);
    buf_add_str(b, STR("</th>"));
}

void html_td_text(struct buf *b, const char *text) {
    buf_add_str(b, STR("<td>"));
    html_cstr(b, text);
    buf_add_str(b, STR("</td>"));
}

void html_td_count(struct buf *b, double x) {
    buf_add_str(b, STR("<td>"));
    html_count(b, x);
    buf_add_str(b, STR("</td>"));
}

void html_td_points(struct buf *b, struct interval v, bool signs) {
    buf_add_str(b, STR("<td>"));
    html_points(b, v, signs);
    buf_add_str(b, STR("</td>"));
}

/* ---- measures ---- */

_Static_assert((int)CURVES_MEASURES < (int)HTML_STYLES,
               "every measure has a style of its own, and one sample too");

int html_measure_style(int measure) {
    static const int styles[CURVES_MEASURES] = {
        [CURVES_MAJORITY] = 0,       [CURVES_BEST] = 1,          [CURVES_WEIGHTED] = 2,
        [CURVES_FIRST_VERIFIED] = 3, [CURVES_COVERAGE] = 4,      [CURVES_CONFIDENT] = 5,
        [CURVES_CONFIDENT_LOW] = 6,  [CURVES_CONFIDENT_HIGH] = 7};
    return styles[measure];
}

const char *html_measure_name(int measure) {
    static const char *const names[CURVES_MEASURES] = {[CURVES_MAJORITY] = "majority",
                                                       [CURVES_BEST] = "best of N",
                                                       [CURVES_WEIGHTED] = "weighted",
                                                       [CURVES_FIRST_VERIFIED] = "first verified",
                                                       [CURVES_CONFIDENT] = "confident",
                                                       [CURVES_CONFIDENT_LOW] = "confident, best 10 %",
                                                       [CURVES_CONFIDENT_HIGH] = "confident, best 90 %",
                                                       [CURVES_COVERAGE] = "coverage"};
    return names[measure];
}
