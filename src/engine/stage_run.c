/* Runs a stage's nodes for one micro-batch: forward, gradient of the inputs, gradient of the
 * weights. */
#include "base/log.h"
#include "engine/stage_offload.h"
#include "engine/stage_private.h"
#include "model/graph_cut.h"
#include "model/graph_tail.h"

char *mb_stage_at(char *base, int64_t offset)
{
    return base == NULL || offset < 0 ? NULL : base + offset;
}

static mb_stage_chunk_t *chunk_of(const mb_stage_t *stage, const mb_micro_t *micro)
{
    return stage->chunk_of[micro->chunk];
}

/* OFFSET in the slot that the micro-batch has in a chunk. */
static char *in_slot(const mb_stage_t *stage, int number, int micro, int64_t offset)
{
    if (number < 0 || offset < 0)
        return NULL;
    const mb_stage_chunk_t *chunk = stage->chunk_of[number];
    return mb_stage_at(chunk->slots[micro % chunk->n_slots], offset);
}

/* The same in the room that it has on the device, where it is offloaded. */
static char *in_room(const mb_stage_t *stage, int number, int micro, int64_t offset)
{
    const mb_stage_chunk_t *chunk = stage->chunk_of[number];
    return mb_stage_at(chunk->rooms[micro % chunk->n_slots % MB_KEPT_ROOMS], offset);
}

void *mb_stage_tensor(const mb_stage_t *stage, int micro, int node)
{
    const mb_node_place_t *at = &stage->places[node];
    if (at->given != NULL)
        return at->given;
    if (at->inside)
        return mb_stage_at(stage->chunk_of[at->chunk]->inside, at->output);
    if (at->away)
        return in_room(stage, at->chunk, micro, at->output);
    return in_slot(stage, at->chunk, micro, at->output);
}

bool mb_stage_give(mb_stage_t *stage, int node, void *memory)
{
    bool is_new = stage->places[node].given != memory;
    stage->places[node].given = memory;
    return is_new;
}

static void *saved_of(const mb_stage_t *stage, const mb_micro_t *micro, const mb_node_place_t *at)
{
    return at->saved_inside ? mb_stage_at(chunk_of(stage, micro)->inside, at->saved)
           : at->saved_away ? in_room(stage, at->chunk, micro->index, at->saved)
                            : in_slot(stage, at->chunk, micro->index, at->saved);
}

void *mb_stage_labels(const mb_stage_t *stage, int micro, int output_place)
{
    const mb_output_place_t *at = &stage->outputs[output_place];
    return in_slot(stage, at->chunk, micro, at->labels);
}

float *mb_stage_weights(const mb_stage_t *stage, int micro, int output_place)
{
    const mb_output_place_t *at = &stage->outputs[output_place];
    return (float *)(void *)in_slot(stage, at->chunk, micro, at->weights);
}

const float *mb_stage_mask(const mb_stage_t *stage, int micro, int output_place)
{
    const mb_loss_t *loss = &stage->losses[stage->outputs[output_place].output];
    const float *weights = mb_stage_weights(stage, micro, output_place);
    bool none = !loss->masked || weights == NULL;
    return none ? NULL : weights + mb_loss_values(loss) * stage->plan->micro_batch;
}

int mb_stage_edge_chunk(const mb_stage_t *stage, int edge)
{
    const mb_backward_edge_t *e = &stage->plan->backward_edges[edge];
    return e->to_stage == stage->stage     ? e->to_chunk
           : e->from_stage == stage->stage ? e->from_chunk
                                           : -1;
}

void *mb_stage_edge_gradient(const mb_stage_t *stage, int micro, int edge)
{
    return in_slot(stage, mb_stage_edge_chunk(stage, edge), micro, stage->edge_gradients[edge]);
}

float *mb_stage_entry(const mb_stage_t *stage, int block, int node, int param)
{
    const mb_node_place_t *at = &stage->places[node];
    return at->entries[param] < 0 ? NULL : stage->gradients[block] + at->written[param];
}

static double *sums_at(const mb_stage_t *stage, int replica, int64_t index)
{
    return index < 0 || stage->n_sum_blocks == 0 ? NULL : stage->sums[replica] + index;
}

