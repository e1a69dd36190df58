/* From a graph to every stage's action list: the passes in order. */
#include "pipeline/edges.h"
#include "pipeline/recompute.h"
#include "pipeline/segments.h"

static int segments_of(const mb_plan_t *plan)
{
    return mb_schedule_segments(&plan->schedule, plan->training);
}

static mb_status_t check_options(const mb_plan_options_t *options)
{
    if (options->micro_batch < 1 || options->micros_per_replica < 1 ||
        options->replicas_of_group < 1)
        return mb_error_set(
            MB_ERR_ARGUMENT,
            "a plan needs at least one sample, micro-batch and replica, found %lld, "
            "%d and %d",
            (long long)options->micro_batch, options->micros_per_replica,
            options->replicas_of_group);
    int64_t micros = (int64_t)options->micros_per_replica * options->replicas_of_group;
    if (micros > INT32_MAX / 8)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "%lld micro-batches in one step are too many: use larger ones",
                            (long long)micros);
    return MB_OK;
}

/* Of each chunk's stage, as the schedule is to place it; of a file, as it has done. */
static mb_status_t find_slowness(const mb_plan_t *plan, const mb_plan_options_t *options,
                                 int chunks, const double **out)
{
    int segments = segments_of(plan);
    double *slowness = MB_ARENA_ARRAY(plan->arena, double, chunks);
    *out = options->slowness == NULL ? NULL : slowness;
    if (slowness == NULL)
        return mb_error_memory("a plan", (size_t)chunks * sizeof *slowness);
    for (int c = 0; c < chunks && *out != NULL; c++) {
        int stage = plan->stage_of_chunk != NULL
                        ? plan->stage_of_chunk[c * segments]
                        : mb_schedule_stage_of(plan->schedule.kind, plan->stages, c);
        slowness[c] = options->slowness[stage];
    }
    return MB_OK;
}

/* Chunks first, which do not depend on segments, then these within each: no more than the chunk
 * with the fewest nodes has, unless a file's schedule has them already. */
static mb_status_t cut_segments(mb_plan_t *plan, int whole)
{
    if (plan->stage_of_chunk == NULL)
        plan->schedule.segments =
            mb_segments_most(plan->graph, segments_of(plan), plan->chunk_of_node);
    const mb_segments_t how = {.segments = segments_of(plan),
                               .samples = plan->micro_batch,
                               .flight = plan->micros < plan->stages ? plan->micros : plan->stages};
    plan->chunks = whole * how.segments;
    return how.segments > 1 ? mb_segments_cut(plan->graph, &how, plan->chunk_of_node) : MB_OK;
}

/* WHOLE: chunks, before they are cut into segments. */
static mb_status_t cut_nodes(mb_plan_t *plan, const mb_plan_options_t *options, int whole)
{
    int n = plan->graph->n_nodes;
    mb_partition_options_t partition = {.chunks = whole,
                                        .cuts = options->cuts,
                                        .costs = options->costs,
                                        .crossing = options->crossing};
    plan->chunk_of_node = MB_ARENA_ARRAY(plan->arena, int, n);
    plan->cuts = MB_ARENA_ARRAY(plan->arena, int, whole);
    if (plan->chunk_of_node == NULL || plan->cuts == NULL)
        return mb_error_memory("a plan", (size_t)n * sizeof(int));
    MB_TRY(find_slowness(plan, options, whole, &partition.slowness));
    MB_TRY(mb_partition(plan->graph, &partition, plan->chunk_of_node));
    MB_TRY(cut_segments(plan, whole));
    plan->first_node = MB_ARENA_ARRAY(plan->arena, int, plan->chunks + 1);
    if (plan->first_node == NULL)
        return mb_error_memory("a plan", (size_t)plan->chunks * sizeof(int));
    for (int i = n - 1; i >= 0; i--)
        plan->first_node[plan->chunk_of_node[i]] = i;
    plan->first_node[plan->chunks] = n;
    for (int c = 1; c < whole; c++)
        plan->cuts[c - 1] = plan->first_node[c * (plan->chunks / whole)];
    return MB_OK;
}

