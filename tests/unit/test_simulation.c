/* Virtual ranks walk the lists that real ones do: their times are those that the schedule has by
 * itself where messages take none, and what links, lost ranks and faults add is what is to be
 * expected of them. */
#include "comm/reduce_plan.h"
#include "pipeline/simulate.h"
#include "support/fake_graph.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static fake_graph_t fake;
static mb_arena_t *arena;

/* What is observed of one rank's compute actions. */
enum { MOST_ACTIONS = 4096 };
static struct {
    int n;
    double ends[MOST_ACTIONS];
} seen[64];

static void note_compute(void *user, int rank, int step, const mb_action_t *action,
                         const mb_walk_times_t *times)
{
    (void)user;
    (void)step;
    if (action->kind <= MB_ACTION_R)
        seen[rank].ends[seen[rank].n++] = times->end;
}

static mb_plan_t *make_plan(const mb_schedule_choice_t *choice, int stages, int micros)
{
    mb_plan_t *plan = NULL;
    mb_plan_options_t options = {.stages = stages,
                                 .micro_batch = 2,
                                 .micros_per_replica = micros,
                                 .replicas_of_group = 1,
                                 .schedule = *choice,
                                 .training = true};
    ck_assert_msg(mb_plan_create(&fake.graph, &options, &plan) == MB_OK, "%s", mb_error_get());
    return plan;
}

/* A chain of as many nodes as chunks, 1F1B. */
static mb_plan_t *make_chain(int stages, int micros)
{
    const mb_schedule_choice_t choice = {.kind = MB_SCHEDULE_1F1B};
    fake_graph_chain(&fake, stages, 3);
    return make_plan(&choice, stages, micros);
}

static mb_hardware_t instant(void)
{
    mb_hardware_t hardware = mb_hardware_default();
    hardware.devices_per_node = 1;
    hardware.memory_bandwidth = INFINITY;
    hardware.inside = hardware.between = (mb_hardware_link_t){.latency = 0, .bandwidth = INFINITY};
    return hardware;
}

/* One pipeline of PLAN, each action a second. */
typedef struct {
    mb_grid_t grid;
    mb_hardware_t hardware;
    const mb_plan_t *plans[64];
    mb_chunk_cost_t costs[64];
    mb_simulation_t simulation;
    mb_simulated_t out;
} world_t;

static world_t *world_of(const mb_plan_t *plan, int groups)
{
    static world_t world;
    world = (world_t){.hardware = instant()};
    mb_grid_set(&world.grid, plan->stages * groups, 0, plan->stages, groups);
    for (int g = 0; g < groups; g++)
        world.plans[g] = plan;
    for (int c = 0; c < plan->chunks; c++)
        world.costs[c] = (mb_chunk_cost_t){1, 1, 1, 0, 0};
    world.simulation = (mb_simulation_t){.grid = &world.grid,
                                         .plans = world.plans,
                                         .costs = world.costs,
                                         .hardware = &world.hardware,
                                         .steps = 1};
    return &world;
}

static double run(world_t *world)
{
    ck_assert_msg(mb_simulate(&world->simulation, arena, &world->out) == MB_OK, "%s",
                  mb_error_get());
    return world->out.end;
}

static void expect(world_t *world, mb_status_t wanted, const char *part)
{
    mb_status_t status = mb_simulate(&world->simulation, arena, &world->out);
    ck_assert_msg(status == wanted, "%d: %s", (int)status, mb_error_get());
    ck_assert_msg(strstr(mb_error_get(), part) != NULL, "'%s' lacks '%s'", mb_error_get(), part);
}

/* ---- against the schedule's own times */

