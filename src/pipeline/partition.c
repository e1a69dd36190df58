/* Which node lies on which stage: runs of nodes whose costliest stage costs least.
 *
 * Dynamic programming over the nodes that compute, in two exact passes: the first finds the least
 * possible cost of the costliest stage, the second, among all partitions that reach it, the one
 * whose cuts have the fewest values alive across them; among those the earliest cuts. An InputLayer
 * costs nothing and goes with the next node that computes. */
#include "pipeline/plan.h"

#include <float.h>

typedef struct {
    int n;          /* nodes that compute */
    int *nodes;     /* their indices */
    double *prefix; /* [n + 1] cost of the first k of them */
    double *alive;  /* [n] values alive across a cut in front of node k */
} problem_t;

/* Of a sample. */
static mb_cost_t cost_of(const mb_graph_t *graph, int index)
{
    const mb_node_t *node = &graph->nodes[index];
    const mb_layer_class_t *class_ = graph->layers[node->layer]->class_;
    mb_cost_t cost = {0};
    if (node->is_input || class_->cost == NULL)
        return cost;
    class_->cost(&node->call, &cost);
    bool passes_gradient = false;
    for (int k = 0; k < node->call.n_inputs; k++)
        passes_gradient = passes_gradient || graph->nodes[node->inputs[k]].needs_gradient;
    cost.backward_input_flops = passes_gradient ? cost.backward_input_flops : 0;
    cost.backward_weights_flops = node->trains ? cost.backward_weights_flops : 0;
    return cost;
}

static double node_cost(const mb_graph_t *graph, int index)
{
    mb_cost_t cost = cost_of(graph, index);
    return cost.forward_flops + cost.backward_input_flops + cost.backward_weights_flops;
}

void mb_partition_costs(const mb_plan_t *plan, mb_chunk_cost_t *costs)
{
    for (int c = 0; c < plan->chunks; c++)
        costs[c] = (mb_chunk_cost_t){0};
    for (int i = 0; i < plan->graph->n_nodes; i++) {
        mb_cost_t cost = cost_of(plan->graph, i);
        mb_chunk_cost_t *chunk = &costs[plan->chunk_of_node[i]];
        double samples = (double)plan->micro_batch;
        chunk->forward += samples * cost.forward_flops;
        chunk->backward_input += samples * cost.backward_input_flops;
        chunk->backward_weights += samples * cost.backward_weights_flops;
    }
}

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
    return k == 0 ? 0 : problem->nodes[k - 1] + 1;
}

static void count_alive(const mb_graph_t *graph, problem_t *problem)
{
    for (int k = 0; k < problem->n; k++) {
        int cut = cut_place(problem, k);
        for (int t = 0; t < cut; t++) {
            if (last_use(&graph->nodes[t]) >= cut)
                problem->alive[k] += (double)mb_shape_elements(&graph->nodes[t].call.output);
        }
    }
}

static mb_status_t pose(const mb_graph_t *graph, mb_arena_t *arena, problem_t *problem)
{
    int n = mb_plan_max_stages(graph);
    *problem = (problem_t){.nodes = MB_ARENA_ARRAY(arena, int, n),
                           .prefix = MB_ARENA_ARRAY(arena, double, n + 1),
                           .alive = MB_ARENA_ARRAY(arena, double, n)};
    if (problem->nodes == NULL || problem->prefix == NULL || problem->alive == NULL)
        return mb_error_memory("a partition", (size_t)n * sizeof(double));
    for (int i = 0; i < graph->n_nodes; i++) {
        if (graph->nodes[i].is_input)
            continue;
        problem->nodes[problem->n] = i;
        problem->prefix[problem->n + 1] = problem->prefix[problem->n] + node_cost(graph, i);
        problem->n++;
    }
    count_alive(graph, problem);
    return MB_OK;
}

/* least[k]: of the first k nodes on the stages so far, the cost of the costliest stage. */
static double least_cost(const problem_t *problem, int stages, double *least, double *next)
{
    const double *prefix = problem->prefix;
    for (int k = 0; k <= problem->n; k++)
        least[k] = k == 0 ? 0 : DBL_MAX;
    for (int s = 1; s <= stages; s++) {
        for (int k = 0; k <= problem->n; k++) {
            next[k] = DBL_MAX;
            for (int j = k - 1; j >= s - 1 && prefix[k] - prefix[j] <= next[k]; j--) {
                double own = prefix[k] - prefix[j];
                double most = own > least[j] ? own : least[j];
                next[k] = most < next[k] ? most : next[k];
            }
        }
        double *swap = least;
        least = next;
        next = swap;
    }
    return least[problem->n];
}

/* begins[s][k]: where stage s begins when the first k nodes lie on stages 0..s. */
static void cheapest_cuts(const problem_t *problem, int stages, double limit, double *crossing,
                          double *next, int *begins)
{
    const double *prefix = problem->prefix;
    size_t row = (size_t)problem->n + 1;
    for (int k = 0; k <= problem->n; k++)
        crossing[k] = k == 0 ? 0 : DBL_MAX;
    for (int s = 0; s < stages; s++) {
        for (int k = 0; k <= problem->n; k++) {
            next[k] = DBL_MAX;
            for (int j = k - 1; j >= s && prefix[k] - prefix[j] <= limit; j--) {
                if (crossing[j] >= DBL_MAX || crossing[j] + problem->alive[j] > next[k])
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

static mb_status_t balance(const mb_graph_t *graph, int stages, mb_arena_t *arena,
                           int *stage_of_node)
{
    problem_t problem;
    MB_TRY(pose(graph, arena, &problem));
    size_t row = (size_t)problem.n + 1;
    double *a = MB_ARENA_ARRAY(arena, double, row), *b = MB_ARENA_ARRAY(arena, double, row);
    int *begins = MB_ARENA_ARRAY(arena, int, row *(size_t)stages);
    if (a == NULL || b == NULL || begins == NULL)
        return mb_error_memory("a partition", row * (size_t)stages * sizeof(int));
    double limit = least_cost(&problem, stages, a, b);
    cheapest_cuts(&problem, stages, limit, a, b, begins);
    int end = graph->n_nodes;
    for (int s = stages - 1, k = problem.n; s >= 0; s--) {
        k = begins[(size_t)s * row + (size_t)k];
        int first = cut_place(&problem, k);
        fill_stage(first, end, s, stage_of_node);
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

mb_status_t mb_partition(const mb_graph_t *graph, int stages, const int *cuts, int *stage_of_node)
{
    MB_TRY(mb_partition_check(graph, stages));
    if (cuts != NULL)
        return obey_cuts(graph, stages, cuts, stage_of_node);
    mb_arena_t *arena = mb_arena_create();
    if (arena == NULL)
        return mb_error_memory("a partition", sizeof(problem_t));
    mb_status_t status = balance(graph, stages, arena, stage_of_node);
    mb_arena_destroy(arena);
    return status;
}

double mb_partition_imbalance(const mb_graph_t *graph, const int *stage_of_node, int stages)
{
    double total = 0, most = 0;
    for (int s = 0; s < stages; s++) {
        double cost = 0;
        for (int i = 0; i < graph->n_nodes; i++)
            cost += stage_of_node[i] == s ? node_cost(graph, i) : 0;
        total += cost;
        most = cost > most ? cost : most;
    }
    return total > 0 ? most * stages / total : 1;
}
