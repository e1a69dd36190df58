/* A grid of a thousand pipelines: stages, micro-batches, chunks of a stage, costs, limits and
 * whether forwards are computed again, on chains with and without long edges. Every plan of it is
 * proven free of deadlock by both validators, and its schedule goes through all micro-batches in
 * order, within the activations that its name promises. */
#include "pipeline/plan.h"
#include "support/fake_graph.h"
#include "support/sanitized.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_STAGES = 8, MOST_CHUNKS = 4 * MOST_STAGES };

typedef struct {
    const char *name;
    int per_stage;
    int (*held)(int p, int v, int m); /* chunks' activations at most; NULL: as the limits say */
} promise_t;

static int held_gpipe(int p, int v, int m)
{
    (void)p;
    return v * m;
}

static int held_1f1b(int p, int v, int m)
{
    (void)m;
    return v * p;
}

static int held_interleaved(int p, int v, int m)
{
    (void)m;
    return v * p + p - 1;
}

static int held_h2(int p, int v, int m)
{
    (void)m;
    return v * (2 * p - 1);
}

static const promise_t promises[] = {{"gpipe", 1, held_gpipe},
                                     {"1f1b", 1, held_1f1b},
                                     {"interleaved:2", 2, held_interleaved},
                                     {"interleaved:3", 3, held_interleaved},
                                     {"interleaved:4", 4, held_interleaved},
                                     {"zb-h1", 1, held_1f1b},
                                     {"zb-h2", 1, held_h2},
                                     {"zb-v", 2, held_1f1b},
                                     {"auto", 1, NULL},
                                     {"auto:2", 2, NULL},
                                     {"auto:3", 3, NULL}};
enum { N_PROMISES = sizeof(promises) / sizeof(promises[0]) };

static const int numbers_of_micros[] = {1, 2, 3, 4, 5, 6, 7, 8, 11, 16, 19, 29};
enum { N_MICROS = sizeof(numbers_of_micros) / sizeof(numbers_of_micros[0]) };

typedef struct {
    const promise_t *of;
    int stages, chunks, micros;
    mb_chunk_cost_t costs[MOST_CHUNKS];
    double weight[MOST_CHUNKS], limits[MOST_STAGES];
} given_t;

/* Even costs, uneven ones, or chunks without weights; limits of one micro-batch, some, or many. */
static given_t draw(const promise_t *of, int p, int m)
{
    given_t given = {.of = of, .stages = p, .chunks = p * of->per_stage, .micros = m};
    int kind = rand() % 3;
    for (int c = 0; c < given.chunks; c++) {
        given.costs[c] = (mb_chunk_cost_t){1, 1, 1, 0, 0};
        given.weight[c] = kind == 0 ? 1 : 1 + rand() % 4;
        if (kind != 0)
            given.costs[c] = (mb_chunk_cost_t){1 + rand() % 9, 1 + rand() % 9,
                                               kind == 1 ? rand() % 9 : 0, rand() % 3, 0};
    }
    for (int s = 0; s < p; s++)
        given.limits[s] = of->per_stage * (kind == 0 ? 1 : 4) * (1 + rand() % (2 * p));
    return given;
}

static mb_schedule_choice_t choice_of(const given_t *given)
{
    mb_schedule_choice_t choice;
    ck_assert_int_eq(mb_schedule_parse(given->of->name, &choice), MB_OK);
    choice.costs = given->costs;
    choice.weight = given->weight;
    choice.limits = given->limits;
    return choice;
}

/* ---- the schedule */

static void check_order(const mb_schedule_t *schedule, int stage)
{
    int done[MOST_CHUNKS][3] = {{0}}; /* F, B, W */
    const mb_program_t *program = &schedule->programs[stage];
    for (int i = 0; i < program->n; i++) {
        const mb_action_t *action = &program->actions[i];
        int *of = done[action->chunk];
        bool both = action->kind == MB_ACTION_BW;
        ck_assert_int_eq(schedule->stage_of[action->chunk], stage);
        ck_assert_int_eq(action->micro, of[both ? MB_ACTION_B : action->kind]++);
        if (both)
            ck_assert_int_eq(action->micro, of[MB_ACTION_W]++);
        ck_assert(of[MB_ACTION_F] >= of[MB_ACTION_B] && of[MB_ACTION_B] >= of[MB_ACTION_W]);
    }
    for (int c = 0; c < schedule->chunks; c++) {
        for (int k = 0; k < 3 && schedule->stage_of[c] == stage; k++)
            ck_assert_int_eq(done[c][k], schedule->micros);
    }
}

