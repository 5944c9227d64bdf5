/* worker.c - see worker.h. */
#include "verify/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "verify/isolate.h"

enum { MESSAGE_MAX = 32 << 20, PROBE_MAX = 1 << 16 };

/* ---- Python ---- */

static const char probe[] =
    "import json, os, sys\n"
    "need = None\n"
    "try:\n"
    "    import ctypes, resource\n"
    "    os.pidfd_open\n"
    "except (ImportError, AttributeError) as e:\n"
    "    need = str(e)\n"
    "if sys.version_info < (3, 9): need = 'version 3.9'\n"
    "print(json.dumps({'path': os.path.realpath(sys.executable), 'need': need,\n"
    "    'version': '%d.%d.%d' % sys.version_info[:3],\n"
    "    'folders': sorted({os.path.realpath(p) for p in (sys.base_prefix, sys.base_exec_prefix)})}))\n";

static bool read_all(int fd, struct buf *out) {
    char part[4096];
    ssize_t n;
    while ((n = read(fd, part, sizeof part)) > 0 || (n < 0 && errno == EINTR)) {
        if (n > 0) buf_add(out, part, (size_t)n);
        if (out->len > PROBE_MAX) return false;
    }
    return n == 0;
}

static bool run_probe(const char *name, struct buf *out) {
    extern char **environ;
    char *const argv[] = {(char *)name, "-I", "-S", "-c", (char *)probe, NULL};
    int ends[2], status = -1;
    pid_t pid;
    posix_spawn_file_actions_t actions;
    if (pipe2(ends, O_CLOEXEC) != 0) return false;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    bool ok = posix_spawnp(&pid, name, &actions, NULL, argv, environ) == 0;
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    ok = ok && read_all(ends[0], out);
    close(ends[0]);
    if (ok) ok = waitpid(pid, &status, 0) == pid && status == 0;
    return ok;
}

static bool take_folders(const json_t *folders, struct python *out) {
    size_t i, n = 0;
    json_t *folder;
    json_array_foreach(folders, i, folder) {
        const char *path = json_string_value(folder);
        if (!path || path[0] != '/' || !path[1] || n + 1 >= ARRAY_LEN(out->folders)) return false;
        out->folders[n++] = mem_strdup(path);
    }
    return n > 0;
}

bool python_find(const char *name, struct python *out, struct err *e) {
    struct buf text = {0};
    const char *path, *version, *need;
    json_t *o = NULL;
    *out = (struct python){0};
    if (!name) name = "python3";
    bool ok = run_probe(name, &text);
    if (!ok)
        err_set(e, ERR_INPUT,
                "%s: cannot be run: Python programs need Python 3.9 or later (package python3, or name one "
                "with --python)",
                name);
    if (ok)
        ok = (o = json_parse(buf_str(&text), name, e)) && json_want_string(o, "path", &path, name, e) &&
             json_want_string(o, "version", &version, name, e) &&
             json_get_string(o, "need", NULL, &need, name, e);
    if (ok && need)
        ok = err_set(e, ERR_INPUT, "%s: this Python lacks what the sandbox needs: %s", name, need);
    if (ok && !take_folders(json_object_get(o, "folders"), out))
        ok = err_set(e, ERR_INPUT, "%s: cannot tell which folders this Python lies in", name);
    if (ok) {
        out->path = mem_strdup(path);
        out->version = mem_strdup(version);
    } else {
        python_free(out);
    }
    json_decref(o);
    buf_free(&text);
    return ok;
}

void python_free(struct python *p) {
    free(p->path);
    free(p->version);
    for (size_t i = 0; i < ARRAY_LEN(p->folders); i++) free(p->folders[i]);
    *p = (struct python){0};
}

/* ---- the process ---- */

