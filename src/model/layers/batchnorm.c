/* BatchNormalization over the last axis. In training it normalises with the statistics of the
 * leading samples that count; frozen or in inference with the moving ones, and then it is an affine
 * map whose gradient is the same map without its shifts. */
#include "model/layers/layers.h"

typedef struct {
    int64_t axis;
    double momentum, epsilon;
    bool center, scale;
    int64_t channels; /* of the inputs its parameters were declared for */
    mb_param_spec_t gamma, beta, moving_mean, moving_variance;
} batchnorm_t;

static mb_status_t take_params(mb_config_t *config, batchnorm_t *norm)
{
    MB_TRY(mb_layer_take_param(config, "gamma", "ones", "gamma", true, &norm->gamma));
    MB_TRY(mb_layer_take_param(config, "beta", "zeros", "beta", true, &norm->beta));
    MB_TRY(mb_layer_take_param(config, "moving_mean", "zeros", "moving_mean", false,
                               &norm->moving_mean));
    return mb_layer_take_param(config, "moving_variance", "ones", "moving_variance", false,
                               &norm->moving_variance);
}

static mb_status_t parse(mb_config_t *config, mb_arena_t *arena, void **out)
{
    batchnorm_t *norm = MB_ARENA_NEW(arena, batchnorm_t);
    if (norm == NULL)
        return mb_error_memory("a layer", sizeof(*norm));
    MB_TRY(mb_layer_take_axis(config, &norm->axis));
    MB_TRY(mb_config_real_or(config, "momentum", 0.99, &norm->momentum));
    MB_TRY(mb_config_real_or(config, "epsilon", 1e-3, &norm->epsilon));
    MB_TRY(mb_config_bool_or(config, "center", true, &norm->center));
    MB_TRY(mb_config_bool_or(config, "scale", true, &norm->scale));
    MB_TRY(take_params(config, norm));
    MB_TRY(mb_config_only(config, "synchronized", "false"));
    MB_TRY(mb_config_only(config, "renorm", "false"));
    mb_config_ignore(config, "renorm_clipping");
    mb_config_ignore(config, "renorm_momentum");
    MB_TRY(mb_config_only(config, "virtual_batch_size", "null"));
    *out = norm;
    return MB_OK;
}

static batchnorm_t *norm_of(const mb_call_t *call)
{
    return call->layer->config;
}

static mb_status_t infer(mb_call_t *call)
{
    MB_TRY(mb_call_infer_same(call));
    if (call->n_masks > 0 && call->layer->trainable)
        return mb_call_error(call, MB_ERR_UNSUPPORTED,
                             "its input has a mask, and then Keras takes statistics over the "
                             "positions that count; this build takes them over all: use "
                             "LayerNormalization, or set trainable to false");
    return mb_call_expect_last_axis(call, norm_of(call)->axis);
}

static mb_status_t declare(const mb_call_t *call, mb_param_list_t *list)
{
    batchnorm_t *norm = norm_of(call);
    MB_TRY(mb_call_take_width(call, 0, &norm->channels));
    mb_shape_t shape = {1, {norm->channels}};
    if (norm->scale)
        MB_TRY(mb_layer_add_param(list, &norm->gamma, &shape));
    if (norm->center)
        MB_TRY(mb_layer_add_param(list, &norm->beta, &shape));
    MB_TRY(mb_layer_add_param(list, &norm->moving_mean, &shape));
    return mb_layer_add_param(list, &norm->moving_variance, &shape);
}

static mb_status_t check(const mb_call_t *call)
{
    return mb_call_check_width(call, 0, norm_of(call)->channels);
}

/* Where its parameters stand: scale and center may leave gamma and beta out. */
static float *gamma_of(const mb_run_t *run)
{
    return norm_of(run->call)->scale ? mb_run_param(run, 0) : NULL;
}

static float *beta_of(const mb_run_t *run)
{
    const batchnorm_t *norm = norm_of(run->call);
    return norm->center ? mb_run_param(run, norm->scale ? 1 : 0) : NULL;
}

static float *moving_of(const mb_run_t *run, int which)
{
    const batchnorm_t *norm = norm_of(run->call);
    return mb_run_param(run, (norm->scale ? 1 : 0) + (norm->center ? 1 : 0) + which);
}

/* Training: mean and rstd. Frozen: the zeros that backward gives as the mean. */
static void memory(const mb_call_t *call, int64_t samples, mb_memory_t *out)
{
    int64_t channels = norm_of(call)->channels;
    (void)samples;
    *out = (mb_memory_t){0};
    if (!call->layer->trainable) {
        mb_block_add(&out->carry_bytes, channels, MB_F32);
        return;
    }
    out->keeps_input[0] = true;
    mb_block_add(&out->saved_bytes, channels, MB_F32);
    mb_block_add(&out->saved_bytes, channels, MB_F32);
    out->sums = 2 * channels;
}

static float *saved_mean(const mb_run_t *run)
{
    return run->saved;
}

static float *saved_rstd(const mb_run_t *run)
{
    size_t bytes = 0;
    mb_block_add(&bytes, norm_of(run->call)->channels, MB_F32);
    return mb_bytes_at(run->saved, bytes);
}

