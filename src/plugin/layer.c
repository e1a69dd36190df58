/* A plugin's layer as a layer class: its callbacks between our structs and the public ones. */
#include "plugin/inside.h"

#include <stdlib.h>
#include <string.h>

#include "model/layers/layers.h"

_Static_assert(MB_PLUGIN_DIMS == MB_MAX_RANK, "shapes of a plugin are ours");
_Static_assert(MB_PLUGIN_OPEN == MB_OPEN, "open dimensions too");
_Static_assert(MB_PLUGIN_INPUTS == MB_MAX_INPUTS, "and the tensors of a call");
_Static_assert(MB_PLUGIN_WEIGHTS <= MB_MAX_LAYER_PARAMS, "its weights are among ours");

mb_plugin_shape_t mb_plugin_shape_of(const mb_shape_t *shape)
{
    mb_plugin_shape_t out = {.rank = shape->rank};
    memcpy(out.dim, shape->dim, sizeof out.dim);
    return out;
}

mb_shape_t mb_plugin_shape_in(const mb_plugin_shape_t *shape)
{
    mb_shape_t out = {.rank = shape->rank};
    memcpy(out.dim, shape->dim, sizeof out.dim);
    return out;
}

static mb_plugin_call_t call_of(const mb_call_t *call)
{
    mb_plugin_call_t out = {.settings = mb_plugin_kept(call)->settings, .inputs = call->n_inputs};
    for (int i = 0; i < call->n_inputs; i++)
        out.input[i] = mb_plugin_shape_of(&call->inputs[i]);
    out.output = mb_plugin_shape_of(&call->output);
    return out;
}

/* What the plugin itself has to say gets its place. */
static mb_status_t at_layer(const mb_call_t *call, mb_status_t status)
{
    if (status == MB_OK)
        return status;
    return mb_error_prefix(status, "layer '%s' (%s): ", call->layer->path,
                           call->layer->class_->name);
}

/* ---- reading and shapes */

static mb_status_t parse(const void *kind, mb_config_t *config, mb_arena_t *arena, void **out)
{
    const mb_plugin_layer_t *layer = kind;
    mb_plugin_kept_t *kept = MB_ARENA_NEW(arena, mb_plugin_kept_t);
    if (kept == NULL)
        return mb_error_memory("a layer", sizeof *kept);
    kept->layer = layer;
    *out = kept;
    mb_plugin_config_t given = {config, arena, kept};
    return layer->parse == NULL ? MB_OK : layer->parse(&given, &kept->settings);
}

static mb_status_t check_output(const mb_call_t *call, const mb_plugin_shape_t *shape)
{
    bool good = shape->rank >= 0 && shape->rank <= MB_MAX_RANK;
    for (int d = 0; good && d < shape->rank; d++)
        good = shape->dim[d] == MB_OPEN || shape->dim[d] >= 1;
    return good ? MB_OK
                : mb_call_error(call, MB_ERR_SHAPE, "the plugin gives its output no valid shape");
}

static mb_status_t infer(mb_call_t *call)
{
    const mb_plugin_layer_t *layer = mb_plugin_kept(call)->layer;
    MB_TRY(mb_call_expect(call, layer->infer == NULL ? 1 : call->n_inputs));
    call->output_type = call->input_types[0];
    call->output = call->inputs[0];
    if (layer->infer == NULL)
        return MB_OK;
    mb_plugin_call_t given = call_of(call);
    MB_TRY(at_layer(call, layer->infer(&given)));
    MB_TRY(check_output(call, &given.output));
    call->output = mb_plugin_shape_in(&given.output);
    return MB_OK;
}

mb_status_t mb_plugin_shape_weight(mb_plugin_weights_t *weights, const mb_plugin_shape_t *shape)
{
    const mb_plugin_kept_t *kept = mb_plugin_kept(weights->call);
    int n = weights->n;
    bool good = n < kept->n_weights && shape->rank >= 0 && shape->rank <= MB_MAX_RANK;
    for (int d = 0; good && d < shape->rank; d++)
        good = shape->dim[d] >= 1;
    if (!good)
        return mb_error_set(MB_ERR_SHAPE, n < kept->n_weights
                                              ? "a weight's dimensions must be known and positive"
                                              : "more weights get shapes than were taken");
    weights->shapes[weights->n++] = *shape;
    mb_shape_t own = mb_plugin_shape_in(shape);
    if (weights->list == NULL)
        return MB_OK;
    mb_param_spec_t spec = kept->specs[n];
    if (own.rank > 0)
        return mb_layer_add_param(weights->list, &spec, &own);
    spec.shape = own;
    spec.fan_in = spec.fan_out = 1;
    return mb_param_add(weights->list, &spec);
}

static mb_status_t run_declare(const mb_call_t *call, mb_plugin_weights_t *weights)
{
    const mb_plugin_kept_t *kept = mb_plugin_kept(call);
    mb_plugin_call_t given = call_of(call);
    if (kept->layer->declare != NULL)
        MB_TRY(at_layer(call, kept->layer->declare(&given, weights)));
    if (weights->n == kept->n_weights)
        return MB_OK;
    return mb_call_error(call, MB_ERR_SHAPE, "the plugin takes %d weights and gives %d a shape",
                         kept->n_weights, weights->n);
}

static mb_status_t declare(const mb_call_t *call, mb_param_list_t *list)
{
    mb_plugin_kept_t *kept = call->layer->config;
    mb_plugin_weights_t weights = {.call = call, .list = list};
    MB_TRY(run_declare(call, &weights));
    memcpy(kept->shapes, weights.shapes, sizeof kept->shapes);
    return MB_OK;
}

