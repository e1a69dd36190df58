/* When actions begin: each as soon as its stage is free and what it computes from is there. */
#include "pipeline/schedule.h"

#include "base/str.h"

#include <float.h>

typedef struct {
    const mb_schedule_t *schedule;
    const mb_chunk_cost_t *costs;
    double *ends[2]; /* [chunks][micros] of F, and of B or BW; DBL_MAX: not yet */
    int *at;         /* [stages] */
    double *free_at; /* [stages] */
    int *waiting;    /* stages that may go on, a stack */
    bool *listed;    /* [stages] */
    int n_waiting;
} timing_t;

double mb_action_seconds(const mb_chunk_cost_t *cost, mb_action_kind_t kind)
{
    switch (kind) {
    case MB_ACTION_F:
        return cost->forward;
    case MB_ACTION_R:
        return cost->forward - cost->kept;
    case MB_ACTION_B:
        return cost->backward_input;
    case MB_ACTION_W:
        return cost->backward_weights;
    case MB_ACTION_BW:
        return cost->backward_input + cost->backward_weights;
    default:
        return 0;
    }
}

static double *end_of(const timing_t *t, int backward, int chunk, int micro)
{
    return &t->ends[backward][(size_t)chunk * (size_t)t->schedule->micros + (size_t)micro];
}

/* What comes from another chunk takes the time of a message if that lies elsewhere. */
static double arrival(const timing_t *t, int backward, int from, int to, int micro)
{
    double end = *end_of(t, backward, from, micro);
    bool apart = t->schedule->stage_of[from] != t->schedule->stage_of[to];
    return end >= DBL_MAX || !apart ? end : end + t->costs[from < to ? from : to].send;
}

static double ready_at(const timing_t *t, const mb_action_t *action)
{
    int chunk = action->chunk, micro = action->micro;
    if (action->kind == MB_ACTION_W)
        return *end_of(t, 1, chunk, micro);
    if (action->kind == MB_ACTION_R)
        return *end_of(t, 0, chunk, micro);
    if (action->kind == MB_ACTION_F)
        return chunk == 0 ? 0 : arrival(t, 0, chunk - 1, chunk, micro);
    if (chunk == t->schedule->chunks - 1)
        return *end_of(t, 0, chunk, micro);
    return arrival(t, 1, chunk + 1, chunk, micro);
}

static void list(timing_t *t, int stage)
{
    if (!t->listed[stage])
        t->waiting[t->n_waiting++] = stage;
    t->listed[stage] = true;
}

/* The stages that wait for the end of ACTION. */
static void wake(timing_t *t, const mb_action_t *action)
{
    const mb_schedule_t *schedule = t->schedule;
    if (action->kind == MB_ACTION_F && action->chunk + 1 < schedule->chunks)
        list(t, schedule->stage_of[action->chunk + 1]);
    if ((action->kind == MB_ACTION_B || action->kind == MB_ACTION_BW) && action->chunk > 0)
        list(t, schedule->stage_of[action->chunk - 1]);
}

static void run_stage(timing_t *t, int stage, mb_schedule_times_t *out)
{
    const mb_program_t *program = &t->schedule->programs[stage];
    for (; t->at[stage] < program->n; t->at[stage]++) {
        const mb_action_t *action = &program->actions[t->at[stage]];
        double ready = ready_at(t, action);
        if (ready >= DBL_MAX)
            return;
        double begin = ready > t->free_at[stage] ? ready : t->free_at[stage];
        double seconds = mb_action_seconds(&t->costs[action->chunk], action->kind);
        out->begin[stage][t->at[stage]] = begin;
        out->work[stage] += seconds;
        t->free_at[stage] = begin + seconds;
        if (action->kind == MB_ACTION_F)
            *end_of(t, 0, action->chunk, action->micro) = t->free_at[stage];
        if (action->kind == MB_ACTION_B || action->kind == MB_ACTION_BW)
            *end_of(t, 1, action->chunk, action->micro) = t->free_at[stage];
        wake(t, action);
    }
}

