/* The executor: see executor.h. Requests stand in tables by (edge, slot of the chunk at this end):
 * a slot's entry is free again when its request is done. */
#include "engine/executor.h"

#include "engine/replay.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct { /* of one chunk: its replicas' way up the tree */
    mb_tree_stack_t stack;
    double *sums[MB_TREE_MAX_ROOTS]; /* the stack's double blocks */
} subtree_t;

struct mb_executor {
    mb_executor_options_t options;
    mb_stage_t *stage;
    const mb_plan_t *plan;
    int first_replica, n_replicas;
    int most_slots;                     /* of the stage's chunks */
    mb_request_t **forward, **backward; /* [edges][most_slots] */
    mb_replays_t *replays;
    subtree_t *subtrees; /* [stage->n_chunks] */
    mb_step_info_t info;
    const mb_action_t *current;
    bool grouping; /* messages are being handed over together */
    mb_walk_t walk;
};

static const mb_walk_class_t walk_class;
static mb_status_t go_on_reducing(void *user);

mb_status_t mb_executor_create(const mb_executor_options_t *options, mb_executor_t **out)
{
    const mb_plan_t *plan = options->stage->plan;
    mb_executor_t *executor = calloc(1, sizeof *executor);
    if (executor == NULL)
        return mb_error_memory("an executor", sizeof *executor);
    executor->options = *options;
    executor->stage = options->stage;
    executor->plan = plan;
    /* A device whose actions are recorded goes on by itself. */
    if (options->stage->exec->device->class_->record_begin == NULL) {
        options->stage->between = go_on_reducing;
        options->stage->between_user = executor;
    }
    executor->walk = (mb_walk_t){
        .class_ = &walk_class, .user = executor, .plan = plan, .stage = options->stage->stage};
    mb_grid_replicas(options->grid, options->grid->group, &executor->first_replica,
                     &executor->n_replicas);
    for (int i = 0; i < executor->stage->n_chunks; i++) {
        int slots = executor->stage->chunks[i].n_slots;
        executor->most_slots = slots > executor->most_slots ? slots : executor->most_slots;
    }
    size_t slots = (size_t)executor->most_slots;
    executor->subtrees = calloc((size_t)executor->stage->n_chunks, sizeof *executor->subtrees);
    executor->forward =
        calloc((size_t)plan->n_forward_edges * slots + 1, sizeof *executor->forward);
    executor->backward =
        calloc((size_t)plan->n_backward_edges * slots + 1, sizeof *executor->backward);
    if (executor->forward == NULL || executor->backward == NULL || executor->subtrees == NULL) {
        mb_executor_destroy(executor);
        return mb_error_memory("the requests of an executor", slots);
    }
    mb_status_t status = mb_replays_create(executor->stage, &executor->replays);
    if (status != MB_OK) {
        mb_executor_destroy(executor);
        return status;
    }
    *out = executor;
    return MB_OK;
}

static void cancel_all(mb_executor_t *executor, mb_request_t **requests, int edges)
{
    mb_transport_t *transport = executor->options.transport;
    for (int i = 0; requests != NULL && i < edges * executor->most_slots; i++) {
        if (requests[i] != NULL)
            transport->class_->cancel(transport, requests[i]);
    }
}

void mb_executor_destroy(mb_executor_t *executor)
{
    if (executor == NULL)
        return;
    cancel_all(executor, executor->forward, executor->plan->n_forward_edges);
    cancel_all(executor, executor->backward, executor->plan->n_backward_edges);
    executor->stage->between = NULL;
    mb_replays_destroy(executor->replays);
    free(executor->forward);
    free(executor->backward);
    free(executor->subtrees);
    free(executor);
}

int mb_executor_max_requests(const mb_plan_t *plan, int stage)
{
    int requests = 0;
    for (int e = 0; e < plan->n_forward_edges; e++) {
        const mb_forward_edge_t *edge = &plan->forward_edges[e];
        if (!mb_forward_edge_stays(edge) && edge->from_stage == stage)
            requests += plan->slots[edge->from_chunk];
        if (!mb_forward_edge_stays(edge) && edge->to_stage == stage)
            requests += plan->slots[edge->to_chunk];
    }
    for (int e = 0; e < plan->n_backward_edges; e++) {
        const mb_backward_edge_t *edge = &plan->backward_edges[e];
        if (!mb_backward_edge_stays(edge) && edge->from_stage == stage)
            requests += plan->slots[edge->from_chunk];
        if (!mb_backward_edge_stays(edge) && edge->to_stage == stage)
            requests += plan->slots[edge->to_chunk];
    }
    return requests;
}

