/* html_tree.c - see html_tree.h. */
#include "eval/html_tree.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "eval/html_tree_parts.h"
#include "eval/html_write.h"
#include "reward/reward.h"

/* ---- which nodes ---- */

static void add_step(void *ctx, struct str step) {
    struct tree_view *v = ctx;
    MEM_GROW(v->steps, v->cap_steps, v->n_steps + 1);
    v->steps[v->n_steps++] = step;
}

/* Cuts every node's text into steps: those of node i are [first[i], first[i + 1]). */
static void split(struct tree_view *v, const char *separator) {
    const struct rows *r = v->t->rows;
    v->first = mem_zalloc(r->n_nodes + 1, sizeof *v->first);
    for (size_t i = 0; i < r->n_nodes; i++) {
        const struct rows_node *n = &r->nodes[i];
        const size_t n_lead = n->lead == STORE_LEAD_REVISE ? MIN(n->n_lead_bytes, n->text_len) : 0;
        v->first[i] = v->n_steps;
        reward_split_steps((struct str){n->text + n_lead, n->text_len - n_lead}, str_from(separator),
                           add_step, v);
        if (v->n_steps == v->first[i]) add_step(v, (struct str){0});
    }
    v->first[r->n_nodes] = v->n_steps;
}

static void keep(struct tree_view *v, int node) {
    for (int i = node;
         i >= 0 && !v->kept[i] && v->n_kept < HTML_NODES_MAX && v->n_kept_steps < HTML_STEPS_MAX;
         i = v->t->parents[i]) {
        v->kept[i] = true;
        v->n_kept++;
        v->n_kept_steps += MIN(v->first[i + 1] - v->first[i], (size_t)TREE_NODE_STEPS_MAX);
    }
}

/* Whatever is kept hangs together: a node without its parent is not. */
static void drop_loose(struct tree_view *v) {
    for (size_t i = 0; i < v->t->rows->n_nodes; i++) {
        const int parent = v->t->parents[i];
        if (!v->kept[i] || parent < 0 || v->kept[parent]) continue;
        v->kept[i] = false;
        v->n_kept--;
    }
}

static bool answers(const struct tree_view *v, size_t node, const char *answer) {
    const int s = v->t->solutions[node];
    const char *own = s >= 0 ? v->t->rows->solutions[s].answer : NULL;
    return own && strcmp(own, answer) == 0;
}

enum { ANSWERS_MAX = 64 }; /* of which one solution each is shown before others */

static void keep_some(struct tree_view *v) {
    const struct browse_tree *t = v->t;
    const size_t n = t->rows->n_nodes;
    v->kept = mem_zalloc(MAX(n, 1), sizeof *v->kept);
    for (size_t i = 0; i < n; i++)
        if (t->chosen[i]) keep(v, (int)i);
    for (size_t c = 0; c < MIN(t->n_classes, ANSWERS_MAX); c++) {
        size_t i = 0;
        while (i < n && !answers(v, i, t->classes[c].answer)) i++;
        if (i < n) keep(v, (int)i);
    }
    for (size_t i = 0; i < n; i++)
        if (t->solutions[i] >= 0) keep(v, (int)i);
    for (size_t i = 0; i < n; i++) keep(v, (int)i);
    drop_loose(v);
}

/* Steps of a tree with much text are cut shorter. */
static void bound_texts(struct tree_view *v) {
    size_t n_bytes = 0;
    for (size_t i = 0; i < v->t->rows->n_nodes; i++)
        for (size_t j = v->kept[i] ? v->first[i] : v->n_steps; j < v->first[i + 1]; j++)
            n_bytes += v->steps[j].len;
    v->n_text_max = HTML_STEP_TEXT_MAX;
    if (n_bytes > HTML_TREE_TEXT_MAX)
        v->n_text_max = MIN(v->n_text_max, MAX(120, HTML_TREE_TEXT_MAX / MAX(v->n_kept_steps, 1)));
}

