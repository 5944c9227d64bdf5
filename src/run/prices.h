/* prices.h - what tokens cost in money: US dollars a million tokens, as the user gives them. None is known
 * here, and none is assumed.
 *
 *     policy_input=0.15,policy_output=0.60,reward_input=0.02
 *
 * or a small JSON file, {"policy": {"input": 0.15, "output": 0.60}, "reward": {"input": 0.02}}; what is left
 * out costs nothing. Input are tokens read, output those generated, as costs count them (docs/costs.md).
 *
 * Inside, money is counted in whole units of 1e-12 dollars, so that sums do not depend on their order (exact
 * up to 9,000 dollars); a price has at most six decimals for this, and more are refused.
 */
#ifndef BROOD_PRICES_H
#define BROOD_PRICES_H

#include "base/cost.h"
#include "base/err.h"
#include "base/str.h"

struct prices { /* dollars a million tokens */
    double policy_input, policy_output, reward_input;
};

enum { PRICES_FILE_BYTES_MAX = 1 << 16 };

/* text: keys as above, or the name of a file. Unknown keys, numbers below 0 and a table without any price are
 * refused. */
MUST bool prices_parse(struct prices *p, const char *text, struct err *e);
MUST bool prices_parse_json(struct prices *p, struct str json, const char *where, struct err *e);
/* Of these two models (reward NULL: none). Beside what prices_parse takes, a file may have the prices of many
 * models by their names: {"lab:small": {"input": 0.1, "output": 0.4}, "lab:prm": {"input": 0.2}, ...}. One
 * that leaves out either model is refused. */
MUST bool prices_parse_for(struct prices *p, const char *text, const char *policy, const char *reward,
                           struct err *e);
MUST bool prices_parse_json_for(struct prices *p, struct str json, const char *where, const char *policy,
                                const char *reward, struct err *e);
bool prices_are_given(const struct prices *p);

/* Of one token, in 1e-12 dollars. */
double prices_unit(double dollars_a_million);
/* In 1e-12 dollars. */
double prices_of(const struct prices *p, const struct cost *policy, const struct cost *reward);
double prices_dollars(double units);

#endif
