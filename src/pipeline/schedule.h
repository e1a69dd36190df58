/* Schedules: what every stage of a pipeline computes in a step, in which order. They know chunks
 * and micro-batches, nothing of tensors, messages or devices.
 *
 * A model is cut into chunks, 0 to chunks - 1 in the order of the forward pass; a stage holds one
 * or several. Micro-batches of a chunk go forward in ascending order, and their gradients of
 * weights are computed in ascending order, since that is the order of the sums; only a file that
 * was asked for as one that need not keep it goes back in another one. */
#ifndef MB_PIPELINE_SCHEDULE_H
#define MB_PIPELINE_SCHEDULE_H

#include "base/arena.h"
#include "base/error.h"

#include <stdbool.h>

typedef enum {
    MB_ACTION_F = 0,     /* forward of micro-batch `micro` */
    MB_ACTION_B,         /* gradient of the inputs */
    MB_ACTION_W,         /* gradient of the weights */
    MB_ACTION_BW,        /* both */
    MB_ACTION_R,         /* recompute the forward */
    MB_ACTION_SEND_ACT,  /* edge: forward edge */
    MB_ACTION_RECV_ACT,  /* posts the receive; the wait is in front of the action that needs it */
    MB_ACTION_SEND_GRAD, /* edge: backward edge */
    MB_ACTION_RECV_GRAD,
    MB_ACTION_REDUCE, /* gradients and sums of a chunk over the replicas: begins */
    MB_ACTION_STEP,   /* awaits the sums; tied sums, clipping, optimizer, statistics */
    MB_ACTION_COUNT
} mb_action_kind_t;

typedef struct {
    mb_action_kind_t kind;
    int chunk; /* of the model; -1: does not apply */
    int micro; /* micro-batch of the group's step: replica * M + m, from 0; -1: does not apply */
    int edge;  /* -1: does not apply */
    int peer;  /* stage; -1: does not apply */
    int tag;
    int bucket; /* of the chunk's buckets, from 1 (plan.h): of a REDUCE that sums this one, of a
                   backward that computes its gradients alone; 0: the chunk as a whole */
    bool joins; /* a message of an ordered plan: handed over together with the one before it */
} mb_action_t;

typedef struct { /* of one stage */
    int n;
    mb_action_t *actions;
    bool splits_backward; /* B and W stand apart */
} mb_program_t;

typedef enum {
    MB_SCHEDULE_GPIPE = 0,
    MB_SCHEDULE_1F1B,
    MB_SCHEDULE_INTERLEAVED,
    MB_SCHEDULE_ZB_H1,
    MB_SCHEDULE_ZB_H2,
    MB_SCHEDULE_ZB_V,
    MB_SCHEDULE_AUTO,
    MB_SCHEDULE_FILE,
    MB_SCHEDULE_UNORDERED /* a name's: it becomes a file's choice with any_order */
} mb_schedule_kind_t;

/* What a chunk's actions take, in any unit of time. */
typedef struct {
    double forward, backward_input, backward_weights;
    double send; /* of its output to the next chunk's stage, and of that one's gradient back */
    double kept; /* of forward: what R leaves out, since it is kept */
} mb_chunk_cost_t;

typedef struct { /* as --schedule and --recompute say it */
    mb_schedule_kind_t kind;
    int per_stage;    /* chunks of a stage, of interleaved and auto; others have their own number */
    const char *path; /* of a file */
    bool any_order;   /* of a file: backward in any order, on which the bits then depend */
    bool recomputes;  /* R in front of backward actions: see mb_schedule_make */
    int segments;     /* that a chunk is cut into when training, to be computed again one by one, as
                         chunks of their own; 0: as 1 */
    const char *layers; /* those that it is about, as patterns (recompute.h); NULL: all */
    const bool *again;  /* [chunks] that have such layers; NULL: all. A plan finds them itself */
    /* What an automatic one is made from; others leave them alone. In a plan's options costs may be
     * NULL: then the plan adds up those of its nodes and of what crosses. */
    const mb_chunk_cost_t *costs; /* [chunks], of segments, NULL: all take as long */
    const double *weight; /* [chunks] of a micro-batch's activations, as of bytes; NULL: 1 */
    const double *limits; /* [stages] weight of activations held at most; NULL: that of as many
                             micro-batches as there are stages, as 1F1B's first stage holds */
} mb_schedule_choice_t;

