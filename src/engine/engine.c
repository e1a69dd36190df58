/* Puts an engine together: plan, stage, transport, reduction, executor. See engine.h. */
#include "engine/engine.h"

#include <limits.h>
#include <stdlib.h>

#include "device/dry.h"

/* The update's: exchanges of shared layers, one at a time, or the norms to and from all stages. */
static int update_requests(const mb_engine_t *engine)
{
    int others = engine->grid.stages - 1;
    return others > 2 ? 2 * others : 4;
}

mb_plan_options_t mb_engine_plan_options(const mb_engine_options_t *options, const mb_grid_t *grid)
{
    int first = 0, count = 1;
    if (grid->group >= 0)
        mb_grid_replicas(grid, grid->group, &first, &count);
    const mb_engine_t *other = options->values_of;
    const mb_profile_t *profile = options->profile;
    return (mb_plan_options_t){.stages = options->stages,
                               .micro_batch = options->micro_batch,
                               .micros_per_replica = options->micros_per_replica,
                               .replicas_of_group = count,
                               .schedule = options->schedule,
                               .training = options->training,
                               .ordered = options->machine->way == MB_WAY_CHANNEL,
                               .uneven = options->replicas % grid->groups != 0,
                               .bucket_bytes = grid->groups > 1 ? options->bucket_bytes : 0,
                               .cuts = other == NULL ? options->cuts : other->plan->cuts,
                               .costs = profile == NULL ? NULL : profile->nodes,
                               .predicts = true,
                               .crossing = profile == NULL ? NULL : profile->crossing,
                               .slowness = mb_profile_slowness(profile, options->stages)};
}

static mb_status_t make_plan(mb_engine_t *engine, const mb_engine_options_t *options)
{
    engine->borrows_plan = options->plan != NULL;
    engine->plan = options->plan;
    if (engine->borrows_plan)
        return MB_OK;
    mb_plan_options_t plan = mb_engine_plan_options(options, &engine->grid);
    return mb_plan_create(options->graph, &plan, &engine->plan);
}

/* MOST: the reduction's. */
static size_t longest_message(const mb_engine_t *engine, bool training, size_t most)
{
    const mb_plan_t *plan = engine->plan;
    const mb_stage_t *stage = engine->stage;
    int64_t elements = 2 * stage->sum_count;
    if (training && plan->stages > 1 && 2 * (int64_t)plan->graph->n_params > elements)
        elements = 2 * (int64_t)plan->graph->n_params; /* norms */
    for (int i = 0; i < stage->n_params && plan->n_ties > 0; i++) {
        int64_t count = plan->graph->params[stage->params[i]].elements;
        elements = count > elements ? count : elements;
    }
    for (int e = 0; e < plan->n_forward_edges; e++) {
        int64_t count = plan->forward_edges[e].elements * plan->micro_batch;
        elements = count > elements ? count : elements;
    }
    return (size_t)elements * sizeof(float) > most ? (size_t)elements * sizeof(float) : most;
}

static mb_status_t take_part(const mb_engine_t *engine, const mb_engine_options_t *options,
                             mb_stage_options_t *stage)
{
    const mb_grid_t *grid = &engine->grid;
    if (options->zero < 2 || !options->training || grid->groups == 1)
        return MB_OK;
    if (options->replicas > grid->groups || options->micros_per_replica > 1)
        return mb_error_set(MB_ERR_INTERNAL, "a group shares out what it has not added up");
    stage->parts = grid->groups;
    stage->part = mb_reduce_part(grid, grid->group);
    return MB_OK;
}

/* Whether groups may see each other's gradients: they sum them whole, in memory of the host. */
static bool may_share(const mb_engine_t *engine, const mb_engine_options_t *options)
{
    const mb_device_t *device = engine->machine->device;
    bool there = engine->absent ? options->near && mb_device_dry_class(device) == &mb_device_cpu
                                : device->class_ == &mb_device_cpu;
    return options->training && options->zero == 0 && engine->grid.groups > 1 && there;
}

static mb_status_t make_stage(mb_engine_t *engine, const mb_engine_options_t *options)
{
    int first, count;
    mb_grid_replicas(&engine->grid, engine->grid.group, &first, &count);
    mb_stage_options_t stage = {
        .plan = engine->plan,
        .losses = options->losses,
        .stage = engine->grid.stage,
        .n_blocks = options->training ? mb_tree_slots(options->replicas, first, count) : 0,
        .n_sum_blocks = options->losses != NULL ? count : 0,
        .exec = &engine->exec,
        .values_of = options->values_of == NULL ? NULL : options->values_of->stage,
        .integer = options->integer,
        .round_to = options->round_to,
        .offloads = options->offloads,
        .shares = may_share(engine, options)};
    MB_TRY(take_part(engine, options, &stage));
    return mb_stage_create(&stage, &engine->stage);
}

