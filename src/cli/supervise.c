/* mbrun supervise: starts a command, and starts it again after a failure. What one start came to is
 * read from its exit code, from what the launcher said on stderr, and from the run's directory. */
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/duration.h"
#include "base/str.h"
#include "cli/batch.h"
#include "cli/command.h"
#include "cli/say.h"
#include "cli/supervise_hosts.h"
#include "cli/supervise_progress.h"
#include "cli/supervise_start.h"

#define LONGEST_WAIT 600.0
#define BUSY_WAIT 65.0 /* a lease of another host is stale after 60 s */
enum {
    TIMES_KILLED = 2 /* on one host, until it is given up */,
    REQUEUE_SECONDS = 60,
    LINE = 8192
};

typedef struct {
    const mb_args_t *args;
    long restarts, most, requeues; /* requeues: -1: not asked for */
    double backoff;
    mb_supervised_t command;
    char *directory;
    bool failed_before;
    mb_run_progress_t failed_at; /* of the failure before; the step is -1 if it made none */
    int fruitless;               /* failures in a row without a checkpoint between them */
} supervisor_t;

static void MB_PRINTF(1, 2) tell(const char *format, ...)
{
    char text[LINE], clock[16] = "";
    time_t now = time(NULL);
    struct tm local;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (localtime_r(&now, &local) != NULL)
        strftime(clock, sizeof clock, "%H:%M:%S", &local);
    fprintf(stderr, "mbrun supervise: %s %s\n", clock, text);
}

/* ---- what is asked for */

static mb_status_t take_number(const mb_args_t *args, const char *flag, long otherwise, long *out)
{
    char *end;
    const char *text = mb_args_flag(args, flag);
    *out = otherwise;
    if (text == NULL)
        return MB_OK;
    *out = strtol(text, &end, 10);
    if (end != text && *end == '\0' && *out >= 0 && *out < INT_MAX)
        return MB_OK;
    return mb_error_set(MB_ERR_ARGUMENT, "--%s: '%s' is not a whole number of at least 0", flag,
                        text);
}

static mb_status_t take_backoff(supervisor_t *s)
{
    const char *text = mb_args_flag(s->args, "backoff");
    s->backoff = 10;
    if (text == NULL || mb_duration_parse(text, &s->backoff))
        return MB_OK;
    return mb_error_set(MB_ERR_ARGUMENT, "--backoff: '%s' is not a time: 10s, 2min", text);
}

static mb_status_t find_directory(supervisor_t *s)
{
    const mb_supervised_t *c = &s->command;
    const char *given = mb_args_flag(s->args, "run");
    if (given == NULL)
        return mb_run_progress_find(c->words, c->n, c->mbrun < c->n ? c->mbrun : -1, &s->directory);
    s->directory = strdup(given);
    return s->directory == NULL ? mb_error_memory("a path", strlen(given)) : MB_OK;
}

static mb_status_t open_supervisor(const mb_args_t *args, supervisor_t *s)
{
    *s = (supervisor_t){.args = args};
    MB_TRY(take_number(args, "max-restarts", 10, &s->most));
    MB_TRY(take_number(args, "requeue", -1, &s->requeues));
    MB_TRY(take_backoff(s));
    if (s->requeues >= 0)
        MB_TRY(mb_batch_check());
    /* The words outlive the supervisor, and nobody writes to them. */
    MB_TRY(mb_supervised_open((char *const *)args->words, args->n_words,
                              mb_args_flag(args, "hostfile"), &s->command));
    MB_TRY(find_directory(s));
    if (s->directory == NULL)
        tell("the command's run directory is not known (--run DIR tells it): restarts are bounded "
             "by --max-restarts alone");
    return MB_OK;
}

/* ---- after a start */

static void tell_start(const supervisor_t *s)
{
    char *const *words = mb_supervised_words(&s->command);
    mb_str_t text = {0};
    for (int i = 0; words[i] != NULL; i++)
        mb_str_addf(&text, " %s", words[i]);
    tell("start %ld:%s", s->restarts + 1, text.text == NULL ? "" : text.text);
    mb_str_free(&text);
}

static void tell_notice(const mb_notice_t *notice)
{
    bool ranked = notice->ranks[0] != '\0', placed = notice->host[0] != '\0';
    if (notice->kind == MB_NOTICE_HOST_LOST)
        tell("host %s is lost", notice->host);
    else if (notice->kind == MB_NOTICE_KILLED)
        tell("%s%s%s%s ended by signal %s", ranked ? "rank " : "a rank", notice->ranks,
             placed ? " on " : "", notice->host, notice->signal);
}

