/* Times the calls of the nodes that a rank has, and puts all ranks' together. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/median.h"
#include "engine/engine.h"
#include "engine/rates.h"

/* The median of the last few passes is not moved by one that met another program. All ranks go on
 * for as long, so that each is measured beside the others. */
enum { FEWEST_PASSES = 3, MOST_PASSES = 63, SCRATCH = 16 << 20 };

/* ---- one rank */

static mb_status_t zero(mb_stage_t *stage, void *memory, size_t bytes)
{
    mb_zero_args_t args = {.bytes = (int64_t)bytes, .y = memory};
    return memory == NULL ? MB_OK : mb_exec_run_alone(stage->exec, MB_OP_ZERO, &args, sizeof args);
}

/* Zeros are labels and tokens that there are, and nowhere denormal. */
static mb_status_t clear(mb_stage_t *stage)
{
    for (int i = 0; i < stage->n_chunks; i++) {
        mb_stage_chunk_t *chunk = &stage->chunks[i];
        for (int s = 0; s < chunk->n_slots; s++)
            MB_TRY(zero(stage, chunk->slots[s], chunk->slot_bytes));
        MB_TRY(zero(stage, chunk->inside, chunk->inside_bytes));
        MB_TRY(zero(stage, chunk->backward, chunk->backward_bytes * (size_t)chunk->n_areas));
    }
    for (int i = 0; i < stage->n_params; i++) {
        int p = stage->params[i];
        size_t bytes = (size_t)stage->graph->params[p].elements * sizeof(float);
        MB_TRY(zero(stage, stage->values[p], bytes));
    }
    for (int b = 0; b < stage->n_sum_blocks; b++)
        MB_TRY(zero(stage, stage->sums[b], (size_t)stage->sum_count * sizeof(double)));
    return mb_stage_round(stage);
}

typedef struct {
    mb_stage_t *stage;
    void *scratch; /* device memory */
} timing_t;

/* In a step a forward or backward finds in the caches what other work has left of its tensors and
 * weights: nothing much. A convolution's backward right behind its forward took 5 % less. */
static mb_status_t empty_caches(timing_t *t)
{
    mb_zero_args_t args = {.bytes = SCRATCH, .y = t->scratch};
    return mb_exec_run_alone(t->stage->exec, MB_OP_ZERO, &args, sizeof args);
}

static mb_status_t pass(timing_t *t, mb_node_cost_t *timed)
{
    mb_stage_t *stage = t->stage;
    int64_t samples = stage->plan->micro_batch;
    stage->timed = timed;
    for (int i = 0; i < stage->n_chunks; i++) {
        mb_micro_t micro = {.chunk = stage->chunks[i].chunk, .valid = samples, .batch = samples};
        MB_TRY(empty_caches(t));
        MB_TRY(mb_stage_forward(stage, &micro));
        MB_TRY(empty_caches(t));
        MB_TRY(mb_stage_backward(stage, &micro));
    }
    stage->timed = NULL;
    return MB_OK;
}

/* ALL: passes behind each other. */
static void take_medians(const mb_node_cost_t *all, int passes, int n_nodes, mb_node_cost_t *out)
{
    enum { PARTS = sizeof(mb_node_cost_t) / sizeof(double) };
    const double *numbers = (const double *)(const void *)all;
    double *medians = (double *)(void *)out, sorted[MOST_PASSES];
    int count = n_nodes * PARTS;
    for (int i = 0; i < count; i++) {
        for (int p = 0; p < passes; p++)
            sorted[p] = numbers[(size_t)p * (size_t)count + (size_t)i];
        medians[i] = mb_median(sorted, passes);
    }
}

static mb_status_t time_passes(timing_t *t, double seconds, mb_node_cost_t *all, mb_profile_t *out)
{
    int passes = 0, n = out->n_nodes;
    MB_TRY(clear(t->stage));
    MB_TRY(pass(t, NULL));
    double begun = mb_time_seconds();
    while (passes < FEWEST_PASSES || mb_time_seconds() - begun < seconds) {
        mb_node_cost_t *timed = all + (size_t)n * (size_t)(passes++ % MOST_PASSES);
        memset(timed, 0, (size_t)n * sizeof *timed);
        MB_TRY(pass(t, timed));
    }
    take_medians(all, passes < MOST_PASSES ? passes : MOST_PASSES, n, out->nodes);
    return MB_OK;
}

