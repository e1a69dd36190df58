/* See finite.h. Weights come to the host, which a checkpoint brings them to as well. */
#include "train/finite.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

static bool are_finite(const float *values, int64_t count)
{
    int good = 1;
    for (int64_t i = 0; i < count; i++)
        good &= fabsf(values[i]) <= FLT_MAX;
    return good;
}

static mb_status_t refuse(const mb_param_t *param)
{
    return mb_error_set(MB_ERR_NUMERIC, "weight '%s' holds values that are not finite",
                        param->path);
}

/* PLACE: room for the weight on the host; NULL where the host reads the device's memory. */
static mb_status_t check(mb_engine_t *engine, int param, float *place)
{
    const mb_param_t *p = &engine->stage->graph->params[param];
    const float *values = engine->stage->values[param];
    size_t bytes = sizeof *values * (size_t)p->elements;
    if (place != NULL)
        MB_TRY(mb_exec_copy(&engine->exec, place, values, bytes, MB_COPY_TO_HOST));
    MB_TRY(mb_exec_sync(&engine->exec));
    if (are_finite(place == NULL ? values : place, p->elements))
        return MB_OK;
    return refuse(p);
}

static int64_t largest(const mb_stage_t *stage)
{
    int64_t most = 1;
    for (int i = 0; i < stage->n_params; i++) {
        int64_t elements = stage->graph->params[stage->params[i]].elements;
        most = elements > most ? elements : most;
    }
    return most;
}

static mb_status_t take_place(mb_engine_t *engine, float **place)
{
    mb_device_t *device = engine->exec.device;
    size_t bytes = sizeof **place * (size_t)largest(engine->stage);
    if (device->class_->host_visible(device))
        return MB_OK;
    *place = malloc(bytes);
    return *place == NULL ? mb_error_memory("a weight on the host", bytes) : MB_OK;
}

static mb_status_t check_one(const mb_update_t *update, const mb_snapshot_t *snapshot, int param,
                             float *place)
{
    mb_engine_t *engine = update->engine;
    if (engine->stage->values[param] == NULL ||
        (snapshot != NULL && !mb_snapshot_writes(engine, update, param)))
        return MB_OK;
    if (snapshot == NULL || !update->copied || !mb_snapshot_has(snapshot, param, -1))
        return check(engine, param, place);
    return snapshot->copies[param].not_finite ? refuse(&engine->stage->graph->params[param])
                                              : MB_OK;
}

mb_status_t mb_weights_check_finite(const mb_update_t *update, const mb_snapshot_t *snapshot)
{
    float *place = NULL;
    if (mb_engine_idle(update->engine))
        return MB_OK;
    const mb_stage_t *stage = update->engine->stage;
    mb_status_t status = take_place(update->engine, &place);
    for (int i = 0; i < stage->n_params && status == MB_OK; i++)
        status = check_one(update, snapshot, stage->params[i], place);
    free(place);
    return status;
}
