/* LayerNormalization and RMSNormalization over any axes of a sample: each row, which are its
 * elements along these, has its own mean and variance, or mean square.
 *
 *     the last axes    x -> rows -> y
 *     other ones       x -> a copy with them behind the others -> rows -> y's copy -> y */
#include "model/layers/axes.h"
#include "model/layers/rms_scaling.h"

typedef struct {
    mb_axes_t axes;
    double epsilon;
    bool center, scale;
    bool rms;         /* by the mean square: no mean is taken off */
    bool rms_scaling; /* by the deviation, and no mean is taken off */
    mb_shape_t shape; /* of the parameters */
    mb_param_spec_t gamma, beta;
} layernorm_t;

static mb_status_t create(mb_config_t *config, mb_arena_t *arena, double epsilon, layernorm_t **out)
{
    layernorm_t *norm = *out = MB_ARENA_NEW(arena, layernorm_t);
    if (norm == NULL)
        return mb_error_memory("a layer", sizeof(*norm));
    MB_TRY(mb_axes_take(config, &norm->axes));
    return mb_config_real_or(config, "epsilon", epsilon, &norm->epsilon);
}

static mb_status_t parse(mb_config_t *config, mb_arena_t *arena, void **out)
{
    layernorm_t *norm;
    MB_TRY(create(config, arena, 1e-3, &norm));
    *out = norm;
    MB_TRY(mb_config_bool_or(config, "center", true, &norm->center));
    MB_TRY(mb_config_bool_or(config, "scale", true, &norm->scale));
    MB_TRY(mb_config_bool_or(config, "rms_scaling", false, &norm->rms_scaling));
    norm->scale = norm->scale || norm->rms_scaling;
    norm->center = norm->center && !norm->rms_scaling;
    MB_TRY(mb_layer_take_param(config, "gamma", "ones", "gamma", true, &norm->gamma));
    return mb_layer_take_param(config, "beta", "zeros", "beta", true, &norm->beta);
}

static mb_status_t parse_rms(mb_config_t *config, mb_arena_t *arena, void **out)
{
    layernorm_t *norm;
    MB_TRY(create(config, arena, 1e-6, &norm));
    *out = norm;
    norm->rms = norm->scale = true;
    return mb_layer_take_param(config, "scale", "ones", "scale", true, &norm->gamma);
}

static layernorm_t *norm_of(const mb_call_t *call)
{
    return call->layer->config;
}

static mb_status_t infer(mb_call_t *call)
{
    uint32_t bits;
    MB_TRY(mb_call_infer_same(call));
    return mb_axes_check(&norm_of(call)->axes, call, &bits);
}

/* Keras sorts the axes. */
static mb_shape_t param_shape(const mb_call_t *call)
{
    uint32_t bits = mb_axes_bits(&norm_of(call)->axes, call);
    mb_shape_t shape = {0};
    for (int d = 0; d < call->inputs[0].rank; d++) {
        if (bits >> (d + 1) & 1)
            shape.dim[shape.rank++] = call->inputs[0].dim[d];
    }
    return shape;
}

static mb_status_t declare(const mb_call_t *call, mb_param_list_t *list)
{
    layernorm_t *norm = norm_of(call);
    norm->shape = param_shape(call);
    for (int d = 0; d < norm->shape.rank; d++) {
        if (norm->shape.dim[d] == MB_OPEN)
            return mb_call_error(call, MB_ERR_SHAPE,
                                 "the dimensions of its input that it normalises must be known");
    }
    if (norm->scale)
        MB_TRY(mb_layer_add_param(list, &norm->gamma, &norm->shape));
    if (norm->center)
        MB_TRY(mb_layer_add_param(list, &norm->beta, &norm->shape));
    return MB_OK;
}

static mb_status_t check(const mb_call_t *call)
{
    const mb_shape_t *own = &norm_of(call)->shape;
    mb_shape_t shape = param_shape(call);
    char found[MB_SHAPE_TEXT], wanted[MB_SHAPE_TEXT];
    if (mb_shape_equal(&shape, own))
        return MB_OK;
    return mb_call_error(
        call, MB_ERR_SHAPE, "its weights were made for rows of shape %s, another call has %s",
        mb_shape_text(own, wanted, sizeof(wanted)), mb_shape_text(&shape, found, sizeof(found)));
}

/* ---- memory */

/* Where things stand in the saved block; the copies are there where rows do not lie side by side.
 */
typedef struct {
    int64_t rows, columns;
    bool moves;
    mb_view_t plain, laid; /* of the input; of its copy */
    size_t mean, rstd, shift, x, y, saved;
    size_t dy, work, carry; /* work: three numbers of each row */
} plan_t;

