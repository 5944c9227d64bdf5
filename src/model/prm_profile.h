/* prm_profile.h - how a process reward model wants to read a problem and its steps, and where its scores
 * stand.
 *
 * A profile is data: chosen from the model's files (prm_profile.c has the table), given by name, or read from
 * a small file for a model that nobody here has seen. The reward room follows it without knowing model names:
 *
 *     opening   first step 1 closing   next step 2 closing   next step 3 closing ...
 *                                  ^                      ^                      ^      one score each
 *
 * A score is read at the last token of `closing`. With `aside`, closings are read on the side and are not
 * part of what follows: so models that score whole conversations score every beginning of one.
 *
 * Texts are literal but for {problem}, {chat} (the problem in the model's own chat format, the answer's turn
 * opened), {end} (what closes that turn), {user} and {answer} (what stands in that format before the words of
 * the user, and behind them up to where the answer begins), {step} (in a closing, the step again), {bos},
 * {bos?} (where the tokenizer has one), {token:<|im_end|>} (an added token by its text), {one:TEXT} (the one
 * token that this text is) and {{. What lies between two of them is encoded as one text; steps are stripped
 * of white space at both ends and encoded with `first` or `next` and the text of `closing`, so a step's ids
 * never depend on what follows it. What users and models wrote can never become an added token.
 *
 * A file is one JSON object:
 *
 *     {"name": "mine", "opening": "{bos}{problem}", "first": " ", "next": "\n", "closing": " ки",
 *      "aside": false, "one_line": false, "readout": "softmax", "good": "+", "bad": "-", "aggregate": "min"}
 *
 * readout "softmax" over the outputs good and bad, or "sigmoid" of good. For a language model they are
 * tokens, given by their text as it begins a text; for other heads numbers of outputs from 0, of which bad
 * may be a list: {"good": 2, "bad": [0, 1]}. Without them two outputs are (wrong, right), and one is a
 * logistic; without bad, all others are bad. Keys that are left out: first, next, closing "", aside and
 * one_line false, aggregate min. examples/prm has a whole one.
 *
 * A generative judge is a language model that is asked about each step and whose answer's first token is the
 * score: "Yes" against "No" (GenRM, 2408.15240, of whole solutions; there "Yes" against every token). Its
 * file has "prompt" in place of opening, closing and aside, or "prompt_file", a text file beside it: what the
 * user says in the model's chat format, with {problem} and, behind it, {steps}.
 *
 *     {"name": "judge", "prompt_file": "judge.txt", "good": "Yes", "bad": "No"}
 *
 * It is the profile {user}, the prompt up to {steps}, the steps (next "\n\n"), and aside the rest and
 * {answer}: so the problem and each step are read once, and each question once.
 *
 * Formats as the publishers' code has them: Math-Shepherd (2312.08935), RLHFlow's two
 * (github.com/RLHFlow/RLHF-Reward- Modeling), Skywork-o1-Open-PRM, Qwen2.5-Math-PRM (2501.07301), TRL's token
 * classification. We differ in that steps are stripped, empty ones dropped, and Skywork's lines within a step
 * stay one step (as compute-optimal-tts has it).
 */
#ifndef BROOD_PRM_PROFILE_H
#define BROOD_PRM_PROFILE_H

#include "base/err.h"
#include "base/str.h"
#include "model/tokenizer.h"

struct model;

enum prm_kind { PRM_NONE, PRM_STEPS };

enum prm_readout {
    PRM_SOFTMAX_GOOD, /* softmax over the listed outputs, first of them is "good" */
    PRM_SIGMOID,      /* logistic of the first listed output */
};

enum { PRM_OUTPUTS_MAX = 8 };

struct prm_profile {
    enum prm_kind kind;
    char name[40]; /* "token-classification", ... */
    char opening[4096], first[80], next[240], closing[2048];
    bool aside, one_line; /* one_line: line breaks within a step become spaces */
    enum prm_readout readout;
    int outputs[PRM_OUTPUTS_MAX]; /* head outputs to compute, good first */
    int n_outputs;
    char aggregate[8]; /* recommended: last, min, prod or mean */
    char why[600];     /* PRM_NONE, though the head scores something: why no profile fits; else "" */
};

/* Fills *p from the model's head, tokenizer and path; PRM_NONE where none is known to fit. */
void prm_profile_detect(const struct model *m, struct prm_profile *p);
/* The profile of this name, or in the file of this path; checked against the model. */
MUST bool prm_profile_named(const struct model *m, const char *name, struct prm_profile *p, struct err *e);
/* The same from a file's content; where: what messages call it, and the file that "prompt_file" lies beside.
 */
MUST bool prm_profile_parse(const struct model *m, struct str content, const char *where,
                            struct prm_profile *p, struct err *e);
const char *prm_profile_names(void); /* "math-shepherd, ...", static */

/* Appends the ids of the opening. */
MUST bool prm_profile_open(const struct model *m, const struct prm_profile *p, struct str problem,
                           struct tokens *out, struct err *e);
/* Appends the ids of a step with its closing. With `aside` these are parted: what the step has in common with
 * and without what follows, and to *closing what is read on the side behind that; *behind takes what stands
 * between there and the next step, to be put before its ids. So a step reads as in the text of a whole, where
 * the end of a step and the white space behind it are often one token. */
MUST bool prm_profile_step(const struct model *m, const struct prm_profile *p, struct str step, bool is_first,
                           struct tokens *out, struct tokens *closing, struct tokens *behind, struct err *e);

/* ---- for models whose tokenizer is elsewhere (behind a server) ---- */
struct prm_words {
    struct prm_profile profile; /* without outputs */
    bool whole;                 /* scores a conversation at its end, not every step of one text */
    char good[40], bad[40]; /* a language model's tokens by their text; "": it is none, or there is none */
};
/* The profile of this name, or in the file of this path. */
MUST bool prm_profile_words(const char *name, struct prm_words *out, struct err *e);
/* The name of the profile that suits a model of this name; NULL: not known. */
const char *prm_profile_suits(const char *model_name);

/* The parts of a profile's text: plain bytes, and fields without their braces. */
typedef bool prm_profile_part(void *ctx, struct str part, bool is_field, struct err *e);
MUST bool prm_profile_walk(const char *text, prm_profile_part *each, void *ctx, struct err *e);
bool prm_profile_unknown_field(struct str field, struct err *e); /* sets *e, false */

/* The score in [0,1] from the head outputs listed in the profile. */
double prm_profile_score(const struct prm_profile *p, const float *outputs);

#endif
