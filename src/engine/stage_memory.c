/* Places everything a stage holds. Offsets are multiples of 64 bytes; a block is laid out by
 * walking the nodes once and adding sizes up, then each block is taken from the device whole. */
#include "comm/reduce_window.h"
#include "device/dry.h"
#include "engine/stage_offload.h"
#include "engine/stage_private.h"
#include "engine/stage_rooms.h"

enum { ALIGN = 64, ALIGN_FLOATS = ALIGN / (int)sizeof(float) };

static int64_t place(size_t *total, size_t bytes)
{
    int64_t at = (int64_t)*total;
    *total += (bytes + ALIGN - 1) / ALIGN * ALIGN;
    return at;
}

size_t mb_stage_tensor_bytes(const mb_stage_t *stage, int node)
{
    const mb_call_t *call = &stage->graph->nodes[node].call;
    return (size_t)(mb_shape_elements(&call->output) * stage->plan->micro_batch) *
           mb_dtype_bytes(call->output_type);
}

static void place_parameters(mb_stage_t *stage)
{
    const mb_graph_t *graph = stage->graph;
    for (int i = 0; i < graph->n_nodes; i++) {
        const mb_layer_t *layer = graph->layers[graph->nodes[i].layer];
        for (int k = 0; k < layer->n_params && mb_stage_has_node(stage, i); k++)
            stage->owned[layer->params[k]] = true;
    }
    for (int p = 0; p < graph->n_params; p++) {
        if (stage->owned[p])
            stage->params[stage->n_params++] = p;
    }
    /* A layer called on several stages belongs to the stage of its first call. */
    for (int t = 0; t < stage->plan->n_ties; t++) {
        const mb_tie_t *tie = &stage->plan->ties[t];
        const mb_layer_t *layer = graph->layers[tie->layer];
        if (tie->owner_stage == stage->stage)
            continue;
        for (int k = 0; k < layer->n_params; k++)
            stage->owned[layer->params[k]] = false;
    }
}

bool mb_stage_trains_layer(const mb_graph_t *graph, int layer)
{
    for (int i = 0; i < graph->n_nodes; i++) {
        if (graph->nodes[i].layer == layer && graph->nodes[i].trains)
            return true;
    }
    return false;
}

/* Every call of a layer that is trained has entries: a call that no output needs (of a nested
 * model's unused output) contributes zero. */
static void place_gradients(mb_stage_t *stage, int node)
{
    const mb_graph_t *graph = stage->graph;
    const mb_layer_t *layer = graph->layers[graph->nodes[node].layer];
    mb_node_place_t *at = &stage->places[node];
    bool trained = stage->training && mb_stage_trains_layer(graph, layer->index);
    for (int k = 0; k < layer->n_params; k++) {
        const mb_param_t *param = &graph->params[layer->params[k]];
        at->entries[k] = -1;
        if (!trained || !param->trainable)
            continue;
        at->entries[k] = stage->gradient_count;
        stage->gradient_count += (param->elements + ALIGN_FLOATS - 1) / ALIGN_FLOATS * ALIGN_FLOATS;
    }
}

/* Gradients of all tensors wait for those of the weights, which come later. */
bool mb_stage_splits(const mb_stage_t *stage)
{
    return stage->plan->programs[stage->stage].splits_backward;
}

/* Logits, as a rule: an output of the model that one loss reads, and nothing after it. A vocabulary
 * makes them a step's largest tensor. */
static bool is_only_scored(const mb_stage_t *stage, int node)
{
    const mb_graph_t *graph = stage->graph;
    const mb_node_place_t *at = &stage->places[node];
    int outputs = 0;
    for (int o = 0; o < graph->n_outputs; o++)
        outputs += graph->outputs[o].node == node;
    return stage->losses != NULL && outputs == 1 && graph->nodes[node].n_uses == 0 &&
           !at->memory.keeps_output && at->activity < 0 && !(at->again && mb_stage_splits(stage));
}

static bool is_offloaded(const mb_stage_t *stage, const mb_stage_chunk_t *chunk)
{
    return stage->offloads && stage->training && chunk->n_slots > MB_KEPT_ROOMS;
}

