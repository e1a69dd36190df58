/* Proves a plan free of deadlock: walks all stages' programs against each other as an executor
 * would, where a send is complete only when its receive is posted. A stage that cannot go on waits
 * for one other stage; when none can go on, following that leads to a cycle, which is named.
 *
 * Waits stand where the strictest executor has them: in front of anything that opens a slot, for
 * the sends of the micro-batch that had it. One that waits later, as ours does, deadlocks no more.
 */
#include "pipeline/validate.h"

#include "base/str.h"

#include <stdio.h>

typedef struct {                      /* of one chunk */
    int *owner;                       /* [slots] micro-batch in the slot; -1: none yet */
    bool *forward, *inputs, *weights; /* [micros] done */
    int last_weights;
    int computed, reduced; /* buckets: of the last micro-batch's backward, and of the sums */
} holder_t;

typedef struct { /* of one stage */
    int at;      /* next action */
    int awaited; /* number of the message it waits for */
    int awaited_stage;
    int chunk, micro; /* that its place for what is not kept was written for last; -1: none yet */
} walker_t;

typedef struct {
    const mb_plan_t *plan;
    const mb_chunk_edges_t *edges; /* [chunks] */
    mb_match_t match;
    walker_t *walkers; /* [stages] */
    holder_t *holders; /* [chunks] */
} walk_t;

static const char *const action_names[MB_ACTION_COUNT] = {
    [MB_ACTION_F] = "F",
    [MB_ACTION_B] = "B",
    [MB_ACTION_W] = "W",
    [MB_ACTION_BW] = "BW",
    [MB_ACTION_R] = "R",
    [MB_ACTION_SEND_ACT] = "the send of an activation",
    [MB_ACTION_RECV_ACT] = "the receive of an activation",
    [MB_ACTION_SEND_GRAD] = "the send of a gradient",
    [MB_ACTION_RECV_GRAD] = "the receive of a gradient",
    [MB_ACTION_REDUCE] = "REDUCE",
    [MB_ACTION_STEP] = "STEP",
};

static const mb_action_t *current(const walk_t *walk, int stage)
{
    return &walk->plan->programs[stage].actions[walk->walkers[stage].at];
}

static holder_t *holder_of(const walk_t *walk, int stage)
{
    return &walk->holders[current(walk, stage)->chunk];
}

static const mb_chunk_edges_t *edges_of(const walk_t *walk, int stage)
{
    return &walk->edges[current(walk, stage)->chunk];
}

static mb_status_t fault(const walk_t *walk, int stage, const char *what)
{
    const mb_action_t *action = current(walk, stage);
    char chunk[32] = "";
    if (walk->plan->chunks > walk->plan->stages)
        snprintf(chunk, sizeof(chunk), " and chunk %d", action->chunk);
    return mb_error_set(MB_ERR_INTERNAL, "stage %d, action %d, %s of micro-batch %d%s: %s", stage,
                        walk->walkers[stage].at, action_names[action->kind], action->micro, chunk,
                        what);
}

/* True when the message has gone through; otherwise the stage waits for PEER. */
static bool has_moved(walk_t *walk, int stage, int peer, int number)
{
    if (walk->match.messages[number].matched)
        return true;
    walk->walkers[stage].awaited = number;
    walk->walkers[stage].awaited_stage = peer;
    return false;
}

static bool sends_complete(walk_t *walk, int stage, int micro)
{
    const mb_plan_t *plan = walk->plan;
    const mb_edge_list_t *forward = &edges_of(walk, stage)->forward_out;
    const mb_edge_list_t *backward = &edges_of(walk, stage)->backward_out;
    for (int i = 0; i < forward->n; i++) {
        int number = mb_match_number(plan, true, forward->edges[i], micro);
        if (walk->match.messages[number].sent &&
            !has_moved(walk, stage, plan->forward_edges[forward->edges[i]].to_stage, number))
            return false;
    }
    for (int i = 0; i < backward->n; i++) {
        int number = mb_match_number(plan, false, backward->edges[i], micro);
        if (walk->match.messages[number].sent &&
            !has_moved(walk, stage, plan->backward_edges[backward->edges[i]].to_stage, number))
            return false;
    }
    return true;
}

/* By the chunk and by what reads it on the same stage. */
static bool is_released(const walk_t *walk, int chunk, int micro)
{
    for (int c = chunk; c >= 0; c = walk->plan->next_chunk[c]) {
        const holder_t *holder = &walk->holders[c];
        if (!(walk->plan->training ? holder->weights[micro] : holder->forward[micro]))
            return false;
    }
    return true;
}

