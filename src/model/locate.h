/* locate.h - what lies at a path: a model, or what is taken for one, explained in one line.
 *
 * A file is GGUF by its first bytes, whatever its name (other stores have none, Ollama for one); one named
 * *.gguf is read as GGUF, to be refused there with what is wrong with it.
 */
#ifndef BROOD_LOCATE_H
#define BROOD_LOCATE_H

#include "base/err.h"

bool locate_is_gguf(const char *path); /* a file, by its name or its bytes */

/* Sets what is wrong with a path that is neither a folder nor a GGUF file; false. */
bool locate_refuse_file(const char *path, struct err *e);
/* Whether the folder has config.json, or why not and where a model may lie. */
MUST bool locate_check_folder(const char *dir, struct err *e);
/* Sets which other weights lie in a folder without model.safetensors, and what to do; false. */
bool locate_refuse_weights(const char *dir, struct err *e);

/* False with a message if this name in a folder is a link to a file that is not there. */
MUST bool locate_check_link(const char *dir, const char *name, struct err *e);

#endif
