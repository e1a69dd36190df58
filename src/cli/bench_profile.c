/* See bench_profile.h. */
#include "cli/bench_profile.h"

#include <stdio.h>

#include "base/str.h"
#include "engine/engine.h"
#include "engine/profile.h"
#include "train/layout.h"

/* Long enough for the median not to be that of a moment. */
static const double SECONDS = 2;

static void say(const mb_model_t *model, const mb_layout_t *layout, const mb_profile_t *profile)
{
    mb_node_cost_t all = {0};
    char forward[32], input[32], weights[32];
    for (int i = 0; i < profile->n_nodes; i++) {
        all.forward += profile->nodes[i].forward;
        all.backward_input += profile->nodes[i].backward_input;
        all.backward_weights += profile->nodes[i].backward_weights;
    }
    printf(
        "layers     %s, a micro-batch of %lld: forward %s, back %s for the inputs and %s for the "
        "weights\n",
        model->file->path, (long long)layout->micro_batch,
        mb_str_seconds(all.forward, forward, sizeof forward),
        mb_str_seconds(all.backward_input, input, sizeof input),
        mb_str_seconds(all.backward_weights, weights, sizeof weights));
}

static mb_status_t write(const mb_model_t *model, const mb_machine_t *machine,
                         const mb_layout_t *layout, const mb_profile_t *profile, const char *path)
{
    char key[512];
    snprintf(key, sizeof key, "mbrun bench; %s; %d threads; %d ranks a node; micro-batches of %lld",
             machine->description, machine->threads, mb_comm_local_size(machine->comm),
             (long long)layout->micro_batch);
    return mb_profile_write(profile, model->graph, key, path);
}

static mb_status_t measure(const mb_job_t *job, mb_machine_t *machine, const mb_model_t *model,
                           const mb_layout_t *layout, const char *path)
{
    mb_profile_t *profile = NULL;
    const mb_engine_options_t options = {.machine = machine,
                                         .graph = model->graph,
                                         .losses = model->losses,
                                         .stages = layout->stages,
                                         .replicas = layout->replicas,
                                         .micro_batch = layout->micro_batch};
    mb_status_t status = mb_profile_create(model->graph, &profile);
    MB_TRY(mb_comm_agree(job->comm, status));
    status = mb_profile_measure(&options, SECONDS, profile);
    if (status == MB_OK && job->rank == 0)
        status = write(model, machine, layout, profile, path);
    if (status == MB_OK && job->rank == 0)
        say(model, layout, profile);
    mb_profile_destroy(profile);
    return mb_comm_agree(job->comm, status);
}

static mb_status_t open(const mb_job_t *job, const mb_args_t *args, mb_model_t **model,
                        mb_source_t **source)
{
    mb_settings_t *settings = args->settings;
    const mb_model_request_t request = {
        .path = args->words[0],
        .data = {.path = mb_settings_text(settings, MB_SET_DATA),
                 .label = mb_settings_text(settings, MB_SET_LABEL),
                 .label_given = settings->origin[MB_SET_LABEL] == MB_FROM_USER},
        .dtype = mb_settings_text(settings, MB_SET_DTYPE),
        .purpose = MB_MODEL_TRAINS};
    return mb_model_open_with_data(job->comm, &request, model, source);
}

mb_status_t mb_bench_profile(const mb_job_t *job, const mb_args_t *args, mb_machine_t *machine,
                             const char *path)
{
    mb_model_t *model = NULL;
    mb_source_t *source = NULL;
    mb_layout_t layout;
    mb_settings_t *settings = args->settings;
    const mb_layout_ranks_t ranks = {job->size, mb_comm_local_size(job->comm),
                                     (double)mb_machine_memory(machine)};
    MB_TRY(open(job, args, &model, &source));
    mb_status_t status = mb_settings_take_file(settings, model->file);
    if (status == MB_OK)
        status = mb_model_compile(model, mb_settings_text(settings, MB_SET_LOSS));
    if (status == MB_OK)
        status = mb_layout_choose(model, settings, &ranks, &layout);
    status = mb_comm_agree(job->comm, status);
    if (status == MB_OK)
        status = measure(job, machine, model, &layout, path);
    mb_source_close(source);
    mb_model_close(model);
    return status;
}