double *mb_executor_sums(mb_executor_t *executor)
{
    return executor->subtrees[0].sums[0];
}

const mb_action_cost_t *mb_executor_costs(const mb_executor_t *executor)
{
    return executor->walk.costs;
}

/* Of what the others say when this rank falls silent. */
static void say_doing(const mb_executor_t *executor, const char *action, int micro)
{
    const mb_stage_t *stage = executor->stage;
    mb_comm_at_t at = {.action = action,
                       .counts = stage->training         ? "step"
                                 : stage->losses != NULL ? "evaluation step"
                                                         : "prediction step",
                       .step = executor->info.step + 1,
                       .stage = stage->stage,
                       .micro = micro};
    mb_comm_at(executor->options.comm, &at);
}

static subtree_t *subtree_of(const mb_executor_t *executor, int chunk)
{
    const mb_stage_t *stage = executor->stage;
    return &executor->subtrees[stage->chunk_of[chunk] - stage->chunks];
}

static void fill_micro(const mb_executor_t *executor, int chunk, int index, mb_micro_t *micro)
{
    int per_replica = executor->plan->micros_per_replica;
    int64_t samples = executor->plan->micro_batch;
    int replica = index / per_replica;
    int64_t position =
        ((int64_t)(executor->first_replica + replica) * per_replica + index % per_replica) *
        samples;
    int64_t valid = executor->info.batch - position;
    *micro = (mb_micro_t){.chunk = chunk,
                          .slot = mb_plan_slot(executor->plan, chunk, index),
                          .block = subtree_of(executor, chunk)->stack.depth,
                          .index = index,
                          .replica = replica,
                          .accumulate = index % per_replica != 0,
                          .valid = valid < 0         ? 0
                                   : valid > samples ? samples
                                                     : valid,
                          .seed = executor->info.seed,
                          .step = (uint32_t)executor->info.step,
                          .position = (uint32_t)position,
                          .batch = executor->info.batch};
}

static const char *tensor_name(const mb_executor_t *executor, int tensor)
{
    const mb_graph_t *graph = executor->plan->graph;
    return graph->layers[graph->nodes[tensor].layer]->path;
}

static mb_status_t await(mb_executor_t *executor, mb_request_t **request, const char *verb,
                         const char *what, int tensor, int peer_stage, int micro)
{
    char action[256];
    if (*request == NULL)
        return MB_OK;
    const mb_grid_t *grid = executor->options.grid;
    snprintf(action, sizeof action, "%s the %s of '%s'", verb, what, tensor_name(executor, tensor));
    mb_comm_note_t note = {.action = action,
                           .stage = executor->stage->stage,
                           .micro = micro,
                           .peer = mb_grid_rank(grid, peer_stage, grid->group),
                           .tag = executor->current == NULL ? -1 : executor->current->tag};
    return mb_transport_wait(executor->options.transport, executor->options.comm, request, &note);
}

static mb_status_t await_message(mb_executor_t *executor, const mb_walk_wait_t *wait)
{
    const mb_plan_t *plan = executor->plan;
    const char *verb = wait->sends ? "sending" : "receiving";
    int at = wait->edge * executor->most_slots + wait->slot;
    if (wait->forward) {
        const mb_forward_edge_t *edge = &plan->forward_edges[wait->edge];
        return await(executor, &executor->forward[at], verb, "activation", edge->tensor,
                     wait->sends ? edge->to_stage : edge->from_stage, wait->micro);
    }
    const mb_backward_edge_t *edge = &plan->backward_edges[wait->edge];
    return await(executor, &executor->backward[at], verb, "gradient", edge->tensor,
                 wait->sends ? edge->to_stage : edge->from_stage, wait->micro);
}

static mb_status_t run_forward(mb_executor_t *executor, const mb_action_t *action)
{
    mb_micro_t micro;
    const mb_hooks_t *hooks = &executor->options.hooks;
    fill_micro(executor, action->chunk, action->micro, &micro);
    MB_TRY(mb_replays_run(executor->replays, mb_stage_forward, &micro));
    return hooks->output == NULL ? MB_OK : hooks->output(hooks->user, &micro, action->micro);
}