/* OFFSET where the gradients of a node are. */
static void *with_gradient(const mb_stage_t *stage, const mb_micro_t *micro, int node,
                           int64_t offset)
{
    const mb_stage_chunk_t *chunk = chunk_of(stage, micro);
    size_t area = chunk->n_areas > 1 ? (size_t)micro->slot * chunk->backward_bytes : 0;
    if (!stage->places[node].waits)
        return mb_stage_at(chunk->inside, offset);
    return chunk->backward == NULL ? NULL : mb_stage_at(chunk->backward + area, offset);
}

static void *gradient_of(const mb_stage_t *stage, const mb_micro_t *micro, int node)
{
    return with_gradient(stage, micro, node, stage->places[node].gradient);
}

static void **gradients_now(const mb_stage_t *stage, const mb_micro_t *micro)
{
    const mb_stage_chunk_t *chunk = chunk_of(stage, micro);
    int area = chunk->n_areas > 1 ? micro->slot : 0;
    return chunk->gradient_now + area * stage->graph->n_nodes;
}

/* What a call is given, and the arrays behind it. */
typedef struct {
    mb_run_t run;
    void *params[MB_MAX_LAYER_PARAMS];
    float *values[MB_MAX_LAYER_PARAMS];
    const mb_matrix_t *stored[MB_MAX_LAYER_PARAMS];
    const void *inputs[MB_MAX_INPUTS];
    void *states[MB_MAX_STATES];
} call_t;

/* All but the backward pointers. */
static void fill_call(const mb_stage_t *stage, const mb_micro_t *micro, int node, call_t *call)
{
    const mb_node_t *n = &stage->graph->nodes[node];
    const mb_layer_t *layer = stage->graph->layers[n->layer];
    const mb_node_place_t *at = &stage->places[node];
    stage->exec->layer = layer->path;
    for (int k = 0; k < layer->n_params; k++) {
        int p = layer->params[k];
        call->params[k] = stage->shadows[p] != NULL ? stage->shadows[p] : stage->values[p];
        call->values[k] = stage->values[p];
        call->stored[k] = stage->stored[p];
    }
    for (int k = 0; k < n->call.n_inputs; k++)
        call->inputs[k] = mb_stage_tensor(stage, micro->index, n->inputs[k]);
    mb_stage_find_states(stage, node, micro->index, call->states);
    call->run = (mb_run_t){
        .exec = stage->exec,
        .call = &n->call,
        .samples = stage->plan->micro_batch,
        .valid = micro->valid,
        .training = stage->training,
        .random = {.seed = micro->seed,
                   .step = micro->step,
                   .position = micro->position,
                   .node = (uint32_t)node},
        .params = call->params,
        .values = call->values,
        .inputs = call->inputs,
        .output = mb_stage_tensor(stage, micro->index, node),
        .saved = saved_of(stage, micro, at),
        .carry = with_gradient(stage, micro, node, at->carry),
        .constants = at->constants,
        .sums = stage->training && !micro->again ? sums_at(stage, micro->replica, at->sums) : NULL,
        .stored = call->stored,
        .integer = stage->integer,
        .observer = stage->observer,
        .states = at->n_states > 0 ? call->states : NULL,
    };
}

/* A sum over the samples that count, for a regularizer on the layer's output. */
static mb_status_t add_activity(const mb_stage_t *stage, const mb_micro_t *micro, int node)
{
    const mb_node_place_t *at = &stage->places[node];
    const mb_call_t *call = &stage->graph->nodes[node].call;
    double *sums = sums_at(stage, micro->replica, at->activity);
    if (at->activity < 0 || micro->again)
        return MB_OK;
    for (int square = 0; square < 2; square++) {
        mb_sum_args_t args = {.type = call->output_type,
                              .count = micro->valid * mb_shape_elements(&call->output),
                              .absolute = square == 0,
                              .accumulate = true,
                              .x = mb_stage_tensor(stage, micro->index, node),
                              .out = sums == NULL ? NULL : sums + square};
        MB_TRY(mb_run_sum(stage->exec, &args));
    }
    return MB_OK;
}

