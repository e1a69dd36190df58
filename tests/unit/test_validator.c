/* The validator accepts what the generators make and finds what is broken in it. */
#include "pipeline/plan.h"
#include "support/fake_graph.h"
#include "support/sanitized.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static fake_graph_t fake;
static bool recomputes; /* the plans that are made */

static size_t bucket_bytes;

static mb_plan_t *make_plan(mb_schedule_kind_t kind, bool training, int stages, int micros)
{
    mb_plan_t *plan = NULL;
    mb_plan_options_t options = {
        .stages = stages,
        .micro_batch = 2,
        .micros_per_replica = micros,
        .replicas_of_group = 1,
        .schedule = {.kind = kind, .per_stage = 2, .recomputes = recomputes},
        .bucket_bytes = bucket_bytes,
        .training = training};
    ck_assert_msg(mb_plan_create(&fake.graph, &options, &plan) == MB_OK, "%s", mb_error_get());
    return plan;
}

static mb_plan_t *make_chain_plan(int stages, int micros)
{
    fake_graph_chain(&fake, stages, 3);
    return make_plan(MB_SCHEDULE_1F1B, true, stages, micros);
}

static int find(const mb_program_t *program, mb_action_kind_t kind, int micro)
{
    for (int i = 0; i < program->n; i++) {
        if (program->actions[i].kind == kind && program->actions[i].micro == micro)
            return i;
    }
    ck_abort_msg("no such action");
    return -1;
}

static void drop(mb_program_t *program, int at)
{
    memmove(&program->actions[at], &program->actions[at + 1],
            (size_t)(program->n - at - 1) * sizeof(mb_action_t));
    program->n--;
}

/* Moves an action to another place; what is between shifts. */
static void move(mb_program_t *program, int from, int to)
{
    mb_action_t action = program->actions[from];
    drop(program, from);
    memmove(&program->actions[to + 1], &program->actions[to],
            (size_t)(program->n - to) * sizeof(mb_action_t));
    program->actions[to] = action;
    program->n++;
}

static void swap(mb_program_t *program, int a, int b)
{
    mb_action_t action = program->actions[a];
    program->actions[a] = program->actions[b];
    program->actions[b] = action;
}

static void refuse(mb_plan_t *plan, const char *part)
{
    ck_assert_int_eq(mb_validate(plan), MB_ERR_INTERNAL);
    ck_assert_msg(strstr(mb_error_get(), part) != NULL, "'%s' lacks '%s'", mb_error_get(), part);
    mb_plan_destroy(plan);
}

/* Stage 0 of two has chunks 0 and 2. */
static mb_plan_t *make_interleaved_plan(void)
{
    fake_graph_chain(&fake, 4, 3);
    return make_plan(MB_SCHEDULE_INTERLEAVED, true, 2, 2);
}

START_TEST(sums_are_given_away_complete_once_and_before_the_step)
{
    mb_plan_t *plan = make_interleaved_plan();
    mb_program_t *program = &plan->programs[0];
    int reduce = find(program, MB_ACTION_REDUCE, -1);
    ck_assert_int_eq(program->actions[reduce].chunk, 2);
    ck_assert_int_eq(program->actions[reduce - 2].kind, MB_ACTION_BW);
    move(program, reduce, reduce - 2);
    refuse(plan, "not all gradients of the chunk have been computed");
    plan = make_interleaved_plan();
    program = &plan->programs[0];
    swap(program, program->n - 2, program->n - 1);
    refuse(plan, "not all gradients have been reduced");
    plan = make_interleaved_plan();
    program = &plan->programs[0];
    program->actions[program->n - 2].chunk = 2;
    refuse(plan, "reduces 0 buckets of chunk 0, which has 1");
    plan = make_interleaved_plan();
    drop(&plan->programs[1], plan->programs[1].n - 1);
    refuse(plan, "stage 1 takes 0 steps");
}
END_TEST

