/* Links of a simulated cluster. A message holds two ways, one out and one in, for as long as its
 * bytes take; a way carries one at a time, in the order that they begin. That a link shared evenly
 * would give each of several messages a part of its bandwidth is not modelled: the last one of them
 * ends when it would here. */
#include "pipeline/simulate_private.h"

static double later(double a, double b)
{
    return a > b ? a : b;
}

static void hold(mb_simulated_way_t *way, double now, double begin, double end, int64_t bytes)
{
    way->held_up += begin - now;
    way->busy += end - begin;
    way->free_at = end;
    way->bytes += bytes;
    way->messages++;
}

static bool are_near(const mb_hardware_t *hardware, int from, int to)
{
    return from / hardware->devices_per_node == to / hardware->devices_per_node;
}

static const mb_hardware_link_t *wire_of(const mb_hardware_t *hardware, bool near)
{
    return near ? &hardware->inside : &hardware->between;
}

void mb_virtual_owe(mb_virtual_rank_t *rank, double seconds)
{
    if (rank->state == FREE || rank->state == COMPUTES)
        rank->pace.owed += seconds;
}

double mb_simulated_copying(const mb_simulation_t *s, int from, int to, int64_t bytes)
{
    const mb_hardware_link_t *wire = wire_of(s->hardware, are_near(s->hardware, from, to));
    return wire->occupies * (double)bytes / wire->bandwidth;
}

mb_status_t mb_simulated_prepare(const mb_simulation_t *s, mb_arena_t *arena, mb_simulated_t *out)
{
    size_t ranks = (size_t)s->grid->ranks;
    int devices = s->hardware->devices_per_node;
    *out = (mb_simulated_t){.n_nodes = (s->grid->ranks + devices - 1) / devices};
    out->stages = MB_ARENA_ARRAY(arena, mb_simulated_stage_t, s->grid->stages);
    out->device_out = MB_ARENA_ARRAY(arena, mb_simulated_way_t, ranks);
    out->device_in = MB_ARENA_ARRAY(arena, mb_simulated_way_t, ranks);
    out->node_out = MB_ARENA_ARRAY(arena, mb_simulated_way_t, out->n_nodes);
    out->node_in = MB_ARENA_ARRAY(arena, mb_simulated_way_t, out->n_nodes);
    if (out->stages == NULL || out->device_out == NULL || out->device_in == NULL ||
        out->node_out == NULL || out->node_in == NULL)
        return mb_error_memory("a simulation's links", ranks * sizeof(mb_simulated_way_t));
    return MB_OK;
}

double mb_simulated_move(const mb_simulation_t *s, mb_simulated_t *result, double now, int from,
                         int to, int64_t bytes)
{
    int from_node = from / s->hardware->devices_per_node,
        to_node = to / s->hardware->devices_per_node;
    bool near = are_near(s->hardware, from, to);
    const mb_hardware_link_t *wire = wire_of(s->hardware, near);
    mb_simulated_way_t *out = near ? &result->device_out[from] : &result->node_out[from_node];
    mb_simulated_way_t *in = near ? &result->device_in[to] : &result->node_in[to_node];
    double begin = later(now, later(out->free_at, in->free_at));
    double end = begin + (double)bytes / wire->bandwidth;
    hold(out, now, begin, end, bytes);
    hold(in, now, begin, end, bytes);
    return end + wire->latency;
}

static int rounds_of(int groups)
{
    int rounds = 0;
    while (1 << rounds < groups)
        rounds++;
    return rounds;
}

static bool is_near(const mb_world_t *world, int stage)
{
    const mb_simulation_t *s = world->simulation;
    return are_near(s->hardware, mb_grid_rank(s->grid, stage, 0),
                    mb_grid_rank(s->grid, stage, s->grid->groups - 1));
}

/* Each adds its share of what the others have: two numbers in, one out. */
static double adding(const mb_world_t *world, int64_t bytes)
{
    int groups = world->simulation->grid->groups;
    return 3.0 * (double)bytes * (groups - 1) / groups /
           world->simulation->hardware->memory_bandwidth;
}

double mb_network_reduce(mb_world_t *world, int stage, int64_t bytes)
{
    const mb_simulation_t *s = world->simulation;
    int groups = s->grid->groups;
    bool near = is_near(world, stage);
    const mb_hardware_link_t *wire = wire_of(s->hardware, near);
    double over = world->now;
    int64_t sent = (int64_t)(2 * (double)bytes * (groups - 1) / groups);
    for (int g = 0; g < groups; g++) {
        int rank = mb_grid_rank(s->grid, stage, g);
        mb_simulated_way_t *out = near
                                      ? &world->out->device_out[rank]
                                      : &world->out->node_out[rank / s->hardware->devices_per_node];
        double begin = later(world->now, out->free_at);
        double end = begin + (double)sent / wire->bandwidth;
        hold(out, world->now, begin, end, sent);
        mb_virtual_owe(&world->ranks[rank], wire->occupies * (double)sent / wire->bandwidth);
        over = later(over, end);
    }
    return over + 2 * rounds_of(groups) * wire->latency + adding(world, bytes);
}