/* Before the loss, whose gradient may take the output's place. */
static mb_status_t run_metrics(const mb_stage_t *stage, const mb_micro_t *micro, int place)
{
    const mb_output_place_t *at = &stage->outputs[place];
    const mb_metrics_t *metrics = &stage->losses[at->output].metrics;
    int node = stage->graph->outputs[at->output].node;
    double *sums = sums_at(stage, micro->replica, at->sums);
    mb_metric_batch_t batch = {.type = stage->graph->nodes[node].call.output_type,
                               .samples = stage->plan->micro_batch,
                               .valid = micro->valid,
                               .x = mb_stage_tensor(stage, micro->index, node),
                               .labels = mb_stage_labels(stage, micro->index, place),
                               .mask = mb_stage_mask(stage, micro->index, place),
                               .constants = at->constants};
    return sums == NULL ? MB_OK : mb_metrics_run(metrics, stage->exec, &batch, sums + 2);
}

static mb_status_t run_loss(const mb_stage_t *stage, const mb_micro_t *micro, int place, void *dx)
{
    const mb_output_place_t *at = &stage->outputs[place];
    const mb_loss_t *loss = &stage->losses[at->output];
    double rows = loss->sum ? 1.0 : (double)micro->batch * (double)mb_loss_values(loss);
    double divisor = rows / (double)stage->loss_scale;
    double *sums = sums_at(stage, micro->replica, at->sums);
    int node = stage->graph->outputs[at->output].node;
    MB_TRY(run_metrics(stage, micro, place));
    return mb_loss_run(
        loss, stage->exec, stage->graph->nodes[node].call.output_type, stage->plan->micro_batch,
        micro->valid, divisor, mb_stage_tensor(stage, micro->index, node),
        mb_stage_labels(stage, micro->index, place), mb_stage_weights(stage, micro->index, place),
        dx, sums, sums == NULL ? NULL : sums + 1);
}

static const mb_layer_t *layer_of(const mb_stage_t *stage, int node)
{
    return stage->graph->layers[stage->graph->nodes[node].layer];
}

static mb_status_t name_layer(mb_status_t status, const mb_layer_t *layer)
{
    return status == MB_OK
               ? MB_OK
               : mb_error_prefix(status, "layer '%s' (%s): ", layer->path, layer->class_->name);
}

static bool is_sum_of_two(const mb_stage_t *stage, int node)
{
    const mb_node_t *n = &stage->graph->nodes[node];
    return !n->is_input && layer_of(stage, node)->class_->is_sum && n->call.n_inputs == 2 &&
           mb_shape_equal(&n->call.inputs[0], &n->call.output) &&
           mb_shape_equal(&n->call.inputs[1], &n->call.output);
}

static bool takes_only(const mb_node_t *node, int tensor)
{
    return !node->is_input && node->call.n_inputs == 1 && node->inputs[0] == tensor;
}

/* Whether NODE, a sum of two tensors, runs with the one behind it, which takes it: one operation
 * reads the two and writes the sum and what becomes of it, with the bits of two operations. That
 * concerns these two nodes alone: where a stage ends between them, or another node stands there,
 * they run apart, and nothing of layout, plan or partition knows of it. */
static bool runs_with_next(const mb_stage_t *stage, int node, int end)
{
    if (node + 1 >= end || mb_stage_is_apart(stage) || !is_sum_of_two(stage, node))
        return false;
    const mb_node_t *sum = &stage->graph->nodes[node], *next = sum + 1;
    return takes_only(next, node) && layer_of(stage, node + 1)->class_->forward_of_sum != NULL &&
           sum->call.output_type == next->call.output_type;
}

static mb_status_t forward_pair(const mb_stage_t *stage, const mb_micro_t *micro, int sum)
{
    call_t first, second;
    const mb_layer_t *layer = layer_of(stage, sum + 1);
    fill_call(stage, micro, sum, &first);
    fill_call(stage, micro, sum + 1, &second);
    MB_TRY(name_layer(layer->class_->forward_of_sum(&second.run, &first.run), layer));
    MB_TRY(add_activity(stage, micro, sum));
    return add_activity(stage, micro, sum + 1);
}

