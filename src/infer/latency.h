/* How long a batch takes from the moment its samples enter the first stage until its outputs have
 * left the last one: each notes the time by its own clock, and how far these are apart is measured
 * once, by the quickest of some round trips (Cristian, Distributed Computing 3, 1989). */
#ifndef MB_INFER_LATENCY_H
#define MB_INFER_LATENCY_H

#include "engine/engine.h"

typedef struct mb_latency mb_latency_t;

/* Collective. BATCHES: at most so many pass through a group. */
mb_status_t mb_latency_create(const mb_engine_t *engine, int64_t batches, mb_latency_t **out);
void mb_latency_destroy(mb_latency_t *latency);

/* Batch INDEX of the group enters or leaves this stage; others than the first and the last are not
 * asked. */
void mb_latency_enter(mb_latency_t *latency, int64_t index);
void mb_latency_leave(mb_latency_t *latency, int64_t index);

/* Collective, after the last batch. Rank 0 gets seconds: the median and the 99th percentile over
 * all groups; NaN when there was no batch. */
mb_status_t mb_latency_finish(mb_latency_t *latency, double *median, double *percentile_99);

#endif