static int *owner_of(const walk_t *walk, int stage)
{
    const mb_action_t *action = current(walk, stage);
    return &holder_of(walk, stage)->owner[mb_plan_slot(walk->plan, action->chunk, action->micro)];
}

/* Gives the action's micro-batch its slot. */
static mb_status_t open_slot(walk_t *walk, int stage, bool *ready)
{
    const mb_action_t *action = current(walk, stage);
    int micro = action->micro, *owner = owner_of(walk, stage);
    *ready = true;
    if (*owner == micro)
        return MB_OK;
    if (*owner >= 0) {
        if (!is_released(walk, action->chunk, *owner))
            return fault(walk, stage, "its slot is overwritten while another one is in use there");
        *ready = sends_complete(walk, stage, *owner);
    }
    if (*ready)
        *owner = micro;
    return MB_OK;
}

static mb_status_t need_slot(walk_t *walk, int stage)
{
    if (*owner_of(walk, stage) == current(walk, stage)->micro)
        return MB_OK;
    return fault(walk, stage, "its slot has been given to another micro-batch");
}

/* What stands on the stage itself has been computed. */
static mb_status_t check_near(walk_t *walk, int stage, bool forward)
{
    const mb_plan_t *plan = walk->plan;
    const mb_chunk_edges_t *edges = edges_of(walk, stage);
    const mb_edge_list_t *list = forward ? &edges->forward_near : &edges->backward_near;
    for (int i = 0; i < list->n; i++) {
        int edge = list->edges[i];
        int from =
            forward ? plan->forward_edges[edge].from_chunk : plan->backward_edges[edge].from_chunk;
        const holder_t *giver = &walk->holders[from];
        const bool *done = forward ? giver->forward : giver->inputs;
        if (!done[current(walk, stage)->micro])
            return fault(walk, stage, "what it needs of another chunk has not been computed");
    }
    return MB_OK;
}

static mb_status_t arrived(walk_t *walk, int stage, bool forward, bool *ready)
{
    const mb_plan_t *plan = walk->plan;
    const mb_chunk_edges_t *edges = edges_of(walk, stage);
    const mb_edge_list_t *list = forward ? &edges->forward_in : &edges->backward_in;
    MB_TRY(check_near(walk, stage, forward));
    for (int i = 0; i < list->n && *ready; i++) {
        int edge = list->edges[i];
        int number = mb_match_number(plan, forward, edge, current(walk, stage)->micro);
        int from =
            forward ? plan->forward_edges[edge].from_stage : plan->backward_edges[edge].from_stage;
        if (!walk->match.messages[number].posted)
            return fault(walk, stage, "it needs a message whose receive is not posted before it");
        *ready = has_moved(walk, stage, from, number);
    }
    return MB_OK;
}

static void write_inside(walk_t *walk, int stage)
{
    const mb_action_t *action = current(walk, stage);
    walker_t *walker = &walk->walkers[stage];
    if (mb_plan_lasts(walk->plan, action->chunk))
        return;
    walker->chunk = action->chunk;
    walker->micro = action->micro;
}

static void keep_forward(walk_t *walk, int stage)
{
    holder_of(walk, stage)->forward[current(walk, stage)->micro] = true;
    write_inside(walk, stage);
}

static mb_status_t step_again(walk_t *walk, int stage)
{
    MB_TRY(need_slot(walk, stage));
    if (!holder_of(walk, stage)->forward[current(walk, stage)->micro])
        return fault(walk, stage, "its forward has not been computed");
    keep_forward(walk, stage);
    return MB_OK;
}

static mb_status_t step_forward(walk_t *walk, int stage, bool *ready)
{
    MB_TRY(open_slot(walk, stage, ready));
    if (*ready)
        MB_TRY(arrived(walk, stage, true, ready));
    if (*ready)
        keep_forward(walk, stage);
    return MB_OK;
}

/* Of a backward bucket by bucket; *OVER: this was the last one. */
static mb_status_t step_bucket(walk_t *walk, int stage, bool *over)
{
    holder_t *holder = holder_of(walk, stage);
    const mb_action_t *action = current(walk, stage);
    bool here = mb_action_is_last(walk->plan, action);
    if (here && holder->computed != (action->bucket == 0 ? 0 : action->bucket - 1))
        return fault(walk, stage, "its buckets are not computed once each, in their order");
    if (action->bucket != 0)
        holder->computed = action->bucket;
    *over = mb_action_ends(walk->plan, action);
    return MB_OK;
}

