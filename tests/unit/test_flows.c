/* Flows that share ways: times made by hand, and many random ones against a slow truth. */
#include "base/flows.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 64, WAYS = 4 };

static mb_arena_t *arena;
static mb_flows_t flows;
static mb_flow_way_t outs[WAYS], ins[WAYS];
static double ends[MOST];

static void set_up(void)
{
    arena = mb_arena_create();
    flows = (mb_flows_t){.arena = arena};
    for (int i = 0; i < WAYS; i++)
        outs[i] = ins[i] = (mb_flow_way_t){.bandwidth = 100};
}

static void tear_down(void)
{
    mb_arena_destroy(arena);
}

static void begin(double now, int out, int in, int64_t bytes, int what)
{
    ck_assert_int_eq(mb_flows_begin(&flows, now, &outs[out], &ins[in], bytes, 0, (uint64_t)what),
                     MB_OK);
}

/* What arrives before BEFORE. */
static int take(double before)
{
    int n = 0;
    double time;
    uint64_t what;
    for (; mb_flows_take(&flows, before, &time, &what); n++)
        ends[what] = time;
    return n;
}

START_TEST(one_flow_takes_its_bytes_and_a_latency)
{
    ck_assert_int_eq(mb_flows_begin(&flows, 3, &outs[0], &ins[1], 50, 0.25, 0), MB_OK);
    ck_assert_int_eq(take(3.5), 0);
    ck_assert_int_eq(take(INFINITY), 1);
    ck_assert_double_eq(ends[0], 3.75);
    ck_assert_double_eq(outs[0].busy, 0.5);
    ck_assert_double_eq(outs[0].held_up, 0);
    ck_assert_int_eq(ins[1].bytes, 50);
    ck_assert_int_eq(ins[1].messages, 1);
}
END_TEST

START_TEST(what_holds_up_nothing_and_what_is_empty_are_there_at_once)
{
    begin(1, 0, 0, 0, 0);
    outs[1].bandwidth = ins[1].bandwidth = INFINITY;
    begin(1, 1, 1, INT64_MAX, 1);
    ck_assert_int_eq(take(INFINITY), 2);
    ck_assert(ends[0] == 1 && ends[1] == 1 && outs[1].busy == 0);
}
END_TEST

/* Half a second alone, then half the way each until the first is through, 50 bytes later. */
START_TEST(a_second_flow_takes_half_of_a_way_and_has_it_whole_when_the_first_is_through)
{
    begin(0, 0, 1, 100, 0);
    ck_assert_int_eq(take(0.5), 0);
    begin(0.5, 0, 2, 100, 1);
    ck_assert_int_eq(take(INFINITY), 2);
    ck_assert_double_eq(ends[0], 1.5);
    ck_assert_double_eq(ends[1], 2);
    ck_assert_double_eq(outs[0].busy, 2);
    ck_assert_double_eq(outs[0].held_up, 0.5 + 0.5);
    ck_assert_double_eq(ins[1].held_up, 0.5);
}
END_TEST

/* As flows.h draws it: a 0 to 1, b 0 to 2, c 3 to 2. */
START_TEST(a_flow_goes_on_at_the_lesser_of_its_parts)
{
    begin(0, 0, 1, 100, 0);
    begin(0, 0, 2, 50, 1);
    begin(0, 3, 2, 100, 2);
    ck_assert_int_eq(take(INFINITY), 3);
    ck_assert_double_eq(ends[1], 1);
    ck_assert(ends[0] == 1.5 && ends[2] == 1.5);
}
END_TEST

/* b has a quarter of its way in; a has a half of the way out that they share, and not three
 * quarters. */
START_TEST(what_a_flow_leaves_of_its_part_is_not_taken_up)
{
    begin(0, 0, 1, 50, 0);
    for (int i = 0; i < 4; i++)
        begin(0, i, 2, 100, 1 + i);
    ck_assert_int_eq(take(INFINITY), 5);
    ck_assert_double_eq(ends[0], 1);
    ck_assert_double_eq(ends[1], 4);
    ck_assert_double_eq(ends[4], 4);
}
END_TEST

/* ---- a slow truth: after every beginning and end all are looked at */

