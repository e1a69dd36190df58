/* See lives.h. */
#include "pipeline/lives.h"

#include "model/graph_tail.h"

#include <stdlib.h>
#include <string.h>

enum { ALIGN = 64 };

/* ---- when */

mb_span_t mb_span_of(const mb_kept_t *kept, int chunk)
{
    const mb_plan_t *plan = kept->plan;
    return (mb_span_t){.graph = plan->graph,
                       .readers = kept->readers,
                       .first_node = plan->first_node[chunk],
                       .end_node = plan->first_node[chunk + 1],
                       .training = plan->training,
                       .splits = plan->programs[plan->stage_of_chunk[chunk]].splits_backward};
}

int mb_span_forward(const mb_span_t *span, int node)
{
    return node - span->first_node;
}

static int losses(const mb_span_t *span)
{
    return span->end_node - span->first_node;
}

static int end(const mb_span_t *span)
{
    return 2 * losses(span);
}

int mb_span_backward(const mb_span_t *span, int node)
{
    return end(span) - (node - span->first_node);
}

int mb_span_last_consumer(const mb_span_t *span, int node)
{
    const mb_node_t *n = &span->graph->nodes[node];
    int last = node;
    for (int u = 0; u < n->n_uses; u++) {
        if (n->uses[u].node < span->end_node && n->uses[u].node > last)
            last = n->uses[u].node;
    }
    return last;
}

/* A sum may run with the node behind it, as one operation, and a call with its tail. */
static int last_taken(const mb_span_t *span, int node)
{
    int last = mb_span_last_consumer(span, node);
    const mb_node_t *n = &span->graph->nodes[last];
    bool sum = !n->is_input && span->graph->layers[n->layer]->class_->is_sum;
    int with = mb_graph_tail(span->graph, last, span->end_node).nodes;
    if (with == 0 && sum && last + 1 < span->end_node)
        with = 1;
    return mb_span_forward(span, last) + with;
}

mb_life_t mb_life_of_output(const mb_span_t *span, int node)
{
    mb_life_t life = {mb_span_forward(span, node), last_taken(span, node)};
    int reader = span->readers[node];
    if (span->training && reader >= 0)
        life.last = span->splits ? end(span) : mb_span_backward(span, reader);
    return life;
}

mb_life_t mb_life_of_saved(const mb_span_t *span, int node)
{
    int written = mb_span_forward(span, node);
    return (mb_life_t){written, !span->training ? written
                                : span->splits  ? end(span)
                                                : mb_span_backward(span, node)};
}

mb_life_t mb_life_of_gradient(const mb_span_t *span, int node, bool scored)
{
    int last = mb_span_last_consumer(span, node);
    return (mb_life_t){scored ? losses(span) : mb_span_backward(span, last),
                       mb_span_backward(span, node)};
}

/* ---- where */

mb_status_t mb_house_open(mb_house_t *house, int room)
{
    *house = (mb_house_t){.tenants = calloc((size_t)room + 1, sizeof(mb_tenant_t)), .room = room};
    return house->tenants == NULL
               ? mb_error_memory("the places of a stage", (size_t)room * sizeof(mb_tenant_t))
               : MB_OK;
}

void mb_house_close(mb_house_t *house)
{
    free(house->tenants);
    house->tenants = NULL;
}

void mb_house_add(mb_house_t *house, size_t bytes, mb_life_t life, int64_t *at)
{
    if (bytes == 0)
        return;
    if (house->n < house->room)
        house->tenants[house->n] =
            (mb_tenant_t){.bytes = (bytes + ALIGN - 1) / ALIGN * ALIGN, .life = life, .at = at};
    house->n++;
}

static int by_size(const void *a, const void *b)
{
    const mb_tenant_t *x = a, *y = b;
    if (x->bytes != y->bytes)
        return x->bytes > y->bytes ? -1 : 1;
    return x->life.first != y->life.first ? x->life.first - y->life.first
                                          : x->life.last - y->life.last;
}

static bool meet(mb_life_t a, mb_life_t b)
{
    return a.first <= b.last && b.first <= a.last;
}

/* The lowest place that none of those before it needs at the same time: ORDER has them as they
 * stand, the lowest first, so that one look at each finds the first gap. */
static void find_place(mb_house_t *house, const int *order, int index)
{
    mb_tenant_t *own = &house->tenants[index];
    for (int i = 0; i < index; i++) {
        const mb_tenant_t *other = &house->tenants[order[i]];
        if (other->begin >= own->begin + own->bytes)
            break;
        if (meet(own->life, other->life) && other->begin + other->bytes > own->begin)
            own->begin = other->begin + other->bytes;
    }
    size_t needs = own->begin + own->bytes;
    house->bytes = needs > house->bytes ? needs : house->bytes;
}

static void insert(const mb_house_t *house, int *order, int index)
{
    int from = 0, to = index;
    while (from < to) {
        int middle = from + (to - from) / 2;
        bool lower = house->tenants[order[middle]].begin <= house->tenants[index].begin;
        from = lower ? middle + 1 : from;
        to = lower ? to : middle;
    }
    memmove(order + from + 1, order + from, (size_t)(index - from) * sizeof *order);
    order[from] = index;
}

mb_status_t mb_house_place(mb_house_t *house)
{
    if (house->n > house->room)
        return mb_error_set(MB_ERR_INTERNAL, "%d places are given to a chunk, and it has %d",
                            house->room, house->n);
    int *order = calloc((size_t)house->n + 1, sizeof *order);
    if (order == NULL)
        return mb_error_memory("the places of a stage", (size_t)house->n * sizeof *order);
    qsort(house->tenants, (size_t)house->n, sizeof(mb_tenant_t), by_size);
    for (int i = 0; i < house->n; i++) {
        find_place(house, order, i);
        insert(house, order, i);
        if (house->tenants[i].at != NULL)
            *house->tenants[i].at = (int64_t)house->tenants[i].begin;
    }
    free(order);
    return MB_OK;
}

/* ---- a chunk's forward */

static void add_forward(mb_house_t *house, const mb_kept_t *kept, const mb_span_t *span, int node)
{
    const mb_node_t *n = &span->graph->nodes[node];
    int64_t samples = kept->plan->micro_batch;
    mb_memory_t memory = {.saved_bytes = 0};
    if (n->is_input)
        return;
    span->graph->layers[n->layer]->class_->memory(&n->call, samples, &memory);
    if (!kept->output[node])
        mb_house_add(house,
                     (size_t)(mb_shape_elements(&n->call.output) * samples) *
                         mb_dtype_bytes(n->call.output_type),
                     mb_life_of_output(span, node), NULL);
    if (!kept->saved[node])
        mb_house_add(house, memory.saved_bytes, mb_life_of_saved(span, node), NULL);
}

mb_status_t mb_lives_forward_bytes(const mb_kept_t *kept, int chunk, size_t *bytes)
{
    mb_house_t house;
    mb_span_t span = mb_span_of(kept, chunk);
    MB_TRY(mb_house_open(&house, 2 * (span.end_node - span.first_node)));
    for (int i = span.first_node; i < span.end_node; i++)
        add_forward(&house, kept, &span, i);
    mb_status_t status = mb_house_place(&house);
    *bytes = house.bytes;
    mb_house_close(&house);
    return status;
}
