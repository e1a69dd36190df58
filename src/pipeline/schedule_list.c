/* See schedule_list.h. Gradients of weights, which nobody waits for, fill what would be idle: the
 * idea of zero-bubble schedules (Qi et al.: "Zero bubble pipeline parallelism", 2023), whose ZB-H1
 * and ZB-H2 come out of it under their limits, as Megatron's interleaved 1F1B (Narayanan et al.:
 * "Efficient large-scale language model training on GPU clusters using Megatron-LM", 2021) does
 * where stages divide micro-batches. */
#include "pipeline/schedule_list.h"

#include <float.h>
#include <string.h>

enum { F = MB_LIST_F, B = MB_LIST_B, W = MB_LIST_W, KINDS = MB_LIST_KINDS };

typedef struct {
    int kind, chunk;
    double from; /* when it can begin */
    int class;   /* of its kind */
    double rank;
} candidate_t;

static size_t index_of(const mb_list_t *l, int chunk, int micro)
{
    return (size_t)chunk * (size_t)l->schedule->micros + (size_t)micro;
}

double mb_list_seconds(const mb_list_t *list, int kind, int chunk)
{
    const mb_chunk_cost_t *cost = &list->rules->costs[chunk];
    if (kind == F)
        return cost->forward;
    if (kind == W)
        return cost->backward_weights;
    return cost->backward_input + (list->rules->splits_backward ? 0 : cost->backward_weights);
}

/* ---- what can begin, and when */

/* When what chunk FROM ends with is there for its neighbour TO. */
static double arrival(const mb_list_t *l, int kind, int from, int to, int micro)
{
    double end = l->end[kind][index_of(l, from, micro)];
    bool apart = l->schedule->stage_of[from] != l->schedule->stage_of[to];
    return end >= DBL_MAX || !apart ? end : end + l->rules->costs[from < to ? from : to].send;
}

static double later_of(double a, double b)
{
    return a > b ? a : b;
}

static double ready_forward(const mb_list_t *l, int kind, int c, int m)
{
    bool last = c == l->schedule->chunks - 1;
    if (kind == F)
        return c == 0 ? 0 : arrival(l, F, c - 1, c, m);
    if (kind == W)
        return l->end[B][index_of(l, c, m)];
    return later_of(l->end[F][index_of(l, c, m)], last ? 0 : arrival(l, B, c + 1, c, m));
}

/* Seen from the end, F waits for what waits for it. */
static double ready_reversed(const mb_list_t *l, int kind, int c, int m)
{
    bool last = c == l->schedule->chunks - 1, split = l->rules->splits_backward;
    if (kind == W)
        return 0;
    if (kind == B)
        return later_of(split ? l->end[W][index_of(l, c, m)] : 0,
                        c == 0 ? 0 : arrival(l, B, c - 1, c, m));
    return later_of(l->end[B][index_of(l, c, m)], last ? 0 : arrival(l, F, c + 1, c, m));
}

static double weight_of(const mb_list_t *l, int chunk)
{
    return l->rules->weight == NULL ? 1 : l->rules->weight[chunk];
}

/* The kind of action that ends a micro-batch's stay in a chunk, seen forward. */
static int last_kind(const mb_list_t *l)
{
    return l->rules->splits_backward ? W : B;
}

static bool takes_room(const mb_list_t *l, int kind)
{
    return kind == (l->order.reversed ? last_kind(l) : F);
}

static bool has_room(const mb_list_t *l, int stage, int kind, int c)
{
    const mb_list_rules_t *rules = l->rules;
    if (l->order.keeps_ahead && rules->ahead != NULL && kind == F &&
        l->ahead[stage] >= rules->ahead[stage])
        return false;
    double more = weight_of(l, c) + (l->order.reserves ? l->later[c] : 0);
    return rules->most == NULL || !takes_room(l, kind) ||
           l->held[stage] + more <= rules->most[stage];
}

static bool has_kind(const mb_list_t *l, int kind)
{
    return kind == F || (l->rules->training && (kind == B || l->rules->splits_backward));
}

static int next_micro(const mb_list_t *l, int kind, int c)
{
    int done = l->done[kind][c];
    return l->order.reversed ? l->schedule->micros - 1 - done : done;
}

/* ---- which goes first */

