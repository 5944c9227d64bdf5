/* parse.h - tokens into the expression tree (private to the room).
 *
 *     list     item ((',' | ';' | and | or | \quad) item)*          semicolons beside commas make tuples of
 * what the commas join item     text | set (rel set)*                                 then labels: "x = 5" is
 * LABEL x 5 set      ratio ((\cup | \cap | \setminus) ratio)* ratio    sum (':' sum)* unit? sum      product
 * (('+' | '-' | \pm | \mp) product)* product  sign* power (('*' | '/' | nothing) power)*            left to
 * right; "1/2x" is (1/2)x power    postfix ('^' exponent)? postfix  primary ('!' | '%' | degree)*
 *
 * Depth is bounded by PARSE_DEPTH_MAX, the rest by the number of tokens. Differences from TeX: \sqrt12 and
 * x^10 take the whole number.
 */
#ifndef BROOD_ANSWER_PARSE_H
#define BROOD_ANSWER_PARSE_H

#include "answer/lex.h"

#define PARSE_DEPTH_MAX 200

struct parse {
    struct lex_token *t;
    size_t at;
    struct lex *lex;
    struct tree *tree;
    int depth;
    int n_bars; /* open |: the next one closes */
    struct str currency;
    bool failed;
};

/* The tree of the whole text, or NULL when there is no reading. */
struct node *parse_run(struct lex *l, struct tree *tree);

/* Inside the parser: parse.c has sums and products, primary.c what they are made of, item.c lists, relations
 * and words. */
struct node *parse_fail(struct parse *p);
bool parse_is(const struct parse *p, int kind, int op); /* op < 0: any */
bool parse_is_char(const struct parse *p, char c);
bool parse_take_char(struct parse *p, char c);
bool parse_enter(struct parse *p); /* false (and failed) when too deep; pair with p->depth-- */
bool parse_starts_primary(const struct parse *p);

struct node *parse_list(struct parse *p, bool split_at_semicolons);
struct node *parse_item(struct parse *p);
struct node *parse_set(struct parse *p);
struct node *parse_sum(struct parse *p);
struct node *parse_power(struct parse *p);
struct node *parse_primary(struct parse *p);
struct node *parse_argument(struct parse *p); /* {group}, or one token as in \frac12 */
struct node *parse_function(struct parse *p);
struct node *parse_expand_plusminus(struct parse *p, struct node *list);
struct str parse_unit(struct parse *p);
bool parse_is_unit_letter(const struct lex_token *t);

/* A growing list of nodes that parser functions build; free with free(v.items). */
struct node_vec {
    struct node **items;
    size_t n, cap;
};
void node_vec_add(struct node_vec *v, struct node *n);
struct node *node_from_vec(struct tree *t, enum node_kind kind, struct node_vec *v); /* frees the vector */

#endif
