/* Where the published formulas hold, schedules idle and hold exactly what they say. For a stage of
 * one chunk F, B and W take f, b and w; of v chunks each takes as much, so that the stage takes v
 * times that. The bubble is what a stage idles between its first action and its last.
 *
 *                  idle                  chunks' activations held      where
 *     GPipe        (p-1)(f+b+w)          M                             any M
 *     1F1B         (p-1)(f+b+w)          min(p, M)                     any M
 *     interleaved  (p-1)(f+b+w)          min(v M, (v-1)p + 2(p-1)+1)   p divides M
 *     ZB-H1        (p-1)(f+b-w)          p                             M >= p
 *     ZB-H2        (p-1)(f+b-2w)         2p-1                          M >= 2p-1
 *     ZB-V         0                     2p                            M >= 2p
 *
 * GPipe: Huang et al. 2019. 1F1B and interleaved: Narayanan et al. 2021, "Efficient large-scale
 * language model training", section 2.2. ZB-H1, ZB-H2: Qi et al. 2023, table 2, f = b = w. ZB-V: Qi
 * et al. 2024. */
#include "pipeline/schedule.h"

#include <check.h>
#include <stdlib.h>

typedef struct {
    double idle, peak;
} figures_t;

typedef struct {
    const char *name;
    int v;
    bool (*holds)(int p, int m);
    figures_t (*formula)(int p, int v, int m);
} published_t;

static bool everywhere(int p, int m)
{
    (void)p;
    return m >= 1;
}

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

static figures_t gpipe(int p, int v, int m)
{
    (void)v;
    return (figures_t){3 * (p - 1), m};
}

static figures_t one_f_one_b(int p, int v, int m)
{
    (void)v;
    return (figures_t){3 * (p - 1), p < m ? p : m};
}

static figures_t interleaved(int p, int v, int m)
{
    int most = (v - 1) * p + 2 * (p - 1) + 1;
    return (figures_t){3 * (p - 1), v * m < most ? v * m : most};
}

static figures_t h1(int p, int v, int m)
{
    (void)v;
    (void)m;
    return (figures_t){p - 1, p};
}

static figures_t h2(int p, int v, int m)
{
    (void)v;
    (void)m;
    return (figures_t){0, 2 * p - 1};
}

static figures_t zb_v(int p, int v, int m)
{
    (void)v;
    (void)m;
    return (figures_t){0, 2 * p};
}

static const published_t published[] = {{"gpipe", 1, everywhere, gpipe},
                                        {"1f1b", 1, everywhere, one_f_one_b},
                                        {"interleaved:2", 2, divides, interleaved},
                                        {"interleaved:3", 3, divides, interleaved},
                                        {"interleaved:4", 4, divides, interleaved},
                                        {"zb-h1", 1, from_p, h1},
                                        {"zb-h2", 1, from_2p_less_one, h2},
                                        {"zb-v", 2, from_2p, zb_v}};
enum { N_PUBLISHED = sizeof(published) / sizeof(published[0]) };

static void time_of(const char *name, int p, int m, const mb_chunk_cost_t *each, mb_arena_t *arena,
                    mb_schedule_times_t *out)
{
    mb_schedule_choice_t choice;
    mb_schedule_t schedule;
    ck_assert_int_eq(mb_schedule_parse(name, &choice), MB_OK);
    ck_assert_int_eq(mb_schedule_make(&choice, true, p, m, arena, &schedule), MB_OK);
    mb_chunk_cost_t *costs = MB_ARENA_ARRAY(arena, mb_chunk_cost_t, schedule.chunks);
    for (int c = 0; c < schedule.chunks; c++)
        costs[c] = *each;
    ck_assert_msg(mb_schedule_time(&schedule, costs, NULL, arena, out) == MB_OK, "%s: %s", name,
                  mb_error_get());
}

START_TEST(idle_time_and_memory_are_those_of_the_published_formulas)
{
    const published_t *of = &published[_i];
    const mb_chunk_cost_t each = {1, 1, 1, 0, 0};
    for (int p = 2; p <= 16; p++) {
        for (int m = 1; m <= 64; m++) {
            mb_schedule_times_t times;
            double peak = 0;
            mb_arena_t *arena = mb_arena_create();
            if (of->holds(p, m)) {
                time_of(of->name, p, m, &each, arena, &times);
                figures_t expected = of->formula(p, of->v, m);
                for (int s = 0; s < p; s++)
                    peak = times.peak[s] > peak ? times.peak[s] : peak;
                ck_assert_msg(times.bubble == expected.idle && peak == expected.peak,
                              "%s, %d stages, %d micro-batches: idle %g (%g), peak %g (%g)",
                              of->name, p, m, times.bubble, expected.idle, peak, expected.peak);
            }
            mb_arena_destroy(arena);
        }
    }
}
END_TEST

/* Outside of them no stage waits for ever, and none idles longer than 1F1B of as many chunks would
 * let it: what zero bubbles and chunks are for. */
