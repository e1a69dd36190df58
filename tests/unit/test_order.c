/* Plans for a transport that matches by order: what the lowering makes of them, and what the
 * validator finds where the order is broken. */
#include "pipeline/plan.h"
#include "support/fake_graph.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static fake_graph_t fake;
static bool recomputes, uneven; /* the plans that are made */

static mb_plan_t *make_plan(mb_schedule_kind_t kind, bool ordered, bool training, int stages,
                            int micros)
{
    mb_plan_t *plan = NULL;
    mb_plan_options_t options = {
        .stages = stages,
        .micro_batch = 2,
        .micros_per_replica = micros,
        .replicas_of_group = 1,
        .schedule = {.kind = kind, .per_stage = 2, .recomputes = recomputes},
        .training = training,
        .ordered = ordered,
        .uneven = uneven};
    ck_assert_msg(mb_plan_create(&fake.graph, &options, &plan) == MB_OK, "%s", mb_error_get());
    return plan;
}

static void check_text(mb_schedule_kind_t kind, int stages, int micros, const char *expected)
{
    fake_graph_chain(&fake, 4, 3);
    mb_plan_t *plan = make_plan(kind, true, true, stages, micros);
    char *text = mb_plan_text(plan);
    ck_assert_str_eq(text, expected);
    free(text);
    mb_plan_destroy(plan);
}

START_TEST(a_gradient_is_received_behind_the_activations_that_it_comes_from)
{
    check_text(MB_SCHEDULE_GPIPE, 2, 2,
               "stage 0, 2 slots: F0 SA0.0>1 F1 SA0.1>1 +RG0.0<1 RG0.1<1 BW0 BW1 REDUCE STEP\n"
               "stage 1, 2 slots: RA0.0<0 RA0.1<0 F0 F1 BW0 SG0.0>0 BW1 SG0.1>0 REDUCE STEP\n");
}
END_TEST

START_TEST(one_f_one_b_hands_opposing_messages_over_together)
{
    check_text(MB_SCHEDULE_1F1B, 2, 3,
               "stage 0, 2 slots: F0 SA0.0>1 +RG0.0<1 F1 SA0.1>1 +RG0.1<1 BW0 F2 SA0.2>1 +RG0.2<1 "
               "BW1 BW2 REDUCE STEP\n"
               "stage 1, 1 slot: RA0.0<0 F0 BW0 SG0.0>0 +RA0.1<0 F1 BW1 SG0.1>0 +RA0.2<0 F2 BW2 "
               "SG0.2>0 REDUCE STEP\n");
}
END_TEST

static void refuse(mb_plan_t *plan, const char *part)
{
    ck_assert_int_eq(mb_validate_order(plan), MB_ERR_INTERNAL);
    ck_assert_msg(strstr(mb_error_get(), part) != NULL, "'%s' lacks '%s'", mb_error_get(), part);
    mb_plan_destroy(plan);
}

START_TEST(a_plan_for_tags_deadlocks_by_order)
{
    fake_graph_chain(&fake, 2, 3);
    refuse(make_plan(MB_SCHEDULE_GPIPE, false, true, 2, 2),
           "deadlock where messages match by order: stage 0 at action 0 waits for stage 1 to send "
           "the gradient of 'n1' (edge 0) of micro-batch 0");
}
END_TEST

static int find(const mb_program_t *program, mb_action_kind_t kind, int micro)
{
    for (int i = 0; i < program->n; i++) {
        if (program->actions[i].kind == kind && program->actions[i].micro == micro)
            return i;
    }
    ck_abort_msg("no such action");
    return -1;
}

static void swap(mb_program_t *program, int a, int b)
{
    mb_action_t action = program->actions[a];
    program->actions[a] = program->actions[b];
    program->actions[b] = action;
}

START_TEST(receives_in_another_order_than_the_sends_are_found)
{
    fake_graph_chain(&fake, 2, 3);
    mb_plan_t *plan = make_plan(MB_SCHEDULE_GPIPE, true, true, 2, 2);
    mb_program_t *program = &plan->programs[1];
    swap(program, find(program, MB_ACTION_RECV_ACT, 0), find(program, MB_ACTION_RECV_ACT, 1));
    refuse(plan, "the activation of 'n1' (edge 0) of micro-batch 0 from stage 0 to stage 1 is "
                 "message number 0 of the sender and number 1 of the receiver");
}
END_TEST

/* Stage 0 hands the activation of micro-batch 1 over in front of the receive of gradient 0, which
 * stage 1 sends first. */
static mb_plan_t *make_opposing_plan(bool joins)
{
    fake_graph_chain(&fake, 2, 3);
    mb_plan_t *plan = make_plan(MB_SCHEDULE_1F1B, true, true, 2, 3);
    mb_program_t *program = &plan->programs[0];
    int receive = find(program, MB_ACTION_RECV_GRAD, 0);
    ck_assert_int_eq(find(program, MB_ACTION_SEND_ACT, 1), receive + 2);
    swap(program, receive, receive + 1);
    swap(program, receive + 1, receive + 2);
    program->actions[receive + 1].joins = false;
    program->actions[receive + 2].joins = joins;
    program = &plan->programs[1];
    int send = find(program, MB_ACTION_SEND_GRAD, 0);
    ck_assert_int_eq(find(program, MB_ACTION_RECV_ACT, 1), send + 1);
    program->actions[send + 1].joins = joins;
    return plan;
}

