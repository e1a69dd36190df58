/* Statuses and the message that goes with one.
 *
 * The function that first sees a cause calls mb_error_set once: what was being done, to which file,
 * layer or rank, what was found, what to do about it. Callers pass the status up with MB_TRY. The
 * message is kept per thread, as errno is, so that no signature carries it. */
#ifndef MB_BASE_ERROR_H
#define MB_BASE_ERROR_H

#include <mb/status.h>

#define MB_ERROR_BYTES 4096

#if defined(__GNUC__)
#define MB_PRINTF(text, first) __attribute__((__format__(__printf__, text, first)))
#else
#define MB_PRINTF(text, first)
#endif

/* Records a message for this thread and returns STATUS. */
mb_status_t mb_error_set(mb_status_t status, const char *format, ...) MB_PRINTF(2, 3);

/* Puts a place in front of the message already recorded ("layer 'dense_1': ..."); returns STATUS.
 */
mb_status_t mb_error_prefix(mb_status_t status, const char *format, ...) MB_PRINTF(2, 3);

/* The last message of this thread; "" when there was none. */
const char *mb_error_get(void);

/* Says on which rank of the communicator at work the failure of that message arose; returns STATUS.
 * -1 until it is said. */
mb_status_t mb_error_at_rank(mb_status_t status, int rank);
int mb_error_get_rank(void);

/* Across what is done after a failure, which may fail as well: the first cause is the one to tell.
 */
typedef struct {
    char text[MB_ERROR_BYTES];
    int place; /* the rank, counted from 1; 0: not known */
} mb_error_message_t;
void mb_error_keep(mb_error_message_t *kept);
void mb_error_restore(const mb_error_message_t *kept);

/* Where this thread's messages stand from now on: TO; where they stood is returned. Whoever
 * runs several things in turns on one thread gives each its own. */
mb_error_message_t *mb_error_use(mb_error_message_t *to);

/* Out of memory, with what for. */
mb_status_t mb_error_memory(const char *what, size_t bytes);

/* Passes a failure up. */
#define MB_TRY(call)                                                                               \
    do {                                                                                           \
        mb_status_t mb_try_status_ = (call);                                                       \
        if (mb_try_status_ != MB_OK)                                                               \
            return mb_try_status_;                                                                 \
    } while (0)

/* The same in a function with an unwinding ladder: STATUS is set and LABEL reached. */
#define MB_TRY_GOTO(call, status, label)                                                           \
    do {                                                                                           \
        (status) = (call);                                                                         \
        if ((status) != MB_OK)                                                                     \
            goto label;                                                                            \
    } while (0)

#endif
