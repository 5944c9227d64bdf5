/* read.c - walking the rows of a run in their fixed order. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "store/internal.h"

static const char *const finish_names[] = {
    [STORE_STEP] = "step", [STORE_END] = "end", [STORE_LENGTH] = "length", [STORE_FAILED] = "failed"};

const char *store_finish_name(enum store_finish f) {
    return finish_names[f];
}

enum store_finish store_finish_from(const char *name) {
    for (size_t i = 0; i < ARRAY_LEN(finish_names); i++) {
        if (name && strcmp(name, finish_names[i]) == 0) return (enum store_finish)i;
    }
    return STORE_FAILED;
}

static const char *const lead_names[] = {[STORE_LEAD_NONE] = "none",
                                         [STORE_LEAD_REVISE] = "revise",
                                         [STORE_LEAD_WAIT] = "wait",
                                         [STORE_LEAD_ANSWER] = "answer"};

const char *store_lead_name(enum store_lead l) {
    return lead_names[l];
}

enum store_lead store_lead_from(const char *name) {
    for (size_t i = 0; i < ARRAY_LEN(lead_names); i++) {
        if (name && strcmp(name, lead_names[i]) == 0) return (enum store_lead)i;
    }
    return STORE_LEAD_NONE;
}

static const char *column_text(sqlite3_stmt *q, int i) {
    return (const char *)sqlite3_column_text(q, i);
}

static int column_tri_state(sqlite3_stmt *q, int i) /* NULL: -1 */
{
    return sqlite3_column_type(q, i) == SQLITE_NULL ? -1 : sqlite3_column_int(q, i);
}

static double column_real(sqlite3_stmt *q, int i) /* NULL: NAN */
{
    return sqlite3_column_type(q, i) == SQLITE_NULL ? NAN : sqlite3_column_double(q, i);
}

/* Runs a query whose only parameter, if any, is the problem, and hands each row to on_row(walk, q). */
struct walk {
    void *callback, *ctx;
    int problem;
};

static bool each_row(struct store *s, const char *sql, struct walk *walk,
                     bool (*on_row)(struct walk *w, sqlite3_stmt *q), struct err *e) {
    sqlite3_stmt *q = NULL;
    if (sqlite3_prepare_v2(s->db, sql, -1, &q, NULL) != SQLITE_OK) return store_failed(s, e, "reading");
    if (sqlite3_bind_parameter_count(q) > 0) sqlite3_bind_int(q, 1, walk->problem);
    int code;
    while ((code = sqlite3_step(q)) == SQLITE_ROW) {
        if (!on_row(walk, q)) break;
    }
    const bool done = code == SQLITE_DONE || code == SQLITE_ROW || store_failed(s, e, "reading");
    sqlite3_finalize(q);
    return done;
}

static bool problem_row(struct walk *w, sqlite3_stmt *q) {
    const struct store_problem p = {
        .ordinal = sqlite3_column_int(q, 0),
        .id = column_text(q, 1),
        .text = column_text(q, 2),
        .level = sqlite3_column_int(q, 3),
        .answer = column_text(q, 4),
        .done = sqlite3_column_int(q, 5) != 0,
        .policy_root = {.tokens_read = sqlite3_column_double(q, 6), .flops = sqlite3_column_double(q, 7)},
        .reward_root = {.tokens_read = sqlite3_column_double(q, 8), .flops = sqlite3_column_double(q, 9)},
    };
    return ((store_on_problem *)w->callback)(w->ctx, &p);
}

bool store_each_problem(struct store *s, store_on_problem *on, void *ctx, struct err *e) {
    struct walk w = {.callback = (void *)on, .ctx = ctx};
    return each_row(
        s,
        "SELECT ordinal,id,text,level,answer,done,policy_read,policy_flops,reward_read,reward_flops FROM "
        "problem ORDER BY ordinal",
        &w, problem_row, e);
}

static bool node_row(struct walk *w, sqlite3_stmt *q) {
    const struct store_node n = {
        .problem = w->problem,
        .path = column_text(q, 0),
        .text = {column_text(q, 1), (size_t)sqlite3_column_bytes(q, 1)},
        .tokens = sqlite3_column_blob(q, 2),
        .n_tokens_known = (int)((size_t)sqlite3_column_bytes(q, 2) / sizeof(int)),
        .n_tokens = sqlite3_column_int(q, 3),
        .logprob = column_real(q, 4),
        .finish = store_finish_from(column_text(q, 5)),
        .cost = {.tokens_generated = sqlite3_column_double(q, 6),
                 .tokens_read = sqlite3_column_double(q, 7),
                 .flops = sqlite3_column_double(q, 8)},
        .why = column_text(q, 9),
        .lead = store_lead_from(column_text(q, 10)),
        .n_lead_bytes = MIN((size_t)sqlite3_column_int64(q, 11), (size_t)sqlite3_column_bytes(q, 1)),
        .n_lead_tokens = sqlite3_column_int(q, 12),
        .confidences = sqlite3_column_blob(q, 13),
        .n_confidences = (int)((size_t)sqlite3_column_bytes(q, 13) / sizeof(float)),
        .verdict = column_tri_state(q, 14),
    };
    return ((store_on_node *)w->callback)(w->ctx, &n);
}

