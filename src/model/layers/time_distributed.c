/* TimeDistributed: a layer applied to each step of a sequence by itself. The steps of all samples
 * are samples of the layer inside, which sees a call of its own with so many more of them:
 *
 *     [samples, steps, ...] is [samples x steps, ...]
 *
 * and so is a mask. That changes nothing for a layer that works sample by sample. One that mixes
 * them, batch normalization, is another thing step by step: Keras 2 folds the steps as this does,
 * Keras 3 calls the layer for one step after the other (time_distributed_steps.c).
 *
 * Around a model it is all of the model's layers so wrapped (graph_read.c): members. */
#include "model/layers/time_distributed.h"
#include "model/layers/time_distributed_steps.h"

#include <string.h>

#include "model/known.h"
#include "model/layers/recurrent.h"

extern const mb_layer_class_t mb_layer_time_distributed;

typedef struct {
    const mb_layer_class_t *class_;
    void *config;
    const char *prefix; /* of the weights' names */
    bool keras2;
    bool member; /* of a model that is distributed */
} distributed_t;

/* ---- config */

static mb_status_t refuse_class(const mb_config_t *config, const char *name)
{
    char hint[MB_KNOWN_HINT];
    return mb_error_set(MB_ERR_UNSUPPORTED,
                        "%s: key 'layer' is of class '%s', which is not known%s", config->where,
                        name, mb_known_hint(&mb_known_layers, name, hint));
}

/* Its calls take what kwargs say, and it has no place for them. */
static mb_status_t check_class(const mb_config_t *config, const char *name,
                               const mb_layer_class_t *class_)
{
    if (class_ == NULL)
        return refuse_class(config, name);
    if (class_->takes_masks == MB_TAKES_OWN_MASK)
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "%s: key 'layer' is of class '%s', whose mask Keras forgets there; use "
                            "it without TimeDistributed",
                            config->where, name);
    if (strstr(name, "Attention") == NULL)
        return MB_OK;
    return mb_error_set(MB_ERR_UNSUPPORTED,
                        "%s: key 'layer' is of class '%s', which takes several tensors",
                        config->where, name);
}

/* Keras 3 calls what is inside so that its activity regularizer is not added. */
static mb_status_t take_common(mb_config_t *inner, bool keras2)
{
    static const char *const without_effect[] = {"batch_input_shape", "batch_shape", "input_shape"};
    for (size_t i = 0; i < sizeof without_effect / sizeof without_effect[0]; i++)
        mb_config_ignore(inner, without_effect[i]);
    MB_TRY(mb_config_only(inner, "autocast", "true"));
    if (keras2)
        return mb_config_only(inner, "activity_regularizer", "null");
    mb_config_ignore(inner, "activity_regularizer");
    return MB_OK;
}

static mb_status_t parse(mb_config_t *config, mb_arena_t *arena, void **out)
{
    distributed_t *d = MB_ARENA_NEW(arena, distributed_t);
    const char *class_name, *name;
    mb_config_t inner;
    if (d == NULL)
        return mb_error_memory("a layer", sizeof *d);
    *out = d;
    d->keras2 = config->keras2;
    MB_TRY(mb_layer_open_inner(config, "layer", &class_name, &inner));
    d->class_ = mb_layer_class_find(class_name);
    MB_TRY(check_class(config, class_name, d->class_));
    MB_TRY(mb_config_string_or(&inner, "name", class_name, &name));
    MB_TRY(take_common(&inner, d->keras2));
    d->prefix = mb_arena_format(arena, "%s/", name);
    if (d->prefix == NULL)
        return mb_error_memory("a layer's name", strlen(name));
    MB_TRY(mb_layer_class_parse(d->class_, &inner, arena, &d->config));
    return mb_config_finish(&inner);
}

mb_status_t mb_layer_distribute(mb_arena_t *arena, mb_layer_t *layer)
{
    distributed_t *d = MB_ARENA_NEW(arena, distributed_t);
    if (d == NULL)
        return mb_error_memory("a layer", sizeof *d);
    if (layer->class_->outputs != NULL && layer->class_->outputs(layer) != 1)
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "layer '%s' (%s) has several outputs inside a model that "
                            "TimeDistributed gives each step to; let it return one",
                            layer->path, layer->class_->name);
    *d = (distributed_t){.class_ = layer->class_,
                         .config = layer->config,
                         .prefix = "",
                         .keras2 = layer->keras2,
                         .member = true};
    layer->class_ = &mb_layer_time_distributed;
    layer->config = d;
    return MB_OK;
}

/* The mask goes on as it is; what is inside is given each step's. */
static mb_mask_rule_t mask(const mb_call_t *call)
{
    const distributed_t *d = call->layer->config;
    bool frozen = d->class_->update_statistics != NULL && !call->layer->trainable;
    return (mb_mask_rule_t){.kind = MB_MASK_PASSED,
                            .ignored = frozen || d->class_->takes_masks != MB_TAKES_MASKS};
}

