/* See simulate_real.h: every rank is a fiber (comm/virtual.h) that trains as mbrun train does; the
 * costs and links of the simulation say what its actions and messages take. */
#include "train/simulating_real.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "comm/virtual.h"
#include "pipeline/trace.h"
#include "train/trainer.h"

typedef struct {
    struct real *real;
    mb_comm_t *comm;
    mb_simulated_pace_t pace;
    int step; /* that it is in */
    char why[96];
} rank_t;

typedef struct real {
    mb_simulating_t *s;
    mb_device_t *device;
    mb_source_t *source;
    mb_profile_t *profile; /* NULL: cut by what is counted */
    rank_t *ranks;
    mb_flow_way_t wide; /* that holds up nothing */
    mb_trace_t *trace;
    const char *output; /* NULL: the model is not kept */
} real_t;

/* ---- what takes time */

static void occupy(real_t *real, int rank, double seconds)
{
    rank_t *own = &real->ranks[rank];
    own->pace.owed += mb_virtual_is_busy(own->comm) ? seconds : 0;
}

/* While a rank waits, copying takes nothing from it. */
static void forgive(void *user, int rank)
{
    ((real_t *)user)->ranks[rank].pace.owed = 0;
}

/* The losses are told and not computed with: they are there at once. */
static mb_status_t carry(void *user, double now, int from, int to, int tag, size_t bytes,
                         uint32_t number)
{
    real_t *real = user;
    mb_simulating_t *s = real->s;
    if (tag == MB_TAG_SCALARS)
        return mb_flows_begin(&s->out.flows, now, &real->wide, &real->wide, 0, 0, number);
    if (tag < MB_TAG_TRANSPORT_END) {
        s->out.messages++;
        s->out.bytes += (int64_t)bytes;
    }
    if (tag < MB_TAG_REDUCE_END) {
        occupy(user, from, mb_simulated_copying(&s->simulation, from, to, (int64_t)bytes));
        occupy(user, to, mb_simulated_copying(&s->simulation, from, to, (int64_t)bytes));
    }
    return mb_simulated_move(&s->simulation, &s->out, now, from, to, (int64_t)bytes, number);
}

static bool arrive(void *user, double before, double *time, uint32_t *number)
{
    uint64_t what;
    real_t *real = user;
    if (!mb_flows_take(&real->s->out.flows, before, time, &what))
        return false;
    *number = (uint32_t)what;
    return true;
}

/* Of an action that goes bucket by bucket, a part with each. */
static double part_of(const mb_simulation_t *s, int chunk, int bucket)
{
    const mb_plan_t *plan = s->plans[0];
    return bucket == 0 ? 1 : s->bucket_parts[plan->first_bucket[chunk] + bucket - 1];
}

static double seconds_of(const real_t *real, int rank, int kind, int chunk, double part)
{
    const mb_simulation_t *s = &real->s->simulation;
    if (kind == MB_COMM_WORK_ADDS)
        return mb_simulated_adding(s, part);
    if (kind == MB_ACTION_STEP)
        return s->update_seconds[rank % s->grid->stages];
    return part_of(s, chunk, (int)part) *
           mb_action_seconds(&s->costs[chunk], (mb_action_kind_t)kind);
}

static double take_time(void *user, double now, int rank, int kind, int chunk, double part)
{
    real_t *real = user;
    rank_t *own = &real->ranks[rank];
    double seconds = seconds_of(real, rank, kind, chunk, part);
    if (seconds > 0)
        seconds = mb_simulated_seconds(&real->s->simulation, &own->pace, own->step, seconds);
    if (kind == MB_ACTION_STEP) {
        own->step++;
        real->s->out.end = now + seconds > real->s->out.end ? now + seconds : real->s->out.end;
    }
    return seconds;
}

/* ---- a rank */

static void on_step(void *user, const mb_step_report_t *report)
{
    mb_simulating_t *s = ((rank_t *)user)->real->s;
    if (s->n_losses < s->simulation.steps)
        s->losses[s->n_losses++] = report->loss;
}