static mb_status_t forward_node(const mb_stage_t *stage, const mb_micro_t *micro, int node)
{
    call_t call;
    const mb_layer_t *layer = layer_of(stage, node);
    if (stage->graph->nodes[node].is_input)
        return MB_OK;
    MB_TRY(mb_stage_hide_states(stage, micro, node));
    fill_call(stage, micro, node, &call);
    MB_TRY(name_layer(layer->class_->forward(&call.run), layer));
    return add_activity(stage, micro, node);
}

/* How many nodes run with NODE, which is at most its tail: no output in between may be kept, and
 * recomputation has all of them or none. */
static int tail_of(const mb_stage_t *stage, int node, int end, mb_graph_tail_t *tail)
{
    *tail = mb_graph_tail(stage->graph, node, end);
    if (mb_stage_is_apart(stage))
        return 0;
    for (int i = node; i < node + tail->nodes; i++) {
        const mb_node_place_t *at = &stage->places[i], *next = at + 1;
        if (!at->inside || at->again != next->again || stage->kept.readers[i] >= 0)
            return 0;
    }
    return tail->nodes;
}

static mb_status_t forward_with_tail(const mb_stage_t *stage, const mb_micro_t *micro, int node,
                                     const mb_graph_tail_t *graph_tail)
{
    call_t call;
    const mb_layer_t *layer = layer_of(stage, node);
    int last = node + graph_tail->nodes, other = graph_tail->other;
    fill_call(stage, micro, node, &call);
    mb_tail_t tail = {.residual = other < 0 ? NULL : mb_stage_tensor(stage, micro->index, other),
                      .relu = graph_tail->relu,
                      .y = mb_stage_tensor(stage, micro->index, last)};
    MB_TRY(name_layer(layer->class_->forward_with_tail(&call.run, &tail), layer));
    return add_activity(stage, micro, last);
}

static double begin_timing(const mb_stage_t *stage)
{
    return stage->timed == NULL ? 0 : mb_time_seconds();
}

static mb_status_t end_timing(const mb_stage_t *stage, double begun, double *seconds)
{
    if (stage->timed == NULL)
        return MB_OK;
    MB_TRY(mb_exec_sync(stage->exec));
    *seconds += mb_time_seconds() - begun;
    return MB_OK;
}

/* The second time, only what is nowhere any more. */
static bool is_run(const mb_stage_t *stage, const mb_micro_t *micro, int node)
{
    const mb_node_place_t *at = &stage->places[node];
    return !micro->again || (at->again && (at->inside || at->saved >= 0));
}

/* Runs what begins with NODE; *last is the last node that has run. What nodes take together is the
 * last one's: the first of a pair writes what it reads anyway. */
static mb_status_t forward_some(const mb_stage_t *stage, const mb_micro_t *micro, int node,
                                int *last)
{
    int end = chunk_of(stage, micro)->end_node;
    mb_graph_tail_t tail;
    double begun = begin_timing(stage);
    *last = node + tail_of(stage, node, end, &tail);
    if (*last > node) {
        MB_TRY(forward_with_tail(stage, micro, node, &tail));
    } else if (runs_with_next(stage, node, end) && is_run(stage, micro, node + 1)) {
        MB_TRY(forward_pair(stage, micro, node));
        *last = node + 1;
    } else {
        MB_TRY(forward_node(stage, micro, node));
    }
    return end_timing(stage, begun, stage->timed == NULL ? NULL : &stage->timed[*last].forward);
}

mb_status_t mb_stage_forward(mb_stage_t *stage, const mb_micro_t *micro)
{
    const mb_stage_chunk_t *chunk = chunk_of(stage, micro);
    for (int i = chunk->first_node; i < chunk->end_node; i++) {
        if (!is_run(stage, micro, i))
            continue;
        MB_TRY(forward_some(stage, micro, i, &i));
        MB_TRY(mb_stage_look_output(stage, micro, i));
    }
    if (stage->losses == NULL || stage->training)
        return MB_OK;
    for (int o = 0; o < stage->n_outputs; o++) {
        if (stage->outputs[o].chunk == micro->chunk)
            MB_TRY(run_loss(stage, micro, o, NULL));
    }
    return MB_OK;
}

