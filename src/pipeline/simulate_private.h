/* The inside of a simulation. */
#ifndef MB_PIPELINE_SIMULATE_PRIVATE_H
#define MB_PIPELINE_SIMULATE_PRIVATE_H

#include "base/events.h"
#include "pipeline/simulate.h"

/* Kinds of events: a message of this group has arrived; a rank may go on, behind all groups; below
 * 0, -1 - the stage whose sum is there. What: the message, or the rank. */
enum { MB_EVENT_OF_RANK = INT32_MAX };

typedef enum { FREE = 0, AWAITS_MESSAGE, AWAITS_REDUCE, COMPUTES, ENDED, LOST } mb_virtual_state_t;

typedef struct {
    mb_walk_t walk;
    struct mb_world *world;
    int rank, group, step;
    double now;
    mb_simulated_pace_t pace;
    mb_virtual_state_t state;
    uint32_t message; /* that it awaits */
    int sums;         /* that were begun and are not there */
} mb_virtual_rank_t;

/* Of a group's message in steps of one parity. */
enum { SENT = 1, POSTED = 2, MOVED = 4, LEFT = 8, TAKEN = 16 };

typedef struct { /* for the sum of a bucket */
    int arrived;
    bool *here; /* [groups] */
} mb_gathering_t;

typedef struct mb_world {
    const mb_simulation_t *simulation;
    mb_arena_t *arena;
    mb_simulated_t *out;
    mb_events_t events;
    mb_virtual_rank_t *ranks; /* [stages * groups] */
    unsigned char **messages; /* [groups][2 * lines * micros] */
    mb_gathering_t *gathered; /* [buckets of all chunks] */
    double now;
} mb_world_t;

/* A message of a group is numbered ((line * micros) + micro) * 2 + parity of the step; the lines
 * are the forward edges and then the backward edges. */
typedef struct {
    bool forward;
    int edge, micro;
    int from_stage, to_stage;
    int64_t bytes;
    int tensor;
} mb_virtual_message_t;

/* simulate_rank.c */
extern const mb_walk_class_t mb_virtual_class;
mb_virtual_message_t mb_world_message(const mb_world_t *world, int group, uint32_t number);

/* simulate_network.c: when a reduction over the stage's ranks that begins now is over. */
double mb_network_reduce(mb_world_t *world, int stage, int64_t bytes);
/* Copying takes SECONDS from a rank's processor, if it computes meanwhile. */
void mb_virtual_owe(mb_virtual_rank_t *rank, double seconds);

/* simulate_stuck.c: who waits for whom. Returns MB_ERR_TIMEOUT. */
mb_status_t mb_world_stuck(const mb_world_t *world);

#endif