static void check_schedule(const given_t *given)
{
    mb_schedule_t schedule;
    mb_schedule_times_t times;
    mb_arena_t *arena = mb_arena_create();
    mb_schedule_choice_t choice = choice_of(given);
    ck_assert_msg(mb_schedule_make(&choice, true, given->stages, given->micros, arena, &schedule) ==
                      MB_OK,
                  "%s", mb_error_get());
    const double *weight = given->of->held == NULL ? given->weight : NULL;
    ck_assert_msg(mb_schedule_time(&schedule, given->costs, weight, arena, &times) == MB_OK, "%s",
                  mb_error_get());
    for (int s = 0; s < given->stages; s++) {
        double most = given->of->held == NULL
                          ? given->limits[s]
                          : given->of->held(given->stages, given->of->per_stage, given->micros);
        check_order(&schedule, s);
        ck_assert_msg(times.peak[s] <= most, "%s, %d stages, %d micro-batches: holds %g of %g",
                      given->of->name, given->stages, given->micros, times.peak[s], most);
    }
    mb_arena_destroy(arena);
}

/* ---- the plan */

static void make_graph(fake_graph_t *fake, int nodes)
{
    fake_graph_start(fake);
    int last = fake_graph_input(fake, 2);
    for (int i = 0; i < nodes; i++) {
        int inputs[2] = {last, rand() % (i + 1)};
        last = fake_graph_add(fake, 1 + rand() % 9, 2, 1 + (rand() % 4 == 0 && i > 0), inputs);
        fake->nodes[last].needs_gradient = true;
    }
}

static void check_plan(const given_t *given)
{
    static fake_graph_t fake;
    mb_plan_t *plan = NULL;
    mb_plan_options_t options = {.stages = given->stages,
                                 .micro_batch = 1,
                                 .micros_per_replica = given->micros,
                                 .replicas_of_group = 1,
                                 .schedule = choice_of(given),
                                 .training = true,
                                 .ordered = rand() % 2 == 0};
    make_graph(&fake, given->chunks + rand() % 4);
    options.schedule.recomputes = rand() % 3 == 0;
    ck_assert_msg(mb_plan_create(&fake.graph, &options, &plan) == MB_OK,
                  "%s, %d stages, %d micro-batches: %s", given->of->name, given->stages,
                  given->micros, mb_error_get());
    mb_plan_destroy(plan);
}

START_TEST(a_thousand_pipelines_validate)
{
    int n = 0;
    srand(53);
    for (int i = 0; i < N_PROMISES; i++) {
        for (int p = 1; p <= MOST_STAGES; p++) {
            for (int m = p % TEST_EVERY; m < N_MICROS; m += TEST_EVERY) {
                given_t given = draw(&promises[i], p, numbers_of_micros[m]);
                check_schedule(&given);
                check_plan(&given);
                n++;
            }
        }
    }
    ck_assert_int_ge(n, 1000 / TEST_EVERY);
}
END_TEST

/* A micro-batch of 8,192 chunks, and the last chunk's work on the others: no order ends sooner
 * (schedule_bound.c's first bound for the last chunk). */
START_TEST(a_thousand_stages_of_eight_chunks_are_scheduled_as_well_as_a_few)
{
    enum { STAGES = 1024, PER_STAGE = 8, MICROS = 128, CHUNKS = STAGES * PER_STAGE };
    mb_schedule_t schedule;
    mb_schedule_times_t times;
    mb_schedule_choice_t choice = {.kind = MB_SCHEDULE_INTERLEAVED, .per_stage = PER_STAGE};
    mb_arena_t *arena = mb_arena_create();
    mb_chunk_cost_t *costs = MB_ARENA_ARRAY(arena, mb_chunk_cost_t, CHUNKS);
    for (int c = 0; c < CHUNKS; c++)
        costs[c] = (mb_chunk_cost_t){1, 1, 1, 0, 0};
    ck_assert_int_eq(mb_schedule_make(&choice, true, STAGES, MICROS, arena, &schedule), MB_OK);
    ck_assert_int_eq(mb_schedule_time(&schedule, costs, NULL, arena, &times), MB_OK);
    ck_assert_double_eq(times.end, 3.0 * (CHUNKS - 1) + 3.0 * MICROS);
    mb_arena_destroy(arena);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("schedule grid");
    TCase *c = tcase_create("grid");
    tcase_set_timeout(c, 200);
    tcase_add_test(c, a_thousand_pipelines_validate);
    tcase_add_test(c, a_thousand_stages_of_eight_chunks_are_scheduled_as_well_as_a_few);
    suite_add_tcase(s, c);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
