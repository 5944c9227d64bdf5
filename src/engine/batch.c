#include "engine/batch.h"

struct kv_node *batch_tip(const struct request *r) {
    return r->node->n_tokens > 0 || !r->node->parent ? r->node : r->node->parent;
}

struct kv_node *batch_todo(struct request *r) {
    struct kv_node *todo = NULL;
    if (!r->above_done) {
        for (struct kv_node *n = r->node->parent; n; n = n->parent)
            if (n->n_computed < n->n_tokens) todo = n;
        r->above_done = !todo;
    }
    return todo ? todo : r->node->n_computed < r->node->n_tokens ? r->node : NULL;
}

/* Pages of the path down to a node of it: those that the request's table lacks are looked up. The path is
 * pinned, so its pages stay; but where a node begins inside a page, its own takes the place of its parent's,
 * with the same positions before. */
static const void *const *table_of(struct scheduler *s, struct request *r, const struct kv_node *node,
                                   int n_positions) {
    const int n_pages = kv_path_pages(n_positions);
    ASSERT(n_pages <= s->n_path_pages_max);
    if (r->table_node != node) {
        const bool below = r->table_node && r->table_node == node->parent;
        r->n_table = below ? MIN(r->n_table, node->first / KV_PAGE) : 0;
        r->table_node = node;
    }
    kv_path(s->kv, node, r->n_table, n_positions, r->table);
    r->n_table = MAX(r->n_table, n_pages);
    return r->table;
}

static struct forward_row *new_row(struct scheduler *s, int token, int position, const void *const *pages) {
    ASSERT(s->n_rows < s->n_rows_max);
    struct forward_row *row = &s->rows[s->n_rows++];
    *row = (struct forward_row){.token = token, .position = position, .pages = pages, .i_head = -1};
    s->counters.flops += s->flops_row + s->flops_context * (position + 1);
    return row;
}

/* Notes that this step's next n rows are the node's, from its token i_token on. */
static void begin_node(struct scheduler *s, struct kv_node *node, int i_token, int n) {
    node->step = s->step;
    node->row_first = s->n_rows;
    node->row_position = node->first + i_token;
    node->n_rows = n;
    s->nodes[s->n_nodes++] = node;
}

static void count_read(struct scheduler *s, struct request *r, const struct kv_node *node, int i_token) {
    bool sampled_here = node == r->node && i_token >= node->n_tokens - r->n_sampled;
    bool again = i_token < node->n_computed_ever, first = !again && !sampled_here;
    r->n_recomputed += again;
    r->n_prefilled += first;
    s->counters.n_recomputed += again;
    if (again) s->counters.flops_recomputed += s->flops_row + s->flops_context * (node->first + i_token + 1);
    s->counters.n_prefilled += first;
}

/* Rows for the node's next n uncomputed tokens, on r's account. */
static void compute_tokens(struct scheduler *s, struct request *r, struct kv_node *node, int n) {
    int i = node->n_computed;
    for (int j = i; j < i + n; j++) kv_ensure_page(s->kv, node, j);
    const void *const *table = table_of(s, r, node, node->first + i + n);
    begin_node(s, node, i, n);
    for (; n > 0; i++, n--) {
        struct forward_row *row = new_row(s, node->tokens[i], node->first + i, table);
        row->store = kv_page(s->kv, node, row->position);
        count_read(s, r, node, i);
    }
}

/* One row that only asks: its position is computed already. */
static int ask_position(struct scheduler *s, struct request *r, struct kv_node *node, int position) {
    const void *const *table = table_of(s, r, node, position + 1);
    new_row(s, node->tokens[position - node->first], position, table);
    return s->n_rows - 1;
}

/* A generating request that needs one row at the end of its path, nothing before it. */
static bool needs_one_row(const struct request *r) {
    const struct kv_node *tip = batch_tip(r);
    return !r->reading && (!r->todo || (r->todo == tip && tip->n_tokens - tip->n_computed == 1));
}

