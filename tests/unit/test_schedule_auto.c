/* The schedule that is made for given costs and limits: on seeded random ones it keeps to them and
 * ends no later than any known schedule that does. */
#include "pipeline/plan.h"
#include "support/sanitized.h"
#include "support/fake_graph.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

enum { TRIALS = 100 / TEST_EVERY, MOST_STAGES = 7, MOST_CHUNKS = 3 * MOST_STAGES };

typedef struct {
    int stages, chunks, micros;
    mb_chunk_cost_t costs[MOST_CHUNKS];
    double weight[MOST_CHUNKS], limits[MOST_STAGES];
} given_t;

static double time_of(const given_t *given, const mb_schedule_t *schedule, bool *fits,
                      mb_arena_t *arena)
{
    mb_schedule_times_t times;
    ck_assert_msg(mb_schedule_time(schedule, given->costs, given->weight, arena, &times) == MB_OK,
                  "%s", mb_error_get());
    *fits = true;
    for (int s = 0; s < schedule->stages; s++)
        *fits = *fits && times.peak[s] <= given->limits[s];
    return times.step;
}

static mb_status_t make_auto(const given_t *given, mb_arena_t *arena, mb_schedule_t *out)
{
    mb_schedule_choice_t choice = {.kind = MB_SCHEDULE_AUTO,
                                   .per_stage = given->chunks / given->stages,
                                   .costs = given->costs,
                                   .weight = given->weight,
                                   .limits = given->limits};
    return mb_schedule_make(&choice, true, given->stages, given->micros, arena, out);
}

/* Limits from one micro-batch to twice as many as there are stages. */
static given_t random_given(int per_stage)
{
    given_t given = {.stages = 1 + rand() % MOST_STAGES, .micros = 1 + rand() % 16};
    given.chunks = given.stages * per_stage;
    for (int c = 0; c < given.chunks; c++) {
        given.costs[c] = (mb_chunk_cost_t){.forward = 1 + rand() % 9,
                                           .backward_input = c == 0 ? 0 : 1 + rand() % 9,
                                           .backward_weights = rand() % 9,
                                           .send = rand() % 4};
        given.weight[c] = 1 + rand() % 5;
    }
    for (int s = 0; s < given.stages; s++)
        given.limits[s] = per_stage * 5 * (1 + rand() % (2 * given.stages));
    return given;
}

START_TEST(it_keeps_to_its_limits_and_its_steps_are_no_longer_than_those_of_known_ones)
{
    static const char *const known[] = {"gpipe", "1f1b", "zb-h1", "zb-h2"};
    int compared = 0;
    srand(31);
    for (int trial = 0; trial < TRIALS; trial++) {
        bool fits;
        mb_schedule_t schedule;
        given_t given = random_given(1);
        mb_arena_t *arena = mb_arena_create();
        ck_assert_int_eq(make_auto(&given, arena, &schedule), MB_OK);
        double step = time_of(&given, &schedule, &fits, arena);
        ck_assert_msg(fits, "trial %d holds more than it may", trial);
        for (int i = 0; i < 4; i++) {
            mb_schedule_t other;
            mb_schedule_choice_t choice;
            ck_assert_int_eq(mb_schedule_parse(known[i], &choice), MB_OK);
            ck_assert_int_eq(
                mb_schedule_make(&choice, true, given.stages, given.micros, arena, &other), MB_OK);
            double others = time_of(&given, &other, &fits, arena);
            ck_assert_msg(!fits || step <= others, "a step of trial %d takes %g, of %s %g", trial,
                          step, known[i], others);
            compared += fits;
        }
        mb_arena_destroy(arena);
    }
    ck_assert_int_ge(compared, TRIALS);
}
END_TEST

START_TEST(it_keeps_to_its_limits_with_several_chunks)
{
    srand(37);
    for (int trial = 0; trial < TRIALS; trial++) {
        bool fits;
        mb_schedule_t schedule;
        given_t given = random_given(2 + trial % 2);
        mb_arena_t *arena = mb_arena_create();
        ck_assert_msg(make_auto(&given, arena, &schedule) == MB_OK, "trial %d: %s", trial,
                      mb_error_get());
        time_of(&given, &schedule, &fits, arena);
        ck_assert_msg(fits, "trial %d holds more than it may", trial);
        mb_arena_destroy(arena);
    }
}
END_TEST

