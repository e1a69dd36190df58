/* See planning.h. */
#include "train/planning.h"

#include "pipeline/costs.h"
#include "pipeline/recompute.h"

#include <stdlib.h>
#include <string.h>

static mb_status_t open_data(mb_planning_t *p)
{
    const mb_settings_t *settings = p->request.settings;
    mb_shape_t shapes[MB_MAX_INPUTS];
    if (!mb_settings_has(settings, MB_SET_DATA) || p->model->graph->n_inputs > MB_MAX_INPUTS)
        return MB_OK;
    mb_source_wants_t wants = mb_model_wants(p->model, shapes);
    wants.form.label = mb_settings_text(settings, MB_SET_LABEL);
    return mb_source_open(mb_settings_text(settings, MB_SET_DATA), &wants, &p->source);
}

static int ranks_of(const mb_planning_request_t *request)
{
    int64_t stages = mb_settings_int(request->settings, MB_SET_STAGES);
    if (request->ranks > 0)
        return request->ranks;
    return stages > 0 && stages <= MB_PLANNING_MOST_RANKS ? (int)stages : 2;
}

static mb_status_t read_profile(mb_planning_t *p)
{
    bool found = false;
    const char *path = p->request.profile;
    if (path == NULL)
        return MB_OK;
    MB_TRY(mb_profile_create(p->model->graph, &p->profile));
    MB_TRY(mb_profile_read(p->profile, NULL, path, &found));
    if (found)
        return MB_OK;
    return mb_error_set(MB_ERR_FORMAT,
                        "%s: no profile of this model; a run of several stages writes one into its "
                        "directory",
                        path);
}

/* What the run's layers take, and what it would be cut by: that too, unless --partition counted. */
static mb_status_t choose_costs(mb_planning_t *p)
{
    const mb_graph_t *graph = p->model->graph;
    const char *by = mb_settings_text(p->request.settings, MB_SET_PARTITION);
    mb_node_cost_t *predicted = MB_ARENA_ARRAY(p->arena, mb_node_cost_t, graph->n_nodes);
    if (predicted == NULL)
        return mb_error_memory("costs", (size_t)graph->n_nodes * sizeof *predicted);
    mb_costs_predict(graph, &p->hardware, p->layout.micro_batch, predicted);
    p->taken = p->profile == NULL ? predicted : p->profile->nodes;
    if (strcmp(by, "counted") == 0)
        return MB_OK;
    if (strcmp(by, "measured") != 0)
        return mb_error_set(MB_ERR_ARGUMENT, "partition=%s: there are measured and counted", by);
    p->costs = p->taken;
    p->crossing = p->profile == NULL ? NULL : p->profile->crossing;
    return MB_OK;
}

static mb_status_t read_hardware(mb_planning_t *p)
{
    const char *path = p->request.hardware;
    p->hardware = mb_hardware_default();
    return path == NULL ? MB_OK : mb_hardware_read(path, &p->hardware);
}

mb_status_t mb_planning_open(const mb_planning_request_t *request, mb_planning_t *out)
{
    int first;
    mb_settings_t *settings = request->settings;
    *out = (mb_planning_t){.request = *request, .arena = mb_arena_create()};
    if (out->arena == NULL)
        return mb_error_memory("a plan", sizeof *out);
    MB_TRY(mb_model_open(request->model, &out->model));
    MB_TRY(mb_settings_take_file(settings, out->model->file));
    MB_TRY(mb_model_compute_in(out->model, mb_settings_text(settings, MB_SET_DTYPE)));
    MB_TRY(open_data(out));
    MB_TRY(mb_model_bind(out->model, out->source));
    MB_TRY(read_profile(out));
    MB_TRY(read_hardware(out));
    int ranks = ranks_of(request);
    const mb_layout_ranks_t here = {ranks, ranks, 0};
    MB_TRY(mb_layout_choose(out->model, settings, &here, &out->layout));
    MB_TRY(mb_layout_check_zero(out->model, settings, &out->layout));
    MB_TRY(mb_layout_name_schedule(&out->layout, settings));
    mb_grid_set(&out->grid, ranks, 0, out->layout.stages, out->layout.replicas);
    mb_grid_replicas(&out->grid, 0, &first, &out->replicas);
    return choose_costs(out);
}

void mb_planning_close(mb_planning_t *planning)
{
    mb_profile_destroy(planning->profile);
    mb_source_close(planning->source);
    mb_model_close(planning->model);
    if (planning->arena != NULL)
        mb_arena_destroy(planning->arena);
}

mb_status_t mb_planning_choice(const mb_planning_t *planning, const char *name,
                               mb_schedule_choice_t *out)
{
    MB_TRY(mb_schedule_parse(name, out));
    mb_recompute_read(mb_settings_text(planning->request.settings, MB_SET_RECOMPUTE), out);
    return MB_OK;
}

mb_status_t mb_planning_plan(const mb_planning_t *planning, const mb_schedule_choice_t *choice,
                             int replicas, mb_plan_t **out)
{
    mb_plan_options_t options = {.stages = planning->layout.stages,
                                 .micro_batch = planning->layout.micro_batch,
                                 .micros_per_replica = planning->layout.micros,
                                 .replicas_of_group = replicas,
                                 .schedule = *choice,
                                 .training = true,
                                 .uneven = planning->uneven,
                                 .bucket_bytes = planning->bucket_bytes,
                                 .costs = planning->costs,
                                 .predicts = true,
                                 .crossing = planning->crossing};
    return mb_plan_create(planning->model->graph, &options, out);
}

bool mb_planning_copies(const mb_planning_t *planning)
{
    bool limited = planning->request.memory != NULL;
    return mb_settings_copy_state(planning->request.settings, limited) &&
           planning->hardware.inside.occupies > 0;
}
