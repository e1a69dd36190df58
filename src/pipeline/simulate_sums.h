/* Sums over groups in a simulation, as the messages that a run sends. A bucket of a chunk is summed
 * by one rank of each group; each follows its own plan (comm/reduce_plan.h), round by round, and
 * goes on where a run's rank does: between actions, in front of a backward, where it waits for
 * sums, and where a bucket needs a room that another one is in (engine/stage_reduce.h).
 *
 * What calls take a DONE are made again until they leave it true, as a walk's are. */
#ifndef MB_PIPELINE_SIMULATE_SUMS_H
#define MB_PIPELINE_SIMULATE_SUMS_H

#include "pipeline/simulate_private.h"

/* ---- plans (simulate_sum_plans.c) */

typedef struct {
    int32_t group; /* the other end */
    bool sends;
    unsigned char kind; /* messages of one kind between two groups meet in their order */
    int64_t bytes;
} mb_sum_message_t;

typedef struct {
    int first, end; /* of the plan's messages */
    bool gathers;   /* begins when all groups have come to it */
    double added;   /* bytes that its additions read and write */
} mb_sum_round_t;

typedef struct {
    int n_rounds, n_scatter;
    mb_sum_round_t *rounds;
    mb_sum_message_t *messages;
} mb_sum_plan_t;

/* Of each group, for each bucket; buckets of one shape have the same ones. In the arena.
 *
 * Where more than so many groups exchange directly, which is n (n - 1) messages, a group's peers
 * are taken in 32 runs by their distance, and one of each stands for its run: it gets and sends the
 * bytes of all. The round begins when all groups are there. So what every way carries is right, and
 * that nobody is through before the last has come; which node the bytes of a run are for is not. */
mb_status_t mb_sum_plans(const mb_simulation_t *simulation, mb_arena_t *arena,
                         const mb_sum_plan_t ***out);
enum { MB_SUM_RUNS = 32 };
/* Bits of a kind: doubles; finished parts. */
enum { MB_SUM_WIDE = 1, MB_SUM_SHARES = 2 };

/* ---- sums (simulate_sums.c) */

typedef struct {
    int round, left; /* of the round's messages, that are not there */
    int box;         /* ends of messages to this group whose other end lacks */
    bool under_way;
    bool gathers; /* waits for all groups to come to its round */
    bool gives;   /* gives finished parts out, from which the sum had kept them */
    bool in_room; /* until it is through */
} mb_sum_t;

typedef struct { /* an end of a message that waits for its other one, or that moves */
    int next, bucket;
    int from, to; /* groups */
    bool sends;
    unsigned char kind;
    int64_t bytes;
} mb_sum_end_t;

typedef struct mb_sums {
    const mb_sum_plan_t **plans; /* [buckets][groups] */
    mb_sum_t **sums;             /* [buckets][groups] */
    int *gathered;               /* [buckets] groups that have come to a round that gathers */
    int *stage_of, *chunk_of, *room_of; /* [buckets] */
    int **pieces;                       /* [stages] its buckets, in the order of its chunks */
    int *n_pieces;
    mb_sum_end_t *ends;
    int n_ends, room_of_ends, free;
} mb_sums_t;

mb_status_t mb_sums_create(mb_world_t *world); /* simulate_sums_create.c */
void mb_sums_free(mb_sums_t *sums);
/* Begins those of a chunk's bucket, from 1; 0: of all; chunk -1: of the stage. */
mb_status_t mb_sums_start(mb_virtual_rank_t *rank, int chunk, int bucket);
/* What can be done without waiting. */
mb_status_t mb_sums_go_on(mb_virtual_rank_t *rank, bool *done);
/* Waits for all. */
mb_status_t mb_sums_finish(mb_virtual_rank_t *rank, bool *done);
/* Waits until the bucket of a chunk has room (0: all of its buckets). */
mb_status_t mb_sums_make_room(mb_virtual_rank_t *rank, int chunk, int bucket, bool *done);
/* Gives new values out, where groups share updates out. */
mb_status_t mb_sums_gather(mb_virtual_rank_t *rank, bool *done);
/* An end's message is there. */
mb_status_t mb_sums_arrive(mb_world_t *world, uint64_t what);
/* The group whose message the rank's sum of BUCKET lacks; -1: none. */
int mb_sums_awaited(const mb_world_t *world, int bucket, int group);

#endif
