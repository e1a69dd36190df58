/* What crosses between stages, and programs with sends and receives, against golden text. */
#include "comm/comm.h"
#include "pipeline/plan.h"
#include "support/fake_graph.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static fake_graph_t fake;

static size_t bucket_bytes;

static mb_plan_t *make_plan(mb_schedule_kind_t kind, bool training, int stages, int micros)
{
    mb_plan_t *plan = NULL;
    mb_plan_options_t options = {.stages = stages,
                                 .micro_batch = 2,
                                 .micros_per_replica = micros,
                                 .replicas_of_group = 1,
                                 .schedule = {.kind = kind, .per_stage = 2},
                                 .bucket_bytes = bucket_bytes,
                                 .training = training};
    ck_assert_msg(mb_plan_create(&fake.graph, &options, &plan) == MB_OK, "%s", mb_error_get());
    return plan;
}

static void check_text(mb_schedule_kind_t kind, bool training, int stages, int micros,
                       const char *expected)
{
    mb_plan_t *plan = make_plan(kind, training, stages, micros);
    char *text = mb_plan_text(plan);
    ck_assert_str_eq(text, expected);
    free(text);
    mb_plan_destroy(plan);
}

/* An input x, a and b behind it, c of b and a, d of c, a and x. */
static void make_skipping_graph(void)
{
    fake_graph_start(&fake);
    int x = fake_graph_input(&fake, 3);
    int a = fake_graph_add(&fake, 1, 3, 1, &x);
    int b = fake_graph_add(&fake, 1, 3, 1, &a);
    int c = fake_graph_add(&fake, 1, 3, 2, (int[]){b, a});
    fake_graph_add(&fake, 1, 3, 3, (int[]){c, a, x});
}

START_TEST(one_stage_sends_nothing)
{
    fake_graph_chain(&fake, 4, 3);
    check_text(MB_SCHEDULE_GPIPE, true, 1, 2, "stage 0, 2 slots: F0 F1 BW0 BW1 REDUCE STEP\n");
    check_text(MB_SCHEDULE_1F1B, true, 1, 2, "stage 0, 1 slot: F0 BW0 F1 BW1 REDUCE STEP\n");
}
END_TEST

/* A bucket is full with 100 bytes, two nodes' 128; the node left over is the last one. */
START_TEST(the_last_backward_goes_by_buckets_and_sums_begin_behind_each)
{
    fake_graph_chain(&fake, 10, 3);
    bucket_bytes = 100;
    check_text(MB_SCHEDULE_GPIPE, true, 2, 2,
               "stage 0, 2 slots: RG0.0<1 RG0.1<1 F0 SA0.0>1 F1 SA0.1>1 BW0 BW1:1 REDUCE:1 BW1:2 "
               "REDUCE:2 BW1:3 REDUCE:3 STEP\n"
               "stage 1, 2 slots: RA0.0<0 RA0.1<0 F0 F1 BW0 SG0.0>0 BW1:1 REDUCE:1 BW1:2 REDUCE:2 "
               "BW1:3 SG0.1>0 REDUCE:3 STEP\n");
    check_text(MB_SCHEDULE_ZB_H1, true, 1, 1,
               "stage 0, 1 slot: F0 BW0:1 REDUCE:1 BW0:2 REDUCE:2 BW0:3 REDUCE:3 BW0:4 REDUCE:4 "
               "BW0:5 REDUCE:5 STEP\n");
    bucket_bytes = 0;
}
END_TEST

START_TEST(gpipe_posts_all_receives_at_the_start)
{
    fake_graph_chain(&fake, 4, 3);
    check_text(MB_SCHEDULE_GPIPE, true, 2, 2,
               "stage 0, 2 slots: RG0.0<1 RG0.1<1 F0 SA0.0>1 F1 SA0.1>1 BW0 BW1 REDUCE STEP\n"
               "stage 1, 2 slots: RA0.0<0 RA0.1<0 F0 F1 BW0 SG0.0>0 BW1 SG0.1>0 REDUCE STEP\n");
}
END_TEST

START_TEST(one_f_one_b_posts_a_receive_when_its_slot_is_free_again)
{
    fake_graph_chain(&fake, 4, 3);
    check_text(MB_SCHEDULE_1F1B, true, 3, 4,
               "stage 0, 3 slots: RG0.0<1 RG0.1<1 RG0.2<1 F0 SA0.0>1 F1 SA0.1>1 F2 SA0.2>1 BW0 "
               "RG0.3<1 F3 SA0.3>1 BW1 BW2 BW3 REDUCE STEP\n"
               "stage 1, 2 slots: RA0.0<0 RG1.0<2 RA0.1<0 RG1.1<2 F0 SA1.0>2 F1 SA1.1>2 BW0 "
               "SG0.0>0 RA0.2<0 RG1.2<2 F2 SA1.2>2 BW1 SG0.1>0 RA0.3<0 RG1.3<2 F3 SA1.3>2 BW2 "
               "SG0.2>0 BW3 SG0.3>0 REDUCE STEP\n"
               "stage 2, 1 slot: RA1.0<1 F0 BW0 SG1.0>1 RA1.1<1 F1 BW1 SG1.1>1 RA1.2<1 F2 BW2 "
               "SG1.2>1 RA1.3<1 F3 BW3 SG1.3>1 REDUCE STEP\n");
}
END_TEST