START_TEST(sends_that_oppose_each_other_must_be_handed_over_with_the_receives)
{
    mb_plan_t *plan = make_opposing_plan(true);
    ck_assert_msg(mb_validate_order(plan) == MB_OK, "%s", mb_error_get());
    mb_plan_destroy(plan);
    refuse(make_opposing_plan(false),
           "stage 0 at action 3 waits for stage 1 to receive the activation of 'n1' (edge 0) of "
           "micro-batch 1 from stage 0 to stage 1; stage 1 at action 3 waits for stage 0 to "
           "receive the gradient of 'n1'");
}
END_TEST

/* Stage 0 has chunks 0 and 2: it gives the sums of chunk 2 away while chunk 0 computes. */
START_TEST(a_chunk_is_reduced_behind_its_last_micro_batch)
{
    check_text(MB_SCHEDULE_INTERLEAVED, 2, 2,
               "stage 0, chunk 0, 2 slots, chunk 2, 2 slots: F0.0 SA0.0>1 F0.1 SA0.1>1 "
               "+RA1.0<1 RA1.1<1 F2.0 SA2.0>1 +RG2.0<1 F2.1 SA2.1>1 BW2.0 SG1.0>1 "
               "+RG2.1<1 RG0.0<1 BW2.1 SG1.1>1 REDUCE2 RG0.1<1 BW0.0 BW0.1 REDUCE0 STEP\n"
               "stage 1, chunk 1, 2 slots, chunk 3, 1 slot: RA0.0<0 RA0.1<0 F1.0 "
               "SA1.0>0 F1.1 SA1.1>0 +RA2.0<0 F3.0 BW3.0 SG2.0>0 +RA2.1<0 RG1.0<0 F3.1 "
               "BW3.1 SG2.1>0 REDUCE3 BW1.0 SG0.0>0 +RG1.1<0 BW1.1 SG0.1>0 REDUCE1 STEP\n");
}
END_TEST

/* Another group computes another number of micro-batches: it would come to its reductions and to
 * its messages in another order. */
START_TEST(where_groups_are_uneven_reductions_stand_behind_all_messages)
{
    uneven = true;
    fake_graph_chain(&fake, 4, 3);
    mb_plan_t *plan = make_plan(MB_SCHEDULE_INTERLEAVED, true, true, 2, 2);
    mb_program_t *program = &plan->programs[0];
    int n = program->n;
    ck_assert_int_eq(program->actions[n - 3].kind, MB_ACTION_REDUCE);
    ck_assert_int_eq(program->actions[n - 3].chunk, 0);
    ck_assert_int_eq(program->actions[n - 2].kind, MB_ACTION_REDUCE);
    ck_assert_int_eq(program->actions[n - 2].chunk, 2);
    swap(program, n - 3, n - 2);
    refuse(plan, "stands behind REDUCE of chunk 2");
    plan = make_plan(MB_SCHEDULE_INTERLEAVED, true, true, 2, 2);
    plan->uneven = false;
    ck_assert_int_eq(mb_validate_order(plan), MB_OK);
    mb_plan_destroy(plan);
    uneven = false;
    plan = make_plan(MB_SCHEDULE_INTERLEAVED, true, true, 2, 2);
    plan->uneven = true;
    refuse(plan, "stands behind REDUCE of chunk 2");
}
END_TEST

static void make_random_graph(void)
{
    fake_graph_start(&fake);
    int nodes = 2 + rand() % 14;
    fake_graph_input(&fake, 1 + rand() % 5);
    for (int i = 1; i < nodes; i++) {
        int inputs[4], n = 1 + rand() % 4;
        for (int k = 0; k < n; k++)
            inputs[k] = rand() % i;
        int node = fake_graph_add(&fake, 1 + rand() % 50, 1 + rand() % 5, n, inputs);
        fake.nodes[node].needs_gradient = rand() % 5 != 0;
    }
}

START_TEST(random_graphs_are_free_of_deadlock_by_order)
{
    srand(17);
    for (int trial = 0; trial < 2000; trial++) {
        make_random_graph();
        mb_schedule_choice_t choice = {.kind = (mb_schedule_kind_t)(trial % MB_SCHEDULE_FILE),
                                       .per_stage = 2};
        int most = mb_plan_max_stages(&fake.graph) / mb_schedule_chunks(&choice, 1);
        if (most == 0)
            continue;
        int stages = 1 + rand() % most, micros = 1 + rand() % 12;
        recomputes = trial % 3 == 0;
        uneven = trial % 7 == 0;
        mb_plan_t *plan = make_plan(choice.kind, true, trial % 5 != 0, stages, micros);
        ck_assert_int_eq(mb_validate_order(plan), MB_OK);
        mb_plan_destroy(plan);
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("order");
    TCase *c = tcase_create("order");
    tcase_set_timeout(c, 60);
    tcase_add_test(c, a_gradient_is_received_behind_the_activations_that_it_comes_from);
    tcase_add_test(c, one_f_one_b_hands_opposing_messages_over_together);
    tcase_add_test(c, a_plan_for_tags_deadlocks_by_order);
    tcase_add_test(c, receives_in_another_order_than_the_sends_are_found);
    tcase_add_test(c, sends_that_oppose_each_other_must_be_handed_over_with_the_receives);
    tcase_add_test(c, a_chunk_is_reduced_behind_its_last_micro_batch);
    tcase_add_test(c, where_groups_are_uneven_reductions_stand_behind_all_messages);
    tcase_add_test(c, random_graphs_are_free_of_deadlock_by_order);
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
