/* See norms.h. Every entry is zero but on one stage, so the order of the additions does not show.
 */
#include "train/norms.h"

static double *norms_of_stage(const mb_update_t *update, int stage)
{
    return update->others + (size_t)stage * (size_t)update->engine->plan->graph->n_params;
}

static mb_status_t start_messages(mb_update_t *update, int *requests)
{
    const mb_engine_t *engine = update->engine;
    size_t bytes = (size_t)engine->plan->graph->n_params * sizeof(double);
    for (int sends = 0; sends < 2; sends++) {
        for (int s = 0; s < engine->grid.stages; s++) {
            int peer = mb_grid_rank(&engine->grid, s, engine->grid.group);
            mb_request_t **request = &update->requests[*requests];
            if (s == engine->grid.stage)
                continue;
            MB_TRY(sends ? mb_transport_isend(engine->transport, update->norms, bytes, peer,
                                              MB_TAG_SCALARS + 1, request)
                         : mb_transport_irecv(engine->transport, norms_of_stage(update, s), bytes,
                                              peer, MB_TAG_SCALARS + 1, request));
            (*requests)++;
        }
    }
    return MB_OK;
}

static mb_status_t exchange_norms(mb_update_t *update)
{
    mb_engine_t *engine = update->engine;
    int requests = 0;
    mb_comm_note_t note = {
        "exchanging gradient norms", engine->grid.stage, -1, -1, MB_TAG_SCALARS + 1, false};
    if (engine->exec.planning)
        return MB_OK;
    MB_TRY(mb_transport_group_begin(engine->transport));
    MB_TRY(start_messages(update, &requests));
    MB_TRY(mb_transport_group_end(engine->transport));
    for (int r = 0; r < requests; r++)
        MB_TRY(mb_transport_wait(engine->transport, engine->machine->comm, &update->requests[r],
                                 &note));
    return MB_OK;
}

/* Every stage gets every parameter's squared norm: each contributes its own, the rest is zero. */
static mb_status_t share_norms(mb_update_t *update)
{
    mb_engine_t *engine = update->engine;
    if (engine->grid.stages == 1 || engine->plan->graph->n_params == 0)
        return MB_OK;
    MB_TRY(exchange_norms(update));
    for (int s = 0; s < engine->grid.stages; s++) {
        mb_add_f64_args_t args = {.count = engine->plan->graph->n_params,
                                  .a = update->norms,
                                  .b = norms_of_stage(update, s),
                                  .y = update->norms};
        if (s != engine->grid.stage)
            MB_TRY(mb_run_add_f64(&engine->exec, &args));
    }
    return MB_OK;
}

mb_status_t mb_norms_measure_own(mb_update_t *update)
{
    mb_exec_t *exec = &update->engine->exec;
    int n = update->engine->plan->graph->n_params;
    mb_zero_args_t zero = {.bytes = n * (int64_t)sizeof(double), .y = update->norms};
    MB_TRY(mb_run_zero(exec, &zero));
    for (int i = 0; i < mb_pieces_count(update->pieces); i++) {
        mb_norms_args_t norms = {.table = *mb_pieces_table(update->pieces, i),
                                 .out = update->norms};
        MB_TRY(mb_run_norms(exec, &norms));
    }
    update->measured = !exec->planning;
    return MB_OK;
}

mb_status_t mb_norms_measure(mb_update_t *update)
{
    if (!update->measured)
        MB_TRY(mb_norms_measure_own(update));
    update->measured = false;
    MB_TRY(mb_stage_reduce_merge(update->engine->reduction, update->norms));
    return share_norms(update);
}
