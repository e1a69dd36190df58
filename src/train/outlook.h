/* What a step of a pipeline would be like on a schedule, without running it: times, idle time,
 * bytes that are kept and sent. */
#ifndef MB_TRAIN_OUTLOOK_H
#define MB_TRAIN_OUTLOOK_H

#include <jansson.h>

#include "train/planning.h"

/* A schedule on the layout. */
typedef struct {
    const char *name;
    mb_plan_t *plan;
    mb_schedule_t schedule;
    mb_chunk_cost_t *costs; /* [chunks] seconds */
    double *bytes;          /* [chunks] of activations that each micro-batch in flight keeps */
    double *inside;         /* [chunks] of those of the one that the chunk is at work on */
    double *rooms;          /* [chunks] where those that are offloaded come back to */
    double *host;           /* [chunks] of those in host memory */
    mb_schedule_times_t times;
    double work;      /* of all stages */
    double peak;      /* the most bytes of activations that a stage holds */
    int64_t messages; /* the most bytes that a stage sends */
} mb_outlook_t;

enum { MB_OUTLOOKS = 8 };

/* The schedule that was asked for, then the others that the model has nodes enough for. */
typedef struct {
    int n;
    mb_outlook_t rows[MB_OUTLOOKS];
} mb_outlooks_t;

/* OUT is zero before. Free it whatever is returned. */
mb_status_t mb_outlooks_find(const mb_planning_t *planning, mb_outlooks_t *out);
void mb_outlooks_free(mb_outlooks_t *outlooks);

/* The part of the stages' time that they compute; of a stage the part of its time between its first
 * action and its last that it does not; bytes that it has in host memory instead of the device's.
 */
double mb_outlook_efficiency(const mb_outlook_t *outlook);
double mb_outlook_idle(const mb_outlook_t *outlook, int stage);
double mb_outlook_host(const mb_outlook_t *outlook, int stage);
/* All of them with the layout, as `mbrun plan --json` says it; takes the reference of LAYOUTS, a
 * list. A new reference; NULL: no memory. */
json_t *mb_outlooks_json(const mb_planning_t *planning, const mb_outlooks_t *outlooks,
                         json_t *layouts);

#endif
