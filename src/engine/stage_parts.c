/* See stage_parts.h. A tensor stays whole: norms go by its tiles, and some optimizers by all of it.
 */
#include "engine/stage_parts.h"

static int64_t distance(int64_t a, int64_t b)
{
    return a > b ? a - b : b - a;
}

/* The beginning of a tensor that is nearest, or the chunk's end. */
static int64_t nearest(const mb_stage_t *stage, const mb_stage_chunk_t *chunk, int64_t place)
{
    int64_t best = chunk->gradient_count;
    for (int n = chunk->first_node; n < chunk->end_node; n++) {
        for (int k = 0; k < MB_MAX_LAYER_PARAMS; k++) {
            int64_t begin = stage->places[n].entries[k] - chunk->first_gradient;
            if (stage->places[n].entries[k] >= 0 && distance(begin, place) < distance(best, place))
                best = begin;
        }
    }
    return best;
}

void mb_stage_parts(const mb_stage_t *stage, int index, int n, int64_t *bounds)
{
    const mb_stage_chunk_t *chunk = &stage->chunks[index];
    bounds[0] = 0;
    for (int part = 1; part < n; part++) {
        int64_t bound = nearest(stage, chunk, chunk->gradient_count / n * part);
        bounds[part] = bound > bounds[part - 1] ? bound : bounds[part - 1];
    }
    bounds[n] = chunk->gradient_count;
}

/* Where what the chunk's nodes from NODE on have begins. */
static int64_t begin_of(const mb_stage_t *stage, const mb_stage_chunk_t *chunk, int node)
{
    for (int n = node; n < chunk->end_node; n++) {
        for (int k = 0; k < MB_MAX_LAYER_PARAMS; k++) {
            if (stage->places[n].entries[k] >= 0)
                return stage->places[n].entries[k];
        }
    }
    return chunk->first_gradient + chunk->gradient_count;
}

mb_stretch_t mb_stage_stretch(const mb_stage_t *stage, int index, int bucket)
{
    const mb_stage_chunk_t *chunk = &stage->chunks[index];
    mb_bucket_t nodes = mb_plan_bucket(stage->plan, chunk->chunk, bucket);
    int64_t first = begin_of(stage, chunk, nodes.first_node);
    return (mb_stretch_t){first, begin_of(stage, chunk, nodes.end_node) - first};
}

void mb_stage_bucket_parts(const mb_stage_t *stage, int index, mb_stretch_t stretch, int n,
                           int64_t *bounds)
{
    int64_t begin = stretch.first - stage->chunks[index].first_gradient;
    mb_stage_parts(stage, index, n, bounds);
    for (int part = 0; part <= n; part++) {
        int64_t bound = bounds[part] - begin;
        bounds[part] = bound < 0 ? 0 : bound > stretch.count ? stretch.count : bound;
    }
}

bool mb_stage_sums_alone(const mb_stage_t *stage)
{
    const mb_graph_t *graph = stage->graph;
    for (int n = 0; n < graph->n_nodes; n++) {
        for (int other = 0; other < n; other++) {
            if (graph->nodes[other].layer == graph->nodes[n].layer &&
                graph->layers[graph->nodes[n].layer]->n_params > 0)
                return false;
        }
    }
    return true;
}