static mb_status_t time_stage(mb_stage_t *stage, double seconds, mb_profile_t *out)
{
    mb_device_t *device = stage->exec->device;
    timing_t timing = {.stage = stage};
    size_t n = (size_t)out->n_nodes;
    mb_node_cost_t *all = calloc(n * MOST_PASSES, sizeof *all);
    if (all == NULL)
        return mb_error_memory("a profile", n * MOST_PASSES * sizeof *all);
    mb_status_t status = mb_device_alloc(device, SCRATCH, &timing.scratch);
    if (status == MB_OK)
        status = time_passes(&timing, seconds, all, out);
    mb_device_free(device, timing.scratch);
    free(all);
    return status;
}

/* ---- all ranks */

/* Of the first group, whose stages have every node once. */
static mb_status_t gather(const mb_engine_t *engine, mb_profile_t *profile)
{
    mb_comm_t *comm = engine->machine->comm;
    size_t *bytes_of, size = (size_t)profile->n_nodes * sizeof *profile->nodes;
    void *all;
    const mb_stage_chunk_t *own = engine->grid.group == 0 ? &engine->stage->chunks[0] : NULL;
    const mb_node_cost_t *first = own == NULL ? NULL : profile->nodes + own->first_node;
    size_t count = own == NULL ? 0 : (size_t)(own->end_node - own->first_node);
    MB_TRY(mb_comm_gather(comm, first, count * sizeof *first, 0, &all, &bytes_of));
    mb_status_t status = MB_OK;
    if (mb_comm_rank(comm) == 0)
        memcpy(profile->nodes, all, size);
    free(all);
    free(bytes_of);
    MB_TRY(mb_comm_agree(comm, status));
    return mb_comm_broadcast(comm, profile->nodes, size, 0);
}

/* RATES: [groups][stages], of all ranks, of which idle ones come last. */
static mb_status_t gather_rates(mb_engine_t *engine, mb_status_t status, double own, double *all)
{
    mb_comm_t *comm = engine->machine->comm;
    if (status == MB_OK && all == NULL)
        status = mb_error_memory("a profile", (size_t)mb_comm_size(comm) * sizeof *all);
    MB_TRY(mb_comm_agree(comm, status));
    return mb_comm_allgather(comm, &own, sizeof own, all);
}

static mb_status_t level(mb_engine_t *engine, mb_profile_t *profile)
{
    double own = 1;
    const mb_grid_t *grid = &engine->grid;
    double *all = calloc((size_t)mb_comm_size(engine->machine->comm), sizeof *all);
    mb_status_t status = mb_engine_idle(engine) ? MB_OK : mb_rates_product(engine->machine, &own);
    status = gather_rates(engine, status, own, all);
    if (status == MB_OK)
        status =
            mb_profile_level(profile, grid->groups, grid->stages, all, engine->plan->stage_of_node);
    free(all);
    return status;
}

static mb_status_t measure(mb_engine_t *engine, double seconds, mb_profile_t *profile)
{
    mb_comm_t *comm = engine->machine->comm;
    MB_TRY(mb_engine_prepare(engine));
    mb_comm_doing(comm, "measuring what the layers take");
    MB_TRY(mb_comm_barrier(comm));
    mb_status_t status =
        mb_engine_idle(engine) ? MB_OK : time_stage(engine->stage, seconds, profile);
    MB_TRY(mb_comm_agree(comm, status));
    MB_TRY(gather(engine, profile));
    return mb_comm_agree(comm, level(engine, profile));
}

/* One chunk a stage and one micro-batch a replica: every node once, and little memory. */
mb_status_t mb_profile_measure(const mb_engine_options_t *options, double seconds,
                               mb_profile_t *out)
{
    mb_engine_t *engine;
    mb_engine_options_t even = *options;
    mb_hardware_t links = mb_hardware_default();
    even.schedule = (mb_schedule_choice_t){.kind = MB_SCHEDULE_1F1B};
    even.micros_per_replica = 1;
    even.training = true;
    even.profile = NULL;
    even.offloads = false;
    even.account = NULL;
    even.hooks = (mb_hooks_t){0};
    MB_TRY(mb_engine_create(&even, &engine));
    mb_status_t status = measure(engine, seconds, out);
    mb_engine_destroy(engine);
    mb_costs_of_crossing(options->graph, &links.inside, options->micro_batch, out->crossing);
    return status;
}
