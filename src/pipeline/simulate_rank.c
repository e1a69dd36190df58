/* A virtual rank: the walk's class (walk.h), where time passes by events. */
#include "pipeline/simulate_sums.h"

/* What an action waits for before it passes its own time. */
enum { MAKES_ROOM = 0, LOOKS_AFTER_SUMS, WORKS };

static uint32_t number_of(const mb_virtual_rank_t *rank, bool forward, int edge, int micro,
                          int step)
{
    const mb_plan_t *plan = rank->walk.plan;
    uint32_t line = (uint32_t)(forward ? edge : plan->n_forward_edges + edge);
    return (line * (uint32_t)plan->micros + (uint32_t)micro) * 2 + (uint32_t)(step % 2);
}

mb_virtual_message_t mb_world_message(const mb_world_t *world, int group, uint32_t number)
{
    const mb_plan_t *plan = world->simulation->plans[group];
    int place = (int)(number / 2), line = place / plan->micros;
    bool forward = line < plan->n_forward_edges;
    mb_virtual_message_t m = {.forward = forward,
                              .edge = forward ? line : line - plan->n_forward_edges,
                              .micro = place % plan->micros};
    int64_t elements;
    if (forward) {
        const mb_forward_edge_t *edge = &plan->forward_edges[m.edge];
        m.from_stage = edge->from_stage, m.to_stage = edge->to_stage, m.tensor = edge->tensor;
        elements = edge->elements;
    } else {
        const mb_backward_edge_t *edge = &plan->backward_edges[m.edge];
        m.from_stage = edge->from_stage, m.to_stage = edge->to_stage, m.tensor = edge->tensor;
        elements = edge->elements;
    }
    m.bytes = elements * plan->micro_batch *
              (int64_t)mb_dtype_bytes(plan->graph->nodes[m.tensor].call.output_type);
    return m;
}

/* ---- a rank's time */

mb_status_t mb_virtual_pass(mb_virtual_rank_t *rank, double seconds, bool *done)
{
    if (rank->state == COMPUTES) {
        rank->state = FREE;
        return MB_OK;
    }
    if (!(seconds > 0))
        return MB_OK;
    *done = false;
    rank->state = COMPUTES;
    seconds = mb_simulated_seconds(rank->world->simulation, &rank->pace, rank->step, seconds);
    return mb_events_put(&rank->world->events, rank->now + seconds, 0, (uint32_t)rank->rank);
}

static double walk_clock(void *user)
{
    return ((mb_virtual_rank_t *)user)->now;
}

static mb_status_t walk_begin(void *user, const mb_action_t *action, bool *skip)
{
    (void)user;
    (void)action;
    (void)skip;
    return MB_OK;
}

static mb_status_t walk_feed(void *user, const mb_action_t *action)
{
    (void)user;
    (void)action;
    return MB_OK;
}

/* Of all chunks'. */
static int bucket_of(const mb_virtual_rank_t *rank, const mb_action_t *action)
{
    int bucket = action->bucket > 0 ? action->bucket - 1 : 0;
    return rank->walk.plan->first_bucket[action->chunk] + bucket;
}

static double part_of(const mb_virtual_rank_t *rank, const mb_action_t *action)
{
    const double *parts = rank->world->simulation->bucket_parts;
    if (action->bucket == 0)
        return 1;
    return parts == NULL ? 1.0 / mb_plan_buckets(rank->walk.plan, action->chunk)
                         : parts[bucket_of(rank, action)];
}

static bool goes_back(const mb_action_t *action)
{
    return action->kind == MB_ACTION_B || action->kind == MB_ACTION_W ||
           action->kind == MB_ACTION_BW;
}

/* As engine/executor_walk.c has it: in front of a backward. */
static mb_status_t prepare_backward(mb_virtual_rank_t *rank, const mb_action_t *action, bool *done)
{
    if (rank->part == MAKES_ROOM && action->kind != MB_ACTION_B)
        MB_TRY(mb_sums_make_room(rank, action->chunk, action->bucket, done));
    if (*done && rank->part == MAKES_ROOM)
        rank->part = LOOKS_AFTER_SUMS;
    if (*done && rank->part == LOOKS_AFTER_SUMS)
        MB_TRY(mb_sums_go_on(rank, done));
    return MB_OK;
}

static mb_status_t walk_compute(void *user, const mb_action_t *action, bool *done)
{
    mb_virtual_rank_t *rank = user;
    const mb_chunk_cost_t *cost = &rank->world->simulation->costs[action->chunk];
    if (rank->part < WORKS && goes_back(action))
        MB_TRY(prepare_backward(rank, action, done));
    if (!*done)
        return MB_OK;
    rank->part = WORKS;
    MB_TRY(
        mb_virtual_pass(rank, part_of(rank, action) * mb_action_seconds(cost, action->kind), done));
    rank->part = *done ? 0 : WORKS;
    return MB_OK;
}

static mb_status_t walk_step(void *user, const mb_action_t *action, bool *done)
{
    mb_virtual_rank_t *rank = user;
    const double *seconds = rank->world->simulation->update_seconds;
    (void)action;
    if (rank->part < WORKS)
        MB_TRY(mb_sums_gather(rank, done));
    if (!*done)
        return MB_OK;
    rank->part = WORKS;
    MB_TRY(mb_virtual_pass(rank, seconds == NULL ? 0 : seconds[rank->walk.stage], done));
    rank->part = *done ? 0 : WORKS;
    return MB_OK;
}

