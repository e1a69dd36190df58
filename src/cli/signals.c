/* See signals.h. Handlers only set flags; for SIGUSR2 one also writes that the signal arrived,
 * since a rank stuck in a file system does not come back to say more. */
#include "cli/signals.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t stop_asked, where_asked;
/* Made before the handlers are installed, never changed after. */
static char where_line[96];
static size_t where_length;

static void ask_stop(int signal)
{
    (void)signal;
    stop_asked = 1;
}

static void ask_where(int signal)
{
    int kept = errno;
    (void)signal;
    where_asked = 1;
    if (write(STDERR_FILENO, where_line, where_length) < 0)
        where_asked = 1;
    errno = kept;
}

static void install(int signal, void (*handler)(int), int flags)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART | flags};
    sigemptyset(&action.sa_mask);
    sigaction(signal, &action, NULL);
}

void mb_signals_install(int rank)
{
    snprintf(where_line, sizeof where_line, "rank %d (pid %ld): SIGUSR2 arrived\n", rank,
             (long)getpid());
    where_length = strlen(where_line);
    install(SIGUSR1, ask_stop, 0);
    install(SIGTERM, ask_stop, 0);
    install(SIGINT, ask_stop, (int)SA_RESETHAND);
    install(SIGUSR2, ask_where, 0);
}

bool mb_signals_stop(void)
{
    return stop_asked != 0;
}

bool mb_signals_where(void)
{
    bool asked = where_asked != 0;
    where_asked = 0;
    return asked;
}