/* What was sent of the micro-batch is written anew, with the same bits. */
static mb_status_t run_again(mb_executor_t *executor, const mb_action_t *action)
{
    mb_micro_t micro;
    fill_micro(executor, action->chunk, action->micro, &micro);
    return mb_replays_run(executor->replays, mb_stage_recompute, &micro);
}

/* The chunk's sums of two replicas. */
static mb_status_t add_sums(mb_executor_t *executor, const mb_stage_chunk_t *chunk, int into,
                            int from)
{
    const subtree_t *subtree = subtree_of(executor, chunk->chunk);
    mb_add_f64_args_t sums = {.count = chunk->sum_count,
                              .a = subtree->sums[into] + chunk->first_sum,
                              .b = subtree->sums[from] + chunk->first_sum,
                              .y = subtree->sums[into] + chunk->first_sum};
    return sums.count == 0 ? MB_OK : mb_run_add_f64(executor->stage->exec, &sums);
}

/* A stretch of two gradient blocks. */
static mb_status_t add_blocks(mb_executor_t *executor, mb_stretch_t stretch, int into, int from)
{
    mb_stage_t *stage = executor->stage;
    if (!stage->training || stretch.count == 0)
        return MB_OK;
    mb_add_args_t args = {.count = stretch.count,
                          .a = stage->gradients[into] + stretch.first,
                          .b = stage->gradients[from] + stretch.first,
                          .y = stage->gradients[into] + stretch.first};
    return mb_run_add(stage->exec, &args);
}

/* A replica's last micro-batch is through a chunk, or a bucket of it: the stretch of its block
 * joins the tree; with the chunk's end its sums do. */
static mb_status_t finish_replica(mb_executor_t *executor, int chunk, int bucket, int replica)
{
    subtree_t *subtree = subtree_of(executor, chunk);
    const mb_stage_chunk_t *own = executor->stage->chunk_of[chunk];
    mb_stretch_t stretch =
        mb_stage_stretch(executor->stage, (int)(own - executor->stage->chunks), bucket);
    bool ends = bucket == 0 || bucket == mb_plan_buckets(executor->plan, chunk);
    mb_tree_stack_t stack = subtree->stack;
    int top = stack.depth;
    subtree->sums[top] = executor->stage->sums[replica];
    for (int merges = mb_tree_push(&stack); merges > 0; merges--, top--) {
        MB_TRY(add_blocks(executor, stretch, top - 1, top));
        if (ends)
            MB_TRY(add_sums(executor, own, top - 1, top));
    }
    if (ends)
        subtree->stack = stack;
    return MB_OK;
}

/* The last replica joins bucket by bucket, in additions of other lengths. */
static mb_status_t plan_buckets(mb_executor_t *executor, int index)
{
    int chunk = executor->stage->chunks[index].chunk;
    for (int b = 1; b <= mb_plan_buckets(executor->plan, chunk); b++)
        MB_TRY(add_blocks(executor, mb_stage_stretch(executor->stage, index, b), 0, 0));
    return MB_OK;
}

static mb_status_t finish_all(mb_executor_t *executor)
{
    for (int i = 0; i < executor->stage->n_chunks; i++) {
        for (int r = 0; r < executor->n_replicas; r++)
            MB_TRY(finish_replica(executor, executor->stage->chunks[i].chunk, 0, r));
        if (executor->stage->exec->planning)
            MB_TRY(plan_buckets(executor, i));
    }
    return MB_OK;
}

static bool ends_replica(const mb_executor_t *executor, int index)
{
    return (index + 1) % executor->plan->micros_per_replica == 0;
}

static mb_status_t run_backward(mb_executor_t *executor, const mb_action_t *at)
{
    mb_micro_t micro;
    mb_action_kind_t kind = at->kind;
    int index = at->micro;
    fill_micro(executor, at->chunk, index, &micro);
    micro.bucket = at->bucket;
    mb_stage_action_t action = kind == MB_ACTION_BW  ? mb_stage_backward
                               : kind == MB_ACTION_B ? mb_stage_backward_input
                                                     : mb_stage_backward_weights;
    MB_TRY(mb_replays_run(executor->replays, action, &micro));
    if (kind != MB_ACTION_B && ends_replica(executor, index))
        MB_TRY(finish_replica(executor, at->chunk, at->bucket, micro.replica));
    return MB_OK;
}

