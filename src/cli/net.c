/* See net.h. The handler has a stack of its own, since following damaged references may use up the
 * other, and ends the process by _exit: nothing in memory can be trusted any more. The launcher
 * then ends the other ranks; each of them may have met the same file, and waits for the first to
 * speak. */
#define _GNU_SOURCE
#include "cli/net.h"

#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/say.h"
#include "store/h5.h"

enum { STACK_BYTES = 65536, TURN_SECONDS = 2 };

static int rank_of_launch;
static char stack_of_handler[STACK_BYTES];

static void put(const char *text)
{
    ssize_t written = write(STDERR_FILENO, text, strlen(text));
    (void)written;
}

static void stumbled(int signal_number)
{
    const char *path = mb_h5_works_on();
    if (path == NULL) {
        signal(signal_number, SIG_DFL);
        raise(signal_number);
        return;
    }
    if (rank_of_launch != 0)
        nanosleep(&(struct timespec){.tv_sec = TURN_SECONDS}, NULL);
    put("mbrun: error: '");
    put(path);
    put("' is damaged or cut off: HDF5 stumbles over its structure; copy or save it again\n");
    _exit(MB_EXIT_FAILED);
}

void mb_net_spread(int rank)
{
/* A sanitizer's report says more. */
#ifndef __SANITIZE_ADDRESS__
    static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGABRT};
    stack_t stack = {.ss_sp = stack_of_handler, .ss_size = STACK_BYTES};
    struct sigaction action = {.sa_handler = stumbled, .sa_flags = SA_ONSTACK | SA_NODEFER};
    rank_of_launch = rank;
    if (sigaltstack(&stack, NULL) != 0)
        return;
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        sigaction(signals[i], &action, NULL);
#else
    (void)rank, (void)rank_of_launch, (void)stack_of_handler, (void)stumbled;
#endif
}
