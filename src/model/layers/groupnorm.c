/* GroupNormalization (Wu and He, 2018): each group of a sample's channels, over all positions, has
 * its own mean and variance; gamma and beta belong to channels. The channel axis is seen as two,
 * group and channel of the group, and a group's elements are brought together unless they lie so:
 *
 *     x --copy--> rows --layer normalization--> n --copy--> n times gamma, plus beta = y */
#include <inttypes.h>

#include "model/layers/view.h"

typedef struct {
    int64_t axis, groups; /* groups -1: one for each channel */
    double epsilon;
    bool center, scale;
    int64_t channels; /* of the inputs its parameters were declared for */
    mb_param_spec_t gamma, beta;
} groupnorm_t;

static mb_status_t parse(mb_config_t *config, mb_arena_t *arena, void **out)
{
    groupnorm_t *norm = MB_ARENA_NEW(arena, groupnorm_t);
    if (norm == NULL)
        return mb_error_memory("a layer", sizeof(*norm));
    *out = norm;
    MB_TRY(mb_layer_take_axis(config, &norm->axis));
    MB_TRY(mb_config_int_or(config, "groups", -1, MB_LAYER_MAX_SIZE, 32, &norm->groups));
    if (norm->groups == 0)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "%s: key 'groups' is 0, it must be positive, or -1 for one a channel",
                            config->where);
    MB_TRY(mb_config_real_or(config, "epsilon", 1e-3, &norm->epsilon));
    MB_TRY(mb_config_bool_or(config, "center", true, &norm->center));
    MB_TRY(mb_config_bool_or(config, "scale", true, &norm->scale));
    MB_TRY(mb_layer_take_param(config, "gamma", "ones", "gamma", true, &norm->gamma));
    return mb_layer_take_param(config, "beta", "zeros", "beta", true, &norm->beta);
}

static groupnorm_t *norm_of(const mb_call_t *call)
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

static int64_t groups_of(const mb_call_t *call)
{
    int64_t groups = norm_of(call)->groups;
    return groups < 0 ? channels_of(call) : groups;
}

static mb_status_t infer(mb_call_t *call)
{
    int axis = axis_of(call), rank = call->inputs[0].rank;
    MB_TRY(mb_call_infer_same(call));
    if (axis < 1 || axis > rank)
        return mb_call_error(call, MB_ERR_SHAPE,
                             "key 'axis': axis %" PRId64 " is not an axis within a sample of %d "
                             "dimensions",
                             norm_of(call)->axis, rank);
    if (channels_of(call) == MB_OPEN || channels_of(call) % groups_of(call) == 0)
        return MB_OK;
    return mb_call_error(call, MB_ERR_SHAPE,
                         "key 'groups': %" PRId64 " channels are not a multiple of %" PRId64
                         " groups",
                         channels_of(call), groups_of(call));
}