/* Whom this rank may talk to: the other stages of its group, and its stage in other groups. */
static int list_peers(const mb_grid_t *grid, int *peers)
{
    int n = 0;
    for (int s = 0; s < grid->stages; s++) {
        if (s != grid->stage)
            peers[n++] = mb_grid_rank(grid, s, grid->group);
    }
    for (int g = 0; g < grid->groups; g++) {
        if (g != grid->group)
            peers[n++] = mb_grid_rank(grid, grid->stage, g);
    }
    return n;
}

static mb_status_t connect(mb_engine_t *engine)
{
    if (mb_engine_idle(engine) || engine->absent || engine->machine->way != MB_WAY_CHANNEL)
        return MB_OK;
    int *peers = calloc((size_t)(engine->grid.stages + engine->grid.groups), sizeof *peers);
    if (peers == NULL)
        return mb_error_memory("the peers of a rank", sizeof *peers);
    int n = list_peers(&engine->grid, peers);
    mb_status_t status = mb_transport_channel_connect(engine->transport, peers, n);
    free(peers);
    return status;
}

static mb_status_t make_transport(mb_engine_t *engine, int requests, size_t longest)
{
    mb_machine_t *machine = engine->machine;
    if (engine->absent)
        return mb_transport_absent_create(machine->way == MB_WAY_CHANNEL, &engine->transport);
    return mb_machine_connect(machine, &engine->exec, requests, longest, &engine->transport);
}

static mb_status_t make_executor(mb_engine_t *engine, const mb_engine_options_t *options)
{
    mb_comm_t *comm = engine->machine->comm;
    mb_stage_t *stage = engine->stage;
    bool shares_out = options->zero > 0 && options->training && engine->grid.groups > 1;
    size_t longest = 0;
    int reducing = 0;
    if (options->losses != NULL)
        MB_TRY(mb_stage_reduce_needs(&engine->grid, stage, shares_out, &reducing, &longest));
    int requests = mb_executor_max_requests(engine->plan, engine->grid.stage) + reducing +
                   update_requests(engine);
    longest = longest_message(engine, options->training, longest);
    MB_TRY(make_transport(engine, requests, longest));
    if (options->losses != NULL)
        MB_TRY(mb_stage_reduce_create(comm, engine->transport, &engine->grid, stage, shares_out,
                                      engine->window, engine->windowed, &engine->reduction));
    if (options->records)
        MB_TRY(mb_recorder_create(&engine->plan->programs[engine->grid.stage], &engine->recorder));
    mb_executor_options_t executor = {.comm = comm,
                                      .grid = &engine->grid,
                                      .stage = stage,
                                      .transport = engine->transport,
                                      .reduction = engine->reduction,
                                      .hooks = options->hooks,
                                      .recorder = engine->recorder,
                                      .account = options->account};
    return mb_executor_create(&executor, &engine->executor);
}

static mb_status_t is_reached(void *event, bool *done)
{
    mb_event_t *reached = event;
    return reached->device->class_->event_query(reached, done);
}

/* The device may be waiting for another rank: its end comes through the one wait. */
static mb_status_t await_event(void *user, mb_event_t *event)
{
    const mb_engine_t *engine = user;
    mb_comm_note_t note = {.action = "waiting for the device",
                           .stage = engine->grid.stage,
                           .micro = -1,
                           .peer = -1,
                           .tag = -1,
                           .device = true};
    return mb_comm_wait(engine->machine->comm, is_reached, event, &note);
}

static mb_status_t make_parts(mb_engine_t *engine, const mb_engine_options_t *options)
{
    MB_TRY(make_plan(engine, options));
    if (mb_grid_idle(&engine->grid))
        return MB_OK;
    MB_TRY(mb_exec_create(engine->machine->device, &engine->exec));
    engine->has_exec = true;
    engine->exec.account = options->account;
    if (!engine->machine->device->class_->host_visible(engine->machine->device)) {
        engine->exec.await = await_event;
        engine->exec.await_user = engine;
    }
    engine->exec.planning = false; /* until prepare: parameters and moments are set before */
    return make_stage(engine, options);
}

/* Whether all groups have as many blocks of gradients, as ranks must that see each other's. */
static bool are_even(const mb_engine_t *engine, const mb_engine_options_t *options)
{
    int first, count, least = INT_MAX, most = 0;
    for (int g = 0; g < engine->grid.groups; g++) {
        mb_grid_replicas(&engine->grid, g, &first, &count);
        int blocks = mb_tree_slots(options->replicas, first, count);
        least = blocks < least ? blocks : least;
        most = blocks > most ? blocks : most;
    }
    return least == most;
}

/* All ranks come here alike: what they have to ask of each other is the same for all of them. */
static mb_status_t open_window(mb_engine_t *engine, const mb_engine_options_t *options)
{
    bool joined;
    const mb_grid_t *grid = &engine->grid;
    mb_comm_t *comm = engine->machine->comm;
    mb_shared_t *shared = mb_engine_idle(engine) ? NULL : engine->stage->shared;
    if (!may_share(engine, options))
        return MB_OK;
    engine->windowed = engine->absent && are_even(engine, options);
    if (engine->absent)
        return MB_OK;
    MB_TRY(mb_shared_join(comm, shared, grid->stage, grid->group, grid->groups, &joined));
    engine->windowed = joined;
    if (!joined)
        return MB_OK;
    return mb_reduce_window_create(comm, &engine->exec, grid, shared, engine->stage->stride,
                                   &engine->window);
}

