/* Outside the published formulas' domains, up to 4 stages and 6 micro-batches, no order ends
 * sooner than the schedule does.
 *
 * The optimum is over all orders of compute actions in which micro-batches of a chunk go forward,
 * and back, in ascending order, with the schedule's chunks where it puts them and on every stage at
 * most as many chunks' activations as the schedule promises, each from its F to its W or BW; F, B
 * and W take 1, BW takes 2, messages nothing. Since all begin at whole times, that is a search over
 * what each stage begins at each of them: by depth, without what cannot end in time any more and
 * without states that were left before. */
#include "pipeline/schedule.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_CHUNKS = 16, MOST_STAGES = 4, REMEMBERED = 1 << 18 };

typedef struct {
    /* Begun, of each chunk; and slots for which a stage still computes what it has begun. */
    unsigned char f[MOST_CHUNKS], b[MOST_CHUNKS], w[MOST_CHUNKS], busy[MOST_STAGES];
    unsigned char backward[MOST_STAGES]; /* the chunk of a BW that goes on, plus 1 */
} state_t;

typedef struct { /* nothing ends in time from here */
    state_t state;
    int at; /* one more than the time; 0: no state */
} left_t;

typedef struct {
    int stages, chunks, micros, limit;
    const int *stage_of;
    bool split;
    int end; /* wanted */
    left_t *left;
} problem_t;

static int length_of_b(const problem_t *p)
{
    return p->split ? 1 : 2;
}

/* B of the chunk that are over. */
static int backs_done(const problem_t *p, const state_t *s, int c)
{
    return s->b[c] - (s->backward[p->stage_of[c]] == c + 1);
}

static int held(const problem_t *p, const state_t *s, int stage)
{
    int all = 0;
    for (int c = 0; c < p->chunks; c++) {
        if (p->stage_of[c] == stage)
            all += s->f[c] - (p->split ? s->w[c] : s->b[c]);
    }
    return all;
}

static bool can_f(const problem_t *p, const state_t *before, const state_t *s, int c)
{
    return s->f[c] < p->micros && (c == 0 || before->f[c - 1] > s->f[c]) &&
           held(p, s, p->stage_of[c]) < p->limit;
}

static bool can_b(const problem_t *p, const state_t *before, const state_t *s, int c)
{
    return s->b[c] < before->f[c] && (c == p->chunks - 1 || backs_done(p, before, c + 1) > s->b[c]);
}

/* ---- what cannot end in time */

typedef struct {
    int f[MOST_CHUNKS], b[MOST_CHUNKS]; /* when the chunk's next F and B begin at the earliest */
} earliest_t;

static int larger(int a, int b)
{
    return a > b ? a : b;
}

static void find_earliest(const problem_t *p, const state_t *s, int now, earliest_t *e)
{
    for (int c = 0; c < p->chunks; c++) {
        e->f[c] = now;
        if (c > 0 && s->f[c - 1] <= s->f[c])
            e->f[c] = e->f[c - 1] + s->f[c] - s->f[c - 1] + 1;
    }
    for (int c = p->chunks - 1; c >= 0; c--) {
        int m = s->b[c];
        e->b[c] = s->f[c] > m ? now : e->f[c] + m - s->f[c] + 1;
        if (c == p->chunks - 1 || backs_done(p, s, c + 1) > m)
            continue;
        int after =
            s->b[c + 1] > m ? now + 1 : e->b[c + 1] + (m - s->b[c + 1] + 1) * length_of_b(p);
        e->b[c] = larger(e->b[c], after);
    }
}

/* F and B of C and of its stage's later chunks, then B of all chunks in front of it and a last W.
 */
static int bound_by_chunk(const problem_t *p, const state_t *s, const earliest_t *e, int c)
{
    int begin = INT32_MAX, work = 0;
    for (int k = c; k < p->chunks && s->b[c] < p->micros; k++) {
        if (p->stage_of[k] != p->stage_of[c])
            continue;
        work += p->micros - s->f[k] + (p->micros - s->b[k]) * length_of_b(p);
        if (s->f[k] < p->micros && e->f[k] < begin)
            begin = e->f[k];
        if (s->b[k] < p->micros && e->b[k] < begin)
            begin = e->b[k];
    }
    return work == 0 ? 0 : begin + work + c * length_of_b(p) + p->split;
}

