/* The compute actions that schedules generate, and what is read from a file. */
#include "base/str.h"
#include "pipeline/schedule.h"
#include "support/data_files.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static mb_schedule_choice_t choice_of(const char *text)
{
    mb_schedule_choice_t choice;
    ck_assert_msg(mb_schedule_parse(text, &choice) == MB_OK, "%s", mb_error_get());
    return choice;
}

static mb_schedule_t make(const char *text, bool training, int stages, int micros,
                          mb_arena_t *arena)
{
    mb_schedule_t schedule;
    mb_schedule_choice_t choice = choice_of(text);
    ck_assert_msg(mb_schedule_make(&choice, training, stages, micros, arena, &schedule) == MB_OK,
                  "%s", mb_error_get());
    return schedule;
}

/* The programs of all stages, a line each: chunks are said where a stage has several. */
static char *text_of(const mb_schedule_t *schedule)
{
    static const char *const names[] = {"F", "B", "W", "BW", "R"};
    mb_str_t text = {0};
    for (int s = 0; s < schedule->stages; s++) {
        const mb_program_t *program = &schedule->programs[s];
        for (int i = 0; i < program->n; i++) {
            const mb_action_t *action = &program->actions[i];
            mb_str_addf(&text, "%s%s", i == 0 ? "" : " ", names[action->kind]);
            if (schedule->chunks > schedule->stages)
                mb_str_addf(&text, "%d.", action->chunk);
            mb_str_addf(&text, "%d", action->micro);
        }
        mb_str_add(&text, "\n");
    }
    return text.text;
}

static void check_text(const char *name, bool training, int stages, int micros,
                       const char *expected)
{
    mb_arena_t *arena = mb_arena_create();
    mb_schedule_t schedule = make(name, training, stages, micros, arena);
    char *text = text_of(&schedule);
    ck_assert_str_eq(text, expected);
    free(text);
    mb_arena_destroy(arena);
}

START_TEST(gpipe_runs_all_forwards_then_all_backwards)
{
    check_text("gpipe", true, 1, 1, "F0 BW0\n");
    check_text("gpipe", true, 2, 3, "F0 F1 F2 BW0 BW1 BW2\nF0 F1 F2 BW0 BW1 BW2\n");
}
END_TEST

START_TEST(one_f_one_b_warms_up_by_the_stages_behind)
{
    check_text("1f1b", true, 3, 4,
               "F0 F1 F2 BW0 F3 BW1 BW2 BW3\n"
               "F0 F1 BW0 F2 BW1 F3 BW2 BW3\n"
               "F0 BW0 F1 BW1 F2 BW2 F3 BW3\n");
    check_text("1f1b", true, 3, 1, "F0 BW0\nF0 BW0\nF0 BW0\n");
}
END_TEST

/* Figure 4 of Narayanan et al. 2021, for two stages. */
START_TEST(interleaved_goes_through_the_chunks_by_groups_of_micro_batches)
{
    check_text("interleaved", true, 2, 2,
               "F0.0 F0.1 F2.0 F2.1 BW2.0 BW2.1 BW0.0 BW0.1\n"
               "F1.0 F1.1 F3.0 BW3.0 F3.1 BW3.1 BW1.0 BW1.1\n");
}
END_TEST

START_TEST(zero_bubble_schedules_fill_with_gradients_of_weights)
{
    check_text("zb-h1", true, 2, 3,
               "F0 F1 B0 W0 F2 B1 W1 B2 W2\n"
               "F0 B0 F1 B1 W0 F2 B2 W1 W2\n");
    check_text("zb-v", true, 1, 2, "F0.0 F1.0 B1.0 W1.0 F0.1 B0.0 W0.0 F1.1 B1.1 W1.1 B0.1 W0.1\n");
}
END_TEST

