/* See simulate_real.h: every rank is a fiber (comm/virtual.h) that trains as mbrun train does; the
 * costs and links of the simulation say what its actions and messages take. */
#define _POSIX_C_SOURCE 200809L /* mkstemp under -std=c11 */
#include "cli/simulate_real.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

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
    mb_profile_t *profile; /* NULL: cut by counted operations */
    rank_t *ranks;
    mb_trace_t *trace;
    const char *output;
    char kept[64]; /* where the weights are until their digest is known */
} real_t;

static const mb_setting_id_t real_only[] = {
    MB_SET_SHUFFLE,      MB_SET_RESET_STATES, MB_SET_OPTIMIZER,  MB_SET_LR,
    MB_SET_LR_SCHEDULE,  MB_SET_WEIGHT_DECAY, MB_SET_CLIP,       MB_SET_LOSS,
    MB_SET_CLASS_WEIGHT, MB_SET_WEIGHTS,      MB_SET_WEIGHTS_BY, MB_SET_SKIP_MISMATCH,
    MB_SET_EMULATE,      MB_SET_QAT};

mb_status_t mb_simulate_refuse_real(const mb_args_t *args)
{
    const char *given = mb_args_has(args, "output") ? "output" : NULL;
    for (size_t i = 0; i < sizeof real_only / sizeof real_only[0]; i++) {
        if (args->settings->origin[real_only[i]] == MB_FROM_USER)
            given = mb_setting_info(real_only[i])->key;
    }
    if (given == NULL)
        return MB_OK;
    return mb_error_set(MB_ERR_ARGUMENT,
                        "--%s: nothing is trained where actions are only timed; use --compute real",
                        given);
}

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

static double carry(void *user, double now, int from, int to, int tag, size_t bytes)
{
    mb_simulating_t *s = ((real_t *)user)->s;
    if (tag == MB_TAG_SCALARS) /* the losses, which are told and not computed with */
        return now;
    if (tag < MB_TAG_TRANSPORT_END) {
        s->out.messages++;
        s->out.bytes += (int64_t)bytes;
    }
    if (tag < MB_TAG_REDUCE_END) {
        occupy(user, from, mb_simulated_copying(&s->simulation, from, to, (int64_t)bytes));
        occupy(user, to, mb_simulated_copying(&s->simulation, from, to, (int64_t)bytes));
    }
    return mb_simulated_move(&s->simulation, &s->out, now, from, to, (int64_t)bytes);
}

static double take_time(void *user, double now, int rank, int kind, int chunk, double part)
{
    real_t *real = user;
    rank_t *own = &real->ranks[rank];
    const mb_simulation_t *simulation = &real->s->simulation;
    bool updates = kind == MB_ACTION_STEP;
    double seconds =
        updates ? simulation->update_seconds[rank % simulation->grid->stages]
                : mb_action_seconds(&simulation->costs[chunk], (mb_action_kind_t)kind) * part;
    if (seconds > 0)
        seconds = mb_simulated_seconds(simulation, &own->pace, own->step, seconds);
    if (updates) {
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

static mb_status_t train(void *user, mb_comm_t *comm)
{
    real_t *real = user;
    int rank = mb_comm_rank(comm);
    rank_t *own = &real->ranks[rank];
    mb_training_t *trainer = NULL;
    const mb_args_t *args = real->s->planning.args;
    const mb_training_options_t options = {.comm = comm,
                                           .model = args->words[0],
                                           .settings = args->settings,
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
    if (status == MB_OK)
        status = mb_training_save(trainer, real->output, false);
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
        .emulate = mb_settings_on(real->s->planning.args->settings, MB_SET_EMULATE)};
    return mb_device_open("cpu", &options, &real->device);
}

static mb_status_t open_source(real_t *real)
{
    mb_vocabularies_t words;
    bool present;
    mb_shape_t shapes[MB_MAX_INPUTS];
    const char *names[MB_MAX_INPUTS];
    const mb_model_t *model = real->s->planning.model;
    const mb_settings_t *settings = real->s->planning.args->settings;
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
    const mb_args_t *args = real->s->planning.args;
    snprintf(steps, sizeof steps, "%d", real->s->simulation.steps);
    MB_TRY(mb_settings_set(args->settings, "steps", steps, MB_FROM_USER));
    return mb_settings_set(args->settings, "trace", mb_args_has(args, "trace") ? "yes" : "no",
                           MB_FROM_USER);
}

static mb_status_t choose_output(real_t *real)
{
    const char *folder = getenv("TMPDIR");
    real->output = mb_args_flag(real->s->planning.args, "output");
    if (real->output != NULL)
        return MB_OK;
    if (folder == NULL || strlen(folder) > 32)
        folder = "/tmp";
    snprintf(real->kept, sizeof real->kept, "%s/mbrun-XXXXXX", folder);
    int file = mkstemp(real->kept);
    if (file < 0)
        return mb_error_set(MB_ERR_IO, "%s: no file can be made there; set TMPDIR, or use -o FILE",
                            folder);
    close(file);
    real->output = real->kept;
    return MB_OK;
}

static mb_status_t prepare(real_t *real)
{
    const char *trace = mb_args_flag(real->s->planning.args, "trace");
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
    return choose_output(real);
}

static mb_status_t run(real_t *real)
{
    mb_virtual_t *world;
    const mb_virtual_times_t times = {
        .user = real, .move = carry, .work = take_time, .idle = forgive};
    MB_TRY(mb_virtual_create(real->s->planning.grid.ranks, &times, &world));
    mb_status_t status = mb_virtual_run(world, train, real);
    mb_virtual_destroy(world);
    for (int stage = 0; stage < real->s->planning.grid.stages; stage++)
        real->s->out.stages[stage].bytes /= real->s->planning.grid.groups;
    return status;
}

static mb_status_t find_digest(real_t *real)
{
    mb_digest_t digest;
    mb_model_file_t *file;
    MB_TRY(mb_model_file_open(real->output, true, false, &file));
    mb_status_t status = mb_model_file_digest(file, &digest);
    mb_model_file_close(file);
    snprintf(real->s->digest, sizeof real->s->digest, "%016" PRIx64, digest.weights);
    return status;
}

static void release(real_t *real)
{
    mb_error_message_t kept;
    mb_error_keep(&kept);
    if (real->kept[0] != '\0')
        unlink(real->kept);
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
    real_t real = {.s = s};
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
    if (status == MB_OK)
        status = find_digest(&real);
    release(&real);
    return status;
}