/* All that is left of a stage, and what of it lies behind its next B. */
static int bound_by_stage(const problem_t *p, const state_t *s, const earliest_t *e, int stage,
                          int now)
{
    int all = 0, behind = 0, next = INT32_MAX;
    for (int c = 0; c < p->chunks; c++) {
        if (p->stage_of[c] != stage)
            continue;
        int backs = p->micros - s->b[c];
        all += p->micros - s->f[c] + (p->split ? p->micros - s->w[c] : 0);
        behind += backs * (length_of_b(p) + p->split);
        all += backs * length_of_b(p);
        if (backs > 0 && e->b[c] < next)
            next = e->b[c];
    }
    return larger(now + s->busy[stage] + all, behind == 0 ? 0 : next + behind);
}

static bool is_late(const problem_t *p, const state_t *s, int now)
{
    earliest_t e;
    find_earliest(p, s, now, &e);
    for (int c = 0; c < p->chunks; c++) {
        if (bound_by_chunk(p, s, &e, c) > p->end)
            return true;
    }
    for (int stage = 0; stage < p->stages; stage++) {
        if (bound_by_stage(p, s, &e, stage, now) > p->end)
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

static bool begin_slot(const problem_t *p, const state_t *s, int now);

/* BEFORE: at the slot's begin, when only what is over then can be built on. */
static bool begin_stage(const problem_t *p, const state_t *before, const state_t *s, int stage,
                        int now)
{
    bool gains = false; /* by beginning something: with actions of one slot, B and W never wait */
    if (stage == p->stages)
        return begin_slot(p, s, now + 1);
    if (s->busy[stage] > 0)
        return begin_stage(p, before, s, stage + 1, now);
    for (int kind = 0; kind < 3; kind++) {
        for (int c = p->chunks - 1; c >= 0; c--) {
            state_t next = *s;
            if (p->stage_of[c] != stage)
                continue;
            if (kind == 0 && can_b(p, before, s, c)) {
                next.b[c]++;
                next.busy[stage] = (unsigned char)length_of_b(p);
                next.backward[stage] = (unsigned char)(c + 1);
                gains = p->split;
            } else if (kind == 1 && can_f(p, before, s, c)) {
                next.f[c]++;
                next.busy[stage] = 1;
            } else if (kind == 2 && p->split && s->w[c] < before->b[c]) {
                next.w[c]++;
                next.busy[stage] = 1;
            } else {
                continue;
            }
            if (begin_stage(p, before, &next, stage + 1, now))
                return true;
            if (kind == 2) /* one W is as good as another */
                return false;
        }
    }
    return !gains && begin_stage(p, before, s, stage + 1, now);
}

static bool is_over(const problem_t *p, const state_t *s)
{
    for (int c = 0; c < p->chunks; c++) {
        if (backs_done(p, s, c) < p->micros || (p->split && s->w[c] < p->micros))
            return false;
    }
    return true;
}

/* Whether all ends in time from here. */
static bool begin_slot(const problem_t *p, const state_t *s, int now)
{
    state_t state = *s;
    for (int stage = 0; stage < p->stages && now > 0; stage++) {
        if (state.busy[stage] > 0)
            state.busy[stage]--;
        if (state.busy[stage] == 0)
            state.backward[stage] = 0;
    }
    if (is_over(p, &state))
        return now <= p->end;
    size_t place = place_of(&state);
    if (is_late(p, &state, now))
        return false;
    if (p->left[place].at > 0 && p->left[place].at <= now + 1 &&
        memcmp(&p->left[place].state, &state, sizeof(state)) == 0)
        return false;
    if (begin_stage(p, &state, &state, 0, now))
        return true;
    p->left[place].state = state;
    p->left[place].at = now + 1;
    return false;
}

static bool ends_by(problem_t *p, int end)
{
    state_t empty = {{0}, {0}, {0}, {0}, {0}};
    p->end = end;
    memset(p->left, 0, REMEMBERED * sizeof(*p->left));
    return begin_slot(p, &empty, 0);
}

/* ---- the schedules */

typedef struct {
    const char *name;
    int per_stage;
    bool split;
    bool (*published)(int p, int m); /* the formula holds */
    int (*limit)(int p, int v);      /* as doc/schedules.md says it */
} promise_t;

static bool divides(int p, int m)
{
    return m % p == 0;
}

static bool from_p(int p, int m)
{
    return m >= p;
}

static bool from_2p_less_one(int p, int m)
{
    return m >= 2 * p - 1;
}

static bool from_2p(int p, int m)
{
    return m >= 2 * p;
}

static bool nowhere(int p, int m)
{
    (void)p;
    (void)m;
    return false;
}

static int limit_interleaved(int p, int v)
{
    return p * v + p - 1;
}

static int limit_h1(int p, int v)
{
    return p * v;
}

static int limit_h2(int p, int v)
{
    return (2 * p - 1) * v;
}

static const promise_t promises[] = {
    {"interleaved:2", 2, false, divides, limit_interleaved},
    {"interleaved:3", 3, false, divides, limit_interleaved},
    {"interleaved:4", 4, false, divides, limit_interleaved},
    {"zb-h1", 1, true, from_p, limit_h1},
    {"zb-h2", 1, true, from_2p_less_one, limit_h2},
    {"zb-v", 2, true, from_2p, limit_h1},
    {"auto", 1, true, nowhere, limit_h1},
    {"auto:2", 2, true, nowhere, limit_h1},
};
enum { N_PROMISES = sizeof(promises) / sizeof(promises[0]) };

/* When it ends; within its promise. */
static int end_of(const promise_t *of, mb_schedule_t *schedule, int p, int m, mb_arena_t *arena)
{
    mb_schedule_choice_t choice;
    mb_schedule_times_t times;
    mb_chunk_cost_t costs[MOST_CHUNKS];
    for (int c = 0; c < MOST_CHUNKS; c++)
        costs[c] = (mb_chunk_cost_t){1, 1, 1, 0};
    ck_assert_int_eq(mb_schedule_parse(of->name, &choice), MB_OK);
    ck_assert_int_eq(mb_schedule_make(&choice, true, p, m, arena, schedule), MB_OK);
    ck_assert_int_eq(mb_schedule_time(schedule, costs, NULL, arena, &times), MB_OK);
    for (int s = 0; s < p; s++)
        ck_assert_double_le(times.peak[s], of->limit(p, of->per_stage));
    return (int)times.end;
}

static problem_t problem_of(const promise_t *of, const mb_schedule_t *schedule)
{
    return (problem_t){.stages = schedule->stages,
                       .chunks = schedule->chunks,
                       .micros = schedule->micros,
                       .limit = of->limit(schedule->stages, of->per_stage),
                       .stage_of = schedule->stage_of,
                       .split = of->split,
                       .left = malloc(REMEMBERED * sizeof(left_t))};
}

START_TEST(elsewhere_no_order_ends_sooner)
{
    const promise_t *of = &promises[_i];
    for (int p = 2; p <= MOST_STAGES; p++) {
        for (int m = 1; m <= 6; m++) {
            mb_schedule_t schedule;
            mb_arena_t *arena = mb_arena_create();
            if (!of->published(p, m)) {
                int end = end_of(of, &schedule, p, m, arena);
                problem_t problem = problem_of(of, &schedule);
                ck_assert_msg(!ends_by(&problem, end - 1),
                              "%s, %d stages, %d micro-batches: another order ends before %d",
                              of->name, p, m, end);
                free(problem.left);
            }
            mb_arena_destroy(arena);
        }
    }
}
END_TEST

/* The search finds what there is: where schedules are known, it ends when they do and no sooner. */
START_TEST(the_search_finds_the_published_optimum)
{
    const promise_t *of = &promises[_i];
    for (int p = 2; p <= 3; p++) {
        for (int m = 1; m <= 4; m++) {
            mb_schedule_t schedule;
            mb_arena_t *arena = mb_arena_create();
            int end = end_of(of, &schedule, p, m, arena);
            problem_t problem = problem_of(of, &schedule);
            ck_assert_msg(ends_by(&problem, end) && !ends_by(&problem, end - 1),
                          "%s, %d stages, %d micro-batches: not %d", of->name, p, m, end);
            free(problem.left);
            mb_arena_destroy(arena);
        }
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("schedule optimum");
    TCase *c = tcase_create("optimum");
    tcase_set_timeout(c, 120);
    tcase_add_loop_test(c, elsewhere_no_order_ends_sooner, 0, N_PROMISES);
    tcase_add_loop_test(c, the_search_finds_the_published_optimum, 0, N_PROMISES);
    suite_add_tcase(s, c);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
