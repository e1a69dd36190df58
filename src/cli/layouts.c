/* See layouts.h. */
#include "cli/layouts.h"

#include <float.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "cli/counting.h"
#include "cli/say.h"
#include "pipeline/recompute.h"
#include "train/layout.h"
#include "train/offload.h"

enum { ROWS = 10, NAME = MB_LAYOUTS_NAME, MOST_TRIES = 4 };

/* ---- what is asked */

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
    bool recompute = mb_layout_says_recompute(settings);
    MB_TRY(mb_schedule_parse(mb_settings_text(settings, MB_SET_SCHEDULE), &l->schedule));
    mb_recompute_read(how, &l->schedule);
    if (recompute)
        l->options.recompute = &l->schedule;
    if ((recompute || mb_layout_given(settings, MB_SET_SCHEDULE)) &&
        l->schedule.kind != MB_SCHEDULE_FILE)
        l->options.schedule = &l->schedule;
    return MB_OK;
}

static double limit_of(const mb_planner_options_t *options)
{
    return options->memory > 0 ? options->memory : (double)options->hardware->memory;
}

static mb_status_t none_fits(const mb_layouts_t *l, double limit, double least)
{
    char wanted[32], taken[32];
    return mb_error_set(MB_ERR_MEMORY,
                        "no layout of %d ranks was found that keeps each within %s: the least that "
                        "was counted is %s; use more ranks, a smaller batch or model",
                        l->options.ranks, mb_str_bytes(limit, wanted, sizeof wanted),
                        mb_str_bytes(least, taken, sizeof taken));
}

/* The formulas choose, and what they choose is counted. Where all of that takes more than there is,
 * the next choice is made for less. */
static mb_status_t rank_and_count(const mb_planning_t *p, mb_layouts_t *l)
{
    mb_planner_options_t options = l->options;
    options.fits_cut = mb_args_flag(p->args, "memory") != NULL;
    mb_counting_t counting = {.planning = p,
                              .batch = options.batch,
                              .limit = limit_of(&options),
                              .rows = ROWS,
                              .least = DBL_MAX};
    options.memory = counting.limit;
    for (int i = 0; i < MOST_TRIES; i++) {
        mb_status_t status = mb_planner_rank(&options, l->arena, &l->all, &l->n, &l->least);
        if (status == MB_ERR_MEMORY && i > 0)
            break;
        MB_TRY(status);
        MB_TRY(mb_counting_run(&counting, l->all, &l->n));
        snprintf(l->why, sizeof l->why, "%s", counting.why);
        l->least = counting.least < l->least ? counting.least : l->least;
        if (l->n > 0)
            return MB_OK;
        options.memory *= 0.98 * counting.limit / counting.least;
    }
    return none_fits(l, counting.limit, counting.least);
}

/* A profile is of micro-batches as a run has them; of others its layers take in proportion. */
mb_status_t mb_layouts_find(const mb_planning_t *p, mb_layouts_t *l)
{
    const mb_settings_t *settings = p->args->settings;
    l->arena = p->arena;
    l->options =
        (mb_planner_options_t){.graph = p->model->graph,
                               .hardware = &p->hardware,
                               .ranks = p->grid.ranks,
                               .batch = mb_settings_int(settings, MB_SET_BATCH),
                               .measured = p->profile == NULL ? NULL : p->profile->nodes,
                               .measured_for = p->layout.micro_batch,
                               .stages = (int)mb_settings_int(settings, MB_SET_STAGES),
                               .replicas = (int)mb_settings_int(settings, MB_SET_REPLICAS),
                               .micro_batch = mb_settings_int(settings, MB_SET_MICRO_BATCH)};
    mb_offload_t offload;
    MB_TRY(mb_offload_read(settings, &offload));
    l->options.offloads = offload.activations;
    MB_TRY(mb_layout_zero(settings, &l->options.zero));
    l->options.bucket = mb_settings_real(settings, MB_SET_BUCKET);
    MB_TRY(take_memory(p->args, &l->options.memory));
    MB_TRY(take_schedule(p->args, l));
    MB_TRY(mb_layout_moments(p->model, settings, l->arena, &l->options.moments));
    l->options.copies = mb_planning_copies(p);
    return rank_and_count(p, l);
}

/* ---- text */

static bool names_layers(const mb_candidate_t *c)
{
    return c->layers != NULL || c->schedule.layers != NULL;
}

static void name_again(const mb_candidate_t *c, char *buffer, size_t size)
{
    const char *again = !c->schedule.recomputes ? "" : names_layers(c) ? " +r" : " +R";
    if (c->schedule.segments > 1)
        snprintf(buffer, size, "%s%d", again, c->schedule.segments);
    else
        snprintf(buffer, size, "%s", again);
}

static const char *name_of(const mb_candidate_t *c, char *buffer)
{
    const mb_schedule_choice_t *schedule = &c->schedule;
    const char *name = mb_schedule_name(schedule->kind);
    char again[16];
    bool counts = schedule->kind == MB_SCHEDULE_AUTO && schedule->per_stage > 1;
    name_again(c, again, sizeof again);
    if (counts || schedule->kind == MB_SCHEDULE_INTERLEAVED)
        snprintf(buffer, NAME, "%s:%d%s", name, schedule->per_stage, again);
    else
        snprintf(buffer, NAME, "%s%s", name, again);
    return buffer;
}

