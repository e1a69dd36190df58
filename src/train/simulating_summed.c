/* See simulate_summed.h. A stage's tables are made as far as they say what is summed. */
#include "train/simulating_summed.h"

#include "engine/stage_parts.h"

enum { ALIGNED = 16 }; /* floats: a gradient begins there */

typedef struct {
    mb_simulating_t *s;
    mb_stage_t stage;
    mb_stage_chunk_t chunk;
    int64_t *bytes, *sums;
    const int64_t **bounds; /* NULL: nothing is shared out */
} summed_t;

static int64_t place_node(const mb_graph_t *graph, int node, int64_t at, mb_node_place_t *place)
{
    const mb_layer_t *layer = graph->layers[graph->nodes[node].layer];
    bool trained = mb_stage_trains_layer(graph, layer->index);
    for (int k = 0; k < layer->n_params; k++) {
        const mb_param_t *param = &graph->params[layer->params[k]];
        place->entries[k] = trained && param->trainable ? at : -1;
        at += trained && param->trainable ? (param->elements + ALIGNED - 1) / ALIGNED * ALIGNED : 0;
    }
    return at;
}

static int64_t sums_of_node(const summed_t *t, int node)
{
    mb_memory_t memory = {0};
    const mb_plan_t *plan = t->s->plans[0];
    const mb_node_t *n = &plan->graph->nodes[node];
    const mb_layer_t *layer = plan->graph->layers[n->layer];
    if (n->is_input)
        return 0;
    layer->class_->memory(&n->call, plan->micro_batch, &memory);
    return memory.sums + (layer->activity.l1 != 0 || layer->activity.l2 != 0 ? 2 : 0);
}

/* Loss, samples that count, and what metrics add up. */
static int64_t sums_of_outputs(const summed_t *t, int chunk)
{
    int64_t sums = 0;
    const mb_plan_t *plan = t->s->plans[0];
    const mb_loss_t *losses = t->s->planning.model->losses;
    for (int o = 0; o < plan->graph->n_outputs; o++) {
        if (plan->chunk_of_node[plan->graph->outputs[o].node] == chunk)
            sums += 2 + (losses == NULL ? 0 : losses[o].metrics.states);
    }
    return sums;
}

static void place_chunk(summed_t *t, int chunk)
{
    const mb_plan_t *plan = t->s->plans[0];
    int64_t at = 0;
    t->chunk = (mb_stage_chunk_t){.chunk = chunk,
                                  .first_node = plan->first_node[chunk],
                                  .end_node = plan->first_node[chunk + 1]};
    t->sums[chunk] = sums_of_outputs(t, chunk);
    for (int n = t->chunk.first_node; n < t->chunk.end_node; n++) {
        at = place_node(plan->graph, n, at, &t->stage.places[n]);
        t->sums[chunk] += sums_of_node(t, n);
    }
    t->chunk.gradient_count = at;
}

static mb_status_t cut_bucket(summed_t *t, int bucket, mb_stretch_t stretch)
{
    int groups = t->s->planning.grid.groups;
    if (t->bounds == NULL)
        return MB_OK;
    int64_t *bounds = MB_ARENA_ARRAY(t->s->planning.arena, int64_t, groups + 1);
    if (bounds == NULL)
        return mb_error_memory("the parts of a bucket", (size_t)groups * sizeof *bounds);
    mb_stage_bucket_parts(&t->stage, 0, stretch, groups, bounds);
    t->bounds[bucket] = bounds;
    return MB_OK;
}

static mb_status_t take_chunk(summed_t *t, int chunk)
{
    const mb_plan_t *plan = t->s->plans[0];
    place_chunk(t, chunk);
    for (int b = plan->first_bucket[chunk]; b < plan->first_bucket[chunk + 1]; b++) {
        mb_stretch_t stretch = mb_stage_stretch(&t->stage, 0, b - plan->first_bucket[chunk] + 1);
        t->bytes[b] = stretch.count * (int64_t)sizeof(float);
        MB_TRY(cut_bucket(t, b, stretch));
    }
    return MB_OK;
}

static mb_status_t share_out(summed_t *t, int zero)
{
    mb_parts_t *parts = MB_ARENA_NEW(t->s->planning.arena, mb_parts_t);
    if (parts == NULL)
        return mb_error_memory("a simulation", sizeof *parts);
    *parts = (mb_parts_t){
        .bounds = t->bounds, .stay = mb_stage_sums_alone(&t->stage), .take_rooms = zero == 2};
    t->s->simulation.parts = parts;
    return MB_OK;
}

mb_status_t mb_simulate_summed(mb_simulating_t *s, int zero)
{
    mb_arena_t *arena = s->planning.arena;
    const mb_plan_t *plan = s->plans[0];
    size_t buckets = (size_t)plan->first_bucket[plan->chunks];
    bool shares_out = zero > 0 && s->planning.grid.groups > 1;
    summed_t t = {.s = s,
                  .stage = {.graph = plan->graph,
                            .plan = plan,
                            .places = MB_ARENA_ARRAY(arena, mb_node_place_t, plan->graph->n_nodes)},
                  .bytes = MB_ARENA_ARRAY(arena, int64_t, buckets),
                  .sums = MB_ARENA_ARRAY(arena, int64_t, plan->chunks)};
    t.stage.chunks = &t.chunk;
    if (shares_out)
        t.bounds = MB_ARENA_ARRAY(arena, const int64_t *, buckets);
    if (t.stage.places == NULL || t.bytes == NULL || t.sums == NULL ||
        (shares_out && t.bounds == NULL))
        return mb_error_memory("a simulation", buckets * sizeof *t.bytes);
    for (int c = 0; c < plan->chunks; c++)
        MB_TRY(take_chunk(&t, c));
    s->simulation.gradient_bytes = t.bytes;
    s->simulation.sum_counts = t.sums;
    return shares_out ? share_out(&t, zero) : MB_OK;
}