/* Segments that a chunk is cut into. */
static inline int mb_schedule_segments(const mb_schedule_choice_t *choice, bool training)
{
    return training && choice->segments > 1 ? choice->segments : 1;
}

typedef struct {
    int stages, chunks, micros;
    int *stage_of;    /* [chunks] */
    int *first_chunk; /* [stages] the stage's first one */
    int *next_chunk;  /* [chunks] the next one of the same stage; -1: none */
    int *slots;       /* [chunks] micro-batches in flight at most */
    bool *again;      /* [chunks] that a file has R's of; NULL: of none */
    int **turns; /* [chunks][micros] which one of the chunk's gradients of weights a micro-batch's
                    is, from 0; NULL: they come in ascending order */
    mb_program_t *programs; /* [stages] compute actions only */
} mb_schedule_t;

/* "gpipe", "1f1b", "interleaved", "interleaved:V", "zb-h1", "zb-h2", "zb-v", "auto", "auto:V",
 * "file:PATH", "unordered:PATH" (PATH stays TEXT's). MB_ERR_ARGUMENT lists them and the nearest
 * one. */
mb_status_t mb_schedule_parse(const char *text, mb_schedule_choice_t *out);
/* Chunks of the model on so many stages, before they are cut into segments; of a file, 0: it says
 * so itself. */
int mb_schedule_chunks(const mb_schedule_choice_t *choice, int stages);
/* The stage of a chunk, before it is cut into segments: round after round over the stages; those
 * made for it go there and back. Not of a file. */
int mb_schedule_stage_of(mb_schedule_kind_t kind, int stages, int chunk);
/* MICROS micro-batches on STAGES stages, forward only unless TRAINING; in the arena. The same on
 * every rank. Where it recomputes, a stage holds what lies between a chunk's inputs and its outputs
 * for one chunk and one micro-batch only, those of its last F or R, and an R stands in front of
 * each backward action on others. MB_ERR_ARGUMENT: a limit below one micro-batch; it or MB_ERR_IO:
 * a file that is none or does not fit (schedule_file.c). */
mb_status_t mb_schedule_make(const mb_schedule_choice_t *choice, bool training, int stages,
                             int micros, mb_arena_t *arena, mb_schedule_t *out);
/* Adds the R's of the chunks that AGAIN names ([chunks]; NULL: of all) to the programs of one made
 * without, or with some of them; leaves out those of others. An R with nothing of its stage between
 * itself and its own F is never there. */
mb_status_t mb_schedule_recompute(mb_schedule_t *schedule, const bool *again, mb_arena_t *arena);

/* Whether what lies between a chunk's inputs and its outputs stays where it is from forward to
 * backward: of a chunk with one micro-batch in flight that is not computed again. The others of a
 * stage use one place for it in turn. */
static inline bool mb_chunk_lasts(int slots, bool again)
{
    return slots == 1 && !again;
}

typedef struct {
    double **begin; /* [stages][actions] */
    double end;     /* of the last action */
    double step;    /* the most that a stage takes from its first action to its last: what a step
                       takes behind another one, which each stage begins when it is free */
    double bubble;  /* the most that a stage idles between its first action and its last */
    double *work;   /* [stages] */
    double *peak;   /* [stages] chunks' worth of activations held at most, each by its weight */
} mb_schedule_times_t;

/* When every action begins if none waits for more than its stage and what it computes from. Chunk c
 * holds activations of WEIGHT[c] from a micro-batch's forward to its gradients of weights (NULL:
 * 1). MB_ERR_ARGUMENT names a stage that would wait for ever. */
mb_status_t mb_schedule_time(const mb_schedule_t *schedule, const mb_chunk_cost_t *costs,
                             const double *weight, mb_arena_t *arena, mb_schedule_times_t *out);
double mb_action_seconds(const mb_chunk_cost_t *cost, mb_action_kind_t kind);

#endif
