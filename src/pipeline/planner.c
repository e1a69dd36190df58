/* Enumerates layouts: stages that the model and the ranks have, micro-batches that halve,
 * schedules, recomputation. See planner.h. */
#include "pipeline/planner_private.h"
#include "pipeline/recompute.h"
#include "pipeline/segments.h"

#include "base/str.h"

#include <float.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_SIZES = 512, MOST_CUTS = 512, MOST_CANDIDATES = 1 << 16, EVERY_STAGES = 16 };

typedef struct {
    const mb_planner_options_t *options;
    mb_arena_t *arena;
    double limit;
    int n_sizes; /* of micro-batches, as they come up; the first is the batch */
    int64_t sizes[MOST_SIZES];
    mb_node_cost_t *costs[MOST_SIZES]; /* [n_nodes] of a micro-batch of that size */
    int *cuts[MOST_CUTS];              /* by number of chunks, while there are few */
    const int *first_nodes[MOST_CUTS]; /* the same, as candidates say them */
    mb_candidate_t *found;
    int n;
    double least; /* memory that any layout takes */
    bool any;
    int groups,
        micros;     /* of a layout that ZeRO's second stage has no place in; 0: there was none */
    int *segmented; /* [n_nodes] the cut of a candidate with segments; NULL: none was made */
    bool *again;    /* [n_layers] of patterns that are given; NULL: none are */
} search_t;

static const mb_schedule_choice_t schedules[] = {{.kind = MB_SCHEDULE_1F1B},
                                                 {.kind = MB_SCHEDULE_GPIPE},
                                                 {.kind = MB_SCHEDULE_INTERLEAVED, .per_stage = 2},
                                                 {.kind = MB_SCHEDULE_INTERLEAVED, .per_stage = 4},
                                                 {.kind = MB_SCHEDULE_ZB_H1},
                                                 {.kind = MB_SCHEDULE_ZB_H2},
                                                 {.kind = MB_SCHEDULE_ZB_V}};
enum { N_SCHEDULES = sizeof schedules / sizeof schedules[0] };

const char *mb_schedule_name(mb_schedule_kind_t kind)
{
    static const char *const names[] = {[MB_SCHEDULE_GPIPE] = "gpipe",
                                        [MB_SCHEDULE_1F1B] = "1f1b",
                                        [MB_SCHEDULE_INTERLEAVED] = "interleaved",
                                        [MB_SCHEDULE_ZB_H1] = "zb-h1",
                                        [MB_SCHEDULE_ZB_H2] = "zb-h2",
                                        [MB_SCHEDULE_ZB_V] = "zb-v",
                                        [MB_SCHEDULE_AUTO] = "auto",
                                        [MB_SCHEDULE_FILE] = "file"};
    return names[kind];
}

/* Cut once for each number of chunks, by the largest micro-batch's costs: those of others are
 * nearly in proportion. */
static mb_status_t cut_into(search_t *s, int chunks, int **out)
{
    bool kept = chunks < MOST_CUTS;
    if (kept && s->cuts[chunks] != NULL) {
        *out = s->cuts[chunks];
        return MB_OK;
    }
    const mb_graph_t *graph = s->options->graph;
    int *cut = MB_ARENA_ARRAY(s->arena, int, graph->n_nodes);
    if (cut == NULL)
        return mb_error_memory("a plan", (size_t)graph->n_nodes * sizeof *cut);
    const mb_partition_options_t partition = {.chunks = chunks, .costs = s->costs[0]};
    MB_TRY(mb_partition(graph, &partition, cut));
    if (kept)
        s->cuts[chunks] = cut;
    *out = cut;
    return MB_OK;
}

/* The same as first nodes. */
static mb_status_t name_cuts(search_t *s, int chunks, const int *cut, const int **out)
{
    bool kept = chunks < MOST_CUTS;
    *out = kept ? s->first_nodes[chunks] : NULL;
    if (*out != NULL)
        return MB_OK;
    MB_TRY(mb_planner_cuts(s->options->graph, cut, chunks, s->arena, out));
    if (kept)
        s->first_nodes[chunks] = *out;
    return MB_OK;
}

static void scale(const mb_planner_options_t *o, int64_t samples, mb_node_cost_t *out)
{
    double part = (double)samples / (double)o->measured_for;
    for (int i = 0; i < o->graph->n_nodes; i++)
        out[i] =
            (mb_node_cost_t){part * o->measured[i].forward, part * o->measured[i].backward_input,
                             part * o->measured[i].backward_weights};
}

