/* Threads that share out the pieces of one job after another. */
#ifndef MB_DATA_POOL_H
#define MB_DATA_POOL_H

#include "base/error.h"
#include <stdint.h>

typedef struct mb_pool mb_pool_t;

/* Piece INDEX, by thread WORKER of those that mb_pool_threads counts. */
typedef mb_status_t (*mb_pool_job_t)(void *user, int worker, int64_t index);

/* THREADS at most, the caller of mb_pool_run among them; 0: as many as the caller may use cores. */
mb_status_t mb_pool_create(int threads, mb_pool_t **out);
void mb_pool_destroy(mb_pool_t *pool);
int mb_pool_threads(const mb_pool_t *pool);
/* Runs pieces 0 to COUNT - 1 and waits for them; one caller at a time. The error is that of the
 * lowest piece that failed, however the pieces were shared out. */
mb_status_t mb_pool_run(mb_pool_t *pool, mb_pool_job_t job, void *user, int64_t count);

#endif