typedef struct {
    double begin, left, end;
    int out, in;
} slow_t;

static double rate_of(const slow_t *all, int n, const slow_t *flow, double now)
{
    int at_out = 0, at_in = 0;
    for (int i = 0; i < n; i++) {
        bool moves = all[i].begin <= now && all[i].left > 0;
        at_out += moves && all[i].out == flow->out;
        at_in += moves && all[i].in == flow->in;
    }
    return fmin(outs[flow->out].bandwidth / at_out, ins[flow->in].bandwidth / at_in);
}

/* To the next beginning or end; false: there is none. */
static bool go_on(slow_t *all, int n, double *now)
{
    double rates[MOST], next = INFINITY;
    for (int i = 0; i < n; i++) {
        rates[i] = all[i].begin <= *now && all[i].left > 0 ? rate_of(all, n, &all[i], *now) : 0;
        if (all[i].begin > *now)
            next = fmin(next, all[i].begin);
        else if (all[i].left > 0)
            next = fmin(next, *now + all[i].left / rates[i]);
    }
    for (int i = 0; i < n && next < INFINITY; i++) {
        if (!(rates[i] > 0))
            continue;
        all[i].left -= rates[i] * (next - *now);
        all[i].left = all[i].left > 1e-9 ? all[i].left : 0;
        all[i].end = next;
    }
    *now = next;
    return next < INFINITY;
}

static int draw(uint64_t *state, int most)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (int)((*state >> 33) % (uint64_t)most);
}

/* Times of a few marks, so that many begin at once. */
static void draw_flows(uint64_t seed, slow_t *all, int n)
{
    double time = 0;
    for (int i = 0; i < n; i++) {
        time += draw(&seed, 3) == 0 ? draw(&seed, 50) / 16.0 : 0;
        all[i] = (slow_t){.begin = time,
                          .left = 1 + draw(&seed, 300),
                          .out = draw(&seed, WAYS),
                          .in = draw(&seed, WAYS)};
    }
}

/* From the first or from the last of those that begin at one time. */
static void begin_all(const slow_t *all, int n, bool turned)
{
    for (int first = 0, end; first < n; first = end) {
        for (end = first; end < n && all[end].begin <= all[first].begin; end++)
            continue;
        take(all[first].begin);
        for (int k = first; k < end; k++) {
            int i = turned ? first + end - 1 - k : k;
            begin(all[i].begin, all[i].out, all[i].in, (int64_t)all[i].left, i);
        }
    }
    take(INFINITY);
}

static void set_bandwidths(uint64_t seed)
{
    tear_down();
    set_up();
    for (uint64_t i = 0; i < WAYS; i++)
        outs[i].bandwidth = ins[i].bandwidth = 50 + 25 * (double)((seed + i) % 3);
}

START_TEST(random_flows_end_when_a_slow_truth_says)
{
    slow_t all[MOST];
    double once[MOST];
    for (uint64_t seed = 0; seed < 300; seed++) {
        int n = 2 + (int)seed % (MOST - 2);
        double now = 0;
        draw_flows(seed, all, n);
        set_bandwidths(seed);
        begin_all(all, n, true);
        memcpy(once, ends, sizeof once);
        set_bandwidths(seed);
        begin_all(all, n, false);
        while (go_on(all, n, &now))
            continue;
        for (int i = 0; i < n; i++) {
            ck_assert_double_eq(ends[i], once[i]);
            ck_assert_double_eq_tol(ends[i], all[i].end, 1e-9 * all[i].end); /* n sums of n parts */
        }
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("flows");
    TCase *tests = tcase_create("flows");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, one_flow_takes_its_bytes_and_a_latency);
    tcase_add_test(tests, what_holds_up_nothing_and_what_is_empty_are_there_at_once);
    tcase_add_test(tests,
                   a_second_flow_takes_half_of_a_way_and_has_it_whole_when_the_first_is_through);
    tcase_add_test(tests, a_flow_goes_on_at_the_lesser_of_its_parts);
    tcase_add_test(tests, what_a_flow_leaves_of_its_part_is_not_taken_up);
    tcase_add_test(tests, random_flows_end_when_a_slow_truth_says);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
