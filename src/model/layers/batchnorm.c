/* BatchNormalization. In training it normalises with the statistics of the leading samples that
 * count, of their positions that have a mask of 1; frozen or in inference with the moving ones, and
 * then it is an affine map whose gradient is the same map without its shifts. Where its axis is not
 * the last one it works on a copy with that axis behind the others. */
#include <inttypes.h>

#include "model/layers/view.h"

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

/* Counted with the samples. */
static int axis_of(const mb_call_t *call)
{
    int64_t axis = norm_of(call)->axis;
    return (int)(axis < 0 ? axis + call->inputs[0].rank + 1 : axis);
}

static int64_t channels_of(const mb_call_t *call)
{
    return call->inputs[0].dim[axis_of(call) - 1];
}

/* Keras takes no other mask. */
static mb_status_t check_mask(const mb_call_t *call)
{
    char text[MB_SHAPE_TEXT], whole[MB_SHAPE_TEXT];
    mb_shape_t rows = call->output;
    rows.rank--;
    if (call->masks[0] == 0 || mb_shape_equal(&call->inputs[call->masks[0]], &rows))
        return MB_OK;
    return mb_call_error(call, MB_ERR_UNSUPPORTED,
                         "its mask has %s a sample, its input %s; this build obeys masks of one "
                         "value for all axes but the last",
                         mb_shape_text(&call->inputs[call->masks[0]], text, sizeof(text)),
                         mb_shape_text(&call->output, whole, sizeof(whole)));
}

static mb_status_t infer(mb_call_t *call)
{
    int axis = axis_of(call), rank = call->inputs[0].rank;
    MB_TRY(mb_call_infer_same(call));
    if (axis >= 1 && axis <= rank)
        return check_mask(call);
    return mb_call_error(call, MB_ERR_SHAPE,
                         "key 'axis': axis %" PRId64 " is not an axis within a sample of %d "
                         "dimensions",
                         norm_of(call)->axis, rank);
}

static mb_status_t declare(const mb_call_t *call, mb_param_list_t *list)
{
    batchnorm_t *norm = norm_of(call);
    mb_shape_t shape = {1, {channels_of(call)}};
    norm->channels = shape.dim[0];
    if (norm->channels == MB_OPEN)
        return mb_call_error(call, MB_ERR_SHAPE,
                             "the dimension of its input that it normalises must be known");
    if (norm->scale)
        MB_TRY(mb_layer_add_param(list, &norm->gamma, &shape));
    if (norm->center)
        MB_TRY(mb_layer_add_param(list, &norm->beta, &shape));
    MB_TRY(mb_layer_add_param(list, &norm->moving_mean, &shape));
    return mb_layer_add_param(list, &norm->moving_variance, &shape);
}

