/* See simulate.h: the events, one after another, and what is counted. */
#include "pipeline/simulate_sums.h"

static size_t message_count(const mb_plan_t *plan)
{
    return 2 * (size_t)(plan->n_forward_edges + plan->n_backward_edges) * (size_t)plan->micros;
}

/* To the front of a step; false: there is none. */
static bool begin_step(mb_virtual_rank_t *rank)
{
    mb_walk_start(&rank->walk);
    if (rank->step == rank->world->simulation->steps)
        rank->state = ENDED;
    else if (mb_simulated_is_lost(rank->world->simulation, rank->rank, rank->step))
        rank->state = LOST;
    return rank->state == FREE;
}

mb_status_t mb_virtual_go_on(mb_virtual_rank_t *rank)
{
    bool ended = true;
    mb_world_t *world = rank->world;
    rank->now = world->now;
    while (ended) {
        MB_TRY(mb_walk_go(&rank->walk, &ended));
        if (!ended)
            return MB_OK;
        world->out->end = rank->now > world->out->end ? rank->now : world->out->end;
        rank->step++;
        if (!begin_step(rank))
            return MB_OK;
    }
    return MB_OK;
}

static mb_status_t wake(mb_virtual_rank_t *rank, uint32_t number)
{
    if (rank->state != AWAITS_MESSAGE || rank->message != number)
        return MB_OK;
    rank->state = FREE;
    return mb_virtual_go_on(rank);
}

static mb_status_t arrive_between_stages(mb_world_t *world, uint64_t what)
{
    const mb_grid_t *grid = world->simulation->grid;
    int group = (int)(what >> 32);
    uint32_t number = (uint32_t)what;
    mb_virtual_message_t m = mb_world_message(world, group, number);
    world->messages[group][number] |= MOVED;
    MB_TRY(wake(&world->ranks[mb_grid_rank(grid, m.from_stage, group)], number));
    return wake(&world->ranks[mb_grid_rank(grid, m.to_stage, group)], number);
}

/* What happens next: ranks go on before what comes in at the same time. */
static mb_status_t happen(mb_world_t *world, bool *any)
{
    uint64_t what;
    mb_event_at_t event;
    double next = mb_events_next(&world->events);
    *any = true;
    if (mb_flows_take(&world->out->flows, next, &world->now, &what))
        return (what & MB_OF_SUM) != 0 ? mb_sums_arrive(world, what)
                                       : arrive_between_stages(world, what);
    *any = mb_events_take(&world->events, &event);
    if (!*any)
        return MB_OK;
    world->now = event.time;
    return mb_virtual_go_on(&world->ranks[event.what]);
}

static mb_status_t run(mb_world_t *world)
{
    int n = world->simulation->grid->stages * world->simulation->grid->groups;
    bool any = true;
    for (int r = 0; r < n; r++) {
        if (begin_step(&world->ranks[r]))
            MB_TRY(mb_virtual_go_on(&world->ranks[r]));
    }
    for (; any; world->out->events++)
        MB_TRY(happen(world, &any));
    for (int r = 0; r < n; r++) {
        if (world->ranks[r].state != ENDED)
            return mb_world_stuck(world);
    }
    return MB_OK;
}

static mb_status_t make_groups(mb_world_t *world)
{
    const mb_grid_t *grid = world->simulation->grid;
    for (int g = 0; g < grid->groups; g++) {
        size_t bytes = message_count(world->simulation->plans[g]);
        world->messages[g] = MB_ARENA_ARRAY(world->arena, unsigned char, bytes + 1);
        if (world->messages[g] == NULL)
            return mb_error_memory("a simulation's messages", bytes);
    }
    return MB_OK;
}

static void place_ranks(mb_world_t *world)
{
    const mb_simulation_t *s = world->simulation;
    for (int g = 0; g < s->grid->groups; g++) {
        for (int stage = 0; stage < s->grid->stages; stage++) {
            int r = mb_grid_rank(s->grid, stage, g);
            mb_virtual_rank_t *rank = &world->ranks[r];
            *rank = (mb_virtual_rank_t){
                .world = world, .rank = r, .group = g, .pace = mb_simulated_pace(s, r)};
            rank->walk = (mb_walk_t){
                .class_ = &mb_virtual_class, .user = rank, .plan = s->plans[g], .stage = stage};
        }
    }
}

static mb_status_t make_world(mb_world_t *world)
{
    const mb_grid_t *grid = world->simulation->grid;
    size_t ranks = (size_t)grid->stages * (size_t)grid->groups;
    world->ranks = MB_ARENA_ARRAY(world->arena, mb_virtual_rank_t, ranks);
    world->messages = MB_ARENA_ARRAY(world->arena, unsigned char *, grid->groups);
    if (world->ranks == NULL || world->messages == NULL)
        return mb_error_memory("a simulation", ranks * sizeof(mb_virtual_rank_t));
    MB_TRY(mb_simulated_prepare(world->simulation, world->arena, world->out));
    MB_TRY(make_groups(world));
    place_ranks(world);
    return grid->groups > 1 ? mb_sums_create(world) : MB_OK;
}

static void sum_up(mb_world_t *world)
{
    const mb_grid_t *grid = world->simulation->grid;
    for (int r = 0; r < grid->stages * grid->groups; r++)
        mb_simulated_add(world->out, world->ranks[r].walk.stage, world->ranks[r].walk.costs,
                         grid->groups);
    for (int s = 0; s < grid->stages; s++)
        world->out->stages[s].bytes /= grid->groups;
}

mb_status_t mb_simulate(const mb_simulation_t *simulation, mb_arena_t *arena, mb_simulated_t *out)
{
    mb_world_t world = {.simulation = simulation, .arena = arena, .out = out};
    MB_TRY(make_world(&world));
    mb_status_t status = run(&world);
    mb_events_free(&world.events);
    mb_sums_free(world.sums);
    sum_up(&world);
    return status;
}