/* BW1:1 REDUCE0:1 BW1:2 ... of a chain of nodes that are a bucket each. */
static mb_plan_t *make_plan_of_buckets(void)
{
    fake_graph_chain(&fake, 6, 3);
    bucket_bytes = FAKE_WEIGHTS * sizeof(float);
    mb_plan_t *plan = make_plan(MB_SCHEDULE_1F1B, true, 2, 2);
    bucket_bytes = 0;
    ck_assert_int_eq(mb_plan_buckets(plan, 0), 3);
    return plan;
}

static int find_bucket(const mb_program_t *program, mb_action_kind_t kind, int bucket)
{
    int at = 0;
    while (program->actions[at].kind != kind || program->actions[at].bucket != bucket)
        ck_assert_int_lt(++at, program->n);
    return at;
}

START_TEST(a_bucket_is_given_away_behind_its_last_gradients)
{
    for (int bucket = 1; bucket <= 3; bucket++) {
        mb_plan_t *plan = make_plan_of_buckets();
        mb_program_t *program = &plan->programs[0];
        int reduce = find_bucket(program, MB_ACTION_REDUCE, bucket);
        int backward = find_bucket(program, MB_ACTION_BW, bucket);
        ck_assert_int_lt(backward, reduce);
        move(program, reduce, backward);
        refuse(plan, "not all gradients of the chunk have been computed");
    }
}
END_TEST

START_TEST(buckets_are_computed_and_given_away_in_their_order)
{
    mb_plan_t *plan = make_plan_of_buckets();
    mb_program_t *program = &plan->programs[0];
    move(program, find_bucket(program, MB_ACTION_REDUCE, 1),
         find_bucket(program, MB_ACTION_REDUCE, 2));
    refuse(plan, "the buckets before this one have not been reduced");
    plan = make_plan_of_buckets();
    program = &plan->programs[0];
    program->actions[find_bucket(program, MB_ACTION_BW, 1)].bucket = 2;
    refuse(plan, "its buckets are not computed once each, in their order");
    plan = make_plan_of_buckets();
    program = &plan->programs[0];
    program->actions[find_bucket(program, MB_ACTION_BW, 3)].bucket = 0;
    refuse(plan, "its buckets are not computed once each, in their order");
    plan = make_plan_of_buckets();
    program = &plan->programs[0];
    program->actions[find_bucket(program, MB_ACTION_REDUCE, 2)].bucket = 4;
    refuse(plan, "there is no bucket 4 to it");
}
END_TEST

START_TEST(a_dropped_send_is_an_unmatched_message)
{
    mb_plan_t *plan = make_chain_plan(2, 3);
    drop(&plan->programs[0], find(&plan->programs[0], MB_ACTION_SEND_ACT, 1));
    refuse(plan, "the activation of 'n1' (edge 0) of micro-batch 1 from stage 0 to stage 1 is "
                 "never sent");
}
END_TEST

START_TEST(a_dropped_receive_is_an_unmatched_message)
{
    mb_plan_t *plan = make_chain_plan(2, 3);
    drop(&plan->programs[0], find(&plan->programs[0], MB_ACTION_RECV_GRAD, 2));
    refuse(plan, "the gradient of 'n1' (edge 0) of micro-batch 2 from stage 1 to stage 0 is never "
                 "received");
}
END_TEST

START_TEST(a_message_sent_twice_is_found)
{
    mb_plan_t *plan = make_chain_plan(2, 3);
    mb_program_t *program = &plan->programs[0];
    program->actions[find(program, MB_ACTION_SEND_ACT, 1)].micro = 0;
    refuse(plan, "of micro-batch 0 from stage 0 to stage 1 is sent more than once");
}
END_TEST

START_TEST(a_missing_or_repeated_computation_is_found)
{
    mb_plan_t *plan = make_chain_plan(2, 3);
    mb_program_t *program = &plan->programs[1];
    program->actions[find(program, MB_ACTION_F, 1)].micro = 0;
    refuse(plan, "stage 1 computes the forward of micro-batch 0 2 times");
    plan = make_chain_plan(2, 3);
    drop(&plan->programs[1], find(&plan->programs[1], MB_ACTION_BW, 2));
    refuse(plan, "stage 1 computes the gradient of the inputs of micro-batch 2 0 times");
}
END_TEST

