/* Adds sends and receives to programs of compute actions.
 *
 * Receives of a micro-batch are posted when its slot opens: at the program's start, or right behind
 * the last action of the micro-batch that had the slot before. Sends follow the action that makes
 * the data. A tag is (edge, micro-batch modulo as many as the tags allow). A chunk's gradients are
 * reduced right behind the last action that adds to them, which is cut into one for each bucket.
 * For a transport that matches by order, messages and reductions stand as order.h has them. */
#include "comm/tags.h"
#include "pipeline/order.h"

typedef struct {
    mb_plan_t *plan;
    const mb_chunk_edges_t *edges;    /* [chunks] */
    const mb_ordered_list_t *ordered; /* NULL: by tags */
    int stage, tags_per_edge;
    int *done;            /* [chunks] micro-batches that are through */
    mb_program_t program; /* the new one */
} lowering_t;

static void add_message(lowering_t *l, mb_action_kind_t kind, int edge, int micro)
{
    const mb_plan_t *plan = l->plan;
    bool forward = kind == MB_ACTION_SEND_ACT || kind == MB_ACTION_RECV_ACT;
    bool sends = kind == MB_ACTION_SEND_ACT || kind == MB_ACTION_SEND_GRAD;
    int from =
        forward ? plan->forward_edges[edge].from_chunk : plan->backward_edges[edge].from_chunk;
    int to = forward ? plan->forward_edges[edge].to_chunk : plan->backward_edges[edge].to_chunk;
    int line = forward ? edge : plan->n_forward_edges + edge;
    l->program.actions[l->program.n++] =
        (mb_action_t){.kind = kind,
                      .chunk = sends ? from : to,
                      .micro = micro,
                      .edge = edge,
                      .peer = plan->stage_of_chunk[sends ? to : from],
                      .tag = line * l->tags_per_edge + micro % l->tags_per_edge};
}

/* BUCKET: from 1. The only one of a chunk is the chunk as a whole. */
static void add_reduce(lowering_t *l, int chunk, int bucket)
{
    l->program.actions[l->program.n++] =
        (mb_action_t){.kind = MB_ACTION_REDUCE,
                      .chunk = chunk,
                      .micro = -1,
                      .edge = -1,
                      .peer = -1,
                      .tag = -1,
                      .bucket = mb_plan_buckets(l->plan, chunk) == 1 ? 0 : bucket};
}

static void add_all_reduces(lowering_t *l, int chunk)
{
    for (int b = 1; b <= mb_plan_buckets(l->plan, chunk); b++)
        add_reduce(l, chunk, b);
}

/* The last backward of a chunk, bucket by bucket, with the sums of all but the last one. */
static void add_compute(lowering_t *l, const mb_action_t *action, bool cut)
{
    int n = cut ? mb_plan_buckets(l->plan, action->chunk) : 1;
    for (int b = 1; b <= n; b++) {
        l->program.actions[l->program.n] = *action;
        l->program.actions[l->program.n++].bucket = n == 1 ? 0 : b;
        if (b < n)
            add_reduce(l, action->chunk, b);
    }
}

static void add_messages(lowering_t *l, mb_action_kind_t kind, const mb_edge_list_t *list,
                         int micro)
{
    for (int i = 0; i < list->n; i++)
        add_message(l, kind, list->edges[i], micro);
}

static void open_slot(lowering_t *l, int chunk, int micro)
{
    if (micro >= l->plan->micros)
        return;
    add_messages(l, MB_ACTION_RECV_ACT, &l->edges[chunk].forward_in, micro);
    add_messages(l, MB_ACTION_RECV_GRAD, &l->edges[chunk].backward_in, micro);
}

static void open_first_slots(lowering_t *l)
{
    for (int c = l->plan->first_chunk[l->stage]; c >= 0; c = l->plan->next_chunk[c]) {
        for (int m = 0; m < l->plan->slots[c]; m++)
            open_slot(l, c, m);
    }
}

/* Micro-batches that the chunk and the later ones of its stage are done with. */
static int freed(const lowering_t *l, int chunk)
{
    int least = l->done[chunk];
    for (int c = l->plan->next_chunk[chunk]; c >= 0; c = l->plan->next_chunk[c])
        least = l->done[c] < least ? l->done[c] : least;
    return least;
}

static void open_freed(lowering_t *l, const mb_action_t *action)
{
    if (!mb_action_frees_slot(l->plan, action->kind))
        return;
    l->done[action->chunk]++;
    for (int c = l->plan->first_chunk[l->stage]; c >= 0 && c <= action->chunk;
         c = l->plan->next_chunk[c]) {
        if (freed(l, c) == action->micro + 1)
            open_slot(l, c, action->micro + l->plan->slots[c]);
    }
}

