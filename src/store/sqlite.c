/* sqlite.c - the run store on SQLite (write-ahead log, one transaction a flush). */
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/mem.h"
#include "store/internal.h"

enum { STORE_FORMAT = 2, STORE_APPLICATION_ID = 0x42524f44 /* "BROD" */ };

static const char schema[] = "CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"
                             "CREATE TABLE problem(ordinal INTEGER PRIMARY KEY, id TEXT NOT NULL, text TEXT "
                             "NOT NULL, level INTEGER NOT NULL, answer TEXT,"
                             " done INTEGER NOT NULL DEFAULT 0, policy_read REAL NOT NULL DEFAULT 0, "
                             "policy_flops REAL NOT NULL DEFAULT 0,"
                             " reward_read REAL NOT NULL DEFAULT 0, reward_flops REAL NOT NULL DEFAULT 0);"
                             "CREATE TABLE node(problem INTEGER NOT NULL, path TEXT NOT NULL, text TEXT NOT "
                             "NULL, tokens BLOB, n_tokens INTEGER NOT NULL,"
                             " logprob REAL, finish TEXT NOT NULL, tokens_generated REAL NOT NULL, "
                             "tokens_read REAL NOT NULL, flops REAL NOT NULL, why TEXT, "
                             "lead TEXT, n_lead_bytes INTEGER NOT NULL DEFAULT 0, "
                             "n_lead_tokens INTEGER NOT NULL DEFAULT 0, confidences BLOB, verdict INTEGER,"
                             " PRIMARY KEY(problem, path)) WITHOUT ROWID;"
                             "CREATE TABLE score(problem INTEGER NOT NULL, path TEXT NOT NULL, rewards BLOB, "
                             "tokens_read REAL NOT NULL, flops REAL NOT NULL,"
                             " PRIMARY KEY(problem, path)) WITHOUT ROWID;"
                             "CREATE TABLE solution(problem INTEGER NOT NULL, path TEXT NOT NULL, answer "
                             "TEXT, complete INTEGER NOT NULL,"
                             " PRIMARY KEY(problem, path)) WITHOUT ROWID;"
                             "CREATE TABLE grade(problem INTEGER NOT NULL, path TEXT NOT NULL, right INTEGER "
                             "NOT NULL, PRIMARY KEY(problem, path)) WITHOUT ROWID;"
                             "CREATE TABLE choice(problem INTEGER NOT NULL, rule TEXT NOT NULL, aggregate "
                             "TEXT NOT NULL, path TEXT, answer TEXT,"
                             " n_solutions INTEGER NOT NULL, n_classes INTEGER NOT NULL, n_votes INTEGER NOT "
                             "NULL, score REAL, margin REAL,"
                             " PRIMARY KEY(problem, rule, aggregate)) WITHOUT ROWID;"
                             "CREATE TABLE session(ordinal INTEGER PRIMARY KEY, started TEXT NOT NULL "
                             "DEFAULT (datetime('now')), seconds REAL NOT NULL DEFAULT 0,"
                             " cpu_seconds REAL NOT NULL DEFAULT 0, n_jobs REAL NOT NULL DEFAULT 0, "
                             "tokens_generated REAL NOT NULL DEFAULT 0,"
                             " tokens_read REAL NOT NULL DEFAULT 0);";

/* A file of format 1 as format 2. */
static const char from_format_1[] = "ALTER TABLE node ADD COLUMN lead TEXT;"
                                    "ALTER TABLE node ADD COLUMN n_lead_bytes INTEGER NOT NULL DEFAULT 0;"
                                    "ALTER TABLE node ADD COLUMN n_lead_tokens INTEGER NOT NULL DEFAULT 0;"
                                    "ALTER TABLE node ADD COLUMN confidences BLOB;"
                                    "ALTER TABLE node ADD COLUMN verdict INTEGER;"
                                    "PRAGMA user_version=2;";

bool store_failed(struct store *s, struct err *e, const char *doing) {
    return err_set(
        e, ERR_SERVICE,
        "%s: %s while %s: free disk space or check the file with sqlite3 \"PRAGMA integrity_check\"", s->path,
        sqlite3_errmsg(s->db), doing);
}

bool store_exec(struct store *s, const char *sql, const char *doing, struct err *e) {
    return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK || store_failed(s, e, doing);
}

/* Paths compare by their numbers: "0.2" before "0.10", a parent before its children. */
static int compare_paths(void *ctx, int n_a, const void *a, int n_b, const void *b) {
    UNUSED(ctx);
    const char *p = a, *q = b, *p_end = p + n_a, *q_end = q + n_b;
    while (p < p_end && q < q_end) {
        unsigned long x = 0, y = 0;
        while (p < p_end && *p != '.') x = x * 10 + (unsigned long)(*p++ - '0');
        while (q < q_end && *q != '.') y = y * 10 + (unsigned long)(*q++ - '0');
        if (x != y) return x < y ? -1 : 1;
        if (p < p_end) p++;
        if (q < q_end) q++;
    }
    return (p < p_end) - (q < q_end);
}

