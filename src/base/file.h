/* file.h - whole files, mapped files, lines, atomic replacement.
 *
 * Errors name the path and say why. file_read and file_lines read gzip files as their content, whatever their
 * name (they are known by their first two bytes). file_map gives the bytes as they are.
 */
#ifndef BROOD_FILE_H
#define BROOD_FILE_H

#include "base/err.h"
#include "base/str.h"

/* Reads the whole file ("-" is standard input) into *out, replacing what was there; refuses more than
 * n_bytes_max. Owned by the caller (buf_free); empty on failure. */
MUST bool file_read(const char *path, size_t n_bytes_max, struct buf *out, struct err *e);

/* Writes a temporary file beside path, syncs, renames: readers see the old or the new content, never half.
 * Permissions of an old file are kept and a link is followed; devices and pipes are written directly. */
MUST bool file_write_atomic(const char *path, struct str content, struct err *e);

struct file_map {
    const unsigned char *ptr; /* read-only; NULL for an empty file */
    size_t n_bytes;
    uint64_t identity; /* of device, inode, size and times: another file, or one that was written to, has
                          another */
};
MUST bool file_map(const char *path, struct file_map *out, struct err *e);
void file_unmap(struct file_map *m);
/* These bytes of a mapping have been used: they may leave memory, and are read from disk again when needed.
 */
void file_map_used(const struct file_map *m, const void *ptr, size_t n_bytes);

/* False, with what to do, if the content is not the file but a Git LFS pointer to it: what a clone without
 * LFS leaves. */
MUST bool file_check_pointer(struct str content, const char *path, struct err *e);

MUST bool file_write_all(int fd, struct str content); /* false: errno says why */
bool file_exists(const char *path);
bool file_is_dir(const char *path);
char *file_join(const char *dir, const char *name); /* owned */

/* Lines of a text file, without their newline (a final CR is dropped too). A line longer than FILE_LINE_MAX
 * bytes is an error. Where the file is one JSON list, its elements stand for lines, without line breaks, and
 * are counted as such. What people give in place of lines of JSON (Parquet, archives, web pages, Git LFS
 * pointers) is refused by its name. */
struct file_lines;
MUST struct file_lines *file_lines_open(const char *path, struct err *e); /* "-" is standard input */
/* Returns 1 with *line borrowed until the next call, 0 at the end, -1 on error. */
MUST int file_lines_next(struct file_lines *f, struct str *line, struct err *e);
size_t file_lines_number(const struct file_lines *f); /* of the line last returned, from 1 */
void file_lines_close(struct file_lines *f);
/* Calls take(ctx, line, "path:number") for every line that is not blank, until one returns false. */
MUST bool file_lines_each(const char *path,
                          bool (*take)(void *ctx, struct str line, const char *where, struct err *e),
                          void *ctx, struct err *e);

#define FILE_LINE_MAX ((size_t)64 << 20)

#endif
