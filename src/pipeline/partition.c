/* Which node lies in which chunk. See partition.h.
 *
 * Dynamic programming over the nodes that compute, in two exact passes: the first finds the least
 * possible cost of the costliest chunk, the second, among all partitions that reach it, the one
 * whose cuts have the fewest values alive across them; among those the earliest cuts. An InputLayer
 * costs nothing and goes with the next node that computes.
 *
 * Both passes look only where a chunk can end: the chunks up to it hold no more than what each may
 * cost, and those behind it can hold the rest. Of 1500 nodes that leaves some hundredth. */
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
    int *lowest, *highest;   /* [chunks] nodes that chunks 0..s can hold together, see bound_ends */
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

/* A tensor is alive across the cuts behind it, up to its last use. */
static void count_alive(const mb_graph_t *graph, problem_t *problem)
{
    const double *crossing = problem->options->crossing;
    for (int t = problem->first, behind = 0; t < problem->end; t++) {
        double elements = (double)mb_shape_elements(&graph->nodes[t].call.output);
        while (behind < problem->n && cut_place(problem, behind) <= t)
            behind++;
        for (int k = behind; k < problem->n; k++) {
            if (cut_place(problem, k) > last_use(&graph->nodes[t]))
                break;
            problem->alive[k] += elements;
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

/* ---- where chunks can end */

/* How many nodes the chunk takes from node J on that cost no more than LIMIT inside it, but one at
 * least, and one is left for each that follows. */
static int filled(const problem_t *problem, int chunk, int j, double limit)
{
    int end = j + 1, most = problem->n - (problem->options->chunks - 1 - chunk);
    while (end < most && inner_cost(problem, chunk, j, end + 1) <= limit)
        end++;
    return chunk + 1 < problem->options->chunks ? end : problem->n;
}

/* The costliest chunk where each is filled up to LIMIT; DBL_MAX where one has no room. */
static double cost_of_filling(const problem_t *problem, double limit, bool whole)
{
    double most = 0;
    for (int s = 0, j = 0; s < problem->options->chunks; s++) {
        int end = filled(problem, s, j, limit);
        double cost = whole ? whole_cost(problem, s, j, end) : inner_cost(problem, s, j, end);
        if (whole && !has_room(problem, s, j, end))
            return DBL_MAX;
        most = cost > most ? cost : most;
        j = end;
    }
    return most;
}

/* What some partition costs: the best that filling finds. */
static double reachable_cost(const problem_t *problem)
{
    double below = 0, limit = inner_cost(problem, 0, 0, problem->n);
    for (int s = 1; s < problem->options->chunks; s++) {
        double all = inner_cost(problem, s, 0, problem->n);
        limit = all > limit ? all : limit;
    }
    for (int i = 0; i < 40; i++) {
        double middle = (below + limit) / 2;
        if (cost_of_filling(problem, middle, false) <= middle)
            limit = middle;
        else
            below = middle;
    }
    return cost_of_filling(problem, limit, true);
}

/* Nodes that chunks FIRST.. hold in the end, at most, if each costs no more than LIMIT: as a sum of
 * costs on a device that is no slower than 1. */
static double held_by(const problem_t *problem, int first, int end, double limit)
{
    double held = 0;
    const double *slowness = problem->options->slowness;
    for (int s = first; s < end; s++)
        held += limit / (slowness == NULL ? 1 : slowness[s]);
    return held * (1 + 1e-9); /* sums of rounded costs */
}

/* For partitions whose chunks each cost no more than LIMIT. */
static void bound_ends(problem_t *problem, double limit)
{
    int chunks = problem->options->chunks, n = problem->n;
    double before = 0, behind = held_by(problem, 0, chunks, limit), all = problem->prefix[n];
    for (int s = 0, low = 1, high = 1; s < chunks; s++) {
        double own = held_by(problem, s, s + 1, limit);
        before += own;
        behind -= own;
        low = low < s + 1 ? s + 1 : low;
        while (low < n && all - problem->prefix[low] > behind + 1e-9 * all)
            low++;
        while (high < n && problem->prefix[high + 1] <= before)
            high++;
        problem->lowest[s] = low;
        problem->highest[s] = high;
    }
    problem->highest[chunks - 1] = n;
}

static void start_row(const problem_t *problem, double *row)
{
    for (int k = 0; k <= problem->n; k++)
        row[k] = DBL_MAX;
}

/* ---- the two passes */

/* Where a chunk can begin that ends in front of node K. */
static int first_begin(const problem_t *problem, int chunk)
{
    return chunk == 0 ? 0 : problem->lowest[chunk - 1];
}

static int last_begin(const problem_t *problem, int chunk, int k)
{
    int last = chunk == 0 ? 0 : problem->highest[chunk - 1];
    return last < k - 1 ? last : k - 1;
}

/* least[k]: of the first k nodes in the chunks so far, the cost of the costliest chunk. */
static double least_cost(const problem_t *problem, double *least, double *next)
{
    start_row(problem, least);
    least[0] = 0;
    for (int s = 0; s < problem->options->chunks; s++) {
        start_row(problem, next);
        for (int k = problem->lowest[s]; k <= problem->highest[s]; k++) {
            for (int j = last_begin(problem, s, k);
                 j >= first_begin(problem, s) && inner_cost(problem, s, j, k) <= next[k]; j--) {
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
    start_row(problem, crossing);
    crossing[0] = 0;
    for (int s = 0; s < problem->options->chunks; s++) {
        start_row(problem, next);
        for (int k = problem->lowest[s]; k <= problem->highest[s]; k++) {
            for (int j = last_begin(problem, s, k);
                 j >= first_begin(problem, s) && inner_cost(problem, s, j, k) <= limit; j--) {
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
    problem.lowest = MB_ARENA_ARRAY(arena, int, options->chunks);
    problem.highest = MB_ARENA_ARRAY(arena, int, options->chunks);
    if (a == NULL || b == NULL || begins == NULL || problem.lowest == NULL ||
        problem.highest == NULL)
        return mb_error_memory("a partition", row * (size_t)options->chunks * sizeof(int));
    bound_ends(&problem, reachable_cost(&problem));
    double limit = least_cost(&problem, a, b);
    if (limit >= DBL_MAX)
        return no_room(&problem);
    bound_ends(&problem, limit);
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