static plan_t plan_of(const mb_call_t *call, int64_t samples)
{
    uint32_t bits = mb_axes_bits(&norm_of(call)->axes, call);
    int64_t elements = samples * mb_shape_elements(&call->output);
    plan_t p = {.columns = mb_shape_elements(&norm_of(call)->shape)};
    p.rows = elements / p.columns;
    p.plain = p.laid = mb_view_of(samples, &call->output);
    mb_view_lay_last(&p.laid, bits);
    p.moves = !mb_view_equal(&p.plain, &p.laid);
    bool shifts = norm_of(call)->rms_scaling;
    p.mean = mb_block_add(&p.saved, p.rows, MB_F32);
    p.rstd = mb_block_add(&p.saved, p.rows, MB_F32);
    p.shift = mb_block_add(&p.saved, shifts ? p.rows : 0, MB_F32);
    p.x = mb_block_add(&p.saved, p.moves ? elements : 0, call->output_type);
    p.y = mb_block_add(&p.saved, p.moves ? elements : 0, call->output_type);
    p.dy = mb_block_add(&p.carry, p.moves ? elements : 0, call->output_type);
    p.work = mb_block_add(&p.carry, shifts ? 3 * p.rows : 0, MB_F32);
    return p;
}

static void memory(const mb_call_t *call, int64_t samples, mb_memory_t *out)
{
    plan_t p = plan_of(call, samples);
    *out = (mb_memory_t){.keeps_input = {!p.moves}, .saved_bytes = p.saved, .carry_bytes = p.carry};
}

/* ---- runs */

static const void *x_of(const mb_run_t *run, const plan_t *p)
{
    return p->moves ? mb_bytes_at(run->saved, p->x) : mb_run_input(run, 0);
}

static const void *dy_of(const mb_run_t *run, const plan_t *p)
{
    return p->moves ? mb_bytes_at(run->carry, p->dy) : run->grad_output;
}

static float *gamma_of(const mb_run_t *run)
{
    return norm_of(run->call)->scale ? mb_run_param(run, 0) : NULL;
}

static mb_layernorm_forward_args_t forward_args(const mb_run_t *run, const plan_t *p)
{
    const layernorm_t *norm = norm_of(run->call);
    return (mb_layernorm_forward_args_t){
        .type = mb_run_type(run),
        .rows = p->rows,
        .columns = p->columns,
        .rms = norm->rms,
        .epsilon = (float)norm->epsilon,
        .x = x_of(run, p),
        .gamma = gamma_of(run),
        .beta = norm->center ? mb_run_param(run, norm->scale ? 1 : 0) : NULL,
        .y = p->moves ? mb_bytes_at(run->saved, p->y) : run->output,
        .mean = mb_bytes_at(run->saved, p->mean),
        .rstd = mb_bytes_at(run->saved, p->rstd)};
}

static mb_rms_scaling_t scaling_of(const mb_run_t *run, const plan_t *p)
{
    mb_rms_scaling_t s = {.rows = p->rows,
                          .columns = p->columns,
                          .x = x_of(run, p),
                          .gamma = gamma_of(run),
                          .mean = mb_bytes_at(run->saved, p->mean),
                          .rstd = mb_bytes_at(run->saved, p->rstd),
                          .shift = mb_bytes_at(run->saved, p->shift)};
    for (int i = 0; i < 3; i++)
        s.work[i] = mb_bytes_at(run->carry, p->work + (size_t)(i * p->rows) * sizeof(float));
    return s;
}

static mb_status_t forward_rows(const mb_run_t *run, const plan_t *p,
                                const mb_layernorm_forward_args_t *args)
{
    mb_rms_scaling_t scaling = scaling_of(run, p);
    MB_TRY(mb_run_layernorm_forward(run->exec, args));
    if (!norm_of(run->call)->rms_scaling)
        return MB_OK;
    return mb_rms_scaling_forward(run, &scaling, args->y);
}

static mb_status_t forward(const mb_run_t *run)
{
    plan_t p = plan_of(run->call, run->samples);
    mb_layernorm_forward_args_t args = forward_args(run, &p);
    if (!p.moves)
        return forward_rows(run, &p, &args);
    MB_TRY(
        mb_run_arrange(run, mb_run_input(run, 0), &p.plain, mb_bytes_at(run->saved, p.x), &p.laid));
    MB_TRY(forward_rows(run, &p, &args));
    return mb_run_arrange(run, args.y, &p.laid, run->output, &p.plain);
}

