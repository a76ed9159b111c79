/* The floor of a start: clone3 with the namespaces a sandbox has, execve, wait. No mounts, no ids, no
 * filter, no limits. Built by `cargo xtask bench start`. */
#define _GNU_SOURCE
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv) {
    struct clone_args args = {
        .flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET
               | CLONE_NEWCGROUP,
        .exit_signal = SIGCHLD,
    };
    if (argc < 2) return 2;
    long pid = syscall(SYS_clone3, &args, sizeof args);
    if (pid < 0) return 1;
    if (pid == 0) {
        execv(argv[1], argv + 1);
        _exit(127);
    }
    int status;
    if (waitpid((pid_t)pid, &status, 0) < 0) return 1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
