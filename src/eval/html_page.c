/* html_page.c - the page around its sections: head, policy, styles, script. */
#include "eval/html_page.h"
#include "eval/html_write.h"

__asm__(".section .rodata\n"
        "brood_page_css_begin: .incbin \"src/eval/html_page.css\"\n"
        "brood_page_css_end: .byte 0\n"
        "brood_page_js_begin: .incbin \"src/eval/html_page.js\"\n"
        "brood_page_js_end: .byte 0\n"
        ".previous\n");
extern const char css_begin[] __asm__("brood_page_css_begin"), css_end[] __asm__("brood_page_css_end");
extern const char js_begin[] __asm__("brood_page_js_begin"), js_end[] __asm__("brood_page_js_end");

/* SHA-256 of the two files in base 64: a browser runs nothing else. tests/test_report_html.sh has the
 * command. */
static const char css_hash[] = "K9tstiiv9tPGj+EK23RsvXQwV+MwWvmJhs3qaDjj+Bs=";
static const char js_hash[] = "Agmkt+hUQ5QZIloHJ7+vo0T4HvPr1jWE76X4wW7JczQ=";

struct str html_style(void) {
    return (struct str){css_begin, (size_t)(css_end - css_begin)};
}

struct str html_script(void) {
    return (struct str){js_begin, (size_t)(js_end - js_begin)};
}

static void title(struct buf *b, const struct report *r) {
    for (size_t i = 0; i < MIN(r->n, 3); i++) {
        if (i > 0) buf_add_str(b, STR(", "));
        html_excerpt(b, str_from(r->runs[i].name), 40);
    }
    if (r->n > 3) buf_printf(b, " and %zu more", r->n - 3);
}

static void page_head(struct buf *b, const struct report *r) {
    buf_add_str(b, STR("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>"));
    buf_printf(
        b,
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'sha256-%s'; "
        "script-src 'sha256-%s'; base-uri 'none'; form-action 'none'\"/>",
        css_hash, js_hash);
    buf_add_str(b, STR("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>"
                       "<meta name=\"color-scheme\" content=\"light dark\"/>"
                       "<meta name=\"referrer\" content=\"no-referrer\"/><title>"));
    title(b, r);
    buf_add_str(b, STR(" - Brood</title><style>"));
    buf_add_str(b, html_style());
    buf_add_str(b, STR("</style></head><body>"));
}

static void heading(struct buf *b, const struct report *r, bool has_offers, bool has_reliabilities) {
    buf_add_str(
        b,
        STR("<header><svg class=\"logo\" viewBox=\"0 0 40 40\" width=\"40\" height=\"40\" "
            "aria-hidden=\"true\">"
            "<path d=\"M5 20C14 20 14 8 23 8H35M5 20H35M5 20C14 20 14 32 23 32H29\"/>"
            "<circle cx=\"5\" cy=\"20\" r=\"4\"/><circle cx=\"35\" cy=\"8\" r=\"4\"/>"
            "<circle class=\"hit\" cx=\"35\" cy=\"20\" r=\"4.5\"/><circle cx=\"29\" cy=\"32\" r=\"4\"/></svg>"
            "<div><h1>"));
    title(b, r);
    buf_add_str(b, STR("</h1><p class=\"facts\">"));
    for (size_t i = 0; i < r->n; i++) {
        size_t before = 0;
        while (before < i && !str_equal(str_from(r->runs[before].task), str_from(r->runs[i].task))) before++;
        if (before < i) continue;
        if (i > 0) buf_add_str(b, STR("; "));
        html_cstr(b, r->runs[i].task);
    }
    bool differ = false;
    for (size_t i = 1; i < r->n; i++)
        differ = differ || !str_equal(str_from(r->runs[0].task_hash), str_from(r->runs[i].task_hash));
    if (differ) buf_add_str(b, STR(". The runs are over different problems: compare with care"));
    buf_add_str(b, STR(".</p></div></header><nav><a href=\"#overview\">runs</a>"));
    for (size_t i = 0; i < r->n; i++) {
        if (!html_has_section(r, i)) continue;
        buf_printf(b, "<a href=\"#run-%zu\">", i);
        html_excerpt(b, str_from(r->runs[i].name), 30);
        buf_add_str(b, STR("</a>"));
    }
    if (r->n_gains > 0) buf_add_str(b, STR("<a href=\"#gains\">side by side</a>"));
    if (has_offers) buf_add_str(b, STR("<a href=\"#offers\">what samples buy</a>"));
    if (has_reliabilities) buf_add_str(b, STR("<a href=\"#difficulty\">difficulty</a>"));
    buf_add_str(b, STR("<a href=\"#problems\">problems</a><a href=\"#reading\">how to read it</a></nav>"));
}

static void reading(struct buf *b) {
    buf_add_str(b, STR("<section id=\"reading\"><h2>How to read it</h2><dl>"
                       "<dt>right</dt><dd>Share of problems answered right. Accuracy with k samples is the "
                       "mean over subsets of k "
                       "of the recorded solutions; intervals are 95 % over problems.</dd>"
                       "<dt>coverage</dt><dd>Share of problems that any of k samples solves (unbiased "
                       "pass@k): what a perfect "
                       "selection would reach.</dd>"
                       "<dt>majority, best of N, weighted</dt><dd>The most frequent answer; the answer of "
                       "the best reward; the "
                       "answer with the largest sum of rewards.</dd>"
                       "<dt>rewards</dt><dd>What the reward model thinks of each step, from 0 to 1: "));
    buf_add_str(b, STR("<svg class=\"scale\" viewBox=\"0 0 176 12\" width=\"176\" height=\"12\" role=\"img\" "
                       "aria-label=\"from 0 to 1\">"));
    for (int i = 0; i <= 10; i++)
        buf_printf(b, "<circle class=\"r%d\" cx=\"%d\" cy=\"6\" r=\"5\"/>", i, 8 + 16 * i);
    buf_add_str(b, STR("</svg></dd><dt>trees</dt><dd>A dot is a step; what was given up is hollow and "
                       "dashed, the path of the "
                       "chosen solution is thick. Events are counted in the order in which the search asked: "
                       "written, scored, "
                       "given up; the slider goes back to any of them.</dd></dl></section>"));
}

bool html_report(const struct report *r, const struct html_extras *extras, struct browse *browse,
                 struct buf *out, struct html_facts *facts, struct err *e) {
    const bool has_reliabilities = extras->reliabilities && extras->reliabilities->n > 0;
    *facts = (struct html_facts){0};
    page_head(out, r);
    heading(out, r, extras->offers != NULL, has_reliabilities);
    buf_add_str(out, STR("<main>"));
    html_overview(out, r);
    html_gains(out, r);
    if (extras->offers) html_offers(out, r, extras->offers);
    for (size_t i = 0; i < r->n; i++) html_run(out, r, i);
    if (has_reliabilities) html_reliabilities(out, r, extras->reliabilities);
    const bool ok = html_problems(out, r, browse, facts, e);
    reading(out);
    buf_add_str(out, STR("</main><script>"));
    buf_add_str(out, html_script());
    buf_add_str(out, STR("</script></body></html>\n"));
    return ok;
}
