/* The executor's messages between stages. Requests stand in tables by (edge, slot of the chunk at
 * this end): a slot's entry is free again when its request is done. */
#include "engine/executor_private.h"

#include <stdio.h>

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

mb_status_t mb_executor_await(mb_executor_t *executor, const mb_walk_wait_t *wait)
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

mb_status_t mb_executor_turn_group(mb_executor_t *executor, const mb_action_t *next)
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

mb_status_t mb_executor_message(mb_executor_t *executor, const mb_action_t *action)
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

static mb_status_t drain_chunk(mb_executor_t *executor, const mb_stage_chunk_t *chunk, int slot)
{
    const mb_plan_t *plan = executor->plan;
    mb_walk_wait_t wait = {.forward = true, .sends = true, .slot = slot, .micro = slot};
    for (wait.edge = 0; wait.edge < plan->n_forward_edges; wait.edge++) {
        if (plan->forward_edges[wait.edge].from_chunk == chunk->chunk)
            MB_TRY(mb_executor_await(executor, &wait));
    }
    wait.forward = false;
    for (wait.edge = 0; wait.edge < plan->n_backward_edges; wait.edge++) {
        if (plan->backward_edges[wait.edge].from_chunk == chunk->chunk)
            MB_TRY(mb_executor_await(executor, &wait));
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

static void cancel_all(mb_executor_t *executor, mb_request_t **requests, int edges)
{
    mb_transport_t *transport = executor->options.transport;
    for (int i = 0; requests != NULL && i < edges * executor->most_slots; i++) {
        if (requests[i] != NULL)
            transport->class_->cancel(transport, requests[i]);
    }
}

void mb_executor_cancel_messages(mb_executor_t *executor)
{
    cancel_all(executor, executor->forward, executor->plan->n_forward_edges);
    cancel_all(executor, executor->backward, executor->plan->n_backward_edges);
}
