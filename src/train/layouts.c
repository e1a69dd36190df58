/* See layouts.h. */
#include "train/layouts.h"

#include <float.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "pipeline/recompute.h"
#include "train/counting.h"
#include "train/layout.h"
#include "train/offload.h"

enum { ROWS = MB_LAYOUTS_ROWS, NAME = MB_LAYOUTS_NAME, MOST_TRIES = 4 };

/* ---- what is asked */

static mb_status_t take_memory(const mb_planning_request_t *request, double *memory)
{
    const char *text = request->memory;
    *memory = request->hardware == NULL ? DBL_MAX : 0;
    if (text == NULL || (mb_str_parse_bytes(text, memory) && *memory > 0))
        return MB_OK;
    return mb_error_set(MB_ERR_ARGUMENT, "--memory '%s' is not a size like 80G or 512MiB", text);
}

static mb_status_t take_schedule(const mb_settings_t *settings, mb_layouts_t *l)
{
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
    options.fits_cut = p->request.memory != NULL;
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
    const mb_settings_t *settings = p->request.settings;
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
    MB_TRY(take_memory(&p->request, &l->options.memory));
    MB_TRY(take_schedule(settings, l));
    MB_TRY(mb_layout_moments(p->model, settings, l->arena, &l->options.moments));
    l->options.copies = mb_planning_copies(p);
    return rank_and_count(p, l);
}

/* ---- names and numbers */

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

const char *mb_layouts_name(const mb_candidate_t *c, char *buffer)
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

double mb_layouts_memory(const mb_candidate_t *c)
{
    return c->counted > 0 ? c->counted : c->memory;
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
    return mb_layouts_name(&plain, buffer);
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
        c->reduce, "update", c->update, "memory", mb_layouts_memory(c), "memory_counted",
        c->counted > 0, "memory_formula", c->memory, "efficiency", c->efficiency);
}

json_t *mb_layouts_json(const mb_layouts_t *l)
{
    json_t *rows = json_array();
    for (int i = 0; rows != NULL && i < l->n && i < ROWS; i++)
        json_array_append_new(rows, row_json(l, &l->all[i]));
    return json_pack("{s:s, s:i, s:f, s:o}", "hardware", l->options.hardware->name, "fit", l->n,
                     "least_memory", l->least, "best", rows);
}
