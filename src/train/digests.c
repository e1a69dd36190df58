/* See digests.h. Where the host sees the device's memory it reads what stands there. */
#include "train/digests.h"

#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"

#define MARK (UINT64_C(1) << 32)

static size_t count_of(const mb_graph_t *graph)
{
    return (2 * MB_LOOK_PARTS + 1) * (size_t)graph->n_nodes + 2 * (size_t)graph->n_params;
}

size_t mb_digests_bytes(const mb_graph_t *graph)
{
    return MB_DIGESTS_HOST + count_of(graph) * sizeof(uint64_t);
}

mb_digests_t mb_digests_of(const mb_graph_t *graph, char *message)
{
    size_t nodes = (size_t)graph->n_nodes, params = (size_t)graph->n_params;
    uint64_t *numbers = (uint64_t *)(void *)(message + MB_DIGESTS_HOST);
    uint64_t *sums = numbers + 2 * MB_LOOK_PARTS * nodes;
    return (mb_digests_t){.n_nodes = graph->n_nodes,
                          .n_params = graph->n_params,
                          .bytes = mb_digests_bytes(graph),
                          .message = message,
                          .first = numbers,
                          .second = numbers + MB_LOOK_PARTS * nodes,
                          .sums = sums,
                          .weights = sums + nodes,
                          .moments = sums + nodes + params};
}

static mb_status_t make_room(mb_digester_t *digester, size_t bytes)
{
    if (bytes <= digester->capacity)
        return MB_OK;
    char *host = realloc(digester->host, bytes);
    if (host == NULL)
        return mb_error_memory("numbers to compare", bytes);
    digester->host = host;
    digester->capacity = bytes;
    return MB_OK;
}

/* VALUES go on what DIGEST has so far. */
static mb_status_t add(mb_digester_t *digester, const void *values, size_t bytes, uint64_t *digest)
{
    mb_exec_t *exec = digester->exec;
    if (!exec->device->class_->host_visible(exec->device)) {
        MB_TRY(make_room(digester, bytes));
        MB_TRY(mb_exec_copy(exec, digester->host, values, bytes, MB_COPY_TO_HOST));
        values = digester->host;
    }
    MB_TRY(mb_exec_sync(exec));
    *digest = MARK | mb_crc32c((uint32_t)*digest, values, bytes);
    return MB_OK;
}

/* Of samples that count; of weights only what is this micro-batch's alone. */
mb_status_t mb_digester_see(void *user, const mb_micro_t *micro, const mb_seen_t *seen)
{
    mb_digester_t *digester = user;
    bool weights = seen->part == MB_LOOK_WEIGHTS;
    bool wanted = weights ? digester->of_weights && !micro->accumulate : digester->of_others;
    if (!wanted || seen->values == NULL ||
        (digester->index >= 0 && digester->index != micro->index))
        return MB_OK;
    int64_t count = (weights ? seen->rows : micro->valid) * seen->elements;
    return add(digester, seen->values, (size_t)count * mb_dtype_bytes(seen->type),
               &digester->into[(int)seen->part * digester->n_nodes + seen->node]);
}

static mb_status_t hold_sums(mb_digests_t *digests, mb_digester_t *digester,
                             const mb_stage_t *stage, int node)
{
    const mb_node_t *n = &stage->graph->nodes[node];
    const mb_layer_t *layer = stage->graph->layers[n->layer];
    for (int k = 0; k < layer->n_params && mb_stage_has_node(stage, node) && !n->is_input; k++) {
        const float *entry = mb_stage_entry(stage, 0, node, k);
        size_t bytes = (size_t)stage->graph->params[layer->params[k]].elements * sizeof(float);
        if (entry != NULL)
            MB_TRY(add(digester, entry, bytes, &digests->sums[node]));
    }
    return MB_OK;
}

static mb_status_t hold_slot(mb_digests_t *digests, mb_digester_t *digester,
                             const mb_update_t *update, int param, int slot)
{
    mb_shape_t shape;
    const mb_graph_t *graph = update->engine->plan->graph;
    if (!mb_optimizer_slot(update->optimizer, &graph->params[param], slot, &shape))
        return MB_OK;
    size_t bytes = (size_t)mb_shape_elements(&shape) * sizeof(float);
    MB_TRY(make_room(digester, bytes));
    float *host = (float *)(void *)digester->host;
    MB_TRY(mb_update_read_slot(update, param, slot, host, bytes));
    MB_TRY(mb_exec_sync(digester->exec));
    uint64_t *digest = &digests->moments[param];
    *digest = MARK | mb_crc32c((uint32_t)*digest, host, bytes);
    return MB_OK;
}

static mb_status_t hold_param(mb_digests_t *digests, mb_digester_t *digester,
                              const mb_update_t *update, int param)
{
    const mb_stage_t *stage = update->engine->stage;
    size_t bytes = (size_t)stage->graph->params[param].elements * sizeof(float);
    if (stage->values[param] != NULL)
        MB_TRY(add(digester, stage->values[param], bytes, &digests->weights[param]));
    bool alike = mb_update_holds(update, param) && !update->shared_out[param];
    for (int s = 0; s < update->optimizer->n_slots && alike; s++)
        MB_TRY(hold_slot(digests, digester, update, param, s));
    return MB_OK;
}

mb_status_t mb_digests_hold(mb_digests_t *digests, mb_digester_t *digester,
                            const mb_update_t *update)
{
    const mb_stage_t *stage = update->engine->stage;
    bool alike = !mb_stage_reduce_shares_out(update->engine->reduction);
    for (int n = 0; n < digests->n_nodes && alike; n++)
        MB_TRY(hold_sums(digests, digester, stage, n));
    for (int p = 0; p < digests->n_params; p++)
        MB_TRY(hold_param(digests, digester, update, p));
    return MB_OK;
}
