/* internal.h - what the files of the store room share. */
#ifndef BROOD_STORE_INTERNAL_H
#define BROOD_STORE_INTERNAL_H

#include <sqlite3.h>

#include "store/store.h"

enum store_put {
    STORE_PUT_PROBLEM,
    STORE_PUT_ROOTS,
    STORE_PUT_NODE,
    STORE_PUT_SCORE,
    STORE_PUT_SOLUTION,
    STORE_PUT_GRADE,
    STORE_PUT_CHOICE,
    STORE_PUT_DONE,
    STORE_PUT_CONFIG,
    STORE_PUT_VERDICT, /* verdict.c */
    STORE_PUTS,
};

struct store {
    char *path, *config;
    enum store_mode mode;
    int format;
    sqlite3 *db;
    int lock_fd; /* -1: none */
    bool in_transaction, has_verdicts;
    sqlite3_int64 session; /* row of this process, 0 until first written */
    sqlite3_stmt *put[STORE_PUTS];
};

bool store_failed(struct store *s, struct err *e,
                  const char *doing); /* sets e from SQLite's message; false */
bool store_exec(struct store *s, const char *sql, const char *doing, struct err *e);
bool store_begin(struct store *s, struct err *e); /* what is put goes into a transaction */
const char *store_finish_name(enum store_finish f);
enum store_finish store_finish_from(const char *name);
enum store_lead store_lead_from(const char *name); /* NULL: none */

#endif
