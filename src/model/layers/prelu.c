/* PReLU (He and others: "Delving Deep into Rectifiers", 2015): x, times alpha where it is negative.
 * There is an alpha for each element of a sample, or one for all along an axis that is shared. */
#include "model/layers/view.h"

#include <inttypes.h>

typedef struct {
    uint32_t shared; /* bit d: dimension d of a sample */
    int64_t most;    /* the largest shared axis, as Keras counts them */
    mb_param_spec_t alpha;
    mb_shape_t shape; /* of alpha */
} prelu_t;

static mb_status_t take_shared_axis(mb_config_t *config, const json_t *item, prelu_t *prelu)
{
    int64_t axis = json_integer_value(item);
    if (!json_is_integer(item) || axis < 1 || axis > MB_MAX_RANK)
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "%s: key 'shared_axes' must hold axes of a sample, from 1 on",
                            config->where);
    prelu->shared |= UINT32_C(1) << (axis - 1);
    prelu->most = axis > prelu->most ? axis : prelu->most;
    return MB_OK;
}

static mb_status_t parse(mb_config_t *config, mb_arena_t *arena, void **out)
{
    const json_t *shared = mb_config_take(config, "shared_axes");
    prelu_t *prelu = MB_ARENA_NEW(arena, prelu_t);
    if (prelu == NULL)
        return mb_error_memory("a layer", sizeof(*prelu));
    *out = prelu;
    for (size_t i = 0; i < json_array_size(shared); i++)
        MB_TRY(take_shared_axis(config, json_array_get(shared, i), prelu));
    if (shared != NULL && !json_is_array(shared) && !json_is_null(shared))
        MB_TRY(take_shared_axis(config, shared, prelu));
    return mb_layer_take_param(config, "alpha", "zeros", "alpha", true, &prelu->alpha);
}

static prelu_t *prelu_of(const mb_call_t *call)
{
    return call->layer->config;
}

static mb_status_t infer(mb_call_t *call)
{
    int64_t most = prelu_of(call)->most;
    MB_TRY(mb_call_infer_same(call));
    if (most <= call->inputs[0].rank)
        return MB_OK;
    return mb_call_error(call, MB_ERR_SHAPE,
                         "key 'shared_axes' names axis %" PRId64 " of samples of %d dimensions",
                         most, call->inputs[0].rank);
}

static mb_shape_t alpha_shape(const mb_call_t *call)
{
    mb_shape_t shape = call->inputs[0];
    for (int d = 0; d < shape.rank; d++)
        shape.dim[d] = prelu_of(call)->shared >> d & 1 ? 1 : shape.dim[d];
    return shape;
}

static mb_status_t declare(const mb_call_t *call, mb_param_list_t *list)
{
    prelu_t *prelu = prelu_of(call);
    prelu->shape = alpha_shape(call);
    for (int d = 0; d < prelu->shape.rank; d++) {
        if (prelu->shape.dim[d] == MB_OPEN)
            return mb_call_error(call, MB_ERR_SHAPE,
                                 "dimension %d of its input must be known, or stand among the "
                                 "shared_axes",
                                 d + 1);
    }
    return mb_layer_add_param(list, &prelu->alpha, &prelu->shape);
}

static mb_status_t check(const mb_call_t *call)
{
    const mb_shape_t *own = &prelu_of(call)->shape;
    mb_shape_t shape = alpha_shape(call);
    char found[MB_SHAPE_TEXT], wanted[MB_SHAPE_TEXT];
    if (mb_shape_equal(&shape, own))
        return MB_OK;
    return mb_call_error(
        call, MB_ERR_SHAPE, "its alpha of shape %s does not fit another call, which needs %s",
        mb_shape_text(own, wanted, sizeof(wanted)), mb_shape_text(&shape, found, sizeof(found)));
}

static void memory(const mb_call_t *call, int64_t samples, mb_memory_t *out)
{
    (void)call;
    (void)samples;
    *out = (mb_memory_t){.keeps_input = {true}};
}

/* alpha, repeated over samples and shared axes. */
static mb_view_t alpha_view(const mb_run_t *run)
{
    mb_view_t view = mb_view_of(1, &prelu_of(run->call)->shape), whole = mb_view_output(run);
    mb_view_broadcast(&view, &whole);
    return view;
}

static mb_status_t forward(const mb_run_t *run)
{
    mb_view_t view = mb_view_output(run);
    mb_map_call_t map = {.function = MB_MAP_SLOPE,
                         .inputs = {mb_map_tensor(mb_run_input(run, 0), view),
                                    mb_map_weight(mb_run_param(run, 0), alpha_view(run))},
                         .view = view,
                         .y = run->output};
    return mb_run_strided(run, &map);
}

static mb_status_t backward_input(const mb_run_t *run)
{
    mb_view_t view = mb_view_output(run);
    mb_map_call_t map = {.function = MB_MAP_D_SLOPE,
                         .inputs = {mb_map_tensor(run->grad_output, view),
                                    mb_map_tensor(mb_run_input(run, 0), view),
                                    mb_map_weight(mb_run_param(run, 0), alpha_view(run))},
                         .view = view,
                         .y = mb_run_grad_input(run, 0)};
    return mb_run_wants_input(run, 0) ? mb_run_strided(run, &map) : MB_OK;
}

static mb_status_t backward_weights(const mb_run_t *run)
{
    mb_view_t view = mb_view_output(run), alpha = alpha_view(run);
    mb_map_call_t map = {.function = MB_MAP_D_SLOPE_BELOW,
                         .inputs = {mb_map_tensor(run->grad_output, view),
                                    mb_map_tensor(mb_run_input(run, 0), view)},
                         .view = alpha,
                         .y = mb_run_grad_param(run, 0),
                         .is_wide = true,
                         .reduced = mb_view_repeats(&alpha),
                         .accumulate = run->accumulate};
    return mb_run_wants_param(run, 0) ? mb_run_strided(run, &map) : MB_OK;
}

static void cost(const mb_call_t *call, mb_cost_t *out)
{
    double elements = (double)mb_shape_elements(&call->output);
    *out = (mb_cost_t){4.0 * elements, 6.0 * elements, 4.0 * elements};
}

const mb_layer_class_t mb_layer_prelu = {.size = sizeof(mb_layer_class_t),
                                         .name = "PReLU",
                                         .parse = parse,
                                         .infer = infer,
                                         .declare = declare,
                                         .check = check,
                                         .memory = memory,
                                         .forward = forward,
                                         .backward_input = backward_input,
                                         .backward_weights = backward_weights,
                                         .cost = cost,
                                         .mask = mb_mask_passes};