/* Whether a host is given up for what the notice says. */
static bool lose_host(supervisor_t *s, const mb_notice_t *notice)
{
    mb_host_t *host = mb_supervised_host(&s->command, notice->host);
    if (host == NULL || host->lost || notice->kind == MB_NOTICE_BUSY)
        return false;
    host->killed += notice->kind == MB_NOTICE_KILLED;
    if (notice->kind == MB_NOTICE_KILLED && host->killed < TIMES_KILLED)
        return false;
    if (mb_supervised_left(&s->command) == 1) {
        tell("%s is the last host: it is tried again", host->name);
        return false;
    }
    host->lost = true;
    tell("going on without host %s: %d of %d are left", host->name, mb_supervised_left(&s->command),
         s->command.n_hosts);
    return true;
}

static void tell_failure(const supervisor_t *s, int code, const mb_run_progress_t *at)
{
    char place[64] = "", kept[64] = "";
    if (at->step >= 0)
        snprintf(place, sizeof place, " after step %lld", (long long)at->step);
    else if (s->directory != NULL)
        snprintf(place, sizeof place, " before its first step");
    if (at->checkpoint >= 0)
        snprintf(kept, sizeof kept, "; the newest checkpoint is of step %lld",
                 (long long)at->checkpoint);
    else if (s->directory != NULL)
        snprintf(kept, sizeof kept, "; there is no checkpoint");
    tell("failed with exit code %d%s%s", code, place, kept);
}

/* Whether the failure is the one before once more. */
static bool is_stuck(supervisor_t *s, const mb_run_progress_t *at)
{
    bool same = s->failed_before && s->directory != NULL && s->failed_at.step == at->step &&
                s->failed_at.checkpoint == at->checkpoint;
    s->fruitless =
        s->failed_before && s->failed_at.checkpoint == at->checkpoint ? s->fruitless + 1 : 0;
    s->failed_before = true;
    s->failed_at = *at;
    return same;
}

static double wait_of(const supervisor_t *s, const mb_start_t *start)
{
    double seconds = s->backoff;
    for (int i = 0; i < s->fruitless && seconds < LONGEST_WAIT; i++)
        seconds *= 2;
    seconds = seconds < LONGEST_WAIT ? seconds : LONGEST_WAIT;
    return start->busy && seconds < BUSY_WAIT ? BUSY_WAIT : seconds;
}

/* Whether it is to be tried again, after a wait. */
static bool look_back(supervisor_t *s, const mb_start_t *start, mb_run_progress_t *at)
{
    char seconds[32];
    bool lost = false;
    tell_failure(s, start->code, at);
    for (int i = 0; i < start->n_notices; i++) {
        tell_notice(&start->notices[i]);
        /* Further ones may be of ranks that the launcher itself has ended. */
        if (i == 0 || start->notices[i].kind == MB_NOTICE_HOST_LOST)
            lost = lose_host(s, &start->notices[i]) || lost;
    }
    bool stuck = is_stuck(s, at);
    if (lost) /* what is tried next is something else */
        s->failed_before = false;
    if (stuck && !lost && !start->busy) {
        tell("the same failure twice without a new checkpoint: a further start would end alike; "
             "see what it says above");
        return false;
    }
    if (s->restarts >= s->most) {
        tell("not started again after %ld restart%s (--max-restarts)", s->restarts,
             s->restarts == 1 ? "" : "s");
        return false;
    }
    tell("restart %ld of %ld in %s", s->restarts + 1, s->most,
         mb_str_seconds(wait_of(s, start), seconds, sizeof seconds));
    return true;
}

/* ---- the loop */

static int give_up(const mb_start_t *start)
{
    return start->code > 0 && start->code < 128 ? start->code : MB_EXIT_FAILED;
}