static double rank_by_key(const mb_list_t *l, int kind, int c, int m)
{
    const mb_schedule_t *schedule = l->schedule;
    double depth = kind == F ? c : schedule->chunks - 1 - c, all = schedule->chunks;
    if (kind == W || l->order.key == MB_LIST_BY_MICRO)
        return m * all + depth;
    if (l->order.key == MB_LIST_BY_DEPTH)
        return -depth;
    double group = (double)(m / schedule->stages);
    double round = (double)((int)depth / schedule->stages);
    return (group * all + round) * schedule->stages + (double)(m % schedule->stages);
}

static candidate_t candidate(const mb_list_t *l, int kind, int c, int m, double from)
{
    bool ranked = l->order.ranks != NULL;
    return (candidate_t){
        .kind = kind,
        .chunk = c,
        .from = from,
        .class = ranked || kind == W ? (ranked ? 0 : 2) : (kind == B) != l->order.backward_first,
        .rank = ranked ? l->order.ranks[kind][index_of(l, c, m)] : rank_by_key(l, kind, c, m)};
}

static bool goes_first(const candidate_t *a, const candidate_t *b)
{
    if (b->kind == KINDS)
        return true;
    return a->class < b->class || (a->class == b->class && a->rank < b->rank);
}

/* The best that can begin NOW; of kind KINDS: none. *NEXT: when others can. */
static candidate_t choose(const mb_list_t *l, int stage, double now, double *next)
{
    candidate_t best = {.kind = KINDS}, coming = {.kind = KINDS};
    const mb_schedule_t *schedule = l->schedule;
    *next = DBL_MAX;
    for (int c = schedule->first_chunk[stage]; c >= 0; c = schedule->next_chunk[c]) {
        for (int kind = F; kind <= W; kind++) {
            if (!has_kind(l, kind) || l->done[kind][c] == schedule->micros ||
                !has_room(l, stage, kind, c))
                continue;
            int m = next_micro(l, kind, c);
            double from =
                l->order.reversed ? ready_reversed(l, kind, c, m) : ready_forward(l, kind, c, m);
            candidate_t found = candidate(l, kind, c, m, from);
            if (from <= now && goes_first(&found, &best))
                best = found;
            if (from > now && from < DBL_MAX && goes_first(&found, &coming))
                coming = found;
            *next = from > now && from < *next ? from : *next;
        }
    }
    bool soon = l->order.waits && best.kind != KINDS && coming.kind != KINDS &&
                coming.from < now + mb_list_seconds(l, best.kind, best.chunk);
    if (!soon || !goes_first(&coming, &best))
        return best;
    *next = coming.from;
    return (candidate_t){.kind = KINDS};
}

/* ---- beginning it */

/* The chunk that waits for an action of KIND on chunk C; outside of the model: none. */
static int waiting_chunk(const mb_list_t *l, int kind, int c)
{
    if (kind == W)
        return -1;
    return (kind == F) != l->order.reversed ? c + 1 : c - 1;
}

static void wake_waiting(mb_list_t *l, int kind, int c, int m)
{
    int other = waiting_chunk(l, kind, c);
    if (other < 0 || other >= l->schedule->chunks)
        return;
    int stage = l->schedule->stage_of[other];
    double at = later_of(arrival(l, kind, c, other, m), l->free_at[stage]);
    if (at < l->wakes.at[stage])
        mb_wakes_set(&l->wakes, stage, at);
}

static void write_down(mb_list_t *l, int stage, int kind, int c, int m)
{
    bool split = l->rules->splits_backward;
    mb_action_kind_t action = kind == F   ? MB_ACTION_F
                              : kind == W ? MB_ACTION_W
                              : split     ? MB_ACTION_B
                                          : MB_ACTION_BW;
    mb_program_add(&l->schedule->programs[stage], action, c, m);
}

static void begin(mb_list_t *l, int stage, const candidate_t *what, double now)
{
    int kind = what->kind, c = what->chunk, m = next_micro(l, kind, c);
    int gives = l->order.reversed ? F : last_kind(l);
    if (!l->order.reversed)
        write_down(l, stage, kind, c, m);
    l->done[kind][c]++;
    if (l->begun_at[stage] < 0)
        l->begun_at[stage] = now;
    l->free_at[stage] = now + mb_list_seconds(l, kind, c);
    l->end[kind][index_of(l, c, m)] = l->free_at[stage];
    l->ahead[stage] += (kind == F) - (kind == B);
    if (takes_room(l, kind))
        l->held[stage] += weight_of(l, c);
    if (kind == gives)
        l->held[stage] -= weight_of(l, c);
    l->left--;
    mb_wakes_set(&l->wakes, stage, l->free_at[stage]);
    wake_waiting(l, kind, c, m);
}

