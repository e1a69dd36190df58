/* See channels.h. The inner call has the shapes with channels last; the inner run has the
 * transposed arrays, which stand in front of the layer's own in the saved block (x, y) and the
 * carry (dx, dy). An output without positions (global pooling) is the same in both formats. */
#include "model/layers/channels.h"

#include <string.h>

mb_status_t mb_channels_take(mb_config_t *config, const mb_layer_class_t *layer, mb_channels_t *out)
{
    const char *text;
    MB_TRY(mb_config_string_or(config, "data_format", "channels_last", &text));
    *out = (mb_channels_t){strcmp(text, "channels_first") == 0, layer};
    if (out->first || strcmp(text, "channels_last") == 0)
        return MB_OK;
    return mb_error_set(MB_ERR_UNSUPPORTED,
                        "%s: key 'data_format' is \"%s\"; this build obeys \"channels_last\" and "
                        "\"channels_first\"",
                        config->where, text);
}

static const mb_channels_t *channels_of(const mb_call_t *call)
{
    return call->layer->config;
}

static mb_shape_t with_last(const mb_shape_t *first)
{
    mb_shape_t last = *first;
    for (int i = 0; i + 1 < first->rank; i++)
        last.dim[i] = first->dim[i + 1];
    if (first->rank > 0)
        last.dim[first->rank - 1] = first->dim[0];
    return last;
}

static mb_shape_t with_first(const mb_shape_t *last)
{
    mb_shape_t first = *last;
    for (int i = 1; i < last->rank; i++)
        first.dim[i] = last->dim[i - 1];
    if (last->rank > 0)
        first.dim[0] = last->dim[last->rank - 1];
    return first;
}

static mb_call_t inner_of(const mb_call_t *call)
{
    mb_call_t inner = *call;
    inner.inputs[0] = with_last(&call->inputs[0]);
    inner.output = with_last(&call->output);
    return inner;
}

mb_status_t mb_channels_infer(mb_call_t *call)
{
    const mb_channels_t *channels = channels_of(call);
    if (!channels->first)
        return channels->layer->infer(call);
    mb_call_t inner = *call;
    inner.inputs[0] = with_last(&call->inputs[0]);
    MB_TRY(channels->layer->infer(&inner));
    call->output = with_first(&inner.output);
    call->output_type = inner.output_type;
    return MB_OK;
}

mb_status_t mb_channels_declare(const mb_call_t *call, mb_param_list_t *list)
{
    const mb_channels_t *channels = channels_of(call);
    mb_call_t inner = inner_of(call);
    return channels->layer->declare(channels->first ? &inner : call, list);
}

mb_status_t mb_channels_check(const mb_call_t *call)
{
    const mb_channels_t *channels = channels_of(call);
    mb_call_t inner = inner_of(call);
    return channels->layer->check(channels->first ? &inner : call);
}

/* Where the transposed arrays stand: the input's in saved and its gradient in the carry at 0, the
 * output's behind, then the layer's own. */
typedef struct {
    size_t output, own;
} block_t;

static block_t block_of(const mb_call_t *call, int64_t samples)
{
    block_t block = {0};
    mb_block_add(&block.own, samples * mb_shape_elements(&call->inputs[0]), call->output_type);
    block.output = block.own;
    if (call->output.rank > 1)
        mb_block_add(&block.own, samples * mb_shape_elements(&call->output), call->output_type);
    return block;
}

void mb_channels_memory(const mb_call_t *call, int64_t samples, mb_memory_t *out)
{
    const mb_channels_t *channels = channels_of(call);
    mb_call_t inner = inner_of(call);
    channels->layer->memory(channels->first ? &inner : call, samples, out);
    if (!channels->first)
        return;
    size_t own = block_of(call, samples).own;
    out->saved_bytes += own;
    out->carry_bytes += own;
    out->keeps_input[0] = false;
    out->keeps_output = out->keeps_output && call->output.rank <= 1;
}

