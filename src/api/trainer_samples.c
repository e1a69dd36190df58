/* Who computes, and on what: ranks of the context, whole arrays, samples where they lie, or what a
 * reservoir keeps. */
#include <stdlib.h>
#include <string.h>

#include "api/trainer_private.h"
#include "base/log.h"
#include "base/philox.h"

mb_comm_t *mb_api_trainer_comm(const mb_trainer_t *trainer)
{
    return trainer->apart != NULL ? trainer->apart : trainer->context->comm;
}

bool mb_api_trainer_has_started(const mb_trainer_t *trainer)
{
    return trainer->training != NULL || trainer->absent;
}

mb_status_t mb_api_trainer_set_ranks(mb_trainer_t *trainer, const char *value)
{
    bool in;
    int first;
    MB_TRY(mb_api_need(value, "mb_trainer_set", "value"));
    mb_comm_t *comm = trainer->context->comm;
    MB_TRY(mb_api_ranks_read(value, mb_comm_size(comm), mb_comm_rank(comm), &in, &first));
    char *copy = strdup(value);
    if (copy == NULL)
        return mb_error_memory("a list of ranks", strlen(value));
    free(trainer->ranks);
    trainer->ranks = copy;
    return MB_OK;
}

int mb_api_trainer_first(const mb_trainer_t *trainer, bool *in)
{
    mb_comm_t *comm = trainer->context->comm;
    int first = 0;
    *in = true;
    if (trainer->ranks != NULL)
        mb_api_ranks_read(trainer->ranks, mb_comm_size(comm), mb_comm_rank(comm), in, &first);
    return first;
}

/* ---- samples of this rank's own */

static const mb_held_t *find(const mb_api_samples_t *samples, const char *name)
{
    for (int i = 0; i < samples->count; i++) {
        if (strcmp(samples->fields[i].name, name) == 0)
            return &samples->fields[i];
    }
    return NULL;
}

/* Once training goes on with samples, others come by the same names, for mb_trainer_renew. */
static mb_status_t check_again(const mb_trainer_t *trainer, const mb_api_array_t *array)
{
    mb_dtype_t dtype;
    mb_shape_t shape;
    const mb_held_t *held = find(&trainer->samples, array->name);
    if (trainer->samples.count == 0)
        return mb_api_trainer_before_start(trainer, "mb_trainer_set_samples");
    MB_TRY(mb_api_array_type("mb_trainer_set_samples", array->type, &dtype));
    MB_TRY(mb_api_array_shape("mb_trainer_set_samples", array->name, array->rank, array->shape, 0,
                              &shape));
    if (held != NULL && held->dtype == dtype && mb_shape_equal(&held->shape, &shape))
        return MB_OK;
    return mb_error_set(MB_ERR_SHAPE,
                        "mb_trainer_set_samples: samples '%s' of this type and shape are none that "
                        "the training began with; after the start only their number changes",
                        array->name);
}

static mb_status_t refuse_both(const char *function)
{
    return mb_error_set(MB_ERR_ARGUMENT,
                        "%s: a reservoir and samples of the rank's own together; use one of them",
                        function);
}

mb_status_t mb_trainer_set_samples(mb_trainer_t *trainer, const char *name, mb_type_t type,
                                   int rank, const int64_t *shape, const int64_t *strides,
                                   const void *data, mb_where_t where)
{
    const mb_api_array_t array = {name, type, rank, shape, strides, data, where};
    MB_NEED(trainer);
    MB_NEED(name);
    MB_NEED(shape);
    if (trainer->reservoir != NULL)
        return refuse_both(__func__);
    if (mb_api_trainer_has_started(trainer))
        MB_TRY(check_again(trainer, &array));
    return mb_api_samples_set(&trainer->samples, __func__, &array);
}

mb_status_t mb_trainer_set_reservoir(mb_trainer_t *trainer, mb_reservoir_t *reservoir)
{
    MB_TRY(mb_api_trainer_before_start(trainer, __func__));
    MB_NEED(reservoir);
    if (!mb_api_reservoir_is_of(reservoir, trainer->context))
        return mb_error_set(MB_ERR_ARGUMENT,
                            "mb_trainer_set_reservoir: the reservoir is of another context than "
                            "the trainer");
    if (trainer->reservoir == NULL && trainer->samples.count > 0)
        return refuse_both(__func__);
    if (trainer->reservoir != NULL)
        mb_api_reservoir_use(trainer->reservoir, -1);
    mb_api_samples_free(&trainer->samples);
    mb_api_reservoir_use(reservoir, 1);
    trainer->reservoir = reservoir;
    return MB_OK;
}

/* ---- the start */

static bool has_samples(const mb_trainer_t *trainer)
{
    return trainer->samples.count > 0 || trainer->reservoir != NULL;
}

