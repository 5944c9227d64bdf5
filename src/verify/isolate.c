/* isolate.c - see isolate.h. Between clone and exec nothing is allocated: other threads may hold locks. */
#include "verify/isolate.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NOBODY = 65534, N_DEVICES = 3 };
static const char *const devices[N_DEVICES] = {"/dev/null", "/dev/zero", "/dev/urandom"};
static const char new_root[] = "/tmp"; /* where the new root is put together: any folder that there is */

/* ---- inside the new process ---- */

_Noreturn static void give_up(const char *what, const char *path) {
    char line[400];
    const int n = snprintf(line, sizeof line, "brood: %s%s%s: %s", what, path ? " " : "", path ? path : "",
                           strerror(errno));
    const ssize_t written = write(3, line, (size_t)MIN(n, (int)sizeof line - 1));
    _exit(written < 0 ? 2 : 1);
}

/* The folders above `path` under the new root, and it too: a folder, or an empty file to bind onto. */
static void make_place(const char *path, bool is_dir, char place[static 4200]) {
    snprintf(place, 4200, "%s%s", new_root, path);
    for (char *at = strchr(place + sizeof new_root, '/'); at; at = strchr(at + 1, '/')) {
        *at = '\0';
        if (mkdir(place, 0755) != 0 && errno != EEXIST) give_up("cannot make", place);
        *at = '/';
    }
    if (is_dir) {
        if (mkdir(place, 0755) != 0 && errno != EEXIST) give_up("cannot make", place);
        return;
    }
    const int fd = open(place, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
    if (fd < 0) give_up("cannot make", place);
    close(fd);
}

/* A copy of the mounts at `path`, still attached nowhere; -1 if there is nothing. */
static int take_tree(const char *path, bool device, bool *is_dir) {
    struct stat st;
    struct mount_attr attributes = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID};
    if (!device) attributes.attr_set |= MOUNT_ATTR_NODEV;
    if (stat(path, &st) != 0) return -1;
    *is_dir = S_ISDIR(st.st_mode);
    const int tree = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
    if (tree < 0) give_up("cannot bind", path);
    if (mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof attributes) != 0)
        give_up("cannot make read-only", path);
    return tree;
}

static void enter_new_root(void) {
    static const char old[] = "/.old";
    char place[32];
    snprintf(place, sizeof place, "%s%s", new_root, old);
    if (mkdir(place, 0700) != 0 || syscall(SYS_pivot_root, new_root, place) != 0)
        give_up("cannot change the root", NULL);
    if (chdir("/") != 0 || umount2(old, MNT_DETACH) != 0 || rmdir(old) != 0)
        give_up("cannot leave the old root", NULL);
    if (mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV, NULL) != 0)
        give_up("cannot make the root read-only", NULL);
}

static void build_root(const struct isolate_plan *plan) {
    int trees[ISOLATE_PATHS_MAX + N_DEVICES];
    bool is_dir[ISOLATE_PATHS_MAX + N_DEVICES];
    const char *path[ISOLATE_PATHS_MAX + N_DEVICES];
    char place[4200];
    int n = 0;
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) give_up("cannot part the mounts", NULL);
    for (int i = 0; i < N_DEVICES; i++, n++) trees[n] = take_tree(path[n] = devices[i], true, &is_dir[n]);
    for (int i = 0; plan->paths[i]; i++, n++)
        trees[n] = take_tree(path[n] = plan->paths[i], false, &is_dir[n]);
    /* Paths have been walked as who we were; from here on we are who may do nothing. */
    if (setresgid(0, 0, 0) != 0 || setresuid(0, 0, 0) != 0) give_up("cannot change the user", NULL);
    if (mount("tmpfs", new_root, "tmpfs", MS_NOSUID | MS_NODEV, "size=1m,nr_inodes=512,mode=0755") != 0)
        give_up("cannot mount a root", NULL);
    for (int i = 0; i < n; i++) {
        if (trees[i] < 0) continue;
        make_place(path[i], is_dir[i], place);
        if (move_mount(trees[i], "", AT_FDCWD, place, MOVE_MOUNT_F_EMPTY_PATH) != 0)
            give_up("cannot attach", path[i]);
        close(trees[i]);
    }
    make_place("/tmp", true, place);
    make_place("/work", true, place);
    enter_new_root();
}