static void link_children(struct tree_view *v) {
    const size_t n = v->t->rows->n_nodes;
    v->child = mem_alloc((n + 1) * sizeof *v->child);
    v->next = mem_alloc((n + 1) * sizeof *v->next);
    for (size_t i = 0; i <= n; i++) v->child[i] = v->next[i] = -1;
    for (size_t i = n; i-- > 0;) {
        if (!v->kept[i]) continue;
        const size_t parent = v->t->parents[i] < 0 ? n : (size_t)v->t->parents[i];
        v->next[i] = v->child[parent];
        v->child[parent] = (int)i;
    }
}

/* ---- what a step carries ---- */

/* The reward of a node's i-th step; NAN: none. */
double tree_reward(const struct tree_view *v, int node, size_t i) {
    const struct rows_node *r = &v->t->rows->nodes[node];
    const size_t n = v->first[node + 1] - v->first[node];
    if (!r->scored || r->n_rewards < 0 || (size_t)r->n_rewards != n) return NAN;
    return (double)r->rewards[i];
}

/* r0 (worst) to r10, rn: none */
void tree_reward_class(struct buf *b, double reward) {
    if (isnan(reward))
        buf_add_str(b, STR("rn"));
    else
        buf_printf(b, "r%d", (int)lround(10 * MIN(MAX(reward, 0), 1)));
}

/* Attributes of everything that belongs to a node: when it came and went. */
void tree_times(struct buf *b, const struct tree_view *v, int node) {
    const struct replay_log *log = &v->t->log;
    if (!v->t->ordered) return;
    buf_printf(b, " data-w=\"%d\"", log->written[node]);
    if (log->scored[node]) buf_printf(b, " data-s=\"%d\"", log->scored[node]);
    if (log->dropped[node]) buf_printf(b, " data-d=\"%d\"", log->dropped[node]);
}

bool tree_given_up(const struct tree_view *v, int node) {
    return v->t->ordered ? v->t->log.dropped[node] > 0 : !v->t->leads[node];
}

/* ---- head and votes ---- */

static const char *right_mark(int right) {
    return right > 0 ? "<b class=\"ok\">✓ right</b>" : right == 0 ? "<b class=\"no\">✗ wrong</b>" : "";
}

static void write_choice(struct buf *b, const struct browse_tree *t) {
    buf_add_str(b, STR("<p class=\"choice\">"));
    if (!t->rule) {
        buf_add_str(b, STR("Nothing was chosen.</p>"));
        return;
    }
    buf_add_str(b, STR("Chosen by "));
    html_cstr(b, t->rule);
    buf_add_str(b, STR(": <span class=\"ans\" dir=\"auto\">"));
    if (t->answer)
        html_excerpt(b, str_from(t->answer), 200);
    else
        buf_add_str(b, STR("no answer"));
    buf_printf(b, "</span> %s</p>", right_mark(t->right));
}

static void write_facts(struct buf *b, const struct tree_view *v) {
    const struct browse_tree *t = v->t;
    int n_given_up = 0, n_right = 0;
    for (size_t i = 0; i < t->rows->n_nodes; i++) n_given_up += tree_given_up(v, (int)i);
    for (size_t i = 0; i < t->rows->n_solutions; i++) n_right += t->rows->solutions[i].right > 0;
    buf_printf(b, "<p class=\"facts\">%zu solutions, %d right; %zu nodes, %d given up", t->rows->n_solutions,
               n_right, t->rows->n_nodes, n_given_up);
    if (t->ordered) buf_printf(b, "; %d events", t->log.n_events);
    if ((size_t)v->n_kept < t->rows->n_nodes)
        buf_printf(b, ". Shown here are %d of %zu nodes", v->n_kept, t->rows->n_nodes);
    buf_add_str(b, STR(".</p>"));
}

