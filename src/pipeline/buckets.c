/* Cuts a chunk's gradients into buckets that are summed over replicas one by one, in the order in
 * which the last backward computes them, so that sums begin while it still runs.
 *
 *     nodes      0   1   2   3   4   5        the backward comes from the right
 *     buckets   [   3   ][ 2 ][    1   ]      a bucket is full with the bytes asked for
 *
 * Source: Li et al., "PyTorch Distributed: Experiences on Accelerating Data Parallel Training"
 * (VLDB 2020), section 3.2.3. */
#include "comm/tags.h"
#include "pipeline/plan.h"

/* Each bucket has its own tags. */
enum { MOST_BUCKETS = (MB_TAG_REDUCE_END - MB_TAG_REDUCE) / MB_TAG_REDUCE_EACH };

static size_t gradient_bytes(const mb_graph_t *graph, int node)
{
    size_t bytes = 0;
    const mb_layer_t *layer = graph->layers[graph->nodes[node].layer];
    for (int k = 0; k < layer->n_params; k++) {
        const mb_param_t *param = &graph->params[layer->params[k]];
        bytes += param->trainable ? (size_t)param->elements * sizeof(float) : 0;
    }
    return bytes;
}

static size_t chunk_bytes(const mb_plan_t *plan, int chunk)
{
    size_t bytes = 0;
    for (int n = plan->first_node[chunk]; n < plan->first_node[chunk + 1]; n++)
        bytes += gradient_bytes(plan->graph, n);
    return bytes;
}

/* Larger ones where the tags of a stage would not do: a chunk has as many as its share. */
static size_t bytes_of_bucket(const mb_plan_t *plan, int chunk, size_t bytes)
{
    int chunks = 0, stage = plan->stage_of_chunk[chunk];
    for (int c = plan->first_chunk[stage]; c >= 0; c = plan->next_chunk[c])
        chunks++;
    int most = MOST_BUCKETS / chunks - 1;
    size_t least = most < 1 ? SIZE_MAX : chunk_bytes(plan, chunk) / (size_t)most + 1;
    return bytes > least ? bytes : least;
}

/* Puts the buckets of a chunk behind the ones there are. OUT may be NULL: only counts. */
static int cut_chunk(const mb_plan_t *plan, int chunk, size_t bytes, mb_bucket_t *out)
{
    int n = 0, end = plan->first_node[chunk + 1];
    size_t left = chunk_bytes(plan, chunk), full = bytes == 0 ? SIZE_MAX : bytes, filled = 0;
    full = bytes == 0 ? full : bytes_of_bucket(plan, chunk, bytes);
    for (int node = end - 1; node > plan->first_node[chunk]; node--) {
        size_t more = gradient_bytes(plan->graph, node);
        filled += more;
        left -= more;
        if (filled < full || left == 0)
            continue;
        if (out != NULL)
            out[n] = (mb_bucket_t){node, end};
        n++;
        end = node;
        filled = 0;
    }
    if (out != NULL)
        out[n] = (mb_bucket_t){plan->first_node[chunk], end};
    return n + 1;
}

mb_status_t mb_buckets_cut(mb_plan_t *plan, size_t bytes)
{
    size_t cut = plan->training ? bytes : 0;
    plan->first_bucket = MB_ARENA_ARRAY(plan->arena, int, plan->chunks + 1);
    if (plan->first_bucket == NULL)
        return mb_error_memory("the buckets of a plan", (size_t)plan->chunks * sizeof(int));
    plan->first_bucket[0] = 0;
    for (int c = 0; c < plan->chunks; c++)
        plan->first_bucket[c + 1] = plan->first_bucket[c] + cut_chunk(plan, c, cut, NULL);
    size_t n = (size_t)plan->first_bucket[plan->chunks];
    plan->buckets = MB_ARENA_ARRAY(plan->arena, mb_bucket_t, n);
    if (plan->buckets == NULL)
        return mb_error_memory("the buckets of a plan", n * sizeof(mb_bucket_t));
    for (int c = 0; c < plan->chunks; c++)
        (void)cut_chunk(plan, c, cut, &plan->buckets[plan->first_bucket[c]]);
    return MB_OK;
}

mb_bucket_t mb_plan_bucket(const mb_plan_t *plan, int chunk, int number)
{
    if (number == 0)
        return (mb_bucket_t){plan->first_node[chunk], plan->first_node[chunk + 1]};
    return plan->buckets[plan->first_bucket[chunk] + number - 1];
}

bool mb_action_ends(const mb_plan_t *plan, const mb_action_t *action)
{
    return action->bucket == 0 || action->bucket == mb_plan_buckets(plan, action->chunk);
}