/* The message of an edge: buffer, bytes and where its request is kept. */
typedef struct {
    void *buffer;
    size_t bytes;
    mb_request_t **request;
} message_t;

/* A tensor and its gradient are of one type, here and across a cut. */
static size_t message_bytes(const mb_executor_t *executor, int tensor, int64_t elements)
{
    const mb_call_t *call = &executor->plan->graph->nodes[tensor].call;
    return (size_t)(elements * executor->plan->micro_batch) * mb_dtype_bytes(call->output_type);
}

static message_t message_of(mb_executor_t *executor, const mb_action_t *action)
{
    mb_stage_t *stage = executor->stage;
    int slot = mb_plan_slot(executor->plan, action->chunk, action->micro);
    size_t at = (size_t)action->edge * (size_t)executor->most_slots + (size_t)slot;
    if (action->kind == MB_ACTION_SEND_ACT || action->kind == MB_ACTION_RECV_ACT) {
        const mb_forward_edge_t *edge = &executor->plan->forward_edges[action->edge];
        return (message_t){mb_stage_tensor(stage, action->micro, edge->tensor),
                           message_bytes(executor, edge->tensor, edge->elements),
                           &executor->forward[at]};
    }
    const mb_backward_edge_t *edge = &executor->plan->backward_edges[action->edge];
    return (message_t){mb_stage_edge_gradient(stage, action->micro, action->edge),
                       message_bytes(executor, edge->tensor, edge->elements),
                       &executor->backward[at]};
}

static bool is_message(const mb_action_t *action)
{
    return action->kind >= MB_ACTION_SEND_ACT && action->kind <= MB_ACTION_RECV_GRAD;
}

/* Begins and ends groups of messages, as the list says. */
static mb_status_t turn_group(mb_executor_t *executor, const mb_action_t *next)
{
    mb_transport_t *transport = executor->options.transport;
    bool message = next != NULL && is_message(next);
    if (executor->grouping && !(message && next->joins)) {
        executor->grouping = false;
        MB_TRY(mb_transport_group_end(transport));
    }
    if (!message || executor->grouping)
        return MB_OK;
    MB_TRY(mb_transport_group_begin(transport));
    executor->grouping = true;
    return MB_OK;
}

static mb_status_t run_message(mb_executor_t *executor, const mb_action_t *action)
{
    message_t message = message_of(executor, action);
    const mb_grid_t *grid = executor->options.grid;
    int peer = mb_grid_rank(grid, action->peer, grid->group);
    bool sends = action->kind == MB_ACTION_SEND_ACT || action->kind == MB_ACTION_SEND_GRAD;
    executor->walk.costs[action->kind].bytes += (int64_t)message.bytes;
    if (sends)
        return mb_transport_isend(executor->options.transport, message.buffer, message.bytes, peer,
                                  action->tag, message.request);
    return mb_transport_irecv(executor->options.transport, message.buffer, message.bytes, peer,
                              action->tag, message.request);
}

/* Begins the sum of a bucket, or all, of the stage's chunk number INDEX over the replicas. */
static mb_status_t run_reduce(mb_executor_t *executor, int index, int bucket)
{
    mb_stage_reduce_t *reduction = executor->options.reduction;
    if (reduction == NULL)
        return MB_OK;
    executor->walk.costs[MB_ACTION_REDUCE].bytes +=
        mb_stage_reduce_bucket_bytes(reduction, index, bucket);
    return mb_stage_reduce_start(reduction, index, bucket, executor->subtrees[index].sums);
}

/* What has arrived meanwhile is added, and handed on. */
static mb_status_t go_on_reducing(void *user)
{
    mb_executor_t *executor = user;
    mb_stage_reduce_t *reduction = executor->options.reduction;
    return reduction == NULL ? MB_OK : mb_stage_reduce_go_on(reduction);
}