static void compare_times(const mb_schedule_choice_t *choice, int stages, int micros)
{
    mb_schedule_t schedule;
    mb_schedule_times_t times;
    fake_graph_chain(&fake, mb_schedule_chunks(choice, stages), 3);
    mb_plan_t *plan = make_plan(choice, stages, micros);
    world_t *world = world_of(plan, 1);
    for (int c = 0; c < plan->chunks; c++) /* uneven, and no sum of them is exact in binary */
        world->costs[c] =
            (mb_chunk_cost_t){0.1 + 0.07 * (c % 3), 0.13 + 0.03 * (c % 5), 0.11, 0, 0};
    ck_assert_int_eq(mb_schedule_make(choice, true, stages, micros, arena, &schedule), MB_OK);
    ck_assert_int_eq(mb_schedule_time(&schedule, world->costs, NULL, arena, &times), MB_OK);
    memset(seen, 0, sizeof seen);
    world->simulation.observe = note_compute;
    double end = run(world);
    ck_assert_double_eq(end, times.end);
    for (int s = 0; s < stages; s++) {
        const mb_program_t *program = &schedule.programs[s];
        ck_assert_int_eq(seen[s].n, program->n);
        for (int i = 0; i < program->n; i++) {
            const mb_action_t *action = &program->actions[i];
            double seconds = mb_action_seconds(&world->costs[action->chunk], action->kind);
            double wanted = times.begin[s][i] + seconds;
            ck_assert_msg(
                seen[s].ends[i] == wanted,
                "schedule %d, %d stages, %d micro-batches, stage %d, action %d: %.17g and %.17g",
                (int)choice->kind, stages, micros, s, i, seen[s].ends[i], wanted);
        }
    }
    mb_plan_destroy(plan);
}

static void compare_all(const char *const *names, size_t count, bool recomputes)
{
    for (size_t i = 0; i < count; i++) {
        mb_schedule_choice_t choice;
        ck_assert_int_eq(mb_schedule_parse(names[i], &choice), MB_OK);
        choice.recomputes = recomputes;
        for (int p = 1; p <= 8; p++) {
            for (int m = 1; m <= 17; m += 4)
                compare_times(&choice, p, m);
        }
    }
}

static const char *const schedules[] = {"gpipe", "1f1b",  "interleaved:2", "interleaved:3",
                                        "zb-h1", "zb-h2", "zb-v"};

START_TEST(without_latency_and_with_boundless_links_times_are_the_schedules_exactly)
{
    compare_all(schedules, sizeof schedules / sizeof schedules[0], false);
}
END_TEST

/* Where W stands apart the next stage frees its slot late, and R, which writes again what F sent,
 * may have to wait for that: schedule_time knows nothing of slots. */
START_TEST(with_recomputation_they_are_where_backwards_are_whole)
{
    compare_all(schedules, 4, true);
}
END_TEST

START_TEST(steps_follow_each_other_without_a_gap_on_one_rank)
{
    mb_plan_t *plan = make_chain(1, 4);
    world_t *world = world_of(plan, 1);
    world->simulation.steps = 3;
    ck_assert_double_eq(run(world), 3 * 4 * 3);
    ck_assert_int_eq(world->out.messages, 0);
    mb_plan_destroy(plan);
}
END_TEST

/* ---- links; an activation has 3 elements, a micro-batch 2 samples: 24 bytes a message */

START_TEST(a_message_takes_its_bytes_and_a_latency)
{
    mb_plan_t *plan = make_chain(2, 1);
    world_t *world = world_of(plan, 1);
    world->hardware.between = (mb_hardware_link_t){.latency = 0.25, .bandwidth = 48};
    /* F, 0.5 + 0.25, F, BW, 0.75, BW. */
    ck_assert_double_eq(run(world), 1 + 0.75 + 1 + 2 + 0.75 + 2);
    ck_assert_int_eq(world->out.messages, 2);
    ck_assert_int_eq(world->out.bytes, 48);
    mb_plan_destroy(plan);
}
END_TEST

