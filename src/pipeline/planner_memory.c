/* What the stages of a candidate hold of their micro-batches: what kept.h keeps of each in flight,
 * and once the most that is there of a chunk at the same time (lives.h), which a placement takes a
 * little more than at worst. Gradients that stand in one place (gradients.h) are counted apart. */
#include "pipeline/lives.h"
#include "pipeline/planner_private.h"

#include <stdlib.h>

typedef struct { /* bytes of a chunk */
    double
        fixed;   /* of each micro-batch in flight: messages, inputs, outputs, gradients that wait */
    double kept; /* of each, what else backwards read */
    double once; /* of the one at work */
    bool again;  /* has nodes that are computed again */
} chunk_t;

typedef struct {
    const mb_planner_options_t *options;
    const int *chunk_of_node;
    const mb_candidate_t *candidate;
    int segments, n_chunks; /* of a chunk; all of them */
    int *slots;             /* [n_chunks / segments] */
    chunk_t *chunks;        /* [n_chunks] */
    int *readers;           /* [n_nodes] */
    bool *again;            /* [n_nodes] */
    double *shared;         /* [stages] */
    double *change; /* [2 n_nodes + 2] what comes to be at a time of a chunk, less what is gone */
} count_t;

static void live(count_t *count, mb_life_t life, double bytes)
{
    count->change[life.first] += bytes;
    count->change[life.last + 1] -= bytes;
}

/* One that arrives stands where it does, and that of logits where they do: nothing reads these but
 * the loss. */
static bool has_gradient(const mb_node_t *n, const mb_planner_node_t *takes, bool scored)
{
    return scored ? n->n_uses > 0 || takes->own : !takes->leaves;
}

static void add_gradient(count_t *count, const mb_span_t *span, int node,
                         const mb_planner_node_t *takes)
{
    const mb_node_t *n = &span->graph->nodes[node];
    bool scored = mb_kept_is_scored(span->graph, node);
    double bytes = has_gradient(n, takes, scored) ? takes->output : 0;
    int now = mb_span_backward(span, node);
    if (span->splits && n->trains) {
        count->chunks[count->chunk_of_node[node]].fixed += bytes + takes->carried;
        return;
    }
    live(count, mb_life_of_gradient(span, node, scored), bytes);
    live(count, (mb_life_t){now, now}, takes->carried);
}

static int slots_of(const count_t *count, int chunk)
{
    return count->slots[chunk / count->segments];
}

/* Chunks that are computed again take turns in their stage's one place. */
static bool is_alone(const count_t *count, int chunk)
{
    bool only = count->n_chunks == count->candidate->stages;
    return slots_of(count, chunk) == 1 && (only || !count->chunks[chunk].again);
}

/* Gives the bytes of its output. */
static double add_node(count_t *count, const mb_span_t *span, int node)
{
    const mb_candidate_t *c = count->candidate;
    const mb_node_t *n = &span->graph->nodes[node];
    mb_planner_node_t takes =
        mb_planner_node(span->graph, count->chunk_of_node, c, node, count->readers);
    int number = count->chunk_of_node[node];
    chunk_t *chunk = &count->chunks[number];
    mb_kept_rule_t rule = {.fixed = takes.fixed,
                           .training = true,
                           .alone = is_alone(count, number),
                           .again = count->again[node],
                           .starts =
                               mb_kept_starts(span->graph, count->again, node, span->end_node),
                           .read = takes.read};
    if (mb_kept_output(&rule))
        *(rule.fixed ? &chunk->fixed : &chunk->kept) += takes.output;
    else
        live(count, mb_life_of_output(span, node), takes.output);
    if (mb_kept_saved(&rule))
        chunk->kept += takes.saved;
    else if (takes.saved > 0)
        live(count, mb_life_of_saved(span, node), takes.saved);
    if (n->needs_gradient)
        add_gradient(count, span, node, &takes);
    return takes.output;
}

/* Places of messages: what comes in there, and each use's share of the gradient at both its ends.
 */
static void add_messages(count_t *count, int node, double bytes)
{
    const mb_node_t *n = &count->options->graph->nodes[node];
    int own = count->chunk_of_node[node], last = own;
    for (int u = 0; u < n->n_uses; u++) {
        int chunk = count->chunk_of_node[n->uses[u].node];
        int from = mb_planner_stage_of(count->candidate, own);
        int to = mb_planner_stage_of(count->candidate, chunk);
        if (chunk == own)
            continue;
        count->chunks[chunk].fixed += chunk != last && to != from ? bytes : 0;
        count->chunks[chunk].fixed += n->needs_gradient && to != from ? bytes : 0;
        count->chunks[own].fixed += n->needs_gradient ? bytes : 0;
        last = chunk;
    }
}

