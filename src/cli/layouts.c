/* See layouts.h. */
#include "cli/layouts.h"

#include <float.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "cli/say.h"
#include "model/optimizer.h"
#include "pipeline/recompute.h"
#include "train/layout.h"

enum { ROWS = 10, NAME = 32 };

/* ---- what is asked */

static bool given(const mb_settings_t *settings, mb_setting_id_t id)
{
    return settings->origin[id] >= MB_FROM_FILE;
}

/* What the model was compiled with keeps of a parameter; nothing, as SGD, where nobody says. */
static mb_status_t count_moments(const mb_args_t *args, const mb_model_t *model, mb_arena_t *arena,
                                 int *moments)
{
    const mb_settings_t *settings = args->settings;
    const char *spec = mb_settings_text(settings, MB_SET_OPTIMIZER);
    const json_t *config = json_object_get(model->training, "optimizer_config");
    mb_optimizer_t *optimizer;
    *moments = 0;
    if (spec == NULL && config == NULL)
        return MB_OK;
    MB_TRY(mb_optimizer_create(config, spec, model->file->path, arena, &optimizer));
    *moments = optimizer->n_slots;
    mb_optimizer_destroy(optimizer);
    return MB_OK;
}

static mb_status_t take_memory(const mb_args_t *args, double *memory)
{
    const char *text = mb_args_flag(args, "memory");
    *memory = mb_args_flag(args, "hardware") == NULL ? DBL_MAX : 0;
    if (text == NULL || (mb_str_parse_bytes(text, memory) && *memory > 0))
        return MB_OK;
    return mb_error_set(MB_ERR_ARGUMENT, "--memory '%s' is not a size like 80G or 512MiB", text);
}

static mb_status_t take_schedule(const mb_args_t *args, mb_layouts_t *l)
{
    const mb_settings_t *settings = args->settings;
    const char *how = mb_settings_text(settings, MB_SET_RECOMPUTE);
    bool recompute = given(settings, MB_SET_RECOMPUTE) && !mb_recompute_is_open(how);
    MB_TRY(mb_schedule_parse(mb_settings_text(settings, MB_SET_SCHEDULE), &l->schedule));
    mb_recompute_read(how, &l->schedule);
    if (recompute)
        l->options.recompute = &l->schedule;
    if ((recompute || given(settings, MB_SET_SCHEDULE)) && l->schedule.kind != MB_SCHEDULE_FILE)
        l->options.schedule = &l->schedule;
    return MB_OK;
}

mb_status_t mb_layouts_find(const mb_args_t *args, const mb_model_t *model, int ranks,
                            mb_arena_t *arena, mb_layouts_t *l)
{
    const mb_settings_t *settings = args->settings;
    const char *file = mb_args_flag(args, "hardware");
    l->arena = arena;
    l->hardware = mb_hardware_default();
    if (file != NULL)
        MB_TRY(mb_hardware_read(file, &l->hardware));
    l->options =
        (mb_planner_options_t){.graph = model->graph,
                               .hardware = &l->hardware,
                               .ranks = ranks,
                               .batch = mb_settings_int(settings, MB_SET_BATCH),
                               .stages = (int)mb_settings_int(settings, MB_SET_STAGES),
                               .replicas = (int)mb_settings_int(settings, MB_SET_REPLICAS),
                               .micro_batch = mb_settings_int(settings, MB_SET_MICRO_BATCH)};
    MB_TRY(mb_layout_shares_out(settings, &l->options.shares_out));
    MB_TRY(take_memory(args, &l->options.memory));
    MB_TRY(take_schedule(args, l));
    MB_TRY(count_moments(args, model, arena, &l->options.moments));
    return mb_planner_rank(&l->options, arena, &l->all, &l->n, &l->least);
}

/* ---- text */

static bool names_layers(const mb_candidate_t *c)
{
    return c->layers != NULL || c->schedule.layers != NULL;
}

static const char *name_of(const mb_candidate_t *c, char *buffer)
{
    const mb_schedule_choice_t *schedule = &c->schedule;
    const char *name = mb_schedule_name(schedule->kind);
    const char *again = !c->schedule.recomputes ? "" : names_layers(c) ? " +r" : " +R";
    bool counts = schedule->kind == MB_SCHEDULE_AUTO && schedule->per_stage > 1;
    if (counts || schedule->kind == MB_SCHEDULE_INTERLEAVED)
        snprintf(buffer, NAME, "%s:%d%s", name, schedule->per_stage, again);
    else
        snprintf(buffer, NAME, "%s%s", name, again);
    return buffer;
}

static double percent(double part, const mb_candidate_t *c)
{
    return c->seconds > 0 ? 100 * part / c->seconds : 0;
}

