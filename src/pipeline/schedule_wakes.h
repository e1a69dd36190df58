/* When stages are to be looked at next: a heap with one entry a stage, the earliest on top. */
#ifndef MB_PIPELINE_SCHEDULE_WAKES_H
#define MB_PIPELINE_SCHEDULE_WAKES_H

#include "base/arena.h"
#include "base/error.h"

#include <stdbool.h>

typedef struct {
    int stages;
    double *at; /* [stages] DBL_MAX: not by itself */
    int *heap;  /* [stages] */
    int *place; /* [stages] of a stage in the heap */
} mb_wakes_t;

mb_status_t mb_wakes_create(int stages, mb_arena_t *arena, mb_wakes_t *out);
/* All at 0. */
void mb_wakes_reset(mb_wakes_t *wakes);
void mb_wakes_set(mb_wakes_t *wakes, int stage, double at);
/* The earliest, of several the first stage. */
static inline int mb_wakes_first(const mb_wakes_t *wakes)
{
    return wakes->heap[0];
}

#endif