static double memory_of(const mb_candidate_t *c)
{
    return c->counted > 0 ? c->counted : c->memory;
}

static double percent(double part, const mb_candidate_t *c)
{
    return c->seconds > 0 ? 100 * part / c->seconds : 0;
}

static void print_row(const mb_candidate_t *c)
{
    char name[NAME], memory[33] = "~", time[32];
    mb_str_bytes(memory_of(c), memory + (c->counted > 0 ? 0 : 1), sizeof memory - 1);
    printf("%9s%8d x %-8d%6d x %-7lld%-16s%7.1f%%%8.1f%%%9.1f%%%12s%8.0f%%\n",
           mb_str_seconds(c->seconds, time, sizeof time), c->stages, c->replicas, c->micros,
           (long long)c->micro_batch, name_of(c, name), percent(c->bubble, c),
           percent(c->reduce, c), percent(c->messages, c), memory, 100 * c->efficiency);
}

static void explain(const mb_layouts_t *l)
{
    const char *part = NULL;
    mb_candidate_part_t own[MB_CANDIDATE_PARTS];
    const mb_candidate_t *best = &l->all[0], *other = mb_planner_rival(l->all, l->n, &part);
    int most = 1;
    mb_planner_split(best, own);
    for (int i = 2; i < MB_CANDIDATE_PARTS; i++)
        most = own[i].seconds > own[most].seconds ? i : most;
    if (other != NULL)
        printf(
            "The first is %.1f%% faster than the best with other stages (%d x %d): less of %s.\n",
            100 * (other->seconds / best->seconds - 1), other->stages, other->replicas, part);
    most = own[most].seconds < 0.03 * best->seconds ? 0 : most;
    printf("Faster: %s (%s takes %.1f%% of a step).\n", own[most].remedy, own[most].name,
           percent(own[most].seconds, best));
}

/* What the memory is of that is not counted. */
static void say_counted(const mb_layouts_t *l)
{
    bool all = true;
    for (int i = 0; i < l->n && i < ROWS; i++)
        all = all && l->all[i].counted > 0;
    if (!all)
        printf("~: of a formula, not counted%s%s\n", l->why[0] == '\0' ? "" : ": ", l->why);
}

void mb_layouts_print(const mb_layouts_t *l)
{
    printf("\nLayouts of %d ranks on %s, %lld samples a step, predicted; %d fit\n",
           l->options.ranks, l->options.hardware->name, (long long)l->options.batch, l->n);
    printf("%9s%20s%17s%-13s%8s%9s%10s%12s%9s\n", "step", "stages x replicas", "micro-batches  ",
           "schedule", "bubble", "reduce", "messages", "memory", "busy");
    for (int i = 0; i < l->n && i < ROWS; i++)
        print_row(&l->all[i]);
    say_counted(l);
    explain(l);
}

/* ---- JSON */

const char *mb_layouts_recompute(const mb_layouts_t *l, const mb_candidate_t *c, char *buffer)
{
    const char *text = NULL;
    if (!c->schedule.recomputes)
        return "none";
    if (!names_layers(c))
        return mb_recompute_full(c->schedule.segments, buffer, NAME);
    if (c->schedule.layers == NULL)
        text = mb_recompute_text(l->options.graph, c->layers, l->arena);
    return c->schedule.layers != NULL ? c->schedule.layers : text == NULL ? "" : text;
}

const char *mb_layouts_schedule(const mb_candidate_t *c, char *buffer)
{
    mb_candidate_t plain = *c;
    plain.schedule.recomputes = false;
    plain.schedule.segments = 0;
    return name_of(&plain, buffer);
}

static json_t *row_json(const mb_layouts_t *l, const mb_candidate_t *c)
{
    char name[NAME], again[NAME];
    return json_pack(
        "{s:i, s:i, s:i, s:i, s:I, s:i, s:s, s:s, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:b, "
        "s:f, s:f}",
        "stages", c->stages, "replicas", c->replicas, "groups", c->groups, "idle", c->idle,
        "micro_batch", (json_int_t)c->micro_batch, "micro_batches", c->micros, "schedule",
        mb_layouts_schedule(c, name), "recompute", mb_layouts_recompute(l, c, again), "seconds",
        c->seconds, "compute", c->compute, "bubble", c->bubble, "messages", c->messages, "reduce",
        c->reduce, "update", c->update, "memory", memory_of(c), "memory_counted", c->counted > 0,
        "memory_formula", c->memory, "efficiency", c->efficiency);
}

json_t *mb_layouts_json(const mb_layouts_t *l)
{
    json_t *rows = json_array();
    for (int i = 0; rows != NULL && i < l->n && i < ROWS; i++)
        json_array_append_new(rows, row_json(l, &l->all[i]));
    return json_pack("{s:s, s:i, s:f, s:o}", "hardware", l->options.hardware->name, "fit", l->n,
                     "least_memory", l->least, "best", rows);
}
