/* Threads on cores of their own. What reads or decodes beside the computing is started from a
 * thread that may be pinned, and is not to stay on its core. */
#ifndef MB_BASE_PIN_H
#define MB_BASE_PIN_H

#include <pthread.h>

/* The calling thread stays on CORE, a number of the system's, until mb_pin_release. Negative, or
 * where the system does not let it: nothing. */
void mb_pin(int core);
void mb_pin_release(void);
/* How many cores a thread may run on that is not pinned; at least 1. */
int mb_pin_free_cores(void);
/* pthread_create, of a thread that may run where the caller might before it was pinned. */
int mb_pin_start_free(pthread_t *thread, void *(*run)(void *), void *argument);

#endif
