/* See handed.h. The node of an input, or of an output, is given the caller's memory before the
 * micro-batch is computed (mb_stage_give). */
#include "infer/handed.h"

#include "data/prefetch.h"

#include <stdlib.h>
#include <string.h>

/* Kernels of the CPU load from any address; others take several numbers at a time. */
enum { APART_ALIGNMENT = 64 };

typedef struct {
    int node;
    mb_prefetch_item_t item;
    bool may_stay; /* the array is as the node has it */
} input_t;

struct mb_handed {
    mb_session_t *session;
    mb_source_t *source;
    int n_inputs;
    input_t inputs[MB_MAX_INPUTS];
    int64_t *indices; /* [micro_batch] */
    void *host;       /* an input of a micro-batch on its way; NULL: the host sees the device's */
    const mb_handed_arrays_t *arrays; /* of the run */
    int64_t copied;
    bool moved; /* since the last micro-batch */
};

static bool sees_host(const mb_handed_t *h)
{
    const mb_machine_t *machine = h->session->machine;
    return machine->device->class_->host_visible(machine->device);
}

static int64_t micro_batch_of(const mb_handed_t *h)
{
    return h->session->micro_batch;
}

static mb_status_t list_inputs(mb_handed_t *h)
{
    const mb_model_t *model = h->session->model;
    const mb_graph_t *graph = model->graph;
    mb_shape_t shapes[MB_MAX_INPUTS];
    int fields[MB_MAX_INPUTS], outputs[1];
    mb_source_wants_t wants = mb_model_wants(model, shapes);
    MB_TRY(mb_source_match(h->source, &wants, fields, outputs));
    h->n_inputs = graph->n_inputs;
    for (int i = 0; i < graph->n_inputs; i++) {
        int node = graph->inputs[i];
        const mb_call_t *call = &graph->nodes[node].call;
        bool floats = fields[i] >= 0 && h->source->fields[fields[i]].stored == MB_F32;
        h->inputs[i] = (input_t){.node = node,
                                 .item = {.field = fields[i],
                                          .as_int = !mb_dtype_is_float(call->output_type),
                                          .elements = mb_shape_elements(&call->output),
                                          .classes = mb_graph_vocabulary(graph, node),
                                          .what = graph->input_names[i]},
                                 .may_stay = floats && call->output_type == MB_F32};
    }
    return MB_OK;
}

static mb_status_t take_memory(mb_handed_t *h)
{
    int64_t most = 1;
    for (int i = 0; i < h->n_inputs; i++)
        most = h->inputs[i].item.elements > most ? h->inputs[i].item.elements : most;
    size_t bytes = (size_t)(most * micro_batch_of(h)) * sizeof(float);
    h->indices = malloc((size_t)micro_batch_of(h) * sizeof *h->indices);
    h->host = sees_host(h) ? NULL : malloc(bytes);
    if (h->indices == NULL || (h->host == NULL && !sees_host(h)))
        return mb_error_memory("the samples of a micro-batch", bytes);
    return MB_OK;
}

mb_status_t mb_handed_create(mb_session_t *session, mb_source_t *source, mb_handed_t **out)
{
    mb_handed_t *h = calloc(1, sizeof *h);
    if (h == NULL)
        return mb_error_memory("the arrays of a predictor", sizeof *h);
    h->session = session;
    h->source = source;
    mb_status_t status = list_inputs(h);
    if (status == MB_OK)
        status = take_memory(h);
    if (status == MB_OK)
        *out = h;
    else
        mb_handed_destroy(h);
    return status;
}

void mb_handed_destroy(mb_handed_t *handed)
{
    if (handed == NULL)
        return;
    free(handed->indices);
    free(handed->host);
    free(handed);
}

static void give(mb_handed_t *h, int node, void *memory)
{
    h->moved = mb_stage_give(h->session->engine->stage, node, memory) || h->moved;
}

void mb_handed_release(mb_handed_t *handed)
{
    const mb_graph_t *graph = handed->session->model->graph;
    for (int i = 0; i < handed->n_inputs; i++)
        give(handed, handed->inputs[i].node, NULL);
    for (int o = 0; o < graph->n_outputs; o++)
        give(handed, graph->outputs[o].node, NULL);
    mb_executor_forget_places(handed->session->engine->executor);
    handed->moved = false;
}

/* Whether kernels may work on a whole micro-batch at ADDRESS. */
static bool may_work_at(const mb_handed_t *h, const mb_micro_t *micro, const void *address,
                        bool apart)
{
    bool whole = micro->valid == micro_batch_of(h);
    if (sees_host(h))
        return whole && (uintptr_t)address % sizeof(float) == 0;
    return whole && apart && (uintptr_t)address % APART_ALIGNMENT == 0;
}

static mb_status_t copy(mb_handed_t *h, void *to, const void *from, int64_t bytes,
                        mb_copy_kind_t kind)
{
    h->copied += bytes;
    return mb_exec_copy(&h->session->engine->exec, to, from, (size_t)bytes, kind);
}

/* Zeros in the rows of TO, in the device's memory, that no sample fills. */
static mb_status_t fill_up(mb_handed_t *h, const mb_micro_t *micro, const input_t *input, void *to)
{
    int64_t row = 4 * input->item.elements, rest = micro_batch_of(h) - micro->valid;
    mb_zero_args_t args = {.bytes = rest * row, .y = (char *)to + micro->valid * row};
    mb_exec_t *exec = &h->session->engine->exec;
    if (rest == 0)
        return MB_OK;
    return sees_host(h) ? (memset(args.y, 0, (size_t)args.bytes), MB_OK) : mb_run_zero(exec, &args);
}

