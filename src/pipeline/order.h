/* One order for all messages of a step, for transports that match by order instead of by tag and
 * in which a message that is under way holds up those behind it (NCCL on one stream).
 *
 * Every rank hands its messages over in this order. So the first one that is not done is the next
 * one at both of its ends, nothing of what it waits for lies behind it, and no list can block.
 * A reduction has its place in the order, too: groups that walk the same lists come to it alike. In
 * uneven ones it stands behind all messages, in the order of the chunks. */
#ifndef MB_PIPELINE_ORDER_H
#define MB_PIPELINE_ORDER_H

#include "pipeline/edges.h"

typedef struct {
    mb_action_kind_t kind;
    int edge, micro; /* of a REDUCE: the chunk, and -1 */
    int behind;      /* compute actions of the stage that come first */
    bool joins;      /* in one group with the message before it */
} mb_ordered_message_t;

typedef struct {
    int n;
    mb_ordered_message_t *messages;
} mb_ordered_list_t;

/* [stages], in the arena: programs hold compute actions only. MB_ERR_INTERNAL when the programs
 * cannot all come to their end. */
mb_status_t mb_order_messages(const mb_plan_t *plan, const mb_chunk_edges_t *edges,
                              mb_arena_t *arena, mb_ordered_list_t **out);

/* The chunk is through with a micro-batch when this action is done. */
bool mb_action_frees_slot(const mb_plan_t *plan, mb_action_kind_t kind);
/* And through with the step: it is the last one's. */
bool mb_action_completes_chunk(const mb_plan_t *plan, const mb_action_t *action);

#endif
