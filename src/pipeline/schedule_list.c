/* List scheduling: time goes from one action's end to the next, and a stage that is free begins
 * what comes first by an order of preference among what can begin. Gradients of weights, which
 * nobody waits for, fill what would be idle: the idea of zero-bubble schedules (Qi et al.: "Zero
 * bubble pipeline parallelism", 2023), whose ZB-H1 and ZB-H2 come out of it under their limits, as
 * Megatron's interleaved 1F1B (Narayanan et al.: "Efficient large-scale language model training on
 * GPU clusters using Megatron-LM", 2021) does where stages divide micro-batches. */
#include "pipeline/schedule_private.h"

#include <float.h>
#include <string.h>

/* Which micro-batch of which chunk goes first. Backward it is the same seen from the other end. */
typedef enum {
    BY_GROUP, /* as many micro-batches as stages through a chunk, then through the next one */
    BY_DEPTH, /* what is furthest through the model */
    BY_MICRO, /* what entered it first */
    KEYS
} keys_t;

typedef struct {
    bool backward_first;
    keys_t key;
} preference_t;

typedef struct {    /* of a chunk */
    int done[3];    /* micro-batches whose F, B and W have begun: the next one's number */
    double *end[2]; /* [micros] of F and B; DBL_MAX: not begun */
} chunk_t;

typedef struct {
    const mb_list_rules_t *rules;
    preference_t preference;
    mb_schedule_t *schedule;
    chunk_t *chunks;
    double *free_at;     /* [stages] */
    int *ahead, *in_all; /* [stages] */
    int left;            /* actions to begin */
} list_t;

enum { F, B, W, NOTHING };

static bool can_forward(const list_t *l, int stage, int c, double now)
{
    const chunk_t *chunk = &l->chunks[c];
    int m = chunk->done[F];
    if (m == l->schedule->micros || (c > 0 && l->chunks[c - 1].end[F][m] > now))
        return false;
    const mb_list_rules_t *rules = l->rules;
    return (rules->ahead == NULL || l->ahead[stage] < rules->ahead[stage]) &&
           (rules->in_all == NULL || l->in_all[stage] < rules->in_all[stage]);
}

static bool can_backward(const list_t *l, int c, double now)
{
    const chunk_t *chunk = &l->chunks[c];
    int m = chunk->done[B];
    if (!l->rules->training || m >= chunk->done[F] || chunk->end[F][m] > now)
        return false;
    return c == l->schedule->chunks - 1 || l->chunks[c + 1].end[B][m] <= now;
}

static bool can_weights(const list_t *l, int c, double now)
{
    const chunk_t *chunk = &l->chunks[c];
    int m = chunk->done[W];
    return l->rules->splits_backward && m < chunk->done[B] && chunk->end[B][m] <= now;
}

/* Smaller goes first. */
static double rank_of(const list_t *l, int kind, int c)
{
    const mb_schedule_t *schedule = l->schedule;
    double depth = kind == F ? c : schedule->chunks - 1 - c, all = schedule->chunks;
    double micro = l->chunks[c].done[kind], stages = schedule->stages;
    if (kind == W)
        return micro * all + depth;
    switch (l->preference.key) {
    case BY_GROUP: {
        double group = (double)((int)micro / schedule->stages);
        double round = (double)((int)depth / schedule->stages);
        return (group * all + round) * stages + (double)((int)micro % schedule->stages);
    }
    case BY_DEPTH:
        return -depth;
    default:
        return micro * all + depth;
    }
}

static bool can(const list_t *l, int stage, int kind, int c, double now)
{
    return kind == F   ? can_forward(l, stage, c, now)
           : kind == B ? can_backward(l, c, now)
                       : can_weights(l, c, now);
}

/* -1: no chunk of the stage. */
static int best_chunk(const list_t *l, int stage, int kind, double now)
{
    int best = -1;
    const mb_schedule_t *schedule = l->schedule;
    for (int c = schedule->first_chunk[stage]; c >= 0; c = schedule->next_chunk[c]) {
        if (can(l, stage, kind, c, now) &&
            (best < 0 || rank_of(l, kind, c) < rank_of(l, kind, best)))
            best = c;
    }
    return best;
}

static double seconds(const list_t *l, int kind, int c)
{
    const mb_chunk_cost_t *cost = &l->rules->costs[c];
    if (kind == F)
        return cost->forward;
    if (kind == W)
        return cost->backward_weights;
    return cost->backward_input + (l->rules->splits_backward ? 0 : cost->backward_weights);
}

