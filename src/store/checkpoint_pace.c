/* A put that rests between its parts. A thread of little priority still takes its share of a
 * processor as long as it has work, and a step is as long as its slowest thread: the same work over
 * several steps makes none of them much longer. */
#define _POSIX_C_SOURCE 200809L
#include <time.h>

#include "store/checkpoint_private.h"

/* It works for one part of so many of the time. */
#define PARTS 16
/* Between looks at whether it is to hurry. */
#define LOOK_SECONDS 0.005

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

void mb_checkpoint_pace(mb_checkpoint_file_t *file, double seconds)
{
    file->pace.seconds = seconds;
}

void mb_checkpoint_hurry(mb_checkpoint_file_t *file)
{
    atomic_store(&file->pace.hurried, true);
}

double mb_checkpoint_rested(const mb_checkpoint_file_t *file)
{
    return file->pace.rested;
}

void mb_pace_begin(mb_checkpoint_file_t *file)
{
    mb_pace_t *pace = &file->pace;
    for (int i = 0; i < file->n_pieces; i++)
        pace->bytes += file->pieces[i].count * (int64_t)sizeof(float);
    pace->begun = now();
}

static bool is_pressed(const mb_checkpoint_file_t *file)
{
    return atomic_load(&file->pace.hurried) || atomic_load(&file->cancelled);
}

/* How long it should have taken until now. */
static double due(const mb_pace_t *pace, double worked)
{
    double share = pace->bytes > 0 ? (double)pace->done / (double)pace->bytes : 1;
    double even = pace->seconds * (share < 1 ? share : 1);
    return even < PARTS * worked ? even : PARTS * worked;
}

void mb_pace_rest(mb_checkpoint_file_t *file, size_t bytes)
{
    mb_pace_t *pace = &file->pace;
    const struct timespec look = {.tv_nsec = (long)(LOOK_SECONDS * 1e9)};
    pace->done += (int64_t)bytes;
    if (pace->seconds <= 0)
        return;
    double begun = now(), worked = begun - pace->begun - pace->rested;
    double left = due(pace, worked) - (begun - pace->begun);
    if (left < LOOK_SECONDS)
        return;
    for (double since = begun; since - begun < left && !is_pressed(file); since = now())
        nanosleep(&look, NULL);
    pace->rested += now() - begun;
}
