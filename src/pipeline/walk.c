/* See walk.h. An action goes through phases, each over a list of edges or by one call; the walk
 * remembers which, so that it may be left at any wait. */
#include "pipeline/walk.h"

#include "pipeline/edges.h"

enum { BEGIN = 0, AWAIT_SENDS, FEED, AWAIT_RECEIVES, RUN, BEHIND };

const char *mb_action_name(mb_action_kind_t kind)
{
    static const char *const names[MB_ACTION_COUNT] = {
        "F",        "B",         "W",         "BW",     "R",   "SEND_ACT",
        "RECV_ACT", "SEND_GRAD", "RECV_GRAD", "REDUCE", "STEP"};
    return names[kind];
}

void mb_walk_start(mb_walk_t *walk)
{
    walk->at = 0;
    walk->phase = BEGIN;
    walk->next = 0;
}

const mb_action_t *mb_walk_action(const mb_walk_t *walk)
{
    const mb_program_t *program = &walk->plan->programs[walk->stage];
    return walk->at < program->n ? &program->actions[walk->at] : NULL;
}

static bool goes_back(const mb_action_t *action)
{
    return action->kind == MB_ACTION_B || action->kind == MB_ACTION_BW;
}

static bool goes_forward(const mb_action_t *action)
{
    return action->kind == MB_ACTION_F || action->kind == MB_ACTION_R;
}

static bool may_wait(const mb_action_t *action)
{
    return action->kind <= MB_ACTION_R || action->kind == MB_ACTION_STEP;
}

/* What the action waits for in this phase. */
static const mb_edge_list_t *awaited(const mb_walk_t *walk, const mb_action_t *action)
{
    static const mb_edge_list_t nothing = {0};
    bool sends = walk->phase == AWAIT_SENDS;
    if (goes_back(action))
        return sends ? &walk->plan->crossing[action->chunk].backward_out
                     : &walk->plan->crossing[action->chunk].backward_in;
    if (goes_forward(action) && (sends || action->kind == MB_ACTION_F))
        return sends ? &walk->plan->crossing[action->chunk].forward_out
                     : &walk->plan->crossing[action->chunk].forward_in;
    return &nothing;
}

static mb_status_t await(mb_walk_t *walk, const mb_action_t *action, bool *done)
{
    const mb_edge_list_t *list = awaited(walk, action);
    for (; walk->next < list->n; walk->next++) {
        mb_walk_wait_t wait = {.forward = goes_forward(action),
                               .sends = walk->phase == AWAIT_SENDS,
                               .edge = list->edges[walk->next],
                               .slot = mb_plan_slot(walk->plan, action->chunk, action->micro),
                               .micro = action->micro};
        MB_TRY(walk->class_->await(walk->user, action, &wait, done));
        if (!*done)
            return MB_OK;
    }
    return MB_OK;
}

static double waited_so_far(const mb_walk_t *walk)
{
    return walk->class_->waited == NULL ? 0 : walk->class_->waited(walk->user);
}

static void count_sums(mb_walk_t *walk, double passed, double waited)
{
    walk->waited_for_sums += waited;
    walk->summed += passed - waited;
}

/* What passes until it is over is a wait, or so much of it as the class says. */
static mb_status_t await_timed(mb_walk_t *walk, const mb_action_t *action, bool *done)
{
    bool sums = action->kind == MB_ACTION_STEP && walk->phase == AWAIT_RECEIVES;
    if (!sums && awaited(walk, action)->n == 0)
        return MB_OK;
    if (walk->waits_since < 0)
        walk->waits_since = walk->class_->clock(walk->user);
    double before = waited_so_far(walk);
    MB_TRY(sums ? walk->class_->await_sums(walk->user, done) : await(walk, action, done));
    if (*done) {
        double passed = walk->class_->clock(walk->user) - walk->waits_since;
        double waited = walk->class_->waited == NULL ? passed : waited_so_far(walk) - before;
        walk->waited += waited;
        if (sums)
            count_sums(walk, passed, waited);
        walk->waits_since = -1;
    }
    return MB_OK;
}

static mb_status_t begin(mb_walk_t *walk, const mb_action_t *action, bool *skip)
{
    walk->began = walk->class_->clock(walk->user);
    walk->waited = walk->waited_for_sums = walk->summed = 0;
    walk->waited_before = waited_so_far(walk);
    walk->waits_since = -1;
    return walk->class_->begin(walk->user, action, skip);
}

static mb_status_t run(mb_walk_t *walk, const mb_action_t *action, bool *done)
{
    switch (action->kind) {
    case MB_ACTION_F:
    case MB_ACTION_R:
    case MB_ACTION_B:
    case MB_ACTION_W:
    case MB_ACTION_BW:
        return walk->class_->compute(walk->user, action, done);
    case MB_ACTION_SEND_ACT:
    case MB_ACTION_RECV_ACT:
    case MB_ACTION_SEND_GRAD:
    case MB_ACTION_RECV_GRAD:
        return walk->class_->message(walk->user, action);
    case MB_ACTION_REDUCE:
        return walk->class_->reduce(walk->user, action);
    case MB_ACTION_STEP:
        return walk->class_->step(walk->user, action, done);
    default:
        return mb_error_set(MB_ERR_INTERNAL, "there is no action %d", (int)action->kind);
    }
}

static mb_status_t pass(mb_walk_t *walk, const mb_action_t *action, bool *done, bool *skip)
{
    switch (walk->phase) {
    case BEGIN:
        return begin(walk, action, skip);
    case FEED:
        return action->kind == MB_ACTION_F ? walk->class_->feed(walk->user, action) : MB_OK;
    case RUN:
        return run(walk, action, done);
    case BEHIND:
        return walk->class_->behind(walk->user, done);
    default:
        return await_timed(walk, action, done);
    }
}

static mb_status_t end(mb_walk_t *walk, const mb_action_t *action)
{
    mb_action_cost_t *cost = &walk->costs[action->kind];
    mb_action_cost_t *sums = &walk->costs[MB_ACTION_REDUCE];
    mb_walk_times_t times = {walk->began, walk->class_->clock(walk->user), walk->waited};
    if (walk->class_->waited != NULL)
        times.waited = waited_so_far(walk) - walk->waited_before;
    cost->count += action->chunk < 0 || mb_action_ends(walk->plan, action);
    cost->wait_seconds += times.waited - walk->waited_for_sums;
    sums->wait_seconds += walk->waited_for_sums;
    cost->seconds += times.end - times.begin - times.waited - walk->summed;
    sums->seconds += walk->summed;
    return walk->class_->end(walk->user, action, &times);
}

mb_status_t mb_walk_go(mb_walk_t *walk, bool *ended)
{
    const mb_action_t *action;
    *ended = false;
    while ((action = mb_walk_action(walk)) != NULL) {
        bool done = true, skip = false;
        MB_TRY(pass(walk, action, &done, &skip));
        if (!done)
            return MB_OK;
        walk->next = 0;
        if (!skip && walk->phase == RUN)
            MB_TRY(end(walk, action));
        if (!skip && walk->phase < BEHIND) {
            walk->phase = walk->phase >= RUN || may_wait(action) ? walk->phase + 1 : RUN;
            continue;
        }
        walk->phase = BEGIN;
        walk->at++;
    }
    *ended = true;
    return MB_OK;
}
