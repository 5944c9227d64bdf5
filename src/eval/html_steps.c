/* html_steps.c - a search tree as text: steps in lists, branches that open. Chains run on without nesting. */
#include <math.h>
#include <string.h>

#include "eval/html_tree_parts.h"
#include "eval/html_write.h"

static void write_chain(struct tree_view *v, int node, size_t i_step);

/* ---- one step ---- */

static void open_tag(struct tree_view *v, const char *tag, int node, size_t i, const char *more) {
    struct buf *b = v->b;
    buf_printf(b, "<%s", tag);
    if (i == 0) buf_printf(b, " id=\"%s%d\"", v->id, node);
    buf_printf(b, " class=\"step ");
    tree_reward_class(b, tree_reward(v, node, i));
    buf_printf(b, "%s%s%s\"", v->t->chosen[node] ? " c" : "", tree_given_up(v, node) ? " d" : "", more);
    tree_times(b, v, node);
    buf_add_char(b, '>');
}

static void write_end(struct tree_view *v, int node) {
    const struct browse_tree *t = v->t;
    const struct rows_node *r = &t->rows->nodes[node];
    struct buf *b = v->b;
    const int parent = t->parents[node];
    if (t->solutions[node] >= 0) {
        const struct rows_solution *s = &t->rows->solutions[t->solutions[node]];
        buf_printf(b, "<span class=\"tag %s\">answer <span class=\"ans\" dir=\"auto\">",
                   s->right > 0    ? "ok"
                   : s->right == 0 ? "no"
                                   : "un");
        if (s->answer)
            html_excerpt(b, str_from(s->answer), 60);
        else
            buf_add_str(b, STR("none"));
        buf_printf(b, "</span>%s%s</span>",
                   s->right > 0    ? " ✓"
                   : s->right == 0 ? " ✗"
                                   : "",
                   !s->complete ? ", cut off" : "");
        if (node == t->i_chosen) buf_add_str(b, STR("<span class=\"tag star\">★ chosen</span>"));
    }
    if (r->verdict >= 0)
        buf_printf(b, "<span class=\"tag\">%s by the verifier</span>", r->verdict ? "passed" : "rejected");
    if (r->finish == STORE_FAILED) {
        buf_add_str(b, STR("<span class=\"tag no\">failed: "));
        html_excerpt(b, str_from(r->why), 120);
        buf_add_str(b, STR("</span>"));
    }
    if (t->ordered && t->log.dropped[node] && (parent < 0 || t->log.dropped[parent] != t->log.dropped[node]))
        buf_printf(b, "<span class=\"tag cut\">✂ given up at event %d</span>", t->log.dropped[node]);
    buf_add_str(b, STR("<span class=\"meta\">"));
    html_cstr(b, r->path);
    if (t->ordered) buf_printf(b, " · event %d", t->log.written[node]);
    buf_printf(b, " · %d tokens</span>", r->n_tokens);
}

static const char *const lead_says[] = {[STORE_LEAD_NONE] = "",
                                        [STORE_LEAD_REVISE] = "asked to revise what stands above",
                                        [STORE_LEAD_WAIT] = "made to go on",
                                        [STORE_LEAD_ANSWER] = "made to answer"};

static void write_step(struct tree_view *v, int node, size_t i) {
    struct buf *b = v->b;
    const enum store_lead lead = v->t->rows->nodes[node].lead;
    if (i == 0 && lead != STORE_LEAD_NONE) buf_printf(b, "<span class=\"lead\">%s</span>", lead_says[lead]);
    const double reward = tree_reward(v, node, i);
    const struct str text = v->steps[v->first[node] + i];
    if (isnan(reward))
        buf_add_str(b, STR("<span class=\"rw\">–</span>"));
    else
        buf_printf(b, "<span class=\"rw\">%.2f</span>", reward);
    buf_add_str(b, STR("<span class=\"tx\" dir=\"auto\">"));
    if (text.len == 0) buf_add_str(b, STR("(nothing)"));
    html_text_cut(b, text, v->n_text_max);
    buf_add_str(b, STR("</span>"));
    if (i + 1 == v->first[node + 1] - v->first[node]) write_end(v, node);
}

/* ---- chains and branches ---- */

