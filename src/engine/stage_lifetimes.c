/* Who lives inside a chunk, in the places that pipeline/lives.h gives: outputs and saved that are
 * not kept, and gradients of tensors; but where gradients of weights come later, those that they
 * are made from wait for them, in an area of each micro-batch in flight. */
#include <stdlib.h>

#include "engine/stage_private.h"
#include "pipeline/edges.h"
#include "pipeline/gradients.h"
#include "pipeline/lives.h"

typedef struct {
    mb_stage_t *stage;
    mb_stage_chunk_t *chunk;
    mb_span_t span;
    mb_house_t house, apart;
    bool *arrives; /* [nodes of the chunk] a later chunk sends its share of the gradient, which the
                      others are added to where it arrives */
    int *owner;    /* [nodes of the chunk] whose gradient's place each takes (gradients.h) */
} inside_t;

static bool arrives(const inside_t *in, int node)
{
    return in->arrives[node - in->chunk->first_node];
}

static void mark_arriving(inside_t *in)
{
    const mb_plan_t *plan = in->stage->plan;
    const mb_chunk_edges_t *edges = &plan->crossing[in->chunk->chunk];
    const mb_edge_list_t *lists[] = {&edges->backward_in, &edges->backward_near};
    for (int l = 0; l < 2; l++) {
        for (int i = 0; i < lists[l]->n; i++)
            in->arrives[plan->backward_edges[lists[l]->edges[i]].tensor - in->chunk->first_node] =
                true;
    }
}

static int owner_of(const inside_t *in, int node)
{
    return in->owner[node - in->chunk->first_node];
}

static void mark_sums(inside_t *in)
{
    mb_gradient_owners(&in->span, in->owner);
    for (int i = in->chunk->first_node; i < in->chunk->end_node; i++) {
        const mb_node_t *n = &in->stage->graph->nodes[i];
        mb_node_place_t *at = &in->stage->places[i];
        at->shares = owner_of(in, i) != i;
        for (int k = 0; k < n->call.n_inputs && !n->is_input; k++)
            at->hands_on[k] = mb_sum_hands_on(&in->span, i, k);
    }
}

/* Until the last node that takes over the place has gone back. */
static mb_life_t life_of_gradient(const inside_t *in, int node, bool scored)
{
    mb_life_t life = mb_life_of_gradient(&in->span, node, scored);
    for (int i = in->chunk->first_node; i < node; i++) {
        int last = mb_span_backward(&in->span, i);
        life.last = owner_of(in, i) == node && last > life.last ? last : life.last;
    }
    return life;
}

static void add_forward(inside_t *in, int node)
{
    mb_node_place_t *at = &in->stage->places[node];
    if (at->inside)
        mb_house_add(&in->house, mb_stage_tensor_bytes(in->stage, node),
                     mb_life_of_output(&in->span, node), &at->output);
    if (at->saved_inside)
        mb_house_add(&in->house, at->memory.saved_bytes, mb_life_of_saved(&in->span, node),
                     &at->saved);
}

static void add_backward(inside_t *in, int node)
{
    const mb_node_t *n = &in->stage->graph->nodes[node];
    mb_node_place_t *at = &in->stage->places[node];
    bool scored = mb_kept_is_scored(in->stage->graph, node);
    int now = mb_span_backward(&in->span, node);
    mb_life_t own = life_of_gradient(in, node, scored), carry = {now, now};
    if (!n->needs_gradient || n->is_input)
        return;
    at->waits = in->span.splits && n->trains;
    mb_house_t *house = at->waits ? &in->apart : &in->house;
    if (at->waits)
        own = carry = (mb_life_t){0, 0};
    if (!at->in_place && !at->shares && (scored || !arrives(in, node)))
        mb_house_add(house, mb_stage_tensor_bytes(in->stage, node), own, &at->gradient);
    mb_house_add(house, at->memory.carry_bytes, carry, &at->carry);
}

/* Whether another contribution may have come before NODE's input K gives its own. */
static bool is_further(const inside_t *in, int node, int k)
{
    const mb_node_t *n = &in->stage->graph->nodes[node];
    int tensor = n->inputs[k];
    if (in->stage->places[node].hands_on[k])
        return false;
    bool further = mb_kept_is_scored(in->stage->graph, tensor) || arrives(in, tensor) ||
                   mb_span_last_consumer(&in->span, tensor) > node;
    for (int later = k + 1; later < n->call.n_inputs; later++)
        further = further || n->inputs[later] == tensor;
    return further && in->stage->graph->nodes[tensor].needs_gradient;
}

/* One place an input number, where further gradients of a tensor are written before they are added.
 */
static void add_temporary(inside_t *in, int k)
{
    const mb_graph_t *graph = in->stage->graph;
    size_t most = 0;
    mb_life_t life = {0, 0};
    in->chunk->temporary[k] = -1;
    for (int i = in->chunk->end_node - 1; i >= in->chunk->first_node; i--) {
        const mb_node_t *n = &graph->nodes[i];
        if (k >= n->call.n_inputs || n->inputs[k] < in->chunk->first_node || !is_further(in, i, k))
            continue;
        size_t bytes = mb_stage_tensor_bytes(in->stage, n->inputs[k]);
        life.last = mb_span_backward(&in->span, i);
        life.first = most == 0 ? life.last : life.first;
        most = bytes > most ? bytes : most;
    }
    mb_house_add(&in->house, most, life, &in->chunk->temporary[k]);
}

static void add_all(inside_t *in)
{
    bool gradients = in->stage->training;
    mark_arriving(in);
    if (gradients)
        mark_sums(in);
    for (int i = in->chunk->first_node; i < in->chunk->end_node; i++) {
        add_forward(in, i);
        if (gradients)
            add_backward(in, i);
    }
    for (int k = 0; k < MB_MAX_INPUTS && gradients; k++)
        add_temporary(in, k);
}

static mb_status_t place_all(inside_t *in)
{
    MB_TRY(mb_house_place(&in->house));
    MB_TRY(mb_house_place(&in->apart));
    in->chunk->inside_bytes = in->house.bytes;
    in->chunk->backward_bytes = in->apart.bytes;
    return MB_OK;
}

mb_status_t mb_stage_place_inside(mb_stage_t *stage, mb_stage_chunk_t *chunk)
{
    int nodes = chunk->end_node - chunk->first_node;
    inside_t in = {.stage = stage, .chunk = chunk, .span = mb_span_of(&stage->kept, chunk->chunk)};
    mb_status_t status = mb_house_open(&in.house, 4 * nodes + MB_MAX_INPUTS);
    in.arrives = calloc((size_t)nodes + 1, sizeof *in.arrives);
    in.owner = calloc((size_t)nodes + 1, sizeof *in.owner);
    if (status == MB_OK)
        status = mb_house_open(&in.apart, 2 * nodes);
    if (status == MB_OK && (in.arrives == NULL || in.owner == NULL))
        status = mb_error_memory("the places of a stage", (size_t)nodes);
    if (status == MB_OK) {
        add_all(&in);
        status = place_all(&in);
    }
    free(in.arrives);
    free(in.owner);
    mb_house_close(&in.house);
    mb_house_close(&in.apart);
    return status;
}
