/* Orders messages by when they can move in a run that takes time: every compute action as soon as
 * what it needs is there, all stages beside each other, a forward as long as each half of a
 * backward. Only the order is used. An action starts after the messages it takes, and a message
 * moves after the actions it waits for, so that time never goes back along what waits for what;
 * ties are broken the same way on every rank. */
#include "pipeline/order.h"

#include <stdlib.h>

enum { PART_TIME = 2, MESSAGE_TIME = 1, UNKNOWN = -1 };

typedef struct { /* of one chunk */
    /* [micros] when it was done, and how many actions of the stage were by then */
    int64_t *forward, *input, *freed;
    int *forward_at, *input_at, *freed_at;
} timeline_t;

typedef struct { /* of one stage */
    int at;      /* next compute action */
    int64_t clock;
} place_t;

typedef struct {
    const mb_plan_t *plan;
    const mb_chunk_edges_t *edges; /* [chunks] */
    timeline_t *chunks;
    place_t *stages;
    int64_t *messages; /* [lines * micros], forward edges first */
} timing_t;

typedef struct { /* a message at one of its ends, or a reduction */
    int64_t time;
    bool forward, sends, reduces;
    int edge, micro;
} timed_t;

bool mb_action_frees_slot(const mb_plan_t *plan, mb_action_kind_t kind)
{
    if (!plan->training)
        return kind == MB_ACTION_F;
    return kind == MB_ACTION_BW || kind == MB_ACTION_W;
}

bool mb_action_completes_chunk(const mb_plan_t *plan, const mb_action_t *action)
{
    return plan->training && mb_action_frees_slot(plan, action->kind) &&
           mb_action_is_last(plan, action);
}

static int64_t later(int64_t a, int64_t b)
{
    if (a == UNKNOWN || b == UNKNOWN)
        return UNKNOWN;
    return a > b ? a : b;
}

static int64_t message_time(const timing_t *timing, bool forward, int edge, int micro);

static int64_t behind_messages(const timing_t *timing, bool forward, const mb_edge_list_t *list,
                               int micro, int64_t time)
{
    for (int i = 0; i < list->n && time != UNKNOWN; i++)
        time = later(time, message_time(timing, forward, list->edges[i], micro));
    return time;
}

/* When a micro-batch's slot is its own: the one before is computed, here and by what reads it on
 * the same stage, and all of it is sent. */
static int64_t room_for(const timing_t *timing, int chunk, int micro)
{
    const mb_chunk_edges_t *edges = &timing->edges[chunk];
    int before = micro - timing->plan->slots[chunk];
    int64_t time = 0;
    if (before < 0)
        return 0;
    for (int c = chunk; c >= 0; c = timing->plan->next_chunk[c])
        time = later(time, timing->chunks[c].freed[before]);
    time = behind_messages(timing, true, &edges->forward_out, before, time);
    return behind_messages(timing, false, &edges->backward_out, before, time);
}

/* When a message moves: it has been made, and there is room for it. */
static int64_t message_time(const timing_t *timing, bool forward, int edge, int micro)
{
    const mb_plan_t *plan = timing->plan;
    int line = forward ? edge : plan->n_forward_edges + edge;
    int64_t *known = &timing->messages[(size_t)line * (size_t)plan->micros + (size_t)micro];
    if (*known != UNKNOWN)
        return *known;
    int from =
        forward ? plan->forward_edges[edge].from_chunk : plan->backward_edges[edge].from_chunk;
    int to = forward ? plan->forward_edges[edge].to_chunk : plan->backward_edges[edge].to_chunk;
    const timeline_t *maker = &timing->chunks[from];
    int64_t made = forward ? maker->forward[micro] : maker->input[micro];
    *known = made == UNKNOWN ? UNKNOWN : later(made, room_for(timing, to, micro));
    return *known;
}

/* Takes gradients and makes those of the inputs. */
static bool goes_back(const mb_action_t *action)
{
    return action->kind == MB_ACTION_B || action->kind == MB_ACTION_BW;
}

/* When the stage's next action can start: its messages are there, and what it overwrites is sent.
 */
static int64_t start_of(const timing_t *timing, int stage, const mb_action_t *action)
{
    const mb_chunk_edges_t *edges = &timing->edges[action->chunk];
    int64_t clock = timing->stages[stage].clock, taken = 0;
    if (action->kind == MB_ACTION_F) {
        clock = later(clock, room_for(timing, action->chunk, action->micro));
        taken = behind_messages(timing, true, &edges->forward_in, action->micro, 0);
    } else if (goes_back(action)) {
        taken = behind_messages(timing, false, &edges->backward_in, action->micro, 0);
    }
    return later(clock, taken == UNKNOWN ? UNKNOWN : taken + MESSAGE_TIME);
}