/* At every step's beginning. */
static bool stop(void *user)
{
    rank_t *own = user;
    const mb_simulation_t *simulation = &own->real->s->simulation;
    int rank = own->pace.rank, stages = simulation->grid->stages;
    if (!mb_simulated_is_lost(simulation, rank, own->step))
        return false;
    snprintf(own->why, sizeof own->why, "is lost from step %d on (stage %d, group %d)",
             own->step + 1, rank % stages, rank / stages);
    mb_virtual_lose(own->comm, own->why);
    return false;
}

static void take_results(real_t *real, int rank, const mb_engine_t *engine)
{
    if (engine == NULL || engine->executor == NULL)
        return;
    mb_simulated_add(&real->s->out, engine->grid.stage, mb_executor_costs(engine->executor),
                     engine->grid.groups);
    for (size_t i = 0; real->trace != NULL && i < mb_recorder_count(engine->recorder); i++)
        mb_trace_add(real->trace, rank, mb_recorder_at(engine->recorder, i));
}

static mb_status_t digest(real_t *real, mb_training_t *trainer, int rank)
{
    uint64_t weights = 0;
    MB_TRY(mb_training_digest(trainer, &weights));
    if (rank == 0)
        snprintf(real->s->digest, sizeof real->s->digest, "%016" PRIx64, weights);
    return MB_OK;
}

static mb_status_t train(void *user, mb_comm_t *comm)
{
    real_t *real = user;
    int rank = mb_comm_rank(comm);
    rank_t *own = &real->ranks[rank];
    mb_training_t *trainer = NULL;
    const mb_planning_request_t *request = &real->s->planning.request;
    const mb_training_options_t options = {.comm = comm,
                                           .model = request->model,
                                           .settings = request->settings,
                                           .source = real->source,
                                           .profile = real->profile,
                                           .device = real->device,
                                           .file = real->s->planning.model->file,
                                           .layout = &real->s->planning.layout,
                                           .no_directory = true,
                                           .events = {.user = own, .step = on_step, .stop = stop}};
    own->comm = comm;
    mb_status_t status = mb_training_create(&options, &trainer);
    if (status == MB_OK)
        status = mb_training_run(trainer);
    if (status == MB_OK && real->output != NULL)
        status = mb_training_save(trainer, real->output, false);
    if (status == MB_OK)
        status = digest(real, trainer, rank);
    if (trainer != NULL)
        take_results(real, rank, mb_training_engine(trainer));
    mb_training_destroy(trainer);
    return status;
}

/* ---- all of them */

static mb_status_t open_device(real_t *real)
{
    mb_device_options_t options = {
        .size = sizeof options,
        .threads = 1,
        .emulate = mb_settings_on(real->s->planning.request.settings, MB_SET_EMULATE)};
    return mb_device_open("cpu", &options, &real->device);
}

static mb_status_t open_source(real_t *real)
{
    mb_vocabularies_t words;
    bool present;
    mb_shape_t shapes[MB_MAX_INPUTS];
    const char *names[MB_MAX_INPUTS];
    const mb_model_t *model = real->s->planning.model;
    const mb_settings_t *settings = real->s->planning.request.settings;
    if (!mb_settings_has(settings, MB_SET_DATA))
        return mb_error_set(MB_ERR_ARGUMENT,
                            "%s: no data to train on; use --data FILE, or record it in the model "
                            "with mbrun configure",
                            model->file->path);
    if (model->graph->n_inputs > MB_MAX_INPUTS || model->graph->n_outputs > MB_MAX_INPUTS)
        return mb_error_set(MB_ERR_UNSUPPORTED, "%s: more than %d inputs or outputs",
                            model->file->path, MB_MAX_INPUTS);
    mb_source_wants_t wants = mb_model_wants(model, shapes);
    for (int o = 0; o < model->graph->n_outputs; o++)
        names[o] = model->graph->outputs[o].name;
    wants.output_names = names;
    wants.n_outputs = model->graph->n_outputs;
    wants.form.label = mb_settings_text(settings, MB_SET_LABEL);
    MB_TRY(mb_model_words(model->file, &words, &present));
    wants.form.known = present ? &words : NULL;
    mb_status_t status =
        mb_source_open(mb_settings_text(settings, MB_SET_DATA), &wants, &real->source);
    mb_vocabularies_free(&words);
    return status;
}

