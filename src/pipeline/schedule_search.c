/* Orders for list scheduling: some known ones first, and for what is small others found from the
 * best one, by turns backward and forward. A pass in the mirror, in the order in which things
 * ended, moves all as late as it may go; a pass forward in the order in which that one left them
 * closes the gaps (justification: Valls, Ballestin and Quintanilla: "Justification and RCPSP",
 * 2005). Noise in the order leads away from where that stands still. All numbers come from one
 * seed: every rank finds the same. */
#include "pipeline/schedule_list.h"

#include <float.h>
#include <string.h>

enum { KINDS = MB_LIST_KINDS };

/* Actions begun in all passes together, some ten milliseconds; the known orders that are tried
 * of what is larger than that; rounds from one order before going back to the best. */
enum { MOST_BEGUN = 1 << 17, LEAST_TRIED = 2 * MB_LIST_KEYS, ROUNDS = 6 };

typedef struct {
    mb_list_t list;
    double bound, least;
    mb_list_order_t best;
    double *ranks[KINDS], *best_ranks[KINDS];
    int64_t begun;
    uint64_t random;
    double unit; /* of time: an action's mean */
} search_t;

/* ---- known orders */

static void keep_ranks(search_t *s)
{
    size_t all = (size_t)s->list.schedule->chunks * (size_t)s->list.schedule->micros;
    for (int k = 0; k < KINDS; k++) {
        if (s->list.end[k] != NULL)
            memcpy(s->best_ranks[k], s->ranks[k], all * sizeof(double));
    }
}

static void try(search_t *s, const mb_list_order_t *order)
{
    double end = mb_list_pass(&s->list, order);
    s->begun += s->list.actions;
    if (end >= s->least)
        return;
    s->least = end;
    s->best = *order;
    if (order->ranks != NULL)
        keep_ranks(s);
    s->best.ranks = order->ranks == NULL ? NULL : s->best_ranks;
}

static bool is_done(const search_t *s)
{
    return s->least <= s->bound || (s->least < DBL_MAX && s->begun >= MOST_BEGUN);
}

/* Those under the limit on forwards ahead come first: they hold less. */
static void try_known(search_t *s)
{
    int tried = 0;
    for (int limits = 0; limits < 4; limits++) {
        for (int key = 0; key < MB_LIST_KEYS; key++) {
            for (int backward = 0; backward < 2; backward++) {
                if (tried++ >= LEAST_TRIED ? is_done(s) : s->least <= s->bound)
                    return;
                mb_list_order_t order = {.key = (mb_list_key_t)key,
                                         .backward_first = backward != 0,
                                         .keeps_ahead = limits < 2,
                                         .reserves = limits % 2 != 0};
                try(s, &order);
            }
        }
    }
}

/* ---- orders from the best one */

/* 0 to 1. */
static double random_of(search_t *s)
{
    s->random = s->random * 6364136223846793005u + 1442695040888963407u;
    return (double)(s->random >> 40) / (double)(1 << 24);
}

/* What ended last in the pass before goes first in the next one, which goes the other way. */
static void rank_by_ends(search_t *s, double noise)
{
    size_t all = (size_t)s->list.schedule->chunks * (size_t)s->list.schedule->micros;
    for (int k = 0; k < KINDS; k++) {
        for (size_t i = 0; i < all && s->list.end[k] != NULL; i++)
            s->ranks[k][i] = noise * (random_of(s) - 0.5) - s->list.end[k][i];
    }
}

static bool justify(search_t *s, int round)
{
    static const double noises[] = {0, 1, 2, 4, 0.5, 8};
    double noise = s->unit * noises[round % (int)(sizeof(noises) / sizeof(noises[0]))];
    mb_list_order_t order = {.ranks = s->ranks, .waits = random_of(s) < 0.5, .reversed = true};
    rank_by_ends(s, noise);
    double end = mb_list_pass(&s->list, &order);
    s->begun += s->list.actions;
    if (end >= DBL_MAX)
        return false;
    order.reversed = false;
    order.reserves = random_of(s) < 0.25;
    order.waits = random_of(s) < 0.5;
    rank_by_ends(s, random_of(s) < 0.5 ? 0 : noise);
    try(s, &order);
    return s->list.left == 0;
}

static void improve(search_t *s)
{
    bool going = false, trains = s->list.rules->training;
    for (int round = 0; trains && !is_done(s) && s->least < DBL_MAX; round++) {
        if (round % ROUNDS == 0 || !going)
            mb_list_pass(&s->list, &s->best);
        going = justify(s, round);
    }
}

/* ---- all */

static mb_status_t start(search_t *s, const mb_list_rules_t *rules, mb_schedule_t *schedule,
                         mb_arena_t *arena)
{
    size_t all = (size_t)schedule->chunks * (size_t)schedule->micros;
    *s = (search_t){.least = DBL_MAX, .random = 1};
    MB_TRY(mb_list_create(rules, schedule, arena, &s->list));
    MB_TRY(mb_list_bound(&s->list, arena, &s->bound));
    for (int k = 0; k < KINDS && s->list.actions < MOST_BEGUN; k++) {
        s->ranks[k] = MB_ARENA_ARRAY(arena, double, all);
        s->best_ranks[k] = MB_ARENA_ARRAY(arena, double, all);
        if (s->ranks[k] == NULL || s->best_ranks[k] == NULL)
            return mb_error_memory("a schedule", all * sizeof(double));
    }
    for (int c = 0; c < schedule->chunks; c++)
        s->unit += (rules->costs[c].forward + rules->costs[c].backward_input +
                    rules->costs[c].backward_weights) /
                   (3.0 * schedule->chunks);
    return MB_OK;
}

static mb_status_t search(const mb_list_rules_t *rules, mb_arena_t *scratch, mb_schedule_t *out)
{
    search_t s;
    MB_TRY(start(&s, rules, out, scratch));
    try_known(&s);
    improve(&s);
    if (s.least >= DBL_MAX)
        return mb_error_set(MB_ERR_INTERNAL,
                            "no order of %d chunks on %d stages ends within its limits",
                            out->chunks, out->stages);
    mb_list_pass(&s.list, &s.best);
    return MB_OK;
}

mb_status_t mb_schedule_list(const mb_list_rules_t *rules, mb_schedule_t *out)
{
    mb_arena_t *scratch = mb_arena_create();
    if (scratch == NULL)
        return mb_error_memory("a schedule", sizeof(search_t));
    mb_status_t status = search(rules, scratch, out);
    mb_arena_destroy(scratch);
    return status;
}
