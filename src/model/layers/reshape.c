/* Layers that move no element: Flatten, Reshape and Identity. A call owns its output, so they copy.
 */
#include "model/layers/layers.h"

#include <inttypes.h>

static mb_status_t parse_identity(mb_config_t *config, mb_arena_t *arena, void **out)
{
    (void)config;
    (void)arena;
    *out = NULL;
    return MB_OK;
}

static mb_status_t parse_flatten(mb_config_t *config, mb_arena_t *arena, void **out)
{
    (void)arena;
    *out = NULL;
    return mb_config_only(config, "data_format", "\"channels_last\"");
}

/* The target with at most one -1, as the config says it. */
static mb_status_t parse_reshape(mb_config_t *config, mb_arena_t *arena, void **out)
{
    const json_t *value = json_object_get(config->object, "target_shape");
    mb_shape_t *target = MB_ARENA_NEW(arena, mb_shape_t);
    int unknown = 0;
    if (target == NULL)
        return mb_error_memory("a layer", sizeof(*target));
    if (json_array_size(value) > MB_MAX_RANK)
        return mb_error_set(MB_ERR_UNSUPPORTED, "%s: key 'target_shape' has more than %d entries",
                            config->where, MB_MAX_RANK);
    target->rank = (int)json_array_size(value);
    MB_TRY(mb_config_ints(config, "target_shape", target->rank, -1, target->dim));
    for (int i = 0; i < target->rank; i++) {
        unknown += target->dim[i] == MB_OPEN;
        if (target->dim[i] == 0 || target->dim[i] > MB_LAYER_MAX_SIZE || unknown > 1)
            return mb_error_set(MB_ERR_ARGUMENT,
                                "%s: entry %d of key 'target_shape' is %" PRId64
                                "; entries are sizes, and one may be -1",
                                config->where, i, target->dim[i]);
    }
    *out = target;
    return MB_OK;
}

static mb_status_t expect_one(const mb_call_t *call)
{
    if (call->n_inputs == 1)
        return MB_OK;
    return mb_call_error(call, MB_ERR_SHAPE, "takes 1 input, found %d", call->n_inputs);
}

static mb_status_t infer_identity(mb_call_t *call)
{
    MB_TRY(expect_one(call));
    mb_call_keep_shape(call);
    return MB_OK;
}

static mb_status_t infer_flatten(mb_call_t *call)
{
    MB_TRY(infer_identity(call));
    call->output.rank = 1;
    return mb_call_product(call, &call->inputs[0], 0, call->inputs[0].rank, &call->output.dim[0]);
}

/* Replaces the -1 by what is left of ELEMENTS. */
static mb_status_t fit_target(mb_call_t *call, int64_t elements)
{
    mb_shape_t *shape = &call->output;
    char from[MB_SHAPE_TEXT], to[MB_SHAPE_TEXT];
    int unknown = -1;
    int64_t known = 1;
    for (int i = 0; i < shape->rank; i++) {
        if (shape->dim[i] == MB_OPEN)
            unknown = i;
        else if (__builtin_mul_overflow(known, shape->dim[i], &known))
            known = INT64_MAX;
    }
    if (unknown < 0 ? known != elements : elements % known != 0 || elements < known)
        return mb_call_error(call, MB_ERR_SHAPE, "%s cannot be reshaped to %s",
                             mb_shape_text(&call->inputs[0], from, sizeof(from)),
                             mb_shape_text(shape, to, sizeof(to)));
    if (unknown >= 0)
        shape->dim[unknown] = elements / known;
    return MB_OK;
}

static mb_status_t infer_reshape(mb_call_t *call)
{
    const mb_shape_t *target = call->layer->config;
    int64_t elements;
    MB_TRY(infer_identity(call));
    MB_TRY(mb_call_product(call, &call->inputs[0], 0, call->inputs[0].rank, &elements));
    call->output = *target;
    return elements == MB_OPEN ? MB_OK : fit_target(call, elements);
}

static mb_status_t forward(const mb_run_t *run)
{
    return mb_run_copy(run, mb_shape_elements(&run->call->output),
                       run->inputs == NULL ? NULL : run->inputs[0], run->output);
}

static void cost(const mb_call_t *call, mb_cost_t *out)
{
    double traffic = 2.0 * (double)mb_shape_elements(&call->output);
    *out = (mb_cost_t){traffic, traffic, 0.0};
}

#define COPY_CLASS(symbol, keras, parser, inferrer, masks)                                         \
    const mb_layer_class_t mb_layer_##symbol = {.size = sizeof(mb_layer_class_t),                  \
                                                .name = keras,                                     \
                                                .parse = parser,                                   \
                                                .infer = inferrer,                                 \
                                                .memory = mb_call_keeps_nothing,                   \
                                                .forward = forward,                                \
                                                .backward_input = mb_run_pass_gradient,            \
                                                .cost = cost,                                      \
                                                .mask = masks}

COPY_CLASS(flatten, "Flatten", parse_flatten, infer_flatten, NULL);
COPY_CLASS(reshape, "Reshape", parse_reshape, infer_reshape, NULL);
COPY_CLASS(identity, "Identity", parse_identity, infer_identity, mb_mask_passes);
