/* The part of validation that needs no walk: actions are well formed, and each micro-batch is
 * computed, each message sent and received, exactly once. */
#include "pipeline/validate.h"

#include "comm/tags.h"

typedef struct {
    unsigned char sends, receives;
} tally_t;

static mb_status_t check_range(const mb_plan_t *plan, int stage, int at, const mb_action_t *action)
{
    bool message = mb_action_sends(action) || mb_action_receives(action);
    int edges = mb_action_is_forward(action) ? plan->n_forward_edges : plan->n_backward_edges;
    bool known = (int)action->kind >= 0 && action->kind < MB_ACTION_COUNT;
    if (action->kind == MB_ACTION_STEP)
        return MB_OK;
    if (action->chunk < 0 || action->chunk >= plan->chunks ||
        plan->stage_of_chunk[action->chunk] != stage)
        return mb_error_set(MB_ERR_INTERNAL, "stage %d, action %d: chunk %d does not lie there",
                            stage, at, action->chunk);
    if (action->kind == MB_ACTION_REDUCE)
        return MB_OK;
    if (!known || action->micro < 0 || action->micro >= plan->micros)
        return mb_error_set(MB_ERR_INTERNAL,
                            "stage %d, action %d: kind %d of micro-batch %d does not exist (there "
                            "are %d micro-batches)",
                            stage, at, (int)action->kind, action->micro, plan->micros);
    if (message && (action->edge < 0 || action->edge >= edges))
        return mb_error_set(MB_ERR_INTERNAL, "stage %d, action %d: edge %d does not exist", stage,
                            at, action->edge);
    if (message && (action->tag < 0 || action->tag >= MB_TAG_TRANSPORT_END))
        return mb_error_set(MB_ERR_INTERNAL, "stage %d, action %d: tag %d is outside 0 to %d",
                            stage, at, action->tag, MB_TAG_TRANSPORT_END - 1);
    return MB_OK;
}

/* Only the last backward of a chunk goes bucket by bucket. */
static mb_status_t check_bucket(const mb_plan_t *plan, int stage, int at, const mb_action_t *action)
{
    bool cut = action->kind == MB_ACTION_REDUCE || action->kind == MB_ACTION_W ||
               action->kind == MB_ACTION_BW;
    int buckets = !cut ? 0
                  : action->micro >= 0 && !mb_action_is_last(plan, action)
                      ? 0
                      : mb_plan_buckets(plan, action->chunk);
    if (action->bucket >= 0 && action->bucket <= buckets)
        return MB_OK;
    return mb_error_set(MB_ERR_INTERNAL, "stage %d, action %d: there is no bucket %d to it", stage,
                        at, action->bucket);
}

static mb_status_t check_ends(const mb_plan_t *plan, int stage, int at, const mb_action_t *action)
{
    bool forward = mb_action_is_forward(action);
    int from = forward ? plan->forward_edges[action->edge].from_chunk
                       : plan->backward_edges[action->edge].from_chunk;
    int to = forward ? plan->forward_edges[action->edge].to_chunk
                     : plan->backward_edges[action->edge].to_chunk;
    bool sends = mb_action_sends(action);
    if (action->chunk == (sends ? from : to) &&
        action->peer == plan->stage_of_chunk[sends ? to : from] && action->peer != stage)
        return MB_OK;
    char text[MB_MATCH_TEXT];
    return mb_error_set(MB_ERR_INTERNAL, "stage %d, action %d %s stage %d what should be %s", stage,
                        at, sends ? "sends to" : "receives from", action->peer,
                        mb_match_text(plan, mb_match_number_of(plan, action), text));
}

static mb_status_t check_computed(const mb_plan_t *plan, int chunk, const int *counts,
                                  const char *what)
{
    const int *count = counts + (size_t)chunk * (size_t)plan->micros;
    for (int m = 0; m < plan->micros; m++) {
        if (count[m] != 1)
            return mb_error_set(MB_ERR_INTERNAL,
                                "stage %d computes the %s of micro-batch %d %d times",
                                plan->stage_of_chunk[chunk], what, m, count[m]);
    }
    return MB_OK;
}

typedef struct {
    const mb_plan_t *plan;
    tally_t *messages;
    int *forward, *inputs, *weights; /* [chunks][micros] */
    int *reduced;                    /* [chunks] */
    int steps;                       /* of the stage */
} form_t;

