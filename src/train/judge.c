/* See judge.h. The squares of finite floats are finite doubles, and so are their sums: norms tell
 * of gradients in one pass over them. */
#include "train/judge.h"

#include <math.h>

#include "comm/among.h"
#include "train/norms.h"

static mb_status_t fetch(mb_update_t *update, const double *sums, bool gradients)
{
    const mb_stage_t *stage = update->engine->stage;
    mb_exec_t *exec = &update->engine->exec;
    if (gradients) {
        MB_TRY(mb_norms_measure_own(update));
        MB_TRY(mb_exec_copy(exec, update->host_norms, update->norms,
                            (size_t)stage->graph->n_params * sizeof(double), MB_COPY_TO_HOST));
    }
    MB_TRY(mb_exec_copy(exec, update->host_sums, sums, (size_t)stage->sum_count * sizeof(double),
                        MB_COPY_TO_HOST));
    return mb_exec_sync(exec);
}

static uint32_t judge_loss(double loss)
{
    return isnan(loss) ? MB_JUDGED_LOSS_NAN : isinf(loss) ? MB_JUDGED_LOSS_INFINITE : 0;
}

static bool are_finite(const double *values, int64_t count)
{
    bool finite = true;
    for (int64_t i = 0; i < count; i++)
        finite = finite && isfinite(values[i]);
    return finite;
}

/* What metrics sum up may be infinite in a good step. */
static uint32_t judge_sums(const mb_update_t *update)
{
    const mb_stage_t *stage = update->engine->stage;
    const double *sums = update->host_sums;
    uint32_t found = 0;
    for (int o = 0; o < stage->n_outputs; o++)
        found |= judge_loss(sums[stage->outputs[o].sums]);
    for (int n = 0; n < stage->graph->n_nodes; n++) {
        const mb_node_place_t *at = &stage->places[n];
        if (!mb_stage_has_node(stage, n))
            continue;
        if (at->activity >= 0)
            found |= judge_loss(sums[at->activity]) | judge_loss(sums[at->activity + 1]);
        if (at->sums >= 0 && !are_finite(sums + at->sums, at->memory.sums))
            found |= MB_JUDGED_STATISTICS;
    }
    return found;
}

static void unite(void *into, const void *from)
{
    *(uint32_t *)into |= *(const uint32_t *)from;
}

mb_status_t mb_judge(mb_update_t *update, const double *sums, bool gradients, uint32_t *found)
{
    uint32_t other;
    const mb_engine_t *engine = update->engine;
    const mb_comm_among_t among = {.ranks = engine->grid.stages * engine->grid.groups,
                                   .token = found,
                                   .arriving = &other,
                                   .bytes = sizeof other,
                                   .merge = unite,
                                   .tag = MB_TAG_JUDGE,
                                   .action = "agreeing whether a step's numbers are finite"};
    MB_TRY(fetch(update, sums, gradients));
    *found = judge_sums(update);
    if (gradients && !are_finite(update->host_norms, engine->plan->graph->n_params))
        *found |= MB_JUDGED_GRADIENTS;
    return mb_comm_among(engine->machine->comm, &among);
}

const char *mb_judged_name(uint32_t found)
{
    return found & MB_JUDGED_LOSS_NAN        ? "the loss is NaN"
           : found & MB_JUDGED_LOSS_INFINITE ? "the loss is infinite"
           : found & MB_JUDGED_GRADIENTS     ? "gradients are not finite"
                                             : "statistics of a batch are not finite";
}