static void place_node(mb_stage_t *stage, mb_stage_chunk_t *chunk, int node)
{
    const mb_node_t *n = &stage->graph->nodes[node];
    const mb_layer_t *layer = stage->graph->layers[n->layer];
    mb_node_place_t *at = &stage->places[node];
    at->chunk = chunk->chunk;
    at->again = mb_plan_is_again(stage->plan, node);
    at->inside = !stage->kept.output[node];
    at->saved_inside = !stage->kept.saved[node];
    at->away = is_offloaded(stage, chunk) && !at->inside && !stage->kept.fixed[node];
    at->saved_away = is_offloaded(stage, chunk) && !at->saved_inside;
    if (!at->inside)
        at->output = place(at->away ? &chunk->kept_bytes : &chunk->slot_bytes,
                           mb_stage_tensor_bytes(stage, node));
    if (n->is_input)
        return;
    layer->class_->memory(&n->call, stage->plan->micro_batch, &at->memory);
    mb_stage_place_states(stage, node);
    if (!at->saved_inside && at->memory.saved_bytes > 0)
        at->saved =
            place(at->saved_away ? &chunk->kept_bytes : &chunk->slot_bytes, at->memory.saved_bytes);
    if (stage->losses != NULL && (layer->activity.l1 != 0 || layer->activity.l2 != 0)) {
        at->activity = stage->sum_count;
        stage->sum_count += 2;
    }
    if (!stage->training)
        return;
    if (at->memory.sums > 0) {
        at->sums = stage->sum_count;
        stage->sum_count += at->memory.sums;
    }
    at->in_place = n->needs_gradient && is_only_scored(stage, node);
    place_gradients(stage, node);
}

static void place_outputs(mb_stage_t *stage, mb_stage_chunk_t *chunk)
{
    const mb_graph_t *graph = stage->graph;
    for (int o = 0; o < graph->n_outputs; o++) {
        if (stage->plan->chunk_of_node[graph->outputs[o].node] != chunk->chunk)
            continue;
        mb_output_place_t *at = &stage->outputs[stage->n_outputs++];
        at->output = o;
        at->chunk = chunk->chunk;
        at->labels = at->weights = -1;
        at->sums = -1;
        if (stage->losses == NULL)
            continue;
        int64_t labels = mb_shape_elements(&stage->losses[o].label_shape);
        at->labels =
            place(&chunk->slot_bytes, (size_t)(labels * stage->plan->micro_batch) * sizeof(float));
        int64_t values = mb_loss_values(&stage->losses[o]) * stage->plan->micro_batch;
        if (stage->losses[o].weighted)
            at->weights =
                place(&chunk->slot_bytes,
                      (size_t)(stage->losses[o].masked ? 2 * values : values) * sizeof(float));
        at->sums = stage->sum_count;
        stage->sum_count += 2 + stage->losses[o].metrics.states;
    }
}

static void place_received(mb_stage_t *stage, mb_stage_chunk_t *chunk)
{
    const mb_plan_t *plan = stage->plan;
    for (int e = 0; e < plan->n_forward_edges; e++) {
        const mb_forward_edge_t *edge = &plan->forward_edges[e];
        mb_node_place_t *at = &stage->places[edge->tensor];
        if (edge->to_chunk != chunk->chunk || mb_forward_edge_stays(edge))
            continue;
        at->chunk = chunk->chunk;
        at->output = place(&chunk->slot_bytes, mb_stage_tensor_bytes(stage, edge->tensor));
    }
}

/* A gradient that stays on the stage stands where its tensor's own chunk has it. */
static void place_edge_gradients(mb_stage_t *stage, mb_stage_chunk_t *chunk)
{
    const mb_plan_t *plan = stage->plan;
    for (int e = 0; e < plan->n_backward_edges && stage->training; e++) {
        if (mb_stage_edge_chunk(stage, e) == chunk->chunk)
            stage->edge_gradients[e] = place(
                &chunk->slot_bytes, mb_stage_tensor_bytes(stage, plan->backward_edges[e].tensor));
    }
}

static mb_status_t take_block(mb_stage_t *stage, size_t bytes, char **out)
{
    void *memory = NULL;
    if (bytes > 0)
        MB_TRY(mb_device_alloc(stage->exec->device, bytes, &memory));
    stage->block_bytes += bytes;
    *out = memory;
    return MB_OK;
}

/* What a chunk has of it to itself. */
static size_t own_inside(const mb_stage_chunk_t *chunk)
{
    return chunk->lasts ? chunk->inside_bytes : 0;
}

static size_t shared_inside(const mb_stage_t *stage)
{
    size_t most = 0;
    for (int i = 0; i < stage->n_chunks; i++) {
        size_t bytes = stage->chunks[i].inside_bytes - own_inside(&stage->chunks[i]);
        most = bytes > most ? bytes : most;
    }
    return most;
}

