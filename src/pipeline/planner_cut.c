/* A cut that keeps each stage within its memory, where the one that is fastest leaves one of them
 * too much: large embeddings, wide first layers. The partitioner's limits are what a stage has left
 * when all that it does not count (messages, what is inside a chunk) has its place. */
#include "pipeline/kept.h"
#include "pipeline/partition.h"
#include "pipeline/planner_private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TRIES = 3 };

typedef struct {
    const mb_planner_options_t *options;
    const mb_node_cost_t *costs;
    mb_candidate_t *candidate;
    mb_node_bytes_t *bytes; /* [n_nodes] */
    double *memory;         /* [stages] what a cut takes, by the formulas */
    double *limits;         /* [stages] */
    int *slots;             /* [stages] */
} fitting_t;

static double parameters_of(const mb_graph_t *graph, const mb_node_t *n)
{
    double elements = 0;
    const mb_layer_t *layer = graph->layers[n->layer];
    for (int k = 0; k < layer->n_params; k++)
        elements += (double)graph->params[layer->params[k]].elements;
    return elements;
}

static void count_bytes(const fitting_t *f, const int *chunk_of_node, int *readers)
{
    const mb_candidate_t *c = f->candidate;
    const mb_graph_t *graph = f->options->graph;
    double each = sizeof(float) * mb_planner_numbers_held(f->options, c);
    mb_kept_readers(graph, c->micro_batch, readers);
    for (int i = 0; i < graph->n_nodes; i++) {
        mb_planner_node_t node = mb_planner_node(graph, chunk_of_node, c, i, readers);
        bool again = mb_planner_is_again(c, &graph->nodes[i]);
        f->bytes[i] =
            (mb_node_bytes_t){.once = each * parameters_of(graph, &graph->nodes[i]),
                              .flight = again ? 0 : node.saved + (node.read ? node.output : 0)};
    }
}

/* What the formulas count of a stage beyond the bytes of its nodes. */
static double rest_of(const fitting_t *f, const int *chunk_of_node, int stage)
{
    double rest = f->memory[stage];
    for (int i = 0; i < f->options->graph->n_nodes; i++) {
        if (chunk_of_node[i] == stage)
            rest -= f->bytes[i].once + f->slots[stage] * f->bytes[i].flight;
    }
    return rest;
}

/* All together must fit, or no cut does. */
static bool may_fit(const fitting_t *f, double limit)
{
    double all = 0;
    for (int s = 0; s < f->candidate->stages; s++)
        all += f->memory[s];
    return all <= limit * f->candidate->stages;
}

static mb_status_t cut_again(fitting_t *f, double limit, int *chunk_of_node, bool *found)
{
    const mb_candidate_t *c = f->candidate;
    for (int s = 0; s < c->stages; s++)
        f->limits[s] = limit - rest_of(f, chunk_of_node, s);
    const mb_partition_options_t partition = {.chunks = c->stages,
                                              .costs = f->costs,
                                              .bytes = f->bytes,
                                              .limits = f->limits,
                                              .slots = f->slots};
    mb_status_t status = mb_partition(f->options->graph, &partition, chunk_of_node);
    *found = status == MB_OK;
    return status == MB_ERR_MEMORY ? MB_OK : status;
}

/* What lies beyond the bytes of nodes changes with the cut, and so it is cut a few times. */
static mb_status_t search(fitting_t *f, double limit, int *chunk_of_node, bool *fits)
{
    mb_candidate_t *c = f->candidate;
    for (int i = 0; i < TRIES && c->memory > limit; i++) {
        bool found = false;
        if (may_fit(f, limit))
            MB_TRY(cut_again(f, limit, chunk_of_node, &found));
        if (!found)
            return MB_OK;
        MB_TRY(mb_planner_estimate_stages(f->options, f->costs, chunk_of_node, c, f->memory));
    }
    *fits = c->memory <= limit;
    return MB_OK;
}

static mb_status_t fit(fitting_t *f, double limit, mb_arena_t *arena, const int *cut, bool *fits)
{
    size_t n = (size_t)f->options->graph->n_nodes;
    int *own = MB_ARENA_ARRAY(arena, int, n), *readers = MB_ARENA_ARRAY(arena, int, n);
    if (own == NULL || readers == NULL)
        return mb_error_memory("a plan", n * sizeof *own);
    memcpy(own, cut, n * sizeof *own);
    count_bytes(f, cut, readers);
    for (int s = 0; s < f->candidate->stages; s++)
        f->slots[s] = (int)ceil(mb_planner_in_flight(f->candidate, s));
    MB_TRY(mb_planner_estimate_stages(f->options, f->costs, cut, f->candidate, f->memory));
    MB_TRY(search(f, limit, own, fits));
    f->candidate->by_memory = *fits;
    return *fits ? mb_planner_cuts(f->options->graph, own, f->candidate->stages, arena,
                                   &f->candidate->cuts)
                 : MB_OK;
}

mb_status_t mb_planner_cuts(const mb_graph_t *graph, const int *chunk_of_node, int chunks,
                            mb_arena_t *arena, const int **out)
{
    int *cuts = MB_ARENA_ARRAY(arena, int, chunks);
    *out = cuts;
    if (cuts == NULL)
        return mb_error_memory("a plan", (size_t)chunks * sizeof *cuts);
    for (int i = graph->n_nodes - 1; i >= 0; i--) {
        if (chunk_of_node[i] > 0)
            cuts[chunk_of_node[i] - 1] = i;
    }
    return MB_OK;
}

mb_status_t mb_planner_fit_cut(const mb_planner_options_t *options, const mb_node_cost_t *costs,
                               const int *cut, double limit, mb_arena_t *arena, mb_candidate_t *c,
                               bool *fits)
{
    size_t stages = (size_t)c->stages;
    fitting_t f = {.options = options, .costs = costs, .candidate = c};
    f.bytes = calloc((size_t)options->graph->n_nodes, sizeof *f.bytes);
    f.memory = calloc(stages, sizeof *f.memory);
    f.limits = calloc(stages, sizeof *f.limits);
    f.slots = calloc(stages, sizeof *f.slots);
    *fits = false;
    mb_status_t status =
        f.bytes == NULL || f.memory == NULL || f.limits == NULL || f.slots == NULL
            ? mb_error_memory("a plan", (size_t)options->graph->n_nodes * sizeof *f.bytes)
            : fit(&f, limit, arena, cut, fits);
    free(f.bytes);
    free(f.memory);
    free(f.limits);
    free(f.slots);
    return status;
}