bool store_each_node(struct store *s, int problem, store_on_node *on, void *ctx, struct err *e) {
    struct walk w = {.callback = (void *)on, .ctx = ctx, .problem = problem};
#define NODE_COLUMNS "SELECT path,text,tokens,n_tokens,logprob,finish,tokens_generated,tokens_read,flops,why,"
#define NODE_ORDER   " FROM node WHERE problem=? ORDER BY path COLLATE brood_path"
    return each_row(s,
                    s->format < 2 ? NODE_COLUMNS "NULL,0,0,NULL,NULL" NODE_ORDER
                                  : NODE_COLUMNS
                        "lead,n_lead_bytes,n_lead_tokens,confidences,verdict" NODE_ORDER,
                    &w, node_row, e);
#undef NODE_COLUMNS
#undef NODE_ORDER
}

static bool score_row(struct walk *w, sqlite3_stmt *q) {
    const bool failed = sqlite3_column_type(q, 1) == SQLITE_NULL;
    const struct store_score c = {
        .problem = w->problem,
        .path = column_text(q, 0),
        .rewards = sqlite3_column_blob(q, 1),
        .n_rewards = failed ? -1 : (int)((size_t)sqlite3_column_bytes(q, 1) / sizeof(float)),
        .cost = {.tokens_read = sqlite3_column_double(q, 2), .flops = sqlite3_column_double(q, 3)},
    };
    return ((store_on_score *)w->callback)(w->ctx, &c);
}

bool store_each_score(struct store *s, int problem, store_on_score *on, void *ctx, struct err *e) {
    struct walk w = {.callback = (void *)on, .ctx = ctx, .problem = problem};
    return each_row(
        s,
        "SELECT path,rewards,tokens_read,flops FROM score WHERE problem=? ORDER BY path COLLATE brood_path",
        &w, score_row, e);
}

static bool solution_row(struct walk *w, sqlite3_stmt *q) {
    const struct store_solution v = {
        .problem = w->problem,
        .path = column_text(q, 0),
        .answer = column_text(q, 1),
        .complete = sqlite3_column_int(q, 2) != 0,
        .right = column_tri_state(q, 3),
    };
    return ((store_on_solution *)w->callback)(w->ctx, &v);
}

bool store_each_solution(struct store *s, int problem, store_on_solution *on, void *ctx, struct err *e) {
    struct walk w = {.callback = (void *)on, .ctx = ctx, .problem = problem};
    return each_row(
        s,
        "SELECT path,answer,complete,right FROM solution LEFT JOIN grade USING(problem,path) WHERE problem=?"
        " ORDER BY path COLLATE brood_path",
        &w, solution_row, e);
}

static bool choice_row(struct walk *w, sqlite3_stmt *q) {
    const struct store_choice c = {
        .problem = w->problem,
        .rule = column_text(q, 0),
        .aggregate = column_text(q, 1),
        .path = column_text(q, 2),
        .answer = column_text(q, 3),
        .n_solutions = sqlite3_column_int(q, 4),
        .n_classes = sqlite3_column_int(q, 5),
        .n_votes = sqlite3_column_int(q, 6),
        .score = column_real(q, 7),
        .margin = column_real(q, 8),
        .right = column_tri_state(q, 9),
    };
    return ((store_on_choice *)w->callback)(w->ctx, &c);
}

bool store_each_choice(struct store *s, int problem, store_on_choice *on, void *ctx, struct err *e) {
    struct walk w = {.callback = (void *)on, .ctx = ctx, .problem = problem};
    return each_row(
        s,
        "SELECT rule,aggregate,path,answer,n_solutions,n_classes,n_votes,score,margin,right FROM choice"
        " LEFT JOIN grade USING(problem,path) WHERE problem=? ORDER BY rule,aggregate",
        &w, choice_row, e);
}

bool store_count_done(struct store *s, int *n_problems, int *n_done, struct err *e) {
    sqlite3_stmt *q = NULL;
    if (sqlite3_prepare_v2(s->db, "SELECT count(*), total(done) FROM problem", -1, &q, NULL) != SQLITE_OK ||
        sqlite3_step(q) != SQLITE_ROW) {
        sqlite3_finalize(q);
        return store_failed(s, e, "reading");
    }
    *n_problems = sqlite3_column_int(q, 0);
    *n_done = sqlite3_column_int(q, 1);
    sqlite3_finalize(q);
    return true;
}