/* As ZB-H1 (Qi et al. 2023): with what 1F1B holds, a third of what it idles, (p - 1)(f + b + w). */
START_TEST(with_equal_costs_a_third_of_the_bubble_is_left)
{
    for (int p = 2; p <= MOST_STAGES; p++) {
        mb_schedule_t schedule;
        mb_schedule_times_t times;
        mb_schedule_choice_t choice = {.kind = MB_SCHEDULE_AUTO, .per_stage = 1};
        mb_chunk_cost_t costs[MOST_STAGES];
        mb_arena_t *arena = mb_arena_create();
        for (int s = 0; s < p; s++)
            costs[s] = (mb_chunk_cost_t){1, 1, 1, 0, 0};
        ck_assert_int_eq(mb_schedule_make(&choice, true, p, 3 * p, arena, &schedule), MB_OK);
        ck_assert_int_eq(mb_schedule_time(&schedule, costs, NULL, arena, &times), MB_OK);
        ck_assert_double_eq(times.step, 3 * 3 * p + p - 1);
        for (int s = 0; s < p; s++)
            ck_assert_double_le(times.peak[s], p);
        mb_arena_destroy(arena);
    }
}
END_TEST

static bool same(const mb_schedule_t *a, const mb_schedule_t *b)
{
    for (int s = 0; s < a->stages; s++) {
        if (a->programs[s].n != b->programs[s].n)
            return false;
        for (int i = 0; i < a->programs[s].n; i++) {
            const mb_action_t *x = &a->programs[s].actions[i], *y = &b->programs[s].actions[i];
            if (x->kind != y->kind || x->chunk != y->chunk || x->micro != y->micro)
                return false;
        }
    }
    return true;
}

START_TEST(every_rank_makes_the_same_one)
{
    srand(41);
    for (int trial = 0; trial < 20; trial++) {
        mb_schedule_t once, again;
        given_t given = random_given(1 + trial % 3);
        mb_arena_t *arena = mb_arena_create();
        ck_assert_int_eq(make_auto(&given, arena, &once), MB_OK);
        ck_assert_int_eq(make_auto(&given, arena, &again), MB_OK);
        ck_assert(same(&once, &again));
        mb_arena_destroy(arena);
    }
}
END_TEST

/* Nearly every B then comes with a forward. */
START_TEST(forwards_that_are_computed_again_count)
{
    mb_schedule_t again, slower;
    mb_chunk_cost_t costs[] = {{9, 4, 4, 1, 0}, {7, 3, 6, 1, 0}, {8, 5, 3, 0, 0}};
    mb_schedule_choice_t choice = {
        .kind = MB_SCHEDULE_AUTO, .per_stage = 1, .costs = costs, .recomputes = true};
    mb_arena_t *arena = mb_arena_create();
    ck_assert_int_eq(mb_schedule_make(&choice, true, 3, 8, arena, &again), MB_OK);
    for (int s = 0; s < 3; s++) {
        int n = 0;
        for (int i = 0; i < again.programs[s].n; i++) {
            if (again.programs[s].actions[i].kind != MB_ACTION_R)
                again.programs[s].actions[n++] = again.programs[s].actions[i];
        }
        again.programs[s].n = n;
        costs[s].backward_input += costs[s].forward;
    }
    choice.recomputes = false;
    ck_assert_int_eq(mb_schedule_make(&choice, true, 3, 8, arena, &slower), MB_OK);
    ck_assert(same(&again, &slower));
    for (int s = 0; s < 3; s++)
        costs[s].backward_input -= costs[s].forward;
    ck_assert_int_eq(mb_schedule_make(&choice, true, 3, 8, arena, &slower), MB_OK);
    ck_assert(!same(&again, &slower));
    mb_arena_destroy(arena);
}
END_TEST

/* Whether the plan computes what the schedule says. */
static bool computes(const mb_plan_t *plan, const mb_schedule_t *schedule)
{
    for (int s = 0; s < plan->stages; s++) {
        int n = 0;
        const mb_program_t *program = &plan->programs[s], *wanted = &schedule->programs[s];
        for (int i = 0; i < program->n; i++) {
            const mb_action_t *action = &program->actions[i];
            if (action->kind > MB_ACTION_BW)
                continue;
            if (n == wanted->n || action->kind != wanted->actions[n].kind ||
                action->micro != wanted->actions[n].micro)
                return false;
            n++;
        }
        if (n < wanted->n)
            return false;
    }
    return true;
}

