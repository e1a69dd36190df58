/* See handover.h. */
#include "train/handover.h"

#include <stdlib.h>
#include <string.h>

#include "train/snapshot.h"
#include "train/trainer_private.h"

typedef struct {
    mb_training_t *trainer;
    mb_session_t *session;
    const mb_graph_t *graph; /* the trainer's */
    uint8_t *writers;        /* [ranks][n_params] who has a parameter */
    float *values;           /* of one */
} handover_t;

static int64_t longest(const mb_graph_t *graph)
{
    int64_t most = 1;
    for (int p = 0; p < graph->n_params; p++)
        most = graph->params[p].elements > most ? graph->params[p].elements : most;
    return most;
}

static mb_status_t check_param(const handover_t *h, int p)
{
    const mb_stage_t *stage = h->session->engine->stage;
    const mb_param_t *ours = &h->graph->params[p];
    const mb_param_t *theirs = &h->session->model->graph->params[p];
    if (strcmp(ours->path, theirs->path) != 0 || !mb_shape_equal(&ours->shape, &theirs->shape))
        return mb_error_set(MB_ERR_SHAPE,
                            "the predictor's model '%s' is not the trainer's: number %d of its "
                            "weights is '%s' there and '%s' here, or of another shape",
                            h->session->model->file->path, p + 1, theirs->path, ours->path);
    if (stage != NULL && stage->stored[p] != NULL)
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "'%s' is quantized, and a trainer's weights are float32: make the "
                            "predictor of the file that the trainer was made of",
                            h->session->model->file->path);
    return MB_OK;
}

static mb_status_t check_models(const handover_t *h)
{
    int theirs = h->session->model->graph->n_params;
    if (h->graph->n_params != theirs)
        return mb_error_set(MB_ERR_SHAPE,
                            "the predictor's model '%s' is not the trainer's: it has %d weights "
                            "and that %d",
                            h->session->model->file->path, theirs, h->graph->n_params);
    for (int p = 0; p < h->graph->n_params; p++)
        MB_TRY(check_param(h, p));
    return MB_OK;
}

static mb_status_t take_memory(handover_t *h)
{
    size_t params = (size_t)h->graph->n_params, ranks = (size_t)mb_comm_size(h->trainer->comm);
    size_t bytes = (size_t)longest(h->graph) * sizeof(float);
    h->writers = calloc(ranks * params + 1, 1);
    h->values = malloc(bytes);
    return h->writers == NULL || h->values == NULL
               ? mb_error_memory("weights on their way to a predictor", bytes)
               : MB_OK;
}

static mb_status_t find_writers(handover_t *h)
{
    mb_comm_t *comm = h->trainer->comm;
    size_t params = (size_t)h->graph->n_params;
    uint8_t *own = calloc(params + 1, 1);
    mb_status_t status = own == NULL ? mb_error_memory("a list of weights", params) : MB_OK;
    status = mb_comm_agree(comm, status);
    for (size_t p = 0; p < params && status == MB_OK; p++)
        own[p] = mb_snapshot_writes(h->trainer->engine, h->trainer->update, (int)p);
    if (status == MB_OK)
        status = mb_comm_allgather(comm, own, params, h->writers);
    free(own);
    return status;
}

static int writer_of(const handover_t *h, int p)
{
    int rank = 0, ranks = mb_comm_size(h->trainer->comm);
    while (rank < ranks - 1 && h->writers[rank * h->graph->n_params + p] == 0)
        rank++;
    return rank;
}

/* Into VALUES, behind all steps. */
static mb_status_t read_values(const handover_t *h, int p)
{
    mb_training_t *trainer = h->trainer;
    mb_exec_t *exec = &trainer->engine->exec;
    size_t bytes = (size_t)h->graph->params[p].elements * sizeof(float);
    bool averaged =
        trainer->finished && trainer->optimizer->averages && h->graph->params[p].trainable;
    int slot = averaged ? mb_optimizer_average_slot(trainer->optimizer) : -1;
    MB_TRY(slot >= 0 ? mb_update_read_slot(trainer->update, p, slot, h->values, bytes)
                     : mb_exec_copy(exec, h->values, trainer->engine->stage->values[p], bytes,
                                    MB_COPY_TO_HOST));
    return mb_exec_sync(exec);
}

static mb_status_t write_values(const handover_t *h, int p)
{
    mb_engine_t *engine = h->session->engine;
    size_t bytes = (size_t)h->graph->params[p].elements * sizeof(float);
    if (mb_engine_idle(engine) || engine->stage->values[p] == NULL)
        return MB_OK;
    MB_TRY(
        mb_exec_copy(&engine->exec, engine->stage->values[p], h->values, bytes, MB_COPY_TO_DEVICE));
    return mb_exec_sync(&engine->exec);
}

static mb_status_t hand_over(handover_t *h)
{
    mb_comm_t *comm = h->trainer->comm;
    MB_TRY(mb_comm_agree(comm, check_models(h)));
    MB_TRY(mb_comm_agree(comm, take_memory(h)));
    MB_TRY(find_writers(h));
    mb_status_t status = MB_OK;
    for (int p = 0; p < h->graph->n_params; p++) {
        int writer = writer_of(h, p);
        if (status == MB_OK && writer == mb_comm_rank(comm))
            status = read_values(h, p);
        MB_TRY(mb_comm_broadcast(comm, h->values,
                                 (size_t)h->graph->params[p].elements * sizeof(float), writer));
        if (status == MB_OK)
            status = write_values(h, p);
    }
    return mb_comm_agree(comm, status);
}

mb_status_t mb_training_hand_over(mb_training_t *trainer, mb_session_t *session)
{
    handover_t h = {.trainer = trainer, .session = session, .graph = trainer->model->graph};
    mb_comm_doing(trainer->comm, "handing weights to a predictor");
    mb_status_t status = hand_over(&h);
    free(h.writers);
    free(h.values);
    return status;
}
