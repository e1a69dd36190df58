/* Matches sends with receives as MPI does: by ranks and tag, in the order they were put up. */
#include "pipeline/validate.h"

#include "comm/tags.h"

#include <stdio.h>

mb_status_t mb_match_create(const mb_plan_t *plan, mb_arena_t *arena, mb_match_t *match)
{
    size_t lines = (size_t)plan->n_forward_edges + (size_t)plan->n_backward_edges;
    size_t messages = lines * (size_t)plan->micros;
    *match = (mb_match_t){.plan = plan,
                          .messages = MB_ARENA_ARRAY(arena, mb_match_message_t, messages),
                          .sends = MB_ARENA_ARRAY(arena, mb_match_list_t, MB_TAG_TRANSPORT_END),
                          .receives = MB_ARENA_ARRAY(arena, mb_match_list_t, MB_TAG_TRANSPORT_END)};
    if (match->messages == NULL || match->sends == NULL || match->receives == NULL)
        return mb_error_memory("a plan's validation", messages * sizeof(mb_match_message_t));
    for (int tag = 0; tag < MB_TAG_TRANSPORT_END; tag++)
        match->sends[tag] = match->receives[tag] = (mb_match_list_t){-1, -1};
    return MB_OK;
}

int mb_match_number(const mb_plan_t *plan, bool forward, int edge, int micro)
{
    int line = forward ? edge : plan->n_forward_edges + edge;
    return line * plan->micros + micro;
}

int mb_match_number_of(const mb_plan_t *plan, const mb_action_t *action)
{
    return mb_match_number(plan, mb_action_is_forward(action), action->edge, action->micro);
}

static void ends_of(const mb_plan_t *plan, int number, int *from, int *to)
{
    int line = number / plan->micros;
    if (line < plan->n_forward_edges) {
        *from = plan->forward_edges[line].from_stage;
        *to = plan->forward_edges[line].to_stage;
        return;
    }
    *from = plan->backward_edges[line - plan->n_forward_edges].from_stage;
    *to = plan->backward_edges[line - plan->n_forward_edges].to_stage;
}

char *mb_match_text(const mb_plan_t *plan, int number, char buffer[MB_MATCH_TEXT])
{
    int from, to, line = number / plan->micros;
    bool forward = line < plan->n_forward_edges;
    int edge = forward ? line : line - plan->n_forward_edges;
    int tensor = forward ? plan->forward_edges[edge].tensor : plan->backward_edges[edge].tensor;
    const mb_graph_t *graph = plan->graph;
    ends_of(plan, number, &from, &to);
    snprintf(buffer, MB_MATCH_TEXT,
             "the %s of '%.80s' (edge %d) of micro-batch %d from stage %d to stage %d",
             forward ? "activation" : "gradient", graph->layers[graph->nodes[tensor].layer]->name,
             edge, number % plan->micros, from, to);
    return buffer;
}

/* Takes the first message between the same two stages off the list; -1 if there is none. */
static int take_first(mb_match_t *match, mb_match_list_t *list, int number)
{
    int from, to, other_from, other_to, before = -1;
    ends_of(match->plan, number, &from, &to);
    for (int i = list->first; i >= 0; before = i, i = match->messages[i].next) {
        ends_of(match->plan, i, &other_from, &other_to);
        if (other_from != from || other_to != to)
            continue;
        int next = match->messages[i].next;
        if (before < 0)
            list->first = next;
        else
            match->messages[before].next = next;
        if (list->last == i)
            list->last = before;
        return i;
    }
    return -1;
}

static void append(mb_match_t *match, mb_match_list_t *list, int number)
{
    match->messages[number].next = -1;
    if (list->last < 0)
        list->first = number;
    else
        match->messages[list->last].next = number;
    list->last = number;
}

mb_status_t mb_match_post(mb_match_t *match, const mb_action_t *action)
{
    bool sends = mb_action_sends(action);
    int number = mb_match_number_of(match->plan, action);
    mb_match_list_t *own = sends ? &match->sends[action->tag] : &match->receives[action->tag];
    mb_match_list_t *others = sends ? &match->receives[action->tag] : &match->sends[action->tag];
    mb_match_message_t *message = &match->messages[number];
    *(sends ? &message->sent : &message->posted) = true;
    int met = take_first(match, others, number);
    if (met < 0) {
        append(match, own, number);
        return MB_OK;
    }
    message->matched = met == number;
    if (met == number)
        return MB_OK;
    char sent[MB_MATCH_TEXT], received[MB_MATCH_TEXT];
    return mb_error_set(MB_ERR_INTERNAL, "wrong order under tag %d: %s meets the receive of %s",
                        action->tag, mb_match_text(match->plan, sends ? number : met, sent),
                        mb_match_text(match->plan, sends ? met : number, received));
}