static mb_status_t name_stuck(const timing_t *t)
{
    for (int s = 0; s < t->schedule->stages; s++) {
        const mb_program_t *program = &t->schedule->programs[s];
        if (t->at[s] == program->n)
            continue;
        const mb_action_t *action = &program->actions[t->at[s]];
        return mb_error_set(MB_ERR_ARGUMENT,
                            "deadlock: stage %d waits for ever in front of micro-batch %d of "
                            "chunk %d (action %d)",
                            s, action->micro, action->chunk, t->at[s]);
    }
    return MB_OK;
}

static mb_status_t make_room(timing_t *t, mb_arena_t *arena, mb_schedule_times_t *out)
{
    const mb_schedule_t *schedule = t->schedule;
    size_t ends = (size_t)schedule->chunks * (size_t)schedule->micros;
    int stages = schedule->stages;
    t->ends[0] = MB_ARENA_ARRAY(arena, double, ends);
    t->ends[1] = MB_ARENA_ARRAY(arena, double, ends);
    t->at = MB_ARENA_ARRAY(arena, int, stages);
    t->free_at = MB_ARENA_ARRAY(arena, double, stages);
    t->waiting = MB_ARENA_ARRAY(arena, int, stages);
    t->listed = MB_ARENA_ARRAY(arena, bool, stages);
    out->begin = MB_ARENA_ARRAY(arena, double *, stages);
    out->work = MB_ARENA_ARRAY(arena, double, stages);
    out->peak = MB_ARENA_ARRAY(arena, double, stages);
    if (t->ends[0] == NULL || t->ends[1] == NULL || t->at == NULL || t->free_at == NULL ||
        t->waiting == NULL || t->listed == NULL || out->begin == NULL || out->work == NULL ||
        out->peak == NULL)
        return mb_error_memory("a schedule's times", ends * sizeof(double));
    for (size_t i = 0; i < ends; i++)
        t->ends[0][i] = t->ends[1][i] = DBL_MAX;
    for (int s = 0; s < stages; s++) {
        out->begin[s] = MB_ARENA_ARRAY(arena, double, schedule->programs[s].n);
        if (out->begin[s] == NULL)
            return mb_error_memory("a schedule's times", sizeof(double));
    }
    return MB_OK;
}

static double peak_of(const mb_program_t *program, const double *weight)
{
    double held = 0, most = 0;
    for (int i = 0; i < program->n; i++) {
        const mb_action_t *action = &program->actions[i];
        double own = weight == NULL ? 1 : weight[action->chunk];
        if (action->kind == MB_ACTION_F)
            held += own;
        most = held > most ? held : most;
        if (action->kind == MB_ACTION_W || action->kind == MB_ACTION_BW)
            held -= own;
    }
    return most;
}

static void sum_up(const timing_t *t, const double *weight, mb_schedule_times_t *out)
{
    for (int s = 0; s < t->schedule->stages; s++) {
        const mb_program_t *program = &t->schedule->programs[s];
        if (program->n == 0)
            continue;
        double step = t->free_at[s] - out->begin[s][0], idle = step - out->work[s];
        out->end = t->free_at[s] > out->end ? t->free_at[s] : out->end;
        out->step = step > out->step ? step : out->step;
        out->bubble = idle > out->bubble ? idle : out->bubble;
        out->peak[s] = peak_of(program, weight);
    }
}

mb_status_t mb_schedule_time(const mb_schedule_t *schedule, const mb_chunk_cost_t *costs,
                             const double *weight, mb_arena_t *arena, mb_schedule_times_t *out)
{
    timing_t t = {.schedule = schedule, .costs = costs};
    *out = (mb_schedule_times_t){0};
    MB_TRY(make_room(&t, arena, out));
    for (int s = schedule->stages - 1; s >= 0; s--)
        list(&t, s);
    while (t.n_waiting > 0) {
        int stage = t.waiting[--t.n_waiting];
        t.listed[stage] = false;
        run_stage(&t, stage, out);
    }
    MB_TRY(name_stuck(&t));
    sum_up(&t, weight, out);
    return MB_OK;
}