static void print_row(const mb_candidate_t *c)
{
    char name[NAME], memory[32], time[32];
    printf("%9s%8d x %-8d%6d x %-7lld%-16s%7.1f%%%8.1f%%%9.1f%%%12s%8.0f%%\n",
           mb_str_seconds(c->seconds, time, sizeof time), c->stages, c->replicas, c->micros,
           (long long)c->micro_batch, name_of(c, name), percent(c->bubble, c),
           percent(c->reduce, c), percent(c->messages, c),
           mb_str_bytes(c->memory, memory, sizeof memory), 100 * c->efficiency);
}

/* The fastest with another number of stages. */
static const mb_candidate_t *rival(const mb_layouts_t *l)
{
    for (int i = 1; i < l->n; i++) {
        if (l->all[i].stages != l->all[0].stages)
            return &l->all[i];
    }
    return NULL;
}

typedef struct {
    const char *name, *remedy;
    double seconds;
} part_t;

enum { PARTS = 6 };

static void split(const mb_candidate_t *c, part_t parts[PARTS])
{
    double even = c->imbalance > 0 ? c->compute / c->imbalance : c->compute;
    parts[0] = (part_t){"computing", "more or faster devices", even};
    parts[1] = (part_t){"uneven stages", "other stages: no cut of this model is more even",
                        c->compute - even};
    parts[2] = (part_t){"filling and emptying the pipeline",
                        "a larger batch, which has more micro-batches", c->bubble};
    parts[3] = (part_t){"messages between stages",
                        "faster links between stages, or larger micro-batches", c->messages};
    parts[4] = (part_t){"summing gradients over replicas",
                        "faster links between nodes, or a larger batch", c->reduce};
    parts[5] =
        (part_t){"the optimizer's pass", "a larger batch, which has fewer of them", c->update};
}

static void explain(const mb_layouts_t *l)
{
    part_t own[PARTS], its[PARTS];
    const mb_candidate_t *best = &l->all[0], *other = rival(l);
    int most = 0, saved = 0;
    split(best, own);
    for (int i = 1; i < PARTS; i++)
        most = own[i].seconds > own[most].seconds || most == 0 ? i : most;
    if (other != NULL) {
        split(other, its);
        for (int i = 1; i < PARTS; i++) {
            double gain = its[i].seconds - own[i].seconds;
            saved = gain > its[saved].seconds - own[saved].seconds ? i : saved;
        }
        printf(
            "The first is %.1f%% faster than the best with other stages (%d x %d): less of %s.\n",
            100 * (other->seconds / best->seconds - 1), other->stages, other->replicas,
            own[saved].name);
    }
    bool computes = own[most].seconds < 0.03 * best->seconds;
    printf("Faster: %s (%s takes %.1f%% of a step).\n", own[computes ? 0 : most].remedy,
           own[computes ? 0 : most].name, percent(own[computes ? 0 : most].seconds, best));
}

void mb_layouts_print(const mb_layouts_t *l)
{
    printf("\nLayouts of %d ranks on %s, %lld samples a step, predicted; %d fit\n",
           l->options.ranks, l->hardware.name, (long long)l->options.batch, l->n);
    printf("%9s%20s%17s%-13s%8s%9s%10s%12s%9s\n", "step", "stages x replicas", "micro-batches  ",
           "schedule", "bubble", "reduce", "messages", "memory", "busy");
    for (int i = 0; i < l->n && i < ROWS; i++)
        print_row(&l->all[i]);
    explain(l);
}

/* ---- JSON */

static const char *recompute_of(const mb_layouts_t *l, const mb_candidate_t *c)
{
    const char *text = NULL;
    if (!c->schedule.recomputes || !names_layers(c))
        return c->schedule.recomputes ? "full" : "none";
    if (c->schedule.layers == NULL)
        text = mb_recompute_text(l->options.graph, c->layers, l->arena);
    return c->schedule.layers != NULL ? c->schedule.layers : text == NULL ? "" : text;
}

static json_t *row_json(const mb_layouts_t *l, const mb_candidate_t *c)
{
    char name[NAME];
    mb_candidate_t plain = *c;
    plain.schedule.recomputes = false;
    return json_pack(
        "{s:i, s:i, s:i, s:i, s:I, s:i, s:s, s:s, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f}",
        "stages", c->stages, "replicas", c->replicas, "groups", c->groups, "idle", c->idle,
        "micro_batch", (json_int_t)c->micro_batch, "micro_batches", c->micros, "schedule",
        name_of(&plain, name), "recompute", recompute_of(l, c), "seconds", c->seconds, "compute",
        c->compute, "bubble", c->bubble, "messages", c->messages, "reduce", c->reduce, "update",
        c->update, "memory", c->memory, "efficiency", c->efficiency);
}

json_t *mb_layouts_json(const mb_layouts_t *l)
{
    json_t *rows = json_array();
    for (int i = 0; rows != NULL && i < l->n && i < ROWS; i++)
        json_array_append_new(rows, row_json(l, &l->all[i]));
    return json_pack("{s:s, s:i, s:f, s:o}", "hardware", l->hardware.name, "fit", l->n,
                     "least_memory", l->least, "best", rows);
}
