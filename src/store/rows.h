/* rows.h - all that a run holds on one problem, in memory: for resuming it, reporting on it, exporting it.
 *
 * Nodes are in path order with their scores attached; rows_find looks one up by its path. The text, the
 * rewards and the confidences of a solution are those of the nodes along its path, joined, from the root or
 * from the last node that revises on; the words that asked for the revision are left out. Ownership:
 * everything belongs to the rows and goes with rows_free.
 */
#ifndef BROOD_ROWS_H
#define BROOD_ROWS_H

#include "store/store.h"

struct rows_node {
    char *path;
    enum store_lead lead;
    size_t n_lead_bytes;
    int n_lead_tokens;
    char *text;
    size_t text_len;
    int *tokens;
    int n_tokens_known, n_tokens;
    double logprob;
    float *confidences;
    int n_confidences;
    int verdict;   /* -1: not known */
    bool verified; /* a verifier was asked; then: */
    double verifier_score;
    char *feedback; /* NULL: none */
    enum store_finish finish;
    struct cost cost;
    char *why;
    bool scored; /* then n_rewards (-1: failed), rewards and score_cost are set */
    float *rewards;
    int n_rewards;
    struct cost score_cost;
};

struct rows_solution {
    char *path, *answer; /* answer NULL: none */
    bool complete;
    int right; /* 1, 0, -1 not graded */
};

struct rows {
    struct rows_node *nodes;
    size_t n_nodes, cap_nodes;
    struct rows_solution *solutions;
    size_t n_solutions, cap_solutions;
    struct map *by_path;
};

MUST struct rows *rows_load(struct store *s, int problem, struct err *e);
void rows_free(struct rows *r);
const struct rows_node *rows_find(const struct rows *r, const char *path); /* NULL if never told */

/* The text of the solution at `path`, appended to out; and its step rewards in order into rewards (room for
 * n_max): returns how many, -1 where any node on the path is not scored. */
void rows_text(const struct rows *r, const char *path, struct buf *out);
int rows_rewards(const struct rows *r, const char *path, float *rewards, int n_max);
/* One a token, in order; owned by the caller, *n of them; NULL where any node has none. */
float *rows_confidences(const struct rows *r, const char *path, int *n);

/* Which nodes lead to a solution, those before a revision too: [n_nodes], by their place in rows; owned,
 * free().
 */
bool *rows_on_solutions(const struct rows *r);

#endif
