/* verdict.c - what a verifier said of solutions, and what asking it cost. Both tables are made when there is
 * something to put into them: a run without a verifier has neither. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "store/internal.h"

static bool make_tables(struct store *s, struct err *e) {
    if (s->has_verdicts) return true;
    if (!store_begin(s, e) ||
        !store_exec(s,
                    "CREATE TABLE IF NOT EXISTS verdict(problem INTEGER NOT NULL, path TEXT NOT NULL,"
                    " passed INTEGER, score REAL, feedback TEXT, PRIMARY KEY(problem, path)) WITHOUT ROWID;"
                    "CREATE TABLE IF NOT EXISTS verification(session INTEGER PRIMARY KEY, verdicts REAL NOT "
                    "NULL, equal REAL NOT NULL, executions REAL NOT NULL, seconds REAL NOT NULL,"
                    " cpu_seconds REAL NOT NULL)",
                    "writing", e))
        return false;
    s->has_verdicts = true;
    return true;
}

bool store_put_verdict(struct store *s, const struct store_verdict *v, struct err *e) {
    if (!make_tables(s, e)) return false;
    sqlite3_stmt **q = &s->put[STORE_PUT_VERDICT];
    if (!*q && sqlite3_prepare_v3(s->db, "INSERT OR REPLACE INTO verdict VALUES(?,?,?,?,?)", -1,
                                  SQLITE_PREPARE_PERSISTENT, q, NULL) != SQLITE_OK)
        return store_failed(s, e, "preparing to write");
    sqlite3_bind_int(*q, 1, v->problem);
    sqlite3_bind_text(*q, 2, v->path, -1, SQLITE_STATIC);
    if (v->passed >= 0) sqlite3_bind_int(*q, 3, v->passed);
    if (!isnan(v->score)) sqlite3_bind_double(*q, 4, v->score);
    if (v->feedback && v->feedback[0]) sqlite3_bind_text(*q, 5, v->feedback, -1, SQLITE_STATIC);
    const bool done = sqlite3_step(*q) == SQLITE_DONE || store_failed(s, e, "writing");
    sqlite3_reset(*q);
    sqlite3_clear_bindings(*q);
    return done;
}

bool store_put_verification(struct store *s, const struct verification *v, struct err *e) {
    if (v->n_verdicts <= 0) return true;
    ASSERT(s->session); /* store_put_session comes first */
    if (!make_tables(s, e)) return false;
    char *sql = sqlite3_mprintf(
        "INSERT INTO verification VALUES(%lld,%.17g,%.17g,%.17g,%.17g,%.17g) ON CONFLICT DO UPDATE SET "
        "verdicts=verdicts+excluded.verdicts, equal=equal+excluded.equal,"
        " executions=executions+excluded.executions, seconds=seconds+excluded.seconds,"
        " cpu_seconds=cpu_seconds+excluded.cpu_seconds",
        (long long)s->session, v->n_verdicts, v->n_equal, v->n_executions, v->seconds, v->cpu_seconds);
    const bool done = store_exec(s, sql, "writing", e);
    sqlite3_free(sql);
    return done;
}

/* ---- reading ---- */

static bool has_table(struct store *s, const char *name, bool *has, struct err *e) {
    sqlite3_stmt *q = NULL;
    if (sqlite3_prepare_v2(s->db, "SELECT count(*) FROM sqlite_master WHERE name=?", -1, &q, NULL) !=
        SQLITE_OK)
        return store_failed(s, e, "reading");
    sqlite3_bind_text(q, 1, name, -1, SQLITE_STATIC);
    const bool done = sqlite3_step(q) == SQLITE_ROW || store_failed(s, e, "reading");
    *has = done && sqlite3_column_int(q, 0) > 0;
    sqlite3_finalize(q);
    return done;
}

static bool has_verdicts(struct store *s, bool *has, struct err *e) {
    *has = s->has_verdicts;
    if (*has) return true;
    if (!has_table(s, "verdict", has, e)) return false;
    s->has_verdicts = *has;
    return true;
}

bool store_each_verdict(struct store *s, int problem, store_on_verdict *on, void *ctx, struct err *e) {
    sqlite3_stmt *q = NULL;
    bool has;
    if (!has_verdicts(s, &has, e)) return false;
    if (!has) return true;
    if (sqlite3_prepare_v2(s->db,
                           "SELECT path,passed,score,feedback FROM verdict WHERE problem=?"
                           " ORDER BY path COLLATE brood_path",
                           -1, &q, NULL) != SQLITE_OK)
        return store_failed(s, e, "reading");
    sqlite3_bind_int(q, 1, problem);
    int code;
    while ((code = sqlite3_step(q)) == SQLITE_ROW) {
        const bool knows = sqlite3_column_type(q, 1) != SQLITE_NULL;
        const struct store_verdict v = {
            .problem = problem,
            .path = (const char *)sqlite3_column_text(q, 0),
            .passed = knows ? sqlite3_column_int(q, 1) != 0 : -1,
            .score = sqlite3_column_type(q, 2) == SQLITE_NULL ? (double)NAN : sqlite3_column_double(q, 2),
            .feedback =
                sqlite3_column_type(q, 3) == SQLITE_NULL ? "" : (const char *)sqlite3_column_text(q, 3),
        };
        if (!on(ctx, &v)) break;
    }
    const bool done = code == SQLITE_DONE || code == SQLITE_ROW || store_failed(s, e, "reading");
    sqlite3_finalize(q);
    return done;
}

bool store_verifications(struct store *s, struct verification *sum, struct err *e) {
    sqlite3_stmt *q = NULL;
    bool has;
    *sum = (struct verification){0};
    if (!has_verdicts(s, &has, e)) return false;
    if (!has) return true;
    if (sqlite3_prepare_v2(s->db,
                           "SELECT total(verdicts),total(equal),total(executions),total(seconds),"
                           "total(cpu_seconds) FROM verification",
                           -1, &q, NULL) != SQLITE_OK ||
        sqlite3_step(q) != SQLITE_ROW) {
        sqlite3_finalize(q);
        return store_failed(s, e, "reading");
    }
    *sum = (struct verification){sqlite3_column_double(q, 0), sqlite3_column_double(q, 1),
                                 sqlite3_column_double(q, 2), sqlite3_column_double(q, 3),
                                 sqlite3_column_double(q, 4)};
    sqlite3_finalize(q);
    return true;
}
