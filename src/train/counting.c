/* See counting.h. The ranks of a layout are laid out one after the other, by one virtual rank: all
 * of them where they are few, since groups may differ by what they are lent and share out. */
#include "train/counting.h"

#include "base/str.h"
#include "comm/virtual.h"
#include "pipeline/recompute.h"
#include "train/footprint.h"
#include "train/offload.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Of a layout; and of all rows that are counted, actions and nodes that are laid out. */
enum { MOST_RANKS = 256, MOST_ACTIONS = 1 << 13, MOST_NODES = 1 << 15 };

typedef struct {
    mb_counting_t *counting;
    mb_candidate_t *all;
    int *n;
    mb_device_t *device;
    mb_machine_t *machine;
    mb_optimizer_t *optimizer;
    bool ready;             /* the model is compiled, and the machine is there */
    int64_t actions, nodes; /* that have been gone through */
} work_t;

static const mb_planning_t *planning_of(const work_t *work)
{
    return work->counting->planning;
}

/* ---- what a run would be made from */

/* Threads have workspace each: a run's ranks share the machine's cores. */
static mb_status_t open_device(work_t *work)
{
    const mb_planning_t *p = planning_of(work);
    int64_t given = mb_settings_int(p->request.settings, MB_SET_THREADS);
    long cores = sysconf(_SC_NPROCESSORS_ONLN), each = cores / p->grid.ranks;
    mb_device_options_t options = {.size = sizeof options,
                                   .threads = given > 0  ? (int)given
                                              : each > 1 ? (int)each
                                                         : 1};
    return mb_device_open("cpu", &options, &work->device);
}

static mb_status_t compile(work_t *work)
{
    const mb_planning_t *p = planning_of(work);
    const mb_settings_t *settings = p->request.settings;
    const json_t *config = json_object_get(p->model->training, "optimizer_config");
    const char *loss = mb_settings_text(settings, MB_SET_LOSS);
    const char *optimizer = mb_settings_text(settings, MB_SET_OPTIMIZER);
    MB_TRY(mb_model_compile(p->model, loss));
    if (p->source != NULL)
        MB_TRY(mb_model_weigh(p->model, p->source));
    return mb_optimizer_create(config, optimizer, p->model->file->path, p->arena, &work->optimizer);
}

static mb_status_t prepare(work_t *work, mb_comm_t *comm)
{
    MB_TRY(compile(work));
    MB_TRY(open_device(work));
    const mb_machine_options_t options = {.lent = work->device};
    MB_TRY(mb_machine_open(comm, &options, &work->machine));
    work->ready = true;
    return MB_OK;
}

static mb_status_t layout_of(const work_t *work, const mb_candidate_t *c, mb_layout_t *layout)
{
    const mb_planning_t *p = planning_of(work);
    *layout = (mb_layout_t){.batch = work->counting->batch};
    mb_layout_take(layout, c);
    if (!c->schedule.recomputes || c->schedule.layers != NULL || c->layers == NULL)
        return MB_OK;
    layout->schedule.layers = mb_recompute_text(p->model->graph, c->layers, p->arena);
    return layout->schedule.layers == NULL ? mb_error_memory("the names of layers", 0) : MB_OK;
}

static mb_status_t request_of(const work_t *work, const mb_layout_t *layout,
                              mb_footprint_request_t *out)
{
    mb_offload_t offload;
    const mb_planning_t *p = planning_of(work);
    MB_TRY(mb_offload_read(p->request.settings, &offload));
    *out = (mb_footprint_request_t){
        .model = p->model,
        .optimizer = work->optimizer,
        .offloads_moments = offload.moments,
        .copies_state = mb_planning_copies(p),
        .moments_in_8_bits =
            strcmp(mb_settings_text(p->request.settings, MB_SET_MOMENTS), "int8") == 0};
    MB_TRY(mb_layout_engine(p->model, p->request.settings, layout, &out->engine));
    out->engine.machine = work->machine;
    out->engine.near = p->grid.ranks <= p->hardware.devices_per_node;
    return MB_OK;
}

/* ---- ranks and rows */

