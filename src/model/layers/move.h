/* Layers and operations that only move elements: each says which view of an input becomes which
 * view of the output, in one or more moves, and both directions follow from that. */
#ifndef MB_MODEL_LAYERS_MOVE_H
#define MB_MODEL_LAYERS_MOVE_H

#include "model/layers/view.h"

/* Where the input's view repeats elements, its gradient is the sum over them. */
typedef struct {
    int input;
    mb_view_t from, to; /* of the input, of the output */
} mb_move_t;

typedef struct { /* the class's kind */
    /* How many moves there are, and number INDEX of them. */
    int64_t (*count)(const mb_call_t *call);
    void (*move)(const mb_call_t *call, int64_t samples, int64_t index, mb_move_t *out);
    /* What stands where no move goes to; NULL: moves go everywhere. */
    float (*fill)(const mb_call_t *call);
    bool leaves; /* moves leave elements of an input out: their gradient is zero */
} mb_moves_t;

int64_t mb_move_once(const mb_call_t *call);
int64_t mb_move_each_input(const mb_call_t *call);
mb_status_t mb_move_forward(const mb_run_t *run);
mb_status_t mb_move_backward(const mb_run_t *run);
void mb_move_cost(const mb_call_t *call, mb_cost_t *out);

/* The rest are the mb_moves_t's members. */
#define MB_MOVE_CLASS(keras, parser, caller, inferrer, ...)                                        \
    {                                                                                              \
        .size = sizeof(mb_layer_class_t), .name = keras, .kind = &(const mb_moves_t){__VA_ARGS__}, \
        .parse = parser, .parse_call = caller, .infer = inferrer, .memory = mb_call_keeps_nothing, \
        .forward = mb_move_forward, .backward_input = mb_move_backward, .cost = mb_move_cost       \
    }

#endif