START_TEST(forward_only_programs_have_no_backward_and_two_slots)
{
    mb_arena_t *arena = mb_arena_create();
    check_text("gpipe", false, 2, 3, "F0 F1 F2\nF0 F1 F2\n");
    check_text("zb-h1", false, 2, 2, "F0 F1\nF0 F1\n");
    mb_schedule_t schedule = make("1f1b", false, 3, 3, arena);
    ck_assert(schedule.slots[0] == 2 && schedule.slots[1] == 2 && schedule.slots[2] == 2);
    schedule = make("1f1b", false, 3, 1, arena);
    ck_assert_int_eq(schedule.slots[1], 1);
    schedule = make("gpipe", false, 1, 9, arena);
    ck_assert_int_eq(schedule.slots[0], 1);
    mb_arena_destroy(arena);
}
END_TEST

typedef struct {
    int done[4]; /* by kind */
} count_t;

/* A stage has one place for what lies inside its chunks: the last stage's last segment is there
 * when it goes back, all else is computed again. */
START_TEST(segments_go_back_one_by_one_each_behind_its_forward)
{
    mb_arena_t *arena = mb_arena_create();
    mb_schedule_t schedule;
    mb_schedule_choice_t choice = choice_of("1f1b");
    choice.recomputes = true;
    choice.segments = 2;
    ck_assert_int_eq(mb_schedule_make(&choice, true, 2, 2, arena, &schedule), MB_OK);
    char *text = text_of(&schedule);
    ck_assert_str_eq(text, "F0.0 F1.0 F0.1 F1.1 R1.0 BW1.0 R0.0 BW0.0 R1.1 BW1.1 R0.1 BW0.1\n"
                           "F2.0 F3.0 BW3.0 R2.0 BW2.0 F2.1 F3.1 BW3.1 R2.1 BW2.1\n");
    free(text);
    ck_assert(schedule.slots[0] == 2 && schedule.slots[1] == 2 && schedule.slots[3] == 1);
    ck_assert_int_eq(mb_schedule_make(&choice, false, 2, 2, arena, &schedule), MB_OK);
    ck_assert_int_eq(schedule.chunks, 2);
    mb_arena_destroy(arena);
}
END_TEST

/* Every micro-batch once through every chunk, in ascending order, within the slots. */
static void check_program(const mb_schedule_t *schedule, int stage)
{
    const mb_program_t *program = &schedule->programs[stage];
    count_t counts[64] = {0};
    for (int i = 0; i < program->n; i++) {
        const mb_action_t *action = &program->actions[i];
        int *done = counts[action->chunk].done;
        ck_assert_int_eq(schedule->stage_of[action->chunk], stage);
        if (action->kind == MB_ACTION_BW) {
            ck_assert_int_eq(action->micro, done[MB_ACTION_B]++);
            ck_assert_int_eq(action->micro, done[MB_ACTION_W]++);
        } else {
            ck_assert_int_eq(action->micro, done[action->kind]++);
        }
        ck_assert(done[MB_ACTION_F] >= done[MB_ACTION_B] && done[MB_ACTION_B] >= done[MB_ACTION_W]);
        ck_assert_int_le(done[MB_ACTION_F] - done[MB_ACTION_W], schedule->slots[action->chunk]);
    }
    for (int c = 0; c < schedule->chunks; c++) {
        for (int k = MB_ACTION_F; k <= MB_ACTION_W && schedule->stage_of[c] == stage; k++)
            ck_assert_int_eq(counts[c].done[k], schedule->micros);
    }
}

static const char *const all[] = {"gpipe", "1f1b",  "interleaved", "interleaved:3", "interleaved:4",
                                  "zb-h1", "zb-h2", "zb-v",        "auto",          "auto:3"};

START_TEST(every_schedule_accumulates_in_ascending_order_within_its_slots)
{
    for (int stages = 1; stages <= 7; stages++) {
        for (int micros = 1; micros <= 17; micros++) {
            mb_arena_t *arena = mb_arena_create();
            mb_schedule_t schedule = make(all[_i], true, stages, micros, arena);
            for (int s = 0; s < stages; s++)
                check_program(&schedule, s);
            mb_arena_destroy(arena);
        }
    }
}
END_TEST

