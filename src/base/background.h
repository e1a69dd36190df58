/* One call that runs beside the caller's thread and gives way to it: what it does is needed some
 * time, not soon. It may run where the caller might before it was pinned, and hears no signals.
 *
 *     mb_background_start(run, user, &task);
 *     ... mb_background_done(task) ...
 *     status = mb_background_join(task);        RUN's status, with its message
 *
 * Where no thread can be had, RUN has been called when start returns. */
#ifndef MB_BASE_BACKGROUND_H
#define MB_BASE_BACKGROUND_H

#include <stdbool.h>

#include "base/error.h"

typedef struct mb_background mb_background_t;

mb_status_t mb_background_start(mb_status_t (*run)(void *user), void *user, mb_background_t **out);
/* For RUN: what follows can wait. Processors and disks go to others first. */
void mb_background_give_way(void);
/* Whether RUN has returned. */
bool mb_background_done(const mb_background_t *task);
/* RUN's status when it has returned; MB_OK before. */
mb_status_t mb_background_status(const mb_background_t *task);
/* Waits for RUN and frees. NULL: MB_OK. */
mb_status_t mb_background_join(mb_background_t *task);

#endif
