/* template.h - chat templates interpreted: the part of Jinja that chat templates are written in, as Hugging
 * Face sets it (trim_blocks, lstrip_blocks, break and continue, an immutable sandbox).
 *
 *     statements   set, if, for, macro, filter, with, generation, break, continue, raw
 *     values       texts, whole numbers, true, false, none, undefined, lists, tuples, objects, namespaces
 *     operators    all but division with a remainder, and numbers with a fraction
 *     functions    range, namespace, dict, raise_exception, strftime_now
 *     filters, tests and methods: the tables in template_filter.c, template_test.c and template_method.c
 *
 * What is not understood is an error that names the construct and its line; nothing is passed over. Every
 * byte of a text knows whether the template wrote it or somebody else: what users and models write stays
 * plain text, whatever the template does with it (tokenizer_encode_marked).
 *
 * Depth, steps, memory and the result are limited, so that any template on any conversation ends.
 * Threads: a template is read-only once made; rendering may happen on any thread.
 */
#ifndef BROOD_TEMPLATE_H
#define BROOD_TEMPLATE_H

#include "base/err.h"
#include "base/str.h"
#include "model/chat.h"

struct template;

/* NULL if it cannot be read. The source is borrowed until template_free. */
MUST struct template *template_new(struct str source, struct err *e);
void template_free(struct template *t);

struct template_input {
    const struct chat_message *messages;
    size_t n_messages;
    bool open_answer;              /* add_generation_prompt */
    struct str bos, eos, unk, pad; /* ptr NULL: not defined */
};

struct template_output {
    struct buf text;
    struct buf marks; /* a byte a byte of text: 1 where the template wrote it, 0 where others did */
};
void template_output_fini(struct template_output *o);

/* Replaces what is in *out; on failure it is empty. */
MUST bool template_render(const struct template *t, const struct template_input *in,
                          struct template_output *out, struct err *e);

#endif
