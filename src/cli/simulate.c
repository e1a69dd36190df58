/* mbrun simulate: a run of a plan on ranks that are not there, in virtual time. */
#include "cli/simulate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/chance.h"
#include "cli/layouts.h"
#include "cli/say.h"
#include "cli/simulate_real.h"
#include "cli/simulate_summed.h"
#include "pipeline/costs.h"
#include "pipeline/trace.h"

/* What Adam moves for a parameter: it, its gradient and both moments in, all but the gradient out.
 */
#define UPDATE_BYTES (7 * 4.0)

static mb_status_t number_of(const mb_args_t *args, const char *flag, double otherwise, double most,
                             double *out)
{
    char *end;
    const char *text = mb_args_flag(args, flag);
    *out = otherwise;
    if (text == NULL)
        return MB_OK;
    double value = strtod(text, &end);
    if (end != text && *end == '%' && strcmp(flag, "jitter") == 0)
        value /= 100, end++;
    if (end == text || *end != '\0' || !(value >= 0) || !(value <= most))
        return mb_error_set(MB_ERR_ARGUMENT, "--%s '%s' is not a number from 0 to %g", flag, text,
                            most);
    *out = value;
    return MB_OK;
}

static mb_status_t steps_of(const mb_args_t *args, int *out)
{
    char *end;
    const char *text = mb_args_flag(args, "steps");
    long steps = text == NULL ? 1 : strtol(text, &end, 10);
    if (text != NULL && (end == text || *end != '\0' || steps < 1 || steps > 1000000))
        return mb_error_set(MB_ERR_ARGUMENT, "--steps '%s' is not a number from 1 to 1000000",
                            text);
    *out = (int)steps;
    return MB_OK;
}

static mb_status_t computes(const mb_args_t *args, bool *out)
{
    const char *text = mb_args_flag(args, "compute");
    *out = text != NULL && strcmp(text, "real") == 0;
    if (*out)
        return MB_OK;
    if (text != NULL && strcmp(text, "timed") != 0)
        return mb_error_set(MB_ERR_ARGUMENT, "--compute %s: there are timed and real", text);
    return mb_simulate_refuse_real(args);
}

static void take_buckets(mb_simulating_t *s)
{
    const mb_grid_t *grid = &s->planning.grid;
    s->planning.uneven = grid->replicas % grid->groups != 0;
    if (grid->groups > 1)
        s->planning.bucket_bytes =
            (size_t)mb_settings_real(s->planning.args->settings, MB_SET_BUCKET);
}

static mb_status_t make_plans(mb_simulating_t *s)
{
    mb_schedule_choice_t choice;
    const mb_planning_t *p = &s->planning;
    const mb_grid_t *grid = &p->grid;
    MB_TRY(mb_planning_choice(p, mb_settings_text(p->args->settings, MB_SET_SCHEDULE), &choice));
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
    MB_TRY(mb_layout_zero(p->args->settings, &zero));
    MB_TRY(mb_layout_check_zero(p->model, p->args->settings, &p->layout));
    if (p->model->training != NULL)
        MB_TRY(mb_model_compile(p->model, NULL));
    MB_TRY(predict_updates(s, zero));
    MB_TRY(divide(s));
    return mb_simulate_summed(s, zero);
}

/* What goes otherwise than planned. */
static mb_status_t disturb(const mb_args_t *args, mb_simulating_t *s)
{
    mb_arena_t *arena = s->planning.arena;
    mb_simulation_t *simulation = &s->simulation;
    int ranks = s->planning.grid.stages * s->planning.grid.groups;
    simulation->seed = mb_settings_seed(args->settings, MB_SET_SEED);
    MB_TRY(number_of(args, "jitter", 0, 0.99, &simulation->jitter));
    MB_TRY(mb_chance_stragglers(mb_args_flag(args, "straggler"), ranks, simulation->seed, arena,
                                simulation));
    return mb_chance_losses(mb_args_flag(args, "lose"), ranks, simulation->seed, arena, simulation);
}