static void add_generating(struct scheduler *s) {
    bool others_wait = false;
    for (int i = 0; i < s->n_running; i++) {
        s->running[i]->todo = batch_todo(s->running[i]);
        others_wait |= !needs_one_row(s->running[i]);
    }
    int limit = s->n_rows_max - (others_wait ? s->n_rows_max / 4 : 0), turn = s->turn;
    s->turn = 0;
    bool skipped = false;
    for (int j = 0; j < s->n_running; j++) {
        int i = (turn + j) % s->n_running;
        struct request *r = s->running[i];
        struct kv_node *tip = batch_tip(r);
        if (!needs_one_row(r) || tip->step == s->step) continue;
        if (s->n_rows == limit) {
            if (!skipped) s->turn = i, skipped = true;
            continue;
        }
        if (r->todo) {
            compute_tokens(s, r, tip, 1);
        } else {
            begin_node(s, tip, tip->n_tokens - 1, 1);
            ask_position(s, r, tip, kv_length(tip) - 1);
        }
    }
}

static void add_late_marks(struct scheduler *s, struct request *r) {
    r->late_row = s->n_rows;
    r->late_end = r->i_late;
    for (; r->late_end < r->n_late && s->n_rows < s->n_rows_max; r->late_end++) {
        int position = (int)r->read.marks[r->late_end];
        struct kv_node *node = r->node;
        while (node->first > position) node = node->parent;
        ask_position(s, r, node, position);
        s->n_late_rows++;
    }
}

static void add_uncomputed(struct scheduler *s) {
    for (int i = 0; i < s->n_running; i++) {
        struct request *r = s->running[i];
        if (needs_one_row(r)) continue;
        if (r->reading) add_late_marks(s, r);
        int room = s->n_rows_max - s->n_rows;
        if (r->todo && r->todo->step != s->step && room > 0)
            compute_tokens(s, r, r->todo, MIN(room, r->todo->n_tokens - r->todo->n_computed));
    }
}

/* ---- who takes what from the rows ---- */

static void want_head(struct scheduler *s, int i_row) {
    if (s->rows[i_row].i_head < 0) s->rows[i_row].i_head = s->n_heads++;
}

static void add_draws(struct scheduler *s) {
    for (int i = 0; i < s->n_running; i++) {
        struct request *r = s->running[i];
        const struct kv_node *tip = batch_tip(r);
        r->i_draw = -1;
        if (r->reading || tip->step != s->step || tip->row_position + tip->n_rows != kv_length(tip)) continue;
        int i_row = tip->row_first + tip->n_rows - 1;
        want_head(s, i_row);
        r->i_draw = s->n_draws++;
        s->draws[r->i_draw] = (struct head_draw){
            .i_head = s->rows[i_row].i_head,
            .how = &r->generate.sampling,
            .key = r->generate.key,
            .counter = (uint64_t)kv_length(tip),
            .n_top = r->generate.n_top,
        };
    }
}

int batch_mark_row(const struct request *r, size_t i_mark) {
    if (i_mark < r->n_late) return r->late_row + (int)(i_mark - r->i_late);
    return r->todo->row_first + (int)r->read.marks[i_mark] - r->todo->row_position;
}

static void add_marks(struct scheduler *s) {
    for (int i = 0; i < s->n_running; i++) {
        struct request *r = s->running[i];
        if (!r->reading) continue;
        for (size_t m = r->i_late; m < r->late_end; m++) want_head(s, batch_mark_row(r, m));
        r->mark_end = r->i_mark;
        if (!r->todo || r->todo->step != s->step) continue;
        size_t end = (size_t)(r->todo->row_position + r->todo->n_rows);
        for (; r->mark_end < r->read.n_marks && r->read.marks[r->mark_end] < end; r->mark_end++)
            want_head(s, batch_mark_row(r, r->mark_end));
    }
}

void batch_build(struct scheduler *s) {
    s->step++;
    s->n_rows = s->n_heads = s->n_nodes = s->n_late_rows = s->n_draws = 0;
    if (s->n_running == 0) return;
    add_generating(s);
    add_uncomputed(s);
    add_draws(s);
    s->n_drawn = s->n_heads;
    add_marks(s);
}
