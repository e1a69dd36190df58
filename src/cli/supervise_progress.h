/* How far a supervised run has come, read from its directory. */
#ifndef MB_CLI_SUPERVISE_PROGRESS_H
#define MB_CLI_SUPERVISE_PROGRESS_H

#include <stdint.h>

#include "base/error.h"

typedef struct {
    int64_t checkpoint; /* step of the newest; -1: none. Of several models the sum */
    int64_t step;       /* last line of metrics.jsonl; -1: none */
    int64_t changed;    /* of metrics.jsonl; another number after every line */
} mb_run_progress_t;

/* The run directory of a command line that trains: MODEL.h5 and the options behind WORDS[at], which
 * is mbrun. malloc'ed; *out is NULL where it cannot be told. */
mb_status_t mb_run_progress_find(char *const *words, int n, int at, char **out);
/* DIRECTORY, and the folders in it of several models. NULL: nothing is known. */
mb_run_progress_t mb_run_progress_read(const char *directory);

#endif
