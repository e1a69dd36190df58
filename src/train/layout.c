/* See layout.h. */
#include "train/layout.h"

#include "base/host_memory.h"
#include "pipeline/recompute.h"
#include "train/offload.h"

#include <float.h>
#include <stdio.h>
#include <string.h>

static mb_status_t choose_schedule(const mb_model_t *model, const mb_settings_t *settings,
                                   mb_schedule_choice_t *schedule)
{
    MB_TRY(mb_schedule_parse(mb_settings_text(settings, MB_SET_SCHEDULE), schedule));
    mb_recompute_read(mb_settings_text(settings, MB_SET_RECOMPUTE), schedule);
    return mb_recompute_check(model->graph, schedule, model->file->path);
}

static mb_status_t check_replicas(const mb_settings_t *settings)
{
    int64_t replicas = mb_settings_int(settings, MB_SET_REPLICAS);
    if (replicas <= 1 << 20)
        return MB_OK;
    return mb_error_set(MB_ERR_ARGUMENT, "replicas=%lld: more than %d make no sense here",
                        (long long)replicas, 1 << 20);
}

static mb_status_t check_chunks(const mb_model_t *model, const mb_settings_t *settings, int nodes,
                                int per_stage)
{
    if (per_stage <= nodes)
        return MB_OK;
    return mb_error_set(MB_ERR_ARGUMENT,
                        "%s: the model has %d nodes that compute, and schedule %s cuts a stage "
                        "into %d chunks",
                        model->file->path, nodes, mb_settings_text(settings, MB_SET_SCHEDULE),
                        per_stage);
}

/* What no number of ranks could do. */
static mb_status_t check_asked(const mb_model_t *model, const mb_settings_t *settings, int ranks,
                               const mb_layout_t *layout)
{
    int nodes = mb_plan_max_stages(model->graph);
    int per_stage = mb_schedule_chunks(&layout->schedule, 1);
    int most = per_stage > 1 ? nodes / per_stage : nodes;
    int64_t stages = mb_settings_int(settings, MB_SET_STAGES);
    MB_TRY(check_chunks(model, settings, nodes, per_stage));
    MB_TRY(check_replicas(settings));
    if (stages > ranks)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "%lld stages need %lld ranks, and there are %d: use --stages %d, or "
                            "mpirun -np %lld",
                            (long long)stages, (long long)stages, ranks,
                            ranks < most ? ranks : most, (long long)stages);
    if (stages <= most)
        return MB_OK;
    return mb_error_set(
        MB_ERR_ARGUMENT,
        "%s: the model has %d nodes that compute, so at most %d stages%s, not %lld; "
        "use --stages %d",
        model->file->path, nodes, most, per_stage > 1 ? " of several chunks" : "",
        (long long)stages, most);
}

/* Bytes of one sample's tensors and saved values. */
static double sample_bytes(const mb_graph_t *graph)
{
    double bytes = 0;
    for (int i = 0; i < graph->n_nodes; i++) {
        const mb_node_t *node = &graph->nodes[i];
        mb_memory_t memory = {.saved_bytes = 0};
        if (!node->is_input)
            graph->layers[node->layer]->class_->memory(&node->call, 1, &memory);
        bytes += 2.0 * 4.0 * (double)mb_shape_elements(&node->call.output) +
                 (double)(memory.saved_bytes + memory.carry_bytes);
    }
    return bytes;
}

static int64_t fitting(const mb_graph_t *graph, int64_t samples, int local_ranks)
{
    double memory = (double)mb_host_memory();
    double each = sample_bytes(graph), room = memory / 2 / (local_ranks > 0 ? local_ranks : 1);
    while (samples > 1 && each * (double)samples > room)
        samples = (samples + 1) / 2;
    return samples;
}

/* One that the model says, where its layers keep states, stands for what nobody says. */
static mb_status_t choose_batch(const mb_model_t *model, const mb_settings_t *settings,
                                int64_t *batch)
{
    *batch = mb_settings_int(settings, MB_SET_BATCH);
    if (!model->graph->keeps_states)
        return MB_OK;
    if (settings->origin[MB_SET_BATCH] >= MB_FROM_FILE)
        return mb_model_check_batch(model, *batch);
    *batch = model->graph->batch;
    return MB_OK;
}

/* A file's schedule is for its number of stages, which whoever wrote it gives; else all ranks. */
static void take_stages(const mb_settings_t *settings, int ranks, mb_layout_t *layout)
{
    int64_t stages = mb_settings_int(settings, MB_SET_STAGES);
    int64_t replicas = mb_settings_int(settings, MB_SET_REPLICAS);
    int shared_by = replicas > 0 && replicas < ranks ? (int)replicas : 1;
    layout->stages = stages > 0 ? (int)stages : ranks / shared_by;
    layout->groups = ranks / layout->stages;
    layout->replicas = replicas > 0 ? (int)replicas : layout->groups;
    layout->groups = layout->groups < layout->replicas ? layout->groups : layout->replicas;
    layout->idle = ranks - layout->stages * layout->groups;
}