static bool is_below(const char *path, const char *folder) {
    const size_t n = strlen(folder);
    return strncmp(path, folder, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

static int list_paths(const struct python *python, const char *readable,
                      const char *paths[ISOLATE_PATHS_MAX]) {
    static const char *const system[] = {"/usr", "/lib", "/lib64", "/bin", "/etc/ld.so.cache"};
    int n = 0;
    for (size_t i = 0; i < ARRAY_LEN(system); i++) {
        if (access(system[i], F_OK) == 0) paths[n++] = system[i];
    }
    for (int i = 0; python->folders[i]; i++) {
        bool has = false;
        for (int j = 0; j < n; j++) has |= is_below(python->folders[i], paths[j]);
        if (!has) paths[n++] = python->folders[i];
    }
    if (readable) paths[n++] = readable;
    paths[n] = NULL;
    return n;
}

static json_t *describe_plan(const struct worker_plan *plan, const char *const *paths) {
    json_t *readable = json_array();
    for (int i = 0; paths[i]; i++) json_array_append_new(readable, json_string(paths[i]));
    const struct str code = worker_keeper();
    char *keeper = isolate_hex(code.ptr, code.len);
    json_t *o =
        json_pack("{s:b, s:s, s:s, s:s, s:s*, s:s*, s:s, s:o}", "namespaces",
                  plan->level == VERIFY_NAMESPACES, "filter_keeper", plan->filter_keeper, "filter_compiler",
                  plan->filter_compiler, "filter", plan->filter, "filter_command", plan->filter_command,
                  "filter_processes", plan->filter_processes, "keeper", keeper, "readable", readable);
    free(keeper);
    ASSERT(o);
    return o;
}

static bool make_lines(struct worker *w, int theirs[2], int *ends, struct err *e) {
    int *const ours[] = {&w->fds[0], &w->fds[1], &w->ends}, *const far[] = {&theirs[0], &theirs[1], ends};
    int pair[2];
    for (int i = 0; i < WORKER_LINES + 1; i++) {
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
            for (int j = 0; j < i; j++) close(*far[j]);
            return err_set(e, ERR_SERVICE, "sandbox: cannot make a line: %s", strerror(errno));
        }
        const struct timeval patience = {.tv_sec = 10};
        setsockopt(pair[0], SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
        *ours[i] = pair[0];
        *far[i] = pair[1];
    }
    return true;
}

bool worker_start(struct worker *w, const struct worker_plan *plan, struct err *e) {
    /* The C library's cache of free memory is written to by every program: a page of its own, far from
     * others. */
    struct isolate_plan isolate = {.namespaces = plan->level == VERIFY_NAMESPACES,
                                   .see_itself = true,
                                   .setting = "GLIBC_TUNABLES=glibc.malloc.tcache_count=0"};
    *w = (struct worker){.fds = {-1, -1}, .ends = -1};
    int ends = -1;
    if (!make_lines(w, isolate.lines, &ends, e)) {
        worker_stop(w);
        return false;
    }
    char *script = str_dup(worker_script());
    char *const argv[] = {plan->python.path, "-S", "-s", "-B", "-c", script, NULL};
    list_paths(&plan->python, plan->readable, isolate.paths);
    isolate.argv = argv;
    const pid_t pid = isolate_start(&isolate, e);
    free(script);
    close(isolate.lines[0]);
    close(isolate.lines[1]);
    bool ok = pid > 0;
    w->pid = ok ? pid : 0;
    if (ok) {
        json_t *config = describe_plan(plan, isolate.paths);
        /* A worker that has already ended says why when it is listened to. */
        worker_send(w, WORKER_KEEPER, config, ends);
        json_decref(config);
    } else {
        worker_stop(w);
    }
    close(ends);
    return ok;
}

void worker_stop(struct worker *w) {
    for (int i = 0; i < WORKER_LINES; i++) {
        if (w->fds[i] >= 0) close(w->fds[i]);
        buf_free(&w->in[i]);
    }
    if (w->ends >= 0) close(w->ends);
    if (w->pid > 0) {
        kill(w->pid, SIGKILL);
        while (waitpid(w->pid, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    *w = (struct worker){.fds = {-1, -1}, .ends = -1};
}

/* ---- messages ---- */

static bool send_bytes(int to, const char *bytes, size_t n, int fd) {
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof fd)];
    } control = {0};
    for (size_t at = 0; at < n;) {
        struct iovec part = {(char *)bytes + at, n - at};
        struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1};
        if (at == 0 && fd >= 0) {
            m.msg_control = control.bytes;
            m.msg_controllen = sizeof control.bytes;
            struct cmsghdr *c = CMSG_FIRSTHDR(&m);
            *c = (struct cmsghdr){
                .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof fd)};
            memcpy(CMSG_DATA(c), &fd, sizeof fd);
        }
        const ssize_t sent = sendmsg(to, &m, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent <= 0) return false;
        at += (size_t)sent;
    }
    return true;
}