START_TEST(schedules_are_found_by_name_and_a_wrong_one_gets_the_nearest)
{
    mb_schedule_choice_t choice = choice_of("gpipe");
    ck_assert_int_eq(choice.kind, MB_SCHEDULE_GPIPE);
    choice = choice_of("interleaved");
    ck_assert(choice.kind == MB_SCHEDULE_INTERLEAVED && choice.per_stage == 2);
    choice = choice_of("interleaved:5");
    ck_assert_int_eq(mb_schedule_chunks(&choice, 3), 15);
    choice = choice_of("auto");
    ck_assert_int_eq(mb_schedule_chunks(&choice, 3), 3);
    choice = choice_of("auto:2");
    ck_assert_int_eq(mb_schedule_chunks(&choice, 3), 6);
    choice = choice_of("zb-v");
    ck_assert_int_eq(mb_schedule_chunks(&choice, 3), 6);
    choice = choice_of("file:a/b:c.txt");
    ck_assert_str_eq(choice.path, "a/b:c.txt");
    static const char *const wrong[][2] = {{"gpip", "the nearest one is gpipe"},
                                           {"zb-h3", "the nearest one is zb-h1"},
                                           {"gpipe:2", "is not known"},
                                           {"interleaved:x", "is not known"},
                                           {"interleaved:1", "from 2 to 64 chunks"},
                                           {"interleaved:9999999999", "from 2 to 64 chunks"},
                                           {"file:", "no file is named"},
                                           {"file", "no file is named"}};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        ck_assert_int_eq(mb_schedule_parse(wrong[i][0], &choice), MB_ERR_ARGUMENT);
        ck_assert_msg(strstr(mb_error_get(), wrong[i][1]) != NULL, "%s", mb_error_get());
    }
}
END_TEST

/* ---- files */

static const char *path;

static void name_file(void)
{
    path = test_path("schedule.txt");
}

static void put(const char *text)
{
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
}

static mb_status_t read_file(const char *text, int stages, int micros, bool training)
{
    mb_schedule_t schedule;
    mb_schedule_choice_t choice = {.kind = MB_SCHEDULE_FILE, .path = path};
    mb_arena_t *arena = mb_arena_create();
    put(text);
    mb_status_t status = mb_schedule_make(&choice, training, stages, micros, arena, &schedule);
    mb_arena_destroy(arena);
    return status;
}

START_TEST(a_file_says_where_chunks_lie_and_what_is_done_in_which_order)
{
    mb_schedule_choice_t choice = {.kind = MB_SCHEDULE_FILE, .path = path};
    mb_schedule_t schedule;
    mb_arena_t *arena = mb_arena_create();
    put("# there and back\n\n  F0.0 F0.1\tF3.0 BW3.0 F3.1 BW3.1 BW0.0 B0.1 W0.1 # a stage\r\n"
        "F1.0 F2.0 F1.1 F2.1 BW2.0 BW1.0 BW2.1 BW1.1");
    ck_assert_msg(mb_schedule_make(&choice, true, 2, 2, arena, &schedule) == MB_OK, "%s",
                  mb_error_get());
    char *text = text_of(&schedule);
    ck_assert_str_eq(text, "F0.0 F0.1 F3.0 BW3.0 F3.1 BW3.1 BW0.0 B0.1 W0.1\n"
                           "F1.0 F2.0 F1.1 F2.1 BW2.0 BW1.0 BW2.1 BW1.1\n");
    free(text);
    ck_assert(schedule.chunks == 4 && schedule.stage_of[3] == 0 && schedule.stage_of[2] == 1);
    ck_assert(schedule.slots[0] == 2 && schedule.slots[3] == 1);
    ck_assert(schedule.programs[0].splits_backward && !schedule.programs[1].splits_backward);
    ck_assert_int_eq(mb_schedule_make(&choice, false, 2, 5, arena, &schedule), MB_OK);
    ck_assert(schedule.micros == 5 && schedule.stage_of[3] == 0 && schedule.programs[1].n == 10);
    mb_arena_destroy(arena);
}
END_TEST