static mb_status_t take_sizes(const mb_model_t *model, const mb_settings_t *settings,
                              int local_ranks, mb_layout_t *layout)
{
    int64_t samples = (layout->batch + layout->replicas - 1) / layout->replicas;
    layout->micro_batch = mb_settings_int(settings, MB_SET_MICRO_BATCH);
    if (layout->micro_batch == 0) {
        int64_t micros = layout->stages > 1 ? 2 * layout->stages : 1;
        layout->micro_batch = fitting(model->graph, (samples + micros - 1) / micros, local_ranks);
    }
    int64_t micros = (samples + layout->micro_batch - 1) / layout->micro_batch;
    if (micros * layout->replicas > 1 << 24)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "batch %lld in micro-batches of %lld: too many micro-batches",
                            (long long)layout->batch, (long long)layout->micro_batch);
    layout->micros = (int)micros;
    return MB_OK;
}

static void say_why(const mb_candidate_t *all, int n, mb_layout_t *layout)
{
    const char *part = NULL;
    const mb_candidate_t *other = mb_planner_rival(all, n, &part);
    if (other != NULL)
        snprintf(layout->why, sizeof layout->why,
                 "predicted %.1f%% faster than %d stage%s x %d (less of %s); --stages and "
                 "--replicas choose another",
                 100 * (other->seconds / all->seconds - 1), other->stages,
                 other->stages == 1 ? "" : "s", other->replicas, part);
}

/* Where nothing fits, what takes least is tried: not where the planner itself finds no memory,
 * which the other ranks, planning the same, may have. */
static mb_status_t rank_within(const mb_model_t *model, const mb_settings_t *settings,
                               mb_layout_wish_t *wish, mb_arena_t *arena, mb_candidate_t **all,
                               int *n)
{
    double least = 0;
    mb_status_t status = mb_layout_rank(model, settings, wish, arena, all, n, &least);
    if (status != MB_ERR_MEMORY || least == 0)
        return status;
    wish->ranks.memory = DBL_MAX;
    MB_TRY(mb_layout_rank(model, settings, wish, arena, all, n, &least));
    wish->ranks.memory = least;
    return mb_layout_rank(model, settings, wish, arena, all, n, &least);
}

static mb_status_t plan(const mb_model_t *model, const mb_settings_t *settings,
                        const mb_layout_ranks_t *ranks, mb_arena_t *arena, mb_layout_t *layout)
{
    int n = 0;
    mb_candidate_t *all;
    mb_layout_wish_t wish = {.ranks = *ranks, .batch = layout->batch};
    if (wish.ranks.memory <= 0)
        wish.ranks.memory = (double)mb_host_memory() / ranks->local;
    MB_TRY(mb_layout_moments(model, settings, arena, &wish.moments));
    MB_TRY(rank_within(model, settings, &wish, arena, &all, &n));
    mb_layout_take(layout, all);
    say_why(all, n, layout);
    return MB_OK;
}

static mb_status_t plan_in_arena(const mb_model_t *model, const mb_settings_t *settings,
                                 const mb_layout_ranks_t *ranks, mb_layout_t *layout)
{
    mb_arena_t *arena = mb_arena_create();
    if (arena == NULL)
        return mb_error_memory("a layout", 0);
    mb_status_t status = plan(model, settings, ranks, arena, layout);
    mb_arena_destroy(arena);
    return status;
}

mb_status_t mb_layout_choose(const mb_model_t *model, const mb_settings_t *settings,
                             const mb_layout_ranks_t *ranks, mb_layout_t *layout)
{
    *layout = (mb_layout_t){0};
    MB_TRY(choose_schedule(model, settings, &layout->schedule));
    MB_TRY(choose_batch(model, settings, &layout->batch));
    MB_TRY(check_asked(model, settings, ranks->ranks, layout));
    if (ranks->ranks > 1 && layout->schedule.kind != MB_SCHEDULE_FILE)
        return plan_in_arena(model, settings, ranks, layout);
    take_stages(settings, ranks->ranks, layout);
    return take_sizes(model, settings, ranks->local, layout);
}

mb_machine_options_t mb_layout_machine(const mb_settings_t *settings)
{
    const char *bind = mb_settings_text(settings, MB_SET_BIND);
    const char *dtype = mb_settings_text(settings, MB_SET_DTYPE);
    return (mb_machine_options_t){.device = mb_settings_text(settings, MB_SET_DEVICE),
                                  .threads = (int)mb_settings_int(settings, MB_SET_THREADS),
                                  .keep_binding = strcmp(bind, "keep") == 0,
                                  .tf32 = dtype != NULL && strcmp(dtype, "tf32") == 0,
                                  .emulate = mb_settings_on(settings, MB_SET_EMULATE),
                                  .share_device = mb_settings_on(settings, MB_SET_SHARE_DEVICE),
                                  .transport = mb_settings_text(settings, MB_SET_TRANSPORT),
                                  .reduce = mb_settings_text(settings, MB_SET_REDUCE)};
}