static mb_status_t check(const mb_call_t *call)
{
    const mb_plugin_kept_t *kept = mb_plugin_kept(call);
    mb_plugin_weights_t weights = {.call = call};
    MB_TRY(run_declare(call, &weights));
    for (int i = 0; i < weights.n; i++) {
        mb_shape_t own = mb_plugin_shape_in(&kept->shapes[i]);
        mb_shape_t other = mb_plugin_shape_in(&weights.shapes[i]);
        if (!mb_shape_equal(&own, &other))
            return mb_call_error(call, MB_ERR_SHAPE,
                                 "its weight '%s' does not fit the inputs of another call",
                                 kept->specs[i].name);
    }
    return MB_OK;
}

/* ---- memory */

static mb_plugin_memory_t memory_of(const mb_call_t *call, int64_t samples)
{
    const mb_plugin_layer_t *layer = mb_plugin_kept(call)->layer;
    mb_plugin_call_t given = call_of(call);
    mb_plugin_memory_t memory = {.keeps_output = 0};
    if (layer->memory != NULL)
        layer->memory(&given, samples, &memory);
    return memory;
}

/* Lays PARTS into one block; their offsets where OFFSETS is not NULL. */
static size_t lay(const int64_t *parts, mb_dtype_t type, size_t *offsets)
{
    size_t bytes = 0;
    for (int i = 0; i < MB_PLUGIN_PARTS; i++) {
        size_t offset = mb_block_add(&bytes, parts[i] < 0 ? 0 : parts[i], type);
        if (offsets != NULL)
            offsets[i] = offset;
    }
    return bytes;
}

static void memory(const mb_call_t *call, int64_t samples, mb_memory_t *out)
{
    mb_plugin_memory_t m = memory_of(call, samples);
    *out = (mb_memory_t){.keeps_output = m.keeps_output != 0,
                         .saved_bytes = lay(m.saved, call->output_type, NULL),
                         .carry_bytes = lay(m.carried, call->output_type, NULL)};
    for (int i = 0; i < call->n_inputs; i++)
        out->keeps_input[i] = m.keeps_input[i] != 0;
}

/* ---- running */

static void place_parts(const mb_run_t *run, mb_plugin_run_t *out)
{
    size_t saved[MB_PLUGIN_PARTS], carried[MB_PLUGIN_PARTS];
    mb_plugin_memory_t m = memory_of(run->call, run->samples);
    lay(m.saved, run->call->output_type, saved);
    lay(m.carried, run->call->output_type, carried);
    for (int i = 0; i < MB_PLUGIN_PARTS; i++) {
        out->saved[i] = mb_bytes_at(run->saved, saved[i]);
        out->carried[i] = mb_bytes_at(run->carry, carried[i]);
    }
}

static void place_weights(const mb_run_t *run, mb_plugin_run_t *out)
{
    const mb_plugin_kept_t *kept = mb_plugin_kept(run->call);
    for (int i = 0; i < kept->n_weights; i++) {
        out->weight[i] = mb_run_value(run, i);
        out->weight_shape[i] = &kept->shapes[i];
        out->grad_weight[i] = mb_run_grad_param(run, i);
    }
}

typedef mb_status_t (*pass_t)(const mb_plugin_run_t *run);

static mb_status_t pass(const mb_run_t *run, pass_t callback)
{
    mb_plugin_call_t call = call_of(run->call);
    struct mb_plugin_inside inside = {run};
    mb_plugin_run_t out = {.call = &call,
                           .samples = run->samples,
                           .training = run->training,
                           .output = run->output,
                           .grad_output = run->grad_output,
                           .accumulate = run->accumulate,
                           .internals = &inside};
    for (int i = 0; i < call.inputs; i++) {
        out.input[i] = mb_run_input(run, i);
        out.grad_input[i] = mb_run_grad_input(run, i);
    }
    place_parts(run, &out);
    place_weights(run, &out);
    return callback(&out);
}

static mb_status_t forward(const mb_run_t *run)
{
    return pass(run, mb_plugin_kept(run->call)->layer->forward);
}

static mb_status_t backward_input(const mb_run_t *run)
{
    return pass(run, mb_plugin_kept(run->call)->layer->backward_input);
}

static mb_status_t backward_weights(const mb_run_t *run)
{
    pass_t callback = mb_plugin_kept(run->call)->layer->backward_weights;
    return callback == NULL ? MB_OK : pass(run, callback);
}

static void cost(const mb_call_t *call, mb_cost_t *out)
{
    const mb_plugin_layer_t *layer = mb_plugin_kept(call)->layer;
    double elements = 4.0 * (double)mb_shape_elements(&call->output);
    double flops[3] = {elements, elements, elements};
    mb_plugin_call_t given = call_of(call);
    if (layer->cost != NULL)
        layer->cost(&given, flops);
    *out = (mb_cost_t){flops[0], flops[1], flops[2]};
}

mb_status_t mb_plugin_class_of(const mb_plugin_layer_t *layer, const mb_layer_class_t **out)
{
    mb_layer_class_t *class_ = calloc(1, sizeof *class_);
    if (class_ == NULL)
        return mb_error_memory("a layer's class", sizeof *class_);
    *class_ = (mb_layer_class_t){.size = sizeof *class_,
                                 .name = layer->name,
                                 .kind = layer,
                                 .parse_kind = parse,
                                 .infer = infer,
                                 .declare = declare,
                                 .check = check,
                                 .memory = memory,
                                 .forward = forward,
                                 .backward_input = backward_input,
                                 .backward_weights = backward_weights,
                                 .cost = cost};
    *out = class_;
    return MB_OK;
}
