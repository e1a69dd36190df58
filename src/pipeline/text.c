/* A plan as text, one line per stage: "F3" is the forward of micro-batch 3, "RA0.3<1" the receive
 * of forward edge 0 for micro-batch 3 from stage 1, "SG2.3>0" the send of backward edge 2 to stage
 * 0, "+RA0.3<1" one that is handed over with the message before it. */
#include "pipeline/plan.h"

#include "base/str.h"

static const char *const short_names[MB_ACTION_COUNT] = {
    [MB_ACTION_F] = "F",           [MB_ACTION_B] = "B",          [MB_ACTION_W] = "W",
    [MB_ACTION_BW] = "BW",         [MB_ACTION_R] = "R",          [MB_ACTION_SEND_ACT] = "SA",
    [MB_ACTION_RECV_ACT] = "RA",   [MB_ACTION_SEND_GRAD] = "SG", [MB_ACTION_RECV_GRAD] = "RG",
    [MB_ACTION_REDUCE] = "REDUCE", [MB_ACTION_STEP] = "STEP",
};

static void add_action(mb_str_t *text, const mb_action_t *action)
{
    mb_str_addf(text, " %s%s", action->joins ? "+" : "", short_names[action->kind]);
    bool sends = action->kind == MB_ACTION_SEND_ACT || action->kind == MB_ACTION_SEND_GRAD;
    if (action->edge >= 0)
        mb_str_addf(text, "%d.%d%c%d", action->edge, action->micro, sends ? '>' : '<',
                    action->peer);
    else if (action->micro >= 0)
        mb_str_addf(text, "%d", action->micro);
}

char *mb_plan_text(const mb_plan_t *plan)
{
    mb_str_t text = {0};
    for (int s = 0; s < plan->stages; s++) {
        const mb_program_t *program = &plan->programs[s];
        mb_str_addf(&text, "stage %d, %d slot%s:", s, program->slots,
                    program->slots == 1 ? "" : "s");
        for (int i = 0; i < program->n; i++)
            add_action(&text, &program->actions[i]);
        mb_str_add(&text, "\n");
    }
    if (text.failed) {
        mb_str_free(&text);
        return NULL;
    }
    return text.text;
}