START_TEST(ranks_of_a_node_use_the_links_inside)
{
    mb_plan_t *plan = make_chain(2, 1);
    world_t *world = world_of(plan, 1);
    world->hardware.devices_per_node = 2;
    world->hardware.between = (mb_hardware_link_t){.latency = 100, .bandwidth = 1};
    world->hardware.inside = (mb_hardware_link_t){.latency = 0.5, .bandwidth = INFINITY};
    ck_assert_double_eq(run(world), 1 + 0.5 + 1 + 2 + 0.5 + 2);
    ck_assert_int_eq(world->out.device_out[0].messages, 1);
    ck_assert_int_eq(world->out.node_out[0].messages, 0);
    mb_plan_destroy(plan);
}
END_TEST

/* GPipe, two micro-batches, half a second a message. Stage 0 copies the first one while it computes
 * its second forward (1 to 2.5), stage 1 the gradient during its second backward (6 to 8.5); who
 * waits copies for nothing. */
START_TEST(copying_a_message_takes_time_from_what_both_ends_compute)
{
    const mb_schedule_choice_t choice = {.kind = MB_SCHEDULE_GPIPE};
    fake_graph_chain(&fake, 2, 3);
    mb_plan_t *plan = make_plan(&choice, 2, 2);
    world_t *world = world_of(plan, 1);
    world->hardware.between = (mb_hardware_link_t){.bandwidth = 48, .occupies = 0};
    ck_assert_double_eq(run(world), 10);
    world->hardware.between.occupies = 1;
    ck_assert_double_eq(run(world), 11);
    mb_plan_destroy(plan);
}
END_TEST

/* Four stages in nodes of six ranks: ranks 0 to 3 are group 0's, of 4 to 7 the last two lie on the
 * second node. */
START_TEST(only_messages_between_nodes_take_the_nodes_ways)
{
    mb_plan_t *plan = make_chain(4, 1);
    world_t *world = world_of(plan, 2);
    world->hardware.devices_per_node = 6;
    world->hardware.between = (mb_hardware_link_t){.latency = 0, .bandwidth = 24};
    ck_assert_double_eq(run(world), 4 * 3 + 2);
    ck_assert_int_eq(world->out.node_in[1].messages, 1);
    ck_assert_int_eq(world->out.node_in[0].messages, 1);
    ck_assert_double_eq(world->out.node_in[0].busy, 1);
    mb_plan_destroy(plan);
}
END_TEST

/* Two pipelines of two stages, each on a node. A sum is two messages one after the other, of 2 s
 * where they are alone: stage 1's from 4 to 6 and from 6 on, stage 0's from 6 on, so that both are
 * through at 10, and the last from 10 to 12. */
START_TEST(devices_of_a_node_share_its_way_out)
{
    mb_plan_t *plan = make_chain(2, 1);
    world_t *world = world_of(plan, 2);
    const int64_t bytes[] = {512, 512};
    world->simulation.gradient_bytes = bytes;
    world->hardware.devices_per_node = 2;
    world->hardware.between = (mb_hardware_link_t){.latency = 0, .bandwidth = 128};
    ck_assert_double_eq(run(world), 12);
    ck_assert_double_eq(world->out.node_out[0].busy, 8);
    ck_assert_double_eq(world->out.node_out[0].held_up, 2 + 2);
    mb_plan_destroy(plan);
}
END_TEST