/* Where it has some, the rest is put in; segments have their own. */
START_TEST(a_file_says_what_is_computed_again)
{
    mb_schedule_choice_t choice = {.kind = MB_SCHEDULE_FILE, .path = path};
    mb_schedule_t schedule;
    mb_arena_t *arena = mb_arena_create();
    put("F0.0 F0.1 R0.0 B0.0 B0.1 W0.0 W0.1\nF1.0 BW1.0 F1.1 BW1.1\n");
    ck_assert_int_eq(mb_schedule_make(&choice, true, 2, 2, arena, &schedule), MB_OK);
    ck_assert(schedule.again != NULL && schedule.again[0] && !schedule.again[1]);
    ck_assert_int_eq(mb_schedule_recompute(&schedule, schedule.again, arena), MB_OK);
    char *text = text_of(&schedule);
    ck_assert_str_eq(text, "F0 F1 R0 B0 R1 B1 R0 W0 R1 W1\nF0 BW0 F1 BW1\n");
    free(text);
    choice.segments = 2;
    ck_assert_int_eq(mb_schedule_make(&choice, true, 2, 2, arena, &schedule), MB_OK);
    ck_assert(schedule.chunks == 4 && schedule.again[1] && !schedule.again[2]);
    mb_arena_destroy(arena);
}
END_TEST

/* Only where that was asked for; then each has a slot of its own. */
START_TEST(a_file_may_go_back_in_another_order)
{
    mb_schedule_choice_t choice;
    mb_schedule_t schedule;
    mb_arena_t *arena = mb_arena_create();
    char name[512];
    snprintf(name, sizeof name, "unordered:%s", path);
    ck_assert_int_eq(mb_schedule_parse(name, &choice), MB_OK);
    ck_assert(choice.kind == MB_SCHEDULE_FILE && choice.any_order);
    put("F0.0 BW0.0 F0.1 F0.2 B0.1 BW0.2 W0.1\nF1.0 BW1.0 F1.1 BW1.1 F1.2 BW1.2\n");
    ck_assert_msg(mb_schedule_make(&choice, true, 2, 3, arena, &schedule) == MB_OK, "%s",
                  mb_error_get());
    ck_assert(schedule.turns != NULL && schedule.slots[0] == 3);
    ck_assert(schedule.turns[0][0] == 0 && schedule.turns[0][1] == 2 && schedule.turns[0][2] == 1);
    ck_assert(schedule.turns[1][1] == 1 && schedule.turns[1][2] == 2);
    put("F0.0 BW0.0 F0.1 BW0.1\n");
    ck_assert_int_eq(mb_schedule_make(&choice, true, 1, 2, arena, &schedule), MB_OK);
    ck_assert(schedule.turns == NULL && schedule.slots[0] == 1);
    put("F0.0 F0.1 BW0.1 BW0.1\n");
    ck_assert_int_eq(mb_schedule_make(&choice, true, 1, 2, arena, &schedule), MB_ERR_FORMAT);
    ck_assert(strstr(mb_error_get(), "BW0.1 stands twice") != NULL);
    put("F0.1 F0.0 BW0.1 BW0.0\n");
    ck_assert_int_eq(mb_schedule_make(&choice, true, 1, 2, arena, &schedule), MB_ERR_FORMAT);
    ck_assert(strstr(mb_error_get(), "go forward in ascending order") != NULL);
    mb_arena_destroy(arena);
}
END_TEST

