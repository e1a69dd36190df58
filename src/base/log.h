/* Where the library says things: a callback of the host's. Nothing below the command line prints.
 */
#ifndef MB_BASE_LOG_H
#define MB_BASE_LOG_H

typedef enum { MB_LOG_DEBUG = 0, MB_LOG_INFO = 1, MB_LOG_WARNING = 2 } mb_log_level_t;

typedef struct {
    void (*write)(void *user, mb_log_level_t level, const char *message); /* NULL: silent */
    void *user;
    mb_log_level_t least;
} mb_log_t;

void mb_log(const mb_log_t *log, mb_log_level_t level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Monotonic seconds. */
double mb_time_seconds(void);

#endif
