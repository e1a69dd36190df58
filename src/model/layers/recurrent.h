/* What the recurrent layers share: one cell that steps through a sequence in one direction. A
 * recurrent layer has one of them, Bidirectional two. */
#ifndef MB_MODEL_LAYERS_RECURRENT_H
#define MB_MODEL_LAYERS_RECURRENT_H

#include "model/layers/packed.h"

typedef struct {
    mb_cell_t cell;
    const char *prefix; /* of its weights' names: "lstm_cell" */
    int64_t units;
    int64_t width; /* of the inputs its parameters were declared for */
    bool use_bias, backwards;
    bool sequences; /* the output has all steps, else the last one */
    bool blank;     /* the output of a step that is masked is zero, else the step's before */
    bool unrolls;   /* as Keras 3 does, which never blanks then */
    bool states;    /* returns them behind the output */
    bool keeps;     /* them, for the next batch (stateful) */
    double dropout, recurrent_dropout;
    bool apart; /* each gate drops inputs of its own */
    mb_activation_t activation, gate;
    mb_param_spec_t kernel, recurrent, bias;
} mb_recurrent_t;

/* RNN's cells, each of which is given what the one before gives. */
#define MB_MOST_CELLS 8
typedef struct {
    int n;
    const char *name;                    /* of a StackedRNNCells; NULL: the only cell has its own */
    mb_recurrent_t cells[MB_MOST_CELLS]; /* all go the same way, and through all steps but the
                                            last one, whose output is the layer's */
    const char *places[MB_MOST_CELLS];   /* where Keras keeps them */
} mb_stack_t;
/* A layer "LSTM", "GRU", "SimpleRNN" or "RNN", whose common keys the caller takes. */
mb_status_t mb_stack_parse(mb_config_t *config, const char *class_name, mb_arena_t *arena,
                           mb_stack_t *out);

/* A layer whose products are convolutions, with "filters" for units. */
mb_status_t mb_recurrent_parse_convolved(mb_config_t *config, mb_recurrent_t *out);
bool mb_recurrent_is_class(const char *class_name);

/* Opens the layer that stands under KEY of another layer's config, and takes what must agree with
 * that: dtype, trainable. */
mb_status_t mb_layer_open_inner(mb_config_t *outer, const char *key, const char **class_name,
                                mb_config_t *out);

/* LSTM's are h and c. */
int mb_recurrent_n_states(const mb_recurrent_t *recurrent);
/* Whether a call begins with what it kept; with states that are given it does not. */
bool mb_recurrent_keeps(const mb_call_t *call, const mb_recurrent_t *recurrent);
/* The output's mask: a sequence has the input's. */
mb_mask_rule_t mb_recurrent_mask(const mb_recurrent_t *recurrent);

/* MB_ERR_SHAPE where the mask has not one value for each step. */
mb_status_t mb_recurrent_check_mask(const mb_call_t *call);
/* The output's shape; MB_ERR_SHAPE where the input has none of positions x width. */
mb_status_t mb_recurrent_infer(const mb_call_t *call, const mb_recurrent_t *recurrent,
                               mb_shape_t *out);
/* What input 0 is followed by: nothing, or N_STATES initial states of SHAPES. */
mb_status_t mb_recurrent_check_states(const mb_call_t *call, int n_states,
                                      const mb_shape_t *shapes);
/* Kernel, recurrent kernel and bias, named with NAME ("forward_lstm", or NULL) and the prefix. */
mb_status_t mb_recurrent_declare(const mb_call_t *call, mb_recurrent_t *recurrent, const char *name,
                                 mb_param_list_t *list);
int mb_recurrent_params(const mb_recurrent_t *recurrent);

/* One direction of a run: whose parameters begin at PARAM, and whose blocks at SAVED and CARRY. */
typedef struct {
    const mb_recurrent_t *recurrent;
    int index; /* 0, or 1 for the second of two; 4 more for each cell of a stack */
    int param;
    bool reversed; /* the output's rows begin with the last step's */
    int64_t ldy;
    void *saved, *carry;
    int first; /* its initial states are inputs from here on; 0: none are */
    int kept;  /* where none are: the first of those it keeps from batch to batch, if it does */
    void *y, *after[2];
    const void *dy, *dafter[2];
} mb_direction_t;

/* Adds what a direction saves and carries. */
void mb_recurrent_memory(const mb_call_t *call, const mb_recurrent_t *recurrent, int64_t samples,
                         size_t *saved, size_t *carry);
mb_status_t mb_recurrent_forward(const mb_run_t *run, const mb_direction_t *direction);
/* ADDS: to the gradient of the input instead of writing it. */
mb_status_t mb_recurrent_backward_input(const mb_run_t *run, const mb_direction_t *direction,
                                        bool adds);
mb_status_t mb_recurrent_backward_weights(const mb_run_t *run, const mb_direction_t *direction);
void mb_recurrent_cost(const mb_call_t *call, const mb_recurrent_t *recurrent, mb_cost_t *out);

static inline const mb_recurrent_t *mb_stack_last(const mb_stack_t *stack)
{
    return &stack->cells[stack->n - 1];
}
/* How many states its cells have together; their shapes, where SHAPES is given. */
int mb_stack_states(const mb_stack_t *stack, mb_shape_t *shapes);
int mb_stack_params(const mb_stack_t *stack);
/* Where Keras keeps a PART of its weights' names; NULL: it is none of its own. */
const char *mb_stack_place(const mb_stack_t *stack, const char *part, size_t length);
/* NAME: that stands in front of its weights'; NULL: none does. */
mb_status_t mb_stack_declare(const mb_call_t *call, mb_stack_t *stack, const char *name,
                             mb_param_list_t *list);

/* A direction of a run in which several cells follow one another: the members are those of
 * mb_direction_t, for all of its cells. */
typedef struct {
    const mb_stack_t *stack;
    int index; /* 0, or 1 for the second of two */
    int param;
    bool reversed;
    int64_t ldy;
    void *saved, *carry;
    int first, kept;
    void *y, *after[2 * MB_MOST_CELLS];
    const void *dy, *dafter[2 * MB_MOST_CELLS];
} mb_stack_pass_t;

void mb_stack_memory(const mb_call_t *call, const mb_stack_t *stack, int64_t samples, size_t *saved,
                     size_t *carry);
mb_status_t mb_stack_forward(const mb_run_t *run, const mb_stack_pass_t *pass);
mb_status_t mb_stack_backward_input(const mb_run_t *run, const mb_stack_pass_t *pass, bool adds);
mb_status_t mb_stack_backward_weights(const mb_run_t *run, const mb_stack_pass_t *pass);
void mb_stack_cost(const mb_call_t *call, const mb_stack_t *stack, mb_cost_t *out);

#endif