/* ---- a pass */

static void start_over(mb_list_t *l)
{
    const mb_schedule_t *schedule = l->schedule;
    size_t stages = (size_t)schedule->stages, chunks = (size_t)schedule->chunks;
    size_t all = chunks * (size_t)schedule->micros;
    memset(l->free_at, 0, stages * sizeof(*l->free_at));
    memset(l->ahead, 0, stages * sizeof(*l->ahead));
    memset(l->held, 0, stages * sizeof(*l->held));
    for (int k = 0; k < KINDS; k++) {
        memset(l->done[k], 0, chunks * sizeof(*l->done[k]));
        for (size_t i = 0; i < all && has_kind(l, k); i++)
            l->end[k][i] = DBL_MAX;
    }
    for (int s = 0; s < schedule->stages; s++) {
        l->begun_at[s] = -1;
        schedule->programs[s].n = l->order.reversed ? schedule->programs[s].n : 0;
    }
    l->left = l->actions;
    mb_wakes_reset(&l->wakes);
}

static double length(const mb_list_t *l)
{
    double most = 0;
    for (int s = 0; s < l->schedule->stages; s++)
        most = later_of(l->free_at[s] - (l->rules->by_step ? l->begun_at[s] : 0), most);
    return most;
}

double mb_list_pass(mb_list_t *list, const mb_list_order_t *order)
{
    double next;
    list->order = *order;
    start_over(list);
    while (list->left > 0) {
        int stage = mb_wakes_first(&list->wakes);
        double now = list->wakes.at[stage];
        if (now >= DBL_MAX)
            return DBL_MAX;
        candidate_t best = choose(list, stage, now, &next);
        if (best.kind == KINDS)
            mb_wakes_set(&list->wakes, stage, next);
        else
            begin(list, stage, &best, now);
    }
    return length(list);
}

static void sum_later(mb_list_t *l)
{
    const mb_schedule_t *schedule = l->schedule;
    for (int s = 0; s < schedule->stages; s++) {
        double sum = 0;
        for (int c = schedule->first_chunk[s]; c >= 0; c = schedule->next_chunk[c])
            sum += weight_of(l, c);
        for (int c = schedule->first_chunk[s]; c >= 0; c = schedule->next_chunk[c]) {
            sum -= weight_of(l, c);
            l->later[c] = sum;
        }
    }
}

mb_status_t mb_list_create(const mb_list_rules_t *rules, mb_schedule_t *schedule, mb_arena_t *arena,
                           mb_list_t *out)
{
    size_t stages = (size_t)schedule->stages, chunks = (size_t)schedule->chunks;
    size_t all = chunks * (size_t)schedule->micros;
    *out = (mb_list_t){.rules = rules,
                       .schedule = schedule,
                       .later = MB_ARENA_ARRAY(arena, double, chunks),
                       .begun_at = MB_ARENA_ARRAY(arena, double, stages),
                       .free_at = MB_ARENA_ARRAY(arena, double, stages),
                       .ahead = MB_ARENA_ARRAY(arena, int, stages),
                       .held = MB_ARENA_ARRAY(arena, double, stages)};
    bool short_of = out->later == NULL || out->begun_at == NULL || out->free_at == NULL ||
                    out->ahead == NULL || out->held == NULL;
    for (int k = 0; k < KINDS; k++) {
        out->done[k] = MB_ARENA_ARRAY(arena, int, chunks);
        short_of = short_of || out->done[k] == NULL;
        if (!has_kind(out, k))
            continue;
        out->actions += (int64_t)all;
        out->end[k] = MB_ARENA_ARRAY(arena, double, all);
        short_of = short_of || out->end[k] == NULL;
    }
    if (short_of)
        return mb_error_memory("a schedule", all * sizeof(double));
    sum_later(out);
    return mb_wakes_create(schedule->stages, arena, &out->wakes);
}
