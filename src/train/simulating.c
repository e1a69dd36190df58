/* See simulating.h. */
#include "train/simulating.h"

#include <string.h>

#include "pipeline/costs.h"
#include "pipeline/trace.h"
#include "train/chance.h"
#include "train/simulating_real.h"
#include "train/simulating_summed.h"

/* What Adam moves for a parameter: it, its gradient and both moments in, all but the gradient out.
 */
#define UPDATE_BYTES (7 * 4.0)

static void take_buckets(mb_simulating_t *s)
{
    const mb_grid_t *grid = &s->planning.grid;
    s->planning.uneven = grid->replicas % grid->groups != 0;
    if (grid->groups > 1)
        s->planning.bucket_bytes =
            (size_t)mb_settings_real(s->planning.request.settings, MB_SET_BUCKET);
}

static mb_status_t make_plans(mb_simulating_t *s)
{
    mb_schedule_choice_t choice;
    const mb_planning_t *p = &s->planning;
    const mb_grid_t *grid = &p->grid;
    MB_TRY(mb_planning_choice(p, mb_settings_text(p->request.settings, MB_SET_SCHEDULE), &choice));
    s->plans = MB_ARENA_ARRAY(p->arena, const mb_plan_t *, grid->groups);
    if (s->plans == NULL)
        return mb_error_memory("plans", (size_t)grid->groups * sizeof(*s->plans));
    for (int g = 0; g < grid->groups; g++) {
        int first, replicas, fewest = grid->replicas / grid->groups;
        mb_grid_replicas(grid, g, &first, &replicas);
        mb_plan_t **plan = &s->kinds[replicas - fewest];
        if (*plan == NULL)
            MB_TRY(mb_planning_plan(p, &choice, replicas, plan));
        s->plans[g] = *plan;
    }
    return MB_OK;
}

static mb_status_t add_up_chunks(mb_simulating_t *s)
{
    const mb_plan_t *plan = s->plans[0];
    mb_chunk_cost_t *chunks = MB_ARENA_ARRAY(s->planning.arena, mb_chunk_cost_t, plan->chunks);
    if (chunks == NULL)
        return mb_error_memory("costs", (size_t)plan->chunks * sizeof *chunks);
    mb_costs_of_chunks(plan, s->planning.taken, chunks);
    s->simulation.costs = chunks;
    return MB_OK;
}

/* A call of a shared layer has gradients of its own (engine/stage.h). */
static int64_t gradient_bytes(const mb_graph_t *graph, int node)
{
    int64_t bytes = 0;
    const mb_layer_t *layer = graph->layers[graph->nodes[node].layer];
    for (int k = 0; graph->nodes[node].trains && k < layer->n_params; k++)
        bytes += graph->params[layer->params[k]].elements * (int64_t)sizeof(float);
    return bytes;
}

static double backward_of(const mb_node_cost_t *cost)
{
    return cost->backward_input + cost->backward_weights;
}

/* What a chunk's buckets are of its backward. */
static void divide_chunk(const mb_simulating_t *s, int chunk, double *parts)
{
    double whole = 0;
    const mb_plan_t *plan = s->plans[0];
    int n = mb_plan_buckets(plan, chunk);
    for (int b = 1; b <= n; b++) {
        mb_bucket_t bucket = mb_plan_bucket(plan, chunk, b);
        int at = plan->first_bucket[chunk] + b - 1;
        for (int i = bucket.first_node; i < bucket.end_node; i++)
            parts[at] += backward_of(&s->planning.taken[i]);
        whole += parts[at];
    }
    for (int b = plan->first_bucket[chunk]; b < plan->first_bucket[chunk + 1]; b++)
        parts[b] = whole > 0 ? parts[b] / whole : 1.0 / n;
}

static mb_status_t divide(mb_simulating_t *s)
{
    const mb_plan_t *plan = s->plans[0];
    size_t n = (size_t)plan->first_bucket[plan->chunks];
    double *parts = MB_ARENA_ARRAY(s->planning.arena, double, n);
    if (parts == NULL)
        return mb_error_memory("costs", n * sizeof *parts);
    for (int c = 0; c < plan->chunks; c++)
        divide_chunk(s, c, parts);
    s->simulation.bucket_parts = parts;
    return MB_OK;
}