static void begin(list_t *l, int stage, int kind, int c, double now)
{
    chunk_t *chunk = &l->chunks[c];
    int m = chunk->done[kind]++;
    bool split = l->rules->splits_backward;
    mb_action_kind_t action = kind == F   ? MB_ACTION_F
                              : kind == W ? MB_ACTION_W
                              : split     ? MB_ACTION_B
                                          : MB_ACTION_BW;
    mb_program_add(&l->schedule->programs[stage], action, c, m);
    l->free_at[stage] = now + seconds(l, kind, c);
    if (kind != W)
        chunk->end[kind][m] = l->free_at[stage];
    l->ahead[stage] += (kind == F) - (kind == B);
    l->in_all[stage] += (kind == F) - (kind == (split ? W : B));
    l->left--;
}

static void begin_what_can(list_t *l, int stage, double now)
{
    int first = l->preference.backward_first ? B : F, second = first == B ? F : B;
    const int kinds[] = {first, second, W};
    if (l->free_at[stage] > now)
        return;
    for (int k = 0; k < 3; k++) {
        int c = best_chunk(l, stage, kinds[k], now);
        if (c < 0)
            continue;
        begin(l, stage, kinds[k], c, now);
        return;
    }
}

/* The earliest end that lies ahead; DBL_MAX: nothing is under way. */
static double next_end(const list_t *l, double now)
{
    double next = DBL_MAX;
    for (int s = 0; s < l->schedule->stages; s++) {
        if (l->free_at[s] > now && l->free_at[s] < next)
            next = l->free_at[s];
    }
    return next;
}

static void start_over(list_t *l)
{
    const mb_schedule_t *schedule = l->schedule;
    size_t stages = (size_t)schedule->stages;
    memset(l->free_at, 0, stages * sizeof(*l->free_at));
    memset(l->ahead, 0, stages * sizeof(*l->ahead));
    memset(l->in_all, 0, stages * sizeof(*l->in_all));
    for (int s = 0; s < schedule->stages; s++)
        schedule->programs[s].n = 0;
    for (int c = 0; c < schedule->chunks; c++) {
        memset(l->chunks[c].done, 0, sizeof(l->chunks[c].done));
        for (int m = 0; m < schedule->micros; m++)
            l->chunks[c].end[F][m] = l->chunks[c].end[B][m] = DBL_MAX;
    }
    int of_one = !l->rules->training ? 1 : l->rules->splits_backward ? 3 : 2;
    l->left = schedule->chunks * schedule->micros * of_one;
}

/* DBL_MAX: it does not end. */
static double run(list_t *l, preference_t preference)
{
    double now = 0, last = 0;
    l->preference = preference;
    start_over(l);
    while (l->left > 0 && now < DBL_MAX) {
        for (int s = 0; s < l->schedule->stages; s++)
            begin_what_can(l, s, now);
        now = next_end(l, now);
    }
    for (int s = 0; s < l->schedule->stages; s++)
        last = l->free_at[s] > last ? l->free_at[s] : last;
    return l->left > 0 ? DBL_MAX : last;
}

static mb_status_t make_chunks(list_t *l, mb_arena_t *arena)
{
    const mb_schedule_t *schedule = l->schedule;
    l->chunks = MB_ARENA_ARRAY(arena, chunk_t, schedule->chunks);
    for (int c = 0; l->chunks != NULL && c < schedule->chunks; c++) {
        chunk_t *chunk = &l->chunks[c];
        chunk->end[F] = MB_ARENA_ARRAY(arena, double, schedule->micros);
        chunk->end[B] = MB_ARENA_ARRAY(arena, double, schedule->micros);
        if (chunk->end[F] == NULL || chunk->end[B] == NULL)
            return mb_error_memory("a schedule", (size_t)schedule->micros);
    }
    return l->chunks == NULL ? mb_error_memory("a schedule", sizeof(chunk_t)) : MB_OK;
}

static mb_status_t make_list(list_t *l, mb_arena_t *arena)
{
    int stages = l->schedule->stages;
    l->free_at = MB_ARENA_ARRAY(arena, double, stages);
    l->ahead = MB_ARENA_ARRAY(arena, int, stages);
    l->in_all = MB_ARENA_ARRAY(arena, int, stages);
    if (l->free_at == NULL || l->ahead == NULL || l->in_all == NULL)
        return mb_error_memory("a schedule", (size_t)stages);
    return make_chunks(l, arena);
}

mb_status_t mb_schedule_list(const mb_list_rules_t *rules, mb_arena_t *arena, mb_schedule_t *out)
{
    preference_t best = {0};
    double least = DBL_MAX;
    list_t l = {.rules = rules, .schedule = out};
    MB_TRY(make_list(&l, arena));
    for (int key = 0; key < KEYS; key++) {
        for (int backward = 0; backward < 2; backward++) {
            preference_t preference = {backward != 0, (keys_t)key};
            double end = run(&l, preference);
            best = end < least ? preference : best;
            least = end < least ? end : least;
        }
    }
    if (least >= DBL_MAX)
        return mb_error_set(MB_ERR_INTERNAL,
                            "no order of %d chunks on %d stages ends within its limits",
                            out->chunks, out->stages);
    run(&l, best);
    return MB_OK;
}
