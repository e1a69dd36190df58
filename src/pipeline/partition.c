/* Which node lies in which chunk. See partition.h.
 *
 * Dynamic programming over the nodes that compute, in two exact passes: the first finds the least
 * possible cost of the costliest chunk, the second, among all partitions that reach it, the one
 * whose cuts have the fewest values alive across them; among those the earliest cuts. An InputLayer
 * costs nothing and goes with the next node that computes. */
#include "pipeline/partition.h"

#include <float.h>
#include <stdlib.h>

typedef struct {
    const mb_partition_options_t *options;
    int first, end;          /* nodes to cut */
    int n;                   /* of them that compute */
    int *nodes;              /* their indices */
    double *prefix;          /* [n + 1] cost of the first k of them */
    double *alive;           /* [n + 1] values alive across a cut in front of node k */
    double *charge;          /* [n + 1] what these cost each chunk beside the cut */
    mb_node_bytes_t *memory; /* [n + 1] bytes of the first k of them */
} problem_t;

int mb_plan_max_stages(const mb_graph_t *graph)
{
    int n = 0;
    for (int i = 0; i < graph->n_nodes; i++)
        n += !graph->nodes[i].is_input;
    return n;
}

static int last_use(const mb_node_t *node)
{
    return node->n_uses == 0 ? -1 : node->uses[node->n_uses - 1].node;
}

/* The first node of a stage that begins with the k-th node that computes. */
static int cut_place(const problem_t *problem, int k)
{
    return k == 0 ? problem->first : problem->nodes[k - 1] + 1;
}

static void count_alive(const mb_graph_t *graph, problem_t *problem)
{
    const double *crossing = problem->options->crossing;
    for (int k = 0; k < problem->n; k++) {
        int cut = cut_place(problem, k);
        for (int t = problem->first; t < cut; t++) {
            if (last_use(&graph->nodes[t]) < cut)
                continue;
            problem->alive[k] += (double)mb_shape_elements(&graph->nodes[t].call.output);
            problem->charge[k] += crossing == NULL ? 0 : crossing[t];
        }
    }
}

static void add_node(problem_t *problem, int node, const mb_node_cost_t *cost)
{
    const mb_node_bytes_t *bytes = problem->options->bytes;
    int k = problem->n++;
    problem->nodes[k] = node;
    problem->prefix[k + 1] = problem->prefix[k] + mb_node_seconds(cost);
    problem->memory[k + 1] = problem->memory[k];
    if (bytes == NULL)
        return;
    problem->memory[k + 1].once += bytes[node].once;
    problem->memory[k + 1].flight += bytes[node].flight;
}

static mb_status_t pose(const mb_graph_t *graph, mb_arena_t *arena, problem_t *problem)
{
    int n = mb_plan_max_stages(graph);
    const mb_node_cost_t *costs = problem->options->costs;
    problem->first = problem->options->first_node;
    problem->end = problem->options->end_node == 0 ? graph->n_nodes : problem->options->end_node;
    mb_node_cost_t *counted = MB_ARENA_ARRAY(arena, mb_node_cost_t, graph->n_nodes);
    problem->nodes = MB_ARENA_ARRAY(arena, int, n);
    problem->prefix = MB_ARENA_ARRAY(arena, double, n + 1);
    problem->alive = MB_ARENA_ARRAY(arena, double, n + 1);
    problem->charge = MB_ARENA_ARRAY(arena, double, n + 1);
    problem->memory = MB_ARENA_ARRAY(arena, mb_node_bytes_t, n + 1);
    if (counted == NULL || problem->nodes == NULL || problem->prefix == NULL ||
        problem->alive == NULL || problem->charge == NULL || problem->memory == NULL)
        return mb_error_memory("a partition", (size_t)n * sizeof(double));
    if (costs == NULL)
        mb_costs_count(graph, 1, counted);
    for (int i = problem->first; i < problem->end; i++) {
        if (!graph->nodes[i].is_input)
            add_node(problem, i, costs == NULL ? &counted[i] : &costs[i]);
    }
    count_alive(graph, problem);
    return MB_OK;
}

/* Of nodes j to k - 1 in a chunk, without what crosses its ends. */
static double inner_cost(const problem_t *problem, int chunk, int j, int k)
{
    const double *slowness = problem->options->slowness;
    return (problem->prefix[k] - problem->prefix[j]) * (slowness == NULL ? 1 : slowness[chunk]);
}

static double whole_cost(const problem_t *problem, int chunk, int j, int k)
{
    return inner_cost(problem, chunk, j, k) + problem->charge[j] + problem->charge[k];
}

static bool has_room(const problem_t *problem, int chunk, int j, int k)
{
    const mb_partition_options_t *o = problem->options;
    const mb_node_bytes_t *first = &problem->memory[j], *end = &problem->memory[k];
    return o->bytes == NULL ||
           end->once - first->once + o->slots[chunk] * (end->flight - first->flight) <=
               o->limits[chunk];
}

/* least[k]: of the first k nodes in the chunks so far, the cost of the costliest chunk. */
static double least_cost(const problem_t *problem, double *least, double *next)
{
    for (int k = 0; k <= problem->n; k++)
        least[k] = k == 0 ? 0 : DBL_MAX;
    for (int s = 0; s < problem->options->chunks; s++) {
        for (int k = 0; k <= problem->n; k++) {
            next[k] = DBL_MAX;
            for (int j = k - 1; j >= s && inner_cost(problem, s, j, k) <= next[k]; j--) {
                double own = whole_cost(problem, s, j, k);
                double most = own > least[j] ? own : least[j];
                if (most < next[k] && has_room(problem, s, j, k))
                    next[k] = most;
            }
        }
        double *swap = least;
        least = next;
        next = swap;
    }
    return least[problem->n];
}

