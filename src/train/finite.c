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
    return mb_error_set(MB_ERR_NUMERIC, "weight '%s' holds values that are not finite", p->path);
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

mb_status_t mb_weights_check_finite(mb_engine_t *engine)
{
    const mb_stage_t *stage = engine->stage;
    mb_device_t *device = engine->exec.device;
    float *place = NULL;
    mb_status_t status = MB_OK;
    if (mb_engine_idle(engine))
        return MB_OK;
    if (!device->class_->host_visible(device)) {
        size_t bytes = sizeof *place * (size_t)largest(stage);
        place = malloc(bytes);
        status = place == NULL ? mb_error_memory("a weight on the host", bytes) : MB_OK;
    }
    for (int i = 0; i < stage->n_params && status == MB_OK; i++) {
        if (stage->values[stage->params[i]] != NULL)
            status = check(engine, stage->params[i], place);
    }
    free(place);
    return status;
}
