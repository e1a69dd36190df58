/* A run of a plan in virtual time: all ranks of a grid in one process. Each rank's walk (walk.h) is
 * the one that a real rank makes; what computes is a clock, what carries messages a model of links.
 *
 *     a rank      walks until it waits, and is gone on with when an event ends the wait
 *     a message   begins to move when both its ends are there (rendezvous); it takes the sender's
 *                 way out and the receiver's way in, which messages that are on them at one time
 *                 share (base/flows.h), and is there a latency later; between ranks of a node the
 *                 ways are each device's own, between nodes the node's, which its devices share
 *     REDUCE      begins a sum over the groups: the messages and additions that a rank over MPI
 *                 makes of it (comm/reduce_plan.h), gone on with between actions; STEP waits for it
 *
 * The same options give the same times, bit by bit. */
#ifndef MB_PIPELINE_SIMULATE_H
#define MB_PIPELINE_SIMULATE_H

#include "base/flows.h"
#include "pipeline/hardware.h"
#include "pipeline/walk.h"

typedef struct {
    int rank;
    double factor; /* of the time that its actions take */
} mb_straggler_t;

typedef struct {
    int rank;
    int step; /* does no action of it any more; from 0 */
} mb_loss_of_rank_t;

typedef struct {                  /* --zero */
    const int64_t *const *bounds; /* [buckets] of each [groups + 1]: where the groups' parts of its
                                     floats begin */
    bool stay;                    /* a sum comes to the group whose part it is, and to no other */
    bool take_rooms;              /* buckets take rooms in turn (engine/stage_rooms.h) where that
                                     is less than all gradients */
} mb_parts_t;

typedef struct {
    const mb_grid_t *grid;
    const mb_plan_t *const *plans; /* [groups] training; may be the same */
    const mb_chunk_cost_t *costs;  /* [chunks] seconds; `send` is not read: messages have a way */
    const double *update_seconds;  /* [stages] of STEP; NULL: none */
    const int64_t *gradient_bytes; /* [buckets of all chunks] that REDUCE sums; NULL: none */
    const int64_t *sum_counts;     /* [chunks] doubles that it sums with the last of a chunk's
                                      buckets; NULL: none */
    const mb_parts_t *parts;       /* that groups share updates out by; NULL: each makes all */
    const double *bucket_parts;    /* [buckets] of the seconds of its chunk's backward, that of the
                                      bucket's layers; NULL: all alike */
    const mb_hardware_t *hardware; /* its links; a bandwidth of INFINITY holds up nothing */
    double jitter; /* each action takes up to this part more or less, evenly spread */
    const mb_straggler_t *stragglers;
    int n_stragglers;
    const mb_loss_of_rank_t *losses;
    int n_losses;
    uint64_t seed;
    int steps;
    /* Every action as it ends. NULL: not wanted. */
    void (*observe)(void *user, int rank, int step, const mb_action_t *action,
                    const mb_walk_times_t *times);
    void *observer;
} mb_simulation_t;

typedef struct {          /* averages over the groups, of all steps */
    double compute, wait; /* for messages */
    double reduce;        /* waiting for sums */
    double update;
    int64_t bytes; /* sent to other stages */
} mb_simulated_stage_t;

typedef struct {
    double end; /* of the last action of the last step */
    int64_t events;
    int64_t messages, bytes;      /* between stages */
    mb_simulated_stage_t *stages; /* [stages] */
    int n_nodes;
    mb_flow_way_t *device_out, *device_in; /* [ranks] inside nodes */
    mb_flow_way_t *node_out, *node_in;     /* [n_nodes] */
    mb_flows_t flows;
} mb_simulated_t;

/* What mb_simulate makes its times from, for who runs the ranks otherwise
 * (train/simulating_real.c). Ways and stages of OUT, in the arena, with nothing counted. */
mb_status_t mb_simulated_prepare(const mb_simulation_t *simulation, mb_arena_t *arena,
                                 mb_simulated_t *out);
/* A message begins to move at NOW. WHAT comes out of OUT's flows when it is there. */
mb_status_t mb_simulated_move(const mb_simulation_t *simulation, mb_simulated_t *out, double now,
                              int from, int to, int64_t bytes, uint64_t what);
/* Whether two ranks are of one node. */
bool mb_simulated_near(const mb_hardware_t *hardware, int from, int to);
/* What copying it takes from each end's processor, where that computes meanwhile. */
double mb_simulated_copying(const mb_simulation_t *simulation, int from, int to, int64_t bytes);
/* A rank's: of its stragglers' factors and of chance. */
typedef struct {
    int rank, step;
    uint32_t n_drawn; /* in the step */
    double factor;
    double owed; /* seconds that messages have taken from its processor while it computed: they
                    come to the next thing that it does */
} mb_simulated_pace_t;
mb_simulated_pace_t mb_simulated_pace(const mb_simulation_t *simulation, int rank);
/* What additions take that read and write so many bytes. */
double mb_simulated_adding(const mb_simulation_t *simulation, double bytes);
/* What an action takes the rank that takes SECONDS by itself. Once for each, in their order. */
double mb_simulated_seconds(const mb_simulation_t *simulation, mb_simulated_pace_t *pace, int step,
                            double seconds);
bool mb_simulated_is_lost(const mb_simulation_t *simulation, int rank, int step);
/* Counts in what a rank's actions have cost, of one of GROUPS groups; bytes add up over them. */
void mb_simulated_add(mb_simulated_t *out, int stage, const mb_action_cost_t *costs, int groups);

/* Results are in the arena. MB_ERR_TIMEOUT: from some time on nothing moves; the message says which
 * ranks are lost, and who waits for whom. MB_ERR_INTERNAL: a plan sends or receives a message
 * twice. */
mb_status_t mb_simulate(const mb_simulation_t *simulation, mb_arena_t *arena, mb_simulated_t *out);

#endif
