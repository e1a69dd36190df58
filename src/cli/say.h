/* What the program says: results on stdout, everything else on stderr. */
#ifndef MB_CLI_SAY_H
#define MB_CLI_SAY_H

#include <jansson.h>
#include <stdbool.h>
#include "base/error.h"
#include "base/json_value.h"

enum { MB_EXIT_DONE = 0, MB_EXIT_FAILED = 1, MB_EXIT_USAGE = 2, MB_EXIT_STOPPED = 85 };

/* The exit code that a status ends with. */
int mb_exit_code(mb_status_t status);

/* This process's rank as the launcher's environment tells it, before MPI is started; 0 when there
 * is no launcher. */
int mb_launch_rank(void);
/* Whether a launcher of MPI programs started this process. */
bool mb_launched(void);

/* "mbrun: error: MESSAGE" with the message of the last failure. */
void mb_say_error(void);
/* Ends a command that runs in one process: says the error, if any, and gives the exit code. */
int mb_say_end(mb_status_t status);

/* One JSON object on a line of stdout; drops the reference. */
mb_status_t mb_say_json(json_t *object);

/* 1234567 as "1,234,567" in BUFFER, which it returns. */
char *mb_say_count(int64_t count, char *buffer, size_t capacity);
#define MB_COUNT_TEXT 32
/* "8.3 samples/s", or "8.3 samples/s, 1067 tokens/s" where a sample has tokens, in BUFFER, which it
 * returns; "" when the rate is not known. */
char *mb_say_rate(double samples_per_second, int64_t tokens, char *buffer, size_t capacity);
#define MB_RATE_TEXT 96

#endif
