/* Proves an ordered plan free of deadlock where messages match by order: NCCL's rules for one
 * communicator on one stream. A stage has two queues, of compute actions and of groups of
 * messages, that wait for each other where the list says:
 *
 *     compute   F0      F1 ...          a group starts behind the groups and the actions before it
 *     messages     [SA0] [SA1 RG0] ..   and is over when all its messages have moved; a message
 *                                       moves when the groups of both its ends have started
 *
 * A reduction comes at its place in the queue of messages, for as many groups as there are: where
 * they walk the same lists it meets its own kind there; where they do not, it must stand behind
 * all messages.
 *
 * That everything is sent and received once, and received before it is used, validate.c has shown.
 * Source of the rules: NCCL user guide, "Group calls" and "Point-to-point communication". */
#include "pipeline/validate.h"

#include "base/str.h"

typedef struct {
    int group;    /* of this end; -1: this end is not in the lists */
    int sequence; /* place among the messages of the same direction between the two stages */
} end_t;

typedef struct {
    end_t from, to;
    bool from_up, to_up;
} crossing_t;

typedef struct { /* of one stage */
    int compute; /* list index of the next compute action */
    int group;   /* the one that is under way or next */
    int n_groups;
    int *first, *end; /* [n_groups] list indices */
} queues_t;

typedef struct {
    const mb_plan_t *plan;
    const mb_chunk_edges_t *edges; /* [chunks] */
    crossing_t *crossings;         /* by message number */
    queues_t *queues;              /* [stages] */
    int **owners; /* [chunks][slots] micro-batch that had the slot last; -1: none */
} walk_t;

static bool is_message(const mb_action_t *action)
{
    return mb_action_sends(action) || mb_action_receives(action);
}

static end_t *end_of(const walk_t *walk, const mb_action_t *action)
{
    crossing_t *crossing = &walk->crossings[mb_match_number_of(walk->plan, action)];
    return mb_action_sends(action) ? &crossing->from : &crossing->to;
}

/* ---- groups, and the order of matching */

static mb_status_t find_groups(walk_t *walk, int stage, mb_arena_t *arena, int *counts)
{
    const mb_program_t *program = &walk->plan->programs[stage];
    queues_t *queues = &walk->queues[stage];
    queues->first = MB_ARENA_ARRAY(arena, int, program->n);
    queues->end = MB_ARENA_ARRAY(arena, int, program->n);
    if (queues->first == NULL || queues->end == NULL)
        return mb_error_memory("a plan's validation", (size_t)program->n * sizeof(int));
    for (int i = 0; i < 2 * walk->plan->stages; i++)
        counts[i] = 0;
    for (int i = 0; i < program->n; i++) {
        const mb_action_t *action = &program->actions[i];
        if (!is_message(action))
            continue;
        bool joins = action->joins && i > 0 && is_message(&program->actions[i - 1]);
        if (!joins)
            queues->first[queues->n_groups++] = i;
        queues->end[queues->n_groups - 1] = i + 1;
        int direction = 2 * action->peer + mb_action_sends(action);
        *end_of(walk, action) =
            (end_t){.group = queues->n_groups - 1, .sequence = counts[direction]++};
    }
    return MB_OK;
}

static mb_status_t check_matching(const walk_t *walk)
{
    char text[MB_MATCH_TEXT];
    const mb_plan_t *plan = walk->plan;
    int n = (plan->n_forward_edges + plan->n_backward_edges) * plan->micros;
    /* What stays on its stage is in no list: both of its ends are zero. */
    for (int number = 0; number < n; number++) {
        const crossing_t *crossing = &walk->crossings[number];
        if (crossing->from.sequence != crossing->to.sequence)
            return mb_error_set(MB_ERR_INTERNAL,
                                "%s is message number %d of the sender and number %d of the "
                                "receiver: it would meet another one",
                                mb_match_text(plan, number, text), crossing->from.sequence,
                                crossing->to.sequence);
    }
    return MB_OK;
}