static void keep_only(const int fds[3]) {
    const int null = open("/dev/null", O_RDWR);
    int high[3];
    for (int i = 0; i < 3; i++) high[i] = fcntl(fds[i], F_DUPFD, 10);
    for (int fd = 0; fd < 3; fd++) dup2(null, fd);
    close(5);
    for (int i = 0; i < 3; i++) dup2(high[i], 3 + i);
    close_range(6, ~0U, 0);
}

_Noreturn static void run_inside(const struct isolate_plan *plan, int go) {
    char *const environment[] = {
        "PATH=/usr/bin:/bin", "HOME=/tmp",     "LC_ALL=C.UTF-8",      "TZ=UTC", "PYTHONHASHSEED=0",
        "OMP_NUM_THREADS=1",  "LD_BIND_NOW=1", (char *)plan->setting, NULL};
    char byte;
    sigset_t none;
    const int go_on = fcntl(go, F_DUPFD, 10);
    const int proc = plan->see_itself ? open("/proc", O_PATH | O_DIRECTORY) : -1;
    const int fds[3] = {fcntl(plan->lines[0], F_DUPFD, 20), fcntl(plan->lines[1], F_DUPFD, 20),
                        fcntl(proc, F_DUPFD, 20)};
    dup2(fds[0], 3); /* give_up writes there */
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    for (int s = 1; s < 32; s++) signal(s, SIG_DFL);
    if (read(go_on, &byte, 1) != 1) _exit(1);
    umask(022);
    setsid();
    if (plan->namespaces) build_root(plan);
    if (chdir("/") != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        give_up("cannot set no_new_privs", NULL);
    keep_only(fds);
    execve(plan->argv[0], plan->argv, environment);
    give_up("cannot run", plan->argv[0]);
}

/* ---- outside ---- */

static bool write_to(pid_t pid, const char *name, const char *text) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    const int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return false;
    const bool ok = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    close(fd);
    return ok;
}

static bool map_users(pid_t pid) {
    char users[40], groups[40];
    const bool root = geteuid() == 0;
    snprintf(users, sizeof users, "0 %u 1", root ? NOBODY : (unsigned)geteuid());
    snprintf(groups, sizeof groups, "0 %u 1", root ? NOBODY : (unsigned)getegid());
    return write_to(pid, "setgroups", "deny") && write_to(pid, "uid_map", users) &&
           write_to(pid, "gid_map", groups);
}

pid_t isolate_start(const struct isolate_plan *plan, struct err *e) {
    int go[2];
    const unsigned long flags = SIGCHLD | (plan->namespaces ? CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS |
                                                                  CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS
                                                            : 0);
    if (pipe2(go, O_CLOEXEC) != 0) {
        err_set(e, ERR_SERVICE, "sandbox: cannot make a pipe: %s", strerror(errno));
        return -1;
    }
    const pid_t pid = (pid_t)syscall(SYS_clone, flags, 0, 0, 0, 0);
    if (pid == 0) {
        close(go[1]);
        run_inside(plan, go[0]);
    }
    const int why = errno;
    close(go[0]);
    bool ok = pid > 0;
    if (!ok) err_set(e, ERR_SERVICE, "sandbox: cannot make a process in namespaces: %s", strerror(why));
    if (ok && plan->namespaces && !map_users(pid))
        ok = err_set(e, ERR_SERVICE, "sandbox: cannot map its user: %s", strerror(errno));
    if (ok && write(go[1], "g", 1) != 1) ok = err_set(e, ERR_SERVICE, "sandbox: its process has gone");
    close(go[1]);
    if (!ok && pid > 0) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    return ok ? pid : -1;
}
