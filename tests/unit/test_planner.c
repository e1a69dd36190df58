/* The planner's formulas against schedules that are timed, and its choices against memory. */
#include "pipeline/plan.h"
#include "pipeline/planner_private.h"
#include "pipeline/recompute.h"
#include "support/fake_graph.h"

#include <check.h>
#include <float.h>
#include <stdlib.h>
#include <string.h>

enum { LAYERS = 32 };

static fake_graph_t fake;
static mb_arena_t *arena;
static mb_hardware_t hardware;

static void same_three_ways(const mb_call_t *call, mb_cost_t *out)
{
    (void)call;
    *out = (mb_cost_t){1, 1, 1};
}

static void nothing_kept(const mb_call_t *call, int64_t samples, mb_memory_t *out)
{
    (void)call, (void)samples, (void)out;
}

static mb_layer_class_t class_;
static mb_param_t parameter;

/* Operations alone take time. */
static void set_up(void)
{
    arena = mb_arena_create();
    fake_graph_chain(&fake, LAYERS, 16);
    class_ = *fake.layers[1].class_;
    class_.cost = same_three_ways;
    class_.memory = nothing_kept;
    for (int i = 0; i < fake.graph.n_layers; i++)
        fake.layers[i].class_ = &class_;
    parameter = (mb_param_t){.elements = 10};
    fake.graph.params = &parameter;
    fake.graph.n_params = 1;
    fake.nodes[0].needs_gradient = true; /* so that all layers cost the same */
    hardware = mb_hardware_default();
    hardware.flops = 1;
    hardware.overhead = 0;
    hardware.memory_bandwidth = DBL_MAX;
    hardware.inside = hardware.between = (mb_hardware_link_t){.latency = 0, .bandwidth = DBL_MAX};
}

static void tear_down(void)
{
    mb_arena_destroy(arena);
}

static mb_planner_options_t options_of(int ranks, int64_t batch)
{
    return (mb_planner_options_t){.graph = &fake.graph,
                                  .hardware = &hardware,
                                  .ranks = ranks,
                                  .batch = batch,
                                  .memory = DBL_MAX};
}

/* The time of the step that really is made for a layout. */
static double timed(const mb_schedule_choice_t *schedule, int stages, int micros, int64_t b)
{
    mb_plan_t *plan;
    mb_schedule_t made;
    mb_schedule_times_t times;
    mb_node_cost_t nodes[FAKE_NODES];
    mb_chunk_cost_t chunks[FAKE_NODES];
    const mb_plan_options_t options = {.stages = stages,
                                       .micro_batch = b,
                                       .micros_per_replica = micros,
                                       .replicas_of_group = 1,
                                       .schedule = *schedule,
                                       .training = true};
    ck_assert_int_eq(mb_plan_create(&fake.graph, &options, &plan), MB_OK);
    mb_costs_count(&fake.graph, b, nodes);
    mb_costs_of_chunks(plan, nodes, chunks);
    ck_assert_int_eq(mb_schedule_make(schedule, true, stages, micros, arena, &made), MB_OK);
    ck_assert_int_eq(mb_schedule_time(&made, chunks, NULL, arena, &times), MB_OK);
    mb_plan_destroy(plan);
    return times.end;
}

static const struct {
    mb_schedule_choice_t schedule;
    int stages, micros;
} cases[] = {{{.kind = MB_SCHEDULE_GPIPE}, 4, 3},
             {{.kind = MB_SCHEDULE_1F1B}, 4, 2},
             {{.kind = MB_SCHEDULE_1F1B}, 8, 16},
             {{.kind = MB_SCHEDULE_INTERLEAVED, .per_stage = 2}, 4, 8},
             {{.kind = MB_SCHEDULE_INTERLEAVED, .per_stage = 4}, 2, 6},
             {{.kind = MB_SCHEDULE_INTERLEAVED, .per_stage = 2}, 4, 7},
             {{.kind = MB_SCHEDULE_ZB_H1}, 4, 8},
             {{.kind = MB_SCHEDULE_ZB_H2}, 4, 7},
             {{.kind = MB_SCHEDULE_ZB_V}, 4, 8},
             {{.kind = MB_SCHEDULE_AUTO, .per_stage = 1}, 4, 8},
             {{.kind = MB_SCHEDULE_AUTO, .per_stage = 2}, 4, 8},
             {{.kind = MB_SCHEDULE_1F1B}, 1, 5}};

