/* Outside the published formulas' domains, up to 4 stages and 6 micro-batches, no order ends
 * sooner than the schedule does.
 *
 * The optimum is over all orders of compute actions in which micro-batches of a chunk go forward,
 * and back, in ascending order, with the schedule's chunks where it puts them and on every stage at
 * most as many chunks' activations as the schedule promises, each from its F to its W or BW; F, B
 * and W take 1, BW takes 2, messages nothing (support/schedule_orders.h). */
#include "pipeline/schedule.h"
#include "support/schedule_orders.h"

#include <check.h>
#include <stdlib.h>

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
    mb_chunk_cost_t costs[ORDERS_MOST_CHUNKS];
    for (int c = 0; c < ORDERS_MOST_CHUNKS; c++)
        costs[c] = (mb_chunk_cost_t){1, 1, 1, 0, 0};
    ck_assert_int_eq(mb_schedule_parse(of->name, &choice), MB_OK);
    ck_assert_int_eq(mb_schedule_make(&choice, true, p, m, arena, schedule), MB_OK);
    ck_assert_int_eq(mb_schedule_time(schedule, costs, NULL, arena, &times), MB_OK);
    for (int s = 0; s < p; s++)
        ck_assert_double_le(times.peak[s], of->limit(p, of->per_stage));
    return (int)times.end;
}

static orders_t orders_of(const promise_t *of, const mb_schedule_t *schedule)
{
    return (orders_t){.stages = schedule->stages,
                      .chunks = schedule->chunks,
                      .micros = schedule->micros,
                      .limit = of->limit(schedule->stages, of->per_stage),
                      .stage_of = schedule->stage_of,
                      .split = of->split};
}

START_TEST(elsewhere_no_order_ends_sooner)
{
    const promise_t *of = &promises[_i];
    for (int p = 2; p <= ORDERS_MOST_STAGES; p++) {
        for (int m = 1; m <= 6; m++) {
            mb_schedule_t schedule;
            mb_arena_t *arena = mb_arena_create();
            if (!of->published(p, m)) {
                int end = end_of(of, &schedule, p, m, arena);
                orders_t orders = orders_of(of, &schedule);
                ck_assert_msg(!orders_end_by(&orders, end - 1),
                              "%s, %d stages, %d micro-batches: another order ends before %d",
                              of->name, p, m, end);
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
            orders_t orders = orders_of(of, &schedule);
            ck_assert_msg(orders_end_by(&orders, end) && !orders_end_by(&orders, end - 1),
                          "%s, %d stages, %d micro-batches: not %d", of->name, p, m, end);
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