mb_status_t mb_layout_zero(const mb_settings_t *settings, int *stage)
{
    const char *text = mb_settings_text(settings, MB_SET_ZERO);
    *stage = strlen(text) == 1 ? text[0] - '0' : -1;
    if (*stage >= 0 && *stage <= 2)
        return MB_OK;
    return mb_error_set(MB_ERR_ARGUMENT,
                        "zero=%s: there are 0, 1 (the optimizer's state shared out) and 2 (summed "
                        "gradients, too); weights (3) stay whole",
                        text);
}

mb_status_t mb_layout_engine(const mb_model_t *model, const mb_settings_t *settings,
                             const mb_layout_t *layout, mb_engine_options_t *out)
{
    mb_offload_t offload;
    MB_TRY(mb_offload_read(settings, &offload));
    *out = (mb_engine_options_t){.graph = model->graph,
                                 .losses = model->losses,
                                 .stages = layout->stages,
                                 .replicas = layout->replicas,
                                 .micro_batch = layout->micro_batch,
                                 .micros_per_replica = layout->micros,
                                 .schedule = layout->schedule,
                                 .cuts = layout->cuts,
                                 .training = true,
                                 .bucket_bytes = (size_t)mb_settings_real(settings, MB_SET_BUCKET),
                                 .offloads = offload.activations};
    return mb_layout_zero(settings, &out->zero);
}

/* Gradients of a layer's calls are added when each is summed, wherever they stand. */
static mb_status_t check_calls(const mb_model_t *model)
{
    const mb_graph_t *graph = model->graph;
    for (int n = 0; n < graph->n_nodes; n++) {
        const mb_layer_t *layer = graph->layers[graph->nodes[n].layer];
        for (int other = 0; other < n && layer->n_params > 0; other++) {
            if (graph->nodes[other].layer == graph->nodes[n].layer)
                return mb_error_set(MB_ERR_UNSUPPORTED,
                                    "%s: zero=2: layer '%s' is called more than once, and the "
                                    "gradients of its calls are added as whole sums; use --zero 1",
                                    model->file->path, layer->path);
        }
    }
    return MB_OK;
}

mb_status_t mb_layout_check_zero(const mb_model_t *model, const mb_settings_t *settings,
                                 const mb_layout_t *layout)
{
    int stage, of_group = (layout->replicas + layout->groups - 1) / layout->groups;
    MB_TRY(mb_layout_zero(settings, &stage));
    if (stage < 2 || layout->groups == 1)
        return MB_OK;
    MB_TRY(check_calls(model));
    return layout->micros * of_group == 1
               ? MB_OK
               : mb_planner_refuse_zero(layout->groups, layout->micros * of_group, layout->batch);
}

mb_status_t mb_layout_activations(const mb_settings_t *settings, bool *integer)
{
    const char *text = mb_settings_text(settings, MB_SET_ACTIVATIONS);
    *integer = strcmp(text, "auto") == 0;
    if (*integer || strcmp(text, "float") == 0)
        return MB_OK;
    return mb_error_set(MB_ERR_ARGUMENT,
                        "activations=%s: there are auto (8 bits where weights are int8 and rows "
                        "are many) and float",
                        text);
}

/* Micro-batches of a step: each is a replica, so that any number of groups up to this shares them
 * out, and they are added in one order. */
enum { MOST_MICROS = 64 };

/* The steps are equally long, so that the last one, too, occupies all groups. */
static void fit_pass(mb_layout_t *layout, int64_t samples, int ranks)
{
    int64_t micros = (samples + layout->micro_batch - 1) / layout->micro_batch;
    int64_t steps = (micros + MOST_MICROS - 1) / MOST_MICROS;
    layout->replicas = steps > 0 ? (int)((micros + steps - 1) / steps) : 1;
    layout->micros = 1;
    layout->step = layout->replicas * layout->micro_batch;
    layout->groups = ranks / layout->stages;
    if (layout->groups > layout->replicas)
        layout->groups = layout->replicas;
    layout->idle = ranks - layout->stages * layout->groups;
}

/* The same where a step must be a batch, whose rows keep states. */
static void fit_batches(mb_layout_t *layout, int ranks)
{
    int64_t micros = (layout->batch + layout->micro_batch - 1) / layout->micro_batch;
    fit_pass(layout, micros <= MOST_MICROS ? layout->batch : MOST_MICROS * layout->micro_batch,
             ranks);
    layout->micros = (int)((micros + layout->replicas - 1) / layout->replicas);
    layout->step = layout->batch;
}

mb_status_t mb_layout_choose_pass(const mb_model_t *model, const mb_settings_t *settings,
                                  const mb_layout_ranks_t *ranks, int64_t samples,
                                  mb_layout_t *layout)
{
    MB_TRY(mb_layout_choose(model, settings, ranks, layout));
    MB_TRY(mb_layout_activations(settings, &layout->integer));
    if (mb_settings_has(settings, MB_SET_REPLICAS) || mb_settings_has(settings, MB_SET_MICRO_BATCH))
        return MB_OK;
    int64_t most = layout->batch < samples ? layout->batch : samples;
    layout->micro_batch = fitting(model->graph, most > 0 ? most : 1, 1);
    if (model->graph->keeps_states)
        fit_batches(layout, ranks->ranks);
    else
        fit_pass(layout, samples, ranks->ranks);
    return MB_OK;
}