static mb_status_t declare(const mb_call_t *call, mb_param_list_t *list)
{
    groupnorm_t *norm = norm_of(call);
    mb_shape_t shape = {1, {channels_of(call)}};
    norm->channels = shape.dim[0];
    if (norm->channels == MB_OPEN)
        return mb_call_error(call, MB_ERR_SHAPE,
                             "the number of channels of its input must be known");
    if (norm->scale)
        MB_TRY(mb_layer_add_param(list, &norm->gamma, &shape));
    if (norm->center)
        MB_TRY(mb_layer_add_param(list, &norm->beta, &shape));
    return MB_OK;
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

/* ---- views, with the channel axis as two */

typedef struct {
    int64_t rows, columns;
    bool moves;
    mb_view_t plain, laid;   /* of a tensor; of its copy */
    mb_view_t channel;       /* of gamma and beta */
    size_t mean, rstd, n, x; /* in the saved block */
    size_t saved;
    size_t dn, copy, carry; /* copy: of dx in groups, then of n as it was */
} plan_t;

static mb_view_t split(const mb_call_t *call, int64_t samples)
{
    mb_view_t view = mb_view_of(samples, &call->output);
    int axis = axis_of(call);
    int64_t groups = groups_of(call), size = view.dim[axis] / groups;
    mb_view_insert(&view, axis, groups, size * view.stride[axis]);
    view.dim[axis + 1] = size;
    return view;
}

/* Sample and group in front of what is normalised together. */
static void lay_groups(mb_view_t *view, int axis)
{
    int order[MB_LAYER_VIEW_AXES] = {0, axis}, n = 2;
    for (int d = 1; d < view->axes; d++) {
        if (d != axis)
            order[n++] = d;
    }
    mb_view_lay(view, order);
}

static void set_views(plan_t *p, const mb_call_t *call, int64_t samples)
{
    int axis = axis_of(call);
    p->plain = p->laid = p->channel = split(call, samples);
    lay_groups(&p->laid, axis);
    p->moves = !mb_view_equal(&p->plain, &p->laid);
    for (int d = 0; d < p->channel.axes; d++)
        p->channel.stride[d] = d == axis ? p->channel.dim[axis + 1] : d == axis + 1 ? 1 : 0;
}

static plan_t plan_of(const mb_call_t *call, int64_t samples)
{
    plan_t p = {.rows = samples * groups_of(call)};
    int64_t elements = samples * mb_shape_elements(&call->output);
    set_views(&p, call, samples);
    p.columns = elements / p.rows;
    p.mean = mb_block_add(&p.saved, p.rows, MB_F32);
    p.rstd = mb_block_add(&p.saved, p.rows, MB_F32);
    p.n = mb_block_add(&p.saved, elements, call->output_type);
    p.x = mb_block_add(&p.saved, p.moves ? elements : 0, call->output_type);
    p.dn = mb_block_add(&p.carry, elements, call->output_type);
    p.copy = mb_block_add(&p.carry, p.moves ? elements : 0, call->output_type);
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

static mb_map_input_t gamma_of(const mb_run_t *run, const plan_t *p)
{
    return norm_of(run->call)->scale ? mb_map_weight(mb_run_param(run, 0), p->channel)
                                     : mb_map_constant(1.0f);
}

static int beta_index(const mb_run_t *run)
{
    return norm_of(run->call)->scale ? 1 : 0;
}

static mb_map_input_t beta_of(const mb_run_t *run, const plan_t *p)
{
    return norm_of(run->call)->center
               ? mb_map_weight(mb_run_param(run, beta_index(run)), p->channel)
               : mb_map_constant(0.0f);
}

static mb_status_t normalise(const mb_run_t *run, const plan_t *p)
{
    mb_layernorm_forward_args_t args = {.type = mb_run_type(run),
                                        .rows = p->rows,
                                        .columns = p->columns,
                                        .epsilon = (float)norm_of(run->call)->epsilon,
                                        .x = x_of(run, p),
                                        .y = mb_bytes_at(run->saved, p->n),
                                        .mean = mb_bytes_at(run->saved, p->mean),
                                        .rstd = mb_bytes_at(run->saved, p->rstd)};
    return mb_run_layernorm_forward(run->exec, &args);
}

/* y = n gamma + beta, both where they stand in the tensor; in place allowed. */
static mb_status_t scale(const mb_run_t *run, const plan_t *p, const void *n)
{
    mb_map_call_t map = {.function = MB_MAP_MULTIPLY_ADD,
                         .inputs = {mb_map_tensor(n, p->plain), gamma_of(run, p), beta_of(run, p)},
                         .view = p->plain,
                         .y = run->output};
    return mb_run_strided(run, &map);
}

static mb_status_t forward(const mb_run_t *run)
{
    plan_t p = plan_of(run->call, run->samples);
    void *n = mb_bytes_at(run->saved, p.n);
    if (p.moves)
        MB_TRY(mb_run_arrange(run, mb_run_input(run, 0), &p.plain, mb_bytes_at(run->saved, p.x),
                              &p.laid));
    MB_TRY(normalise(run, &p));
    if (p.moves)
        MB_TRY(mb_run_arrange(run, n, &p.laid, run->output, &p.plain));
    return scale(run, &p, p.moves ? run->output : n);
}

/* The gradient of n, where its rows stand; dx serves on the way. */
static mb_status_t unscale(const mb_run_t *run, const plan_t *p, void *dn, void *dx)
{
    mb_map_call_t map = {.function = MB_MAP_MULTIPLY,
                         .inputs = {mb_map_tensor(run->grad_output, p->plain), gamma_of(run, p)},
                         .view = p->plain,
                         .y = p->moves ? dx : dn};
    MB_TRY(mb_run_strided(run, &map));
    return p->moves ? mb_run_arrange(run, dx, &p->plain, dn, &p->laid) : MB_OK;
}

static mb_status_t backward_input(const mb_run_t *run)
{
    plan_t p = plan_of(run->call, run->samples);
    void *dx = mb_run_grad_input(run, 0), *copy = mb_bytes_at(run->carry, p.copy);
    void *dn = mb_bytes_at(run->carry, p.dn);
    if (!mb_run_wants_input(run, 0))
        return MB_OK;
    MB_TRY(unscale(run, &p, dn, dx));
    mb_layernorm_backward_input_args_t args = {.type = mb_run_type(run),
                                               .rows = p.rows,
                                               .columns = p.columns,
                                               .x = x_of(run, &p),
                                               .dy = dn,
                                               .mean = mb_bytes_at(run->saved, p.mean),
                                               .rstd = mb_bytes_at(run->saved, p.rstd),
                                               .dx = p.moves ? copy : dx};
    MB_TRY(mb_run_layernorm_backward_input(run->exec, &args));
    return p.moves ? mb_run_arrange(run, copy, &p.laid, dx, &p.plain) : MB_OK;
}

/* The sums for one of the parameters, of dy times what it was multiplied by. */
static mb_status_t gradient(const mb_run_t *run, const plan_t *p, int param, mb_map_t function,
                            const void *factor)
{
    mb_map_call_t map = {
        .function = function,
        .inputs = {mb_map_tensor(run->grad_output, p->plain), mb_map_tensor(factor, p->plain)},
        .view = p->channel,
        .y = mb_run_grad_param(run, param),
        .is_wide = true,
        .reduced = mb_view_repeats(&p->channel),
        .accumulate = run->accumulate};
    return mb_run_wants_param(run, param) ? mb_run_strided(run, &map) : MB_OK;
}

static mb_status_t gamma_gradient(const mb_run_t *run, const plan_t *p)
{
    const void *n = mb_bytes_at(run->saved, p->n);
    void *copy = mb_bytes_at(run->carry, p->copy);
    if (p->moves && mb_run_wants_param(run, 0))
        MB_TRY(mb_run_arrange(run, n, &p->laid, copy, &p->plain));
    return gradient(run, p, 0, MB_MAP_MULTIPLY, p->moves ? copy : n);
}

static mb_status_t backward_weights(const mb_run_t *run)
{
    const groupnorm_t *norm = norm_of(run->call);
    plan_t p = plan_of(run->call, run->samples);
    if (norm->scale)
        MB_TRY(gamma_gradient(run, &p));
    return norm->center ? gradient(run, &p, beta_index(run), MB_MAP_COPY, NULL) : MB_OK;
}

static void cost(const mb_call_t *call, mb_cost_t *out)
{
    double elements = (double)mb_shape_elements(&call->output);
    double moved = plan_of(call, 1).moves ? 4.0 : 0.0;
    *out = (mb_cost_t){(14.0 + moved) * elements, (16.0 + moved) * elements, 8.0 * elements};
}

const mb_layer_class_t mb_layer_group_normalization = {.size = sizeof(mb_layer_class_t),
                                                       .name = "GroupNormalization",
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
