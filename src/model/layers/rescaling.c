/* Rescaling: y = scale x + offset, both of them numbers. */
#include "model/layers/view.h"

typedef struct {
    double scale, offset;
} rescaling_t;

static mb_status_t take(mb_config_t *config, const char *key, double otherwise, double *out)
{
    const json_t *value = json_object_get(config->object, key);
    if (json_is_array(value))
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "%s: key '%s' is a list; this build takes one number for all channels "
                            "(a Normalization layer's place can be the data: mbrun data)",
                            config->where, key);
    return mb_config_real_or(config, key, otherwise, out);
}

static mb_status_t parse(mb_config_t *config, mb_arena_t *arena, void **out)
{
    rescaling_t *rescaling = MB_ARENA_NEW(arena, rescaling_t);
    if (rescaling == NULL)
        return mb_error_memory("a layer", sizeof *rescaling);
    *out = rescaling;
    MB_TRY(take(config, "scale", 1.0, &rescaling->scale));
    return take(config, "offset", 0.0, &rescaling->offset);
}

static mb_status_t map(const mb_run_t *run, mb_map_t function, const void *x, double number,
                       void *y)
{
    mb_map_call_t call = {
        .function = function,
        .inputs = {mb_map_tensor(x, mb_view_output(run)), mb_map_constant((float)number)},
        .view = mb_view_output(run),
        .y = y};
    return mb_run_strided(run, &call);
}

static mb_status_t forward(const mb_run_t *run)
{
    const rescaling_t *rescaling = run->call->layer->config;
    MB_TRY(map(run, MB_MAP_MULTIPLY, mb_run_input(run, 0), rescaling->scale, run->output));
    return map(run, MB_MAP_ADD, run->output, rescaling->offset, run->output);
}

static mb_status_t backward_input(const mb_run_t *run)
{
    const rescaling_t *rescaling = run->call->layer->config;
    if (!mb_run_wants_input(run, 0))
        return MB_OK;
    return map(run, MB_MAP_MULTIPLY, run->grad_output, rescaling->scale, mb_run_grad_input(run, 0));
}

static void cost(const mb_call_t *call, mb_cost_t *out)
{
    double traffic = 4.0 * (double)mb_shape_elements(&call->output);
    *out = (mb_cost_t){traffic, traffic, 0.0};
}

const mb_layer_class_t mb_layer_rescaling = {.size = sizeof(mb_layer_class_t),
                                             .name = "Rescaling",
                                             .parse = parse,
                                             .infer = mb_call_infer_same,
                                             .memory = mb_call_keeps_nothing,
                                             .forward = forward,
                                             .backward_input = backward_input,
                                             .cost = cost,
                                             .mask = mb_mask_passes};