/* ---- the call inside */

typedef struct {
    mb_layer_t layer;
    mb_call_t call;
    int64_t steps;
    const mb_layer_class_t *class_;
} inside_t;

static const distributed_t *distributed_of(const mb_call_t *call)
{
    return call->layer->config;
}

static mb_shape_t without_steps(const mb_shape_t *shape)
{
    mb_shape_t out = {.rank = shape->rank - 1};
    memcpy(out.dim, shape->dim + 1, (size_t)out.rank * sizeof *out.dim);
    return out;
}

static void open_layer(const mb_call_t *call, inside_t *in)
{
    const distributed_t *d = distributed_of(call);
    in->class_ = d->class_;
    in->layer = *call->layer;
    in->layer.class_ = d->class_;
    in->layer.config = d->config;
    in->call = *call;
    in->call.layer = &in->layer;
}

static void open_call(const mb_call_t *call, inside_t *in)
{
    open_layer(call, in);
    in->steps = call->inputs[0].dim[0];
    for (int i = 0; i < call->n_inputs; i++)
        in->call.inputs[i] = without_steps(&call->inputs[i]);
    if (call->output.rank > 0)
        in->call.output = without_steps(&call->output);
}

/* A mask that one of a model's layers makes would go on to the model's other layers. */
static mb_status_t check_rule(const mb_call_t *call, const inside_t *in)
{
    mb_mask_kind_t kind =
        in->class_->mask == NULL ? MB_MASK_DROPPED : in->class_->mask(&in->call).kind;
    if (!distributed_of(call)->member || (kind != MB_MASK_NOT_ZERO && kind != MB_MASK_DIFFERS))
        return MB_OK;
    return mb_call_error(call, MB_ERR_UNSUPPORTED,
                         "%s makes a mask inside a model that TimeDistributed gives each step to, "
                         "which is not carried on there; %s",
                         in->class_->name,
                         kind == MB_MASK_NOT_ZERO ? "set mask_zero to false"
                                                  : "put it in front of TimeDistributed");
}

static mb_status_t check_arguments(const mb_call_t *call)
{
    int n = mb_call_arguments(call);
    bool fit = distributed_of(call)->member ? n >= 1 : n == 1;
    for (int i = 0; fit && i < n; i++)
        fit = call->inputs[i].rank >= 1 && call->inputs[i].dim[0] == call->inputs[0].dim[0];
    return fit ? MB_OK
               : mb_call_error(call, MB_ERR_SHAPE, "takes one tensor of samples with steps");
}

static mb_status_t check_mask(const mb_call_t *call)
{
    char text[MB_SHAPE_TEXT];
    const mb_shape_t *mask = &call->inputs[call->masks[0]];
    if (call->masks[0] == 0 || (mask->rank > 0 && mask->dim[0] == call->inputs[0].dim[0]))
        return MB_OK;
    return mb_call_error(call, MB_ERR_SHAPE,
                         "its mask has %s a sample, which does not begin with the steps",
                         mb_shape_text(mask, text, sizeof(text)));
}

static mb_status_t infer(mb_call_t *call)
{
    inside_t in;
    mb_shape_t kept[MB_MAX_STATES];
    MB_TRY(check_arguments(call));
    MB_TRY(check_mask(call));
    call->output.rank = 0;
    open_call(call, &in);
    MB_TRY(check_rule(call, &in));
    MB_TRY(in.class_->infer(&in.call));
    if (mb_call_states(&in.call, kept) > 0)
        return mb_call_error(
            call, MB_ERR_UNSUPPORTED,
            "key 'layer': its 'stateful' is true, so that Keras hands its states on "
            "from one step to the next; use it without TimeDistributed");
    if (in.call.output.rank == MB_MAX_RANK)
        return mb_call_error(call, MB_ERR_UNSUPPORTED, "its output has too many dimensions");
    call->output = (mb_shape_t){.rank = in.call.output.rank + 1, .dim = {in.steps}};
    memcpy(call->output.dim + 1, in.call.output.dim,
           (size_t)in.call.output.rank * sizeof *call->output.dim);
    call->output_type = in.call.output_type;
    return MB_OK;
}

static bool goes_by_steps(const mb_call_t *call, const inside_t *in)
{
    return mb_call_has_statistics(&in->call) && !distributed_of(call)->keras2 &&
           call->layer->trainable;
}

static mb_status_t declare(const mb_call_t *call, mb_param_list_t *list)
{
    inside_t in;
    const char *around;
    open_call(call, &in);
    if (in.class_->declare == NULL)
        return MB_OK;
    MB_TRY(mb_param_list_enter(list, distributed_of(call)->prefix, &around));
    mb_status_t status = in.class_->declare(&in.call, list);
    mb_param_list_leave(list, around);
    return status;
}

