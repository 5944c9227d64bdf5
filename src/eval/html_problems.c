/* html_problems.c - the list of problems, and the trees of some of them. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "eval/html_page.h"
#include "eval/html_tree.h"
#include "eval/html_write.h"

enum { EXCERPT_MAX = 110, PROMPT_MAX = 20000 };

/* ---- one row ---- */

static void status(struct buf *b, const struct browse_state *s, const char *run) {
    const char *kind = !s->done ? "un" : s->right > 0 ? "ok" : s->right == 0 ? "no" : "un";
    const char *sign = s->ordinal < 0 ? "·" : !s->done ? "…" : s->right > 0 ? "✓" : s->right == 0 ? "✗" : "?";
    const char *says = s->ordinal < 0  ? "not there"
                       : !s->done      ? "not done"
                       : s->right > 0  ? "right"
                       : s->right == 0 ? "wrong"
                                       : "not graded";
    buf_printf(b, "<b class=\"st %s\" title=\"", kind);
    html_cstr(b, run);
    buf_printf(b, ": %s\">%s<span class=\"sr\"> %s</span></b>", says, sign, says);
}

/* For the search: the level; how each run ended; whether the first to have it had a right solution. */
static void attributes(struct buf *b, const struct browse *browse, const struct browse_problem *p) {
    int n_right = 0;
    buf_printf(b, " data-l=\"%d\" data-r=\"", p->level);
    for (size_t r = 0; r < browse->n_runs; r++) {
        const struct browse_state *s = &p->states[r];
        buf_add_char(b, !s->done || s->right < 0 ? '-' : s->right ? '1' : '0');
        n_right += s->done ? s->n_right : 0;
    }
    buf_printf(b, "\" data-c=\"%d\"", n_right > 0);
}

static void head(struct buf *b, const struct report *r, const struct browse *browse,
                 const struct browse_problem *p) {
    for (size_t i = 0; i < browse->n_runs; i++) status(b, &p->states[i], r->runs[i].name);
    buf_add_str(b, STR("<span class=\"id\">"));
    html_excerpt(b, str_from(p->id), 60);
    buf_add_str(b, STR("</span>"));
    if (p->level) buf_printf(b, "<span class=\"lv\">level %d</span>", p->level);
    buf_add_str(b, STR("<span class=\"ex\" dir=\"auto\">"));
    html_excerpt(b, str_from(p->text), EXCERPT_MAX);
    buf_add_str(b, STR("</span>"));
}

/* ---- the trees of a problem ---- */

static bool trees(struct buf *b, const struct report *r, struct browse *browse, size_t i_problem,
                  struct err *e) {
    const struct browse_problem *p = &browse->problems[i_problem];
    for (size_t i = 0; i < browse->n_runs; i++) {
        if (!p->states[i].done) continue;
        char id[64];
        snprintf(id, sizeof id, "n%zu-%zu-", i_problem, i);
        struct browse_tree *t = browse_tree_load(browse, i_problem, i, e);
        if (!t) return false;
        buf_add_str(b, STR("<details class=\"of\" open=\"\"><summary>"));
        status(b, &p->states[i], r->runs[i].name);
        html_cstr(b, r->runs[i].name);
        buf_add_str(b, STR("</summary>"));
        html_tree(b, t, browse->separators[i], id);
        buf_add_str(b, STR("</details>"));
        browse_tree_free(t);
    }
    return true;
}

static bool open_problem(struct buf *b, const struct report *r, struct browse *browse, size_t i,
                         struct err *e) {
    const struct browse_problem *p = &browse->problems[i];
    buf_printf(b, "<details class=\"p\" id=\"p%zu\"", i);
    attributes(b, browse, p);
    buf_add_str(b, STR("><summary>"));
    head(b, r, browse, p);
    buf_add_str(b, STR("</summary><div class=\"prompt\" dir=\"auto\">"));
    html_text_cut(b, str_from(p->text), PROMPT_MAX);
    buf_add_str(b, STR("</div>"));
    if (p->key) {
        buf_add_str(b, STR("<p class=\"facts\">answer key: <span class=\"ans\" dir=\"auto\">"));
        html_excerpt(b, str_from(p->key), 300);
        buf_add_str(b, STR("</span></p>"));
    }
    const bool ok = trees(b, r, browse, i, e);
    buf_add_str(b, STR("</details>"));
    return ok;
}

