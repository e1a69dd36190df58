/* See values_share.h. */
#include "train/values_share.h"

static mb_status_t copy_values(const mb_update_t *update, int param, bool out)
{
    float *value = update->engine->stage->values[param], *place = mb_update_gradient(update, param);
    mb_combine_args_t copy = {.count = update->engine->plan->graph->params[param].elements,
                              .p = 1.0F,
                              .a = out ? value : place,
                              .y = out ? place : value};
    return mb_run_combine(&update->engine->exec, &copy);
}

/* New values go through the gradients' places, which are free by now. */
mb_status_t mb_values_share(mb_update_t *update)
{
    int n = update->engine->plan->graph->n_params;
    if (!mb_stage_reduce_shares_out(update->engine->reduction))
        return MB_OK;
    for (int p = 0; p < n; p++) {
        if (update->updates[p])
            MB_TRY(copy_values(update, p, true));
    }
    MB_TRY(mb_stage_reduce_gather(update->engine->reduction));
    for (int p = 0; p < n; p++) {
        if (update->shared_out[p] && !update->updates[p])
            MB_TRY(copy_values(update, p, false));
    }
    return MB_OK;
}
