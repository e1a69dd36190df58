/* Nothing moves any more: names the ranks that are lost, and who waits for whom, as a run on MPI
 * does when its deadline has passed (comm/standing.c). */
#include "pipeline/simulate_sums.h"

#include "base/str.h"

#include <stdio.h>

enum { MOST_NAMED = 8 };

/* The rank that it waits for; -1: none. */
static int awaited_rank(const mb_world_t *world, const mb_virtual_rank_t *rank)
{
    const mb_grid_t *grid = world->simulation->grid;
    int stage = rank->walk.stage;
    if (rank->state == AWAITS_MESSAGE) {
        mb_virtual_message_t m = mb_world_message(world, rank->group, rank->message);
        int peer = m.from_stage == stage ? m.to_stage : m.from_stage;
        return mb_grid_rank(grid, peer, rank->group);
    }
    int group = rank->state == AWAITS_SUM ? mb_sums_awaited(world, rank->bucket, rank->group) : -1;
    return group < 0 ? -1 : mb_grid_rank(grid, stage, group);
}

static void describe(const mb_world_t *world, const mb_virtual_rank_t *rank, mb_str_t *text)
{
    const mb_action_t *action = mb_walk_action(&rank->walk);
    mb_str_addf(text, "; rank %d: ", rank->rank);
    if (rank->state == AWAITS_MESSAGE) {
        mb_virtual_message_t m = mb_world_message(world, rank->group, rank->message);
        const mb_graph_t *graph = rank->walk.plan->graph;
        mb_str_addf(text, "%s the %s of '%s'",
                    m.from_stage == rank->walk.stage ? "sending" : "receiving",
                    m.forward ? "activation" : "gradient",
                    graph->layers[graph->nodes[m.tensor].layer]->path);
    } else {
        mb_str_add(text, "adding up gradients");
    }
    mb_str_addf(text, ", step %d, stage %d", rank->step + 1, rank->walk.stage);
    if (action != NULL && action->micro >= 0)
        mb_str_addf(text, ", %s of micro-batch %d", mb_action_name(action->kind), action->micro);
    mb_str_addf(text, ", peer rank %d", awaited_rank(world, rank));
}

static bool waits(const mb_virtual_rank_t *rank)
{
    return rank->state == AWAITS_MESSAGE || rank->state == AWAITS_SUM;
}

/* Along the waits: after as many steps as there are ranks one stands on the cycle, or in front of a
 * rank that waits for nobody. */
static int root_of(const mb_world_t *world, int rank)
{
    int n = world->simulation->grid->stages * world->simulation->grid->groups;
    for (int i = 0; i < n && waits(&world->ranks[rank]); i++) {
        int next = awaited_rank(world, &world->ranks[rank]);
        if (next < 0)
            break;
        rank = next;
    }
    return rank;
}

static void name_lost(const mb_world_t *world, mb_str_t *text)
{
    int n = world->simulation->grid->stages * world->simulation->grid->groups, named = 0;
    for (int r = 0; r < n && named < MOST_NAMED; r++) {
        const mb_virtual_rank_t *rank = &world->ranks[r];
        if (rank->state == LOST && named++ < MOST_NAMED)
            mb_str_addf(text, "; rank %d is lost from step %d on (stage %d, group %d)", r,
                        rank->step + 1, rank->walk.stage, rank->group);
    }
}

/* Those that wait for ROOT; where it waits itself, the cycle it stands on. */
static int name_waiting(const mb_world_t *world, int root, mb_str_t *text)
{
    int n = world->simulation->grid->stages * world->simulation->grid->groups, named = 0, at = root;
    if (waits(&world->ranks[root])) {
        do {
            describe(world, &world->ranks[at], text);
            at = awaited_rank(world, &world->ranks[at]);
        } while (at != root && ++named < MOST_NAMED);
        return named + 1;
    }
    for (int r = 0; r < n; r++) {
        if (waits(&world->ranks[r]) && awaited_rank(world, &world->ranks[r]) == root &&
            named++ < MOST_NAMED)
            describe(world, &world->ranks[r], text);
    }
    return named;
}

static int count_waiting(const mb_world_t *world)
{
    int n = world->simulation->grid->stages * world->simulation->grid->groups, waiting = 0;
    for (int r = 0; r < n; r++)
        waiting += waits(&world->ranks[r]) ? 1 : 0;
    return waiting;
}

static int first_waiting(const mb_world_t *world)
{
    int n = world->simulation->grid->stages * world->simulation->grid->groups;
    for (int r = 0; r < n; r++) {
        if (waits(&world->ranks[r]))
            return r;
    }
    return -1;
}

mb_status_t mb_world_stuck(const mb_world_t *world)
{
    mb_str_t text = {0};
    int first = first_waiting(world), waiting = count_waiting(world);
    name_lost(world, &text);
    if (first >= 0) {
        int root = root_of(world, first);
        const mb_virtual_rank_t *rank = &world->ranks[root];
        if (rank->state == ENDED)
            mb_str_addf(&text, "; rank %d has ended", root);
        waiting -= name_waiting(world, root, &text);
    }
    if (waiting > 0)
        mb_str_addf(&text, "; %d more wait behind them", waiting);
    mb_status_t status = mb_error_set(MB_ERR_TIMEOUT, "after %.6g s nothing moves any more%s",
                                      world->now, text.text == NULL ? "" : text.text);
    mb_str_free(&text);
    return status;
}
