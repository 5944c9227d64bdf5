/* process.c - see process.h. A shell puts the files in their place and then becomes the command. */
#include "verify/process.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "verify/isolate.h"

/* Arguments: memory in KiB or 0, "errors" or "", then size and name of each file, "--", the command. */
static const char in_sandbox[] =
    "mount -t tmpfs -o size=256m,nosuid,nodev brood /work && cd /work && export HOME=/work TMPDIR=/work "
    "|| exit 97\n"
    "memory=$1 errors=$2; shift 2; first=\n"
    "while [ \"$1\" != -- ]; do head -c \"$1\" <&3 >\"$2\" || exit 97; first=${first:-$2}; shift 2; done\n"
    "shift; [ \"$memory\" = 0 ] || ulimit -v \"$memory\" || exit 97\n"
    "[ -z \"$first\" ] || exec 5<\"$first\" 3<&5\n"
    "[ -z \"$errors\" ] || exec 2>&4\n"
    "exec setpriv --no-new-privs --bounding-set=-all --inh-caps=-all -- \"$@\" <&3 >&4 3<&- 4>&- 5<&-\n";

static const char outside[] =
    "cd \"$BROOD_FOLDER\" || exit 97\n"
    "memory=$1 errors=$2; shift 2; first=\n"
    "while [ \"$1\" != -- ]; do head -c \"$1\" <&3 >\"$2\" || exit 97; first=${first:-$2}; shift 2; done\n"
    "shift; [ \"$memory\" = 0 ] || ulimit -v \"$memory\" || exit 97\n"
    "[ -z \"$first\" ] || exec 5<\"$first\" 3<&5\n"
    "[ -z \"$errors\" ] || exec 2>&4\n"
    "exec \"$@\" <&3 >&4 3<&- 4>&- 5<&-\n";

/* ---- words ---- */

/* One word from *at on; NULL where a quote is not closed. */
static char *take_word(const char **at) {
    struct buf word = {0};
    char quote = 0;
    const char *s = *at;
    for (; *s && (quote || !strchr(" \t\n", *s)); s++) {
        if (!quote && (*s == '\'' || *s == '"'))
            quote = *s;
        else if (*s == quote)
            quote = 0;
        else if (*s == '\\' && quote != '\'' && s[1])
            buf_add_char(&word, *++s);
        else
            buf_add_char(&word, *s);
    }
    *at = s;
    if (!quote) return buf_take(&word);
    buf_free(&word);
    return NULL;
}

bool process_words(const char *text, char *words[PROCESS_WORDS_MAX + 1], struct err *e) {
    size_t n = 0;
    memset(words, 0, (PROCESS_WORDS_MAX + 1) * sizeof *words);
    for (const char *at = text + strspn(text, " \t\n"); *at; at += strspn(at, " \t\n")) {
        if (n < PROCESS_WORDS_MAX && (words[n] = take_word(&at))) {
            n++;
            continue;
        }
        process_words_free(words);
        return err_set(e, ERR_INPUT, "'%.60s': %s", text,
                       n == PROCESS_WORDS_MAX ? "more than 64 words" : "a quote is not closed");
    }
    return n > 0 || err_set(e, ERR_INPUT, "the command is empty");
}

void process_words_free(char *words[PROCESS_WORDS_MAX + 1]) {
    for (int i = 0; i <= PROCESS_WORDS_MAX; i++) {
        free(words[i]);
        words[i] = NULL;
    }
}

bool process_can_run(const struct process_plan *plan, struct err *e) {
    const char *name = plan->words[0], *path = getenv("PATH");
    if (strchr(name, '/'))
        return access(name, X_OK) == 0 ||
               err_set(e, ERR_INPUT, "%.200s: cannot be run: %s", name, strerror(errno));
    if (plan->sandbox || !path) path = "/usr/bin:/bin";
    while (*path) {
        const size_t n = strcspn(path, ":");
        struct buf file = {0};
        buf_printf(&file, "%.*s/%s", (int)n, path, name);
        const bool can = access(buf_cstr(&file), X_OK) == 0;
        buf_free(&file);
        if (can) return true;
        path += n + (path[n] == ':');
    }
    return err_set(e, ERR_INPUT, "%.60s: no such program%s: install it, or give its path", name,
                   plan->sandbox ? " in /usr/bin" : " in the PATH");
}