/* A chain of two nodes a stage: a chunk takes what they take, and its message half of a crossing.
 */
START_TEST(a_plan_makes_it_from_what_its_nodes_and_crossings_take)
{
    enum { P = 3, M = 6, NODES = 2 * P + 1 };
    static fake_graph_t fake;
    static const int cuts[] = {3, 5};
    mb_node_cost_t nodes[NODES] = {{0, 0, 0}};
    double crossing[NODES] = {0};
    mb_chunk_cost_t costs[P] = {{2, 2, 4, 3, 0}, {4, 6, 2, 3, 0}, {6, 4, 2, 0, 0}}, silent[P];
    mb_schedule_choice_t choice = {.kind = MB_SCHEDULE_AUTO, .per_stage = 1};
    mb_schedule_t wanted, other;
    mb_plan_t *plan = NULL;
    mb_arena_t *arena = mb_arena_create();
    fake_graph_chain(&fake, 2 * P, 2);
    for (int i = 1; i < NODES; i++) {
        const mb_chunk_cost_t *chunk = &costs[(i - 1) / 2];
        nodes[i] = (mb_node_cost_t){chunk->forward / 2, chunk->backward_input / 2,
                                    chunk->backward_weights / 2};
        crossing[i] = 6;
        fake.nodes[i].needs_gradient = true;
    }
    mb_plan_options_t options = {.stages = P,
                                 .micro_batch = 1,
                                 .micros_per_replica = M,
                                 .replicas_of_group = 1,
                                 .schedule = choice,
                                 .training = true,
                                 .cuts = cuts,
                                 .costs = nodes,
                                 .crossing = crossing};
    ck_assert_msg(mb_plan_create(&fake.graph, &options, &plan) == MB_OK, "%s", mb_error_get());
    choice.costs = costs;
    ck_assert_int_eq(mb_schedule_make(&choice, true, P, M, arena, &wanted), MB_OK);
    ck_assert(computes(plan, &wanted));
    for (int c = 0; c < P; c++) {
        silent[c] = costs[c];
        silent[c].send = 0;
    }
    choice.costs = silent; /* it does make a difference */
    ck_assert_int_eq(mb_schedule_make(&choice, true, P, M, arena, &other), MB_OK);
    ck_assert(!computes(plan, &other));
    mb_plan_destroy(plan);
    mb_arena_destroy(arena);
}
END_TEST

START_TEST(a_limit_below_one_micro_batch_names_the_stage)
{
    mb_schedule_t schedule;
    given_t given = {.stages = 2, .chunks = 4, .micros = 4, .weight = {3, 5, 2, 4}};
    mb_arena_t *arena = mb_arena_create();
    given.limits[0] = given.limits[1] = 7;
    ck_assert_int_eq(make_auto(&given, arena, &schedule), MB_OK); /* 3 + 4 and 5 + 2 */
    given.limits[1] = 6;
    ck_assert_int_eq(make_auto(&given, arena, &schedule), MB_ERR_ARGUMENT);
    ck_assert_msg(strstr(mb_error_get(), "stage 1 may hold activations of 6, but those of one "
                                         "micro-batch take 7") != NULL,
                  "%s", mb_error_get());
    mb_arena_destroy(arena);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("automatic schedule");
    TCase *c = tcase_create("auto");
    tcase_set_timeout(c, 120);
    tcase_add_test(c, it_keeps_to_its_limits_and_its_steps_are_no_longer_than_those_of_known_ones);
    tcase_add_test(c, it_keeps_to_its_limits_with_several_chunks);
    tcase_add_test(c, with_equal_costs_a_third_of_the_bubble_is_left);
    tcase_add_test(c, every_rank_makes_the_same_one);
    tcase_add_test(c, forwards_that_are_computed_again_count);
    tcase_add_test(c, a_plan_makes_it_from_what_its_nodes_and_crossings_take);
    tcase_add_test(c, a_limit_below_one_micro_batch_names_the_stage);
    suite_add_tcase(s, c);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