/* A share of a gradient that is added to another one has a place, as large as the largest. */
static double share_of(const mb_span_t *span, int node, double bytes)
{
    const mb_node_t *n = &span->graph->nodes[node];
    bool several = n->n_uses > 1 && n->uses[1].node < span->end_node;
    return n->needs_gradient && several ? bytes : 0;
}

/* The most of what is there at a time; leaves zeros. */
static double peak_of(double *change, int times)
{
    double now = 0, most = 0;
    for (int t = 0; t < times; t++) {
        now += change[t];
        most = now > most ? now : most;
        change[t] = 0;
    }
    return most;
}

static void add_chunk(count_t *count, int first, int end)
{
    int number = count->chunk_of_node[first];
    mb_span_t span = {.graph = count->options->graph,
                      .readers = count->readers,
                      .first_node = first,
                      .end_node = end,
                      .training = true,
                      .splits = mb_planner_splits(count->candidate)};
    double shares = 0;
    for (int i = first; i < end; i++)
        count->chunks[number].again = count->chunks[number].again || count->again[i];
    for (int i = first; i < end; i++) {
        double bytes = add_node(count, &span, i), share = share_of(&span, i, bytes);
        add_messages(count, i, bytes);
        shares = share > shares ? share : shares;
    }
    count->chunks[number].once = peak_of(count->change, 2 * (end - first) + 2) + shares;
}

static void add_nodes(count_t *count)
{
    const mb_graph_t *graph = count->options->graph;
    const mb_candidate_t *c = count->candidate;
    mb_kept_readers(graph, c->micro_batch, count->readers);
    for (int i = 0; i < graph->n_nodes; i++)
        count->again[i] = mb_planner_is_again(c, &graph->nodes[i]);
    for (int i = 0, first = 0; i < graph->n_nodes; i++) {
        bool last = i + 1 == graph->n_nodes;
        if (!last && count->chunk_of_node[i + 1] == count->chunk_of_node[i])
            continue;
        add_chunk(count, first, i + 1);
        first = i + 1;
    }
}

/* Inside of what lasts from forward to backward each chunk has a place, for all else the stage has.
 */
static void add_up(const count_t *count, double *stages, double *shared)
{
    for (int i = 0; i < count->n_chunks; i++) {
        const chunk_t *chunk = &count->chunks[i];
        int stage = mb_planner_stage_of(count->candidate, i), slots = slots_of(count, i);
        int there = count->options->offloads && slots > MB_KEPT_ROOMS ? MB_KEPT_ROOMS : slots;
        bool lasts = mb_chunk_lasts(slots, chunk->again);
        stages[stage] += slots * chunk->fixed + there * chunk->kept + (lasts ? chunk->once : 0);
        if (!lasts && chunk->once > shared[stage])
            shared[stage] = chunk->once;
    }
    for (int s = 0; s < count->candidate->stages; s++)
        stages[s] += shared[s];
}

static mb_status_t count_all(count_t *count, double *stages)
{
    if (count->slots == NULL || count->chunks == NULL || count->readers == NULL ||
        count->again == NULL || count->change == NULL || count->shared == NULL)
        return mb_error_memory("a plan", (size_t)count->n_chunks * sizeof(chunk_t));
    MB_TRY(mb_planner_slots(count->candidate, count->slots));
    add_nodes(count);
    add_up(count, stages, count->shared);
    return MB_OK;
}

mb_status_t mb_planner_memory(const mb_planner_options_t *options, const int *chunk_of_node,
                              const mb_candidate_t *c, double *stages)
{
    size_t n = (size_t)options->graph->n_nodes;
    int segments = mb_schedule_segments(&c->schedule, true);
    int chunks = mb_schedule_chunks(&c->schedule, c->stages) * segments;
    count_t count = {.options = options,
                     .chunk_of_node = chunk_of_node,
                     .candidate = c,
                     .segments = segments,
                     .n_chunks = chunks,
                     .shared = calloc((size_t)c->stages, sizeof(double)),
                     .slots = calloc((size_t)chunks + 1, sizeof(int)),
                     .chunks = calloc((size_t)chunks + 1, sizeof(chunk_t)),
                     .readers = calloc(n + 1, sizeof(int)),
                     .again = calloc(n + 1, sizeof(bool)),
                     .change = calloc(2 * n + 2, sizeof(double))};
    mb_status_t status = count_all(&count, stages);
    free(count.slots);
    free(count.chunks);
    free(count.readers);
    free(count.again);
    free(count.change);
    free(count.shared);
    return status;
}