static mb_status_t add_size(search_t *s, int64_t samples)
{
    const mb_planner_options_t *o = s->options;
    mb_node_cost_t *costs = MB_ARENA_ARRAY(s->arena, mb_node_cost_t, o->graph->n_nodes);
    if (costs == NULL)
        return mb_error_memory("a plan", (size_t)o->graph->n_nodes * sizeof *costs);
    if (o->measured != NULL)
        scale(o, samples, costs);
    else
        mb_costs_predict(o->graph, o->hardware, samples, costs);
    s->sizes[s->n_sizes] = samples;
    s->costs[s->n_sizes++] = costs;
    return MB_OK;
}

/* INDEX: -1 where there are too many to keep. */
static mb_status_t find_size(search_t *s, int64_t samples, int *index)
{
    for (*index = 0; *index < s->n_sizes; ++*index) {
        if (s->sizes[*index] == samples)
            return MB_OK;
    }
    if (s->n_sizes < MOST_SIZES)
        return add_size(s, samples);
    *index = -1;
    return MB_OK;
}

static void take(search_t *s, const mb_candidate_t *c)
{
    s->any = true;
    s->least = c->memory < s->least ? c->memory : s->least;
    if (c->memory <= s->limit && s->n < MOST_CANDIDATES)
        s->found[s->n++] = *c;
}

/* What does not fit as it is cut may fit cut otherwise. */
static mb_status_t take_or_cut(search_t *s, const mb_candidate_t *c, int size, const int *cut)
{
    bool fits = false;
    mb_candidate_t other = *c;
    bool one_chunk = mb_schedule_chunks(&c->schedule, 1) == 1 && c->schedule.segments < 2;
    take(s, c);
    if (!s->options->fits_cut || !one_chunk || c->stages == 1 || c->memory <= s->limit)
        return MB_OK;
    MB_TRY(mb_planner_fit_cut(s->options, s->costs[size], cut, s->limit, s->arena, &other, &fits));
    if (fits)
        take(s, &other);
    return MB_OK;
}

/* The chunks of CUT in segments, fewer than the candidate says where one has too few nodes. */
static mb_status_t cut_segments(search_t *s, mb_candidate_t *c, const int *cut, int **out)
{
    int n = s->options->graph->n_nodes;
    c->schedule.segments = mb_segments_most(s->options->graph, c->schedule.segments, cut);
    const mb_segments_t how = {.segments = c->schedule.segments,
                               .samples = c->micro_batch,
                               .flight = c->micros < c->stages ? c->micros : c->stages};
    if (s->segmented == NULL)
        s->segmented = MB_ARENA_ARRAY(s->arena, int, n);
    if (s->segmented == NULL)
        return mb_error_memory("a plan", (size_t)n * sizeof *cut);
    memcpy(s->segmented, cut, (size_t)n * sizeof *cut);
    *out = s->segmented;
    return mb_segments_cut(s->options->graph, &how, *out);
}

/* Where whole chunks are too large to be computed again: as few segments as fit. Gradients of
 * weights that come later would have all segments computed a third time. */
static mb_status_t try_segments(search_t *s, const mb_candidate_t *whole, int size, const int *cut)
{
    static const int segments[] = {2, 3, 4, 6, 8, 12, 16, 24, 32};
    double least = whole->memory;
    for (size_t i = 0; i < sizeof segments / sizeof *segments && least > s->limit; i++) {
        mb_candidate_t c = *whole;
        int *cut_again;
        c.schedule.segments = segments[i];
        MB_TRY(cut_segments(s, &c, cut, &cut_again));
        if (c.schedule.segments < segments[i])
            return MB_OK;
        MB_TRY(mb_planner_estimate(s->options, s->costs[size], cut_again, &c));
        take(s, &c);
        least = c.memory < least ? c.memory : least;
    }
    return MB_OK;
}

