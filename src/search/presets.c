/* presets.c - what other systems mean by a name: Brood's strategies with their parameters.
 *
 * Tested in tests/test_search_presets.c: on the same steps and rewards the rule of each, restated plainly,
 * chooses the same steps. What is made of the end differs in two ways that no preset changes: every solution
 * that was paid for votes, and none that is unfinished does where there is a finished one.
 *   sal-dvts    search-and-learn votes on all `width` candidates of a tree's last level, unfinished ones too.
 *   cotts-beam  compute-optimal-tts returns the solutions that a beam ended in, not those that were
 * outranked; it writes a step again, up to three times, if none was usable. Its scripts have one beam, and
 * its DVTS is that beam search once for each tree.
 *   rebase, ets   their code gives up what has not ended after 25 steps (here the last step goes to the end)
 * and lets the later of equal rewards go first; ETS's clusters are other ones (ets.h).
 *   deepconf-online   its code looks at each token, here a trace is looked at after each step; use it with
 * --select confident. The stop at a consensus is in its paper alone: consensus=0.95,width=16.
 * search-and-learn's
 * beam search and its_hub's particle filter have rules of their own: sal_beam.c, its_pf.c.
 */
#include "search/search.h"

const struct search_preset search_presets[] = {
    {"sal-best-of-n", "search-and-learn's best-of-n: use it with --select best or weighted",
     "search-and-learn, best_of_n", "sample:n=4,temperature=0.8,top_p=1,min_p=0,top_k=0"},
    {"sal-dvts", "search-and-learn's DVTS", "search-and-learn, diverse_verifier_tree_search",
     "dvts:n=4,width=4,depth=40,aggregate=last,distinct=0,temperature=0.8,top_p=1,min_p=0,top_k=0"},
    {"cotts-beam", "compute-optimal-tts's beam search: n steps a level, n/width beams",
     "compute-optimal-tts and OpenR, tree.beam_search",
     "beam:n=4,width=4,depth=40,aggregate=last,distinct=2,temperature=0.7,top_p=1,min_p=0,top_k=0"},
    {"cotts-best-of-n", "compute-optimal-tts's best-of-n: use it with --select best or weighted",
     "compute-optimal-tts, best_of_n", "sample:n=256,temperature=0.7,top_p=1,min_p=0,top_k=0"},
    {"cotts-dvts", "compute-optimal-tts's DVTS: beam search of one beam, n/width times",
     "compute-optimal-tts, beam_search with num_q",
     "dvts:n=256,width=4,depth=40,aggregate=last,distinct=2,temperature=0.7,top_p=1,min_p=0,top_k=0"},
    {"rebase", "REBASE as its authors ran it", "Wu et al. 2024 (2408.00724), rebase.yaml",
     "beam:n=16,depth=25,aggregate=last,distinct=0,allocation=rebase,softmax=0.2,temperature=1,top_p=1,min_p="
     "0,top_k=0"},
    {"ets", "ETS as its authors ran it", "Hooper et al. 2025 (2502.13575), ets_16_math500.yaml",
     "beam:n=16,depth=25,aggregate=last,distinct=0,allocation=ets,softmax=0.2,cost=1,cover=1.5,temperature=1,"
     "top_p=1,min_p=0,top_k=0"},
    {"deepconf-online", "DeepConf online as its authors ran it: all traces behind the warm-up side by side",
     "Fu et al. 2025 (2508.15260), deepconf's wrapper.py and example_online.py",
     "deepconf:n=256,warmup=16,keep=0.1,window=2048,consensus=0,width=240,top=20,temperature=0.6,top_p=0.95,"
     "min_p=0,top_k=0"},
    {"tq-ab-mcts-a", "TreeQuest's ABMCTSA with one action: use it with --select best",
     "Inoue et al. 2025 (2503.04412), TreeQuest",
     "ab-mcts:n=50,width=1,depth=1000,prior=gaussian,mean=0,kappa=1,nu=1,tau2=0.1"},
    {"monkeys", "Large Language Monkeys: repeated sampling", "Brown et al. 2024 (2407.21787)",
     "sample:temperature=0.6,top_p=0.95,min_p=0,top_k=0"},
    {0},
};
