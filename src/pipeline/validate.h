/* The validator's inside: messages as they are posted and matched, and the stages' progress. */
#ifndef MB_PIPELINE_VALIDATE_H
#define MB_PIPELINE_VALIDATE_H

#include "pipeline/edges.h"

typedef struct { /* one edge and micro-batch */
    bool sent, posted, matched;
    int next; /* in the list of its tag */
} mb_match_message_t;

typedef struct {
    int first, last; /* messages; -1: none */
} mb_match_list_t;

/* Sends and receives that wait for each other. A message's number is line * micros + micro, where
 * the lines are the forward edges and then the backward edges. */
typedef struct {
    const mb_plan_t *plan;
    mb_match_message_t *messages;
    mb_match_list_t *sends, *receives; /* [tags]: posted and not matched, in order */
} mb_match_t;

mb_status_t mb_match_create(const mb_plan_t *plan, mb_arena_t *arena, mb_match_t *match);
int mb_match_number(const mb_plan_t *plan, bool forward, int edge, int micro);
int mb_match_number_of(const mb_plan_t *plan, const mb_action_t *action);
/* Puts a send or receive up; MB_ERR_INTERNAL when it meets another message than its own. */
mb_status_t mb_match_post(mb_match_t *match, const mb_action_t *action);

/* "the activation of 'dense_1' (edge 0) of micro-batch 3 from stage 0 to stage 1". Returns BUFFER.
 */
#define MB_MATCH_TEXT 224
char *mb_match_text(const mb_plan_t *plan, int number, char buffer[MB_MATCH_TEXT]);

static inline bool mb_action_sends(const mb_action_t *action)
{
    return action->kind == MB_ACTION_SEND_ACT || action->kind == MB_ACTION_SEND_GRAD;
}

static inline bool mb_action_receives(const mb_action_t *action)
{
    return action->kind == MB_ACTION_RECV_ACT || action->kind == MB_ACTION_RECV_GRAD;
}

static inline bool mb_action_is_forward(const mb_action_t *action)
{
    return action->kind == MB_ACTION_SEND_ACT || action->kind == MB_ACTION_RECV_ACT;
}

/* validate_form.c: what can be told from the lists alone: every action is well formed, every
 * micro-batch is computed once, every message is sent once and received once. */
mb_status_t mb_validate_form(const mb_plan_t *plan, mb_arena_t *arena);

#endif