static mb_status_t predict_updates(mb_simulating_t *s, int zero)
{
    const mb_plan_t *plan = s->plans[0];
    double *update = MB_ARENA_ARRAY(s->planning.arena, double, plan->stages);
    if (update == NULL)
        return mb_error_memory("costs", (size_t)plan->stages * sizeof *update);
    double share = zero > 0 ? 1.0 / s->planning.grid.groups : 1;
    for (int i = 0; i < plan->graph->n_nodes; i++)
        update[plan->stage_of_chunk[plan->chunk_of_node[i]]] +=
            share * (double)gradient_bytes(plan->graph, i) / sizeof(float) * UPDATE_BYTES /
            s->planning.hardware.memory_bandwidth;
    s->simulation.update_seconds = update;
    return MB_OK;
}

/* What groups sum with a loss depends on its metrics, where the model says which it has. */
static mb_status_t predict_stages(mb_simulating_t *s)
{
    int zero;
    mb_planning_t *p = &s->planning;
    MB_TRY(mb_layout_zero(p->request.settings, &zero));
    MB_TRY(mb_layout_check_zero(p->model, p->request.settings, &p->layout));
    if (p->model->training != NULL)
        MB_TRY(mb_model_compile(p->model, NULL));
    MB_TRY(predict_updates(s, zero));
    MB_TRY(divide(s));
    return mb_simulate_summed(s, zero);
}

/* What goes otherwise than planned. */
static mb_status_t disturb(mb_simulating_t *s)
{
    mb_arena_t *arena = s->planning.arena;
    mb_simulation_t *simulation = &s->simulation;
    int ranks = s->planning.grid.stages * s->planning.grid.groups;
    simulation->seed = mb_settings_seed(s->planning.request.settings, MB_SET_SEED);
    simulation->jitter = s->request.jitter;
    MB_TRY(mb_chance_stragglers(s->request.stragglers, ranks, simulation->seed, arena, simulation));
    return mb_chance_losses(s->request.losses, ranks, simulation->seed, arena, simulation);
}

static mb_status_t prepare(mb_simulating_t *s)
{
    MB_TRY(mb_planning_open(&s->request.planning, &s->planning));
    take_buckets(s);
    s->simulation.steps = s->request.steps;
    MB_TRY(disturb(s));
    MB_TRY(make_plans(s));
    s->simulation.grid = &s->planning.grid;
    s->simulation.plans = s->plans;
    s->simulation.hardware = &s->planning.hardware;
    MB_TRY(add_up_chunks(s));
    return predict_stages(s);
}

static void observe(void *user, int rank, int step, const mb_action_t *action,
                    const mb_walk_times_t *times)
{
    mb_trace_record_t record = mb_trace_record(step, action, times);
    mb_trace_add(user, rank, &record);
}

/* What led to ranks that wait for ever is written too. */
static mb_status_t simulate_traced(mb_simulating_t *s, const char *path)
{
    mb_trace_t *trace;
    MB_TRY(mb_trace_create(path, &s->planning.grid, s->plans, &trace));
    s->simulation.observe = observe;
    s->simulation.observer = trace;
    mb_status_t status = mb_simulate(&s->simulation, s->planning.arena, &s->out);
    mb_status_t written = mb_trace_finish(trace);
    return status == MB_OK ? written : status;
}

static void sum_up(mb_simulating_t *s)
{
    double computed = 0;
    int stages = s->planning.grid.stages;
    for (int i = 0; i < stages; i++)
        computed += s->out.stages[i].compute;
    s->step_seconds = s->out.end / s->simulation.steps;
    s->idle = s->out.end > 0 ? 1 - computed / (s->out.end * stages) : 0;
}

mb_status_t mb_simulating_run(const mb_simulating_request_t *request, mb_simulating_t *s)
{
    const char *path = request->trace;
    s->request = *request;
    MB_TRY(prepare(s));
    MB_TRY(request->computes ? mb_simulate_real(s)
           : path == NULL    ? mb_simulate(&s->simulation, s->planning.arena, &s->out)
                             : simulate_traced(s, path));
    sum_up(s);
    return MB_OK;
}

void mb_simulating_close(mb_simulating_t *s)
{
    mb_plan_destroy(s->kinds[0]);
    mb_plan_destroy(s->kinds[1]);
    mb_planning_close(&s->planning);
}
