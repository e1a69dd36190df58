/* See child.h. The child tells by a pipe that closes on exec why it could not be executed. */
#define _GNU_SOURCE
#include "cli/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif
#include <sys/wait.h>
#include <unistd.h>

/* What a program that was just started expects; SIGPIPE and SIGXFSZ are ignored here. */
static void default_signals(void)
{
    sigset_t none;
    static const int ours[] = {SIGPIPE, SIGXFSZ, SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2};
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++)
        signal(ours[i], SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void be_child(char *const *words, mb_child_output_t output, int to, int trouble)
{
    int nothing = open("/dev/null", O_RDONLY);
    setpgid(0, 0);
#ifdef __linux__
    prctl(PR_SET_PDEATHSIG, SIGTERM);
#endif
    default_signals();
    dup2(nothing, STDIN_FILENO);
    dup2(to, output == MB_CHILD_STDOUT ? STDOUT_FILENO : STDERR_FILENO);
    execvp(words[0], words);
    int cause = errno;
    if (write(trouble, &cause, sizeof cause) < 0)
        _exit(126);
    _exit(127);
}

static mb_status_t open_pipe(int ends[2])
{
    if (pipe(ends) == 0 && fcntl(ends[0], F_SETFD, FD_CLOEXEC) == 0 &&
        fcntl(ends[1], F_SETFD, FD_CLOEXEC) == 0)
        return MB_OK;
    return mb_error_set(MB_ERR_IO, "a pipe could not be made: %s", strerror(errno));
}

/* 0: the program is being executed. */
static int cause_of(int trouble)
{
    int cause = 0;
    ssize_t got;
    do
        got = read(trouble, &cause, sizeof cause);
    while (got < 0 && errno == EINTR);
    return got == (ssize_t)sizeof cause ? cause : 0;
}

static mb_status_t start(char *const *words, mb_child_output_t output, int ends[2], int trouble[2],
                         mb_child_t *out)
{
    out->process = fork();
    if (out->process < 0)
        return mb_error_set(MB_ERR_IO, "no process could be started: %s", strerror(errno));
    if (out->process == 0)
        be_child(words, output, ends[1], trouble[1]);
    close(ends[1]);
    close(trouble[1]);
    ends[1] = trouble[1] = -1;
    int cause = cause_of(trouble[0]);
    if (cause == 0)
        return MB_OK;
    mb_child_end(out);
    return mb_error_set(MB_ERR_ARGUMENT, "'%s' could not be started: %s", words[0],
                        strerror(cause));
}

static void close_ends(int ends[2])
{
    for (int i = 0; i < 2; i++) {
        if (ends[i] >= 0)
            close(ends[i]);
    }
}

mb_status_t mb_child_start(char *const *words, mb_child_output_t output, mb_child_t *out)
{
    int ends[2] = {-1, -1}, trouble[2] = {-1, -1};
    *out = (mb_child_t){.output = -1};
    mb_status_t status = open_pipe(ends);
    if (status == MB_OK)
        status = open_pipe(trouble);
    if (status == MB_OK)
        status = start(words, output, ends, trouble, out);
    if (status == MB_OK) {
        out->output = ends[0];
        ends[0] = -1;
    }
    close_ends(ends);
    close_ends(trouble);
    return status;
}

int mb_child_end(mb_child_t *child)
{
    int status = 0;
    while (waitpid(child->process, &status, 0) < 0 && errno == EINTR)
        continue;
    if (child->output >= 0)
        close(child->output);
    *child = (mb_child_t){.output = -1};
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int mb_child_read(char *const *words, char *text, size_t capacity)
{
    mb_child_t child;
    char rest[256];
    size_t used = 0;
    ssize_t got = 0;
    text[0] = '\0';
    if (mb_child_start(words, MB_CHILD_STDOUT, &child) != MB_OK)
        return 127;
    for (;;) {
        bool full = used + 1 >= capacity;
        got =
            read(child.output, full ? rest : text + used, full ? sizeof rest : capacity - used - 1);
        if (got == 0 || (got < 0 && errno != EINTR))
            break;
        used += full || got < 0 ? 0 : (size_t)got;
    }
    text[used] = '\0';
    return mb_child_end(&child);
}