/* A tensor that goes to two stages is two messages, which share the way out of their rank. */
START_TEST(two_messages_share_a_way_and_are_counted_as_held_up)
{
    const mb_schedule_choice_t choice = {.kind = MB_SCHEDULE_1F1B};
    fake_graph_start(&fake);
    int input = fake_graph_input(&fake, 3);
    int a = fake_graph_add(&fake, 1, 3, 1, &input);
    int b = fake_graph_add(&fake, 1, 3, 1, &a);
    fake_graph_add(&fake, 1, 3, 2, (int[]){a, b});
    mb_plan_t *plan = make_plan(&choice, 3, 1);
    world_t *world = world_of(plan, 1);
    world->hardware.between = (mb_hardware_link_t){.latency = 0, .bandwidth = 24};
    /* a to stages 1 and 2 at 1..3; stage 1 computes b until 4, to stage 2 at 4..5; F 5..6, BW
     * 6..8. Back: two gradients out of stage 2 at 8..10. Stage 1: BW 10..12, its gradient 12..13,
     * stage 0: BW 13..15. */
    double end = run(world);
    ck_assert_double_eq(world->out.node_out[0].held_up, 2);
    ck_assert_double_eq(world->out.node_out[2].held_up, 2);
    ck_assert_double_eq(end, 15);
    ck_assert_int_eq(world->out.messages, 6);
    mb_plan_destroy(plan);
}
END_TEST

START_TEST(a_reduction_waits_for_the_slowest_group_and_takes_its_bytes_and_latencies)
{
    mb_plan_t *plan = make_chain(1, 2);
    world_t *world = world_of(plan, 4);
    const int64_t bytes[] = {1024};
    const mb_straggler_t slow[] = {{2, 1.5}};
    world->simulation.gradient_bytes = bytes;
    world->simulation.stragglers = slow;
    world->simulation.n_stragglers = 1;
    world->hardware.between = (mb_hardware_link_t){.latency = 0.125, .bandwidth = 256};
    /* 2 micro-batches of 3 s, half as long again; a half, a quarter, a quarter and a half of the
     * bytes; each a latency. */
    ck_assert_double_eq(run(world), 9 + 6 + 0.5);
    ck_assert_int_eq(world->out.node_out[2].messages, 4);
    /* 3 numbers an addition: 512 bytes, then 256, on the slow one. */
    world->hardware.memory_bandwidth = 3 * 256;
    ck_assert_double_eq(run(world), 9 + 6 + 0.5 + 1.5 * (2 + 1));
    mb_plan_destroy(plan);
}
END_TEST

/* Processors of a node send each other signals alone, and each reads and writes as much as a block
 * has: 2 s, on the slow one half as long again. */
START_TEST(processors_of_a_node_sum_in_each_others_memory)
{
    mb_plan_t *plan = make_chain(1, 2);
    world_t *world = world_of(plan, 4);
    const int64_t bytes[] = {1024};
    const mb_straggler_t slow[] = {{2, 1.5}};
    world->simulation.gradient_bytes = bytes;
    world->simulation.stragglers = slow;
    world->simulation.n_stragglers = 1;
    world->hardware.devices_per_node = 4;
    world->hardware.memory_bandwidth = 1024;
    world->hardware.inside =
        (mb_hardware_link_t){.latency = 0.125, .bandwidth = 1e30, .occupies = 1};
    ck_assert_double_eq(run(world), 9 + 0.125 + 1.5 * 2 + 0.125);
    ck_assert_int_eq(world->out.device_out[2].messages, 2 * 3);
    ck_assert_int_eq(world->out.device_out[2].bytes, 2 * 3 * 8);
    world->hardware.devices_per_node = 3;
    world->hardware.between = world->hardware.inside;
    run(world);
    ck_assert_int_ge(world->out.node_out[0].bytes, 1024);
    mb_plan_destroy(plan);
}
END_TEST

/* A stage of two chunks, one micro-batch: F0 F1 BW1 BW0, with a REDUCE right behind each BW. */
static void reduce_by_chunk(mb_program_t *program)
{
    static mb_action_t actions[8];
    int n = 0;
    for (int i = 0; i < program->n; i++) {
        mb_action_t action = program->actions[i];
        if (action.kind == MB_ACTION_REDUCE)
            continue;
        actions[n++] = action;
        if (action.kind != MB_ACTION_BW)
            continue;
        action.kind = MB_ACTION_REDUCE;
        action.micro = -1;
        actions[n++] = action;
    }
    program->actions = actions;
    program->n = n;
}