static mb_status_t place_nodes(mb_plan_t *plan)
{
    int n = plan->graph->n_nodes;
    plan->stage_of_node = MB_ARENA_ARRAY(plan->arena, int, n);
    if (plan->stage_of_node == NULL)
        return mb_error_memory("a plan", (size_t)n * sizeof(int));
    for (int i = 0; i < n; i++)
        plan->stage_of_node[i] = plan->stage_of_chunk[plan->chunk_of_node[i]];
    return MB_OK;
}

static bool goes_out(const mb_plan_t *plan, int index)
{
    const mb_node_t *node = &plan->graph->nodes[index];
    int last = node->n_uses == 0 ? index : node->uses[node->n_uses - 1].node;
    return plan->chunk_of_node[last] != plan->chunk_of_node[index];
}

/* Half of a crossing is the gradient's, where one comes back. */
static void add_messages(const mb_plan_t *plan, const double *crossing, mb_chunk_cost_t *costs)
{
    for (int i = 0; i < plan->graph->n_nodes; i++) {
        int ways = plan->graph->nodes[i].needs_gradient ? 2 : 1;
        if (goes_out(plan, i))
            costs[plan->chunk_of_node[i]].send += crossing[i] / ways;
    }
}

/* What chunks cost: of nodes that were not measured, counted operations. */
static mb_status_t sum_costs(mb_plan_t *plan, const mb_plan_options_t *options,
                             mb_schedule_choice_t *choice)
{
    const mb_node_cost_t *measured = options->costs;
    mb_chunk_cost_t *costs = MB_ARENA_ARRAY(plan->arena, mb_chunk_cost_t, plan->chunks);
    mb_node_cost_t *counted = MB_ARENA_ARRAY(plan->arena, mb_node_cost_t, plan->graph->n_nodes);
    if (costs == NULL || counted == NULL)
        return mb_error_memory("a plan", (size_t)plan->chunks * sizeof(*costs));
    if (measured == NULL)
        mb_costs_count(plan->graph, plan->micro_batch, counted);
    mb_costs_of_chunks(plan, measured == NULL ? counted : measured, costs);
    if (options->crossing != NULL)
        add_messages(plan, options->crossing, costs);
    choice->costs = costs;
    return MB_OK;
}

/* Sums of replicas join their tree one after the other. Messages that match by order have it from
 * micro-batches that go back in theirs. */
static mb_status_t check_turns(const mb_plan_t *plan)
{
    const char *path = plan->schedule.path;
    if (plan->ordered)
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "%s: micro-batches that go back out of order need messages by MPI, and "
                            "these go by NCCL, in one order: use --transport staged or mpi",
                            path);
    for (int c = 0; c < plan->chunks; c++) {
        for (int m = 0; m < plan->micros; m++) {
            if (mb_plan_turn(plan, c, m) / plan->micros_per_replica != m / plan->micros_per_replica)
                return mb_error_set(MB_ERR_ARGUMENT,
                                    "%s: chunk %d goes back over micro-batch %d among those of "
                                    "another replica, which has %d in a row: order may be left "
                                    "within a replica",
                                    path, c, m, plan->micros_per_replica);
        }
    }
    return MB_OK;
}

static mb_status_t make_schedule(mb_plan_t *plan, const mb_schedule_choice_t *choice,
                                 mb_schedule_t *schedule)
{
    MB_TRY(mb_schedule_make(choice, plan->training, plan->stages, plan->micros, plan->arena,
                            schedule));
    plan->chunks = schedule->chunks;
    plan->stage_of_chunk = schedule->stage_of;
    plan->slots = schedule->slots;
    plan->first_chunk = schedule->first_chunk;
    plan->next_chunk = schedule->next_chunk;
    plan->programs = schedule->programs;
    plan->turns = schedule->turns;
    return plan->turns == NULL ? MB_OK : check_turns(plan);
}