/* Of the sums. */
static mb_status_t keep_order(const walk_t *walk, int stage)
{
    holder_t *holder = holder_of(walk, stage);
    const mb_action_t *action = current(walk, stage);
    int turn = mb_plan_turn(walk->plan, action->chunk, action->micro);
    if (action->kind == MB_ACTION_B)
        return MB_OK;
    if (turn < holder->last_weights)
        return fault(walk, stage, "gradients of weights must accumulate in micro-batch order");
    holder->last_weights = turn;
    return MB_OK;
}

static mb_status_t step_backward(walk_t *walk, int stage, bool *ready)
{
    bool over = true;
    holder_t *holder = holder_of(walk, stage);
    const walker_t *walker = &walk->walkers[stage];
    const mb_action_t *action = current(walk, stage);
    MB_TRY(need_slot(walk, stage));
    if (!holder->forward[action->micro])
        return fault(walk, stage, "its forward has not been computed");
    if (mb_plan_computes_again(walk->plan, action->chunk) &&
        (walker->chunk != action->chunk || walker->micro != action->micro))
        return fault(walk, stage, "its forward has not been computed again");
    if (action->kind == MB_ACTION_W && !holder->inputs[action->micro])
        return fault(walk, stage, "the gradient of its inputs has not been computed");
    if (action->kind != MB_ACTION_W)
        MB_TRY(arrived(walk, stage, false, ready));
    if (!*ready)
        return MB_OK;
    write_inside(walk, stage);
    MB_TRY(keep_order(walk, stage));
    MB_TRY(step_bucket(walk, stage, &over));
    if (!over)
        return MB_OK;
    if (action->kind != MB_ACTION_W)
        holder->inputs[action->micro] = true;
    if (action->kind != MB_ACTION_B)
        holder->weights[action->micro] = true;
    return MB_OK;
}

static mb_status_t step_message(walk_t *walk, int stage, bool *ready)
{
    const holder_t *holder = holder_of(walk, stage);
    const mb_action_t *action = current(walk, stage);
    if (mb_action_receives(action)) {
        MB_TRY(open_slot(walk, stage, ready));
        return *ready ? mb_match_post(&walk->match, action) : MB_OK;
    }
    MB_TRY(need_slot(walk, stage));
    bool made = action->kind == MB_ACTION_SEND_ACT ? holder->forward[action->micro]
                                                   : holder->inputs[action->micro];
    if (!made)
        return fault(walk, stage, "what it sends has not been computed");
    return mb_match_post(&walk->match, action);
}

/* Sums are complete, every micro-batch's gradient in them, before they go anywhere. Of the last
 * micro-batch's those of the bucket are enough. Buckets are summed in their order, in which the
 * other groups sum theirs. */
static mb_status_t step_reduce(walk_t *walk, int stage)
{
    holder_t *holder = holder_of(walk, stage);
    const mb_action_t *action = current(walk, stage);
    int last = walk->plan->micros - 1;
    for (int m = 0; m <= last; m++) {
        bool here = mb_plan_turn(walk->plan, action->chunk, m) == last && action->bucket != 0 &&
                    action->bucket <= holder->computed;
        if (!holder->weights[m] && !here)
            return fault(walk, stage, "not all gradients of the chunk have been computed");
    }
    if (action->bucket != 0 && action->bucket != holder->reduced + 1)
        return fault(walk, stage, "the buckets before this one have not been reduced");
    holder->reduced =
        action->bucket == 0 ? mb_plan_buckets(walk->plan, action->chunk) : action->bucket;
    return MB_OK;
}

static mb_status_t step_end(walk_t *walk, int stage)
{
    for (int c = walk->plan->first_chunk[stage]; c >= 0; c = walk->plan->next_chunk[c]) {
        if (walk->holders[c].reduced != mb_plan_buckets(walk->plan, c))
            return fault(walk, stage, "not all gradients have been reduced");
    }
    return MB_OK;
}

/* The stage's next action; *ready: it was done. */
static mb_status_t step(walk_t *walk, int stage, bool *ready)
{
    *ready = true;
    switch (current(walk, stage)->kind) {
    case MB_ACTION_F:
        return step_forward(walk, stage, ready);
    case MB_ACTION_B:
    case MB_ACTION_W:
    case MB_ACTION_BW:
        return step_backward(walk, stage, ready);
    case MB_ACTION_R:
        return step_again(walk, stage);
    case MB_ACTION_REDUCE:
        return step_reduce(walk, stage);
    case MB_ACTION_STEP:
        return step_end(walk, stage);
    default:
        return step_message(walk, stage, ready);
    }
}