/* Stages are alike, and operations are whole numbers: the formulas are exact. What a schedule idles
 * between its ends is its bubble; the first forwards come on top of some (times.end), at most a
 * stage's forward for each stage. */
START_TEST(the_formulas_are_those_of_schedules_that_are_timed)
{
    int stages = cases[_i].stages, micros = cases[_i].micros, n;
    double least;
    mb_candidate_t *all;
    mb_planner_options_t options = options_of(stages, 2 * micros);
    options.stages = stages;
    options.micro_batch = 2;
    options.schedule = options.recompute = &cases[_i].schedule;
    ck_assert_int_eq(mb_planner_rank(&options, arena, &all, &n, &least), MB_OK);
    ck_assert_int_eq(n, 1);
    ck_assert_int_eq(all->micros, micros);
    double end = timed(&cases[_i].schedule, stages, micros, 2), fill = 0;
    if (all->bubble < (stages - 1) * all->compute / micros)
        fill = (stages - 1) * all->compute / micros;
    ck_assert_double_ge(end, all->compute + all->bubble);
    ck_assert_double_le(end, all->compute + all->bubble + fill);
    if (cases[_i].schedule.kind == MB_SCHEDULE_GPIPE || cases[_i].schedule.kind == MB_SCHEDULE_1F1B)
        ck_assert_double_eq(end, all->seconds);
}
END_TEST

static const mb_schedule_choice_t placed[] = {{.kind = MB_SCHEDULE_GPIPE},
                                              {.kind = MB_SCHEDULE_1F1B},
                                              {.kind = MB_SCHEDULE_ZB_H1},
                                              {.kind = MB_SCHEDULE_ZB_H2},
                                              {.kind = MB_SCHEDULE_ZB_V},
                                              {.kind = MB_SCHEDULE_INTERLEAVED, .per_stage = 2},
                                              {.kind = MB_SCHEDULE_INTERLEAVED, .per_stage = 4}};

static void compare_places(const mb_schedule_choice_t *schedule, int stages, int micros)
{
    mb_schedule_t made;
    int slots[64] = {0}, most_off = schedule->kind == MB_SCHEDULE_INTERLEAVED ? 2 : 0;
    const mb_candidate_t c = {.stages = stages, .micros = micros, .schedule = *schedule};
    ck_assert_int_eq(mb_schedule_make(schedule, true, stages, micros, arena, &made), MB_OK);
    ck_assert_int_eq(mb_planner_slots(&c, slots), MB_OK);
    for (int s = 0; s < stages; s++) {
        int there = 0, found = 0;
        for (int i = made.first_chunk[s]; i >= 0; i = made.next_chunk[i]) {
            ck_assert_int_le(abs(slots[i] - made.slots[i]), most_off);
            there += made.slots[i];
            found += slots[i];
        }
        ck_assert_double_le(abs(there - found), 0.09 * found);
    }
}

/* Of interleaved schedules a chunk may have two places more or less than they are found to have,
 * and a stage 9 % of its own. */
START_TEST(each_chunk_has_the_places_that_its_schedule_gives_it)
{
    for (int stages = 1; stages <= 6; stages++) {
        for (int groups = 1; groups <= 5; groups++)
            compare_places(&placed[_i], stages, groups * stages);
    }
}
END_TEST

