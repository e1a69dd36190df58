/* What a stage of a candidate holds of its micro-batches: what kept.h keeps of each in flight, and
 * once a chunk the most that is there at the same time (lives.h), which a placement takes a little
 * more than at worst. Gradients that stand in one place (gradients.h) are counted apart. */
#include "pipeline/lives.h"
#include "pipeline/planner_private.h"

#include <stdlib.h>

typedef struct {
    const mb_planner_options_t *options;
    const int *chunk_of_node;
    const mb_candidate_t *candidate;
    mb_planner_memory_t *stages;
    int *readers;   /* [n_nodes] */
    bool *again;    /* [n_nodes] */
    double *change; /* [2 n_nodes + 2] what comes to be at a time of a chunk, less what is gone */
} count_t;

static void live(count_t *count, mb_life_t life, double bytes)
{
    count->change[life.first] += bytes;
    count->change[life.last + 1] -= bytes;
}

/* A stage with one chunk and one micro-batch in flight. */
static bool is_alone(const mb_candidate_t *c, int stage)
{
    int chunks = mb_schedule_chunks(&c->schedule, 1) * mb_schedule_segments(&c->schedule, true);
    return chunks <= 1 && mb_planner_in_flight(c, stage) <= 1;
}

/* Of what another chunk reads the gradient stands where the last share of it comes in. */
static bool arrives(const count_t *count, int node)
{
    const mb_node_t *n = &count->options->graph->nodes[node];
    int last = n->n_uses == 0 ? node : n->uses[n->n_uses - 1].node;
    return count->chunk_of_node[last] != count->chunk_of_node[node] &&
           !mb_kept_is_scored(count->options->graph, node);
}

/* What a call carries is there with it alone, unless both wait for the gradients of weights. */
static void add_gradient(count_t *count, const mb_span_t *span, int node,
                         const mb_planner_node_t *takes)
{
    const mb_node_t *n = &span->graph->nodes[node];
    int stage = mb_planner_stage_of(count->candidate, count->chunk_of_node[node]);
    int now = mb_span_backward(span, node);
    double gradient = arrives(count, node) ? 0 : takes->output;
    if (span->splits && n->trains) {
        count->stages[stage].gradients += gradient + takes->carried;
        return;
    }
    live(count, mb_life_of_gradient(span, node, mb_kept_is_scored(span->graph, node)), gradient);
    live(count, (mb_life_t){now, now}, takes->carried);
}

/* Gives the bytes of its output. */
static double add_node(count_t *count, const mb_span_t *span, int node)
{
    const mb_candidate_t *c = count->candidate;
    const mb_node_t *n = &span->graph->nodes[node];
    mb_planner_node_t takes =
        mb_planner_node(span->graph, count->chunk_of_node, c, node, count->readers);
    int stage = mb_planner_stage_of(c, count->chunk_of_node[node]);
    mb_planner_memory_t *all = &count->stages[stage];
    mb_kept_rule_t rule = {.fixed = takes.fixed,
                           .training = true,
                           .alone = is_alone(c, stage),
                           .again = count->again[node],
                           .starts =
                               mb_kept_starts(span->graph, count->again, node, span->end_node),
                           .read = takes.read};
    if (mb_kept_output(&rule))
        *(rule.fixed ? &all->fixed : &all->kept) += takes.output;
    else
        live(count, mb_life_of_output(span, node), takes.output);
    if (mb_kept_saved(&rule))
        all->kept += takes.saved;
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
        count->stages[to].fixed += chunk != last && to != from ? bytes : 0;
        count->stages[to].fixed += n->needs_gradient && to != from ? bytes : 0;
        count->stages[from].fixed += n->needs_gradient ? bytes : 0;
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

/* Of what a stage has places for on average, what the chunk has: of ZB-V's two on stage s the one
 * on the way there 2p - s, the one on the way back s + 1 (tests/unit/test_schedule_times). */
static double weight_of(const mb_candidate_t *c, int chunk)
{
    int stage = mb_planner_stage_of(c, chunk);
    int slots = chunk < c->stages ? 2 * c->stages - stage : stage + 1;
    if (c->schedule.kind != MB_SCHEDULE_ZB_V)
        return 1;
    return (slots < c->micros ? slots : c->micros) / mb_planner_in_flight(c, stage);
}

static void weigh(mb_planner_memory_t *stage, const mb_planner_memory_t *before, double weight)
{
    stage->kept = before->kept + weight * (stage->kept - before->kept);
    stage->fixed = before->fixed + weight * (stage->fixed - before->fixed);
    stage->gradients = before->gradients + weight * (stage->gradients - before->gradients);
}

static bool computes_again(const count_t *count, int first, int end)
{
    for (int i = first; i < end; i++) {
        if (count->again[i])
            return true;
    }
    return false;
}

static void add_chunk(count_t *count, int first, int end)
{
    const mb_candidate_t *c = count->candidate;
    int chunk = count->chunk_of_node[first];
    mb_planner_memory_t *stage = &count->stages[mb_planner_stage_of(c, chunk)], before = *stage;
    mb_span_t span = {.graph = count->options->graph,
                      .readers = count->readers,
                      .first_node = first,
                      .end_node = end,
                      .training = true,
                      .splits = mb_planner_splits(c)};
    double shares = 0;
    for (int i = first; i < end; i++) {
        double bytes = add_node(count, &span, i), share = share_of(&span, i, bytes);
        add_messages(count, i, bytes);
        shares = share > shares ? share : shares;
    }
    weigh(stage, &before, weight_of(c, chunk));
    double inside = peak_of(count->change, 2 * (end - first) + 2) + shares;
    if (mb_planner_in_flight(c, mb_planner_stage_of(c, chunk)) <= 1 &&
        !computes_again(count, first, end))
        stage->once += inside;
    else if (inside > stage->shared)
        stage->shared = inside;
}

static void add_all(count_t *count)
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

mb_status_t mb_planner_memory(const mb_planner_options_t *options, const int *chunk_of_node,
                              const mb_candidate_t *c, mb_planner_memory_t *stages)
{
    size_t n = (size_t)options->graph->n_nodes;
    count_t count = {.options = options,
                     .chunk_of_node = chunk_of_node,
                     .candidate = c,
                     .stages = stages,
                     .readers = calloc(n + 1, sizeof(int)),
                     .again = calloc(n + 1, sizeof(bool)),
                     .change = calloc(2 * n + 2, sizeof(double))};
    mb_status_t status = MB_OK;
    if (count.readers == NULL || count.again == NULL || count.change == NULL)
        status = mb_error_memory("a plan", n * sizeof(double));
    else
        add_all(&count);
    free(count.readers);
    free(count.again);
    free(count.change);
    return status;
}