static mb_status_t forward(const mb_run_t *run)
{
    const batchnorm_t *norm = norm_of(run->call);
    int64_t positions = mb_shape_rows(&run->call->output);
    mb_batchnorm_forward_args_t args = {.type = mb_run_type(run),
                                        .rows = run->samples * positions,
                                        .valid = run->valid * positions,
                                        .channels = norm->channels,
                                        .training = run->training && run->call->layer->trainable,
                                        .epsilon = (float)norm->epsilon,
                                        .x = mb_run_input(run, 0),
                                        .gamma = gamma_of(run),
                                        .beta = beta_of(run),
                                        .moving_mean = moving_of(run, 0),
                                        .moving_variance = moving_of(run, 1),
                                        .y = run->output};
    if (args.training) {
        args.mean = saved_mean(run);
        args.rstd = saved_rstd(run);
        args.sums = run->sums;
    }
    return mb_run_batchnorm_forward(run->exec, &args);
}

static mb_status_t backward_frozen(const mb_run_t *run)
{
    const batchnorm_t *norm = norm_of(run->call);
    int64_t rows = run->samples * mb_shape_rows(&run->call->output);
    mb_zero_args_t zero = {norm->channels * (int64_t)sizeof(float), run->carry};
    mb_batchnorm_forward_args_t args = {.type = mb_run_type(run),
                                        .rows = rows,
                                        .valid = rows,
                                        .channels = norm->channels,
                                        .epsilon = (float)norm->epsilon,
                                        .x = run->grad_output,
                                        .gamma = gamma_of(run),
                                        .moving_mean = run->carry,
                                        .moving_variance = moving_of(run, 1),
                                        .y = mb_run_grad_input(run, 0)};
    MB_TRY(mb_run_zero(run->exec, &zero));
    return mb_run_batchnorm_forward(run->exec, &args);
}

static mb_status_t backward_input(const mb_run_t *run)
{
    int64_t positions = mb_shape_rows(&run->call->output);
    if (!mb_run_wants_input(run, 0))
        return MB_OK;
    if (!run->call->layer->trainable)
        return backward_frozen(run);
    mb_batchnorm_backward_input_args_t args = {.type = mb_run_type(run),
                                               .rows = run->samples * positions,
                                               .valid = run->valid * positions,
                                               .channels = norm_of(run->call)->channels,
                                               .training = true,
                                               .x = mb_run_input(run, 0),
                                               .dy = run->grad_output,
                                               .gamma = gamma_of(run),
                                               .mean = saved_mean(run),
                                               .rstd = saved_rstd(run),
                                               .dx = mb_run_grad_input(run, 0)};
    return mb_run_batchnorm_backward_input(run->exec, &args);
}

static mb_status_t backward_weights(const mb_run_t *run)
{
    const batchnorm_t *norm = norm_of(run->call);
    int64_t positions = mb_shape_rows(&run->call->output);
    if (!run->call->layer->trainable || (!norm->scale && !norm->center))
        return MB_OK;
    mb_batchnorm_backward_weights_args_t args = {
        .type = mb_run_type(run),
        .rows = run->samples * positions,
        .valid = run->valid * positions,
        .channels = norm->channels,
        .accumulate = run->accumulate,
        .x = mb_run_input(run, 0),
        .dy = run->grad_output,
        .mean = saved_mean(run),
        .rstd = saved_rstd(run),
        .dgamma = norm->scale ? mb_run_grad_param(run, 0) : NULL,
        .dbeta = norm->center ? mb_run_grad_param(run, norm->scale ? 1 : 0) : NULL};
    return mb_run_batchnorm_backward_weights(run->exec, &args);
}

static mb_status_t update_statistics(const mb_run_t *run, double count)
{
    const batchnorm_t *norm = norm_of(run->call);
    if (!run->call->layer->trainable)
        return MB_OK;
    mb_batchnorm_update_args_t args = {.channels = norm->channels,
                                       .count = count * (double)mb_shape_rows(&run->call->output),
                                       .momentum = (float)norm->momentum,
                                       .sums = run->sums,
                                       .moving_mean = moving_of(run, 0),
                                       .moving_variance = moving_of(run, 1)};
    return mb_run_batchnorm_update(run->exec, &args);
}

static void cost(const mb_call_t *call, mb_cost_t *out)
{
    double elements = (double)mb_shape_elements(&call->output);
    *out = (mb_cost_t){10.0 * elements, 12.0 * elements, 6.0 * elements};
}

const mb_layer_class_t mb_layer_batch_normalization = {.size = sizeof(mb_layer_class_t),
                                                       .name = "BatchNormalization",
                                                       .parse = parse,
                                                       .infer = infer,
                                                       .declare = declare,
                                                       .check = check,
                                                       .memory = memory,
                                                       .forward = forward,
                                                       .backward_input = backward_input,
                                                       .backward_weights = backward_weights,
                                                       .update_statistics = update_statistics,
                                                       .cost = cost,
                                                       .mask = mb_mask_passes,
                                                       .takes_masks = MB_TAKES_MASKS};
