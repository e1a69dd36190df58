/* See bounded.h: a timer whose signal arrives wherever MPI stands. */
#define _XOPEN_SOURCE 700 /* setitimer under -std=c11 */
#include "cli/bounded.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#define TURN_SECONDS 2.0 /* in which a launcher ends all, when rank 0 has */
#define STAGGER_SECONDS 0.3
#define MOST_STAGGERED 6

/* Made before the timer runs. */
static char line[512];
static int exit_code;

static void give_up(int signal)
{
    (void)signal;
    if (write(STDERR_FILENO, line, strlen(line)) < 0)
        _exit(exit_code);
    _exit(exit_code);
}

static void set_timer(double seconds)
{
    struct itimerval timer = {.it_value = {.tv_sec = (time_t)seconds}};
    timer.it_value.tv_usec = (suseconds_t)((seconds - (double)timer.it_value.tv_sec) * 1e6);
    setitimer(ITIMER_REAL, &timer, NULL);
}

void mb_bounded_begin(double seconds, int rank, const char *what, int code)
{
    struct sigaction action = {.sa_handler = give_up};
    char host[64] = "";
    gethostname(host, sizeof host - 1);
    line[0] = '\0';
    if (what != NULL)
        snprintf(line, sizeof line, "mbrun: error: rank %d on %s: after %.0f s %s\n", rank, host,
                 seconds, what);
    exit_code = code;
    sigemptyset(&action.sa_mask);
    sigaction(SIGALRM, &action, NULL);
    double later = STAGGER_SECONDS * (rank < MOST_STAGGERED ? rank : MOST_STAGGERED);
    set_timer(seconds + (rank == 0 ? 0 : TURN_SECONDS + later));
}

void mb_bounded_end(void)
{
    set_timer(0);
}