static mb_status_t make_programs(mb_plan_t *plan)
{
    MB_TRY(mb_lower(plan));
    MB_TRY(mb_validate(plan));
    return plan->ordered ? mb_validate_order(plan) : MB_OK;
}

/* Of chunks that a file has R's of, all nodes, unless it was said which. */
static mb_status_t mark_nodes(mb_plan_t *plan, const bool *chunks)
{
    if (plan->schedule.recomputes)
        return mb_recompute_nodes(plan->graph, &plan->schedule, plan->again);
    for (int i = 0; i < plan->graph->n_nodes; i++)
        plan->again[i] = !plan->graph->nodes[i].is_input && chunks[plan->chunk_of_node[i]];
    return MB_OK;
}

/* CHUNKS: that a file has R's of; NULL: none. */
static mb_status_t find_recomputed(mb_plan_t *plan, const bool *chunks)
{
    if (!plan->training || (!plan->schedule.recomputes && chunks == NULL))
        return MB_OK;
    plan->again = MB_ARENA_ARRAY(plan->arena, bool, plan->graph->n_nodes);
    plan->chunk_again = MB_ARENA_ARRAY(plan->arena, bool, plan->chunks);
    if (plan->again == NULL || plan->chunk_again == NULL)
        return mb_error_memory("a plan", (size_t)plan->graph->n_nodes);
    MB_TRY(mark_nodes(plan, chunks));
    for (int i = 0; i < plan->graph->n_nodes; i++) {
        if (plan->again[i])
            plan->chunk_again[plan->chunk_of_node[i]] = true;
    }
    return MB_OK;
}

/* A file says itself how many chunks there are, and so what they compute again comes later. */
static mb_status_t schedule_and_cut(mb_plan_t *plan, const mb_plan_options_t *options)
{
    mb_schedule_t made;
    mb_schedule_choice_t choice = plan->schedule;
    choice.recomputes = false;
    MB_TRY(make_schedule(plan, &choice, &made));
    MB_TRY(cut_nodes(plan, options, plan->chunks / segments_of(plan)));
    if (plan->training && plan->graph->keeps_states && made.again != NULL)
        return mb_recompute_refuse_states(choice.path);
    MB_TRY(find_recomputed(plan, made.again));
    return plan->chunk_again == NULL ? MB_OK
                                     : mb_schedule_recompute(&made, plan->chunk_again, plan->arena);
}

/* Schedules other than files may be made for what chunks cost. */
static mb_status_t cut_and_schedule(mb_plan_t *plan, const mb_plan_options_t *options)
{
    mb_schedule_t made;
    mb_schedule_choice_t choice = plan->schedule;
    plan->schedule.costs = NULL; /* the caller's, who may be gone before the plan is */
    plan->schedule.weight = plan->schedule.limits = NULL;
    MB_TRY(mb_partition_check(plan->graph, plan->stages));
    if (mb_schedule_chunks(&choice, plan->stages) == 0)
        return schedule_and_cut(plan, options);
    MB_TRY(cut_nodes(plan, options, mb_schedule_chunks(&choice, plan->stages)));
    MB_TRY(find_recomputed(plan, NULL));
    choice.segments = plan->schedule.segments;
    choice.again = plan->chunk_again;
    if (choice.costs == NULL)
        MB_TRY(sum_costs(plan, options, &choice));
    return make_schedule(plan, &choice, &made);
}

static mb_status_t find_edges(mb_plan_t *plan)
{
    mb_chunk_edges_t *edges = NULL;
    MB_TRY(mb_edges_find(plan));
    MB_TRY(mb_edges_by_chunk(plan, plan->arena, &edges));
    plan->crossing = edges;
    return MB_OK;
}