/* Slurm ends this process as part of it. */
static int requeue(const supervisor_t *s)
{
    long restarts = mb_batch_restarts();
    if (restarts >= s->requeues) {
        tell("stopped with a complete checkpoint, and not put back into the queue after %ld "
             "restart%s (--requeue): submit the job again to go on",
             restarts, restarts == 1 ? "" : "s");
        return MB_EXIT_FAILED;
    }
    if (!mb_batch_goes_on()) {
        tell("stopped with a complete checkpoint; the job was cancelled or requeued by somebody "
             "else: submit it again to go on");
        return MB_EXIT_STOPPED;
    }
    tell("stopped with a complete checkpoint: back into the queue, restart %ld of %ld",
         restarts + 1, s->requeues);
    signal(SIGTERM, SIG_DFL);
    if (mb_batch_requeue() == MB_OK)
        sleep(REQUEUE_SECONDS);
    else
        tell("%s: submit the job again to go on", mb_error_get());
    return MB_EXIT_STOPPED;
}

/* Whether there is nothing more to do than to end with *code. */
static bool is_over(supervisor_t *s, const mb_start_t *start, int *code)
{
    *code = start->code;
    if (start->code == MB_EXIT_DONE)
        return true;
    if (start->code == MB_EXIT_USAGE)
        tell("wrong usage is not tried again");
    else if (start->code == MB_EXIT_STOPPED && s->requeues >= 0)
        *code = requeue(s);
    else if (start->code == MB_EXIT_STOPPED)
        tell("stopped with a complete checkpoint: start again to go on");
    else if (start->asked)
        tell("ended with exit code %d after it was asked to", start->code);
    else
        return false;
    return true;
}

static mb_status_t supervise(supervisor_t *s, int *code)
{
    mb_start_t start;
    for (;; s->restarts++) {
        mb_run_progress_t before = mb_run_progress_read(s->directory);
        tell_start(s);
        MB_TRY(mb_start_run(mb_supervised_words(&s->command),
                            s->command.launcher != MB_LAUNCHER_NONE, &start));
        if (is_over(s, &start, code))
            return MB_OK;
        mb_run_progress_t at = mb_run_progress_read(s->directory);
        at.step = at.changed == before.changed ? -1 : at.step;
        *code = give_up(&start);
        if (!look_back(s, &start, &at))
            return MB_OK;
        MB_TRY(mb_supervised_rewrite(&s->command));
        if (mb_start_wait(wait_of(s, &start))) {
            tell("asked to stop while waiting: start again to go on");
            *code = MB_EXIT_STOPPED;
            return MB_OK;
        }
    }
}

static int run_supervise(const mb_args_t *args)
{
    supervisor_t s;
    int code = MB_EXIT_FAILED;
    mb_start_heed_signals();
    mb_batch_find_end();
    mb_status_t status = open_supervisor(args, &s);
    if (status == MB_OK)
        status = supervise(&s, &code);
    mb_supervised_close(&s.command);
    free(s.directory);
    return status == MB_OK ? code : mb_say_end(status);
}

static const mb_flag_t flags[] = {
    {"max-restarts", '\0', "N", "starts after the first, in all (default: 10)"},
    {"backoff", '\0', "T",
     "wait before a restart; doubles while no checkpoint is new, to 10min "
     "(default: 10s)"},
    {"hostfile", '\0', "FILE", "hosts for mpirun, instead of one in the command"},
    {"run", '\0', "DIR", "the command's run directory, where it cannot be read off it"},
    {"requeue", '\0', "N",
     "in a Slurm job: exit code 85 puts it back into the queue, N times at "
     "most"},
    {.name = NULL}};

const mb_command_t mb_command_supervise = {
    .name = "supervise",
    .usage = "[options] -- mpirun ... mbrun MODEL.h5 ...",
    .title = "Start a run again after failures, with the hosts that are left",
    .detail =
        "Runs the command; after a failure the same command goes on from the newest complete\n"
        "checkpoint. It ends with the command's exit code when that is 0 (done), 2 (wrong usage)\n"
        "or 85 (stopped on request), when it failed twice at the same step without a new\n"
        "checkpoint, and when --max-restarts are used up. Signals are passed on; SIGTERM and\n"
        "SIGINT as SIGUSR1 the first time, which leaves time for a checkpoint under mpirun, too.\n"
        "Ranks that a signal killed are named, as the launcher (mpirun, mpiexec, srun) names "
        "them.\n"
        "A host that the launcher has lost, or on which ranks were killed twice, is left out of\n"
        "further starts: of -H, --host, --hostfile, --machinefile or the Slurm job's nodes; -np\n"
        "and the like become what the slots that are left have room for, and --stages goes where\n"
        "it wants more ranks.\n",
    .flags = flags,
    .least_words = 1,
    .most_words = INT_MAX,
    .words = "a command",
    .dashes = true,
    .run = run_supervise};