static void closed_problem(struct buf *b, const struct report *r, const struct browse *browse, size_t i) {
    buf_printf(b, "<div class=\"p flat\" id=\"p%zu\"", i);
    attributes(b, browse, &browse->problems[i]);
    buf_add_char(b, '>');
    head(b, r, browse, &browse->problems[i]);
    buf_add_str(b, STR("</div>"));
}

/* ---- the list ---- */

static void option(struct buf *b, const char *value, const char *text) {
    buf_printf(b, "<option value=\"%s\">%s</option>", value, text);
}

static int by_number(const void *a, const void *b) {
    const int x = *(const int *)a, y = *(const int *)b;
    return (x > y) - (x < y);
}

static void level_options(struct buf *b, const struct browse *browse) {
    int *levels = mem_zalloc(MAX(browse->n_problems, 1), sizeof *levels);
    for (size_t i = 0; i < browse->n_problems; i++) levels[i] = browse->problems[i].level;
    if (browse->n_problems > 1) qsort(levels, browse->n_problems, sizeof *levels, by_number);
    for (size_t i = 0; i < browse->n_problems; i++) {
        if (levels[i] == 0 || (i > 0 && levels[i] == levels[i - 1])) continue;
        buf_printf(b, "<option value=\"%d\">level %d</option>", levels[i], levels[i]);
    }
    free(levels);
}

static void filter(struct buf *b, const struct report *r, const struct browse *browse) {
    buf_add_str(b, STR("<form class=\"filter\" id=\"filter\" hidden=\"\"><label>search <input "
                       "type=\"search\" id=\"f-q\" "
                       "autocomplete=\"off\"/></label><label>show <select id=\"f-k\">"));
    option(b, "all", "all");
    option(b, "1", "right");
    option(b, "0", "wrong");
    option(b, "missed", "wrong, though a solution was right");
    option(b, "never", "never solved");
    if (browse->n_runs > 1) option(b, "differ", "where runs differ");
    option(b, "tree", "with a tree");
    buf_add_str(b, STR("</select></label>"));
    if (browse->n_runs > 1) {
        buf_add_str(b, STR("<label>in <select id=\"f-r\">"));
        for (size_t i = 0; i < r->n; i++) {
            buf_printf(b, "<option value=\"%zu\">", i);
            html_excerpt(b, str_from(r->runs[i].name), 40);
            buf_add_str(b, STR("</option>"));
        }
        buf_add_str(b, STR("</select></label>"));
    }
    buf_add_str(b, STR("<label>level <select id=\"f-l\">"));
    option(b, "", "all");
    level_options(b, browse);
    buf_add_str(b, STR("</select></label><output id=\"f-n\"></output></form>"));
}

bool html_problems(struct buf *b, const struct report *r, struct browse *browse, struct html_facts *facts,
                   struct err *e) {
    const size_t begun = b->len;
    size_t n_listed = 0, n_left = 0;
    bool ok = true;
    buf_add_str(b, STR("<section id=\"problems\"><h2>The problems</h2>"));
    filter(b, r, browse);
    if (browse->n_runs > 1) {
        buf_add_str(b, STR("<p class=\"facts\">Marks are of "));
        for (size_t i = 0; i < r->n; i++) {
            if (i > 0) buf_add_str(b, STR(", "));
            html_excerpt(b, str_from(r->runs[i].name), 40);
        }
        buf_add_str(b, STR(", in this order.</p>"));
    }
    buf_add_str(b, STR("<div id=\"list\">"));
    for (size_t i = 0; ok && i < browse->n_problems; i++) {
        const bool has_room = b->len - begun < HTML_TREES_BYTES;
        if (browse->problems[i].picked && has_room) {
            ok = open_problem(b, r, browse, i, e);
            facts->n_trees++;
        } else if (n_listed < HTML_LIST_MAX) {
            closed_problem(b, r, browse, i);
        } else {
            n_left++;
            continue;
        }
        n_listed++;
    }
    facts->n_problems = (int)browse->n_problems;
    buf_printf(b, "</div><p class=\"facts\">The file has the search trees of %d of %zu problems",
               facts->n_trees, browse->n_problems);
    if (n_left > 0) buf_printf(b, "; %zu problems are not listed", n_left);
    buf_add_str(
        b, STR(". <code>brood report --trees N</code> takes more, <code>--problem ID</code> a certain one."
               "</p></section>"));
    return ok;
}