START_TEST(a_replicas_samples_are_divided_evenly)
{
    int n;
    double least;
    mb_candidate_t *all;
    mb_planner_options_t options = options_of(3, 32);
    options.stages = 1;
    ck_assert_int_eq(mb_planner_rank(&options, arena, &all, &n, &least), MB_OK);
    for (int i = 0; i < n; i++) {
        ck_assert_int_eq(all[i].replicas, 3);
        ck_assert_int_ge((int)(all[i].micros * all[i].micro_batch), 11);
        ck_assert_int_lt((int)((all[i].micros - 1) * all[i].micro_batch), 11);
    }
    ck_assert_int_eq((int)all->micro_batch, 11);
}
END_TEST

START_TEST(replicas_without_samples_are_left_out)
{
    int n;
    double least;
    mb_candidate_t *all;
    mb_planner_options_t options = options_of(8, 32);
    options.stages = 1;
    options.micro_batch = 16;
    ck_assert_int_eq(mb_planner_rank(&options, arena, &all, &n, &least), MB_OK);
    ck_assert_int_eq(all->replicas, 2);
    ck_assert_int_eq(all->idle, 6);
}
END_TEST

/* Twice what was predicted, measured in micro-batches of 4. */
START_TEST(measured_costs_stand_for_predicted_ones)
{
    int n;
    double least, predicted;
    mb_candidate_t *all;
    mb_node_cost_t measured[FAKE_NODES];
    mb_planner_options_t options = options_of(4, 16);
    options.micro_batch = 2;
    ck_assert_int_eq(mb_planner_rank(&options, arena, &all, &n, &least), MB_OK);
    predicted = all->compute;
    mb_costs_predict(&fake.graph, &hardware, 8, measured);
    options.measured = measured;
    options.measured_for = 4;
    ck_assert_int_eq(mb_planner_rank(&options, arena, &all, &n, &least), MB_OK);
    ck_assert_double_eq(all->compute, 2 * predicted);
}
END_TEST

START_TEST(the_fastest_comes_first_and_all_fit)
{
    int n, n_less;
    double least;
    mb_candidate_t *all, *less;
    mb_planner_options_t options = options_of(8, 64);
    ck_assert_int_eq(mb_planner_rank(&options, arena, &all, &n, &least), MB_OK);
    ck_assert_int_gt(n, 50);
    for (int i = 1; i < n; i++)
        ck_assert_double_ge(all[i].seconds, all[i - 1].seconds);
    options.memory = 1.5 * least;
    ck_assert_int_eq(mb_planner_rank(&options, arena, &less, &n_less, &least), MB_OK);
    ck_assert_int_lt(n_less, n);
    ck_assert_double_ge(less->seconds, all->seconds);
    for (int i = 0; i < n_less; i++)
        ck_assert_double_le(less[i].memory, options.memory);
    options.memory = least / 2;
    ck_assert_int_eq(mb_planner_rank(&options, arena, &less, &n_less, &least), MB_ERR_MEMORY);
    ck_assert_ptr_nonnull(strstr(mb_error_get(), "the least that was tried takes"));
}
END_TEST

static double least_memory(const mb_planner_options_t *options)
{
    int n;
    double least;
    mb_candidate_t *all;
    ck_assert_int_eq(mb_planner_rank(options, arena, &all, &n, &least), MB_OK);
    ck_assert_int_eq(all->groups, 4);
    return least;
}

/* Four groups of one stage: each keeps a quarter of the moments. */
/* A gpipe of two stages and eight micro-batches; all layers keep 16 floats, and one saves as much
 * again, so that it frees twice the bytes for its time. */
static void saves_twice(const mb_call_t *call, int64_t samples, mb_memory_t *out)
{
    out->keeps_output = true;
    if (call->layer == &fake.layers[3])
        out->saved_bytes = 16 * sizeof(float) * (size_t)samples;
}