/* Two messages of a second each: chunk 1's first from 4 to 5, while BW0 runs to 6; its second and
 * chunk 0's first share the way from 6 to 8; chunk 0's second. */
START_TEST(a_chunks_sum_goes_on_while_the_stage_computes_another_chunk)
{
    const mb_schedule_choice_t choice = {.kind = MB_SCHEDULE_INTERLEAVED, .per_stage = 2};
    const int64_t bytes[] = {512, 512};
    fake_graph_chain(&fake, 2, 3);
    mb_plan_t *plan = make_plan(&choice, 1, 1);
    reduce_by_chunk(&plan->programs[0]);
    ck_assert_int_eq(plan->programs[0].n, 7);
    world_t *world = world_of(plan, 2);
    world->simulation.gradient_bytes = bytes;
    world->hardware.between = (mb_hardware_link_t){.latency = 0, .bandwidth = 256};
    ck_assert_double_eq(run(world), 9);
    ck_assert_double_eq(world->out.stages[0].reduce, 3);
    mb_plan_destroy(plan);
}
END_TEST

/* A stage of two layers on two ranks; both layers' gradients take 2 s and 2 s to sum. The backward
 * (2 s) comes past the second layer first, whose sum goes on while the first layer's is computed.
 */
START_TEST(a_buckets_sum_goes_on_while_the_rest_of_the_chunk_computes)
{
    static mb_param_t params[2];
    const int64_t bytes[] = {1024, 1024};
    const mb_schedule_choice_t choice = {.kind = MB_SCHEDULE_1F1B};
    mb_plan_options_t options = {.stages = 1,
                                 .micro_batch = 2,
                                 .micros_per_replica = 1,
                                 .replicas_of_group = 1,
                                 .schedule = choice,
                                 .bucket_bytes = 800,
                                 .training = true};
    mb_plan_t *plan;
    fake_graph_chain(&fake, 2, 3);
    for (int i = 0; i < 2; i++) {
        params[i] = (mb_param_t){.elements = 200, .trainable = true};
        fake.layers[i + 1].n_params = 1;
        fake.layers[i + 1].params[0] = i;
    }
    fake.graph.params = params;
    fake.graph.n_params = 2;
    ck_assert_int_eq(mb_plan_create(&fake.graph, &options, &plan), MB_OK);
    ck_assert_int_eq(mb_plan_buckets(plan, 0), 2);
    world_t *world = world_of(plan, 2);
    world->simulation.gradient_bytes = bytes;
    world->hardware.between = (mb_hardware_link_t){.bandwidth = 256};
    /* F to 1, half of BW to 2: the first bucket's message alone to 3, then half the way until 5;
     * its second one half until 7 and alone until 8. The second bucket's is there at 7 and looked
     * after at 8: its second one until 10. */
    ck_assert_double_eq(run(world), 10);
    const double parts[] = {0.25, 0.75};
    world->simulation.bucket_parts = parts;
    ck_assert_double_eq(run(world), 9.5);
    mb_plan_destroy(plan);
}
END_TEST

static int64_t bytes_of_plan(world_t *world, int group, int64_t count)
{
    mb_reduce_plan_t plan;
    int64_t bytes = 0;
    const mb_reduce_shape_t shape = {.count = count};
    world->grid.group = group;
    world->grid.stage = 0;
    ck_assert_int_eq(mb_reduce_plan(&world->grid, &shape, arena, &plan), MB_OK);
    for (int r = 0; r < plan.n_rounds; r++) {
        for (int i = 0; i < plan.rounds[r].n_messages; i++) {
            const mb_reduce_message_t *message = &plan.rounds[r].messages[i];
            bytes += message->sends ? 4 * message->count : 0;
        }
    }
    return bytes;
}

/* 50 groups whose replicas do not pair off send each other 50 * 49 messages, runs of which are one
 * each. What leaves a rank and comes to all is what their plans have, and nobody is through before
 * the last has come. */