/* An array of the device's. */
static mb_status_t feed_apart(mb_handed_t *h, const mb_micro_t *micro, const input_t *input,
                              const char *at)
{
    int64_t bytes = micro->valid * input->item.elements * 4;
    void *to = mb_stage_tensor(h->session->engine->stage, micro->index, input->node);
    MB_TRY(copy(h, to, at, bytes, MB_COPY_ON_DEVICE));
    return fill_up(h, micro, input, to);
}

/* Converted, and checked, into the micro-batch's place or on the way there. */
static mb_status_t feed_converted(mb_handed_t *h, const mb_micro_t *micro, const input_t *input,
                                  int64_t first)
{
    int64_t bytes = micro_batch_of(h) * input->item.elements * 4;
    void *place = mb_stage_tensor(h->session->engine->stage, micro->index, input->node);
    for (int64_t i = 0; i < micro_batch_of(h); i++)
        h->indices[i] = i < micro->valid ? first + i : -1;
    MB_TRY(mb_exec_sync(&h->session->engine->exec));
    void *to = h->host != NULL ? h->host : place;
    MB_TRY(mb_prefetch_read(h->source, &input->item, h->indices, micro_batch_of(h), to));
    if (h->host != NULL)
        return copy(h, place, to, bytes, MB_COPY_TO_DEVICE);
    h->copied += bytes;
    return MB_OK;
}

/* The same check of numbers that are read where they lie. */
static mb_status_t check(mb_handed_t *h, const mb_micro_t *micro, const input_t *input,
                         int64_t first, const void *at)
{
    for (int64_t i = 0; i < micro->valid; i++)
        h->indices[i] = first + i;
    return h->source->class_->read(h->source, input->item.field, h->indices, micro->valid, false,
                                   (void *)(uintptr_t)at);
}

static mb_status_t feed_input(mb_handed_t *h, const mb_micro_t *micro, const input_t *input,
                              int64_t first)
{
    int field = input->item.field;
    bool apart = field >= 0 && h->arrays->inputs_apart[field] && !sees_host(h);
    const char *at = input->may_stay ? h->arrays->inputs[field] : NULL;
    at = at == NULL ? NULL : at + first * input->item.elements * 4;
    bool stays = at != NULL && may_work_at(h, micro, at, apart);
    give(h, input->node, stays ? (void *)(uintptr_t)at : NULL);
    if (stays)
        return apart ? MB_OK : check(h, micro, input, first, at);
    return apart ? feed_apart(h, micro, input, at) : feed_converted(h, micro, input, first);
}

static int64_t numbers_of(const mb_handed_t *h, int output)
{
    const mb_graph_t *graph = h->session->model->graph;
    return mb_shape_elements(&graph->nodes[graph->outputs[output].node].call.output);
}

/* An output that is the input itself stays where that is. */
static void place_output(mb_handed_t *h, const mb_micro_t *micro, const mb_handed_output_t *output,
                         int64_t first)
{
    const mb_graph_t *graph = h->session->model->graph;
    int node = graph->outputs[output->output].node;
    float *values = output->values + first * numbers_of(h, output->output);
    if (graph->nodes[node].call.output_type == MB_F32 && !graph->nodes[node].is_input)
        give(h, node, may_work_at(h, micro, values, output->apart) ? values : NULL);
}

static mb_status_t feed_micro(void *user, const mb_micro_t *micro, int index, int64_t first)
{
    mb_handed_t *h = user;
    (void)index;
    h->moved = false;
    for (int i = 0; i < h->n_inputs; i++)
        MB_TRY(feed_input(h, micro, &h->inputs[i], first));
    for (int i = 0; i < h->arrays->n_outputs; i++)
        place_output(h, micro, &h->arrays->outputs[i], first);
    if (h->moved)
        mb_executor_forget_places(h->session->engine->executor);
    return MB_OK;
}

/* What is not where it was computed. */
static mb_status_t take_into(mb_handed_t *h, const mb_micro_t *micro,
                             const mb_handed_output_t *output, float *values)
{
    const float *seen;
    const mb_session_t *session = h->session;
    int node = session->model->graph->outputs[output->output].node;
    void *computed = mb_stage_tensor(session->engine->stage, micro->index, node);
    int64_t bytes = micro->valid * numbers_of(h, output->output) * 4;
    if (computed == values)
        return MB_OK;
    if (output->apart && !sees_host(h))
        return copy(h, values, computed, bytes, MB_COPY_ON_DEVICE);
    MB_TRY(mb_session_fetch(h->session, micro, output->output, &seen));
    memcpy(values, seen, (size_t)bytes);
    h->copied += bytes;
    return MB_OK;
}

static mb_status_t take_output(void *user, const mb_micro_t *micro, int output, int64_t first)
{
    mb_handed_t *h = user;
    for (int i = 0; i < h->arrays->n_outputs; i++) {
        const mb_handed_output_t *to = &h->arrays->outputs[i];
        if (to->output == output)
            MB_TRY(take_into(h, micro, to, to->values + first * numbers_of(h, output)));
    }
    return MB_OK;
}

mb_status_t mb_handed_run(mb_handed_t *handed, const mb_handed_arrays_t *arrays, int64_t *copied)
{
    mb_session_run_t run = {
        .samples = arrays->samples, .user = handed, .feed = feed_micro, .take = take_output};
    handed->arrays = arrays;
    handed->copied = 0;
    mb_source_move_arrays(handed->source, arrays->inputs, arrays->samples);
    MB_TRY(mb_model_check_batches(handed->session->model, handed->source));
    mb_status_t status = mb_session_flow(handed->session, &run);
    *copied = handed->copied;
    return status;
}
