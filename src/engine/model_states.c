/* What a model whose layers keep states from batch to batch asks of data: whole batches, in whose
 * rows sequences go on. */
#include <inttypes.h>

#include "engine/model.h"

mb_status_t mb_model_check_batches(const mb_model_t *model, const mb_source_t *source)
{
    const mb_graph_t *graph = model->graph;
    if (!graph->keeps_states || source->samples % graph->batch == 0)
        return MB_OK;
    return mb_error_set(MB_ERR_DATA,
                        "%s: %" PRId64 " samples are not whole batches of %" PRId64
                        ", the rows that the model keeps states for (stateful): leave the last "
                        "%" PRId64 " out",
                        source->path, source->samples, graph->batch,
                        source->samples % graph->batch);
}

mb_status_t mb_model_check_batch(const mb_model_t *model, int64_t batch)
{
    const mb_graph_t *graph = model->graph;
    if (!graph->keeps_states || batch == graph->batch)
        return MB_OK;
    return mb_error_set(MB_ERR_ARGUMENT,
                        "batch=%" PRId64 ": the model keeps states for %" PRId64
                        " rows (stateful); use --batch %" PRId64 ", or leave it away",
                        batch, graph->batch, graph->batch);
}