/* begins[s][k]: where chunk s begins when the first k nodes lie in chunks 0..s. */
static void cheapest_cuts(const problem_t *problem, double limit, double *crossing, double *next,
                          int *begins)
{
    size_t row = (size_t)problem->n + 1;
    for (int k = 0; k <= problem->n; k++)
        crossing[k] = k == 0 ? 0 : DBL_MAX;
    for (int s = 0; s < problem->options->chunks; s++) {
        for (int k = 0; k <= problem->n; k++) {
            next[k] = DBL_MAX;
            for (int j = k - 1; j >= s && inner_cost(problem, s, j, k) <= limit; j--) {
                if (crossing[j] >= DBL_MAX || crossing[j] + problem->alive[j] > next[k] ||
                    whole_cost(problem, s, j, k) > limit || !has_room(problem, s, j, k))
                    continue;
                next[k] = crossing[j] + problem->alive[j];
                begins[(size_t)s * row + (size_t)k] = j;
            }
        }
        double *swap = crossing;
        crossing = next;
        next = swap;
    }
}

static void fill_stage(int first, int end, int stage, int *stage_of_node)
{
    for (int i = first; i < end; i++)
        stage_of_node[i] = stage;
}

static mb_status_t no_room(const problem_t *problem)
{
    double least = problem->options->limits[0];
    for (int c = 1; c < problem->options->chunks; c++)
        least = problem->options->limits[c] < least ? problem->options->limits[c] : least;
    return mb_error_set(MB_ERR_MEMORY,
                        "no cut into %d chunks keeps each within its memory (%.0f bytes the least)",
                        problem->options->chunks, least);
}

static mb_status_t balance(const mb_graph_t *graph, const mb_partition_options_t *options,
                           mb_arena_t *arena, int *chunk_of_node)
{
    problem_t problem = {.options = options};
    MB_TRY(pose(graph, arena, &problem));
    size_t row = (size_t)problem.n + 1;
    double *a = MB_ARENA_ARRAY(arena, double, row), *b = MB_ARENA_ARRAY(arena, double, row);
    int *begins = MB_ARENA_ARRAY(arena, int, row *(size_t)options->chunks);
    if (a == NULL || b == NULL || begins == NULL)
        return mb_error_memory("a partition", row * (size_t)options->chunks * sizeof(int));
    double limit = least_cost(&problem, a, b);
    if (limit >= DBL_MAX)
        return no_room(&problem);
    cheapest_cuts(&problem, limit, a, b, begins);
    int end = problem.end;
    for (int s = options->chunks - 1, k = problem.n; s >= 0; s--) {
        k = begins[(size_t)s * row + (size_t)k];
        int first = cut_place(&problem, k);
        fill_stage(first, end, s, chunk_of_node);
        end = first;
    }
    return MB_OK;
}

static mb_status_t check_computes(const mb_graph_t *graph, int stage, int first, int end)
{
    for (int i = first; i < end; i++) {
        if (!graph->nodes[i].is_input)
            return MB_OK;
    }
    return mb_error_set(MB_ERR_ARGUMENT, "stage %d would have no node that computes", stage);
}

static mb_status_t obey_cuts(const mb_graph_t *graph, int stages, const int *cuts,
                             int *stage_of_node)
{
    int first = 0;
    for (int s = 0; s < stages; s++) {
        int end = s + 1 < stages ? cuts[s] : graph->n_nodes;
        if (end <= first || end > graph->n_nodes)
            return mb_error_set(MB_ERR_ARGUMENT,
                                "the cuts between stages must rise within nodes 1 to %d, found %d "
                                "after %d",
                                graph->n_nodes - 1, end, first);
        MB_TRY(check_computes(graph, s, first, end));
        fill_stage(first, end, s, stage_of_node);
        first = end;
    }
    return MB_OK;
}

mb_status_t mb_partition_check(const mb_graph_t *graph, int stages)
{
    int most = mb_plan_max_stages(graph);
    if (stages < 1 || stages > most)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "%d stages, or chunks of them, do not fit: the model has %d nodes that "
                            "compute, so from 1 to %d are possible",
                            stages, most, most);
    return MB_OK;
}

mb_status_t mb_partition(const mb_graph_t *graph, const mb_partition_options_t *options,
                         int *chunk_of_node)
{
    MB_TRY(mb_partition_check(graph, options->chunks));
    if (options->cuts != NULL)
        return obey_cuts(graph, options->chunks, options->cuts, chunk_of_node);
    mb_arena_t *arena = mb_arena_create();
    if (arena == NULL)
        return mb_error_memory("a partition", sizeof(problem_t));
    mb_status_t status = balance(graph, options, arena, chunk_of_node);
    mb_arena_destroy(arena);
    return status;
}

static double cost_of(const mb_graph_t *graph, const mb_node_cost_t *costs,
                      const int *chunk_of_node, int chunk)
{
    double cost = 0;
    for (int i = 0; i < graph->n_nodes; i++)
        cost += chunk_of_node[i] == chunk ? mb_node_seconds(&costs[i]) : 0;
    return cost;
}

double mb_partition_imbalance(const mb_graph_t *graph, const int *chunk_of_node, int chunks)
{
    double total = 0, most = 0;
    mb_node_cost_t *costs = malloc((size_t)graph->n_nodes * sizeof *costs);
    if (costs == NULL)
        return DBL_MAX;
    mb_costs_count(graph, 1, costs);
    for (int s = 0; s < chunks; s++) {
        double cost = cost_of(graph, costs, chunk_of_node, s);
        total += cost;
        most = cost > most ? cost : most;
    }
    free(costs);
    return total > 0 ? most * chunks / total : 1;
}