static void add_little_endian(struct buf *b, uint64_t value, int n_bytes) {
    for (int i = 0; i < n_bytes; i++) buf_add_char(b, (char)(value >> 8 * i & 255));
}

bool worker_send(struct worker *w, enum worker_line line, const json_t *message, int fd) {
    char *text = json_dumps(message, JSON_COMPACT);
    struct buf b = {0};
    ASSERT(text);
    add_little_endian(&b, strlen(text), 4);
    buf_add(&b, text, strlen(text));
    free(text);
    const bool ok = send_bytes(w->fds[line], b.ptr, b.len, fd);
    buf_free(&b);
    return ok;
}

/* The longs are those of inside/keeper.c, ID to KIND; what follows them are the parts. */
static bool send_parts(struct worker *w, const struct worker_head *h, const struct str parts[2], int fd) {
    const struct verify_limits *l = &h->limits;
    const uint64_t longs[] = {(uint64_t)h->id, (uint64_t)(l->cpu_seconds * 1e6), l->memory_bytes,
                              l->disk_bytes,   (uint64_t)l->n_processes,         h->kind};
    struct buf b = {0};
    add_little_endian(&b, sizeof longs + parts[0].len + parts[1].len, 4);
    for (size_t i = 0; i < ARRAY_LEN(longs); i++) add_little_endian(&b, longs[i], 8);
    for (int i = 0; i < 2; i++) buf_add(&b, parts[i].ptr, parts[i].len);
    const bool ok = send_bytes(w->fds[WORKER_KEEPER], b.ptr, b.len, fd);
    buf_free(&b);
    return ok;
}

bool worker_send_unit(struct worker *w, const struct worker_head *head, const char *entry_point,
                      const char *program, int fd) {
    const struct str parts[2] = {{entry_point, strlen(entry_point) + 1}, str_from(program)};
    return send_parts(w, head, parts, fd);
}

bool worker_send_step(struct worker *w, const struct worker_head *head, const json_t *step, int fd) {
    char *text = json_dumps(step, JSON_COMPACT);
    ASSERT(text);
    const struct str parts[2] = {str_from(text), {"", 0}};
    const bool ok = send_parts(w, head, parts, fd);
    free(text);
    return ok;
}

bool worker_send_end(struct worker *w, int64_t id) {
    struct buf b = {0};
    add_little_endian(&b, (uint64_t)id, 8);
    const bool ok = send_bytes(w->ends, b.ptr, b.len, -1);
    buf_free(&b);
    return ok;
}

/* The first whole message of the buffer: 1, 0, or -1 if that is none. */
static int take_message(struct buf *in, json_t **message) {
    if (in->len < 4) return 0;
    const unsigned char *head = (const unsigned char *)in->ptr;
    const size_t n = (size_t)head[0] | (size_t)head[1] << 8 | (size_t)head[2] << 16 | (size_t)head[3] << 24;
    struct err e;
    if (n > MESSAGE_MAX) return -1;
    if (in->len < n + 4) return 0;
    *message = json_parse((struct str){in->ptr + 4, n}, "worker", &e);
    memmove(in->ptr, in->ptr + n + 4, in->len - n - 4);
    in->len -= n + 4;
    return *message ? 1 : -1;
}

int worker_receive(struct worker *w, enum worker_line line, json_t **message) {
    char part[1 << 16];
    const int have = take_message(&w->in[line], message);
    if (have != 0) return have;
    const ssize_t n = recv(w->fds[line], part, sizeof part, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
    if (n <= 0) return -1;
    buf_add(&w->in[line], part, (size_t)n);
    return take_message(&w->in[line], message);
}

const char *worker_last_words(const struct worker *w) {
    const struct str words = buf_str(&w->in[WORKER_KEEPER]);
    return str_starts(words, STR("brood: ")) ? buf_cstr(&w->in[WORKER_KEEPER]) + 7 : "";
}