static bool has_ended(const walk_t *walk, int stage)
{
    return walk->walkers[stage].at == walk->plan->programs[stage].n;
}

static void describe_wait(const walk_t *walk, int stage, mb_str_t *text)
{
    char message[MB_MATCH_TEXT];
    const walker_t *walker = &walk->walkers[stage];
    const mb_action_t *action = current(walk, stage);
    mb_str_addf(text, "stage %d at action %d (%s of micro-batch %d) waits for stage %d and %s",
                stage, walker->at, action_names[action->kind], action->micro, walker->awaited_stage,
                mb_match_text(walk->plan, walker->awaited, message));
}

/* From a stage that is stuck along its waits: after as many steps as there are stages one stands on
 * the cycle, or at a stage that ended. */
static mb_status_t name_deadlock(const walk_t *walk, int stage)
{
    mb_str_t text = {0};
    for (int i = 0; i < walk->plan->stages; i++) {
        if (has_ended(walk, walk->walkers[stage].awaited_stage))
            break;
        stage = walk->walkers[stage].awaited_stage;
    }
    int at = stage;
    do {
        describe_wait(walk, at, &text);
        at = walk->walkers[at].awaited_stage;
        if (has_ended(walk, at)) {
            mb_str_addf(&text, ", but stage %d has ended", at);
            break;
        }
        mb_str_add(&text, at == stage ? "" : "; ");
    } while (at != stage);
    mb_status_t status = mb_error_set(MB_ERR_INTERNAL, "deadlock: %s",
                                      text.text == NULL ? "stages wait for each other" : text.text);
    mb_str_free(&text);
    return status;
}

static mb_status_t walk_all(walk_t *walk)
{
    bool moved = true;
    int stuck = -1;
    while (moved) {
        moved = false;
        stuck = -1;
        for (int s = 0; s < walk->plan->stages; s++) {
            bool ready = true;
            while (!has_ended(walk, s)) {
                MB_TRY(step(walk, s, &ready));
                if (!ready)
                    break;
                walk->walkers[s].at++;
                moved = true;
            }
            if (!has_ended(walk, s))
                stuck = s;
        }
    }
    return stuck < 0 ? MB_OK : name_deadlock(walk, stuck);
}

static mb_status_t make_walkers(walk_t *walk, mb_arena_t *arena)
{
    const mb_plan_t *plan = walk->plan;
    walk->walkers = MB_ARENA_ARRAY(arena, walker_t, plan->stages);
    walk->holders = MB_ARENA_ARRAY(arena, holder_t, plan->chunks);
    if (walk->walkers == NULL || walk->holders == NULL)
        return mb_error_memory("a plan's validation", sizeof(walker_t));
    for (int s = 0; s < plan->stages; s++)
        walk->walkers[s].chunk = walk->walkers[s].micro = -1;
    for (int c = 0; c < plan->chunks; c++) {
        int slots = plan->slots[c];
        holder_t *holder = &walk->holders[c];
        *holder = (holder_t){.owner = MB_ARENA_ARRAY(arena, int, slots),
                             .forward = MB_ARENA_ARRAY(arena, bool, plan->micros),
                             .inputs = MB_ARENA_ARRAY(arena, bool, plan->micros),
                             .weights = MB_ARENA_ARRAY(arena, bool, plan->micros),
                             .last_weights = -1};
        if (holder->owner == NULL || holder->forward == NULL || holder->inputs == NULL ||
            holder->weights == NULL)
            return mb_error_memory("a plan's validation", (size_t)plan->micros);
        for (int i = 0; i < slots; i++)
            holder->owner[i] = -1;
    }
    return MB_OK;
}

static mb_status_t validate(const mb_plan_t *plan, mb_arena_t *arena)
{
    mb_chunk_edges_t *edges;
    walk_t walk = {.plan = plan};
    MB_TRY(mb_validate_form(plan, arena));
    MB_TRY(mb_edges_by_chunk(plan, arena, &edges));
    walk.edges = edges;
    MB_TRY(mb_match_create(plan, arena, &walk.match));
    MB_TRY(make_walkers(&walk, arena));
    return walk_all(&walk);
}

mb_status_t mb_validate(const mb_plan_t *plan)
{
    mb_arena_t *arena = mb_arena_create();
    if (arena == NULL)
        return mb_error_memory("a plan's validation", sizeof(walk_t));
    mb_status_t status = validate(plan, arena);
    mb_arena_destroy(arena);
    return status;
}
