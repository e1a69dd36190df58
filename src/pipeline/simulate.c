/* See simulate.h: the events, one after another, and what is counted. */
#include "pipeline/simulate_private.h"

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

static mb_status_t go_on(mb_virtual_rank_t *rank)
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
    return go_on(rank);
}

static mb_status_t arrive(mb_world_t *world, const mb_event_at_t *event)
{
    const mb_grid_t *grid = world->simulation->grid;
    mb_virtual_message_t m = mb_world_message(world, event->kind, event->what);
    world->messages[event->kind][event->what] |= MOVED;
    MB_TRY(wake(&world->ranks[mb_grid_rank(grid, m.from_stage, event->kind)], event->what));
    return wake(&world->ranks[mb_grid_rank(grid, m.to_stage, event->kind)], event->what);
}

static mb_status_t end_sum(mb_world_t *world, int stage)
{
    const mb_grid_t *grid = world->simulation->grid;
    for (int g = 0; g < grid->groups; g++) {
        mb_virtual_rank_t *rank = &world->ranks[mb_grid_rank(grid, stage, g)];
        rank->sums--;
        if (rank->state != AWAITS_REDUCE || rank->sums > 0)
            continue;
        rank->state = FREE;
        MB_TRY(go_on(rank));
    }
    return MB_OK;
}

static mb_status_t run(mb_world_t *world)
{
    mb_event_at_t event;
    int n = world->simulation->grid->stages * world->simulation->grid->groups;
    for (int r = 0; r < n; r++) {
        if (begin_step(&world->ranks[r]))
            MB_TRY(go_on(&world->ranks[r]));
    }
    for (; mb_events_take(&world->events, &event); world->out->events++) {
        world->now = event.time;
        if (event.kind == MB_EVENT_OF_RANK)
            MB_TRY(go_on(&world->ranks[event.what]));
        else
            MB_TRY(event.kind >= 0 ? arrive(world, &event) : end_sum(world, -1 - event.kind));
    }
    for (int r = 0; r < n; r++) {
        if (world->ranks[r].state != ENDED)
            return mb_world_stuck(world);
    }
    return MB_OK;
}

/* The groups' plans are cut alike. */
static int bucket_count(const mb_world_t *world)
{
    const mb_plan_t *plan = world->simulation->plans[0];
    return plan->first_bucket[plan->chunks];
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
    for (int b = 0; b < bucket_count(world); b++) {
        world->gathered[b].here = MB_ARENA_ARRAY(world->arena, bool, grid->groups);
        if (world->gathered[b].here == NULL)
            return mb_error_memory("a simulation", (size_t)grid->groups);
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
    world->gathered = MB_ARENA_ARRAY(world->arena, mb_gathering_t, bucket_count(world));
    if (world->ranks == NULL || world->messages == NULL || world->gathered == NULL)
        return mb_error_memory("a simulation", ranks * sizeof(mb_virtual_rank_t));
    MB_TRY(mb_simulated_prepare(world->simulation, world->arena, world->out));
    MB_TRY(make_groups(world));
    place_ranks(world);
    return MB_OK;
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
    sum_up(&world);
    return status;
}