static void finish(const timing_t *timing, int stage, const mb_action_t *action, int64_t start)
{
    timeline_t *line = &timing->chunks[action->chunk];
    place_t *place = &timing->stages[stage];
    place->clock = start + (action->kind == MB_ACTION_BW ? 2 * PART_TIME : PART_TIME);
    place->at++;
    if (action->kind == MB_ACTION_F) {
        line->forward[action->micro] = place->clock;
        line->forward_at[action->micro] = place->at;
    } else if (goes_back(action)) {
        line->input[action->micro] = place->clock;
        line->input_at[action->micro] = place->at;
    }
    if (mb_action_frees_slot(timing->plan, action->kind)) {
        line->freed[action->micro] = place->clock;
        line->freed_at[action->micro] = place->at;
    }
}

static bool run_stage(const timing_t *timing, int stage)
{
    bool moved = false;
    const mb_program_t *program = &timing->plan->programs[stage];
    while (timing->stages[stage].at < program->n) {
        const mb_action_t *action = &program->actions[timing->stages[stage].at];
        int64_t start = start_of(timing, stage, action);
        if (start == UNKNOWN)
            break;
        finish(timing, stage, action, start);
        moved = true;
    }
    return moved;
}

static mb_status_t run_all(const timing_t *timing)
{
    bool moved = true;
    while (moved) {
        moved = false;
        for (int s = 0; s < timing->plan->stages; s++)
            moved = run_stage(timing, s) || moved;
    }
    for (int s = 0; s < timing->plan->stages; s++) {
        if (timing->stages[s].at < timing->plan->programs[s].n)
            return mb_error_set(MB_ERR_INTERNAL,
                                "deadlock: stage %d cannot go on behind compute action %d", s,
                                timing->stages[s].at);
    }
    return MB_OK;
}

static int64_t *times(mb_arena_t *arena, size_t n)
{
    int64_t *all = MB_ARENA_ARRAY(arena, int64_t, n);
    for (size_t i = 0; all != NULL && i < n; i++)
        all[i] = UNKNOWN;
    return all;
}

static mb_status_t make_timelines(timing_t *timing, mb_arena_t *arena)
{
    const mb_plan_t *plan = timing->plan;
    int chunks = plan->chunks;
    size_t micros = (size_t)plan->micros;
    size_t lines = (size_t)plan->n_forward_edges + (size_t)plan->n_backward_edges;
    timing->messages = times(arena, lines * micros);
    timing->stages = MB_ARENA_ARRAY(arena, place_t, plan->stages);
    timing->chunks = MB_ARENA_ARRAY(arena, timeline_t, chunks);
    for (int c = 0; timing->chunks != NULL && c < chunks; c++) {
        timeline_t *line = &timing->chunks[c];
        *line = (timeline_t){.forward = times(arena, micros),
                             .input = times(arena, micros),
                             .freed = times(arena, micros),
                             .forward_at = MB_ARENA_ARRAY(arena, int, micros),
                             .input_at = MB_ARENA_ARRAY(arena, int, micros),
                             .freed_at = MB_ARENA_ARRAY(arena, int, micros)};
        if (line->forward == NULL || line->input == NULL || line->freed == NULL ||
            line->forward_at == NULL || line->input_at == NULL || line->freed_at == NULL)
            return mb_error_memory("the order of a plan's messages", micros);
    }
    return timing->stages == NULL || timing->chunks == NULL || timing->messages == NULL
               ? mb_error_memory("the order of a plan's messages", sizeof(timeline_t))
               : MB_OK;
}

/* What moves at once goes by micro-batch: a slot's next one comes behind what is sent from it. No
 * message waits for a reduction of the same time. */
static int compare(const void *left, const void *right)
{
    const timed_t *a = left, *b = right;
    if (a->time != b->time)
        return a->time < b->time ? -1 : 1;
    if (a->reduces != b->reduces)
        return a->reduces ? 1 : -1;
    if (a->micro != b->micro)
        return a->micro < b->micro ? -1 : 1;
    if (a->forward != b->forward)
        return a->forward ? -1 : 1;
    return a->edge < b->edge ? -1 : a->edge > b->edge;
}

static int add_timed(const timing_t *timing, bool forward, bool sends, const mb_edge_list_t *list,
                     timed_t *out)
{
    int n = 0;
    for (int i = 0; i < list->n; i++) {
        for (int m = 0; m < timing->plan->micros; m++)
            out[n++] = (timed_t){.time = message_time(timing, forward, list->edges[i], m),
                                 .forward = forward,
                                 .sends = sends,
                                 .edge = list->edges[i],
                                 .micro = m};
    }
    return n;
}

/* Behind the micro-batch that completes the chunk; where groups are uneven, behind everything. */
static timed_t timed_reduction(const timing_t *timing, int chunk)
{
    int last = timing->plan->micros - 1;
    int64_t time = timing->plan->uneven ? INT64_MAX : timing->chunks[chunk].freed[last];
    return (timed_t){.time = time, .reduces = true, .edge = chunk, .micro = -1};
}

