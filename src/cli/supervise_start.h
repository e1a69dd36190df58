/* One start of a supervised command: its end, what its launcher said, and signals on their way. */
#ifndef MB_CLI_SUPERVISE_START_H
#define MB_CLI_SUPERVISE_START_H

#include "base/error.h"
#include "cli/supervise_notice.h"

enum { MB_MOST_NOTICES = 16 };

typedef struct {
    int code;   /* exit code, or 128 and the signal */
    bool asked; /* a signal asked it to stop */
    bool busy;  /* another run had the directory */
    int n_notices;
    mb_notice_t notices[MB_MOST_NOTICES];
} mb_start_t;

/* From now on signals go to what is running. */
void mb_start_heed_signals(void);
/* Runs WORDS to their end; stderr is passed on and read. LAUNCHES: they are of a launcher that
 * hands SIGUSR1 to its ranks, which is what it gets for SIGTERM and SIGINT the first time.
 * MB_ERR_ARGUMENT: there is no such program. */
mb_status_t mb_start_run(char *const *words, bool launches, mb_start_t *out);
/* True: a signal has asked to stop, now or before. */
bool mb_start_wait(double seconds);

#endif
