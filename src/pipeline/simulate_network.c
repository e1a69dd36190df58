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

static void owe(mb_virtual_rank_t *rank, double seconds)
{
    if (rank->state == FREE || rank->state == COMPUTES)
        rank->owed += seconds;
}

void mb_network_occupy(mb_world_t *world, int from, int to, int64_t bytes)
{
    const mb_hardware_t *hardware = world->simulation->hardware;
    const mb_hardware_link_t *wire = wire_of(hardware, are_near(hardware, from, to));
    double seconds = wire->occupies * (double)bytes / wire->bandwidth;
    owe(&world->ranks[from], seconds);
    owe(&world->ranks[to], seconds);
}

double mb_network_move(mb_world_t *world, int from, int to, int64_t bytes)
{
    const mb_simulation_t *s = world->simulation;
    int from_node = from / s->hardware->devices_per_node,
        to_node = to / s->hardware->devices_per_node;
    bool near = are_near(s->hardware, from, to);
    const mb_hardware_link_t *wire = wire_of(s->hardware, near);
    mb_simulated_way_t *out =
        near ? &world->out->device_out[from] : &world->out->node_out[from_node];
    mb_simulated_way_t *in = near ? &world->out->device_in[to] : &world->out->node_in[to_node];
    double begin = later(world->now, later(out->free_at, in->free_at));
    double end = begin + (double)bytes / wire->bandwidth;
    hold(out, world->now, begin, end, bytes);
    hold(in, world->now, begin, end, bytes);
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
        owe(&world->ranks[rank], wire->occupies * (double)sent / wire->bandwidth);
        over = later(over, end);
    }
    return over + 2 * rounds_of(groups) * wire->latency + adding(world, bytes);
}