static mb_action_kind_t kind_of(const timed_t *message)
{
    if (message->reduces)
        return MB_ACTION_REDUCE;
    if (message->forward)
        return message->sends ? MB_ACTION_SEND_ACT : MB_ACTION_RECV_ACT;
    return message->sends ? MB_ACTION_SEND_GRAD : MB_ACTION_RECV_GRAD;
}

/* The earliest place in the stage's program: a send behind what makes it, a receive behind what
 * frees its room. Early, so that it moves while the stage computes something else. */
static int earliest(const timing_t *timing, int chunk, const timed_t *message)
{
    const timeline_t *line = &timing->chunks[chunk];
    if (message->reduces)
        return line->freed_at[timing->plan->micros - 1];
    int before = message->micro - timing->plan->slots[chunk], place = 0;
    if (message->sends)
        return message->forward ? line->forward_at[message->micro] : line->input_at[message->micro];
    for (int c = chunk; c >= 0 && before >= 0; c = timing->plan->next_chunk[c]) {
        int at = timing->chunks[c].freed_at[before];
        place = at > place ? at : place;
    }
    return place;
}

/* The chunk at the end of the message that is here. */
static int chunk_of(const mb_plan_t *plan, const timed_t *message)
{
    if (message->reduces)
        return message->edge;
    if (message->forward)
        return message->sends ? plan->forward_edges[message->edge].from_chunk
                              : plan->forward_edges[message->edge].to_chunk;
    return message->sends ? plan->backward_edges[message->edge].from_chunk
                          : plan->backward_edges[message->edge].to_chunk;
}

/* Messages that stand at one place are handed over together, so that those that oppose each other
 * pass; but a group is done as a whole, and what takes the first receive must not wait for the
 * next one. A reduction stands alone. */
static void set_groups(mb_ordered_list_t *list)
{
    const mb_ordered_message_t *receive = NULL;
    for (int i = 0; i < list->n; i++) {
        mb_ordered_message_t *message = &list->messages[i];
        bool receives = message->kind == MB_ACTION_RECV_ACT || message->kind == MB_ACTION_RECV_GRAD;
        bool alone = message->kind == MB_ACTION_REDUCE ||
                     (i > 0 && list->messages[i - 1].kind == MB_ACTION_REDUCE);
        bool follows = i > 0 && !alone && message->behind == list->messages[i - 1].behind;
        bool other = receives && receive != NULL &&
                     (receive->kind != message->kind || receive->micro != message->micro);
        message->joins = follows && !other;
        if (!message->joins)
            receive = NULL;
        if (receives)
            receive = message;
    }
}

static mb_status_t list_stage(const timing_t *timing, int stage, mb_arena_t *arena,
                              mb_ordered_list_t *list)
{
    const mb_plan_t *plan = timing->plan;
    size_t n = 0;
    for (int c = plan->first_chunk[stage]; c >= 0; c = plan->next_chunk[c])
        n += mb_edges_messages(&timing->edges[c]) * (size_t)plan->micros + plan->training;
    timed_t *all = MB_ARENA_ARRAY(arena, timed_t, n);
    list->messages = MB_ARENA_ARRAY(arena, mb_ordered_message_t, n);
    if (all == NULL || list->messages == NULL)
        return mb_error_memory("the order of a plan's messages", n * sizeof(timed_t));
    list->n = 0;
    for (int c = plan->first_chunk[stage]; c >= 0; c = plan->next_chunk[c]) {
        const mb_chunk_edges_t *edges = &timing->edges[c];
        list->n += add_timed(timing, true, false, &edges->forward_in, all + list->n);
        list->n += add_timed(timing, true, true, &edges->forward_out, all + list->n);
        list->n += add_timed(timing, false, false, &edges->backward_in, all + list->n);
        list->n += add_timed(timing, false, true, &edges->backward_out, all + list->n);
        if (plan->training)
            all[list->n++] = timed_reduction(timing, c);
    }
    qsort(all, n, sizeof *all, compare);
    int place = 0;
    for (int i = 0; i < list->n; i++) {
        int least = earliest(timing, chunk_of(plan, &all[i]), &all[i]);
        place = least > place ? least : place;
        list->messages[i] = (mb_ordered_message_t){
            .kind = kind_of(&all[i]), .edge = all[i].edge, .micro = all[i].micro, .behind = place};
    }
    set_groups(list);
    return MB_OK;
}

mb_status_t mb_order_messages(const mb_plan_t *plan, const mb_chunk_edges_t *edges,
                              mb_arena_t *arena, mb_ordered_list_t **out)
{
    timing_t timing = {.plan = plan, .edges = edges};
    MB_TRY(make_timelines(&timing, arena));
    MB_TRY(run_all(&timing));
    mb_ordered_list_t *lists = MB_ARENA_ARRAY(arena, mb_ordered_list_t, plan->stages);
    if (lists == NULL)
        return mb_error_memory("the order of a plan's messages", sizeof *lists);
    for (int s = 0; s < plan->stages; s++)
        MB_TRY(list_stage(&timing, s, arena, &lists[s]));
    *out = lists;
    return MB_OK;
}