/* ---- starting ---- */

struct arguments {
    char *items[PROCESS_WORDS_MAX + 2 * PROCESS_FILES_MAX + 8]; /* owned, NULL-terminated */
    int n;
    char *paths[ISOLATE_PATHS_MAX]; /* owned: what may be read */
    int n_paths;
};

static void add(struct arguments *a, const char *text) {
    a->items[a->n++] = mem_strdup(text);
}

static bool is_system(const char *path) {
    static const char *const system[] = {"/usr/", "/lib/", "/lib64/", "/bin/", "/dev/"};
    for (size_t i = 0; i < ARRAY_LEN(system); i++)
        if (strncmp(path, system[i], strlen(system[i])) == 0) return true;
    return false;
}

/* A word that names something outside what is always there: it is shown, and named by its whole path. */
static void add_word(struct arguments *a, const char *word, const struct process_plan *plan) {
    bool is_file = false; /* of those that are put into the working folder */
    for (int i = 0; i < plan->n_files; i++) is_file |= strcmp(word, plan->files[i].name) == 0;
    char *path = !is_file && access(word, F_OK) == 0 ? realpath(word, NULL) : NULL;
    const bool show = path && plan->sandbox && !is_system(path) && strcmp(path, "/") != 0;
    if (show && a->n_paths < ISOLATE_PATHS_MAX - 1) a->paths[a->n_paths++] = mem_strdup(path);
    add(a, path ? path : word);
    free(path);
}

static void build(struct arguments *a, const struct process_plan *plan) {
    static const char *const system[] = {"/usr", "/lib", "/lib64", "/bin", "/etc/ld.so.cache"};
    char number[32];
    for (size_t i = 0; i < ARRAY_LEN(system) && plan->sandbox; i++)
        if (access(system[i], F_OK) == 0) a->paths[a->n_paths++] = mem_strdup(system[i]);
    for (int i = 0; i < plan->n_read && plan->sandbox; i++)
        a->paths[a->n_paths++] = mem_strdup(plan->read[i]);
    add(a, "/bin/sh");
    add(a, "-c");
    add(a, plan->sandbox ? in_sandbox : outside);
    add(a, "brood");
    snprintf(number, sizeof number, "%zu", plan->memory_bytes >> 10);
    add(a, number);
    add(a, plan->errors_too ? "errors" : "");
    for (int i = 0; i < plan->n_files; i++) {
        snprintf(number, sizeof number, "%zu", plan->files[i].text.len);
        add(a, number);
        add(a, plan->files[i].name);
    }
    add(a, "--");
    for (int i = 0; plan->words[i]; i++) add_word(a, plan->words[i], plan);
}

static void arguments_fini(struct arguments *a) {
    for (int i = 0; i < a->n; i++) free(a->items[i]);
    for (int i = 0; i < a->n_paths; i++) free(a->paths[i]);
}

static pid_t start_outside(struct process *p, struct arguments *a, const int lines[2], struct err *e) {
    char folder[] = "/tmp/brood-verifier-XXXXXX", variable[64];
    if (!mkdtemp(folder)) {
        err_set(e, ERR_SERVICE, "verifier: cannot make a folder below /tmp: %s", strerror(errno));
        return -1;
    }
    p->folder = mem_strdup(folder);
    snprintf(variable, sizeof variable, "BROOD_FOLDER=%s", folder);
    extern char **environ;
    size_t n = 0; /* nothing is allocated behind the fork: other threads may hold locks */
    while (environ[n]) n++;
    char **environment = mem_zalloc(n + 2, sizeof *environment);
    environment[0] = variable;
    memcpy(environment + 1, environ, n * sizeof *environment);
    const pid_t pid = fork();
    if (pid != 0) {
        free(environment);
        if (pid < 0) err_set(e, ERR_SERVICE, "verifier: cannot make a process: %s", strerror(errno));
        return pid;
    }
    const int in = fcntl(lines[0], F_DUPFD, 20), out = fcntl(lines[1], F_DUPFD, 20);
    const int null = open("/dev/null", O_RDWR);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    for (int s = 1; s < 32; s++) signal(s, SIG_DFL);
    for (int fd = 0; fd < 3; fd++) dup2(null, fd);
    dup2(in, 3);
    dup2(out, 4);
    close_range(5, ~0U, 0);
    setsid();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    execve(a->items[0], a->items, environment);
    _exit(127);
}

