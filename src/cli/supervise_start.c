/* See supervise_start.h. What holds stderr open may outlive the launcher (a rank that is stuck, an
 * ssh), so that the end is the launcher's and not the pipe's. */
#define _GNU_SOURCE
#include "cli/supervise_start.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/child.h"

enum { LINE = 2048, PIECE = 4096, LOOK_MILLISECONDS = 200 };

/* Handlers see these alone. */
static volatile sig_atomic_t running, launching, times_asked;

static void pass_on(int number)
{
    int kept = errno;
    bool ends = number == SIGTERM || number == SIGINT;
    bool first = times_asked == 0;
    if (number != SIGUSR2)
        times_asked = times_asked + 1;
    if (running > 0)
        kill((pid_t)running, ends && first && launching ? SIGUSR1 : number);
    errno = kept;
}

void mb_start_heed_signals(void)
{
    static const int all[] = {SIGUSR1, SIGUSR2, SIGTERM, SIGINT, SIGHUP};
    struct sigaction action = {.sa_handler = pass_on};
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        sigaction(all[i], &action, NULL);
}

typedef struct {
    mb_start_t *start;
    mb_notice_reader_t reader;
    char line[LINE];
    size_t length;
} listener_t;

static void take_line(listener_t *listener)
{
    mb_notice_t notice;
    mb_start_t *start = listener->start;
    listener->line[listener->length] = '\0';
    listener->length = 0;
    if (!mb_notice_read(&listener->reader, listener->line, &notice))
        return;
    if (notice.kind == MB_NOTICE_BUSY)
        start->busy = true;
    else if (start->n_notices < MB_MOST_NOTICES)
        start->notices[start->n_notices++] = notice;
}

static void listen_to(listener_t *listener, const char *piece, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (piece[i] == '\n')
            take_line(listener);
        else if (listener->length + 1 < LINE)
            listener->line[listener->length++] = piece[i];
    }
}

static void write_all(const char *piece, size_t n)
{
    while (n > 0) {
        ssize_t wrote = write(STDERR_FILENO, piece, n);
        if (wrote < 0 && errno != EINTR)
            return;
        piece += wrote < 0 ? 0 : wrote;
        n -= wrote < 0 ? 0 : (size_t)wrote;
    }
}

/* False: nothing more will come. */
static bool hear(listener_t *listener, int from, int milliseconds)
{
    char piece[PIECE];
    struct pollfd wanted = {.fd = from, .events = POLLIN};
    int ready = poll(&wanted, 1, milliseconds);
    if (ready <= 0)
        return ready < 0 && errno == EINTR;
    ssize_t got = read(from, piece, sizeof piece);
    if (got <= 0)
        return got < 0 && errno == EINTR;
    write_all(piece, (size_t)got);
    listen_to(listener, piece, (size_t)got);
    return true;
}

static bool has_ended(const mb_child_t *child)
{
    siginfo_t info = {.si_pid = 0};
    return waitid(P_PID, (id_t)child->process, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == child->process;
}

mb_status_t mb_start_run(char *const *words, bool launches, mb_start_t *out)
{
    mb_child_t child;
    listener_t listener = {.start = out};
    memset(out, 0, sizeof *out);
    launching = launches;
    MB_TRY(mb_child_start(words, MB_CHILD_STDERR, &child));
    running = child.process;
    if (times_asked > 0) /* while it was not there yet */
        kill(child.process, SIGUSR1);
    while (!has_ended(&child)) {
        if (!hear(&listener, child.output, LOOK_MILLISECONDS))
            nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
    running = 0;
    while (hear(&listener, child.output, 0))
        continue;
    out->asked = times_asked > 0;
    out->code = mb_child_end(&child);
    return MB_OK;
}

bool mb_start_wait(double seconds)
{
    double end = mb_time_seconds() + seconds;
    for (double left = seconds; left > 0 && times_asked == 0; left = end - mb_time_seconds()) {
        struct timespec wait = {.tv_sec = (time_t)left,
                                .tv_nsec = (long)((left - (double)(time_t)left) * 1e9)};
        nanosleep(&wait, NULL);
    }
    return times_asked > 0;
}
