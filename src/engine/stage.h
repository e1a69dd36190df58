/* What one rank holds of a model: its stage's parameters and gradients, and the tensors of the
 * micro-batches in flight. All memory is planned and taken before the first step.
 *
 *     parameters   one block; a layer's parameters once, however often it is called
 *     gradients    one block per open subtree of the replica tree (comm/tree.h); inside a block one
 *                  entry per (call, parameter), so that every call of a shared layer accumulates
 *                  apart; or one block that has a part of them at a time (stage_rooms.h)
 *     sums         one block of doubles per replica of the group: batch statistics, losses,
 *                  activity sums
 *     slots        of each chunk, one per micro-batch in flight: received tensors, outputs and
 *                  saved that are kept for its backward (pipeline/kept.h), labels, gradients
 *                  received and to be sent
 *     inside       once, for the chunk and the micro-batch that are at work: outputs and saved that
 *                  are not kept, and gradients of tensors; what is never there at the same time
 *                  shares its place (pipeline/lives.h). Of a chunk apart, where it lasts from
 *                  forward to backward
 *     backward     of each chunk, where gradients of weights come later, one per micro-batch in
 *                  flight: the gradients that these are made from
 *     rooms        of each chunk that is offloaded, instead of the slots for what is kept: two, and
 *                  one in host memory per micro-batch in flight (stage_offload.h)
 *     states       what layers keep from batch to batch, of all rows of the group (stage_states.c)
 *
 * A tensor that several chunks of the stage read stands in the slot of the first one that has it.
 *
 * A tensor's gradient is the sum over its uses, added in descending node order (the loss of a model
 * output first), wherever the consumers run. */
#ifndef MB_ENGINE_STAGE_H
#define MB_ENGINE_STAGE_H

#include "comm/shared.h"
#include "engine/look.h"
#include "model/loss.h"
#include "pipeline/kept.h"
#include "quant/format.h"

typedef struct {          /* places of one node in a stage's memory; offsets in bytes, -1: none */
    int chunk;            /* whose slot and backward area these are */
    int64_t output;       /* in a slot, or inside: of local and of received tensors */
    bool inside;          /* the output is */
    bool saved_inside;    /* what is saved is */
    bool away;            /* the output is among what is offloaded */
    bool saved_away;      /* what is saved is */
    bool again;           /* the node is computed again */
    int64_t saved, carry; /* saved: in a slot, or inside; carry: with the gradient */
    int64_t gradient;     /* inside, or in a backward area: the sum of the tensor's gradients */
    bool waits;           /* gradient and carry are in the latter, until those of weights come */
    bool in_place;        /* the gradient takes the output's own place: only the loss reads it */
    bool shares; /* the gradient stands where that of the sum does that the node is a term of */
    bool hands_on[MB_MAX_INPUTS]; /* a sum's, to the terms as it is (pipeline/gradients.h) */
    int64_t sums;                 /* index into a double block */
    int64_t activity;             /* index into a double block: sum |x|, sum x^2 */
    int64_t entries[MB_MAX_LAYER_PARAMS]; /* float among all gradients; -1: not trained */
    int64_t written[MB_MAX_LAYER_PARAMS]; /* where a backward writes it, in a gradient block */
    void *constants;                      /* the class's, in device memory; NULL: none */
    void *given; /* memory of the caller's that has the output instead; NULL: its own place */
    int n_states;
    size_t states[MB_MAX_STATES]; /* in the stage's block: of the first micro-batch */
    mb_memory_t memory;
} mb_node_place_t;

typedef struct { /* of a model output whose node is on this stage */
    int output, chunk;
    int64_t labels;   /* in a slot */
    int64_t weights;  /* in a slot, of the loss's values, and behind them its mask; -1: all one */
    int64_t sums;     /* index into a double block: { loss, correct }, then the metrics' states */
    float *constants; /* the metrics', in device memory; NULL: none */
} mb_output_place_t;

typedef struct { /* what a stored matrix points to, to be written to */
    void *values, *scales;
    uint8_t *zeros;
    float *row_scales;
    int32_t *column_sums;
} mb_matrix_memory_t;