static mb_candidate_t within(double memory, const mb_schedule_choice_t *recompute)
{
    int n;
    double least;
    mb_candidate_t *all;
    static const mb_schedule_choice_t gpipe = {.kind = MB_SCHEDULE_GPIPE};
    mb_planner_options_t options = options_of(2, 16);
    options.stages = 2;
    options.micro_batch = 2;
    options.schedule = &gpipe;
    options.recompute = recompute;
    options.memory = memory;
    ck_assert_msg(mb_planner_rank(&options, arena, &all, &n, &least) == MB_OK, "%s",
                  mb_error_get());
    return all[0];
}

static int chosen(const mb_candidate_t *c)
{
    int n = 0;
    for (int l = 0; l < fake.graph.n_layers && c->layers != NULL; l++)
        n += c->layers[l];
    return n;
}

START_TEST(as_few_layers_as_fit_are_computed_again_those_that_free_most_first)
{
    static const mb_schedule_choice_t none = {.recomputes = false}, full = {.recomputes = true};
    const double freed = 7.0 * 2 * 16 * sizeof(float); /* of seven micro-batches of two samples */
    class_.memory = saves_twice;
    mb_candidate_t kept = within(DBL_MAX, &none), all = within(DBL_MAX, &full);
    ck_assert(!within(kept.memory, NULL).schedule.recomputes);
    mb_candidate_t one = within(kept.memory - 1, NULL);
    ck_assert(one.schedule.recomputes && chosen(&one) == 1 && one.layers[3]);
    ck_assert_double_lt(one.memory, kept.memory); /* the other stage's, which had less before */
    ck_assert_double_ge(one.memory, kept.memory - 2 * freed);
    ck_assert_double_gt(one.seconds, kept.seconds);
    mb_candidate_t two = within(one.memory - 1, NULL);
    ck_assert(chosen(&two) > 1 && two.layers[3]);
    ck_assert_double_le(two.memory, one.memory - 1);
    ck_assert_double_lt(two.seconds, all.seconds);
    const char *text = mb_recompute_text(&fake.graph, one.layers, arena);
    const mb_schedule_choice_t again = {.recomputes = true, .layers = text};
    ck_assert_str_eq(text, fake.layers[3].path);
    ck_assert_double_eq(within(DBL_MAX, &again).memory, one.memory);
}
END_TEST

/* As attention does, much beside what goes from node to node. */
static void saves_much(const mb_call_t *call, int64_t samples, mb_memory_t *out)
{
    (void)call;
    out->saved_bytes = 100 * 16 * (size_t)samples * sizeof(float);
}

/* Below what whole chunks take that are computed again, these are cut into segments, as few as fit:
 * inside of one there is less, at the price of a forward more where one was spared. */
START_TEST(where_whole_chunks_do_not_fit_segments_of_them_are_computed_again)
{
    static const mb_schedule_choice_t full = {.recomputes = true};
    static const mb_schedule_choice_t three = {.recomputes = true, .segments = 3};
    class_.memory = saves_much;
    mb_candidate_t whole = within(DBL_MAX, &full), cut = within(DBL_MAX, &three);
    ck_assert_int_eq(cut.schedule.segments, 3);
    ck_assert_double_lt(cut.memory, whole.memory);
    mb_candidate_t chosen_cut = within(whole.memory - 1, NULL);
    ck_assert(chosen_cut.schedule.recomputes && chosen_cut.schedule.segments == 2);
    ck_assert_double_lt(chosen_cut.memory, whole.memory);
    ck_assert_double_ge(chosen_cut.seconds, whole.seconds);
}
END_TEST

/* An embedding: most of the weights, and no more work than the others. Half of the layers with it
 * is too much for its stage; fewer are not, and take longer. */