static mb_status_t walk_behind(void *user, bool *done)
{
    return mb_sums_go_on(user, done);
}

static mb_status_t walk_end(void *user, const mb_action_t *action, const mb_walk_times_t *times)
{
    mb_virtual_rank_t *rank = user;
    const mb_simulation_t *s = rank->world->simulation;
    if (s->observe != NULL)
        s->observe(s->observer, rank->rank, rank->step, action, times);
    return MB_OK;
}

/* ---- its messages */

static unsigned char *state_of(const mb_virtual_rank_t *rank, uint32_t number)
{
    return &rank->world->messages[rank->group][number];
}

static mb_status_t twice(const mb_virtual_rank_t *rank, const mb_action_t *action)
{
    return mb_error_set(MB_ERR_INTERNAL,
                        "rank %d, stage %d, action %d: %s of edge %d and micro-batch %d stands "
                        "twice in the list",
                        rank->rank, rank->walk.stage, rank->walk.at, mb_action_name(action->kind),
                        action->edge, action->micro);
}

/* Both ends are there. */
static mb_status_t begin_move(mb_virtual_rank_t *rank, uint32_t number)
{
    mb_world_t *world = rank->world;
    const mb_grid_t *grid = world->simulation->grid;
    mb_virtual_message_t m = mb_world_message(world, rank->group, number);
    int from = mb_grid_rank(grid, m.from_stage, rank->group);
    int to = mb_grid_rank(grid, m.to_stage, rank->group);
    world->out->messages++;
    world->out->bytes += m.bytes;
    world->ranks[from].walk.costs[m.forward ? MB_ACTION_SEND_ACT : MB_ACTION_SEND_GRAD].bytes +=
        m.bytes;
    double copying = mb_simulated_copying(world->simulation, from, to, m.bytes);
    mb_virtual_owe(&world->ranks[from], copying);
    mb_virtual_owe(&world->ranks[to], copying);
    return mb_simulated_move(world->simulation, world->out, world->now, from, to, m.bytes,
                             (uint64_t)rank->group << 32 | number);
}

static mb_status_t walk_message(void *user, const mb_action_t *action)
{
    mb_virtual_rank_t *rank = user;
    bool forward = action->kind == MB_ACTION_SEND_ACT || action->kind == MB_ACTION_RECV_ACT;
    bool sends = action->kind == MB_ACTION_SEND_ACT || action->kind == MB_ACTION_SEND_GRAD;
    uint32_t number = number_of(rank, forward, action->edge, action->micro, rank->step);
    unsigned char *state = state_of(rank, number), mine = sends ? SENT : POSTED;
    if ((*state & mine) != 0)
        return twice(rank, action);
    *state |= mine;
    return (*state & SENT) != 0 && (*state & POSTED) != 0 ? begin_move(rank, number) : MB_OK;
}

/* A message that this end has up must have moved. */
static bool has_moved(mb_virtual_rank_t *rank, uint32_t number, bool sends)
{
    unsigned char *state = state_of(rank, number), over = sends ? LEFT : TAKEN;
    if ((*state & (sends ? SENT : POSTED)) == 0 || (*state & over) != 0)
        return true;
    if ((*state & MOVED) == 0) {
        rank->state = AWAITS_MESSAGE;
        rank->message = number;
        rank->pace.owed = 0;
        return false;
    }
    *state |= over;
    if ((*state & (LEFT | TAKEN)) == (LEFT | TAKEN))
        *state = FREE;
    return true;
}

/* What was sent from the slot last: of the micro-batch itself if its forward is computed again, or
 * of the one that had the slot before, which may be of the step before. */
static bool has_left(mb_virtual_rank_t *rank, const mb_walk_wait_t *wait, int slots)
{
    int micros = rank->walk.plan->micros, micro = wait->micro - slots, step = rank->step;
    uint32_t own = number_of(rank, wait->forward, wait->edge, wait->micro, step);
    if (!has_moved(rank, own, true))
        return false;
    if (micro < 0) {
        micro = wait->slot + (micros - 1 - wait->slot) / slots * slots;
        step--;
    }
    return step < 0 ||
           has_moved(rank, number_of(rank, wait->forward, wait->edge, micro, step), true);
}

static mb_status_t walk_await(void *user, const mb_action_t *action, const mb_walk_wait_t *wait,
                              bool *done)
{
    mb_virtual_rank_t *rank = user;
    if (wait->sends)
        *done = has_left(rank, wait, rank->walk.plan->slots[action->chunk]);
    else
        *done = has_moved(rank, number_of(rank, wait->forward, wait->edge, wait->micro, rank->step),
                          false);
    return MB_OK;
}

/* ---- sums over groups */

static mb_status_t walk_reduce(void *user, const mb_action_t *action)
{
    return mb_sums_start(user, action->chunk, action->bucket);
}

static mb_status_t walk_await_sums(void *user, bool *done)
{
    return mb_sums_finish(user, done);
}

const mb_walk_class_t mb_virtual_class = {.size = sizeof mb_virtual_class,
                                          .clock = walk_clock,
                                          .begin = walk_begin,
                                          .feed = walk_feed,
                                          .await = walk_await,
                                          .compute = walk_compute,
                                          .message = walk_message,
                                          .reduce = walk_reduce,
                                          .await_sums = walk_await_sums,
                                          .step = walk_step,
                                          .end = walk_end,
                                          .behind = walk_behind};