static mb_status_t take_inside(mb_stage_t *stage)
{
    MB_TRY(take_block(stage, shared_inside(stage), &stage->inside));
    for (int i = 0; i < stage->n_chunks; i++) {
        mb_stage_chunk_t *chunk = &stage->chunks[i];
        MB_TRY(take_block(stage, own_inside(chunk), &chunk->inside));
        chunk->inside = chunk->lasts ? chunk->inside : stage->inside;
    }
    return MB_OK;
}

static mb_status_t take_shared_blocks(mb_stage_t *stage)
{
    size_t front = mb_reduce_window_front();
    size_t bytes = front;
    for (int b = 0; b < stage->n_blocks; b++)
        place(&bytes, (size_t)stage->held_count * sizeof(float));
    stage->stride = (bytes - front) / (size_t)stage->n_blocks;
    MB_TRY(mb_shared_create(bytes, &stage->shared));
    stage->block_bytes += stage->shared == NULL ? 0 : bytes;
    for (int b = 0; b < stage->n_blocks && stage->shared != NULL; b++) {
        char *memory = mb_shared_memory(stage->shared);
        memory += front + (size_t)b * stage->stride;
        stage->gradients[b] = (float *)(void *)memory;
    }
    return MB_OK;
}

static mb_status_t take_gradients(mb_stage_t *stage, bool shares)
{
    char *memory;
    bool counts = mb_device_is_dry(stage->exec->device);
    if (shares && stage->n_blocks > 0)
        MB_TRY(counts ? take_block(stage, mb_reduce_window_front(), &stage->front)
                      : take_shared_blocks(stage));
    for (int b = 0; b < stage->n_blocks && stage->shared == NULL; b++) {
        MB_TRY(take_block(stage, (size_t)stage->held_count * sizeof(float), &memory));
        stage->gradients[b] = (float *)(void *)memory;
    }
    return MB_OK;
}

static mb_status_t take_blocks(mb_stage_t *stage, bool shares)
{
    char *memory;
    MB_TRY(take_inside(stage));
    for (int i = 0; i < stage->n_chunks; i++) {
        mb_stage_chunk_t *chunk = &stage->chunks[i];
        for (int s = 0; s < chunk->n_slots; s++)
            MB_TRY(take_block(stage, chunk->slot_bytes, &chunk->slots[s]));
        MB_TRY(take_block(stage, chunk->backward_bytes * (size_t)chunk->n_areas, &chunk->backward));
    }
    MB_TRY(take_block(stage, stage->state_bytes, &stage->states));
    MB_TRY(mb_stage_forget_states(stage));
    MB_TRY(take_gradients(stage, shares));
    for (int b = 0; b < stage->n_sum_blocks; b++) {
        MB_TRY(take_block(stage, (size_t)stage->sum_count * sizeof(double), &memory));
        stage->sums[b] = (double *)(void *)memory;
    }
    return MB_OK;
}

/* What an output's metrics read beside their arguments: thresholds, weights of columns. */
static mb_status_t take_constants(mb_stage_t *stage, mb_output_place_t *at)
{
    const mb_metrics_t *metrics = &stage->losses[at->output].metrics;
    size_t bytes = (size_t)metrics->constants * sizeof(float);
    char *memory;
    if (bytes == 0)
        return MB_OK;
    float *host = MB_ARENA_ARRAY(stage->arena, float, metrics->constants);
    if (host == NULL)
        return mb_error_memory("the constants of metrics", bytes);
    MB_TRY(take_block(stage, bytes, &memory));
    at->constants = (float *)(void *)memory;
    mb_metrics_constants(metrics, host);
    /* Nobody waits: the host's copy lives as long as the stage, and what reads the other follows.
     */
    return mb_exec_copy(stage->exec, memory, host, bytes, MB_COPY_TO_DEVICE);
}

/* The same of a layer: boundaries, vocabularies. */
static mb_status_t take_layer_constants(mb_stage_t *stage, int node)
{
    const mb_node_t *n = &stage->graph->nodes[node];
    mb_node_place_t *at = &stage->places[node];
    size_t bytes = at->memory.constant_bytes;
    char *memory;
    if (bytes == 0)
        return MB_OK;
    void *host = mb_arena_alloc(stage->arena, bytes);
    if (host == NULL)
        return mb_error_memory("the constants of a layer", bytes);
    MB_TRY(take_block(stage, bytes, &memory));
    at->constants = memory;
    n->call.layer->class_->constants(&n->call, host);
    MB_TRY(mb_exec_copy(stage->exec, memory, host, bytes, MB_COPY_TO_DEVICE));
    return mb_exec_sync(stage->exec);
}