mb_status_t mb_stage_recompute(mb_stage_t *stage, const mb_micro_t *micro)
{
    mb_micro_t again = *micro;
    again.again = true;
    return mb_stage_forward(stage, &again);
}

/* One more contribution to a tensor's gradient: the first is taken as it stands, later ones are
 * added to it. */
static mb_status_t contribute(const mb_stage_t *stage, void **now, int node, void *gradient)
{
    const mb_call_t *call = &stage->graph->nodes[node].call;
    if (now[node] == NULL) {
        now[node] = gradient;
        return MB_OK;
    }
    mb_add_args_t args = {.type = call->output_type,
                          .count = mb_shape_elements(&call->output) * stage->plan->micro_batch,
                          .a = now[node],
                          .b = gradient,
                          .y = now[node]};
    return mb_run_add(stage->exec, &args);
}

/* What is known before the first node goes back: the loss, then uses on later stages. */
static mb_status_t start_gradients(mb_stage_t *stage, const mb_micro_t *micro, void **now)
{
    const mb_plan_t *plan = stage->plan;
    for (int i = 0; i < stage->graph->n_nodes; i++)
        now[i] = NULL;
    for (int o = 0; o < stage->n_outputs; o++) {
        if (stage->outputs[o].chunk != micro->chunk)
            continue;
        int node = stage->graph->outputs[stage->outputs[o].output].node;
        const mb_node_place_t *at = &stage->places[node];
        void *gradient = at->in_place ? mb_stage_tensor(stage, micro->index, node)
                                      : gradient_of(stage, micro, node);
        MB_TRY(run_loss(stage, micro, o, gradient));
        MB_TRY(mb_stage_look_loss(stage, micro, o, gradient,
                                  sums_at(stage, micro->replica, stage->outputs[o].sums)));
        if (at->in_place || at->gradient >= 0)
            now[node] = gradient;
    }
    for (int e = plan->n_backward_edges - 1; e >= 0; e--) {
        const mb_backward_edge_t *edge = &plan->backward_edges[e];
        if (edge->to_chunk == micro->chunk)
            MB_TRY(contribute(stage, now, edge->tensor,
                              mb_stage_edge_gradient(stage, micro->index, e)));
    }
    return MB_OK;
}

/* The backward edge of a use whose producer is in an earlier chunk; -1 for a local one. */
static int edge_of_use(const mb_stage_t *stage, int node, int input)
{
    for (int e = 0; e < stage->plan->n_backward_edges; e++) {
        const mb_backward_edge_t *edge = &stage->plan->backward_edges[e];
        if (edge->node == node && edge->input == input)
            return e;
    }
    return -1;
}

/* Whether a sum's gradient itself becomes that of the input, or is added to it. */
static bool is_handed_on(const mb_stage_t *stage, int node, int k, void *const *now)
{
    int tensor = stage->graph->nodes[node].inputs[k];
    return stage->places[node].hands_on[k] && (stage->places[tensor].shares || now[tensor] != NULL);
}

/* Where the call is to write the gradient of each input: straight into the tensor's own place when
 * it is the first to come, else into a temporary; for a tensor of an earlier chunk where it is sent
 * from, or read. */
static void choose_targets(const mb_stage_t *stage, const mb_micro_t *micro, int node, void **now,
                           void **targets)
{
    const mb_node_t *n = &stage->graph->nodes[node];
    const mb_stage_chunk_t *chunk = chunk_of(stage, micro);
    for (int k = n->call.n_inputs - 1; k >= 0; k--) {
        int tensor = n->inputs[k];
        targets[k] = NULL;
        if (!stage->graph->nodes[tensor].needs_gradient)
            continue;
        if (tensor < chunk->first_node) {
            int edge = edge_of_use(stage, node, k);
            targets[k] = edge < 0 ? NULL : mb_stage_edge_gradient(stage, micro->index, edge);
            continue;
        }
        if (is_handed_on(stage, node, k, now))
            continue;
        bool first = now[tensor] == NULL;
        for (int later = k + 1; later < n->call.n_inputs; later++)
            first = first && n->inputs[later] != tensor;
        targets[k] = first ? gradient_of(stage, micro, tensor)
                           : mb_stage_at(chunk->inside, chunk->temporary[k]);
    }
}

