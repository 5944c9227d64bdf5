/* html_page.h - the sections of the page (private to the room). */
#ifndef BROOD_HTML_PAGE_H
#define BROOD_HTML_PAGE_H

#include "eval/html.h"

struct str html_style(void);  /* html_page.css */
struct str html_script(void); /* html_page.js */

/* ---- charts against samples, tokens, FLOP ---- */
enum html_axis { HTML_SAMPLES, HTML_TOKENS, HTML_FLOPS, HTML_AXES };
extern const char *const html_axis_titles[HTML_AXES];

double html_spend(const struct report_run *run, int k, enum html_axis axis, bool with_reward); /* a problem */
bool html_has_axis(const struct report_run *run, enum html_axis axis); /* it was counted */
/* Charts of which one is seen, by the buttons above; printed one after the other. */
void html_tabs(struct buf *b, const char *id, const bool shown[HTML_AXES],
               void (*draw)(void *ctx, struct buf *b, enum html_axis axis), void *ctx);
struct html_series;
void html_put_point(struct html_series *s, double x, struct interval v);

/* ---- about runs ---- */
void html_model(struct buf *b, const char *name, double n_parameters);
bool html_is_measured(const struct report_run *run);
/* Runs of one sample beside others are lines of the overview alone. */
bool html_has_section(const struct report *r, size_t i_run);
const char *html_level_name(char *out, size_t n_max, int level); /* "level 3"; returns out */
/* The selection that a run was made for, if it can be measured; else the best that can. */
int html_main_measure(const struct report_run *run);

void html_overview(struct buf *b, const struct report *r);
void html_run(struct buf *b, const struct report *r, size_t i_run);
void html_gains(struct buf *b, const struct report *r);
void html_offers(struct buf *b, const struct report *r, const struct offers *o);
void html_reliabilities(struct buf *b, const struct report *r, const struct reliabilities *l);
MUST bool html_problems(struct buf *b, const struct report *r, struct browse *browse,
                        struct html_facts *facts, struct err *e);

#endif