START_TEST(a_send_before_its_computation_is_found)
{
    mb_plan_t *plan = make_chain_plan(2, 3);
    mb_program_t *program = &plan->programs[0];
    swap(program, find(program, MB_ACTION_F, 1), find(program, MB_ACTION_SEND_ACT, 1));
    refuse(plan, "what it sends has not been computed");
    plan = make_chain_plan(2, 1);
    program = &plan->programs[1];
    swap(program, find(program, MB_ACTION_BW, 0), find(program, MB_ACTION_SEND_GRAD, 0));
    refuse(plan, "what it sends has not been computed");
}
END_TEST

START_TEST(a_send_from_a_slot_that_was_given_away_is_found)
{
    mb_plan_t *plan = make_chain_plan(2, 3);
    mb_program_t *program = &plan->programs[1];
    swap(program, find(program, MB_ACTION_SEND_GRAD, 0), find(program, MB_ACTION_RECV_ACT, 1));
    refuse(plan, "micro-batch 0: its slot has been given to another micro-batch");
}
END_TEST

START_TEST(a_receive_posted_behind_its_use_is_found)
{
    mb_plan_t *plan = make_chain_plan(2, 3);
    mb_program_t *program = &plan->programs[1];
    swap(program, find(program, MB_ACTION_RECV_ACT, 0), find(program, MB_ACTION_F, 0));
    refuse(plan, "whose receive is not posted before it");
}
END_TEST

START_TEST(receives_in_the_wrong_order_under_one_tag_are_found)
{
    fake_graph_chain(&fake, 2, 3);
    mb_plan_t *plan = make_plan(MB_SCHEDULE_GPIPE, true, 2, 3);
    for (int s = 0; s < 2; s++) {
        for (int i = 0; i < plan->programs[s].n; i++) {
            mb_action_t *action = &plan->programs[s].actions[i];
            action->tag = action->edge < 0 ? -1 : action->kind <= MB_ACTION_RECV_ACT ? 5 : 6;
        }
    }
    ck_assert_int_eq(mb_validate(plan), MB_OK);
    mb_program_t *program = &plan->programs[1];
    swap(program, find(program, MB_ACTION_RECV_ACT, 0), find(program, MB_ACTION_RECV_ACT, 1));
    refuse(plan, "wrong order under tag 5");
}
END_TEST

START_TEST(different_tags_on_both_ends_deadlock)
{
    mb_plan_t *plan = make_chain_plan(2, 1);
    mb_program_t *program = &plan->programs[1];
    program->actions[find(program, MB_ACTION_RECV_ACT, 0)].tag += 77;
    refuse(plan, "deadlock: stage");
}
END_TEST

START_TEST(too_few_slots_are_found)
{
    mb_plan_t *plan = make_chain_plan(3, 4);
    plan->slots[0] = 2;
    refuse(plan, "its slot is overwritten while another one is in use there");
    plan = make_chain_plan(3, 4);
    plan->slots[1] = 0;
    refuse(plan, "stage 1 has no slot");
}
END_TEST

START_TEST(a_cycle_of_waits_is_named_by_stage_action_and_micro_batch)
{
    /* Stage 0 wants the gradient of micro-batch 0 before it sends what stage 1 makes it from. */
    fake_graph_chain(&fake, 2, 3);
    mb_plan_t *plan = make_plan(MB_SCHEDULE_GPIPE, true, 2, 2);
    mb_program_t *program = &plan->programs[1];
    move(program, find(program, MB_ACTION_BW, 0), program->n - 3);
    move(program, find(program, MB_ACTION_SEND_GRAD, 0), program->n - 3);
    program = &plan->programs[0];
    move(program, find(program, MB_ACTION_BW, 0), find(program, MB_ACTION_F, 1));
    ck_assert_int_eq(mb_validate(plan), MB_ERR_INTERNAL);
    ck_assert_str_eq(
        mb_error_get(),
        "deadlock: stage 1 at action 3 (F of micro-batch 1) waits for stage 0 and the "
        "activation of 'n1' (edge 0) of micro-batch 1 from stage 0 to stage 1; stage 0 "
        "at action 4 (BW of micro-batch 0) waits for stage 1 and the gradient of 'n1' "
        "(edge 0) of micro-batch 0 from stage 1 to stage 0");
    mb_plan_destroy(plan);
}
END_TEST

