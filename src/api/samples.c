/* See samples.h. */
#include "api/samples.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static mb_status_t check(const char *function, const mb_api_array_t *array)
{
    MB_TRY(mb_api_need(array->name, function, "name"));
    MB_TRY(mb_api_need(array->shape, function, "shape"));
    if (array->where != MB_HOST && array->where != MB_DEVICE)
        return mb_error_set(MB_ERR_ARGUMENT, "%s: %d is no mb_where_t", function,
                            (int)array->where);
    return MB_OK;
}

/* Of C order unless others are given. */
static void take_strides(const mb_api_array_t *array, mb_held_t *held)
{
    int64_t next = (int64_t)mb_dtype_bytes(held->dtype);
    for (int i = held->shape.rank - 1; i >= 0; i--) {
        held->strides[i] = array->strides == NULL ? next : array->strides[i + 1];
        next *= held->shape.dim[i];
    }
    held->stride = array->strides == NULL ? next : array->strides[0];
}

/* The place of a name: where it is, or behind the others. */
static int find(const mb_api_samples_t *samples, const char *name)
{
    int i = 0;
    while (i < samples->count && strcmp(samples->fields[i].name, name) != 0)
        i++;
    return i;
}

static mb_status_t take_name(mb_api_samples_t *samples, const char *name, int *at)
{
    *at = find(samples, name);
    if (*at < samples->count)
        return MB_OK;
    if (samples->count == MB_HELD_MOST)
        return mb_error_set(MB_ERR_ARGUMENT, "samples for more than %d names", MB_HELD_MOST);
    samples->fields[*at].name = strdup(name);
    if (samples->fields[*at].name == NULL)
        return mb_error_memory("a name", strlen(name));
    samples->count++;
    return MB_OK;
}

mb_status_t mb_api_samples_put(mb_api_samples_t *samples, const mb_held_t *held, int64_t count)
{
    int at;
    MB_TRY(take_name(samples, held->name, &at));
    const char *name = samples->fields[at].name;
    samples->fields[at] = *held;
    samples->fields[at].name = name;
    samples->samples[at] = count;
    return MB_OK;
}

mb_status_t mb_api_samples_set(mb_api_samples_t *samples, const char *function,
                               const mb_api_array_t *array)
{
    mb_held_t held = {
        .name = array->name, .data = array->data, .on_device = array->where == MB_DEVICE};
    MB_TRY(check(function, array));
    MB_TRY(mb_api_array_type(function, array->type, &held.dtype));
    MB_TRY(mb_api_array_shape(function, array->name, array->rank, array->shape, 0, &held.shape));
    if (array->shape[0] > 0)
        MB_TRY(mb_api_need(array->data, function, "data"));
    take_strides(array, &held);
    return mb_api_samples_put(samples, &held, array->shape[0]);
}

static mb_status_t check_counts(const mb_api_samples_t *samples)
{
    for (int i = 1; i < samples->count; i++) {
        if (samples->samples[i] != samples->samples[0])
            return mb_error_set(MB_ERR_SHAPE,
                                "of '%s' there are %" PRId64 " samples and of '%s' %" PRId64
                                "; a rank gives as many for each name",
                                samples->fields[0].name, samples->samples[0],
                                samples->fields[i].name, samples->samples[i]);
    }
    return MB_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const mb_held_t *)a)->name, ((const mb_held_t *)b)->name);
}

mb_status_t mb_api_samples_open(mb_api_samples_t *samples, mb_comm_t *all, mb_comm_t *comm,
                                const char *device, mb_source_t **out)
{
    MB_TRY(mb_comm_agree(all, check_counts(samples)));
    /* Ranks may have named them in different orders. */
    qsort(samples->fields, (size_t)samples->count, sizeof samples->fields[0], by_name);
    const mb_held_options_t options = {.all = all,
                                       .comm = comm,
                                       .device = device,
                                       .n_fields = samples->count,
                                       .fields = samples->fields,
                                       .samples = samples->samples[0]};
    return mb_source_hold(&options, out);
}

void mb_api_samples_free(mb_api_samples_t *samples)
{
    for (int i = 0; i < samples->count; i++)
        free((char *)(uintptr_t)samples->fields[i].name);
    samples->count = 0;
}