START_TEST(runs_of_many_groups_carry_the_bytes_of_all_and_wait_for_the_last)
{
    enum { GROUPS = 50 };
    mb_plan_t *plan = make_chain(1, 1);
    world_t *world = world_of(plan, GROUPS);
    const int64_t bytes[] = {4 * 16 * GROUPS * 3};
    const mb_straggler_t slow[] = {{17, 2}};
    int64_t sent = 0, came = 0;
    world->grid.replicas = 75;
    world->simulation.gradient_bytes = bytes;
    world->simulation.stragglers = slow;
    world->simulation.n_stragglers = 1;
    world->hardware.between = (mb_hardware_link_t){.latency = 1, .bandwidth = INFINITY};
    ck_assert_double_eq(run(world), 6 + 2);
    for (int g = 0; g < GROUPS; g++) {
        int64_t of_plan = bytes_of_plan(world, g, bytes[0] / 4);
        ck_assert_int_eq(world->out.node_out[g].bytes, of_plan);
        ck_assert_int_le(world->out.node_out[g].messages, 4 * 32);
        sent += of_plan;
        came += world->out.node_in[g].bytes;
    }
    ck_assert_int_eq(came, sent);
    const mb_loss_of_rank_t losses[] = {{33, 0}};
    world->simulation.losses = losses;
    world->simulation.n_losses = 1;
    expect(world, MB_ERR_TIMEOUT, "rank 0: adding up gradients, step 1, stage 0, peer rank 33");
    mb_plan_destroy(plan);
}
END_TEST

START_TEST(an_update_takes_its_seconds)
{
    mb_plan_t *plan = make_chain(1, 1);
    world_t *world = world_of(plan, 1);
    const double update[] = {0.5};
    world->simulation.update_seconds = update;
    ck_assert_double_eq(run(world), 3.5);
    ck_assert_double_eq(world->out.stages[0].update, 0.5);
    ck_assert_double_eq(world->out.stages[0].compute, 3);
    mb_plan_destroy(plan);
}
END_TEST

/* ---- chance */

START_TEST(jitter_is_the_seeds_and_stays_in_its_bounds)
{
    mb_plan_t *plan = make_chain(4, 8);
    world_t *world = world_of(plan, 2);
    double even = run(world);
    world->simulation.jitter = 0.1;
    world->simulation.seed = 7;
    double first = run(world), again = run(world);
    world->simulation.seed = 8;
    double other = run(world);
    ck_assert_double_eq(first, again);
    ck_assert_double_ne(first, other);
    ck_assert_double_ne(first, even);
    ck_assert_double_ge(first, 0.9 * even);
    ck_assert_double_le(first, 1.1 * even);
    mb_plan_destroy(plan);
}
END_TEST

/* ---- what does not end */