START_TEST(a_tensor_that_skips_stages_goes_directly_and_its_gradient_comes_back_per_use)
{
    make_skipping_graph();
    check_text(MB_SCHEDULE_GPIPE, true, 3, 1,
               "stage 0, 1 slot: RG0.0<1 RG1.0<2 RG2.0<2 F0 SA0.0>2 SA1.0>1 SA2.0>2 BW0 REDUCE "
               "STEP\n"
               "stage 1, 1 slot: RA1.0<0 RG3.0<2 F0 SA3.0>2 BW0 SG0.0>0 REDUCE STEP\n"
               "stage 2, 1 slot: RA0.0<0 RA2.0<0 RA3.0<1 F0 BW0 SG1.0>0 SG2.0>0 SG3.0>1 REDUCE "
               "STEP\n");
}
END_TEST

START_TEST(a_chunk_is_reduced_while_the_others_of_its_stage_compute)
{
    fake_graph_chain(&fake, 4, 3);
    check_text(MB_SCHEDULE_INTERLEAVED, true, 2, 2,
               "stage 0, chunk 0, 2 slots, chunk 2, 2 slots: RG0.0<1 RG0.1<1 RA1.0<1 "
               "RG2.0<1 RA1.1<1 RG2.1<1 F0.0 SA0.0>1 F0.1 SA0.1>1 F2.0 SA2.0>1 F2.1 "
               "SA2.1>1 BW2.0 SG1.0>1 BW2.1 SG1.1>1 REDUCE2 BW0.0 BW0.1 REDUCE0 STEP\n"
               "stage 1, chunk 1, 2 slots, chunk 3, 1 slot: RA0.0<0 RG1.0<0 RA0.1<0 "
               "RG1.1<0 RA2.0<0 F1.0 SA1.0>0 F1.1 SA1.1>0 F3.0 BW3.0 SG2.0>0 RA2.1<0 "
               "F3.1 BW3.1 SG2.1>0 REDUCE3 BW1.0 SG0.0>0 BW1.1 SG0.1>0 REDUCE1 STEP\n");
}
END_TEST

START_TEST(forward_only_programs_reuse_a_slot_after_its_forward)
{
    fake_graph_chain(&fake, 4, 3);
    check_text(MB_SCHEDULE_1F1B, false, 3, 4,
               "stage 0, 2 slots: F0 SA0.0>1 F1 SA0.1>1 F2 SA0.2>1 F3 SA0.3>1\n"
               "stage 1, 2 slots: RA0.0<0 RA0.1<0 F0 SA1.0>2 RA0.2<0 F1 SA1.1>2 RA0.3<0 F2 "
               "SA1.2>2 F3 SA1.3>2\n"
               "stage 2, 2 slots: RA1.0<1 RA1.1<1 F0 RA1.2<1 F1 RA1.3<1 F2 F3\n");
}
END_TEST

START_TEST(edges_name_the_tensor_the_use_and_the_stages)
{
    make_skipping_graph();
    fake.nodes[0].call.output_type = MB_I32;
    mb_plan_t *plan = make_plan(MB_SCHEDULE_GPIPE, true, 3, 1);
    ck_assert_int_eq(plan->n_forward_edges, 4);
    ck_assert(!plan->forward_edges[0].floating);
    ck_assert(plan->forward_edges[1].floating);
    ck_assert_int_eq(plan->forward_edges[0].elements, 3);
    ck_assert_int_eq(plan->n_backward_edges, 4);
    const mb_backward_edge_t *edge = &plan->backward_edges[2]; /* a into d */
    ck_assert_int_eq(edge->tensor, 1);
    ck_assert_int_eq(edge->node, 4);
    ck_assert_int_eq(edge->input, 1);
    ck_assert_int_eq(edge->from_stage, 2);
    ck_assert_int_eq(edge->to_stage, 0);
    mb_plan_destroy(plan);
}
END_TEST

START_TEST(no_gradient_goes_to_a_frozen_stage_or_through_an_input_without_one)
{
    fake_graph_chain(&fake, 3, 3);
    fake.nodes[1].needs_gradient = false;
    mb_plan_t *plan = make_plan(MB_SCHEDULE_1F1B, true, 3, 4);
    ck_assert_int_eq(plan->n_backward_edges, 1);
    ck_assert_int_eq(plan->backward_edges[0].tensor, 2);
    mb_plan_destroy(plan);
    fake_graph_chain(&fake, 3, 3);
    fake.nodes[3].call.input_types[0] = MB_I32; /* as an Embedding's ids */
    plan = make_plan(MB_SCHEDULE_1F1B, true, 3, 4);
    ck_assert_int_eq(plan->n_backward_edges, 1);
    ck_assert_int_eq(plan->backward_edges[0].tensor, 1);
    mb_plan_destroy(plan);
}
END_TEST

