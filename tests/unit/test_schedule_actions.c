/* The compute actions that schedules generate. */
#include "base/str.h"
#include "pipeline/plan.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static void check_text(mb_schedule_kind_t kind, bool training, int stages, int stage, int micros,
                       int slots, const char *expected)
{
    static const char *const names[] = {"F", "B", "W", "BW"};
    mb_arena_t *arena = mb_arena_create();
    mb_program_t program;
    mb_str_t text = {0};
    ck_assert_int_eq(mb_schedule_generate(kind, training, stages, stage, micros, arena, &program),
                     MB_OK);
    for (int i = 0; i < program.n; i++)
        mb_str_addf(&text, "%s%s%d", i == 0 ? "" : " ", names[program.actions[i].kind],
                    program.actions[i].micro);
    ck_assert_str_eq(text.text, expected);
    ck_assert_int_eq(program.slots, slots);
    ck_assert(!program.splits_backward);
    mb_str_free(&text);
    mb_arena_destroy(arena);
}

START_TEST(gpipe_runs_all_forwards_then_all_backwards)
{
    check_text(MB_SCHEDULE_GPIPE, true, 1, 0, 1, 1, "F0 BW0");
    check_text(MB_SCHEDULE_GPIPE, true, 3, 1, 4, 4, "F0 F1 F2 F3 BW0 BW1 BW2 BW3");
}
END_TEST

START_TEST(one_f_one_b_warms_up_by_the_stages_behind)
{
    check_text(MB_SCHEDULE_1F1B, true, 4, 0, 7, 4,
               "F0 F1 F2 F3 BW0 F4 BW1 F5 BW2 F6 BW3 BW4 BW5 BW6");
    check_text(MB_SCHEDULE_1F1B, true, 4, 2, 4, 2, "F0 F1 BW0 F2 BW1 F3 BW2 BW3");
    check_text(MB_SCHEDULE_1F1B, true, 4, 3, 2, 1, "F0 BW0 F1 BW1");
}
END_TEST

START_TEST(one_f_one_b_with_fewer_micro_batches_than_stages_never_leaves_warm_up)
{
    check_text(MB_SCHEDULE_1F1B, true, 4, 0, 2, 2, "F0 F1 BW0 BW1");
    check_text(MB_SCHEDULE_1F1B, true, 4, 0, 1, 1, "F0 BW0");
}
END_TEST

START_TEST(forward_only_programs_have_no_backward_and_two_slots)
{
    check_text(MB_SCHEDULE_GPIPE, false, 3, 1, 3, 2, "F0 F1 F2");
    check_text(MB_SCHEDULE_1F1B, false, 3, 1, 3, 2, "F0 F1 F2");
    check_text(MB_SCHEDULE_1F1B, false, 3, 1, 1, 1, "F0");
}
END_TEST

/* Replays a program; returns the most micro-batches in flight and checks the order of each kind. */
static int most_in_flight(const mb_program_t *program, int micros)
{
    int forward = 0, backward = 0, most = 0;
    for (int i = 0; i < program->n; i++) {
        const mb_action_t *action = &program->actions[i];
        ck_assert_int_eq(action->micro, action->kind == MB_ACTION_F ? forward : backward);
        if (action->kind == MB_ACTION_F)
            forward++;
        else
            backward++;
        ck_assert_int_ge(forward, backward);
        most = forward - backward > most ? forward - backward : most;
    }
    ck_assert_int_eq(forward, micros);
    ck_assert_int_eq(backward, micros);
    return most;
}

START_TEST(every_schedule_accumulates_in_ascending_order_within_its_slots)
{
    for (int stages = 1; stages <= 6; stages++) {
        for (int stage = 0; stage < stages; stage++) {
            for (int micros = 1; micros <= 9; micros++) {
                mb_arena_t *arena = mb_arena_create();
                mb_program_t g, f;
                mb_schedule_generate(MB_SCHEDULE_GPIPE, true, stages, stage, micros, arena, &g);
                mb_schedule_generate(MB_SCHEDULE_1F1B, true, stages, stage, micros, arena, &f);
                int depth = stages - stage;
                ck_assert_int_eq(most_in_flight(&g, micros), micros);
                ck_assert_int_eq(g.slots, micros);
                ck_assert_int_eq(most_in_flight(&f, micros), micros < depth ? micros : depth);
                ck_assert_int_eq(f.slots, micros < depth ? micros : depth);
                mb_arena_destroy(arena);
            }
        }
    }
}
END_TEST

START_TEST(schedules_are_found_by_name_and_a_wrong_one_gets_the_nearest)
{
    mb_schedule_kind_t kind;
    ck_assert_int_eq(mb_schedule_parse("gpipe", &kind), MB_OK);
    ck_assert_int_eq(kind, MB_SCHEDULE_GPIPE);
    ck_assert_int_eq(mb_schedule_parse("1f1b", &kind), MB_OK);
    ck_assert_int_eq(kind, MB_SCHEDULE_1F1B);
    ck_assert_str_eq(mb_schedule_name(MB_SCHEDULE_1F1B), "1f1b");
    ck_assert_int_eq(mb_schedule_parse("gpip", &kind), MB_ERR_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(mb_error_get(), "the nearest one is gpipe"));
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("schedule");
    TCase *c = tcase_create("actions");
    tcase_add_test(c, gpipe_runs_all_forwards_then_all_backwards);
    tcase_add_test(c, one_f_one_b_warms_up_by_the_stages_behind);
    tcase_add_test(c, one_f_one_b_with_fewer_micro_batches_than_stages_never_leaves_warm_up);
    tcase_add_test(c, forward_only_programs_have_no_backward_and_two_slots);
    tcase_add_test(c, every_schedule_accumulates_in_ascending_order_within_its_slots);
    tcase_add_test(c, schedules_are_found_by_name_and_a_wrong_one_gets_the_nearest);
    suite_add_tcase(s, c);
    return s;
}

int main(void)
{
    SRunner *r = srunner_create(suite());
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? 0 : 1;
}