/* The ranks' models are cut as the plans of the simulation are. */
static mb_status_t take_costs(real_t *real)
{
    const mb_planning_t *p = &real->s->planning;
    size_t n = (size_t)p->model->graph->n_nodes;
    if (p->costs == NULL)
        return MB_OK;
    MB_TRY(mb_profile_create(p->model->graph, &real->profile));
    memcpy(real->profile->nodes, p->costs, n * sizeof *p->costs);
    memset(real->profile->crossing, 0, n * sizeof *real->profile->crossing);
    if (p->crossing != NULL)
        memcpy(real->profile->crossing, p->crossing, n * sizeof *p->crossing);
    return MB_OK;
}

static mb_status_t make_ranks(real_t *real)
{
    mb_simulating_t *s = real->s;
    const mb_planning_t *p = &s->planning;
    real->ranks = MB_ARENA_ARRAY(p->arena, rank_t, p->grid.ranks);
    s->losses = MB_ARENA_ARRAY(p->arena, double, s->simulation.steps);
    if (real->ranks == NULL || s->losses == NULL)
        return mb_error_memory("virtual ranks", (size_t)p->grid.ranks * sizeof(rank_t));
    for (int r = 0; r < p->grid.ranks; r++) {
        real->ranks[r].real = real;
        real->ranks[r].pace = mb_simulated_pace(&s->simulation, r);
    }
    return MB_OK;
}

/* A rank's part of a file is written by itself. */
static void allow_files(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static mb_status_t take_settings(const real_t *real)
{
    char steps[16];
    mb_settings_t *settings = real->s->planning.request.settings;
    snprintf(steps, sizeof steps, "%d", real->s->simulation.steps);
    MB_TRY(mb_settings_set(settings, "steps", steps, MB_FROM_USER));
    return mb_settings_set(settings, "trace", real->s->request.trace != NULL ? "yes" : "no",
                           MB_FROM_USER);
}

static mb_status_t prepare(real_t *real)
{
    const char *trace = real->s->request.trace;
    const mb_simulating_t *s = real->s;
    allow_files();
    MB_TRY(take_settings(real));
    MB_TRY(open_source(real));
    MB_TRY(open_device(real));
    MB_TRY(take_costs(real));
    MB_TRY(make_ranks(real));
    MB_TRY(mb_simulated_prepare(&s->simulation, s->planning.arena, &real->s->out));
    if (trace != NULL)
        MB_TRY(mb_trace_create(trace, &s->planning.grid, s->plans, &real->trace));
    real->output = s->request.output;
    return MB_OK;
}

static mb_status_t run(real_t *real)
{
    mb_virtual_t *world;
    const mb_virtual_times_t times = {
        .user = real, .move = carry, .arrive = arrive, .work = take_time, .idle = forgive};
    MB_TRY(mb_virtual_create(real->s->planning.grid.ranks, &times, &world));
    mb_status_t status = mb_virtual_run(world, train, real);
    mb_virtual_destroy(world);
    for (int stage = 0; stage < real->s->planning.grid.stages; stage++)
        real->s->out.stages[stage].bytes /= real->s->planning.grid.groups;
    return status;
}

static void release(real_t *real)
{
    mb_error_message_t kept;
    mb_error_keep(&kept);
    if (real->source != NULL)
        mb_source_close(real->source);
    mb_profile_destroy(real->profile);
    if (real->device != NULL)
        mb_device_close(real->device);
    mb_error_restore(&kept);
}

/* What led to a failure is traced too. */
mb_status_t mb_simulate_real(mb_simulating_t *s)
{
    real_t real = {.s = s, .wide = {.bandwidth = INFINITY}};
    mb_status_t status = prepare(&real);
    if (status == MB_OK)
        status = run(&real);
    if (real.trace != NULL) {
        mb_error_message_t kept;
        mb_error_keep(&kept);
        mb_status_t written = mb_trace_finish(real.trace);
        if (status != MB_OK)
            mb_error_restore(&kept);
        status = status == MB_OK ? written : status;
    }
    release(&real);
    return status;
}