START_TEST(weights_accumulated_out_of_order_are_found)
{
    fake_graph_chain(&fake, 1, 3);
    mb_plan_t *plan = make_plan(MB_SCHEDULE_GPIPE, true, 1, 3);
    mb_program_t *program = &plan->programs[0];
    swap(program, find(program, MB_ACTION_BW, 1), find(program, MB_ACTION_BW, 2));
    refuse(plan, "must accumulate in micro-batch order");
}
END_TEST

START_TEST(actions_that_do_not_exist_are_found)
{
    mb_plan_t *plan = make_chain_plan(2, 2);
    plan->programs[0].actions[find(&plan->programs[0], MB_ACTION_F, 1)].micro = 2;
    refuse(plan, "does not exist");
    plan = make_chain_plan(2, 2);
    plan->programs[0].actions[find(&plan->programs[0], MB_ACTION_SEND_ACT, 1)].edge = 1;
    refuse(plan, "edge 1 does not exist");
    plan = make_chain_plan(2, 2);
    plan->programs[0].actions[find(&plan->programs[0], MB_ACTION_SEND_ACT, 1)].peer = 0;
    refuse(plan, "sends to stage 0 what should be");
    plan = make_chain_plan(2, 2);
    plan->programs[0].actions[find(&plan->programs[0], MB_ACTION_SEND_ACT, 1)].tag = 32000;
    refuse(plan, "tag 32000");
}
END_TEST

START_TEST(a_backward_split_in_two_is_accepted_and_its_order_checked)
{
    fake_graph_chain(&fake, 2, 3);
    mb_plan_t *plan = make_plan(MB_SCHEDULE_GPIPE, true, 2, 1);
    mb_program_t *program = &plan->programs[0];
    int at = find(program, MB_ACTION_BW, 0);
    mb_action_t split[16];
    memcpy(split, program->actions, (size_t)program->n * sizeof(mb_action_t));
    memmove(&split[at + 1], &split[at], (size_t)(program->n - at) * sizeof(mb_action_t));
    split[at].kind = MB_ACTION_B;
    split[at + 1].kind = MB_ACTION_W;
    program->actions = split;
    program->n++;
    ck_assert_int_eq(mb_validate(plan), MB_OK);
    swap(program, at, at + 1);
    refuse(plan, "the gradient of its inputs has not been computed");
}
END_TEST

static void make_random_graph(void)
{
    fake_graph_start(&fake);
    int nodes = 2 + rand() % 14;
    fake_graph_input(&fake, 1 + rand() % 5);
    for (int i = 1; i < nodes; i++) {
        if (rand() % 6 == 0 && i + 1 < nodes) {
            fake.nodes[fake_graph_input(&fake, 1 + rand() % 5)].call.output_type = MB_I32;
            continue;
        }
        int inputs[4], n = 1 + rand() % 4;
        for (int k = 0; k < n; k++)
            inputs[k] = rand() % i;
        int node = fake_graph_add(&fake, 1 + rand() % 50, 1 + rand() % 5, n, inputs);
        fake.nodes[node].needs_gradient = rand() % 5 != 0;
    }
}

static int most_stages(mb_schedule_kind_t kind)
{
    mb_schedule_choice_t choice = {.kind = kind, .per_stage = 2};
    return mb_plan_max_stages(&fake.graph) / mb_schedule_chunks(&choice, 1);
}

static int64_t bytes_of(const mb_plan_t *plan, int tensor, int64_t elements)
{
    mb_dtype_t type = plan->graph->nodes[tensor].call.output_type;
    return elements * plan->micro_batch * (type == MB_BF16 || type == MB_F16 ? 2 : 4);
}

static int64_t count_bytes(const mb_plan_t *plan, int stage)
{
    int64_t bytes = 0;
    for (int i = 0; i < plan->programs[stage].n; i++) {
        const mb_action_t *action = &plan->programs[stage].actions[i];
        if (action->kind == MB_ACTION_SEND_ACT)
            bytes += bytes_of(plan, plan->forward_edges[action->edge].tensor,
                              plan->forward_edges[action->edge].elements);
        if (action->kind == MB_ACTION_SEND_GRAD)
            bytes += bytes_of(plan, plan->backward_edges[action->edge].tensor,
                              plan->backward_edges[action->edge].elements);
    }
    return bytes;
}