static mb_status_t stage_arrays(mb_stage_t *stage)
{
    const mb_graph_t *graph = stage->graph;
    const mb_plan_t *plan = stage->plan;
    mb_arena_t *arena = stage->arena;
    stage->places = MB_ARENA_ARRAY(arena, mb_node_place_t, graph->n_nodes);
    stage->outputs = MB_ARENA_ARRAY(arena, mb_output_place_t, graph->n_outputs);
    stage->edge_gradients = MB_ARENA_ARRAY(arena, int64_t, plan->n_backward_edges + 1);
    stage->params = MB_ARENA_ARRAY(arena, int, graph->n_params + 1);
    stage->owned = MB_ARENA_ARRAY(arena, bool, graph->n_params + 1);
    stage->gradients = MB_ARENA_ARRAY(arena, float *, stage->n_blocks + 1);
    stage->sums = MB_ARENA_ARRAY(arena, double *, stage->n_sum_blocks + 1);
    if (stage->places == NULL || stage->outputs == NULL || stage->edge_gradients == NULL ||
        stage->params == NULL || stage->owned == NULL || stage->gradients == NULL ||
        stage->sums == NULL)
        return mb_error_memory("the tables of a stage", 0);
    for (int e = 0; e < plan->n_backward_edges; e++)
        stage->edge_gradients[e] = -1;
    for (int i = 0; i < graph->n_nodes; i++) {
        mb_node_place_t *at = &stage->places[i];
        at->chunk = -1;
        at->output = at->saved = at->carry = at->gradient = at->sums = at->activity = -1;
        for (int k = 0; k < MB_MAX_LAYER_PARAMS; k++)
            at->entries[k] = -1;
    }
    return MB_OK;
}

static mb_status_t open_chunk(mb_stage_t *stage, int number)
{
    const mb_plan_t *plan = stage->plan;
    mb_stage_chunk_t *chunk = &stage->chunks[stage->n_chunks];
    stage->chunk_of[number] = chunk;
    *chunk = (mb_stage_chunk_t){.chunk = number,
                                .first_node = plan->first_node[number],
                                .end_node = plan->first_node[number + 1],
                                .n_slots = plan->slots[number],
                                .lasts = plan->training && mb_plan_lasts(plan, number)};
    chunk->n_areas = mb_stage_splits(stage) ? chunk->n_slots : 1;
    chunk->slots = MB_ARENA_ARRAY(stage->arena, char *, chunk->n_slots + 1);
    chunk->gradient_now =
        MB_ARENA_ARRAY(stage->arena, void *, stage->graph->n_nodes * chunk->n_areas);
    if (chunk->slots == NULL || chunk->gradient_now == NULL)
        return mb_error_memory("the tables of a stage", 0);
    stage->n_chunks++;
    return MB_OK;
}

static mb_status_t stage_chunks(mb_stage_t *stage)
{
    const mb_plan_t *plan = stage->plan;
    stage->chunks = MB_ARENA_ARRAY(stage->arena, mb_stage_chunk_t, plan->chunks);
    stage->chunk_of = MB_ARENA_ARRAY(stage->arena, mb_stage_chunk_t *, plan->chunks);
    if (stage->chunks == NULL || stage->chunk_of == NULL)
        return mb_error_memory("the tables of a stage", 0);
    for (int c = plan->first_chunk[stage->stage]; c >= 0; c = plan->next_chunk[c])
        MB_TRY(open_chunk(stage, c));
    return MB_OK;
}

static mb_status_t plan_chunk(mb_stage_t *stage, mb_stage_chunk_t *chunk)
{
    chunk->first_gradient = stage->gradient_count;
    chunk->first_sum = stage->sum_count;
    place_received(stage, chunk);
    place_edge_gradients(stage, chunk);
    for (int i = chunk->first_node; i < chunk->end_node; i++)
        place_node(stage, chunk, i);
    place_outputs(stage, chunk);
    chunk->gradient_count = stage->gradient_count - chunk->first_gradient;
    chunk->sum_count = stage->sum_count - chunk->first_sum;
    return mb_stage_place_inside(stage, chunk);
}