static mb_status_t prepare(const mb_args_t *args, mb_simulating_t *s)
{
    MB_TRY(computes(args, &s->computes));
    MB_TRY(mb_planning_open(args, &s->planning));
    take_buckets(s);
    MB_TRY(steps_of(args, &s->simulation.steps));
    MB_TRY(disturb(args, s));
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

static mb_status_t simulate(const mb_args_t *args, mb_simulating_t *s)
{
    const char *path = mb_args_flag(args, "trace");
    MB_TRY(prepare(args, s));
    MB_TRY(s->computes    ? mb_simulate_real(s)
           : path == NULL ? mb_simulate(&s->simulation, s->planning.arena, &s->out)
                          : simulate_traced(s, path));
    sum_up(s);
    return mb_args_has(args, "json") ? mb_simulated_json(s) : mb_simulated_say(s);
}

static int run_simulate(const mb_args_t *args)
{
    mb_simulating_t s = {.step_seconds = 0};
    int code = mb_say_end(simulate(args, &s));
    mb_plan_destroy(s.kinds[0]);
    mb_plan_destroy(s.kinds[1]);
    mb_planning_close(&s.planning);
    return code;
}

static const mb_flag_t flags[] = {
    {"ranks", '\0', "N", "so many ranks (default: as many as stages)"},
    MB_FLAG_HARDWARE,
    MB_FLAG_PROFILE,
    {"compute", '\0', "HOW", "timed: actions only take their time (default); real: ranks train"},
    {"steps", '\0', "K", "steps, one after another (default: 1)"},
    {"jitter", '\0', "PART", "each action takes up to this part more or less: 5% or 0.05"},
    {"straggler", '\0', "RANK:FACTOR", "a slow rank; \"random\" for RANK; several: 3:1.5,random:2"},
    {"lose", '\0', "RANK@STEP", "a rank that is gone from that step on; several likewise"},
    {"trace", '\0', "FILE.json", "what each rank does and when, for Perfetto and mbrun trace"},
    {"output", 'o', "FILE.h5", "--compute real: the model as it is after the last step"},
    {"json", '\0', NULL, "one JSON object instead of text"},
    MB_FLAG_PLUGIN,
    {.name = NULL}};

static const mb_setting_id_t settings[] = {
    MB_SET_DATA, MB_SET_LABEL, MB_SET_BATCH, MB_SET_MICRO_BATCH, MB_SET_REPLICAS, MB_SET_STAGES,
    MB_SET_SCHEDULE, MB_SET_RECOMPUTE, MB_SET_DTYPE, MB_SET_PARTITION, MB_SET_ZERO, MB_SET_SEED,
    /* of --compute real alone (simulate_real.c): */
    MB_SET_BUCKET, MB_SET_SHUFFLE, MB_SET_RESET_STATES, MB_SET_OPTIMIZER, MB_SET_LR,
    MB_SET_LR_SCHEDULE, MB_SET_WEIGHT_DECAY, MB_SET_CLIP, MB_SET_LOSS, MB_SET_CLASS_WEIGHT,
    MB_SET_WEIGHTS, MB_SET_WEIGHTS_BY, MB_SET_SKIP_MISMATCH, MB_SET_EMULATE, MB_SET_QAT};

const mb_command_t mb_command_simulate = {
    .name = "simulate",
    .usage = "MODEL.h5 --ranks N [--stages P] [--hardware FILE] [--lose RANK@STEP] [--trace FILE]",
    .title = "Run a plan in virtual time, on any number of ranks that are not there",
    .detail =
        "Every rank walks the actions that it would walk in a run; what computes takes the time\n"
        "that the hardware file predicts, or that a run has measured (--profile), and messages "
        "meet, wait for each other and share links\n"
        "as doc/schedules.md says. Chance comes from --seed. Ranks that wait for ever are named\n"
        "with what they wait for, and the command fails. --compute real lets every rank compute\n"
        "and send what it would in a run on --data, to the same bits, in this process alone; "
        "losses\n"
        "and a digest of the weights come out beside the times.\n",
    .flags = flags,
    .settings = settings,
    .n_settings = sizeof settings / sizeof settings[0],
    .least_words = 1,
    .most_words = 1,
    .words = "a model file",
    .run = run_simulate};