/* Whole arrays, on every rank; and whether what was given goes together. */
static mb_status_t open_arrays(mb_trainer_t *trainer)
{
    int given = (trainer->arrays.count > 0) + has_samples(trainer) +
                mb_settings_has(trainer->settings, MB_SET_DATA);
    if (given > 1)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "mb_trainer_start: of arrays, samples or a reservoir, and the "
                            "setting 'data' two together; use one of them");
    if (trainer->arrays.count == 0)
        return MB_OK;
    return mb_api_arrays_open(&trainer->arrays, &trainer->source);
}

static mb_status_t check_ranks(const mb_trainer_t *trainer)
{
    mb_comm_t *comm = trainer->context->comm;
    uint64_t arrays = trainer->source == NULL ? 0 : trainer->source->digest;
    uint64_t ranks = trainer->ranks == NULL ? 0 : mb_hash_name(trainer->ranks);
    uint64_t kind = (uint64_t)has_samples(trainer) + (trainer->reservoir != NULL);
    MB_TRY(mb_api_same(comm, mb_hash_name(trainer->path), "model path"));
    MB_TRY(mb_api_same(comm, mb_api_settings_digest(trainer->settings) ^ ranks, "settings"));
    MB_TRY(mb_api_same(comm, arrays, "arrays"));
    return mb_api_same(comm, kind, "calls of mb_trainer_set_samples and _set_reservoir");
}

/* Collective over the context. */
static mb_status_t open_samples(mb_trainer_t *trainer)
{
    mb_comm_t *all = trainer->context->comm;
    const char *device = mb_settings_text(trainer->settings, MB_SET_DEVICE);
    bool named = device != NULL && strcmp(device, "auto") != 0 && strcmp(device, "cpu") != 0;
    if (trainer->reservoir != NULL) {
        MB_TRY(mb_api_reservoir_update(trainer->reservoir));
        MB_TRY(mb_comm_agree(all, mb_api_reservoir_samples(trainer->reservoir, &trainer->samples)));
    }
    return mb_api_samples_open(&trainer->samples, all, trainer->apart, named ? device : "cuda",
                               &trainer->source);
}

mb_status_t mb_api_trainer_come_together(mb_trainer_t *trainer)
{
    mb_comm_t *all = trainer->context->comm;
    bool in;
    MB_TRY(mb_comm_agree(all, open_arrays(trainer)));
    MB_TRY(check_ranks(trainer));
    if (trainer->ranks == NULL && !has_samples(trainer))
        return MB_OK;
    /* What they say to each other is apart from the context's, where the others may not listen. */
    mb_api_trainer_first(trainer, &in);
    MB_TRY(mb_comm_split(all, in, &trainer->apart));
    trainer->absent = !in;
    return has_samples(trainer) ? open_samples(trainer) : MB_OK;
}

static void close_source(mb_trainer_t *trainer)
{
    if (trainer->source != NULL)
        mb_source_close(trainer->source);
    trainer->source = NULL;
}

void mb_api_trainer_go_apart(mb_trainer_t *trainer)
{
    close_source(trainer);
    mb_comm_destroy(trainer->apart);
    trainer->apart = NULL;
    trainer->absent = false;
}

/* ---- other samples */

static mb_status_t check_renew(const mb_trainer_t *trainer)
{
    if (!mb_api_trainer_has_started(trainer))
        return mb_error_set(MB_ERR_ARGUMENT, "mb_trainer_renew: the training has not started; its "
                                             "start takes the samples as they are then");
    if (!has_samples(trainer))
        return mb_error_set(MB_ERR_ARGUMENT,
                            "mb_trainer_renew: the training is on data that do not change; give "
                            "it mb_trainer_set_samples or mb_trainer_set_reservoir before the "
                            "start");
    if (mb_settings_has(trainer->settings, MB_SET_RUN))
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "mb_trainer_renew: with the setting 'run' the data stay as they are, "
                            "since a run goes on from its checkpoints with them; leave 'run' away "
                            "and use mb_trainer_save");
    return MB_OK;
}

/* Old messages have arrived everywhere before new ones are sent. */
static mb_status_t renew(mb_trainer_t *trainer)
{
    mb_status_t status = MB_OK;
    if (!trainer->absent)
        status = mb_training_let_go(trainer->training);
    MB_TRY(mb_comm_agree(trainer->context->comm, status));
    close_source(trainer);
    MB_TRY(open_samples(trainer));
    if (!trainer->absent)
        status = mb_training_renew(trainer->training, trainer->source);
    return mb_comm_agree(trainer->context->comm, status);
}

mb_status_t mb_trainer_renew(mb_trainer_t *trainer)
{
    MB_NEED(trainer);
    MB_TRY(mb_api_need_idle(trainer->context, __func__));
    MB_TRY(mb_comm_agree(trainer->context->comm, check_renew(trainer)));
    trainer->bereft = true;
    double begun = mb_time_seconds(); /* all ranks have come */
    mb_api_kept_t kept = mb_api_enter();
    mb_status_t status = renew(trainer);
    mb_api_leave(&kept);
    trainer->pace.spent += mb_time_seconds() - begun;
    trainer->bereft = status != MB_OK;
    return status;
}
