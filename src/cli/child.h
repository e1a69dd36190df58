/* Programs that a command starts. */
#ifndef MB_CLI_CHILD_H
#define MB_CLI_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"

typedef struct {
    pid_t process;
    int output; /* where its stderr (or stdout) is read from */
} mb_child_t;

/* Which of its outputs comes here; the other stays ours. */
typedef enum { MB_CHILD_STDOUT = 1, MB_CHILD_STDERR = 2 } mb_child_output_t;

/* Starts WORDS, NULL behind the last, found by PATH, with nothing to read, in a process group of
 * its own: a key pressed on the terminal reaches it only by us. It gets SIGTERM when we are gone.
 * MB_ERR_ARGUMENT: there is no such program, or it cannot be executed. */
mb_status_t mb_child_start(char *const *words, mb_child_output_t output, mb_child_t *out);
/* Waits for the end. Its exit code, or 128 and the signal. */
int mb_child_end(mb_child_t *child);
/* Runs WORDS to its end. What it writes to stdout, cut to CAPACITY; the code, 127 where it could
 * not be started. */
int mb_child_read(char *const *words, char *text, size_t capacity);

#endif