static mb_status_t make_rest(mb_engine_t *engine, const mb_engine_options_t *options)
{
    return mb_engine_idle(engine) ? MB_OK : make_executor(engine, options);
}

/* Only training gives the fixed order up: scores stay exact. */
static mb_status_t join_sums(mb_engine_t *engine, const mb_engine_options_t *options)
{
    mb_machine_t *machine = engine->machine;
    bool links = machine->sums_by_link && options->training && engine->grid.groups > 1;
    if (!links || engine->absent)
        return MB_OK;
    MB_TRY(mb_reduce_link_create(machine->channel, &engine->exec, engine->grid.stage,
                                 &engine->reduce_link));
    if (!mb_engine_idle(engine))
        mb_stage_reduce_use_link(engine->reduction, engine->reduce_link);
    return MB_OK;
}

/* What one rank counts by itself concerns no other. */
static mb_status_t agree(const mb_engine_t *engine, mb_status_t status)
{
    return engine->absent ? status : mb_comm_agree(engine->machine->comm, status);
}

static void begin(mb_engine_t *engine, const mb_engine_options_t *options)
{
    const mb_comm_t *comm = options->machine->comm;
    engine->machine = options->machine;
    engine->losses = options->losses;
    engine->absent = options->absent != NULL;
    if (engine->absent)
        engine->grid = *options->absent;
    else
        mb_grid_set(&engine->grid, mb_comm_size(comm), mb_comm_rank(comm), options->stages,
                    options->replicas);
}

mb_status_t mb_engine_create(const mb_engine_options_t *options, mb_engine_t **out)
{
    mb_engine_t *engine = calloc(1, sizeof *engine);
    mb_status_t status = engine == NULL ? mb_error_memory("an engine", sizeof *engine) : MB_OK;
    if (options->absent == NULL)
        status = mb_comm_agree(options->machine->comm, status);
    MB_TRY_GOTO(status, status, err_engine);
    begin(engine, options);
    MB_TRY_GOTO(agree(engine, make_parts(engine, options)), status, err_engine);
    MB_TRY_GOTO(agree(engine, open_window(engine, options)), status, err_engine);
    MB_TRY_GOTO(agree(engine, make_rest(engine, options)), status, err_engine);
    MB_TRY_GOTO(agree(engine, connect(engine)), status, err_engine);
    MB_TRY_GOTO(join_sums(engine, options), status, err_engine);
    *out = engine;
    return MB_OK;

err_engine:
    mb_engine_destroy(engine);
    return status;
}

static mb_status_t prepare(mb_engine_t *engine)
{
    if (mb_engine_idle(engine))
        return MB_OK;
    engine->exec.planning = true;
    MB_TRY(mb_executor_prepare(engine->executor));
    return mb_exec_allocate(&engine->exec);
}

mb_status_t mb_engine_prepare(mb_engine_t *engine)
{
    mb_comm_t *comm = engine->machine->comm;
    if (!engine->absent)
        mb_comm_doing(comm, "preparing the first step");
    MB_TRY(agree(engine, prepare(engine)));
    if (!engine->absent)
        mb_recorder_begin(engine->recorder, mb_comm_clock(comm));
    return MB_OK;
}

int64_t mb_engine_bytes(const mb_engine_t *engine)
{
    const mb_stage_t *stage = engine->stage;
    if (stage == NULL)
        return 0;
    int64_t bytes = (int64_t)(stage->block_bytes + engine->exec.workspace_bytes);
    bytes += stage->shares_values ? 0 : (int64_t)stage->parameter_bytes;
    return engine->reduction == NULL ? bytes : bytes + mb_stage_reduce_memory(engine->reduction);
}

static void give_up(mb_engine_t *engine)
{
    mb_reduce_link_give_up(engine->reduce_link);
    mb_channel_give_up(engine->machine->channel);
    engine->exec.device->class_->stream_sync(engine->exec.stream);
}

void mb_engine_quiet(mb_engine_t *engine)
{
    if (engine == NULL || engine->exec.stream == NULL)
        return;
    if (mb_comm_failed(engine->machine->comm, NULL, NULL) || mb_exec_sync(&engine->exec) != MB_OK)
        give_up(engine);
}

void mb_engine_destroy(mb_engine_t *engine)
{
    if (engine == NULL)
        return;
    mb_engine_quiet(engine);
    mb_executor_destroy(engine->executor);
    mb_recorder_destroy(engine->recorder);
    mb_stage_reduce_destroy(engine->reduction);
    mb_reduce_window_destroy(engine->window);
    mb_reduce_link_destroy(engine->reduce_link);
    if (engine->transport != NULL)
        mb_transport_destroy(engine->transport);
    mb_stage_destroy(engine->stage);
    if (engine->has_exec)
        mb_exec_destroy(&engine->exec);
    if (!engine->borrows_plan)
        mb_plan_destroy(engine->plan);
    free(engine);
}