/* The order of reductions among messages is the same in all groups. */
static mb_status_t check_reductions(const mb_plan_t *plan, int stage)
{
    const mb_program_t *program = &plan->programs[stage];
    int chunk = -1;
    for (int i = 0; i < program->n && plan->uneven; i++) {
        const mb_action_t *action = &program->actions[i];
        bool reduces = action->kind == MB_ACTION_REDUCE;
        if (chunk >= 0 && (is_message(action) || (reduces && action->chunk < chunk)))
            return mb_error_set(MB_ERR_INTERNAL,
                                "stage %d, action %d stands behind REDUCE of chunk %d: groups of "
                                "other lists would wait for each other",
                                stage, i, chunk);
        chunk = reduces ? action->chunk : chunk;
    }
    return MB_OK;
}

/* ---- the walk */

static bool has_moved(const walk_t *walk, int number)
{
    return walk->crossings[number].from_up && walk->crossings[number].to_up;
}

static void start_group(walk_t *walk, int stage, int group)
{
    const queues_t *queues = &walk->queues[stage];
    for (int i = queues->first[group]; i < queues->end[group]; i++) {
        const mb_action_t *action = &walk->plan->programs[stage].actions[i];
        crossing_t *crossing = &walk->crossings[mb_match_number_of(walk->plan, action)];
        if (mb_action_sends(action))
            crossing->from_up = true;
        else
            crossing->to_up = true;
    }
}

/* The first message of a group that has not moved; -1: it is over. */
static int hindrance(const walk_t *walk, int stage, int group)
{
    const queues_t *queues = &walk->queues[stage];
    for (int i = queues->first[group]; i < queues->end[group]; i++) {
        int number = mb_match_number_of(walk->plan, &walk->plan->programs[stage].actions[i]);
        if (!has_moved(walk, number))
            return i;
    }
    return -1;
}

static bool step_messages(walk_t *walk, int stage)
{
    queues_t *queues = &walk->queues[stage];
    if (queues->group == queues->n_groups || queues->first[queues->group] > queues->compute)
        return false;
    start_group(walk, stage, queues->group);
    if (hindrance(walk, stage, queues->group) >= 0)
        return false;
    queues->group++;
    return true;
}

static bool are_over(const walk_t *walk, int stage, bool forward, bool sends,
                     const mb_edge_list_t *list, int micro)
{
    const queues_t *queues = &walk->queues[stage];
    for (int i = 0; i < list->n && micro >= 0; i++) {
        const crossing_t *crossing =
            &walk->crossings[mb_match_number(walk->plan, forward, list->edges[i], micro)];
        int group = sends ? crossing->from.group : crossing->to.group;
        /* What stands behind the action in the list is nothing that it waits for. */
        if (group >= queues->group && queues->first[group] < queues->compute)
            return false;
    }
    return true;
}

static bool can_compute(walk_t *walk, int stage, const mb_action_t *action)
{
    if (action->micro < 0 || action->kind == MB_ACTION_W || action->kind == MB_ACTION_R)
        return true;
    const mb_chunk_edges_t *edges = &walk->edges[action->chunk];
    bool forward = action->kind == MB_ACTION_F;
    int slot = mb_plan_slot(walk->plan, action->chunk, action->micro);
    int *owner = &walk->owners[action->chunk][slot];
    int before = forward ? *owner : action->micro - walk->plan->slots[action->chunk];
    bool ready = are_over(walk, stage, forward, false,
                          forward ? &edges->forward_in : &edges->backward_in, action->micro) &&
                 are_over(walk, stage, forward, true,
                          forward ? &edges->forward_out : &edges->backward_out, before);
    if (ready && forward)
        *owner = action->micro;
    return ready;
}

static bool step_compute(walk_t *walk, int stage)
{
    queues_t *queues = &walk->queues[stage];
    const mb_program_t *program = &walk->plan->programs[stage];
    while (queues->compute < program->n && is_message(&program->actions[queues->compute]))
        queues->compute++;
    if (queues->compute == program->n ||
        !can_compute(walk, stage, &program->actions[queues->compute]))
        return false;
    queues->compute++;
    return true;
}

