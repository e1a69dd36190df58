/* A call that can be left in its middle and gone on with later, on a stack of its own: how one
 * thread runs what waits for each other, while what waits is written as if it were alone.
 *
 *     owner      mb_fiber_run ---------------> (returns)   mb_fiber_run ------> (returns: ended)
 *     fiber          entry ... mb_fiber_yield                  ... end of entry
 *
 * All fibers of a thread run on that thread, so MPI_THREAD_FUNNELED holds. Each has its own last
 * error message (error.h). */
#ifndef MB_BASE_FIBER_H
#define MB_BASE_FIBER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

typedef struct mb_fiber mb_fiber_t;

/* ENTRY(USER) begins at the first mb_fiber_run. STACK_BYTES are address space, and memory only as
 * they are used; behind them lies a page that nothing may touch. MB_ERR_MEMORY. */
mb_status_t mb_fiber_create(void (*entry)(void *user), void *user, size_t stack_bytes,
                            mb_fiber_t **out);
/* What an unfinished one holds on its stack is not released. NULL: nothing. */
void mb_fiber_destroy(mb_fiber_t *fiber);
/* Goes on with FIBER until it yields or ends. Fibers may run fibers; one that has ended, or runs,
 * may not be run. */
void mb_fiber_run(mb_fiber_t *fiber);
bool mb_fiber_ended(const mb_fiber_t *fiber);

/* Of the fiber that this is called in; NULL: in none. */
mb_fiber_t *mb_fiber_current(void);
/* Back to who runs it. In a fiber only. */
void mb_fiber_yield(void);

#endif
