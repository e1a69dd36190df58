/* LayerNormalization over the last axis: each row has its own mean and variance. */
#include "model/layers/layers.h"

typedef struct {
    int64_t axis;
    double epsilon;
    bool center, scale;
    int64_t width; /* of the inputs its parameters were declared for */
    mb_param_spec_t gamma, beta;
} layernorm_t;

/* rms_scaling is refused: what Keras computes for it (x over the deviation, no mean taken off) is
 * neither layer nor RMS normalization, and Keras deprecates it. */
static mb_status_t parse(mb_config_t *config, mb_arena_t *arena, void **out)
{
    layernorm_t *norm = MB_ARENA_NEW(arena, layernorm_t);
    if (norm == NULL)
        return mb_error_memory("a layer", sizeof(*norm));
    MB_TRY(mb_layer_take_axis(config, &norm->axis));
    MB_TRY(mb_config_real_or(config, "epsilon", 1e-3, &norm->epsilon));
    MB_TRY(mb_config_bool_or(config, "center", true, &norm->center));
    MB_TRY(mb_config_bool_or(config, "scale", true, &norm->scale));
    MB_TRY(mb_config_only(config, "rms_scaling", "false"));
    MB_TRY(mb_layer_take_param(config, "gamma", "ones", "gamma", true, &norm->gamma));
    MB_TRY(mb_layer_take_param(config, "beta", "zeros", "beta", true, &norm->beta));
    *out = norm;
    return MB_OK;
}

static layernorm_t *norm_of(const mb_call_t *call)
{
    return call->layer->config;
}

static mb_status_t infer(mb_call_t *call)
{
    MB_TRY(mb_call_infer_same(call));
    return mb_call_expect_last_axis(call, norm_of(call)->axis);
}

static mb_status_t declare(const mb_call_t *call, mb_param_list_t *list)
{
    layernorm_t *norm = norm_of(call);
    MB_TRY(mb_call_take_width(call, 0, &norm->width));
    mb_shape_t shape = {1, {norm->width}};
    if (norm->scale)
        MB_TRY(mb_layer_add_param(list, &norm->gamma, &shape));
    if (norm->center)
        MB_TRY(mb_layer_add_param(list, &norm->beta, &shape));
    return MB_OK;
}

static mb_status_t check(const mb_call_t *call)
{
    return mb_call_check_width(call, 0, norm_of(call)->width);
}

/* Saved: mean, then rstd, one of each a row. */
static void memory(const mb_call_t *call, int64_t samples, mb_memory_t *out)
{
    int64_t rows = samples * mb_shape_rows(&call->output);
    *out = (mb_memory_t){0};
    out->keeps_input[0] = true;
    mb_block_add(&out->saved_bytes, rows, MB_F32);
    mb_block_add(&out->saved_bytes, rows, MB_F32);
}

static int64_t rows_of(const mb_run_t *run)
{
    return run->samples * mb_shape_rows(&run->call->output);
}

static float *rstd_of(const mb_run_t *run)
{
    size_t bytes = 0;
    mb_block_add(&bytes, rows_of(run), MB_F32);
    return mb_bytes_at(run->saved, bytes);
}

static mb_layernorm_forward_args_t forward_args(const mb_run_t *run)
{
    const layernorm_t *norm = norm_of(run->call);
    return (mb_layernorm_forward_args_t){
        .type = mb_run_type(run),
        .rows = rows_of(run),
        .columns = norm->width,
        .epsilon = (float)norm->epsilon,
        .x = mb_run_input(run, 0),
        .gamma = norm->scale ? mb_run_param(run, 0) : NULL,
        .beta = norm->center ? mb_run_param(run, norm->scale ? 1 : 0) : NULL,
        .y = run->output,
        .mean = run->saved,
        .rstd = rstd_of(run)};
}

static mb_status_t forward(const mb_run_t *run)
{
    mb_layernorm_forward_args_t args = forward_args(run);
    return mb_run_layernorm_forward(run->exec, &args);
}

static mb_status_t forward_of_sum(const mb_run_t *run, const mb_run_t *sum)
{
    mb_layernorm_forward_args_t args = forward_args(run);
    args.adds = true;
    args.x = mb_run_input(sum, 0);
    args.residual = mb_run_input(sum, 1);
    args.sum = sum->output;
    return mb_run_layernorm_forward(run->exec, &args);
}

static mb_status_t backward_input(const mb_run_t *run)
{
    const layernorm_t *norm = norm_of(run->call);
    if (!mb_run_wants_input(run, 0))
        return MB_OK;
    mb_layernorm_backward_input_args_t args = {.type = mb_run_type(run),
                                               .rows = rows_of(run),
                                               .columns = norm->width,
                                               .x = mb_run_input(run, 0),
                                               .dy = run->grad_output,
                                               .gamma = norm->scale ? mb_run_param(run, 0) : NULL,
                                               .mean = run->saved,
                                               .rstd = rstd_of(run),
                                               .dx = mb_run_grad_input(run, 0)};
    return mb_run_layernorm_backward_input(run->exec, &args);
}

static mb_status_t backward_weights(const mb_run_t *run)
{
    const layernorm_t *norm = norm_of(run->call);
    if (!run->call->layer->trainable || (!norm->scale && !norm->center))
        return MB_OK;
    mb_layernorm_backward_weights_args_t args = {
        .type = mb_run_type(run),
        .rows = rows_of(run),
        .columns = norm->width,
        .accumulate = run->accumulate,
        .x = mb_run_input(run, 0),
        .dy = run->grad_output,
        .mean = run->saved,
        .rstd = rstd_of(run),
        .dgamma = norm->scale ? mb_run_grad_param(run, 0) : NULL,
        .dbeta = norm->center ? mb_run_grad_param(run, norm->scale ? 1 : 0) : NULL};
    return mb_run_layernorm_backward_weights(run->exec, &args);
}

static void cost(const mb_call_t *call, mb_cost_t *out)
{
    double elements = (double)mb_shape_elements(&call->output);
    *out = (mb_cost_t){10.0 * elements, 12.0 * elements, 6.0 * elements};
}

const mb_layer_class_t mb_layer_layer_normalization = {.size = sizeof(mb_layer_class_t),
                                                       .name = "LayerNormalization",
                                                       .parse = parse,
                                                       .infer = infer,
                                                       .declare = declare,
                                                       .check = check,
                                                       .memory = memory,
                                                       .forward = forward,
                                                       .backward_input = backward_input,
                                                       .backward_weights = backward_weights,
                                                       .cost = cost,
                                                       .forward_of_sum = forward_of_sum,
                                                       .mask = mb_mask_passes};