static void write_steps_from(struct tree_view *v, int node, size_t i) {
    enum { TAIL = TREE_NODE_STEPS_MAX / 4 };
    const size_t n = v->first[node + 1] - v->first[node];
    for (; i < n; i++) {
        if (n > TREE_NODE_STEPS_MAX && i == TREE_NODE_STEPS_MAX - TAIL) {
            buf_printf(v->b, "<li class=\"facts\">%zu steps left out</li>", n - TREE_NODE_STEPS_MAX);
            i = n - TAIL;
        }
        open_tag(v, "li", node, i, "");
        write_step(v, node, i);
        buf_add_str(v->b, STR("</li>"));
    }
}

/* Where a branch leads: answers of its solutions, each once, at most OUTCOMES_MAX. */
enum { OUTCOMES_MAX = 3 };

struct outcome {
    const char *answers[OUTCOMES_MAX];
    int rights[OUTCOMES_MAX], counts[OUTCOMES_MAX], n, n_more;
};

static void collect(const struct tree_view *v, int node, struct outcome *o) {
    const int s = v->t->solutions[node];
    if (s >= 0) {
        const struct rows_solution *x = &v->t->rows->solutions[s];
        const char *answer = x->answer ? x->answer : "no answer";
        int i = 0;
        while (i < o->n && strcmp(o->answers[i], answer) != 0) i++;
        if (i < OUTCOMES_MAX) {
            o->answers[i] = answer;
            o->rights[i] = x->right;
            o->counts[i]++;
            o->n = MAX(o->n, i + 1);
        } else {
            o->n_more++;
        }
    }
    for (int c = v->child[node]; c >= 0; c = v->next[c]) collect(v, c, o);
}

static void write_outcome(struct tree_view *v, int node) {
    struct outcome o = {0};
    struct buf *b = v->b;
    collect(v, node, &o);
    buf_add_str(b, STR("<span class=\"out\">"));
    if (o.n == 0) buf_add_str(b, tree_given_up(v, node) ? STR("given up") : STR("no solution"));
    for (int i = 0; i < o.n; i++) {
        buf_printf(b, "%s<span class=\"%s\">", i ? ", " : "→ ",
                   o.rights[i] > 0    ? "ok"
                   : o.rights[i] == 0 ? "no"
                                      : "un");
        html_excerpt(b, str_from(o.answers[i]), 24);
        buf_printf(b, "%s</span>", o.rights[i] > 0 ? " ✓" : o.rights[i] == 0 ? " ✗" : "");
        if (o.counts[i] > 1) buf_printf(b, " × %d", o.counts[i]);
    }
    if (o.n_more > 0) buf_printf(b, " and %d more", o.n_more);
    buf_add_str(b, STR("</span>"));
}

/* The first step is what opens the branch. */
static void write_branch(struct tree_view *v, int node) {
    struct buf *b = v->b;
    const bool alone = v->first[node + 1] - v->first[node] == 1 && v->child[node] < 0;
    if (alone) {
        write_steps_from(v, node, 0);
        return;
    }
    buf_printf(b, "<li class=\"branch%s\"", v->t->chosen[node] ? " c" : "");
    tree_times(b, v, node);
    buf_printf(b, "><details%s>", v->t->chosen[node] ? " open=\"\"" : "");
    open_tag(v, "summary", node, 0, "");
    write_step(v, node, 0);
    write_outcome(v, node);
    buf_add_str(b, STR("</summary><ol>"));
    write_chain(v, node, 1);
    buf_add_str(b, STR("</ol></details></li>"));
}

static void write_fork(struct tree_view *v, int first) {
    buf_add_str(v->b, STR("<li class=\"fork\"><ol>"));
    for (int c = first; c >= 0; c = v->next[c]) write_branch(v, c);
    buf_add_str(v->b, STR("</ol></li>"));
}

/* The node's steps from the i-th on, and what is below, as items of the list that is open. */
static void write_chain(struct tree_view *v, int node, size_t i) {
    for (;;) {
        write_steps_from(v, node, i);
        const int child = v->child[node];
        if (child < 0) return;
        if (v->next[child] >= 0) {
            write_fork(v, child);
            return;
        }
        node = child;
        i = 0;
    }
}

void tree_steps(struct tree_view *v) {
    const int first = v->child[v->t->rows->n_nodes];
    if (first < 0) return;
    buf_add_str(v->b,
                STR("<p class=\"fold\" hidden=\"\"><button type=\"button\" data-open=\"1\">open all</button> "
                    "<button type=\"button\" data-open=\"0\">close all</button></p><ol class=\"steps\">"));
    if (v->next[first] >= 0)
        for (int c = first; c >= 0; c = v->next[c]) write_branch(v, c);
    else
        write_chain(v, first, 0);
    buf_add_str(v->b, STR("</ol>"));
}