START_TEST(a_file_that_is_no_schedule_is_refused_by_line_or_action)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", "holds no action"},
        {"# nothing\n", "holds no action"},
        {"F0.0 X0.0\n", "line 1: 'X0.0' is no action"},
        {"F0.0\nF1\n", "line 2: 'F1' is no action"},
        {"F0.0 BW0.0x\n", "'BW0.0x' is no action"},
        {"F-1.0 BW0.0\n", "'F-1.0' is no action"},
        {"F99999999999.0\n", "is no action"},
        {"F0.0 BW0.0\nF0.1 BW0.1\n", "chunk 0 stands in the lines of stages 0 and 1"},
        {"F0.0 BW0.0\nF2.0 BW2.0\n", "nothing is said of chunk 1"},
        {"F0.0 BW0.0 BW0.0\n", "BW0.0 stands twice or out of order"},
        {"F0.1 F0.0 BW0.0 BW0.1\n", "F0.1 stands twice or out of order"},
        {"F0.0 F0.1 BW0.1 BW0.0\n", "which is that of the sums"},
        {"BW0.0 F0.0\n", "BW0.0 stands in front of its forward"},
        {"F4095.9999 BW4095.9999\n", "nothing is said of chunk 0"},
        {"F0.9999 BW0.9999\n", "2 actions cannot be all of 10000 micro-batches"},
        {"R0.0 F0.0 BW0.0\n", "R0.0 stands in front of its forward"},
        {"F0.0 BW0.0 R0.0\n", "R0.0 stands behind the backward that it would be for"},
        {"F0.0 W0.0 B0.0\n", "W0.0 stands in front of the gradient of its inputs"},
        {"F0.0 F0.1 BW0.0\n", "B0.1 is missing"},
        {"F0.0 BW0.0\nF1.0 BW1.0\nF2.0 BW2.0\n", "a schedule of 3 stages"},
        {"F0.0 BW0.0\nF1.0 BW1.0\n", "a schedule of 1 micro-batches, but a pipeline has 2"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ck_assert_msg(read_file(cases[i].text, 2, 2, true) != MB_OK, "%s", cases[i].text);
        ck_assert_msg(strstr(mb_error_get(), cases[i].message) != NULL, "%s: %s", cases[i].text,
                      mb_error_get());
    }
    mb_schedule_choice_t absent = {.kind = MB_SCHEDULE_FILE, .path = "/nowhere/s.txt"};
    mb_schedule_t schedule;
    ck_assert_int_eq(mb_schedule_make(&absent, true, 1, 1, NULL, &schedule), MB_ERR_IO);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("schedule");
    TCase *c = tcase_create("actions");
    tcase_set_timeout(c, 60);
    tcase_add_checked_fixture(c, name_file, test_remove_folder);
    tcase_add_test(c, gpipe_runs_all_forwards_then_all_backwards);
    tcase_add_test(c, one_f_one_b_warms_up_by_the_stages_behind);
    tcase_add_test(c, interleaved_goes_through_the_chunks_by_groups_of_micro_batches);
    tcase_add_test(c, zero_bubble_schedules_fill_with_gradients_of_weights);
    tcase_add_test(c, segments_go_back_one_by_one_each_behind_its_forward);
    tcase_add_test(c, forward_only_programs_have_no_backward_and_two_slots);
    tcase_add_loop_test(c, every_schedule_accumulates_in_ascending_order_within_its_slots, 0,
                        (int)(sizeof(all) / sizeof(all[0])));
    tcase_add_test(c, schedules_are_found_by_name_and_a_wrong_one_gets_the_nearest);
    tcase_add_test(c, a_file_says_where_chunks_lie_and_what_is_done_in_which_order);
    tcase_add_test(c, a_file_says_what_is_computed_again);
    tcase_add_test(c, a_file_may_go_back_in_another_order);
    tcase_add_test(c, a_file_that_is_no_schedule_is_refused_by_line_or_action);
    suite_add_tcase(s, c);
    return s;
}

int main(void)
{
    SRunner *runner = srunner_create(suite());
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
