/* See batch.h. */
#include "cli/batch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/duration.h"
#include "base/log.h"
#include "cli/child.h"

/* For MPI and the batch script to end, and to put the job back into the queue. */
#define BEHIND_SECONDS 10
#define LONGEST_SECONDS (10 * 365 * 86400.0)

mb_time_end_t mb_batch_end(void)
{
    char *end;
    const char *text = getenv(MB_BATCH_END);
    double at = text == NULL ? 0 : (double)strtoll(text, &end, 10);
    double left = at - (double)time(NULL);
    if (text == NULL || end == text || *end != '\0' || left > LONGEST_SECONDS)
        return (mb_time_end_t){0};
    return (mb_time_end_t){
        .at = mb_time_seconds() + left, .what = "the job's end", .behind = BEHIND_SECONDS};
}

/* One field of this job. */
static bool ask(char *format, char *text, size_t capacity)
{
    char *const words[] = {"squeue", "--noheader", format, "--jobs", getenv("SLURM_JOB_ID"), NULL};
    if (words[4] == NULL || mb_child_read(words, text, capacity) != 0)
        return false;
    text[strcspn(text, " \n")] = '\0';
    return true;
}

void mb_batch_find_end(void)
{
    char left[64], end[32];
    double seconds;
    if (getenv(MB_BATCH_END) != NULL || !ask("--format=%L", left, sizeof left) ||
        !mb_duration_parse(left, &seconds))
        return;
    snprintf(end, sizeof end, "%lld", (long long)time(NULL) + (long long)seconds);
    setenv(MB_BATCH_END, end, 1);
}

mb_status_t mb_batch_check(void)
{
    if (getenv("SLURM_JOB_ID") != NULL)
        return MB_OK;
    return mb_error_set(MB_ERR_ARGUMENT, "--requeue puts a Slurm job back into the queue, and this "
                                         "is none: SLURM_JOB_ID is not set");
}

long mb_batch_restarts(void)
{
    const char *text = getenv("SLURM_RESTART_COUNT");
    return text == NULL ? 0 : strtol(text, NULL, 10);
}

bool mb_batch_goes_on(void)
{
    char state[64];
    return !ask("--format=%T", state, sizeof state) || strcmp(state, "RUNNING") == 0;
}

mb_status_t mb_batch_requeue(void)
{
    char said[64];
    char *const words[] = {"scontrol", "requeue", getenv("SLURM_JOB_ID"), NULL};
    int code = words[2] == NULL ? 127 : mb_child_read(words, said, sizeof said);
    if (code == 0)
        return MB_OK;
    return mb_error_set(MB_ERR_IO, "scontrol requeue ended with exit code %d", code);
}