static pid_t start_inside(struct arguments *a, const int lines[2], struct err *e) {
    struct isolate_plan plan = {.namespaces = true, .argv = a->items, .lines = {lines[0], lines[1]}};
    for (int i = 0; i < a->n_paths; i++) plan.paths[i] = a->paths[i];
    return isolate_start(&plan, e);
}

bool process_start(struct process *p, const struct process_plan *plan, struct err *e) {
    int in[2], out[2];
    buf_free(&p->out);
    buf_free(&p->unsent);
    *p = (struct process){.to = -1, .from = -1, .sandbox = plan->sandbox};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, in) != 0)
        return err_set(e, ERR_SERVICE, "verifier: cannot make a line: %s", strerror(errno));
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, out) != 0) {
        close(in[0]);
        close(in[1]);
        return err_set(e, ERR_SERVICE, "verifier: cannot make a line: %s", strerror(errno));
    }
    struct arguments a = {0};
    build(&a, plan);
    const int theirs[2] = {in[1], out[1]};
    const pid_t pid = plan->sandbox ? start_inside(&a, theirs, e) : start_outside(p, &a, theirs, e);
    arguments_fini(&a);
    close(in[1]);
    close(out[1]);
    p->pid = MAX(pid, 0);
    p->to = in[0];
    p->from = out[0];
    for (int i = 0; i < plan->n_files; i++) buf_add_str(&p->unsent, plan->files[i].text);
    if (pid > 0) return true;
    process_stop(p);
    return false;
}

/* ---- talking ---- */

void process_send(struct process *p, struct str text) {
    buf_add_str(&p->unsent, text);
}

static void send_some(struct process *p) {
    while (p->to >= 0 && p->n_sent < p->unsent.len) {
        const ssize_t n =
            send(p->to, p->unsent.ptr + p->n_sent, p->unsent.len - p->n_sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break; /* full, or it does not listen any more: what it says tells which */
        p->n_sent += (size_t)n;
    }
    if (p->n_sent < p->unsent.len) return;
    buf_clear(&p->unsent);
    p->n_sent = 0;
}

bool process_exchange(struct process *p, size_t n_bytes_max) {
    char part[1 << 14];
    send_some(p);
    while (!p->ended) {
        const ssize_t n = recv(p->from, part, sizeof part, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) break;
        if (n <= 0) {
            p->ended = true;
        } else {
            buf_add(&p->out, part, (size_t)n);
            if (p->out.len > n_bytes_max) return false;
        }
    }
    return true;
}

/* ---- ending ---- */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    UNUSED(st);
    UNUSED(type);
    UNUSED(ftw);
    remove(path); /* what cannot be removed is left */
    return 0;
}

/* After its output has ended a process may still be on its way out: a moment for its own exit status. */
static int reap(pid_t pid, bool patient) {
    int status = 0;
    for (int i = 0; patient && i < 200; i++) {
        if (waitpid(pid, &status, WNOHANG) == pid) return status;
        usleep(5000);
    }
    kill(-pid, SIGKILL);
    kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
    return status;
}

int process_stop(struct process *p) {
    if (p->to >= 0) close(p->to);
    if (p->from >= 0) close(p->from);
    const pid_t pid = p->pid;
    const int status = pid > 0 ? reap(pid, p->ended) : 0;
    if (pid > 0 && !p->sandbox) kill(-pid, SIGKILL); /* what it left running */
    if (p->folder) nftw(p->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(p->folder);
    buf_free(&p->unsent);
    p->folder = NULL;
    p->pid = 0;
    p->to = p->from = -1;
    p->n_sent = 0;
    return status;
}
