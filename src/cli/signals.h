/* Signals that a run heeds: SIGUSR1, SIGTERM and SIGINT ask it to stop at the next step, SIGUSR2 to
 * say where it stands. A second SIGINT ends it at once. */
#ifndef MB_CLI_SIGNALS_H
#define MB_CLI_SIGNALS_H

#include <stdbool.h>

void mb_signals_install(int rank);
bool mb_signals_stop(void);
/* True once after each SIGUSR2. */
bool mb_signals_where(void);

#endif
