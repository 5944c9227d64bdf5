/* hub.h - models of a Hugging Face hub: where they lie on this machine, and how they come.
 *
 *     hf:OWNER/NAME               the repository's model: configuration, tokenizer, weights
 *     hf:OWNER/NAME@REVISION      of a branch, tag or commit other than main
 *     hf:OWNER/NAME#FILE.gguf     one GGUF file of it (with the other parts of its set)
 *
 * Each of these is one folder below $XDG_CACHE_HOME/brood/hf (~/.cache/brood/hf):
 *
 *     OWNER/NAME[@REVISION][#FILE]/          whole and verified, or not there at all; '/' is written %2F
 *         config.json ... brood-pull.json    the last says which commit, and every file's size and hash
 *     OWNER/.NAME[@REVISION][#FILE].part/    what is on its way; a pull that broke off goes on from it
 *
 * A file's bytes are hashed as they come and compared with what the hub's list of files says (SHA-256 of
 * large files, the git blob's SHA-1 of small ones). A connection that breaks is taken up again by a Range
 * request. When every file is right, the folder gets its place in one rename; if an older commit is there,
 * the two are exchanged.
 *
 * From the environment: HF_ENDPOINT (default https://huggingface.co); HF_TOKEN, or the token in the file
 * HF_TOKEN_PATH, $HF_HOME/token or ~/.cache/huggingface/token. The token goes to the endpoint's own scheme,
 * host and port alone, whatever redirects say, and into no message.
 *
 * Threads: any; two pulls of the same model at once are refused by a lock on the folder under way.
 */
#ifndef BROOD_HUB_H
#define BROOD_HUB_H

#include "base/err.h"

#define HUB_PREFIX "hf:"

/* Where the pulled model of a name (with "hf:") lies, for model_open: a folder, or a GGUF file. A name
 * without #FILE finds the repository's only pulled file where the model itself was not pulled. Owned. */
MUST char *hub_find(const char *name, struct err *e);

struct hub_progress {
    const char *file; /* the one at work; borrowed for the call */
    int i_file, n_files;
    double n_bytes, n_bytes_total; /* that are here, of all files */
    double n_bytes_came;           /* in this pull, over the network */
    const char *waits;             /* why it waits before it tries again; NULL: it does not */
};

struct hub_options {
    const char *file;    /* as if the name had #FILE; NULL: as the name says */
    double wait_seconds; /* before the first new try after a failure; doubled each time, 30 at most */
    bool (*progress)(void *ctx, const struct hub_progress *p); /* several times a second; false: stop */
    void *ctx;
};

struct hub_pulled {
    char *path;      /* as hub_find; owned */
    char *name;      /* "hf:..." that finds it; owned */
    char commit[65]; /* of the repository */
    int n_files;
    double n_bytes, n_bytes_came;
    bool was_here;  /* nothing had to be done */
    bool is_pickle; /* the weights are pytorch_model.bin: brood convert makes safetensors of them */
};

/* Leaves the model whole at its place or, if it fails, the place as it was and what came beside it. */
MUST bool hub_pull(const char *name, const struct hub_options *o, struct hub_pulled *out, struct err *e);
void hub_pulled_fini(struct hub_pulled *p);

#endif