static void lower_actions(lowering_t *l, const mb_program_t *compute)
{
    open_first_slots(l);
    for (int i = 0; i < compute->n; i++) {
        const mb_action_t *action = &compute->actions[i];
        const mb_chunk_edges_t *edges = &l->edges[action->chunk];
        bool completes = mb_action_completes_chunk(l->plan, action);
        add_compute(l, action, completes);
        if (action->kind == MB_ACTION_F)
            add_messages(l, MB_ACTION_SEND_ACT, &edges->forward_out, action->micro);
        if (action->kind == MB_ACTION_B || action->kind == MB_ACTION_BW)
            add_messages(l, MB_ACTION_SEND_GRAD, &edges->backward_out, action->micro);
        open_freed(l, action);
        if (completes)
            add_reduce(l, action->chunk, mb_plan_buckets(l->plan, action->chunk));
    }
}

/* In uneven groups a sum has its place behind all messages; then the action stays whole. */
static void add_ordered_reduces(lowering_t *l, int chunk)
{
    if (l->plan->uneven)
        add_all_reduces(l, chunk);
    else
        add_reduce(l, chunk, mb_plan_buckets(l->plan, chunk));
}

static void lower_in_order(lowering_t *l, const mb_program_t *compute)
{
    const mb_ordered_list_t *list = l->ordered;
    int next = 0;
    for (int i = 0; i <= compute->n; i++) {
        for (; next < list->n && list->messages[next].behind <= i; next++) {
            const mb_ordered_message_t *message = &list->messages[next];
            if (message->kind == MB_ACTION_REDUCE) {
                add_ordered_reduces(l, message->edge);
                continue;
            }
            add_message(l, message->kind, message->edge, message->micro);
            l->program.actions[l->program.n - 1].joins = message->joins;
        }
        if (i < compute->n)
            add_compute(l, &compute->actions[i],
                        !l->plan->uneven &&
                            mb_action_completes_chunk(l->plan, &compute->actions[i]));
    }
}

static void add_step(mb_program_t *program)
{
    program->actions[program->n++] = (mb_action_t){
        .kind = MB_ACTION_STEP, .chunk = -1, .micro = -1, .edge = -1, .peer = -1, .tag = -1};
}

static mb_status_t lower_stage(lowering_t *l)
{
    mb_program_t *compute = &l->plan->programs[l->stage];
    size_t messages = 0, buckets = 0;
    for (int c = l->plan->first_chunk[l->stage]; c >= 0; c = l->plan->next_chunk[c]) {
        messages += mb_edges_messages(&l->edges[c]);
        buckets += (size_t)mb_plan_buckets(l->plan, c);
    }
    size_t most = (size_t)compute->n + messages * (size_t)l->plan->micros + 2 * buckets + 1;
    l->program = *compute;
    l->program.n = 0;
    l->program.actions = MB_ARENA_ARRAY(l->plan->arena, mb_action_t, most);
    if (l->program.actions == NULL)
        return mb_error_memory("an action list", most * sizeof(mb_action_t));
    if (l->ordered != NULL)
        lower_in_order(l, compute);
    else
        lower_actions(l, compute);
    if (l->plan->training)
        add_step(&l->program);
    *compute = l->program;
    return MB_OK;
}

/* Messages of one edge arrive in order, so that one tag an edge would do; more of them tell
 * micro-batches apart in messages about a wait, and where they go back in another order. */
static mb_status_t share_tags(const mb_plan_t *plan, int *tags_per_edge)
{
    int edges = plan->n_forward_edges + plan->n_backward_edges;
    if (edges > MB_TAG_TRANSPORT_END)
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "%d tensors and gradients cross between the %d stages, but at most %d "
                            "can: use fewer stages",
                            edges, plan->stages, MB_TAG_TRANSPORT_END);
    if ((int64_t)edges * plan->micros > INT32_MAX)
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "%d micro-batches a step over %d tensors and gradients that cross "
                            "between stages are too many messages: use larger micro-batches",
                            plan->micros, edges);
    *tags_per_edge = edges == 0 ? 1 : MB_TAG_TRANSPORT_END / edges;
    if (plan->turns != NULL && edges > 0 && *tags_per_edge < plan->micros)
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "%s: micro-batches that go back out of order need a tag each, and %d "
                            "over %d tensors and gradients that cross between stages are too many",
                            plan->schedule.path, plan->micros, edges);
    return MB_OK;
}

mb_status_t mb_lower(mb_plan_t *plan)
{
    int tags_per_edge = 1;
    MB_TRY(share_tags(plan, &tags_per_edge));
    mb_chunk_edges_t *edges;
    mb_ordered_list_t *ordered = NULL;
    int *done = MB_ARENA_ARRAY(plan->arena, int, plan->chunks);
    if (done == NULL)
        return mb_error_memory("an action list", (size_t)plan->chunks * sizeof(int));
    MB_TRY(mb_edges_by_chunk(plan, plan->arena, &edges));
    if (plan->ordered)
        MB_TRY(mb_order_messages(plan, edges, plan->arena, &ordered));
    for (int s = 0; s < plan->stages; s++) {
        lowering_t l = {.plan = plan,
                        .edges = edges,
                        .ordered = ordered == NULL ? NULL : &ordered[s],
                        .stage = s,
                        .done = done,
                        .tags_per_edge = tags_per_edge};
        MB_TRY(lower_stage(&l));
    }
    return MB_OK;
}