/* ---- what is said when nothing moves */

static bool is_stuck(const walk_t *walk, int stage)
{
    return walk->queues[stage].group < walk->queues[stage].n_groups;
}

static int describe_wait(const walk_t *walk, int stage, mb_str_t *text)
{
    char message[MB_MATCH_TEXT];
    int at = hindrance(walk, stage, walk->queues[stage].group);
    const mb_action_t *action = &walk->plan->programs[stage].actions[at];
    mb_str_addf(text, "stage %d at action %d waits for stage %d to %s %s", stage, at, action->peer,
                mb_action_sends(action) ? "receive" : "send",
                mb_match_text(walk->plan, mb_match_number_of(walk->plan, action), message));
    return action->peer;
}

static mb_status_t name_deadlock(const walk_t *walk, int stage)
{
    mb_str_t text = {0};
    for (int i = 0; i < walk->plan->stages && is_stuck(walk, stage); i++) {
        mb_str_add(&text, i == 0 ? "" : "; ");
        stage = describe_wait(walk, stage, &text);
    }
    mb_status_t status = mb_error_set(MB_ERR_INTERNAL, "deadlock where messages match by order: %s",
                                      text.text == NULL ? "stages wait for each other" : text.text);
    mb_str_free(&text);
    return status;
}

static mb_status_t walk_all(walk_t *walk)
{
    bool moved = true;
    while (moved) {
        moved = false;
        for (int s = 0; s < walk->plan->stages; s++) {
            while (step_compute(walk, s) || step_messages(walk, s))
                moved = true;
        }
    }
    for (int s = 0; s < walk->plan->stages; s++) {
        if (is_stuck(walk, s))
            return name_deadlock(walk, s);
    }
    return MB_OK;
}

static mb_status_t make_owners(walk_t *walk, mb_arena_t *arena)
{
    const mb_plan_t *plan = walk->plan;
    walk->owners = MB_ARENA_ARRAY(arena, int *, plan->chunks);
    for (int c = 0; walk->owners != NULL && c < plan->chunks; c++) {
        walk->owners[c] = MB_ARENA_ARRAY(arena, int, plan->slots[c]);
        if (walk->owners[c] == NULL)
            return mb_error_memory("a plan's validation", (size_t)plan->slots[c] * sizeof(int));
        for (int i = 0; i < plan->slots[c]; i++)
            walk->owners[c][i] = -1;
    }
    return walk->owners == NULL ? mb_error_memory("a plan's validation", sizeof(int *)) : MB_OK;
}

static mb_status_t validate(const mb_plan_t *plan, mb_arena_t *arena)
{
    mb_chunk_edges_t *edges;
    walk_t walk = {.plan = plan};
    size_t n =
        ((size_t)plan->n_forward_edges + (size_t)plan->n_backward_edges) * (size_t)plan->micros;
    MB_TRY(mb_edges_by_chunk(plan, arena, &edges));
    walk.edges = edges;
    walk.crossings = MB_ARENA_ARRAY(arena, crossing_t, n);
    walk.queues = MB_ARENA_ARRAY(arena, queues_t, plan->stages);
    int *counts = MB_ARENA_ARRAY(arena, int, 2 * (size_t)plan->stages);
    if (walk.crossings == NULL || walk.queues == NULL || counts == NULL)
        return mb_error_memory("a plan's validation", n * sizeof(crossing_t));
    MB_TRY(make_owners(&walk, arena));
    for (int s = 0; s < plan->stages; s++)
        MB_TRY(find_groups(&walk, s, arena, counts));
    MB_TRY(check_matching(&walk));
    for (int s = 0; s < plan->stages; s++)
        MB_TRY(check_reductions(plan, s));
    return walk_all(&walk);
}

mb_status_t mb_validate_order(const mb_plan_t *plan)
{
    mb_arena_t *arena = mb_arena_create();
    if (arena == NULL)
        return mb_error_memory("a plan's validation", sizeof(walk_t));
    mb_status_t status = validate(plan, arena);
    mb_arena_destroy(arena);
    return status;
}