static mb_status_t plan_memory(mb_stage_t *stage)
{
    MB_TRY(stage_arrays(stage));
    MB_TRY(stage_chunks(stage));
    MB_TRY(mb_kept_find(stage->plan, stage->arena, &stage->kept));
    place_parameters(stage);
    for (int i = 0; i < stage->n_chunks; i++)
        MB_TRY(plan_chunk(stage, &stage->chunks[i]));
    return MB_OK;
}

size_t mb_stage_activation_bytes(const mb_stage_t *stage)
{
    size_t bytes = shared_inside(stage);
    for (int i = 0; i < stage->n_chunks; i++) {
        const mb_stage_chunk_t *chunk = &stage->chunks[i];
        bytes += chunk->slot_bytes * (size_t)chunk->n_slots + own_inside(chunk) +
                 chunk->backward_bytes * (size_t)chunk->n_areas + chunk->kept_bytes * MB_KEPT_ROOMS;
    }
    return bytes;
}

size_t mb_stage_host_bytes(const mb_stage_t *stage)
{
    size_t bytes = 0;
    for (int i = 0; i < stage->n_chunks; i++)
        bytes += stage->chunks[i].kept_bytes * (size_t)stage->chunks[i].n_slots;
    return bytes;
}

static void stage_free(mb_stage_t *stage)
{
    mb_device_t *device = stage->exec->device;
    mb_stage_offload_destroy(stage);
    mb_stage_free_parameters(stage);
    for (int i = 0; i < stage->n_chunks; i++) {
        for (int s = 0; s < stage->chunks[i].n_slots; s++)
            mb_device_free(device, stage->chunks[i].slots[s]);
        if (stage->chunks[i].lasts)
            mb_device_free(device, stage->chunks[i].inside);
        mb_device_free(device, stage->chunks[i].backward);
    }
    mb_device_free(device, stage->inside);
    for (int b = 0; b < stage->n_blocks && stage->shared == NULL; b++)
        mb_device_free(device, stage->gradients[b]);
    mb_shared_destroy(stage->shared);
    mb_device_free(device, stage->front);
    for (int b = 0; b < stage->n_sum_blocks; b++)
        mb_device_free(device, stage->sums[b]);
    for (int o = 0; o < stage->n_outputs; o++)
        mb_device_free(device, stage->outputs[o].constants);
    for (int i = 0; i < stage->graph->n_nodes; i++)
        mb_device_free(device, stage->places[i].constants);
    mb_device_free(device, stage->states);
}

mb_status_t mb_stage_create(const mb_stage_options_t *options, mb_stage_t **out)
{
    const mb_plan_t *plan = options->plan;
    mb_status_t status = MB_OK;
    mb_arena_t *arena = mb_arena_create();
    mb_stage_t *stage = arena == NULL ? NULL : MB_ARENA_NEW(arena, mb_stage_t);
    if (stage == NULL) {
        mb_arena_destroy(arena);
        return mb_error_memory("a stage", sizeof *stage);
    }
    stage->arena = arena;
    stage->plan = plan;
    stage->graph = plan->graph;
    stage->losses = options->losses;
    stage->stage = options->stage;
    stage->training = plan->training;
    stage->exec = options->exec;
    stage->n_blocks = options->n_blocks;
    stage->n_sum_blocks = options->n_sum_blocks;
    stage->integer = options->integer && !plan->training;
    stage->offloads = options->offloads;
    stage->loss_scale = 1.0F;
    MB_TRY_GOTO(plan_memory(stage), status, err_stage);
    MB_TRY_GOTO(mb_stage_place_rooms(stage, options->parts, options->part), status, err_stage);
    MB_TRY_GOTO(mb_stage_take_parameters(stage, options), status, err_stage);
    MB_TRY_GOTO(take_blocks(stage, options->shares), status, err_stage);
    if (stage->offloads)
        MB_TRY_GOTO(mb_stage_offload_create(stage), status, err_stage);
    for (int i = 0; i < stage->graph->n_nodes; i++)
        MB_TRY_GOTO(take_layer_constants(stage, i), status, err_stage);
    for (int o = 0; o < stage->n_outputs && stage->losses != NULL; o++)
        MB_TRY_GOTO(take_constants(stage, &stage->outputs[o]), status, err_stage);
    *out = stage;
    return MB_OK;

err_stage:
    mb_stage_destroy(stage);
    return status;
}

void mb_stage_destroy(mb_stage_t *stage)
{
    if (stage == NULL)
        return;
    if (stage->owned != NULL && stage->chunk_of != NULL)
        stage_free(stage);
    mb_arena_destroy(stage->arena);
}
