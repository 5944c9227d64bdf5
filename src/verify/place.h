/* place.h - the core that a worker's processes share.
 *
 * What a worker does for a program is a chain: keeper, compiler, candidate and judge wait for one another.
 * Spread over cores, each link wakes a core that sleeps; on one core it does not, and a worker a core keeps
 * all of them at work (SPEED.md, the sandbox, 19). So, where there are as many workers as cores that this
 * process may use, each worker's processes are held on a core of their own. Others may want that core, too,
 * with a higher priority: a worker whose program lasts longer than PLACE_SECONDS may run anywhere, from then
 * until a second later. Nothing depends on it but speed; where it cannot be done it is not.
 */
#ifndef BROOD_PLACE_H
#define BROOD_PLACE_H

#include <stdbool.h>
#include <sys/types.h>

#define PLACE_SECONDS 0.05

struct place {
    int core; /* -1: none, its processes run anywhere */
    bool held;
    double free_until;
};

/* Of worker i of n. */
void place_choose(struct place *p, int i, int n);
/* Holds the worker's processes, which wait for a program; pid: the first of them. */
void place_hold(struct place *p, pid_t pid, double now);
/* Lets them go, whatever they do. */
void place_let_go(struct place *p, pid_t pid, double now);

#endif