static mb_status_t start_step(mb_executor_t *executor, const mb_step_info_t *info)
{
    mb_stage_t *stage = executor->stage;
    executor->info = *info;
    for (int i = 0; i < stage->n_chunks; i++)
        mb_tree_stack_start(&executor->subtrees[i].stack, executor->options.grid->replicas,
                            executor->first_replica, executor->n_replicas);
    for (int r = 0; r < stage->n_sum_blocks && stage->sum_count > 0; r++) {
        mb_zero_args_t args = {.bytes = stage->sum_count * (int64_t)sizeof(double),
                               .y = stage->sums[r]};
        MB_TRY(mb_run_zero(stage->exec, &args));
    }
    return mb_stage_round(stage);
}

static mb_status_t reduce_all(mb_executor_t *executor)
{
    MB_TRY(finish_all(executor));
    for (int i = 0; i < executor->stage->n_chunks; i++)
        MB_TRY(run_reduce(executor, i, 0));
    return mb_stage_reduce_finish(executor->options.reduction);
}

/* Evaluation has no backward: replicas join the tree, and are summed, after the last forward. */
static mb_status_t finish_evaluation(mb_executor_t *executor)
{
    if (executor->stage->training || executor->options.reduction == NULL)
        return MB_OK;
    return reduce_all(executor);
}

/* Without learning a micro-batch past the data leaves nothing behind, on any stage. */
static bool is_past_data(const mb_executor_t *executor, const mb_action_t *action)
{
    mb_micro_t micro;
    if (executor->stage->training || action->micro < 0)
        return false;
    fill_micro(executor, action->chunk, action->micro, &micro);
    return micro.valid == 0;
}

/* ---- the walk's class (pipeline/walk.h): its calls end when what they do is done */

static double walk_clock(void *user)
{
    (void)user;
    return mb_time_seconds();
}

static mb_status_t walk_begin(void *user, const mb_action_t *action, bool *skip)
{
    mb_executor_t *executor = user;
    *skip = is_past_data(executor, action);
    if (*skip)
        return MB_OK;
    executor->current = action;
    say_doing(executor, mb_action_name(action->kind), action->micro);
    return turn_group(executor, action);
}

static mb_status_t walk_feed(void *user, const mb_action_t *action)
{
    mb_micro_t micro;
    mb_executor_t *executor = user;
    const mb_hooks_t *hooks = &executor->options.hooks;
    if (hooks->feed == NULL)
        return MB_OK;
    fill_micro(executor, action->chunk, action->micro, &micro);
    say_doing(executor, "reading the data for F", action->micro);
    MB_TRY(hooks->feed(hooks->user, &micro, action->micro));
    say_doing(executor, mb_action_name(MB_ACTION_F), action->micro);
    return MB_OK;
}

static mb_status_t walk_await(void *user, const mb_action_t *action, const mb_walk_wait_t *wait,
                              bool *done)
{
    (void)action;
    (void)done;
    return await_message(user, wait);
}

static mb_status_t walk_compute(void *user, const mb_action_t *action, bool *done)
{
    (void)done;
    if (action->kind == MB_ACTION_F)
        return run_forward(user, action);
    return action->kind == MB_ACTION_R ? run_again(user, action) : run_backward(user, action);
}

static mb_status_t walk_message(void *user, const mb_action_t *action)
{
    return run_message(user, action);
}

static mb_status_t walk_reduce(void *user, const mb_action_t *action)
{
    mb_executor_t *executor = user;
    const mb_stage_t *stage = executor->stage;
    return run_reduce(executor, (int)(stage->chunk_of[action->chunk] - stage->chunks),
                      action->bucket);
}

static mb_status_t walk_await_sums(void *user, bool *done)
{
    mb_executor_t *executor = user;
    (void)done;
    if (executor->options.reduction == NULL)
        return MB_OK;
    return mb_stage_reduce_finish(executor->options.reduction);
}

static mb_status_t walk_step(void *user, const mb_action_t *action, bool *done)
{
    mb_executor_t *executor = user;
    const mb_hooks_t *hooks = &executor->options.hooks;
    (void)action;
    (void)done;
    return hooks->update == NULL
               ? MB_OK
               : hooks->update(hooks->user, &executor->info, executor->stage->gradients[0],
                               executor->subtrees[0].sums[0]);
}

static mb_status_t walk_end(void *user, const mb_action_t *action, const mb_walk_times_t *times)
{
    mb_executor_t *executor = user;
    mb_recorder_t *recorder = executor->options.recorder;
    if (recorder != NULL) {
        mb_trace_record_t record = mb_trace_record((int)executor->info.step, action, times);
        mb_recorder_add(recorder, &record);
    }
    return go_on_reducing(executor);
}

