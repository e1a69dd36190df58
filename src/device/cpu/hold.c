/* See hold.h. */
#include "device/cpu/hold.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

static _Thread_local bool held;
static _Thread_local sigset_t before;

void mb_hold_signals(void)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT};
    sigset_t set;
    if (held)
        return;
    sigfillset(&set);
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
        sigdelset(&set, faults[i]);
    held = pthread_sigmask(SIG_BLOCK, &set, &before) == 0;
}

void mb_release_signals(void)
{
    if (held)
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    held = false;
}