static void bar(struct buf *b, double share) {
    buf_printf(
        b,
        "<svg class=\"share\" viewBox=\"0 0 100 10\" preserveAspectRatio=\"none\" aria-hidden=\"true\"><rect "
        "width=\"%.1f\" height=\"10\"/></svg>",
        100 * share);
}

static void vote_row(struct buf *b, const struct browse_class *c, double votes, double reward,
                     bool has_rewards) {
    buf_printf(b, "<tr%s><td class=\"ans\" dir=\"auto\">", c->chosen ? " class=\"c\"" : "");
    html_excerpt(b, str_from(c->answer), 80);
    buf_printf(b, "%s</td><td>%s</td><td>%d ", c->chosen ? " <b>★</b>" : "",
               c->right > 0    ? "<b class=\"ok\">✓</b>"
               : c->right == 0 ? "<b class=\"no\">✗</b>"
                               : "",
               c->n_votes);
    bar(b, votes > 0 ? c->n_votes / votes : 0);
    buf_add_str(b, STR("</td>"));
    if (has_rewards) {
        buf_printf(b, "<td>%.2f ", c->reward);
        bar(b, reward > 0 ? MAX(c->reward, 0) / reward : 0);
        buf_add_str(b, STR("</td>"));
    }
    buf_add_str(b, STR("</tr>"));
}

enum { VOTES_MAX = 12 };

static void votes_table(struct buf *b, const struct browse_tree *t, double votes, double reward,
                        bool has_rewards) {
    buf_add_str(b, STR("<div class=\"scroll\"><table class=\"votes\"><thead><tr>"));
    html_th(b, "answer");
    html_th(b, "");
    html_th(b, "votes");
    if (has_rewards) html_th(b, "sum of rewards");
    buf_add_str(b, STR("</tr></thead><tbody>"));
    for (size_t i = 0; i < MIN(t->n_classes, VOTES_MAX); i++)
        vote_row(b, &t->classes[i], votes, reward, has_rewards);
    buf_add_str(b, STR("</tbody></table></div>"));
}

static void write_votes(struct buf *b, const struct browse_tree *t) {
    double votes = 0, reward = 0;
    if (t->rows->n_solutions < 2) return;
    for (size_t i = 0; i < t->n_classes; i++) {
        votes = MAX(votes, t->classes[i].n_votes);
        reward = MAX(reward, t->classes[i].reward);
    }
    const bool has_rewards = reward > 0;
    if (t->n_classes > 0) votes_table(b, t, votes, reward, has_rewards);
    if (t->n_classes > VOTES_MAX)
        buf_printf(b, "<p class=\"facts\">%zu more answers.</p>", t->n_classes - VOTES_MAX);
    if (t->n_unanswered > 0)
        buf_printf(b, "<p class=\"facts\">%d solutions without an answer.</p>", t->n_unanswered);
}

/* ---- the whole ---- */

static void write_slider(struct buf *b, const struct tree_view *v) {
    if (!v->t->ordered || v->t->log.n_events == 0) return;
    buf_printf(b,
               "<div class=\"when\" hidden=\"\"><label>in the order of events "
               "<input type=\"range\" min=\"0\" max=\"%d\" value=\"%d\"/></label><output></output></div>",
               v->t->log.n_events, v->t->log.n_events);
}

void html_tree(struct buf *b, const struct browse_tree *t, const char *separator, const char *id) {
    struct tree_view v = {.t = t, .id = id, .b = b};
    split(&v, separator);
    keep_some(&v);
    link_children(&v);
    bound_texts(&v);
    buf_add_str(b, STR("<div class=\"tree\">"));
    write_choice(b, t);
    write_facts(b, &v);
    write_votes(b, t);
    if (t->rows->n_nodes > 0) {
        write_slider(b, &v);
        tree_diagram(&v);
        tree_steps(&v);
    }
    buf_add_str(b, STR("</div>"));
    free(v.steps);
    free(v.first);
    free(v.kept);
    free(v.child);
    free(v.next);
}