static mb_status_t add_targets(mb_stage_t *stage, const mb_micro_t *micro, int node, void **now,
                               void **targets)
{
    const mb_node_t *n = &stage->graph->nodes[node];
    for (int k = n->call.n_inputs - 1; k >= 0; k--) {
        int tensor = n->inputs[k];
        if (targets[k] != NULL && tensor >= chunk_of(stage, micro)->first_node)
            MB_TRY(contribute(stage, now, tensor, targets[k]));
        else if (targets[k] == NULL && is_handed_on(stage, node, k, now))
            MB_TRY(contribute(stage, now, tensor, now[node]));
    }
    return MB_OK;
}

/* A tensor nobody uses, or that only a regularizer sees, has gradient zero so far. */
static mb_status_t zero_if_none(mb_stage_t *stage, const mb_micro_t *micro, void **now, int node)
{
    const mb_call_t *call = &stage->graph->nodes[node].call;
    if (now[node] != NULL)
        return MB_OK;
    now[node] = gradient_of(stage, micro, node);
    int64_t count = mb_shape_elements(&call->output) * stage->plan->micro_batch;
    mb_zero_args_t args = {.bytes = count * (int64_t)mb_dtype_bytes(call->output_type),
                           .y = now[node]};
    return mb_run_zero(stage->exec, &args);
}

/* Keras divides an activity regularizer's loss by the batch; it is part of what is scaled. */
static mb_status_t activity_gradient(mb_stage_t *stage, const mb_micro_t *micro, void **now,
                                     int node)
{
    const mb_node_t *n = &stage->graph->nodes[node];
    const mb_regularizer_t *activity = &stage->graph->layers[n->layer]->activity;
    if (stage->places[node].activity < 0 || micro->batch == 0)
        return MB_OK;
    float factor = stage->loss_scale / (float)micro->batch;
    mb_regularize_args_t args = {.type = n->call.output_type,
                                 .count = micro->valid * mb_shape_elements(&n->call.output),
                                 .l1 = activity->l1 * factor,
                                 .l2 = activity->l2 * factor,
                                 .w = mb_stage_tensor(stage, micro->index, node),
                                 .g = now[node]};
    return mb_run_regularize(stage->exec, &args);
}

static bool is_cut(const mb_stage_t *stage, const mb_micro_t *micro, int node)
{
    const mb_stage_chunk_t *chunk = chunk_of(stage, micro);
    return mb_graph_is_cut(stage->graph, node, chunk->first_node, chunk->end_node);
}

static mb_status_t node_backward_input(mb_stage_t *stage, const mb_micro_t *micro, int node,
                                       void **now)
{
    void *targets[MB_MAX_INPUTS];
    call_t call;
    const mb_node_t *n = &stage->graph->nodes[node];
    const mb_layer_t *layer = stage->graph->layers[n->layer];
    MB_TRY(zero_if_none(stage, micro, now, node));
    MB_TRY(activity_gradient(stage, micro, now, node));
    fill_call(stage, micro, node, &call);
    choose_targets(stage, micro, node, now, targets);
    call.run.is_cut = is_cut(stage, micro, node);
    call.run.cuts_input = is_cut(stage, micro, n->inputs[0]);
    call.run.grad_output = now[node];
    call.run.grad_inputs = targets;
    mb_status_t status = layer->class_->backward_input(&call.run);
    if (status != MB_OK)
        return mb_error_prefix(status, "layer '%s' (%s), backward: ", layer->path,
                               layer->class_->name);
    MB_TRY(mb_stage_look_inputs(stage, micro, node, targets));
    return add_targets(stage, micro, node, now, targets);
}