static mb_status_t check(const mb_call_t *call)
{
    inside_t in;
    open_call(call, &in);
    return in.class_->check == NULL ? MB_OK : in.class_->check(&in.call);
}

static void memory(const mb_call_t *call, int64_t samples, mb_memory_t *out)
{
    inside_t in;
    open_call(call, &in);
    if (goes_by_steps(call, &in))
        mb_steps_memory(call, &in.call, samples, out);
    else
        in.class_->memory(&in.call, samples * in.steps, out);
}

static void constants(const mb_call_t *call, void *out)
{
    inside_t in;
    open_call(call, &in);
    in.class_->constants(&in.call, out);
}

/* Each step has random numbers of its own: step t of the sample at position p is at p steps + t. */
static mb_run_t open_run(const mb_run_t *run, inside_t *in)
{
    mb_run_t inner = *run;
    open_call(run->call, in);
    inner.call = &in->call;
    inner.samples *= in->steps;
    inner.valid *= in->steps;
    inner.random.position *= (uint32_t)in->steps;
    return inner;
}

static mb_status_t forward(const mb_run_t *run)
{
    inside_t in;
    mb_run_t inner = open_run(run, &in);
    return goes_by_steps(run->call, &in) ? mb_steps_forward(run, &in.call)
                                         : in.class_->forward(&inner);
}

static mb_status_t backward_input(const mb_run_t *run)
{
    inside_t in;
    mb_run_t inner = open_run(run, &in);
    return goes_by_steps(run->call, &in) ? mb_steps_backward_input(run, &in.call)
                                         : in.class_->backward_input(&inner);
}

static mb_status_t backward_weights(const mb_run_t *run)
{
    inside_t in;
    mb_run_t inner = open_run(run, &in);
    if (goes_by_steps(run->call, &in))
        return mb_steps_backward_weights(run, &in.call);
    return in.class_->backward_weights == NULL ? MB_OK : in.class_->backward_weights(&inner);
}

static mb_status_t update_statistics(const mb_run_t *run, double count)
{
    inside_t in;
    mb_run_t inner = open_run(run, &in);
    return goes_by_steps(run->call, &in)
               ? mb_steps_update_statistics(run, &in.call, count)
               : in.class_->update_statistics(&inner, count * (double)in.steps);
}

static void cost(const mb_call_t *call, mb_cost_t *out)
{
    inside_t in;
    open_call(call, &in);
    in.class_->cost(&in.call, out);
    out->forward_flops *= (double)in.steps;
    out->backward_input_flops *= (double)in.steps;
    out->backward_weights_flops *= (double)in.steps;
}

static bool differentiable(const mb_call_t *call, int input)
{
    inside_t in;
    open_call(call, &in);
    return in.class_->differentiable == NULL || in.class_->differentiable(&in.call, input);
}

static void roles(const mb_call_t *call, mb_roles_t *out)
{
    inside_t in;
    open_layer(call, &in);
    if (in.class_->roles != NULL)
        in.class_->roles(&in.call, out);
}

static int wrapped(const mb_layer_t *layer)
{
    mb_call_t call = {.layer = layer};
    inside_t in;
    open_layer(&call, &in);
    return (distributed_of(&call)->member ? 0 : 1) +
           (in.class_->wrapped == NULL ? 0 : in.class_->wrapped(&in.layer));
}

static const char *attribute(const mb_layer_t *layer, const char *part, size_t length)
{
    mb_call_t call = {.layer = layer};
    inside_t in;
    open_layer(&call, &in);
    return in.class_->attribute == NULL ? NULL : in.class_->attribute(&in.layer, part, length);
}

static bool has_statistics(const mb_call_t *call)
{
    inside_t in;
    open_layer(call, &in);
    return mb_call_has_statistics(&in.call);
}

const mb_layer_class_t mb_layer_time_distributed = {.size = sizeof(mb_layer_class_t),
                                                    .name = "TimeDistributed",
                                                    .parse = parse,
                                                    .infer = infer,
                                                    .declare = declare,
                                                    .check = check,
                                                    .memory = memory,
                                                    .constants = constants,
                                                    .forward = forward,
                                                    .backward_input = backward_input,
                                                    .backward_weights = backward_weights,
                                                    .update_statistics = update_statistics,
                                                    .cost = cost,
                                                    .differentiable = differentiable,
                                                    .roles = roles,
                                                    .mask = mask,
                                                    .takes_masks = MB_TAKES_MASKS,
                                                    .wrapped = wrapped,
                                                    .attribute = attribute,
                                                    .has_statistics = has_statistics};