static const mb_walk_class_t walk_class = {.size = sizeof walk_class,
                                           .clock = walk_clock,
                                           .begin = walk_begin,
                                           .feed = walk_feed,
                                           .await = walk_await,
                                           .compute = walk_compute,
                                           .message = walk_message,
                                           .reduce = walk_reduce,
                                           .await_sums = walk_await_sums,
                                           .step = walk_step,
                                           .end = walk_end};

mb_status_t mb_executor_run(mb_executor_t *executor, const mb_step_info_t *info)
{
    bool ended = false;
    MB_TRY(start_step(executor, info));
    mb_walk_start(&executor->walk);
    MB_TRY(mb_walk_go(&executor->walk, &ended));
    MB_TRY(turn_group(executor, NULL));
    MB_TRY(finish_evaluation(executor));
    executor->current = NULL;
    say_doing(executor, "done", -1);
    return MB_OK;
}

static mb_status_t drain_chunk(mb_executor_t *executor, const mb_stage_chunk_t *chunk, int slot)
{
    const mb_plan_t *plan = executor->plan;
    mb_walk_wait_t wait = {.forward = true, .sends = true, .slot = slot, .micro = slot};
    for (wait.edge = 0; wait.edge < plan->n_forward_edges; wait.edge++) {
        if (plan->forward_edges[wait.edge].from_chunk == chunk->chunk)
            MB_TRY(await_message(executor, &wait));
    }
    wait.forward = false;
    for (wait.edge = 0; wait.edge < plan->n_backward_edges; wait.edge++) {
        if (plan->backward_edges[wait.edge].from_chunk == chunk->chunk)
            MB_TRY(await_message(executor, &wait));
    }
    return MB_OK;
}

mb_status_t mb_executor_drain(mb_executor_t *executor)
{
    for (int i = 0; i < executor->stage->n_chunks; i++) {
        const mb_stage_chunk_t *chunk = &executor->stage->chunks[i];
        for (int slot = 0; slot < chunk->n_slots; slot++)
            MB_TRY(drain_chunk(executor, chunk, slot));
    }
    return MB_OK;
}

/* All kinds of operation of a micro-batch; the second backward adds to what the first one left. */
static mb_status_t prepare_chunk(mb_executor_t *executor, int chunk)
{
    mb_micro_t micro;
    mb_stage_t *stage = executor->stage;
    fill_micro(executor, chunk, 0, &micro);
    micro.valid = executor->plan->micro_batch;
    MB_TRY(mb_stage_forward(stage, &micro));
    if (!stage->training)
        return MB_OK;
    if (executor->plan->schedule.recomputes)
        MB_TRY(mb_stage_recompute(stage, &micro));
    MB_TRY(mb_stage_backward(stage, &micro));
    micro.accumulate = true;
    return mb_stage_backward(stage, &micro);
}

static mb_status_t prepare_micro(mb_executor_t *executor)
{
    for (int i = 0; i < executor->stage->n_chunks; i++)
        MB_TRY(prepare_chunk(executor, executor->stage->chunks[i].chunk));
    return MB_OK;
}

static mb_status_t prepare_reduction(mb_executor_t *executor)
{
    if (executor->options.reduction == NULL)
        return MB_OK;
    MB_TRY(reduce_all(executor));
    executor->walk.costs[MB_ACTION_REDUCE].bytes = 0;
    return MB_OK;
}

mb_status_t mb_executor_prepare(mb_executor_t *executor)
{
    mb_stage_t *stage = executor->stage;
    const mb_hooks_t *hooks = &executor->options.hooks;
    mb_step_info_t info = {.batch = executor->plan->micro_batch};
    stage->exec->draws = false;
    MB_TRY(start_step(executor, &info));
    MB_TRY(prepare_micro(executor));
    mb_replays_forget(executor->replays, stage->exec->draws);
    MB_TRY(prepare_reduction(executor));
    if (stage->training && hooks->update != NULL)
        MB_TRY(
            hooks->update(hooks->user, &info, stage->gradients[0], executor->subtrees[0].sums[0]));
    return hooks->between == NULL ? MB_OK : hooks->between(hooks->user);
}