START_TEST(where_the_fastest_cut_does_not_fit_memory_cuts)
{
    static const mb_schedule_choice_t schedule = {.kind = MB_SCHEDULE_1F1B}, none = {0};
    int n;
    double least;
    mb_candidate_t *all;
    mb_param_t two[] = {{.elements = 1000, .trainable = true},
                        {.elements = 5000, .trainable = true}};
    mb_planner_options_t options = options_of(2, 16);
    fake.graph.params = two;
    fake.layers[1].params[0] = 1;
    options.stages = 2;
    options.micro_batch = 2;
    options.schedule = &schedule;
    options.recompute = &none;
    options.memory = DBL_MAX;
    ck_assert_int_eq(mb_planner_rank(&options, arena, &all, &n, &least), MB_OK);
    mb_candidate_t fastest = all[0];
    ck_assert(n == 1 && fastest.cuts == NULL);
    options.memory = fastest.memory - 1;
    ck_assert_int_eq(mb_planner_rank(&options, arena, &all, &n, &least), MB_ERR_MEMORY);
    options.fits_cut = true;
    ck_assert_msg(mb_planner_rank(&options, arena, &all, &n, &least) == MB_OK, "%s",
                  mb_error_get());
    ck_assert(all[0].by_memory && all[0].cuts[0] <= LAYERS / 2);
    ck_assert_double_le(all[0].memory, options.memory);
    ck_assert_double_gt(all[0].seconds, fastest.seconds);
    options.memory = 4.0 * sizeof(float) * 2000; /* less than the embedding itself */
    ck_assert_int_eq(mb_planner_rank(&options, arena, &all, &n, &least), MB_ERR_MEMORY);
}
END_TEST

static void keeps_all(const mb_call_t *call, int64_t samples, mb_memory_t *out)
{
    (void)call, (void)samples;
    out->keeps_output = true;
}

/* What no backward reads is there for one micro-batch, whatever their number. */
START_TEST(outputs_that_no_backward_reads_take_no_memory_in_flight)
{
    static const mb_schedule_choice_t none = {.recomputes = false};
    const double output = 2 * 16 * sizeof(float); /* of two samples */
    double bare = within(DBL_MAX, &none).memory;
    class_.memory = keeps_all;
    double kept = within(DBL_MAX, &none).memory;
    ck_assert_double_ge(kept - bare, 8 * (LAYERS / 2 - 2) * output);
    ck_assert_double_le(kept - bare, 8 * (LAYERS / 2) * output);
}
END_TEST

START_TEST(a_pattern_that_names_no_layer_is_refused_with_some_that_there_are)
{
    bool layers[FAKE_NODES];
    mb_schedule_choice_t choice;
    mb_recompute_read("n1*,n2", &choice);
    ck_assert_int_eq(mb_recompute_layers(&fake.graph, &choice, layers), MB_OK);
    for (int l = 0; l < fake.graph.n_layers; l++) {
        const char *path = fake.layers[l].path;
        ck_assert_int_eq(layers[l], strncmp(path, "n1", 2) == 0 || strcmp(path, "n2") == 0);
    }
    mb_recompute_read("n1,m*", &choice);
    ck_assert_int_eq(mb_recompute_layers(&fake.graph, &choice, layers), MB_ERR_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(mb_error_get(), "no layer's name matches 'm*'"));
    ck_assert_ptr_nonnull(strstr(mb_error_get(), "n1, n2, n3"));
    mb_recompute_read(",", &choice);
    ck_assert_int_eq(mb_recompute_layers(&fake.graph, &choice, layers), MB_ERR_ARGUMENT);
    mb_recompute_read("auto", &choice);
    ck_assert(!choice.recomputes);
}
END_TEST

START_TEST(moments_that_are_shared_out_take_less)
{
    mb_planner_options_t options = options_of(4, 64);
    parameter.elements = 1000000;
    options.stages = 1;
    double bare = least_memory(&options);
    options.moments = 2;
    double whole = least_memory(&options);
    options.zero = 1;
    ck_assert_double_gt(whole, bare);
    ck_assert_double_eq(least_memory(&options) - bare, (whole - bare) / 4);
}
END_TEST

/* In place of all, and of room for the half that a pair sends, a group keeps its quarter and three
 * buckets, each a layer more than asked for, with as much to receive into. Where it computes
 * several micro-batches there is no such layout. */