START_TEST(elsewhere_schedules_end_and_idle_no_longer_than_without_them)
{
    const published_t *of = &published[_i];
    const mb_chunk_cost_t each = {1, 1, 1, 0, 0};
    for (int p = 2; p <= 9; p++) {
        for (int m = 1; m <= 20; m++) {
            mb_schedule_times_t times, plain;
            const mb_chunk_cost_t whole = {of->v, of->v, of->v, 0, 0};
            mb_arena_t *arena = mb_arena_create();
            time_of(of->name, p, m, &each, arena, &times);
            time_of("1f1b", p, m, &whole, arena, &plain);
            ck_assert_msg(times.end <= plain.end, "%s, %d stages, %d micro-batches: %g, 1f1b %g",
                          of->name, p, m, times.end, plain.end);
            mb_arena_destroy(arena);
        }
    }
}
END_TEST

/* The last stage begins p - 1 forwards behind the first, works on all micro-batches, and then all
 * go back over the p - 1 stages: no order ends sooner, and stages need not divide micro-batches for
 * it. */
START_TEST(interleaved_idles_as_little_with_any_number_of_micro_batches_from_p_on)
{
    static const char *const names[] = {"interleaved:2", "interleaved:3", "interleaved:4"};
    const mb_chunk_cost_t each = {1, 1, 1, 0, 0};
    for (int p = 2; p <= 8; p++) {
        for (int m = p; m <= 24; m++) {
            mb_schedule_times_t times;
            mb_arena_t *arena = mb_arena_create();
            time_of(names[_i], p, m, &each, arena, &times);
            ck_assert_msg(times.end == 3 * (p - 1) + 3 * (_i + 2) * m,
                          "%s, %d stages, %d micro-batches: %g", names[_i], p, m, times.end);
            mb_arena_destroy(arena);
        }
    }
}
END_TEST

/* Two stages, two micro-batches, costs by hand: chunk 0 takes 2, 3, 5, chunk 1 takes 7, 11, 13, a
 * message 1.
 *
 *     stage 0   F0 0-2    F1 2-4        BW0 22-30    BW1 53-61
 *     stage 1   F0 3-10   BW0 10-34 ...
 */
START_TEST(actions_begin_when_what_they_need_is_there)
{
    mb_schedule_choice_t choice = {.kind = MB_SCHEDULE_1F1B};
    const mb_chunk_cost_t costs[] = {{2, 3, 5, 1, 0}, {7, 11, 13, 1, 0}};
    const double weight[] = {10, 100};
    mb_schedule_times_t times;
    mb_schedule_t schedule;
    mb_arena_t *arena = mb_arena_create();
    ck_assert_int_eq(mb_schedule_make(&choice, true, 2, 2, arena, &schedule), MB_OK);
    ck_assert_int_eq(mb_schedule_time(&schedule, costs, weight, arena, &times), MB_OK);
    static const double begin[2][4] = {{0, 2, 35, 66}, {3, 10, 34, 41}};
    for (int s = 0; s < 2; s++) {
        for (int i = 0; i < 4; i++)
            ck_assert_double_eq(times.begin[s][i], begin[s][i]);
    }
    ck_assert_double_eq(times.end, 74);
    ck_assert_double_eq(times.bubble, 74 - 20);
    ck_assert(times.work[0] == 20 && times.work[1] == 62);
    ck_assert(times.peak[0] == 20 && times.peak[1] == 100);
    mb_arena_destroy(arena);
}
END_TEST

START_TEST(a_schedule_that_waits_for_ever_is_named)
{
    mb_schedule_choice_t choice = {.kind = MB_SCHEDULE_1F1B};
    const mb_chunk_cost_t costs[] = {{1, 1, 1, 0, 0}, {1, 1, 1, 0, 0}};
    mb_schedule_times_t times;
    mb_schedule_t schedule;
    mb_arena_t *arena = mb_arena_create();
    ck_assert_int_eq(mb_schedule_make(&choice, true, 2, 2, arena, &schedule), MB_OK);
    mb_action_t *actions = schedule.programs[0].actions;
    mb_action_t first = actions[0];
    actions[0] = actions[2];
    actions[2] = first;
    ck_assert_int_eq(mb_schedule_time(&schedule, costs, NULL, arena, &times), MB_ERR_ARGUMENT);
    mb_arena_destroy(arena);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("schedule times");
    TCase *c = tcase_create("times");
    tcase_set_timeout(c, 120);
    tcase_add_loop_test(c, idle_time_and_memory_are_those_of_the_published_formulas, 0,
                        N_PUBLISHED);
    tcase_add_loop_test(c, elsewhere_schedules_end_and_idle_no_longer_than_without_them, 0,
                        N_PUBLISHED);
    tcase_add_loop_test(c, interleaved_idles_as_little_with_any_number_of_micro_batches_from_p_on,
                        0, 3);
    tcase_add_test(c, actions_begin_when_what_they_need_is_there);
    tcase_add_test(c, a_schedule_that_waits_for_ever_is_named);
    suite_add_tcase(s, c);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
