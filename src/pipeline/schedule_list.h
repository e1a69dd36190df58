/* List scheduling, one pass: time goes from one action's end to the next, and a stage that is free
 * begins what comes first by an order of preference among what can begin. Inside src/pipeline only.
 *
 * A pass goes forward, or back from the end: then gradients of weights come first, and what it
 * finds is a schedule seen in a mirror. Both ways a micro-batch takes its chunk's weight of
 * activations with the first of its actions and gives it back with the last one. */
#ifndef MB_PIPELINE_SCHEDULE_LIST_H
#define MB_PIPELINE_SCHEDULE_LIST_H

#include "pipeline/schedule_private.h"
#include "pipeline/schedule_wakes.h"

enum { MB_LIST_F, MB_LIST_B, MB_LIST_W, MB_LIST_KINDS }; /* B: of both, where they are together */

/* Which micro-batch of which chunk goes first. Backward it is the same seen from the other end. */
typedef enum {
    MB_LIST_BY_GROUP, /* as many micro-batches as stages through a chunk, then through the next */
    MB_LIST_BY_DEPTH, /* what is furthest through the model */
    MB_LIST_BY_MICRO, /* what entered it first */
    MB_LIST_KEYS
} mb_list_key_t;

typedef struct {
    mb_list_key_t key;
    bool backward_first; /* B goes in front of F; W comes last */
    bool keeps_ahead;    /* obeys the rules' limit on forwards ahead */
    bool reserves;       /* leaves room for a micro-batch's way through the stage's later chunks */
    bool waits;          /* for what comes first and is about to arrive */
    bool reversed;
    double *const
        *ranks; /* [kinds][chunks x micros] smallest first, instead of by key; NULL: none */
} mb_list_order_t;

typedef struct {
    const mb_list_rules_t *rules;
    mb_schedule_t *schedule;
    mb_list_order_t order;
    int *done[MB_LIST_KINDS];   /* [chunks] micro-batches begun */
    double *end[MB_LIST_KINDS]; /* [chunks x micros]; DBL_MAX: not begun */
    double *later;              /* [chunks] weight of the stage's later chunks */
    double *begun_at;           /* [stages] the first action; below 0: none yet */
    double *free_at;            /* [stages] */
    int *ahead;                 /* [stages] */
    double *held;               /* [stages] weight of activations */
    mb_wakes_t wakes;
    int64_t left; /* actions to begin */
    int64_t actions;
} mb_list_t;

mb_status_t mb_list_create(const mb_list_rules_t *rules, mb_schedule_t *schedule, mb_arena_t *arena,
                           mb_list_t *out);
/* How long it is, as the rules count that; DBL_MAX: under the limits and in this order some actions
 * never begin. A pass forward writes the schedule's programs. */
double mb_list_pass(mb_list_t *list, const mb_list_order_t *order);
double mb_list_seconds(const mb_list_t *list, int kind, int chunk);
/* schedule_bound.c: none is shorter than this, under the limits on activations. */
mb_status_t mb_list_bound(const mb_list_t *list, mb_arena_t *arena, double *out);

#endif
