/* See pin.h. Systems other than Linux pin nothing. */
#define _GNU_SOURCE
#include "base/pin.h"

#include <stdbool.h>

#if defined(__linux__)
#include <sched.h>

static _Thread_local bool pinned;
static _Thread_local cpu_set_t before; /* where it might run */

void mb_pin(int core)
{
    cpu_set_t set;
    if (core < 0 || core >= CPU_SETSIZE || pinned ||
        pthread_getaffinity_np(pthread_self(), sizeof before, &before) != 0)
        return;
    CPU_ZERO(&set);
    CPU_SET((size_t)core, &set);
    pinned = pthread_setaffinity_np(pthread_self(), sizeof set, &set) == 0;
}

void mb_pin_release(void)
{
    if (pinned)
        pthread_setaffinity_np(pthread_self(), sizeof before, &before);
    pinned = false;
}

int mb_pin_free_cores(void)
{
    cpu_set_t now;
    if (pinned)
        return CPU_COUNT(&before);
    return sched_getaffinity(0, sizeof now, &now) == 0 ? CPU_COUNT(&now) : 1;
}

int mb_pin_start_free(pthread_t *thread, void *(*run)(void *), void *argument)
{
    pthread_attr_t attributes;
    if (!pinned || pthread_attr_init(&attributes) != 0)
        return pthread_create(thread, NULL, run, argument);
    pthread_attr_setaffinity_np(&attributes, sizeof before, &before);
    int failed = pthread_create(thread, &attributes, run, argument);
    pthread_attr_destroy(&attributes);
    return failed;
}
#else
void mb_pin(int core)
{
    (void)core;
}

void mb_pin_release(void)
{
}

int mb_pin_free_cores(void)
{
    return 1;
}

int mb_pin_start_free(pthread_t *thread, void *(*run)(void *), void *argument)
{
    return pthread_create(thread, NULL, run, argument);
}
#endif