/* All groups that work on as many replicas have one plan; GRID is of the first of them. */
static mb_status_t make_plan(const work_t *work, mb_footprint_request_t *request,
                             const mb_grid_t *grid)
{
    const mb_planning_t *p = planning_of(work);
    mb_plan_options_t options = mb_engine_plan_options(&request->engine, grid);
    options.costs = p->costs;
    options.crossing = p->crossing;
    return mb_plan_create(p->model->graph, &options, &request->engine.plan);
}

static mb_status_t count_rank(const work_t *work, mb_footprint_request_t *request,
                              const mb_grid_t *grid, double *most)
{
    mb_footprint_t taken;
    int first, replicas;
    mb_plan_t *plan = request->engine.plan;
    mb_grid_replicas(grid, grid->group, &first, &replicas);
    if (plan == NULL || plan->micros != replicas * plan->micros_per_replica) {
        mb_plan_destroy(plan);
        request->engine.plan = NULL;
        MB_TRY(make_plan(work, request, grid));
    }
    MB_TRY(mb_footprint_count(request, grid, &taken));
    double bytes = (double)mb_footprint_bytes(&taken);
    *most = bytes > *most ? bytes : *most;
    return MB_OK;
}

static mb_status_t count_row(const work_t *work, mb_candidate_t *c)
{
    mb_grid_t grid;
    mb_layout_t layout;
    mb_footprint_request_t request;
    double most = 0;
    int working = c->stages * c->groups;
    MB_TRY(layout_of(work, c, &layout));
    MB_TRY(request_of(work, &layout, &request));
    mb_status_t status = MB_OK;
    for (int rank = 0; rank < working && status == MB_OK; rank++) {
        mb_grid_set(&grid, planning_of(work)->grid.ranks, rank, layout.stages, layout.replicas);
        status = count_rank(work, &request, &grid, &most);
    }
    mb_plan_destroy(request.engine.plan);
    if (status != MB_OK)
        return status;
    c->counted = most;
    return MB_OK;
}

static bool is_small(work_t *work, const mb_candidate_t *c)
{
    int64_t ranks = (int64_t)c->stages * c->groups;
    int64_t actions = (int64_t)mb_schedule_chunks(&c->schedule, c->stages) * c->micros;
    int64_t nodes = (int64_t)c->groups * planning_of(work)->model->graph->n_nodes;
    if (ranks > MOST_RANKS || work->actions + actions > MOST_ACTIONS ||
        work->nodes + nodes > MOST_NODES)
        return false;
    work->actions += actions;
    work->nodes += nodes;
    return true;
}

/* What stands against counting one stands against counting all. */
static void give_up(work_t *work)
{
    snprintf(work->counting->why, sizeof work->counting->why, "%s", mb_error_get());
}

static void count_rows(work_t *work)
{
    int kept = 0, i = 0;
    mb_counting_t *counting = work->counting;
    for (; i < *work->n && kept < counting->rows; i++) {
        mb_candidate_t *c = &work->all[i];
        if (counting->why[0] == '\0' && is_small(work, c) && count_row(work, c) != MB_OK)
            give_up(work);
        if (c->counted > 0 && c->counted < counting->least)
            counting->least = c->counted;
        if (c->counted <= counting->limit)
            work->all[kept++] = *c;
    }
    memmove(&work->all[kept], &work->all[i], (size_t)(*work->n - i) * sizeof *work->all);
    *work->n -= i - kept;
}

static mb_status_t run(void *user, mb_comm_t *comm)
{
    work_t *work = user;
    if (prepare(work, comm) != MB_OK)
        give_up(work);
    count_rows(work);
    mb_machine_close(work->machine);
    return MB_OK;
}

mb_status_t mb_counting_run(mb_counting_t *counting, mb_candidate_t *all, int *n)
{
    mb_virtual_t *world;
    const mb_virtual_times_t times = {.user = NULL};
    work_t work = {.counting = counting, .all = all, .n = n};
    MB_TRY(mb_virtual_create(1, &times, &world));
    mb_status_t status = mb_virtual_run(world, run, &work);
    mb_virtual_destroy(world);
    mb_optimizer_destroy(work.optimizer);
    mb_device_close(work.device);
    return status;
}
