/* Where the gradients of a micro-batch stand while it goes back: those that are never there at the
 * same time share their places.
 *
 * A backward pass visits the nodes in descending order. The gradient of tensor t comes to be with
 * its last consumer (or with the loss, in front of all nodes) and is through with node t; what a
 * call carries from its inputs' gradients to its weights' lives with that node alone. Places are
 * given to the largest first, each the lowest that is free through its life (first fit by
 * decreasing size, as for the dynamic storage of Garey and Johnson 1979, SR2). */
#include <stdlib.h>

#include "engine/stage_private.h"

enum { ALIGN = 64 };

typedef struct {
    size_t bytes;
    int first, last; /* nodes, ascending: lives from `last` down to `first` */
    int64_t *at;     /* where the offset belongs */
    size_t begin;
} tenant_t;

typedef struct {
    mb_stage_t *stage;
    mb_stage_chunk_t *chunk;
    tenant_t *tenants;
    int n;
    size_t bytes; /* of all, once placed */
} house_t;

/* ---- who lives when */

static bool is_scored(const mb_stage_t *stage, int node)
{
    const mb_graph_t *graph = stage->graph;
    for (int o = 0; o < graph->n_outputs; o++) {
        if (graph->outputs[o].node == node)
            return true;
    }
    return false;
}

/* A later chunk sends its share of the gradient, which the others are added to where it arrives. */
static bool arrives(const mb_stage_t *stage, int node)
{
    const mb_plan_t *plan = stage->plan;
    for (int e = 0; e < plan->n_backward_edges; e++) {
        if (plan->backward_edges[e].tensor == node)
            return true;
    }
    return false;
}

/* In the chunk; NODE itself where there is none. */
static int last_consumer(const house_t *house, int node)
{
    const mb_node_t *n = &house->stage->graph->nodes[node];
    int last = node;
    for (int u = 0; u < n->n_uses; u++) {
        if (n->uses[u].node < house->chunk->end_node && n->uses[u].node > last)
            last = n->uses[u].node;
    }
    return last;
}

static void add(house_t *house, size_t bytes, int first, int last, int64_t *at)
{
    *at = -1;
    if (bytes > 0)
        house->tenants[house->n++] = (tenant_t){
            .bytes = (bytes + ALIGN - 1) / ALIGN * ALIGN, .first = first, .last = last, .at = at};
}

static void add_node(house_t *house, int node)
{
    mb_stage_t *stage = house->stage;
    mb_node_place_t *at = &stage->places[node];
    bool scored = is_scored(stage, node);
    if (!stage->graph->nodes[node].needs_gradient || stage->graph->nodes[node].is_input)
        return;
    if (!at->in_place && (scored || !arrives(stage, node)))
        add(house, mb_stage_tensor_bytes(stage, node), node,
            scored ? house->chunk->end_node : last_consumer(house, node), &at->gradient);
    add(house, at->memory.carry_bytes, node, node, &at->carry);
}

/* Whether another contribution may have come before NODE's input K gives its own. */
static bool is_further(const house_t *house, int node, int k)
{
    const mb_node_t *n = &house->stage->graph->nodes[node];
    int tensor = n->inputs[k];
    bool further = is_scored(house->stage, tensor) || arrives(house->stage, tensor) ||
                   last_consumer(house, tensor) > node;
    for (int later = k + 1; later < n->call.n_inputs; later++)
        further = further || n->inputs[later] == tensor;
    return further && house->stage->graph->nodes[tensor].needs_gradient;
}

/* One place an input number, where further gradients of a tensor are written before they are added.
 */
static void add_temporary(house_t *house, int k)
{
    const mb_graph_t *graph = house->stage->graph;
    size_t most = 0;
    int first = house->chunk->end_node, last = first;
    for (int i = house->chunk->end_node - 1; i >= house->chunk->first_node; i--) {
        const mb_node_t *n = &graph->nodes[i];
        if (k >= n->call.n_inputs || n->inputs[k] < house->chunk->first_node ||
            !is_further(house, i, k))
            continue;
        size_t bytes = mb_stage_tensor_bytes(house->stage, n->inputs[k]);
        last = most == 0 ? i : last;
        first = i;
        most = bytes > most ? bytes : most;
    }
    add(house, most, first, last, &house->chunk->temporary[k]);
}

/* ---- who lives where */

static int by_size(const void *a, const void *b)
{
    const tenant_t *x = a, *y = b;
    if (x->bytes != y->bytes)
        return x->bytes > y->bytes ? -1 : 1;
    return x->first != y->first ? x->first - y->first : x->last - y->last;
}

static bool meet(const tenant_t *a, const tenant_t *b)
{
    return a->first <= b->last && b->first <= a->last;
}

/* The lowest place that none of those before it needs at the same time. Each of them that is in the
 * way moves the place up behind it, until none is. */
static void place(house_t *house, int index)
{
    tenant_t *own = &house->tenants[index];
    bool moved = true;
    while (moved) {
        moved = false;
        for (int i = 0; i < index; i++) {
            const tenant_t *other = &house->tenants[i];
            if (!meet(own, other) || own->begin >= other->begin + other->bytes ||
                other->begin >= own->begin + own->bytes)
                continue;
            own->begin = other->begin + other->bytes;
            moved = true;
        }
    }
    *own->at = (int64_t)own->begin;
    house->bytes = own->begin + own->bytes > house->bytes ? own->begin + own->bytes : house->bytes;
}

mb_status_t mb_stage_place_backward(mb_stage_t *stage, mb_stage_chunk_t *chunk)
{
    size_t most = 2 * (size_t)(chunk->end_node - chunk->first_node) + MB_MAX_INPUTS;
    house_t house = {.stage = stage, .chunk = chunk, .tenants = calloc(most, sizeof(tenant_t))};
    if (house.tenants == NULL)
        return mb_error_memory("the places of gradients", most * sizeof(tenant_t));
    for (int i = chunk->first_node; i < chunk->end_node; i++)
        add_node(&house, i);
    for (int k = 0; k < MB_MAX_INPUTS; k++)
        add_temporary(&house, k);
    qsort(house.tenants, (size_t)house.n, sizeof(tenant_t), by_size);
    for (int i = 0; i < house.n; i++)
        place(&house, i);
    chunk->backward_bytes = house.bytes;
    free(house.tenants);
    return MB_OK;
}
