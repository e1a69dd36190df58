/* Walks a stage's action list: the one place that knows what stands in front of an action, and so
 * what a plan means. It knows no device and no message: what an action does, and how its messages
 * are awaited, is a class's. Two stand behind it: a stage that computes (engine/executor_walk.c),
 * whose waits end, and a virtual one (simulate.c), where the walk returns and is gone on with
 * later.
 *
 * In front of an action:
 *
 *     F        what was sent from its slot has left; its data is there; what it takes has come
 *     R        what was sent from its slot has left: it is written anew
 *     B, BW    the same of gradients; the gradients it takes have come
 *     STEP     the sums that REDUCE has begun are there
 *     others   nothing */
#ifndef MB_PIPELINE_WALK_H
#define MB_PIPELINE_WALK_H

#include "pipeline/plan.h"

typedef struct { /* a message that an action waits for */
    bool forward, sends;
    int edge; /* of plan->forward_edges, or of plan->backward_edges */
    int slot; /* of the chunk at this end: whatever message the slot had last */
    int micro;
} mb_walk_wait_t;

typedef struct { /* of one action */
    double begin, end;
    double waited; /* of the time between */
} mb_walk_times_t;

/* *DONE comes in as true. Who sets it to false is called again, when the walk is gone on with,
 * until it leaves it true. */
typedef struct {
    size_t size;
    double (*clock)(void *user); /* seconds */
    /* Of these, how many so far were waits, wherever in an action; NULL: all that pass in front of
     * what it does, and none in it. */
    double (*waited)(void *user);
    /* Before all else of an action. *SKIP: it is passed over. */
    mb_status_t (*begin)(void *user, const mb_action_t *action, bool *skip);
    /* The samples of an F. */
    mb_status_t (*feed)(void *user, const mb_action_t *action);
    mb_status_t (*await)(void *user, const mb_action_t *action, const mb_walk_wait_t *wait,
                         bool *done);
    /* F, R, B, W, BW. */
    mb_status_t (*compute)(void *user, const mb_action_t *action, bool *done);
    /* Begins a send or a receive. */
    mb_status_t (*message)(void *user, const mb_action_t *action);
    /* Begins a sum over the replicas, and ends all that were begun. */
    mb_status_t (*reduce)(void *user, const mb_action_t *action);
    mb_status_t (*await_sums)(void *user, bool *done);
    mb_status_t (*step)(void *user, const mb_action_t *action, bool *done);
    /* Behind all else of it; what it took. */
    mb_status_t (*end)(void *user, const mb_action_t *action, const mb_walk_times_t *times);
    /* What else there is to do before the next one. */
    mb_status_t (*behind)(void *user, bool *done);
} mb_walk_class_t;

/* What an action kind has cost so far. */
typedef struct {
    int64_t count, bytes; /* bytes are counted by the class */
    double seconds, wait_seconds;
} mb_action_cost_t;

typedef struct { /* set the first four */
    const mb_walk_class_t *class_;
    void *user;
    const mb_plan_t *plan;
    int stage;
    int at;          /* the action it stands at */
    int phase, next; /* what of it comes next, and which edge of that */
    double began, waits_since, waited;
    double waited_before; /* by the class, when the action began */
    /* In front of STEP, and counted as REDUCE's: waits, and what was added up between them. */
    double waited_for_sums, summed;
    mb_action_cost_t costs[MB_ACTION_COUNT];
} mb_walk_t;

/* To the front of the list. */
void mb_walk_start(mb_walk_t *walk);
/* Goes on until the list's end (*ENDED) or until an action has to wait. */
mb_status_t mb_walk_go(mb_walk_t *walk, bool *ended);
/* The action it stands at; NULL: it has ended. */
const mb_action_t *mb_walk_action(const mb_walk_t *walk);

const char *mb_action_name(mb_action_kind_t kind);

#endif
