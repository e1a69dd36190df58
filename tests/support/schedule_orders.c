/* See schedule_orders.h. Since all begin at whole times, it is a search over what each stage begins
 * at each of them: by depth, without what cannot end in time any more and without states that were
 * left before. */
#include "support/schedule_orders.h"

#include <check.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { B, F, W, KINDS }; /* in the order in which they are tried */
enum { REMEMBERED = 1 << 18 };

typedef struct {
    unsigned char f[ORDERS_MOST_CHUNKS], b[ORDERS_MOST_CHUNKS], w[ORDERS_MOST_CHUNKS]; /* begun */
    unsigned char busy[ORDERS_MOST_STAGES];     /* for so many slots with what it has begun */
    unsigned char backward[ORDERS_MOST_STAGES]; /* the chunk of a BW that goes on, plus 1 */
} state_t;

typedef struct { /* nothing ends in time from here */
    state_t state;
    int at; /* one more than the time; 0: no state */
} left_t;

typedef struct {
    const orders_t *orders;
    int end;      /* wanted */
    left_t *left; /* [REMEMBERED] */
} search_t;

static int length_of_b(const search_t *search)
{
    const orders_t *o = search->orders;
    return o->split ? 1 : 2;
}

/* B of the chunk that are over. */
static int backs_done(const search_t *search, const state_t *s, int c)
{
    const orders_t *o = search->orders;
    return s->b[c] - (s->backward[o->stage_of[c]] == c + 1);
}

static int held(const search_t *search, const state_t *s, int stage)
{
    const orders_t *o = search->orders;
    int all = 0;
    for (int c = 0; c < o->chunks; c++) {
        if (o->stage_of[c] == stage)
            all += s->f[c] - (o->split ? s->w[c] : s->b[c]);
    }
    return all;
}

static bool can_f(const search_t *search, const state_t *before, const state_t *s, int c)
{
    const orders_t *o = search->orders;
    return s->f[c] < o->micros && (c == 0 || before->f[c - 1] > s->f[c]) &&
           held(search, s, o->stage_of[c]) < o->limit;
}

static bool can_b(const search_t *search, const state_t *before, const state_t *s, int c)
{
    const orders_t *o = search->orders;
    return s->b[c] < before->f[c] &&
           (c == o->chunks - 1 || backs_done(search, before, c + 1) > s->b[c]);
}

/* ---- what cannot end in time */

typedef struct { /* begins of each chunk's next F and B */
    int f[ORDERS_MOST_CHUNKS], b[ORDERS_MOST_CHUNKS];
} earliest_t;

static int larger(int a, int b)
{
    return a > b ? a : b;
}

static void find_earliest(const search_t *search, const state_t *s, int now, earliest_t *e)
{
    const orders_t *o = search->orders;
    for (int c = 0; c < o->chunks; c++) {
        e->f[c] = now;
        if (c > 0 && s->f[c - 1] <= s->f[c])
            e->f[c] = e->f[c - 1] + s->f[c] - s->f[c - 1] + 1;
    }
    for (int c = o->chunks - 1; c >= 0; c--) {
        int m = s->b[c];
        e->b[c] = s->f[c] > m ? now : e->f[c] + m - s->f[c] + 1;
        if (c == o->chunks - 1 || backs_done(search, s, c + 1) > m)
            continue;
        int after =
            s->b[c + 1] > m ? now + 1 : e->b[c + 1] + (m - s->b[c + 1] + 1) * length_of_b(search);
        e->b[c] = larger(e->b[c], after);
    }
}

/* F and B of C and of its stage's later chunks, then B of the chunks in front of it and a last W.
 */
static int bound_by_chunk(const search_t *search, const state_t *s, const earliest_t *e, int c)
{
    const orders_t *o = search->orders;
    int begin = INT32_MAX, work = 0;
    for (int k = c; k < o->chunks && s->b[c] < o->micros; k++) {
        if (o->stage_of[k] != o->stage_of[c])
            continue;
        work += o->micros - s->f[k] + (o->micros - s->b[k]) * length_of_b(search);
        if (s->f[k] < o->micros && e->f[k] < begin)
            begin = e->f[k];
        if (s->b[k] < o->micros && e->b[k] < begin)
            begin = e->b[k];
    }
    return work == 0 ? 0 : begin + work + c * length_of_b(search) + o->split;
}