static mb_status_t check(const mb_call_t *call)
{
    int64_t wanted = norm_of(call)->channels, found = channels_of(call);
    if (found == wanted)
        return MB_OK;
    return mb_call_error(
        call, MB_ERR_SHAPE,
        "its weights were made for %" PRId64 " channels, another call has %" PRId64, wanted, found);
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

/* ---- memory */

static int64_t positions_of(const mb_call_t *call)
{
    return mb_shape_elements(&call->output) / norm_of(call)->channels;
}

/* Where things stand in the saved block and the carry; the copies are there where the axis is not
 * the last one, and then the mask is spread over all elements. Frozen: no statistics, but the zeros
 * that backward gives as the mean. */
typedef struct {
    bool moves, masked;
    mb_view_t plain, laid; /* of the input; of its copy */
    size_t mean, rstd, counts, mask, x, y, saved;
    size_t zeros, dy, sums, carry;
} plan_t;

static plan_t plan_of(const mb_call_t *call, int64_t samples)
{
    int64_t channels = norm_of(call)->channels, elements = 0;
    bool frozen = !call->layer->trainable;
    plan_t p = {0};
    p.plain = p.laid = mb_view_of(samples, &call->output);
    mb_view_lay_last(&p.laid, UINT32_C(1) << axis_of(call));
    p.moves = !mb_view_equal(&p.plain, &p.laid);
    elements = p.moves ? samples * mb_shape_elements(&call->output) : 0;
    p.mean = mb_block_add(&p.saved, frozen ? 0 : channels, MB_F32);
    p.rstd = mb_block_add(&p.saved, frozen ? 0 : channels, MB_F32);
    p.masked = call->masks[0] > 0 && !frozen;
    p.counts = mb_block_add(&p.saved, p.masked ? channels : 0, MB_F32);
    p.mask = mb_block_add(&p.saved, p.masked ? elements : 0, call->output_type);
    p.x = mb_block_add(&p.saved, elements, call->output_type);
    p.y = mb_block_add(&p.saved, elements, call->output_type);
    p.zeros = mb_block_add(&p.carry, frozen ? channels : 0, MB_F32);
    p.sums = mb_block_add(&p.carry, frozen ? 0 : 2 * channels, MB_F64);
    p.dy = mb_block_add(&p.carry, elements, call->output_type);
    return p;
}

static void memory(const mb_call_t *call, int64_t samples, mb_memory_t *out)
{
    plan_t p = plan_of(call, samples);
    bool trains = call->layer->trainable;
    *out = (mb_memory_t){.keeps_input = {trains && !p.moves},
                         .saved_bytes = p.saved,
                         .carry_bytes = p.carry,
                         .sums = trains ? (p.masked ? 3 : 2) * norm_of(call)->channels : 0};
    if (p.masked)
        out->keeps_input[call->masks[0]] = !p.moves;
}

static const void *x_of(const mb_run_t *run, const plan_t *p)
{
    return p->moves ? mb_bytes_at(run->saved, p->x) : mb_run_input(run, 0);
}

static const void *dy_of(const mb_run_t *run, const plan_t *p)
{
    return p->moves ? mb_bytes_at(run->carry, p->dy) : run->grad_output;
}

/* A copy of what stands FROM; nothing where the axis is the last one. */
static mb_status_t move_in(const mb_run_t *run, const plan_t *p, const void *from, void *to)
{
    return p->moves ? mb_run_arrange(run, from, &p->plain, to, &p->laid) : MB_OK;
}

static mb_status_t move_out(const mb_run_t *run, const plan_t *p, const void *from, void *to)
{
    return p->moves ? mb_run_arrange(run, from, &p->laid, to, &p->plain) : MB_OK;
}

/* One value for each row; or for each element, of the copy or where only ones are behind the axis.
 */
static int64_t masks_of(const mb_run_t *run, const plan_t *p)
{
    bool each = axis_of(run->call) < run->call->output.rank;
    return !p->masked ? 0 : each ? norm_of(run->call)->channels : 1;
}

static const void *mask_of(const mb_run_t *run, const plan_t *p)
{
    if (!p->masked)
        return NULL;
    return p->moves ? mb_bytes_at(run->saved, p->mask) : mb_run_input(run, run->call->masks[0]);
}

static mb_status_t spread_mask(const mb_run_t *run, const plan_t *p)
{
    mb_view_t from = p->plain;
    int last = from.axes - 1;
    if (!p->masked || !p->moves)
        return MB_OK;
    for (int d = 0; d < last; d++)
        from.stride[d] /= from.dim[last];
    from.stride[last] = 0;
    return mb_run_move(run, mb_run_input(run, run->call->masks[0]), &from,
                       mb_bytes_at(run->saved, p->mask), &p->laid, false);
}

/* ---- runs */

static mb_batchnorm_forward_args_t forward_args(const mb_run_t *run)
{
    const batchnorm_t *norm = norm_of(run->call);
    int64_t positions = positions_of(run->call);
    return (mb_batchnorm_forward_args_t){.type = mb_run_type(run),
                                         .rows = run->samples * positions,
                                         .valid = run->valid * positions,
                                         .channels = norm->channels,
                                         .epsilon = (float)norm->epsilon,
                                         .gamma = gamma_of(run),
                                         .moving_mean = moving_of(run, 0),
                                         .moving_variance = moving_of(run, 1)};
}

static void use_statistics(const mb_run_t *run, const plan_t *p, mb_batchnorm_forward_args_t *args)
{
    args->training = true;
    args->mean = mb_bytes_at(run->saved, p->mean);
    args->rstd = mb_bytes_at(run->saved, p->rstd);
    args->sums = run->sums;
    args->masks = masks_of(run, p);
    args->mask = mask_of(run, p);
    args->counts = p->masked ? mb_bytes_at(run->saved, p->counts) : NULL;
}

static mb_tail_kind_t tail_kind(const mb_call_t *call)
{
    return plan_of(call, 1).moves ? MB_TAIL_NONE : MB_TAIL_SUM_AND_RELU;
}

static mb_status_t forward_with_tail(const mb_run_t *run, const mb_tail_t *tail)
{
    plan_t p = plan_of(run->call, run->samples);
    mb_batchnorm_forward_args_t args = forward_args(run);
    args.x = x_of(run, &p);
    args.beta = beta_of(run);
    args.residual = tail->residual;
    args.act = tail->relu ? MB_ACT_RELU : MB_ACT_LINEAR;
    args.y = p.moves ? mb_bytes_at(run->saved, p.y) : tail->y;
    if (run->training && run->call->layer->trainable) {
        use_statistics(run, &p, &args);
        MB_TRY(spread_mask(run, &p));
    }
    MB_TRY(move_in(run, &p, mb_run_input(run, 0), mb_bytes_at(run->saved, p.x)));
    MB_TRY(mb_run_batchnorm_forward(run->exec, &args));
    return move_out(run, &p, args.y, run->output);
}

static mb_status_t forward(const mb_run_t *run)
{
    return forward_with_tail(run, &(const mb_tail_t){.y = run->output});
}

static mb_status_t backward_frozen(const mb_run_t *run, const plan_t *p, void *dx)
{
    float *zeros = mb_bytes_at(run->carry, p->zeros);
    mb_zero_args_t zero = {norm_of(run->call)->channels * (int64_t)sizeof(float), zeros};
    mb_batchnorm_forward_args_t args = forward_args(run);
    args.x = dy_of(run, p);
    args.moving_mean = zeros;
    args.y = dx;
    MB_TRY(mb_run_zero(run->exec, &zero));
    return mb_run_batchnorm_forward(run->exec, &args);
}

static mb_status_t backward_trained(const mb_run_t *run, const plan_t *p, void *dx)
{
    int64_t positions = positions_of(run->call);
    mb_batchnorm_backward_input_args_t args = {.type = mb_run_type(run),
                                               .rows = run->samples * positions,
                                               .valid = run->valid * positions,
                                               .channels = norm_of(run->call)->channels,
                                               .training = true,
                                               .x = x_of(run, p),
                                               .dy = dy_of(run, p),
                                               .gamma = gamma_of(run),
                                               .mean = mb_bytes_at(run->saved, p->mean),
                                               .rstd = mb_bytes_at(run->saved, p->rstd),
                                               .dx = dx,
                                               .masks = masks_of(run, p),
                                               .mask = mask_of(run, p),
                                               .counts = mb_bytes_at(run->saved, p->counts),
                                               .sums = mb_bytes_at(run->carry, p->sums)};
    return mb_run_batchnorm_backward_input(run->exec, &args);
}

/* What stood for y's copy serves dx's. */
static mb_status_t backward_input(const mb_run_t *run)
{
    plan_t p = plan_of(run->call, run->samples);
    void *dx = mb_run_grad_input(run, 0), *copy = mb_bytes_at(run->saved, p.y);
    MB_TRY(move_in(run, &p, run->grad_output, mb_bytes_at(run->carry, p.dy)));
    if (run->call->layer->trainable)
        MB_TRY(backward_trained(run, &p, p.moves && dx != NULL ? copy : dx));
    else if (mb_run_wants_input(run, 0))
        MB_TRY(backward_frozen(run, &p, p.moves ? copy : dx));
    return mb_run_wants_input(run, 0) ? move_out(run, &p, copy, dx) : MB_OK;
}

static mb_status_t backward_weights(const mb_run_t *run)
{
    const batchnorm_t *norm = norm_of(run->call);
    plan_t p = plan_of(run->call, run->samples);
    int64_t positions = positions_of(run->call);
    if (!run->call->layer->trainable || (!norm->scale && !norm->center))
        return MB_OK;
    mb_batchnorm_backward_weights_args_t args = {
        .type = mb_run_type(run),
        .rows = run->samples * positions,
        .valid = run->valid * positions,
        .channels = norm->channels,
        .accumulate = run->accumulate,
        .x = x_of(run, &p),
        .dy = dy_of(run, &p),
        .mean = mb_bytes_at(run->saved, p.mean),
        .rstd = mb_bytes_at(run->saved, p.rstd),
        .sums = mb_bytes_at(run->carry, p.sums),
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
                                       .count = count * (double)positions_of(run->call),
                                       .momentum = norm->momentum,
                                       .sums = run->sums,
                                       .moving_mean = moving_of(run, 0),
                                       .moving_variance = moving_of(run, 1),
                                       .masked = run->call->masks[0] > 0};
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
                                                       .tail = tail_kind,
                                                       .forward_with_tail = forward_with_tail,
                                                       .mask = mb_mask_passes,
                                                       .takes_masks = MB_TAKES_MASKS};
