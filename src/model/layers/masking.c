/* Masking: positions where all of the last axis is mask_value become zero, and are masked for what
 * comes behind. The mask is made in front of the layer (graph_mask.c) and is its second input. */
#include "model/layers/view.h"

#include "base/str.h"

static mb_status_t parse(mb_config_t *config, mb_arena_t *arena, void **out)
{
    double value;
    float *mask_value = MB_ARENA_NEW(arena, float);
    if (mask_value == NULL)
        return mb_error_memory("a layer", sizeof(*mask_value));
    MB_TRY(mb_config_scalar_or(config, "mask_value", 0.0, &value));
    *mask_value = (float)value;
    *out = mask_value;
    return MB_OK;
}

static mb_mask_rule_t mask(const mb_call_t *call)
{
    return (mb_mask_rule_t){.kind = MB_MASK_DIFFERS, .value = *(const float *)call->layer->config};
}

static void memory(const mb_call_t *call, int64_t samples, mb_memory_t *out)
{
    (void)samples;
    *out = (mb_memory_t){0};
    out->keeps_input[call->masks[0]] = true;
}

/* y = x where the position counts, else 0; the same of gradients. */
static mb_status_t apply(const mb_run_t *run, const void *x, void *y)
{
    int which = run->call->masks[0];
    mb_view_t whole = mb_view_output(run), mask_view = mb_view_input(run, which);
    mb_view_insert(&mask_view, mask_view.axes, whole.dim[whole.axes - 1], 0);
    mb_map_call_t when = {
        .function = MB_MAP_WHEN,
        .inputs = {mb_map_tensor(x, whole), mb_map_tensor(mb_run_input(run, which), mask_view)},
        .view = whole,
        .y = y};
    return mb_run_strided(run, &when);
}

static mb_status_t forward(const mb_run_t *run)
{
    return apply(run, mb_run_input(run, 0), run->output);
}

static mb_status_t backward_input(const mb_run_t *run)
{
    return mb_run_wants_input(run, 0) ? apply(run, run->grad_output, mb_run_grad_input(run, 0))
                                      : MB_OK;
}

static void cost(const mb_call_t *call, mb_cost_t *out)
{
    double traffic = 2.0 * (double)mb_shape_elements(&call->output);
    *out = (mb_cost_t){traffic, traffic, 0.0};
}

const mb_layer_class_t mb_layer_masking = {.size = sizeof(mb_layer_class_t),
                                           .name = "Masking",
                                           .parse = parse,
                                           .infer = mb_call_infer_same,
                                           .memory = memory,
                                           .forward = forward,
                                           .backward_input = backward_input,
                                           .cost = cost,
                                           .mask = mask,
                                           .takes_masks = MB_TAKES_OWN_MASK};
