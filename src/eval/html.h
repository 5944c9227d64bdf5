/* html.h - a report as one self-contained HTML file: curves, tables, and search trees to browse.
 *
 * It loads nothing and sends nothing: styles, drawings and a little script are inside, and its content
 * security policy lets a browser run that script alone, known by its hash. All text of models, tasks and
 * files is written so that it is shown and never interpreted (html_write.h). Without the script everything
 * can be read; it adds the search among problems and the order of events. The same runs give the same bytes.
 *
 * Size: trees are added until HTML_TREES_BYTES of them are there, each at most about 3 MB however large the
 * search (html_tree.h); the list has HTML_LIST_MAX problems at most. So a file stays below 16 MB; with few
 * runs and short solutions it is far smaller.
 */
#ifndef BROOD_HTML_H
#define BROOD_HTML_H

#include "eval/browse.h"
#include "eval/offers.h"
#include "eval/reliability.h"

enum { HTML_TREES_BYTES = 8 << 20, HTML_LIST_MAX = 2000 };

struct html_facts {
    int n_trees;    /* problems whose trees are in the page */
    int n_problems; /* of all runs */
};

struct html_extras { /* NULL: not there */
    const struct offers *offers;
    const struct reliabilities *reliabilities;
};

/* The problems that browse_pick marked get their trees. Appends to out. */
MUST bool html_report(const struct report *r, const struct html_extras *extras, struct browse *b,
                      struct buf *out, struct html_facts *facts, struct err *e);

#endif