/* As mixed precision has them. */
static void halve_some_tensors(void)
{
    for (int n = 0; n < fake.graph.n_nodes; n += 1 + rand() % 2)
        fake.nodes[n].call.output_type = fake.nodes[n].is_input ? MB_I32 : MB_BF16;
}

START_TEST(random_graphs_validate_and_send_the_bytes_of_the_formula)
{
    srand(11);
    for (int trial = 0; trial < 1200 / TEST_EVERY; trial++) {
        make_random_graph();
        halve_some_tensors();
        mb_schedule_kind_t kind = (mb_schedule_kind_t)(trial % MB_SCHEDULE_FILE);
        int most = most_stages(kind);
        if (most == 0)
            continue;
        int stages = 1 + rand() % most, micros = 1 + rand() % 9;
        recomputes = trial % 3 == 0;
        mb_plan_t *plan = make_plan(kind, trial % 5 != 0, stages, micros);
        ck_assert_int_eq(mb_validate(plan), MB_OK);
        for (int s = 0; s < stages; s++)
            ck_assert_int_eq(mb_plan_bytes_sent(plan, s), count_bytes(plan, s));
        mb_plan_destroy(plan);
    }
}
END_TEST

/* Whatever is dropped, the plan is no longer whole. */
START_TEST(any_dropped_action_but_the_ends_is_found)
{
    srand(13);
    for (int trial = 0; trial < 1200 / TEST_EVERY; trial++) {
        make_random_graph();
        mb_schedule_kind_t kind = (mb_schedule_kind_t)(trial % MB_SCHEDULE_FILE);
        int most = most_stages(kind);
        if (most == 0)
            continue;
        mb_plan_t *plan = make_plan(kind, true, 1 + rand() % most, 1 + rand() % 5);
        mb_program_t *program = &plan->programs[rand() % plan->stages];
        drop(program, rand() % (program->n - 2));
        ck_assert_int_eq(mb_validate(plan), MB_ERR_INTERNAL);
        mb_plan_destroy(plan);
    }
}
END_TEST

static void add_mutations(TCase *c)
{
    tcase_add_test(c, sums_are_given_away_complete_once_and_before_the_step);
    tcase_add_test(c, a_bucket_is_given_away_behind_its_last_gradients);
    tcase_add_test(c, buckets_are_computed_and_given_away_in_their_order);
    tcase_add_test(c, a_dropped_send_is_an_unmatched_message);
    tcase_add_test(c, a_dropped_receive_is_an_unmatched_message);
    tcase_add_test(c, a_message_sent_twice_is_found);
    tcase_add_test(c, a_missing_or_repeated_computation_is_found);
    tcase_add_test(c, a_send_before_its_computation_is_found);
    tcase_add_test(c, a_send_from_a_slot_that_was_given_away_is_found);
    tcase_add_test(c, a_receive_posted_behind_its_use_is_found);
    tcase_add_test(c, receives_in_the_wrong_order_under_one_tag_are_found);
    tcase_add_test(c, different_tags_on_both_ends_deadlock);
    tcase_add_test(c, too_few_slots_are_found);
    tcase_add_test(c, a_cycle_of_waits_is_named_by_stage_action_and_micro_batch);
    tcase_add_test(c, weights_accumulated_out_of_order_are_found);
    tcase_add_test(c, actions_that_do_not_exist_are_found);
    tcase_add_test(c, any_dropped_action_but_the_ends_is_found);
}

static Suite *suite(void)
{
    Suite *s = suite_create("validator");
    TCase *c = tcase_create("validator");
    tcase_set_timeout(c, 60);
    add_mutations(c);
    tcase_add_test(c, a_backward_split_in_two_is_accepted_and_its_order_checked);
    tcase_add_test(c, random_graphs_validate_and_send_the_bytes_of_the_formula);
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