/* to[s, j, i] = from[s, i, j] */
static mb_status_t transpose(const mb_run_t *run, int64_t rows, int64_t columns, const void *from,
                             void *to)
{
    mb_copy_view_args_t args = {.type = mb_run_type(run),
                                .size = {1, 1, run->samples, columns, rows},
                                .from_stride = {0, 0, rows * columns, 1, columns},
                                .to_stride = {0, 0, rows * columns, rows, 1},
                                .from = from,
                                .to = to};
    return mb_run_copy_view(run->exec, &args);
}

static mb_status_t to_last(const mb_run_t *run, const mb_shape_t *first, const void *from, void *to)
{
    int64_t channels = first->dim[0];
    return transpose(run, channels, mb_shape_elements(first) / channels, from, to);
}

static mb_status_t to_first(const mb_run_t *run, const mb_shape_t *first, const void *from,
                            void *to)
{
    int64_t channels = first->dim[0];
    return transpose(run, mb_shape_elements(first) / channels, channels, from, to);
}

/* The run inside, with what its pointers point to. */
typedef struct {
    mb_call_t call;
    mb_run_t run;
    block_t block;
    const void *inputs[1];
    void *grad_inputs[1];
    bool moves_output;
} inside_t;

static void enter(const mb_run_t *run, inside_t *in)
{
    in->call = inner_of(run->call);
    in->block = block_of(run->call, run->samples);
    in->moves_output = run->call->output.rank > 1;
    in->run = *run;
    in->run.call = &in->call;
    in->inputs[0] = run->saved;
    in->run.inputs = in->inputs;
    in->run.saved = mb_bytes_at(run->saved, in->block.own);
    in->run.carry = mb_bytes_at(run->carry, in->block.own);
    in->grad_inputs[0] = mb_run_wants_input(run, 0) ? run->carry : NULL;
    in->run.grad_inputs = in->grad_inputs;
    if (!in->moves_output)
        return;
    in->run.output = mb_bytes_at(run->saved, in->block.output);
    in->run.grad_output = mb_bytes_at(run->carry, in->block.output);
}

mb_status_t mb_channels_forward(const mb_run_t *run)
{
    const mb_channels_t *channels = channels_of(run->call);
    inside_t in;
    if (!channels->first)
        return channels->layer->forward(run);
    enter(run, &in);
    MB_TRY(to_last(run, &run->call->inputs[0], mb_run_input(run, 0), run->saved));
    MB_TRY(channels->layer->forward(&in.run));
    return in.moves_output ? to_first(run, &run->call->output, in.run.output, run->output) : MB_OK;
}

mb_status_t mb_channels_backward_input(const mb_run_t *run)
{
    const mb_channels_t *channels = channels_of(run->call);
    inside_t in;
    if (!channels->first)
        return channels->layer->backward_input(run);
    enter(run, &in);
    if (in.moves_output)
        MB_TRY(to_last(run, &run->call->output, run->grad_output,
                       mb_bytes_at(run->carry, in.block.output)));
    MB_TRY(channels->layer->backward_input(&in.run));
    if (!mb_run_wants_input(run, 0))
        return MB_OK;
    return to_first(run, &run->call->inputs[0], run->carry, mb_run_grad_input(run, 0));
}

mb_status_t mb_channels_backward_weights(const mb_run_t *run)
{
    const mb_channels_t *channels = channels_of(run->call);
    inside_t in;
    if (!channels->first)
        return channels->layer->backward_weights(run);
    enter(run, &in);
    return channels->layer->backward_weights(&in.run);
}

/* Moving an element costs about as much as a few additions. */
void mb_channels_cost(const mb_call_t *call, mb_cost_t *out)
{
    const mb_channels_t *channels = channels_of(call);
    mb_call_t inner = inner_of(call);
    channels->layer->cost(channels->first ? &inner : call, out);
    if (!channels->first)
        return;
    double moved =
        4.0 * (double)(mb_shape_elements(&call->inputs[0]) + mb_shape_elements(&call->output));
    out->forward_flops += moved;
    out->backward_input_flops += moved;
}
