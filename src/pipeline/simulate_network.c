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

double mb_network_move(mb_world_t *world, int from, int to, int64_t bytes)
{
    const mb_simulation_t *s = world->simulation;
    int from_node = from / s->hardware->devices_per_node,
        to_node = to / s->hardware->devices_per_node;
    bool near = from_node == to_node;
    const mb_hardware_link_t *wire = near ? &s->hardware->inside : &s->hardware->between;
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
    int first = mb_grid_rank(s->grid, stage, 0);
    int last = mb_grid_rank(s->grid, stage, s->grid->groups - 1);
    return first / s->hardware->devices_per_node == last / s->hardware->devices_per_node;
}

double mb_network_reduce(mb_world_t *world, int stage, int64_t bytes)
{
    const mb_simulation_t *s = world->simulation;
    int groups = s->grid->groups;
    bool near = is_near(world, stage);
    const mb_hardware_link_t *wire = near ? &s->hardware->inside : &s->hardware->between;
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
        over = later(over, end);
    }
    return over + 2 * rounds_of(groups) * wire->latency;
}