typedef struct { /* of one of the stage's chunks of the model */
    int chunk;
    int first_node, end_node;
    int64_t first_gradient, gradient_count; /* its stretch of all gradients */
    int64_t first_sum, sum_count;           /* and of a double block */
    int64_t first_own, own_at;              /* where sums are given away: the first gradient of this
                                               group's part, and its place in block 0 */

    int n_slots;
    size_t slot_bytes, inside_bytes, backward_bytes;
    char **slots;
    size_t kept_bytes;          /* of a micro-batch, what is offloaded; 0: nothing is */
    char *rooms[MB_KEPT_ROOMS]; /* where that is on the device (stage_offload.h) */
    bool lasts;                 /* what is inside does */
    char *inside;               /* its own where it lasts, else the stage's */
    int n_areas;                /* of gradients: 1, or one a slot when B and W stand apart */
    char *backward;             /* [n_areas][backward_bytes]; NULL: all gradients are inside */
    void **gradient_now; /* [n_areas][n_nodes] where a tensor's gradient stands; NULL: none came */
    int64_t temporary[MB_MAX_INPUTS]; /* inside */
} mb_stage_chunk_t;

typedef struct mb_stage {
    const mb_graph_t *graph;
    const mb_plan_t *plan;
    const mb_loss_t *losses; /* NULL: prediction */
    int stage;
    bool training;
    mb_exec_t *exec;
    mb_arena_t *arena;

    mb_kept_t kept;
    bool offloads;
    struct mb_stage_offload *offload; /* NULL: nothing is offloaded */
    char *inside;                     /* of all chunks in which it does not last */
    int n_chunks;
    mb_stage_chunk_t *chunks;    /* ascending */
    mb_stage_chunk_t **chunk_of; /* [plan->chunks] NULL: elsewhere */
    mb_node_place_t *places;     /* [graph->n_nodes]; also of tensors received from other stages */
    int n_outputs;
    mb_output_place_t *outputs;
    int64_t *edge_gradients; /* [n_backward_edges] offset in a slot: received or to be sent; -1 */

    int n_params;
    int *params;    /* graph indices of the parameters that live here, ascending */
    float **values; /* [graph->n_params] device memory; NULL: elsewhere, or kept as `stored` says */
    mb_matrix_t *
        *stored;    /* [graph->n_params] in use instead of values; device memory; NULL: none */
    void **shadows; /* [graph->n_params] what forward and backward use instead of values:
                        operands in the type that is computed in, and for QAT rounded; NULL: none */
    mb_matrix_memory_t *memory; /* [graph->n_params] behind `stored` */
    bool rounds;                /* QAT */
    mb_format_t round_to;
    bool integer;
    const mb_observer_t *observer; /* may be set between steps */
    const mb_look_t *look;         /* NULL: nobody looks. May be set between steps */
    mb_node_cost_t *timed;         /* [n_nodes] to add what each call takes, for which the device is
                                      waited for; NULL: not timed. May be set between steps */
    mb_status_t (*between)(void *user); /* between calls of a backward; NULL: nothing to do */
    void *between_user;
    float loss_scale; /* gradients are of the loss times this; set between steps */
    bool *owned;      /* [graph->n_params] this stage updates and stores it */
    bool shares_values;

    int64_t gradient_count; /* floats of all gradients: what a block has, but for stage_rooms.h */
    int64_t held_count;     /* floats in a gradient block */
    int64_t summed_count;   /* of these the first ones that are sums when a step's are through */
    bool gives_away;        /* all but its part of the sums; then: */
    int64_t rooms[MB_BUCKET_ROOMS]; /* where they begin in the block */
    int64_t sum_count;              /* doubles in a double block */
    int n_blocks;                   /* gradient blocks: depth of the replica tree's stack */
    float **gradients;              /* [n_blocks] */
    size_t stride;                  /* bytes from one block to the next, where they are shared */
    char *front;                    /* of a device that counts, what stands in front of these */
    mb_shared_t *shared; /* they stand there, behind a window's front; NULL: in device memory */
    int n_sum_blocks;    /* replicas of the group */
    double **sums;       /* [n_sum_blocks] */

    size_t parameter_bytes;
    size_t block_bytes; /* of all else that it has taken of the device */
    size_t state_bytes;
    char *states; /* NULL: nothing is kept */
} mb_stage_t;

typedef struct {
    const mb_plan_t *plan;
    const mb_loss_t *losses;
    int stage;
    int n_blocks;     /* gradient blocks, see mb_tree_slots; 0 when not training */
    int n_sum_blocks; /* replicas of the group; 0 without losses */
    int parts, part;  /* of the summed gradients this one of so many is kept; below 2: all */
    mb_exec_t *exec;
    const mb_stage_t *values_of; /* share the parameters of this stage (validation); NULL: own */
    bool integer;                /* activations may be quantized */
    const mb_format_t *round_to; /* QAT: shadows in this format; NULL: none */
    bool offloads;               /* what is kept for backwards stands in host memory */
    bool shares; /* gradient blocks stand in memory that ranks of the node may see, if there is */
} mb_stage_options_t;