static mb_status_t forward_of_sum(const mb_run_t *run, const mb_run_t *sum)
{
    plan_t p = plan_of(run->call, run->samples);
    mb_layernorm_forward_args_t args = forward_args(run, &p);
    if (p.moves || norm_of(run->call)->rms_scaling) {
        MB_TRY(sum->call->layer->class_->forward(sum));
        return forward(run);
    }
    args.adds = true;
    args.x = mb_run_input(sum, 0);
    args.residual = mb_run_input(sum, 1);
    args.sum = sum->output;
    return mb_run_layernorm_forward(run->exec, &args);
}

static mb_status_t backward_rows(const mb_run_t *run, const plan_t *p, void *dx)
{
    mb_layernorm_backward_input_args_t args = {.type = mb_run_type(run),
                                               .rows = p->rows,
                                               .columns = p->columns,
                                               .rms = norm_of(run->call)->rms,
                                               .x = x_of(run, p),
                                               .dy = dy_of(run, p),
                                               .gamma = gamma_of(run),
                                               .mean = mb_bytes_at(run->saved, p->mean),
                                               .rstd = mb_bytes_at(run->saved, p->rstd),
                                               .dx = dx};
    mb_rms_scaling_t scaling = scaling_of(run, p);
    MB_TRY(mb_run_layernorm_backward_input(run->exec, &args));
    if (!norm_of(run->call)->rms_scaling)
        return MB_OK;
    return mb_rms_scaling_backward_input(run, &scaling, args.dy, dx);
}

/* What stood for y's copy serves dx's. */
static mb_status_t backward_input(const mb_run_t *run)
{
    plan_t p = plan_of(run->call, run->samples);
    void *dx = mb_run_grad_input(run, 0), *copy = mb_bytes_at(run->saved, p.y);
    if (p.moves)
        MB_TRY(mb_run_arrange(run, run->grad_output, &p.plain, mb_bytes_at(run->carry, p.dy),
                              &p.laid));
    if (!mb_run_wants_input(run, 0))
        return MB_OK;
    MB_TRY(backward_rows(run, &p, p.moves ? copy : dx));
    return p.moves ? mb_run_arrange(run, copy, &p.laid, dx, &p.plain) : MB_OK;
}

static mb_status_t backward_weights(const mb_run_t *run)
{
    const layernorm_t *norm = norm_of(run->call);
    plan_t p = plan_of(run->call, run->samples);
    if (!run->call->layer->trainable || (!norm->scale && !norm->center))
        return MB_OK;
    mb_layernorm_backward_weights_args_t args = {
        .type = mb_run_type(run),
        .rows = p.rows,
        .columns = p.columns,
        .rms = norm->rms,
        .accumulate = run->accumulate,
        .x = x_of(run, &p),
        .dy = dy_of(run, &p),
        .mean = mb_bytes_at(run->saved, p.mean),
        .rstd = mb_bytes_at(run->saved, p.rstd),
        .dgamma = norm->scale ? mb_run_grad_param(run, 0) : NULL,
        .dbeta = norm->center ? mb_run_grad_param(run, norm->scale ? 1 : 0) : NULL};
    mb_rms_scaling_t scaling = scaling_of(run, &p);
    MB_TRY(mb_run_layernorm_backward_weights(run->exec, &args));
    if (!norm->rms_scaling || !mb_run_wants_param(run, 0))
        return MB_OK;
    return mb_rms_scaling_backward_weights(run, &scaling, args.dy, args.dgamma);
}

static void cost(const mb_call_t *call, mb_cost_t *out)
{
    double elements = (double)mb_shape_elements(&call->output);
    double moved = plan_of(call, 1).moves ? 8.0 : 0.0;
    *out = (mb_cost_t){(10.0 + moved) * elements, (12.0 + moved) * elements, 6.0 * elements};
}

#define LAYERNORM_CLASS(symbol, keras, parser, ...)                                                \
    const mb_layer_class_t mb_layer_##symbol = {.size = sizeof(mb_layer_class_t),                  \
                                                .name = keras,                                     \
                                                .parse = parser,                                   \
                                                .infer = infer,                                    \
                                                .declare = declare,                                \
                                                .check = check,                                    \
                                                .memory = memory,                                  \
                                                .forward = forward,                                \
                                                .backward_input = backward_input,                  \
                                                .backward_weights = backward_weights,              \
                                                .cost = cost,                                      \
                                                .forward_of_sum = forward_of_sum,                  \
                                                __VA_ARGS__}

LAYERNORM_CLASS(layer_normalization, "LayerNormalization", parse, .mask = mb_mask_passes);
LAYERNORM_CLASS(rms_normalization, "RMSNormalization", parse_rms);
