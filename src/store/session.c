/* session.c - what the processes that worked on a run spent, and what of it in vain. */
#include "base/mem.h"
#include "store/internal.h"

struct waste_row {
    const char *what;
    size_t at; /* in struct waste */
};

static const struct waste_row waste_rows[] = {
    {"cancelled generated", offsetof(struct waste, cancelled.tokens_generated)},
    {"cancelled read", offsetof(struct waste, cancelled.tokens_read)},
    {"cancelled flops", offsetof(struct waste, cancelled.flops)},
    {"recomputed read", offsetof(struct waste, recomputed.tokens_read)},
    {"recomputed flops", offsetof(struct waste, recomputed.flops)},
    {"retried requests", offsetof(struct waste, n_retried)},
    {"retried tokens", offsetof(struct waste, tokens_retried)},
};

static bool exec_and_free(struct store *s, char *sql, struct err *e) {
    const bool done = store_exec(s, sql, "writing", e);
    sqlite3_free(sql);
    return done;
}

static bool put_waste(struct store *s, const struct waste *w, struct err *e) {
    for (size_t i = 0; i < ARRAY_LEN(waste_rows); i++) {
        const double more = *(const double *)((const char *)w + waste_rows[i].at);
        if (more <= 0) continue;
        if (!store_exec(s,
                        "CREATE TABLE IF NOT EXISTS waste(session INTEGER NOT NULL, what TEXT NOT NULL,"
                        " value REAL NOT NULL, PRIMARY KEY(session, what)) WITHOUT ROWID",
                        "writing", e) ||
            !exec_and_free(s,
                           sqlite3_mprintf("INSERT INTO waste VALUES(%lld,%Q,%.17g)"
                                           " ON CONFLICT DO UPDATE SET value=value+excluded.value",
                                           (long long)s->session, waste_rows[i].what, more),
                           e)) {
            return false;
        }
    }
    return true;
}

bool store_put_session(struct store *s, const struct store_session *t, struct err *e) {
    if (!store_begin(s, e)) return false;
    if (!s->session) {
        if (!store_exec(s, "INSERT INTO session DEFAULT VALUES", "writing", e)) return false;
        s->session = sqlite3_last_insert_rowid(s->db);
    }
    char *sql = sqlite3_mprintf(
        "UPDATE session SET seconds=seconds+%.17g, cpu_seconds=cpu_seconds+%.17g, n_jobs=n_jobs+%.17g,"
        " tokens_generated=tokens_generated+%.17g, tokens_read=tokens_read+%.17g WHERE ordinal=%lld",
        t->seconds, t->cpu_seconds, t->n_jobs, t->tokens_generated, t->tokens_read, (long long)s->session);
    return exec_and_free(s, sql, e) && put_waste(s, &t->waste, e);
}

/* ---- reading ---- */

static bool has_waste(struct store *s, bool *has, struct err *e) {
    sqlite3_stmt *q = NULL;
    const char *sql = "SELECT count(*) FROM sqlite_master WHERE name='waste'";
    if (sqlite3_prepare_v2(s->db, sql, -1, &q, NULL) != SQLITE_OK || sqlite3_step(q) != SQLITE_ROW) {
        sqlite3_finalize(q);
        return store_failed(s, e, "reading");
    }
    *has = sqlite3_column_int(q, 0) > 0;
    sqlite3_finalize(q);
    return true;
}

static bool sum_waste(struct store *s, struct waste *sum, struct err *e) {
    sqlite3_stmt *q = NULL;
    bool has = false;
    if (!has_waste(s, &has, e)) return false;
    if (!has) return true;
    if (sqlite3_prepare_v2(s->db, "SELECT total(value) FROM waste WHERE what=?", -1, &q, NULL) != SQLITE_OK)
        return store_failed(s, e, "reading");
    bool ok = true;
    for (size_t i = 0; ok && i < ARRAY_LEN(waste_rows); i++) {
        sqlite3_bind_text(q, 1, waste_rows[i].what, -1, SQLITE_STATIC);
        ok = sqlite3_step(q) == SQLITE_ROW || store_failed(s, e, "reading");
        if (ok) *(double *)((char *)sum + waste_rows[i].at) = sqlite3_column_double(q, 0);
        sqlite3_reset(q);
    }
    sqlite3_finalize(q);
    return ok;
}

bool store_sessions(struct store *s, struct store_session *sum, int *n_sessions, struct err *e) {
    sqlite3_stmt *q = NULL;
    const char *sql = "SELECT "
                      "total(seconds),total(cpu_seconds),total(n_jobs),total(tokens_generated),total(tokens_"
                      "read),count(*) FROM session";
    if (sqlite3_prepare_v2(s->db, sql, -1, &q, NULL) != SQLITE_OK || sqlite3_step(q) != SQLITE_ROW) {
        sqlite3_finalize(q);
        return store_failed(s, e, "reading");
    }
    *sum = (struct store_session){.seconds = sqlite3_column_double(q, 0),
                                  .cpu_seconds = sqlite3_column_double(q, 1),
                                  .n_jobs = sqlite3_column_double(q, 2),
                                  .tokens_generated = sqlite3_column_double(q, 3),
                                  .tokens_read = sqlite3_column_double(q, 4)};
    *n_sessions = sqlite3_column_int(q, 5);
    sqlite3_finalize(q);
    return sum_waste(s, &sum->waste, e);
}