static mb_status_t count_action(form_t *form, int stage, int at)
{
    const mb_plan_t *plan = form->plan;
    const mb_action_t *action = &plan->programs[stage].actions[at];
    MB_TRY(check_range(plan, stage, at, action));
    if (action->kind != MB_ACTION_STEP)
        MB_TRY(check_bucket(plan, stage, at, action));
    if (mb_action_sends(action) || mb_action_receives(action)) {
        MB_TRY(check_ends(plan, stage, at, action));
        tally_t *tally = &form->messages[mb_match_number_of(plan, action)];
        unsigned char *count = mb_action_sends(action) ? &tally->sends : &tally->receives;
        *count = (unsigned char)(*count + (*count < 2));
    }
    if (action->kind == MB_ACTION_STEP)
        form->steps++;
    if (action->kind == MB_ACTION_REDUCE)
        form->reduced[action->chunk] +=
            action->bucket == 0 ? mb_plan_buckets(plan, action->chunk) : 1;
    if (action->kind == MB_ACTION_STEP || action->kind == MB_ACTION_REDUCE)
        return MB_OK;
    if (!mb_action_ends(plan, action))
        return MB_OK;
    size_t at_micro = (size_t)action->chunk * (size_t)plan->micros + (size_t)action->micro;
    form->forward[at_micro] += action->kind == MB_ACTION_F;
    form->inputs[at_micro] += action->kind == MB_ACTION_B || action->kind == MB_ACTION_BW;
    form->weights[at_micro] += action->kind == MB_ACTION_W || action->kind == MB_ACTION_BW;
    return MB_OK;
}

static mb_status_t check_chunk(const form_t *form, int chunk)
{
    const mb_plan_t *plan = form->plan;
    MB_TRY(check_computed(plan, chunk, form->forward, "forward"));
    if (!plan->training)
        return MB_OK;
    MB_TRY(check_computed(plan, chunk, form->inputs, "gradient of the inputs"));
    MB_TRY(check_computed(plan, chunk, form->weights, "gradient of the weights"));
    if (form->reduced[chunk] != mb_plan_buckets(plan, chunk))
        return mb_error_set(
            MB_ERR_INTERNAL, "stage %d reduces %d buckets of chunk %d, which has %d",
            plan->stage_of_chunk[chunk], form->reduced[chunk], chunk, mb_plan_buckets(plan, chunk));
    return MB_OK;
}

static mb_status_t check_stage(form_t *form, int stage)
{
    const mb_plan_t *plan = form->plan;
    for (int c = plan->first_chunk[stage]; c >= 0; c = plan->next_chunk[c]) {
        if (plan->slots[c] < 1)
            return mb_error_set(MB_ERR_INTERNAL, "stage %d has no slot for a micro-batch", stage);
    }
    form->steps = 0;
    for (int i = 0; i < plan->programs[stage].n; i++)
        MB_TRY(count_action(form, stage, i));
    if (form->steps != plan->training)
        return mb_error_set(MB_ERR_INTERNAL, "stage %d takes %d steps", stage, form->steps);
    for (int c = plan->first_chunk[stage]; c >= 0; c = plan->next_chunk[c])
        MB_TRY(check_chunk(form, c));
    return MB_OK;
}

static bool stays(const mb_plan_t *plan, int line)
{
    return line < plan->n_forward_edges
               ? mb_forward_edge_stays(&plan->forward_edges[line])
               : mb_backward_edge_stays(&plan->backward_edges[line - plan->n_forward_edges]);
}

static mb_status_t check_messages(const mb_plan_t *plan, const tally_t *messages)
{
    int lines = plan->n_forward_edges + plan->n_backward_edges;
    for (int i = 0; i < lines * plan->micros; i++) {
        if (stays(plan, i / plan->micros) || (messages[i].sends == 1 && messages[i].receives == 1))
            continue;
        char text[MB_MATCH_TEXT];
        const tally_t *tally = &messages[i];
        const char *fault = tally->sends == 0      ? "is never sent"
                            : tally->receives == 0 ? "is never received"
                            : tally->sends > 1     ? "is sent more than once"
                                                   : "is received more than once";
        return mb_error_set(MB_ERR_INTERNAL, "unmatched message: %s %s",
                            mb_match_text(plan, i, text), fault);
    }
    return MB_OK;
}

mb_status_t mb_validate_form(const mb_plan_t *plan, mb_arena_t *arena)
{
    size_t lines = (size_t)plan->n_forward_edges + (size_t)plan->n_backward_edges;
    size_t micros = (size_t)plan->micros, all = micros * (size_t)plan->chunks;
    form_t form = {.plan = plan,
                   .messages = MB_ARENA_ARRAY(arena, tally_t, lines * micros),
                   .forward = MB_ARENA_ARRAY(arena, int, all),
                   .inputs = MB_ARENA_ARRAY(arena, int, all),
                   .weights = MB_ARENA_ARRAY(arena, int, all),
                   .reduced = MB_ARENA_ARRAY(arena, int, plan->chunks)};
    if (form.messages == NULL || form.forward == NULL || form.inputs == NULL ||
        form.weights == NULL || form.reduced == NULL)
        return mb_error_memory("a plan's validation", lines * micros);
    for (int s = 0; s < plan->stages; s++)
        MB_TRY(check_stage(&form, s));
    return check_messages(plan, form.messages);
}