static mb_status_t node_backward_weights(mb_stage_t *stage, const mb_micro_t *micro, int node,
                                         void **now)
{
    float *gradients[MB_MAX_LAYER_PARAMS];
    call_t call;
    const mb_node_t *n = &stage->graph->nodes[node];
    const mb_layer_t *layer = stage->graph->layers[n->layer];
    fill_call(stage, micro, node, &call);
    for (int k = 0; k < layer->n_params; k++)
        gradients[k] = mb_stage_entry(stage, micro->block, node, k);
    call.run.is_cut = is_cut(stage, micro, node);
    call.run.grad_output = now[node];
    call.run.grad_params = gradients;
    call.run.accumulate = micro->accumulate;
    mb_status_t status = layer->class_->backward_weights(&call.run);
    if (status != MB_OK)
        return mb_error_prefix(status, "layer '%s' (%s), gradient of the weights: ", layer->path,
                               layer->class_->name);
    return mb_stage_look_weights(stage, micro, node, gradients);
}

/* The entries of a call that no output needs: zero, once a replica. */
static mb_status_t zero_entries(mb_stage_t *stage, const mb_micro_t *micro, int node)
{
    const mb_layer_t *layer = stage->graph->layers[stage->graph->nodes[node].layer];
    for (int k = 0; k < layer->n_params && !micro->accumulate; k++) {
        int64_t count = stage->graph->params[layer->params[k]].elements;
        mb_zero_args_t args = {.bytes = count * (int64_t)sizeof(float),
                               .y = mb_stage_entry(stage, micro->block, node, k)};
        if (args.y != NULL)
            MB_TRY(mb_run_zero(stage->exec, &args));
    }
    return MB_OK;
}

/* What the loss takes is its last node's. */
static mb_status_t begin_backward(mb_stage_t *stage, const mb_micro_t *micro, void **now)
{
    double begun = begin_timing(stage);
    MB_TRY(start_gradients(stage, micro, now));
    int last = chunk_of(stage, micro)->end_node - 1;
    return end_timing(stage, begun,
                      stage->timed == NULL ? NULL : &stage->timed[last].backward_input);
}

static mb_status_t one_backward_input(mb_stage_t *stage, const mb_micro_t *micro, int node,
                                      void **now)
{
    double begun = begin_timing(stage);
    MB_TRY(node_backward_input(stage, micro, node, now));
    return end_timing(stage, begun,
                      stage->timed == NULL ? NULL : &stage->timed[node].backward_input);
}

static mb_status_t one_backward_weights(mb_stage_t *stage, const mb_micro_t *micro, int node,
                                        void **now)
{
    double begun = begin_timing(stage);
    MB_TRY(stage->graph->nodes[node].trains ? node_backward_weights(stage, micro, node, now)
                                            : zero_entries(stage, micro, node));
    return end_timing(stage, begun,
                      stage->timed == NULL ? NULL : &stage->timed[node].backward_weights);
}

enum { INPUTS = 1, WEIGHTS = 2 };

static mb_status_t look_around(const mb_stage_t *stage)
{
    return stage->between == NULL || stage->exec->planning ? MB_OK
                                                           : stage->between(stage->between_user);
}

static mb_status_t go_back(mb_stage_t *stage, const mb_micro_t *micro, int parts)
{
    void **now = gradients_now(stage, micro);
    mb_bucket_t nodes = mb_plan_bucket(stage->plan, micro->chunk, micro->bucket);
    if ((parts & INPUTS) && micro->bucket <= 1)
        MB_TRY(begin_backward(stage, micro, now));
    for (int i = nodes.end_node - 1; i >= nodes.first_node; i--) {
        const mb_node_t *n = &stage->graph->nodes[i];
        if ((parts & INPUTS) && !n->is_input && n->needs_gradient)
            MB_TRY(one_backward_input(stage, micro, i, now));
        if ((parts & WEIGHTS) && !n->is_input)
            MB_TRY(one_backward_weights(stage, micro, i, now));
        MB_TRY(look_around(stage));
    }
    return MB_OK;
}

mb_status_t mb_stage_backward_input(mb_stage_t *stage, const mb_micro_t *micro)
{
    return go_back(stage, micro, INPUTS);
}

mb_status_t mb_stage_backward_weights(mb_stage_t *stage, const mb_micro_t *micro)
{
    return go_back(stage, micro, WEIGHTS);
}

mb_status_t mb_stage_backward(mb_stage_t *stage, const mb_micro_t *micro)
{
    return go_back(stage, micro, INPUTS | WEIGHTS);
}
