/* The inside of a simulation. */
#ifndef MB_PIPELINE_SIMULATE_PRIVATE_H
#define MB_PIPELINE_SIMULATE_PRIVATE_H

#include "base/events.h"
#include "pipeline/simulate.h"

typedef enum { FREE = 0, AWAITS_MESSAGE, AWAITS_SUM, COMPUTES, ENDED, LOST } mb_virtual_state_t;

typedef struct {
    mb_walk_t walk;
    struct mb_world *world;
    int rank, group, step;
    double now;
    mb_simulated_pace_t pace;
    mb_virtual_state_t state;
    uint32_t message; /* that it awaits */
    int bucket;       /* whose sum it awaits */
    int part;         /* of an action, that it is in */
    int piece;        /* of the stage's, that it looks after in that */
    int sums;         /* under way */
    bool takes_rooms;
} mb_virtual_rank_t;

/* Of a group's message in steps of one parity. */
enum { SENT = 1, POSTED = 2, MOVED = 4, LEFT = 8, TAKEN = 16 };

/* What arrives is a message between stages, of a group (the upper half) by its number, or one of a
 * sum, by the number of its end (simulate_sums.c). */
#define MB_OF_SUM (UINT64_C(1) << 63)

typedef struct mb_world {
    const mb_simulation_t *simulation;
    mb_arena_t *arena;
    mb_simulated_t *out;
    mb_events_t events;       /* a rank may go on */
    mb_virtual_rank_t *ranks; /* [stages * groups] */
    unsigned char **messages; /* [groups][2 * lines * micros] */
    struct mb_sums *sums;     /* NULL: nothing is summed */
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
/* SECONDS pass for the rank: *DONE is false until its own event has come. */
mb_status_t mb_virtual_pass(mb_virtual_rank_t *rank, double seconds, bool *done);

/* simulate_network.c: copying takes SECONDS from a rank's processor, if it computes meanwhile. */
void mb_virtual_owe(mb_virtual_rank_t *rank, double seconds);

/* simulate_stuck.c: who waits for whom. Returns MB_ERR_TIMEOUT. */
mb_status_t mb_world_stuck(const mb_world_t *world);

/* simulate.c: a rank that waited goes on. */
mb_status_t mb_virtual_go_on(mb_virtual_rank_t *rank);

#endif