/* All that is left of a stage, and what of it lies behind its next B. */
static int bound_by_stage(const search_t *search, const state_t *s, const earliest_t *e, int stage,
                          int now)
{
    const orders_t *o = search->orders;
    int all = 0, behind = 0, next = INT32_MAX;
    for (int c = 0; c < o->chunks; c++) {
        if (o->stage_of[c] != stage)
            continue;
        int backs = o->micros - s->b[c];
        all += o->micros - s->f[c] + (o->split ? o->micros - s->w[c] : 0);
        behind += backs * (length_of_b(search) + o->split);
        all += backs * length_of_b(search);
        if (backs > 0 && e->b[c] < next)
            next = e->b[c];
    }
    return larger(now + s->busy[stage] + all, behind == 0 ? 0 : next + behind);
}

static bool is_late(const search_t *search, const state_t *s, int now)
{
    const orders_t *o = search->orders;
    earliest_t e;
    find_earliest(search, s, now, &e);
    for (int c = 0; c < o->chunks; c++) {
        if (bound_by_chunk(search, s, &e, c) > search->end)
            return true;
    }
    for (int stage = 0; stage < o->stages; stage++) {
        if (bound_by_stage(search, s, &e, stage, now) > search->end)
            return true;
    }
    return false;
}

/* ---- the search */

static size_t place_of(const state_t *s)
{
    uint64_t hash = 14695981039346656037u;
    const unsigned char *bytes = (const unsigned char *)s;
    for (size_t i = 0; i < sizeof(*s); i++)
        hash = (hash ^ bytes[i]) * 1099511628211u;
    return (size_t)((hash ^ hash >> 32) % REMEMBERED);
}

static bool begin_slot(const search_t *search, const state_t *s, int now);

/* BEFORE: at the slot's begin, when only what is over then can be built on. */
static bool begin(const search_t *search, const state_t *before, state_t *s, int kind, int c)
{
    const orders_t *o = search->orders;
    int stage = o->stage_of[c];
    s->busy[stage] = 1;
    if (kind == B && can_b(search, before, s, c)) {
        s->b[c]++;
        s->busy[stage] = (unsigned char)length_of_b(search);
        s->backward[stage] = (unsigned char)(c + 1);
        return true;
    }
    if (kind == F && can_f(search, before, s, c)) {
        s->f[c]++;
        return true;
    }
    if (kind != W || !o->split || s->w[c] >= before->b[c])
        return false;
    s->w[c]++;
    return true;
}

/* Where all take one slot, idling in front of a B or a W gains nothing: it can begin now and leave
 * its place to the idling. And one W is as good as another. */
static bool begin_stage(const search_t *search, const state_t *before, const state_t *s, int stage,
                        int now)
{
    const orders_t *o = search->orders;
    bool may_idle = true;
    if (stage == o->stages)
        return begin_slot(search, s, now + 1);
    if (s->busy[stage] > 0)
        return begin_stage(search, before, s, stage + 1, now);
    for (int kind = 0; kind < KINDS; kind++) {
        for (int c = o->chunks - 1; c >= 0; c--) {
            state_t next = *s;
            if (o->stage_of[c] != stage || !begin(search, before, &next, kind, c))
                continue;
            if (begin_stage(search, before, &next, stage + 1, now))
                return true;
            may_idle = may_idle && (kind == F || !o->split);
            if (kind == W)
                break;
        }
    }
    return may_idle && begin_stage(search, before, s, stage + 1, now);
}

static bool is_over(const search_t *search, const state_t *s)
{
    const orders_t *o = search->orders;
    for (int c = 0; c < o->chunks; c++) {
        if (backs_done(search, s, c) < o->micros || (o->split && s->w[c] < o->micros))
            return false;
    }
    return true;
}

/* Whether all ends in time from here. */
static bool begin_slot(const search_t *search, const state_t *s, int now)
{
    const orders_t *o = search->orders;
    state_t state = *s;
    for (int stage = 0; stage < o->stages && now > 0; stage++) {
        if (state.busy[stage] > 0)
            state.busy[stage]--;
        if (state.busy[stage] == 0)
            state.backward[stage] = 0;
    }
    if (is_over(search, &state))
        return now <= search->end;
    size_t place = place_of(&state);
    if (is_late(search, &state, now))
        return false;
    if (search->left[place].at > 0 && search->left[place].at <= now + 1 &&
        memcmp(&search->left[place].state, &state, sizeof(state)) == 0)
        return false;
    if (begin_stage(search, &state, &state, 0, now))
        return true;
    search->left[place].state = state;
    search->left[place].at = now + 1;
    return false;
}

bool orders_end_by(const orders_t *orders, int end)
{
    state_t empty = {{0}, {0}, {0}, {0}, {0}};
    search_t search = {.orders = orders, .end = end, .left = calloc(REMEMBERED, sizeof(left_t))};
    ck_assert_ptr_nonnull(search.left);
    bool ends = begin_slot(&search, &empty, 0);
    free(search.left);
    return ends;
}
