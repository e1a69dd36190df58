/* Formats a line and hands it to the host's callback. */
#define _POSIX_C_SOURCE 200809L /* clock_gettime under -std=c11 */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#define LINE_BYTES 2048

void mb_log(const mb_log_t *log, mb_log_level_t level, const char *format, ...)
{
    if (log == NULL || log->write == NULL || level < log->least)
        return;
    char line[LINE_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    log->write(log->user, level, line);
}

double mb_time_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}
