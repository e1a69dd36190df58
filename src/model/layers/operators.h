/* keras.ops in functional models: what `a + b`, `x[:, 0]` or ops.mean(x) became. Each is a class
 * like a layer's, found by its class name among the operations, and computes in the type of its
 * inputs. Its call's arguments stand in the order of the Python function, tensors and constants
 * mixed. */
#ifndef MB_MODEL_LAYERS_OPERATORS_H
#define MB_MODEL_LAYERS_OPERATORS_H

#include "model/layers/layers.h"

/* parse_call of an operation sees the positional arguments as the list "args" and the named ones by
 * name; in both, {"input": i} stands for the call's input i. */
#define MB_ARGUMENTS_KEY "args"
#define MB_ARGUMENT_INPUT "input"

/* An argument that is a tensor, a number, or an array of numbers. */
typedef struct {
    int input; /* -1: no tensor */
    float constant;
    mb_numbers_t numbers; /* no values: not an array */
} mb_operand_argument_t;

/* Argument number PLACE, called NAME, of a call: taken from where it stands; NULL: not given. */
const json_t *mb_argument_take(mb_config_t *call, int place, const char *name);
/* The same where it must be one of these (true and false are 1 and 0). */
mb_status_t mb_argument_take_operand(mb_config_t *call, mb_arena_t *arena, int place,
                                     const char *name, mb_operand_argument_t *out);
/* parse_call where the call's inputs, alone or in lists, are all there is. */
mb_status_t mb_arguments_are_inputs(mb_config_t *call, mb_arena_t *arena, void **out);
/* Takes the list of positional arguments, and refuses more than COUNT of them. */
mb_status_t mb_arguments_end(mb_config_t *call, int count);

/* An axis counted as Keras does (the samples are axis 0), within RANK axes with the samples;
 * refuses the axis of samples. */
mb_status_t mb_call_take_axis(const mb_call_t *call, int64_t axis, int rank, int *out);

/* The roles of an operation that computes with numbers. */
void mb_operator_roles(const mb_call_t *call, mb_roles_t *out);
/* Whether it is a call of NotEqual on input 0 and a number. */
bool mb_operator_compares(const mb_call_t *call, float *value);

/* By class name; NULL: there is none. */
const mb_layer_class_t *mb_operator_class_find(const char *name);

/* The classes of each file by number; NULL past the last. */
const mb_layer_class_t *mb_operators_elementwise(size_t index);
const mb_layer_class_t *mb_operators_reduce(size_t index);
const mb_layer_class_t *mb_operators_move(size_t index);
extern const mb_layer_class_t mb_operator_getitem; /* the last of them */
const mb_layer_class_t *mb_operators_activation(size_t index);
const mb_layer_class_t *mb_operators_matmul(size_t index);
const mb_layer_class_t *mb_operators_einsum(size_t index);
const mb_layer_class_t *mb_operators_cast(size_t index);
const mb_layer_class_t *mb_operators_split(size_t index);

#endif