/* None, all, and between them the least that fits, where none would not. */
static mb_status_t try_recomputing(search_t *s, const mb_candidate_t *c, int size, const int *cut)
{
    bool fits;
    mb_candidate_t none = *c, some = *c, all = *c;
    none.schedule.recomputes = false;
    all.schedule.recomputes = true;
    none.schedule.segments = all.schedule.segments = some.schedule.segments = 0;
    MB_TRY(mb_planner_estimate(s->options, s->costs[size], cut, &none));
    MB_TRY(take_or_cut(s, &none, size, cut));
    if (s->options->graph->keeps_states)
        return MB_OK;
    MB_TRY(mb_planner_estimate(s->options, s->costs[size], cut, &all));
    if (all.memory < none.memory)
        MB_TRY(take_or_cut(s, &all, size, cut));
    if (all.memory > s->limit)
        return mb_planner_splits(c) ? MB_OK : try_segments(s, &all, size, cut);
    if (none.memory <= s->limit)
        return MB_OK;
    MB_TRY(mb_planner_choose_layers(s->options, s->costs[size], cut, s->limit, s->arena, &some,
                                    &fits));
    if (fits)
        take(s, &some);
    return MB_OK;
}

/* One schedule on a layout. */
static mb_status_t consider(search_t *s, mb_candidate_t *c, int size)
{
    const mb_schedule_choice_t *given = s->options->recompute;
    int *cut = NULL, chunks = mb_schedule_chunks(&c->schedule, c->stages);
    if (chunks > mb_plan_max_stages(s->options->graph) || s->n == MOST_CANDIDATES)
        return MB_OK;
    MB_TRY(cut_into(s, chunks, &cut));
    if (s->options->fits_cut && chunks > 1)
        MB_TRY(name_cuts(s, chunks, cut, &c->cuts));
    if (given == NULL)
        return try_recomputing(s, c, size, cut);
    c->schedule.recomputes = given->recomputes;
    c->schedule.layers = given->layers;
    c->schedule.segments = given->segments;
    c->layers = s->again;
    if (given->segments > 1)
        MB_TRY(cut_segments(s, c, cut, &cut));
    MB_TRY(mb_planner_estimate(s->options, s->costs[size], cut, c));
    return take_or_cut(s, c, size, cut);
}

/* One stage has no pipeline, and all schedules are the same. */
static mb_status_t try_schedule(search_t *s, const mb_candidate_t *layout, int size,
                                const mb_schedule_choice_t *schedule)
{
    mb_candidate_t c = *layout;
    if (s->options->schedule == NULL && layout->stages == 1 && schedule->kind != MB_SCHEDULE_1F1B)
        return MB_OK;
    c.schedule = *schedule;
    return consider(s, &c, size);
}

static mb_status_t try_schedules(search_t *s, const mb_candidate_t *layout)
{
    int size;
    MB_TRY(find_size(s, layout->micro_batch, &size));
    if (size < 0)
        return MB_OK;
    if (s->options->schedule != NULL)
        return try_schedule(s, layout, size, s->options->schedule);
    for (int k = 0; k < N_SCHEDULES; k++)
        MB_TRY(try_schedule(s, layout, size, &schedules[k]));
    return MB_OK;
}

/* Groups that share gradients out have one micro-batch each. */
static bool is_possible(search_t *s, const mb_candidate_t *layout)
{
    if (s->options->zero < 2 || layout->groups == 1 || layout->micros == 1)
        return true;
    s->groups = layout->groups;
    s->micros = layout->micros;
    return false;
}

/* A given micro-batch, or a replica's samples in 1, 2, 4 ... of them. */
static mb_status_t try_sizes(search_t *s, mb_candidate_t *layout)
{
    int64_t given = s->options->micro_batch;
    int64_t samples = (s->options->batch + layout->replicas - 1) / layout->replicas;
    int of_pipeline = (layout->replicas + layout->groups - 1) / layout->groups;
    for (int64_t parts = 1;; parts *= 2) {
        int64_t b = given > 0 ? given : (samples + parts - 1) / parts;
        layout->micro_batch = b;
        layout->micros = (int)((samples + b - 1) / b) * of_pipeline;
        if (is_possible(s, layout))
            MB_TRY(try_schedules(s, layout));
        if (given > 0 || b == 1)
            return MB_OK;
    }
}

/* Replicas that a given micro-batch leaves without samples compute nothing. */
static int most_replicas(const mb_planner_options_t *o, int groups)
{
    int64_t each = o->micro_batch > 0 ? o->micro_batch : 1, busy = (o->batch + each - 1) / each;
    return groups < busy ? groups : (int)busy;
}

static mb_status_t try_stages(search_t *s, int stages)
{
    const mb_planner_options_t *o = s->options;
    mb_candidate_t layout = {.stages = stages, .replicas = o->replicas};
    layout.groups = o->ranks / stages;
    if (layout.replicas == 0)
        layout.replicas = most_replicas(o, layout.groups);
    layout.groups = layout.groups < layout.replicas ? layout.groups : layout.replicas;
    layout.idle = o->ranks - stages * layout.groups;
    return try_sizes(s, &layout);
}

