/* A plan as text, one line per stage: "F3" is the forward of micro-batch 3 ("F1.3" where stages
 * have several chunks: through chunk 1), "RA0.3<1" the receive of forward edge 0 for micro-batch 3
 * from stage 1, "SG2.3>0" the send of backward edge 2 to stage 0, "+RA0.3<1" one that is handed
 * over with the message before it, "REDUCE1" the reduction of chunk 1; "BW3:2" and "REDUCE:2" are
 * of a chunk's second bucket alone. */
#include "pipeline/plan.h"

#include "base/str.h"

static const char *const short_names[MB_ACTION_COUNT] = {
    [MB_ACTION_F] = "F",           [MB_ACTION_B] = "B",          [MB_ACTION_W] = "W",
    [MB_ACTION_BW] = "BW",         [MB_ACTION_R] = "R",          [MB_ACTION_SEND_ACT] = "SA",
    [MB_ACTION_RECV_ACT] = "RA",   [MB_ACTION_SEND_GRAD] = "SG", [MB_ACTION_RECV_GRAD] = "RG",
    [MB_ACTION_REDUCE] = "REDUCE", [MB_ACTION_STEP] = "STEP",
};

static void add_action(const mb_plan_t *plan, const mb_action_t *action, mb_str_t *text)
{
    mb_str_addf(text, " %s%s", action->joins ? "+" : "", short_names[action->kind]);
    bool several = plan->chunks > plan->stages;
    if (action->kind == MB_ACTION_REDUCE && several)
        mb_str_addf(text, "%d", action->chunk);
    if (action->edge < 0 && action->micro >= 0 && several)
        mb_str_addf(text, "%d.", action->chunk);
    bool sends = action->kind == MB_ACTION_SEND_ACT || action->kind == MB_ACTION_SEND_GRAD;
    if (action->edge >= 0)
        mb_str_addf(text, "%d.%d%c%d", action->edge, action->micro, sends ? '>' : '<',
                    action->peer);
    else if (action->micro >= 0)
        mb_str_addf(text, "%d", action->micro);
    if (action->bucket > 0)
        mb_str_addf(text, ":%d", action->bucket);
}

static void add_slots(const mb_plan_t *plan, int chunk, mb_str_t *text)
{
    if (plan->chunks > plan->stages)
        mb_str_addf(text, ", chunk %d", chunk);
    mb_str_addf(text, ", %d slot%s", plan->slots[chunk], plan->slots[chunk] == 1 ? "" : "s");
}

char *mb_plan_text(const mb_plan_t *plan)
{
    mb_str_t text = {0};
    for (int s = 0; s < plan->stages; s++) {
        const mb_program_t *program = &plan->programs[s];
        mb_str_addf(&text, "stage %d", s);
        for (int c = plan->first_chunk[s]; c >= 0; c = plan->next_chunk[c])
            add_slots(plan, c, &text);
        mb_str_add(&text, ":");
        for (int i = 0; i < program->n; i++)
            add_action(plan, &program->actions[i], &text);
        mb_str_add(&text, "\n");
    }
    if (text.failed) {
        mb_str_free(&text);
        return NULL;
    }
    return text.text;
}