START_TEST(a_lost_rank_is_named_and_who_waits_for_it)
{
    mb_plan_t *plan = make_chain(3, 4);
    world_t *world = world_of(plan, 2);
    const mb_loss_of_rank_t losses[] = {{4, 1}};
    const int64_t bytes[] = {64, 64, 64};
    world->simulation.gradient_bytes = bytes;
    world->simulation.losses = losses;
    world->simulation.n_losses = 1;
    world->simulation.steps = 3;
    expect(world, MB_ERR_TIMEOUT, "rank 4 is lost from step 2 on (stage 1, group 1)");
    expect(world, MB_ERR_TIMEOUT,
           "rank 5: receiving the activation of 'n2', step 2, stage 2, F of micro-batch 0, peer "
           "rank 4");
    expect(world, MB_ERR_TIMEOUT, "rank 1: adding up gradients, step 2, stage 1, peer rank 4");
    mb_plan_destroy(plan);
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

static void drop(mb_program_t *program, int at)
{
    memmove(&program->actions[at], &program->actions[at + 1],
            (size_t)(program->n - at - 1) * sizeof(mb_action_t));
    program->n--;
}

START_TEST(a_send_that_is_missing_names_the_rank_that_waits_for_it)
{
    mb_plan_t *plan = make_chain(2, 3);
    drop(&plan->programs[0], find(&plan->programs[0], MB_ACTION_SEND_ACT, 1));
    expect(world_of(plan, 1), MB_ERR_TIMEOUT,
           "rank 1: receiving the activation of 'n1', step 1, stage 1, F of micro-batch 1, peer "
           "rank 0");
    mb_plan_destroy(plan);
}
END_TEST

/* Stage 0 goes back before it sends what its gradient comes from. */
START_TEST(ranks_that_wait_for_each_other_are_named_in_a_circle)
{
    mb_plan_t *plan = make_chain(2, 1);
    mb_program_t *program = &plan->programs[0];
    int send = find(program, MB_ACTION_SEND_ACT, 0), back = find(program, MB_ACTION_BW, 0);
    mb_action_t action = program->actions[send];
    program->actions[send] = program->actions[back];
    program->actions[back] = action;
    world_t *world = world_of(plan, 1);
    expect(world, MB_ERR_TIMEOUT, "rank 0: receiving the gradient of 'n1'");
    expect(world, MB_ERR_TIMEOUT, "rank 1: receiving the activation of 'n1'");
    mb_plan_destroy(plan);
}
END_TEST

START_TEST(a_send_that_stands_twice_is_refused)
{
    mb_plan_t *plan = make_chain(2, 2);
    mb_program_t *program = &plan->programs[0];
    int second = find(program, MB_ACTION_SEND_ACT, 1);
    program->actions[second].micro = 0;
    expect(world_of(plan, 1), MB_ERR_INTERNAL, "stands twice in the list");
    mb_plan_destroy(plan);
}
END_TEST

static void set_up(void)
{
    arena = mb_arena_create();
}

static void tear_down(void)
{
    mb_arena_destroy(arena);
}

int main(void)
{
    Suite *suite = suite_create("simulation");
    TCase *tests = tcase_create("simulation");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, without_latency_and_with_boundless_links_times_are_the_schedules_exactly);
    tcase_add_test(tests, with_recomputation_they_are_where_backwards_are_whole);
    tcase_add_test(tests, steps_follow_each_other_without_a_gap_on_one_rank);
    tcase_add_test(tests, a_message_takes_its_bytes_and_a_latency);
    tcase_add_test(tests, ranks_of_a_node_use_the_links_inside);
    tcase_add_test(tests, copying_a_message_takes_time_from_what_both_ends_compute);
    tcase_add_test(tests, only_messages_between_nodes_take_the_nodes_ways);
    tcase_add_test(tests, devices_of_a_node_share_its_way_out);
    tcase_add_test(tests, two_messages_share_a_way_and_are_counted_as_held_up);
    tcase_add_test(tests,
                   a_reduction_waits_for_the_slowest_group_and_takes_its_bytes_and_latencies);
    tcase_add_test(tests, processors_of_a_node_sum_in_each_others_memory);
    tcase_add_test(tests, a_chunks_sum_goes_on_while_the_stage_computes_another_chunk);
    tcase_add_test(tests, a_buckets_sum_goes_on_while_the_rest_of_the_chunk_computes);
    tcase_add_test(tests, runs_of_many_groups_carry_the_bytes_of_all_and_wait_for_the_last);
    tcase_add_test(tests, an_update_takes_its_seconds);
    tcase_add_test(tests, jitter_is_the_seeds_and_stays_in_its_bounds);
    tcase_add_test(tests, a_lost_rank_is_named_and_who_waits_for_it);
    tcase_add_test(tests, a_send_that_is_missing_names_the_rank_that_waits_for_it);
    tcase_add_test(tests, ranks_that_wait_for_each_other_are_named_in_a_circle);
    tcase_add_test(tests, a_send_that_stands_twice_is_refused);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
