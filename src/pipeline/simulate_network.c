/* Links of a simulated cluster: which ways a message takes. */
#include "pipeline/simulate_private.h"

bool mb_simulated_near(const mb_hardware_t *hardware, int from, int to)
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
    const mb_hardware_link_t *wire = wire_of(s->hardware, mb_simulated_near(s->hardware, from, to));
    return wire->occupies * (double)bytes / wire->bandwidth;
}

double mb_simulated_adding(const mb_simulation_t *s, double bytes)
{
    return bytes / s->hardware->memory_bandwidth;
}

static mb_flow_way_t *make_ways(mb_arena_t *arena, int n, double bandwidth)
{
    mb_flow_way_t *ways = MB_ARENA_ARRAY(arena, mb_flow_way_t, n);
    for (int i = 0; ways != NULL && i < n; i++)
        ways[i].bandwidth = bandwidth;
    return ways;
}

mb_status_t mb_simulated_prepare(const mb_simulation_t *s, mb_arena_t *arena, mb_simulated_t *out)
{
    int ranks = s->grid->ranks, devices = s->hardware->devices_per_node;
    double inside = s->hardware->inside.bandwidth, between = s->hardware->between.bandwidth;
    *out = (mb_simulated_t){.n_nodes = (ranks + devices - 1) / devices, .flows = {.arena = arena}};
    out->stages = MB_ARENA_ARRAY(arena, mb_simulated_stage_t, s->grid->stages);
    out->device_out = make_ways(arena, ranks, inside);
    out->device_in = make_ways(arena, ranks, inside);
    out->node_out = make_ways(arena, out->n_nodes, between);
    out->node_in = make_ways(arena, out->n_nodes, between);
    if (out->stages == NULL || out->device_out == NULL || out->device_in == NULL ||
        out->node_out == NULL || out->node_in == NULL)
        return mb_error_memory("a simulation's links", (size_t)ranks * sizeof(mb_flow_way_t));
    return MB_OK;
}

mb_status_t mb_simulated_move(const mb_simulation_t *s, mb_simulated_t *result, double now,
                              int from, int to, int64_t bytes, uint64_t what)
{
    bool near = mb_simulated_near(s->hardware, from, to);
    int devices = s->hardware->devices_per_node;
    mb_flow_way_t *out = near ? &result->device_out[from] : &result->node_out[from / devices];
    mb_flow_way_t *in = near ? &result->device_in[to] : &result->node_in[to / devices];
    return mb_flows_begin(&result->flows, now, out, in, bytes, wire_of(s->hardware, near)->latency,
                          what);
}