static bool store_lock(struct store *s, struct err *e) {
    /* Taken on a descriptor that lives until after sqlite3_close: closing any descriptor of the file earlier
     * would drop SQLite's own locks. */
    s->lock_fd = open(s->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (s->lock_fd < 0) return err_set(e, ERR_INPUT, "%s: cannot write: %s", s->path, strerror(errno));
    if (flock(s->lock_fd, LOCK_EX | LOCK_NB) == 0) return true;
    return err_set(e, ERR_INPUT,
                   "%s: another process is writing this run: wait for it, or name another file with --run",
                   s->path);
}

static bool read_pragma_int(struct store *s, const char *sql, int *out, struct err *e) {
    sqlite3_stmt *q = NULL;
    if (sqlite3_prepare_v2(s->db, sql, -1, &q, NULL) != SQLITE_OK || sqlite3_step(q) != SQLITE_ROW) {
        const int code = sqlite3_errcode(s->db);
        sqlite3_finalize(q);
        if (code == SQLITE_NOTADB)
            return err_set(e, ERR_INPUT, "%s: not a run (not an SQLite file)", s->path);
        return store_failed(s, e, "opening it");
    }
    *out = sqlite3_column_int(q, 0);
    sqlite3_finalize(q);
    return true;
}

static bool store_check_format(struct store *s, struct err *e) {
    int application = 0, format = 0, n_tables = 0;
    if (!read_pragma_int(s, "PRAGMA application_id", &application, e) ||
        !read_pragma_int(s, "PRAGMA user_version", &format, e) ||
        !read_pragma_int(s, "SELECT count(*) FROM sqlite_master", &n_tables, e)) {
        return false;
    }
    if (n_tables == 0 && s->mode == STORE_WRITE) {
        char sql[160];
        snprintf(sql, sizeof sql, "PRAGMA application_id=%d; PRAGMA user_version=%d;", STORE_APPLICATION_ID,
                 STORE_FORMAT);
        s->format = STORE_FORMAT;
        return store_exec(s, "BEGIN IMMEDIATE", "creating it", e) &&
               store_exec(s, schema, "creating it", e) && store_exec(s, sql, "creating it", e) &&
               store_exec(s, "COMMIT", "creating it", e);
    }
    if (application != STORE_APPLICATION_ID)
        return err_set(e, ERR_INPUT, "%s: an SQLite file, but not a run of Brood", s->path);
    if (format > STORE_FORMAT) {
        return err_set(e, ERR_INPUT,
                       "%s: written by a newer Brood (format %d, this one reads %d): update Brood", s->path,
                       format, STORE_FORMAT);
    }
    s->format = format;
    if (s->mode == STORE_READ || format == STORE_FORMAT) return true;
    s->format = STORE_FORMAT;
    return store_exec(s, "BEGIN IMMEDIATE", "bringing it up to date", e) &&
           store_exec(s, from_format_1, "bringing it up to date", e) &&
           store_exec(s, "COMMIT", "bringing it up to date", e);
}

static bool store_load_config(struct store *s, struct err *e) {
    sqlite3_stmt *q = NULL;
    if (sqlite3_prepare_v2(s->db, "SELECT value FROM meta WHERE key='config'", -1, &q, NULL) != SQLITE_OK) {
        return store_failed(s, e, "reading its configuration");
    }
    if (sqlite3_step(q) == SQLITE_ROW) s->config = mem_strdup((const char *)sqlite3_column_text(q, 0));
    sqlite3_finalize(q);
    return true;
}

struct store *store_open(const char *path, enum store_mode mode, struct err *e) {
    struct store *s = mem_zalloc(1, sizeof *s);
    s->path = mem_strdup(path);
    s->mode = mode;
    s->lock_fd = -1;
    if (mode == STORE_READ && access(path, R_OK) != 0) {
        err_set(e, ERR_INPUT, "%s: %s", path, errno == ENOENT ? "no such run" : strerror(errno));
        goto failed;
    }
    if (mode == STORE_WRITE && strcmp(path, ":memory:") != 0 && !store_lock(s, e)) goto failed;
    const int flags = mode == STORE_READ ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    if (sqlite3_open_v2(path, &s->db, flags | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK) {
        err_set(e, ERR_INPUT, "%s: cannot open: %s", path, s->db ? sqlite3_errmsg(s->db) : "out of memory");
        goto failed;
    }
    sqlite3_busy_timeout(s->db, 10000);
    sqlite3_create_collation(s->db, "brood_path", SQLITE_UTF8, NULL, compare_paths);
    if (!store_check_format(s, e)) goto failed;
    /* NORMAL in WAL mode: a killed process loses nothing committed; a power cut may lose the last commits,
     * never the file. */
    if (mode == STORE_WRITE &&
        !store_exec(s, "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;", "opening it", e))
        goto failed;
    if (!store_load_config(s, e)) goto failed;
    return s;
failed:;
    struct err ignored;
    if (!store_close(s, &ignored)) { /* the first error is the one that counts */
    }
    return NULL;
}

bool store_close(struct store *s, struct err *e) {
    if (!s) return true;
    const bool flushed = !s->in_transaction || store_flush(s, e);
    for (size_t i = 0; i < ARRAY_LEN(s->put); i++) sqlite3_finalize(s->put[i]);
    sqlite3_close(s->db);
    if (s->lock_fd >= 0) close(s->lock_fd);
    free(s->config);
    free(s->path);
    free(s);
    return flushed;
}

const char *store_path(const struct store *s) {
    return s->path;
}

const char *store_config(const struct store *s) {
    return s->config;
}

/* ---- writing ---- */

bool store_begin(struct store *s, struct err *e) {
    ASSERT(s->mode == STORE_WRITE);
    if (s->in_transaction) return true;
    if (!store_exec(s, "BEGIN IMMEDIATE", "beginning to write", e)) return false;
    s->in_transaction = true;
    return true;
}

bool store_flush(struct store *s, struct err *e) {
    if (!s->in_transaction) return true;
    if (!store_exec(s, "COMMIT", "writing", e)) return false;
    s->in_transaction = false;
    return true;
}

static const char *const put_sql[STORE_PUTS] = {
    [STORE_PUT_PROBLEM] = "INSERT OR IGNORE INTO problem(ordinal,id,text,level,answer) VALUES(?,?,?,?,?)",
    [STORE_PUT_ROOTS] =
        "UPDATE problem SET policy_read=?2,policy_flops=?3,reward_read=?4,reward_flops=?5 WHERE ordinal=?1",
    [STORE_PUT_NODE] = "INSERT INTO node VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
    [STORE_PUT_SCORE] = "INSERT OR REPLACE INTO score VALUES(?,?,?,?,?)",
    [STORE_PUT_SOLUTION] = "INSERT OR REPLACE INTO solution VALUES(?,?,?,?)",
    [STORE_PUT_GRADE] = "INSERT OR REPLACE INTO grade VALUES(?,?,?)",
    [STORE_PUT_CHOICE] = "INSERT OR REPLACE INTO choice VALUES(?,?,?,?,?,?,?,?,?,?)",
    [STORE_PUT_DONE] = "UPDATE problem SET done=1 WHERE ordinal=?1",
    [STORE_PUT_CONFIG] = "INSERT INTO meta VALUES('config',?)",
};

static sqlite3_stmt *put_begin(struct store *s, enum store_put which, struct err *e) {
    if (!store_begin(s, e)) return NULL;
    if (!s->put[which] && sqlite3_prepare_v3(s->db, put_sql[which], -1, SQLITE_PREPARE_PERSISTENT,
                                             &s->put[which], NULL) != SQLITE_OK) {
        store_failed(s, e, "preparing to write");
        return NULL;
    }
    return s->put[which];
}

static bool put_end(struct store *s, sqlite3_stmt *q, struct err *e) {
    const int code = sqlite3_step(q);
    const bool done = code == SQLITE_DONE || store_failed(s, e, "writing");
    sqlite3_reset(q);
    sqlite3_clear_bindings(q);
    return done;
}

static void bind_text(sqlite3_stmt *q, int i, const char *text) {
    if (text) sqlite3_bind_text(q, i, text, -1, SQLITE_STATIC);
}

static void bind_real(sqlite3_stmt *q, int i, double x) /* NAN stays NULL */
{
    if (!isnan(x)) sqlite3_bind_double(q, i, x);
}

bool store_set_config(struct store *s, const char *json, struct err *e) {
    ASSERT(!s->config);
    sqlite3_stmt *q = put_begin(s, STORE_PUT_CONFIG, e);
    if (!q) return false;
    bind_text(q, 1, json);
    if (!put_end(s, q, e)) return false;
    s->config = mem_strdup(json);
    return store_flush(s, e);
}

bool store_put_problem(struct store *s, const struct store_problem *p, struct err *e) {
    sqlite3_stmt *q = put_begin(s, STORE_PUT_PROBLEM, e);
    if (!q) return false;
    sqlite3_bind_int(q, 1, p->ordinal);
    bind_text(q, 2, p->id);
    bind_text(q, 3, p->text);
    sqlite3_bind_int(q, 4, p->level);
    bind_text(q, 5, p->answer);
    return put_end(s, q, e);
}

bool store_put_root_costs(struct store *s, int problem, const struct cost *policy, const struct cost *reward,
                          struct err *e) {
    sqlite3_stmt *q = put_begin(s, STORE_PUT_ROOTS, e);
    if (!q) return false;
    sqlite3_bind_int(q, 1, problem);
    sqlite3_bind_double(q, 2, policy->tokens_read);
    sqlite3_bind_double(q, 3, policy->flops);
    sqlite3_bind_double(q, 4, reward->tokens_read);
    sqlite3_bind_double(q, 5, reward->flops);
    return put_end(s, q, e);
}

bool store_put_node(struct store *s, const struct store_node *n, struct err *e) {
    sqlite3_stmt *q = put_begin(s, STORE_PUT_NODE, e);
    if (!q) return false;
    sqlite3_bind_int(q, 1, n->problem);
    bind_text(q, 2, n->path);
    sqlite3_bind_text64(q, 3, n->text.ptr ? n->text.ptr : "", n->text.len, SQLITE_STATIC, SQLITE_UTF8);
    if (n->tokens)
        sqlite3_bind_blob64(q, 4, n->tokens, (sqlite3_uint64)n->n_tokens_known * sizeof *n->tokens,
                            SQLITE_STATIC);
    sqlite3_bind_int(q, 5, n->n_tokens);
    bind_real(q, 6, n->logprob);
    bind_text(q, 7, store_finish_name(n->finish));
    sqlite3_bind_double(q, 8, n->cost.tokens_generated);
    sqlite3_bind_double(q, 9, n->cost.tokens_read);
    sqlite3_bind_double(q, 10, n->cost.flops);
    bind_text(q, 11, n->why);
    if (n->lead != STORE_LEAD_NONE) bind_text(q, 12, store_lead_name(n->lead));
    sqlite3_bind_int64(q, 13, (sqlite3_int64)n->n_lead_bytes);
    sqlite3_bind_int(q, 14, n->n_lead_tokens);
    if (n->n_confidences > 0)
        sqlite3_bind_blob64(q, 15, n->confidences, (sqlite3_uint64)n->n_confidences * sizeof *n->confidences,
                            SQLITE_STATIC);
    if (n->verdict >= 0) sqlite3_bind_int(q, 16, n->verdict);
    return put_end(s, q, e);
}

bool store_put_score(struct store *s, const struct store_score *c, struct err *e) {
    sqlite3_stmt *q = put_begin(s, STORE_PUT_SCORE, e);
    if (!q) return false;
    sqlite3_bind_int(q, 1, c->problem);
    bind_text(q, 2, c->path);
    if (c->n_rewards == 0) sqlite3_bind_zeroblob(q, 3, 0);
    if (c->n_rewards > 0)
        sqlite3_bind_blob64(q, 3, c->rewards, (sqlite3_uint64)c->n_rewards * sizeof *c->rewards,
                            SQLITE_STATIC);
    sqlite3_bind_double(q, 4, c->cost.tokens_read);
    sqlite3_bind_double(q, 5, c->cost.flops);
    return put_end(s, q, e);
}

bool store_put_solution(struct store *s, const struct store_solution *v, struct err *e) {
    sqlite3_stmt *q = put_begin(s, STORE_PUT_SOLUTION, e);
    if (!q) return false;
    sqlite3_bind_int(q, 1, v->problem);
    bind_text(q, 2, v->path);
    bind_text(q, 3, v->answer);
    sqlite3_bind_int(q, 4, v->complete);
    if (!put_end(s, q, e)) return false;
    if (v->right < 0) return true;
    q = put_begin(s, STORE_PUT_GRADE, e);
    if (!q) return false;
    sqlite3_bind_int(q, 1, v->problem);
    bind_text(q, 2, v->path);
    sqlite3_bind_int(q, 3, v->right);
    return put_end(s, q, e);
}

bool store_put_choice(struct store *s, const struct store_choice *c, struct err *e) {
    sqlite3_stmt *q = put_begin(s, STORE_PUT_CHOICE, e);
    if (!q) return false;
    sqlite3_bind_int(q, 1, c->problem);
    bind_text(q, 2, c->rule);
    bind_text(q, 3, c->aggregate);
    bind_text(q, 4, c->path);
    bind_text(q, 5, c->answer);
    sqlite3_bind_int(q, 6, c->n_solutions);
    sqlite3_bind_int(q, 7, c->n_classes);
    sqlite3_bind_int(q, 8, c->n_votes);
    bind_real(q, 9, c->score);
    bind_real(q, 10, c->margin);
    return put_end(s, q, e);
}

bool store_put_done(struct store *s, int problem, struct err *e) {
    sqlite3_stmt *q = put_begin(s, STORE_PUT_DONE, e);
    if (!q) return false;
    sqlite3_bind_int(q, 1, problem);
    return put_end(s, q, e);
}
