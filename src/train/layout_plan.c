/* The planner, asked by a run's settings. See layout.h. */
#include <stdio.h>

#include "model/optimizer.h"
#include "pipeline/recompute.h"
#include "train/layout.h"
#include "train/offload.h"

bool mb_layout_given(const mb_settings_t *settings, mb_setting_id_t id)
{
    return settings->origin[id] >= MB_FROM_FILE;
}

bool mb_layout_says_recompute(const mb_settings_t *settings)
{
    const char *how = mb_settings_text(settings, MB_SET_RECOMPUTE);
    return mb_layout_given(settings, MB_SET_RECOMPUTE) && !mb_recompute_is_open(how);
}

static bool is_open(const mb_settings_t *settings)
{
    return !mb_layout_given(settings, MB_SET_SCHEDULE) && !mb_layout_says_recompute(settings);
}

mb_status_t mb_layout_moments(const mb_model_t *model, const mb_settings_t *settings,
                              mb_arena_t *arena, int *moments)
{
    const char *spec = mb_settings_text(settings, MB_SET_OPTIMIZER);
    const json_t *config = json_object_get(model->training, "optimizer_config");
    mb_optimizer_t *optimizer;
    mb_offload_t offload;
    *moments = 0;
    MB_TRY(mb_offload_read(settings, &offload));
    if (spec == NULL && config == NULL)
        return MB_OK;
    MB_TRY(mb_optimizer_create(config, spec, model->file->path, arena, &optimizer));
    *moments = offload.moments ? 0 : optimizer->n_slots;
    mb_optimizer_destroy(optimizer);
    return MB_OK;
}

/* The default hardware keeps the choice of replicas and micro-batch, which the bits depend on, the
 * same on any machine. */
mb_status_t mb_layout_rank(const mb_model_t *model, const mb_settings_t *settings,
                           const mb_layout_wish_t *wish, mb_arena_t *arena, mb_candidate_t **all,
                           int *n, double *least)
{
    mb_schedule_choice_t asked;
    mb_hardware_t hardware = mb_hardware_default();
    mb_planner_options_t options = {.graph = model->graph,
                                    .hardware = &hardware,
                                    .ranks = wish->ranks.ranks,
                                    .batch = wish->batch,
                                    .memory = wish->ranks.memory,
                                    .moments = wish->moments,
                                    .copies = wish->copies};
    mb_offload_t offload;
    hardware.devices_per_node = wish->ranks.local;
    MB_TRY(mb_offload_read(settings, &offload));
    options.offloads = offload.activations;
    MB_TRY(mb_layout_zero(settings, &options.zero));
    options.bucket = mb_settings_real(settings, MB_SET_BUCKET);
    MB_TRY(mb_schedule_parse(mb_settings_text(settings, MB_SET_SCHEDULE), &asked));
    mb_recompute_read(mb_settings_text(settings, MB_SET_RECOMPUTE), &asked);
    options.fits_cut = wish->fits_cut;
    options.stages = (int)mb_settings_int(settings, MB_SET_STAGES);
    options.replicas = (int)mb_settings_int(settings, MB_SET_REPLICAS);
    options.micro_batch = mb_settings_int(settings, MB_SET_MICRO_BATCH);
    options.schedule = is_open(settings) ? NULL : &asked;
    options.recompute = wish->open_recompute ? NULL : &asked;
    return mb_planner_rank(&options, arena, all, n, least);
}

mb_status_t mb_layout_name_schedule(const mb_layout_t *layout, mb_settings_t *settings)
{
    char name[32];
    const mb_schedule_choice_t *schedule = &layout->schedule;
    if (!is_open(settings))
        return MB_OK;
    if (schedule->kind == MB_SCHEDULE_INTERLEAVED)
        snprintf(name, sizeof name, "interleaved:%d", schedule->per_stage);
    else
        snprintf(name, sizeof name, "%s", mb_schedule_name(schedule->kind));
    return mb_settings_set(settings, "schedule", name, MB_FROM_DEFAULT);
}

void mb_layout_take(mb_layout_t *layout, const mb_candidate_t *c)
{
    layout->stages = c->stages;
    layout->groups = c->groups;
    layout->replicas = c->replicas;
    layout->idle = c->idle;
    layout->micro_batch = c->micro_batch;
    layout->micros = c->micros / ((c->replicas + c->groups - 1) / c->groups);
    layout->schedule = c->schedule;
    layout->cuts = c->cuts;
    layout->by_memory = c->by_memory;
}