/* All where there are few; then those that leave no rank idle, and powers of two. */
static bool is_tried(const search_t *s, int stages)
{
    return stages <= EVERY_STAGES || s->options->ranks % stages == 0 ||
           (stages & (stages - 1)) == 0;
}

static mb_status_t read_patterns(search_t *s)
{
    const mb_planner_options_t *o = s->options;
    if (o->recompute == NULL || o->recompute->layers == NULL)
        return MB_OK;
    s->again = MB_ARENA_ARRAY(s->arena, bool, o->graph->n_layers);
    if (s->again == NULL)
        return mb_error_memory("a plan", (size_t)o->graph->n_layers);
    return mb_recompute_layers(o->graph, o->recompute, s->again);
}

static mb_status_t search(search_t *s)
{
    const mb_planner_options_t *o = s->options;
    int nodes = mb_plan_max_stages(o->graph), most = o->ranks < nodes ? o->ranks : nodes;
    MB_TRY(add_size(s, o->micro_batch > 0 ? o->micro_batch : o->batch));
    MB_TRY(read_patterns(s));
    if (o->stages > 0)
        return o->stages <= most ? try_stages(s, o->stages) : MB_OK;
    for (int stages = 1; stages <= most; stages++) {
        if (is_tried(s, stages))
            MB_TRY(try_stages(s, stages));
    }
    return MB_OK;
}

static int by_time(const void *a, const void *b)
{
    const mb_candidate_t *x = a, *y = b;
    if (x->seconds != y->seconds)
        return x->seconds < y->seconds ? -1 : 1;
    if (x->stages != y->stages)
        return x->stages - y->stages;
    if (x->micro_batch != y->micro_batch)
        return x->micro_batch > y->micro_batch ? -1 : 1;
    if (x->memory != y->memory)
        return x->memory < y->memory ? -1 : 1;
    if (x->schedule.kind != y->schedule.kind)
        return (int)x->schedule.kind - (int)y->schedule.kind;
    if (x->schedule.per_stage != y->schedule.per_stage)
        return x->schedule.per_stage - y->schedule.per_stage;
    if (x->schedule.segments != y->schedule.segments)
        return x->schedule.segments - y->schedule.segments;
    return x->schedule.recomputes - y->schedule.recomputes;
}

mb_status_t mb_planner_refuse_zero(int groups, int micros, int64_t batch)
{
    return mb_error_set(MB_ERR_ARGUMENT,
                        "zero=2: each of %d groups of ranks computes %d micro-batches a step, and "
                        "its gradients are whole sums until the last is added; give each one "
                        "(--replicas %d --micro-batch %lld), or use --zero 1",
                        groups, micros, groups, (long long)((batch + groups - 1) / groups));
}

static mb_status_t none_fits(const search_t *s)
{
    char least[32], limit[32];
    if (!s->any && s->groups > 0)
        return mb_planner_refuse_zero(s->groups, s->micros, s->options->batch);
    if (!s->any)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "no layout of %d ranks has what is asked for: %d stages, %d replicas",
                            s->options->ranks, s->options->stages, s->options->replicas);
    return mb_error_set(
        MB_ERR_MEMORY,
        "no layout of %d ranks keeps each within %s: the least that was tried takes "
        "%s; use more ranks, a smaller batch or model",
        s->options->ranks, mb_str_bytes(s->limit, limit, sizeof limit),
        mb_str_bytes(s->least, least, sizeof least));
}

mb_status_t mb_planner_rank(const mb_planner_options_t *options, mb_arena_t *arena,
                            mb_candidate_t **out, int *n, double *least)
{
    search_t s = {.options = options, .arena = arena, .least = DBL_MAX};
    s.limit = options->memory > 0 ? options->memory : (double)options->hardware->memory;
    s.found = MB_ARENA_ARRAY(arena, mb_candidate_t, MOST_CANDIDATES);
    if (s.found == NULL)
        return mb_error_memory("a plan", MOST_CANDIDATES * sizeof *s.found);
    MB_TRY(search(&s));
    *least = s.least;
    if (s.n == 0)
        return none_fits(&s);
    qsort(s.found, (size_t)s.n, sizeof *s.found, by_time);
    *out = s.found;
    *n = s.n;
    return MB_OK;
}