START_TEST(summed_gradients_that_are_shared_out_take_less)
{
    int n;
    double least;
    mb_candidate_t *all;
    mb_planner_options_t options = options_of(4, 64);
    parameter.elements = 1000000;
    options.stages = 1;
    options.micro_batch = 16;
    double bare = least_memory(&options), layer = 4.0 * 1000000;
    options.moments = 1;
    double weights = least_memory(&options) - bare;
    options.moments = 0;
    options.zero = 2;
    options.bucket = 1000;
    double saved = weights * (1 + 0.5 - 0.25) - 6 * (layer + 1000);
    ck_assert_double_gt(saved, 0);
    ck_assert_double_eq(bare - least_memory(&options), saved);
    options.micro_batch = 8;
    ck_assert_int_eq(mb_planner_rank(&options, arena, &all, &n, &least), MB_ERR_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(mb_error_get(), "each of 4 groups of ranks computes 2"));
    ck_assert_ptr_nonnull(strstr(mb_error_get(), "--replicas 4 --micro-batch 16"));
}
END_TEST

/* With slow links between nodes gradients are expensive, and stages are not. */
START_TEST(what_is_slow_is_avoided)
{
    int n;
    double least;
    mb_candidate_t *all;
    mb_planner_options_t options = options_of(4, 64);
    ck_assert_int_eq(mb_planner_rank(&options, arena, &all, &n, &least), MB_OK);
    ck_assert_int_eq(all->stages, 1);
    parameter.elements = 1000000;
    hardware.inside.bandwidth = 1e3;
    ck_assert_int_eq(mb_planner_rank(&options, arena, &all, &n, &least), MB_OK);
    ck_assert_int_eq(all->replicas, 1);
    ck_assert_int_eq(all->stages, 4);
}
END_TEST

START_TEST(ten_thousand_ranks_are_planned)
{
    int n;
    double least;
    mb_candidate_t *all;
    mb_planner_options_t options = options_of(10000, 65536);
    ck_assert_int_eq(mb_planner_rank(&options, arena, &all, &n, &least), MB_OK);
    ck_assert_int_le(all->stages * all->groups, 10000);
    options.stages = LAYERS + 1;
    ck_assert_int_eq(mb_planner_rank(&options, arena, &all, &n, &least), MB_ERR_ARGUMENT);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("planner");
    TCase *c = tcase_create("planner");
    tcase_add_checked_fixture(c, set_up, tear_down);
    tcase_add_loop_test(c, the_formulas_are_those_of_schedules_that_are_timed, 0,
                        sizeof cases / sizeof cases[0]);
    tcase_add_loop_test(c, each_chunk_has_the_places_that_its_schedule_gives_it, 0,
                        sizeof placed / sizeof placed[0]);
    tcase_add_test(c, a_replicas_samples_are_divided_evenly);
    tcase_add_test(c, replicas_without_samples_are_left_out);
    tcase_add_test(c, measured_costs_stand_for_predicted_ones);
    tcase_add_test(c, the_fastest_comes_first_and_all_fit);
    tcase_add_test(c, where_whole_chunks_do_not_fit_segments_of_them_are_computed_again);
    tcase_add_test(c, where_the_fastest_cut_does_not_fit_memory_cuts);
    tcase_add_test(c, outputs_that_no_backward_reads_take_no_memory_in_flight);
    tcase_add_test(c, as_few_layers_as_fit_are_computed_again_those_that_free_most_first);
    tcase_add_test(c, a_pattern_that_names_no_layer_is_refused_with_some_that_there_are);
    tcase_add_test(c, moments_that_are_shared_out_take_less);
    tcase_add_test(c, summed_gradients_that_are_shared_out_take_less);
    tcase_add_test(c, what_is_slow_is_avoided);
    tcase_add_test(c, ten_thousand_ranks_are_planned);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? 0 : 1;
}