/* Not collective. Plans and takes the memory; parameters are not set. */
mb_status_t mb_stage_create(const mb_stage_options_t *options, mb_stage_t **out);
void mb_stage_destroy(mb_stage_t *stage);

/* Lets PARAM, which has float values here, be used as MATRIX is (host memory, copied to the
 * device); NULL: as its floats again. The engine must be prepared anew before it runs. Not
 * collective. */
mb_status_t mb_stage_use_matrix(mb_stage_t *stage, int param, const mb_matrix_t *matrix);
/* Writes the shadows anew from the values; the executor does so before a step's first forward. */
mb_status_t mb_stage_round(mb_stage_t *stage);

/* One micro-batch's place in the step. */
typedef struct mb_micro {
    int chunk;       /* of the model: what is run */
    int slot;        /* of that chunk */
    int block;       /* gradient block its replica accumulates into */
    int index;       /* among those of the group: its rows of the states */
    int replica;     /* of this group, from 0: its block of sums */
    bool accumulate; /* not the replica's first micro-batch */
    bool again;      /* its forward is computed again: nothing is counted */
    int bucket;      /* of a backward that computes this bucket alone; 0: the chunk as a whole */
    int64_t valid;
    uint64_t seed;
    uint32_t step;
    uint32_t position; /* of its first sample in the global batch */
    int64_t batch;     /* samples of the global batch that count: the loss's divisor */
} mb_micro_t;

/* Forward of a chunk's nodes for one micro-batch. Evaluation adds losses too. */
mb_status_t mb_stage_forward(mb_stage_t *stage, const mb_micro_t *micro);
/* The same again, in front of a backward: the same bits. */
mb_status_t mb_stage_recompute(mb_stage_t *stage, const mb_micro_t *micro);
/* Gradients of the inputs, of the weights, or both. */
mb_status_t mb_stage_backward_input(mb_stage_t *stage, const mb_micro_t *micro);
mb_status_t mb_stage_backward_weights(mb_stage_t *stage, const mb_micro_t *micro);

/* Both, node by node: the same operations as the two calls. */
mb_status_t mb_stage_backward(mb_stage_t *stage, const mb_micro_t *micro);

/* Whether some call of the layer has weights to train and an output that needs it: only then Keras
 * updates them. */
bool mb_stage_trains_layer(const mb_graph_t *graph, int layer);

/* What calls keep from batch to batch becomes zeros, as it is at first. Between steps. */
mb_status_t mb_stage_forget_states(mb_stage_t *stage);
/* All of them to or from TO, device memory of state_bytes, on the stream. */
mb_status_t mb_stage_keep_states(mb_stage_t *stage, void *to);
mb_status_t mb_stage_take_states_back(mb_stage_t *stage, const void *from);
/* The rows that a micro-batch of the group has in one of a node's states, [micro_batch] of them, as
 * floats in host memory. Between steps. */
mb_status_t mb_stage_read_state(const mb_stage_t *stage, int node, int state, int micro,
                                float *values);
mb_status_t mb_stage_write_state(const mb_stage_t *stage, int node, int state, int micro,
                                 const float *values);

static inline bool mb_stage_has_node(const mb_stage_t *stage, int node)
{
    return stage->plan->stage_of_node[node] == stage->stage;
}
/* What the slots and areas of its chunks take. */
size_t mb_stage_activation_bytes(const mb_stage_t *stage);
/* And what of them stands in host memory. */
size_t mb_stage_host_bytes(const mb_stage_t *stage);

/* Device addresses, of a micro-batch of the group's step. */
void *mb_stage_tensor(const mb_stage_t *stage, int micro, int node);
/* Lets a node's output stand in MEMORY of the device, with room for a micro-batch, until it is told
 * otherwise; NULL: in its own place. Of a stage that has the whole model, predicts, and is between
 * two micro-batches. Returns whether that is new: recordings are then to be forgotten. */
bool mb_stage_give(mb_stage_t *stage, int node, void *memory);
void *mb_stage_labels(const mb_stage_t *stage, int micro, int output_place);
float *mb_stage_weights(const mb_stage_t *stage, int micro, int output_place);
/* NULL: the output has no mask. */
const float *mb_stage_mask(const mb_stage_t *stage, int micro, int output_place);
void *mb_stage_edge_gradient(const mb_stage_t *stage, int micro, int edge);
float *mb_stage_entry(const mb_stage_t *stage, int block, int node, int param);

#endif