/* In place of what was not measured. Without training backwards take nothing. */
static mb_status_t predict_costs(mb_plan_t *plan, mb_plan_options_t *options)
{
    mb_hardware_t hardware = mb_hardware_default();
    int n = plan->graph->n_nodes;
    if (options->costs != NULL || !options->predicts)
        return MB_OK;
    mb_node_cost_t *costs = MB_ARENA_ARRAY(plan->arena, mb_node_cost_t, n);
    if (costs == NULL)
        return mb_error_memory("a plan", (size_t)n * sizeof *costs);
    mb_costs_predict(plan->graph, &hardware, plan->micro_batch, costs);
    for (int i = 0; i < n && !plan->training; i++)
        costs[i] = (mb_node_cost_t){.forward = costs[i].forward};
    options->costs = costs;
    return MB_OK;
}

static mb_status_t fill(mb_plan_t *plan, mb_plan_options_t options)
{
    MB_TRY(predict_costs(plan, &options));
    MB_TRY(cut_and_schedule(plan, &options));
    MB_TRY(mb_buckets_cut(plan, options.bucket_bytes));
    MB_TRY(place_nodes(plan));
    MB_TRY(find_edges(plan));
    return make_programs(plan);
}

mb_status_t mb_plan_create(const mb_graph_t *graph, const mb_plan_options_t *options,
                           mb_plan_t **out)
{
    MB_TRY(check_options(options));
    mb_arena_t *arena = mb_arena_create();
    mb_plan_t *plan = arena == NULL ? NULL : MB_ARENA_NEW(arena, mb_plan_t);
    if (plan == NULL) {
        mb_arena_destroy(arena);
        return mb_error_memory("a plan", sizeof(*plan));
    }
    *plan = (mb_plan_t){.arena = arena,
                        .graph = graph,
                        .stages = options->stages,
                        .micro_batch = options->micro_batch,
                        .micros_per_replica = options->micros_per_replica,
                        .micros = options->micros_per_replica * options->replicas_of_group,
                        .schedule = options->schedule,
                        .training = options->training,
                        .ordered = options->ordered,
                        .uneven = options->uneven};
    mb_status_t status = fill(plan, *options);
    if (status != MB_OK) {
        mb_plan_destroy(plan);
        return status;
    }
    *out = plan;
    return MB_OK;
}

void mb_plan_destroy(mb_plan_t *plan)
{
    if (plan != NULL)
        mb_arena_destroy(plan->arena);
}

/* Of one micro-batch. */
static int64_t tensor_bytes(const mb_plan_t *plan, int tensor, int64_t elements)
{
    mb_dtype_t type = plan->graph->nodes[tensor].call.output_type;
    return elements * plan->micro_batch * (int64_t)mb_dtype_bytes(type);
}

int64_t mb_plan_bytes_sent(const mb_plan_t *plan, int stage)
{
    int64_t bytes = 0;
    for (int e = 0; e < plan->n_forward_edges; e++) {
        const mb_forward_edge_t *edge = &plan->forward_edges[e];
        if (edge->from_stage == stage && !mb_forward_edge_stays(edge))
            bytes += tensor_bytes(plan, edge->tensor, edge->elements);
    }
    for (int e = 0; e < plan->n_backward_edges; e++) {
        const mb_backward_edge_t *edge = &plan->backward_edges[e];
        if (edge->from_stage == stage && !mb_backward_edge_stays(edge))
            bytes += tensor_bytes(plan, edge->tensor, edge->elements);
    }
    return bytes * plan->micros;
}

bool mb_plan_crosses(const mb_plan_t *plan, int tensor)
{
    for (int e = 0; e < plan->n_forward_edges; e++) {
        if (plan->forward_edges[e].tensor == tensor)
            return true;
    }
    return plan->graph->nodes[tensor].is_input;
}

bool mb_action_is_last(const mb_plan_t *plan, const mb_action_t *action)
{
    return mb_plan_turn(plan, action->chunk, action->micro) == plan->micros - 1;
}

int mb_plan_slot(const mb_plan_t *plan, int chunk, int micro)
{
    return micro % plan->slots[chunk];
}