START_TEST(calls_of_a_shared_layer_on_other_stages_are_ties)
{
    fake_graph_chain(&fake, 4, 3);
    fake.nodes[3].layer = 1;
    fake.nodes[2].layer = 1; /* calls 1 and 2 on stage 0, 3 on stage 1 */
    mb_plan_t *plan = make_plan(MB_SCHEDULE_GPIPE, true, 2, 1);
    ck_assert_int_eq(plan->n_ties, 1);
    ck_assert_int_eq(plan->ties[0].layer, 1);
    ck_assert_int_eq(plan->ties[0].node, 3);
    ck_assert_int_eq(plan->ties[0].owner_stage, 0);
    ck_assert_int_eq(plan->ties[0].stage, 1);
    mb_plan_destroy(plan);
}
END_TEST

START_TEST(micro_batches_of_all_replicas_of_the_group_are_planned)
{
    mb_plan_t *plan;
    fake_graph_chain(&fake, 2, 3);
    mb_plan_options_t options = {.stages = 2,
                                 .micro_batch = 2,
                                 .micros_per_replica = 3,
                                 .replicas_of_group = 2,
                                 .schedule = {.kind = MB_SCHEDULE_1F1B, .per_stage = 2},
                                 .training = true};
    ck_assert_int_eq(mb_plan_create(&fake.graph, &options, &plan), MB_OK);
    ck_assert_int_eq(plan->micros, 6);
    ck_assert_int_eq(mb_plan_slot(plan, 0, 5), 1);
    ck_assert_int_eq(mb_plan_bytes_sent(plan, 0), 3 * 6 * 2 * 4);
    mb_plan_destroy(plan);
    options.micro_batch = 0;
    ck_assert_int_eq(mb_plan_create(&fake.graph, &options, &plan), MB_ERR_ARGUMENT);
    options.micro_batch = 1;
    options.micros_per_replica = options.replicas_of_group = 1 << 20;
    ck_assert_int_eq(mb_plan_create(&fake.graph, &options, &plan), MB_ERR_ARGUMENT);
    options.micros_per_replica = options.replicas_of_group = 1;
    options.stages = 1 << 30;
    ck_assert_int_eq(mb_plan_create(&fake.graph, &options, &plan), MB_ERR_ARGUMENT);
}
END_TEST

START_TEST(tags_stay_below_the_transports_end)
{
    make_skipping_graph();
    mb_plan_t *plan = make_plan(MB_SCHEDULE_GPIPE, true, 4, 9000);
    int highest = 0;
    for (int s = 0; s < plan->stages; s++) {
        for (int i = 0; i < plan->programs[s].n; i++) {
            int tag = plan->programs[s].actions[i].tag;
            highest = tag > highest ? tag : highest;
        }
    }
    ck_assert_int_lt(highest, MB_TAG_TRANSPORT_END);
    mb_plan_destroy(plan);
}
END_TEST

START_TEST(more_edges_than_tags_are_refused)
{
    fake_graph_chain(&fake, 2, 3);
    mb_plan_t *plan = make_plan(MB_SCHEDULE_GPIPE, true, 2, 1);
    int edges = plan->n_forward_edges;
    plan->n_forward_edges = MB_TAG_TRANSPORT_END;
    ck_assert_int_eq(mb_lower(plan), MB_ERR_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(mb_error_get(), "use fewer stages"));
    plan->n_forward_edges = edges;
    mb_plan_destroy(plan);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("lowering");
    TCase *c = tcase_create("lowering");
    tcase_set_timeout(c, 60);
    tcase_add_test(c, one_stage_sends_nothing);
    tcase_add_test(c, the_last_backward_goes_by_buckets_and_sums_begin_behind_each);
    tcase_add_test(c, gpipe_posts_all_receives_at_the_start);
    tcase_add_test(c, one_f_one_b_posts_a_receive_when_its_slot_is_free_again);
    tcase_add_test(c, a_tensor_that_skips_stages_goes_directly_and_its_gradient_comes_back_per_use);
    tcase_add_test(c, a_chunk_is_reduced_while_the_others_of_its_stage_compute);
    tcase_add_test(c, forward_only_programs_reuse_a_slot_after_its_forward);
    tcase_add_test(c, edges_name_the_tensor_the_use_and_the_stages);
    tcase_add_test(c, no_gradient_goes_to_a_frozen_stage_or_through_an_input_without_one);
    tcase_add_test(c, calls_of_a_shared_layer_on_other_stages_are_ties);
    tcase_add_test(c, micro_batches_of_all_replicas_of_the_group_are_planned);
    tcase_add_test(c, tags_stay_below_the_transports_end);
    tcase_add_test(c, more_edges_than_tags_are_refused);
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
