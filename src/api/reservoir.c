/* The public reservoir: a bounded choice of a stream (data/sieve.h). */
#include "api/reservoir.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/philox.h"
#include "data/internal.h"
#include "data/sieve.h"

struct mb_reservoir {
    mb_context_t *context;
    bool newest;
    int64_t capacity;
    uint64_t seed;
    int n_fields;
    mb_held_t fields[MB_HELD_MOST]; /* names are owned */
    mb_sieve_t *sieve;              /* NULL before the first sample and update */
    int users;                      /* trainers */
    double seconds;                 /* of adding, not asked for yet */
};

static mb_status_t take_policy(const char *policy, bool *newest)
{
    *newest = strcmp(policy, "newest") == 0;
    if (*newest || strcmp(policy, "uniform") == 0)
        return MB_OK;
    return mb_error_set(
        MB_ERR_ARGUMENT,
        "mb_reservoir_create: there is no policy '%s'; there are uniform and newest", policy);
}

mb_status_t mb_reservoir_create(mb_context_t *context, const char *policy, int64_t capacity,
                                uint64_t seed, mb_reservoir_t **out)
{
    bool newest;
    MB_NEED(context);
    MB_NEED(policy);
    MB_TRY(mb_api_need(out, __func__, "reservoir"));
    MB_TRY(take_policy(policy, &newest));
    if (capacity < 1)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "mb_reservoir_create: a capacity of %" PRId64
                            " samples; at least 1 is needed",
                            capacity);
    mb_reservoir_t *made = calloc(1, sizeof *made);
    if (made == NULL)
        return mb_error_memory("a reservoir", sizeof *made);
    *made =
        (mb_reservoir_t){.context = context, .newest = newest, .capacity = capacity, .seed = seed};
    context->users++;
    *out = made;
    return MB_OK;
}

static int find(const mb_reservoir_t *reservoir, const char *name)
{
    int i = 0;
    while (i < reservoir->n_fields && strcmp(reservoir->fields[i].name, name) != 0)
        i++;
    return i;
}

static mb_status_t add_field(mb_reservoir_t *reservoir, const char *name, mb_held_t field)
{
    int at = find(reservoir, name);
    if (at == MB_HELD_MOST)
        return mb_error_set(MB_ERR_ARGUMENT, "mb_reservoir_set_shape: more than %d names",
                            MB_HELD_MOST);
    field.name = at < reservoir->n_fields ? reservoir->fields[at].name : strdup(name);
    if (field.name == NULL)
        return mb_error_memory("a name", strlen(name));
    reservoir->n_fields += at == reservoir->n_fields;
    reservoir->fields[at] = field;
    return MB_OK;
}

mb_status_t mb_reservoir_set_shape(mb_reservoir_t *reservoir, const char *name, mb_type_t type,
                                   int rank, const int64_t *shape)
{
    int64_t whole[MB_MAX_DIMS + 1] = {0};
    mb_held_t field = {0};
    MB_NEED(reservoir);
    MB_NEED(name);
    if (rank < 0 || rank > MB_MAX_DIMS)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "mb_reservoir_set_shape: '%s' has %d dimensions a sample; there are 0 "
                            "to %d",
                            name, rank, MB_MAX_DIMS);
    if (rank > 0) {
        MB_NEED(shape);
        memcpy(whole + 1, shape, (size_t)rank * sizeof *shape);
    }
    if (reservoir->sieve != NULL)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "mb_reservoir_set_shape: '%s' comes after the first "
                            "samples; name all before them",
                            name);
    MB_TRY(mb_api_array_type(__func__, type, &field.dtype));
    MB_TRY(mb_api_array_shape(__func__, name, rank + 1, whole, 0, &field.shape));
    return add_field(reservoir, name, field);
}

static mb_status_t begin(mb_reservoir_t *reservoir, const char *function)
{
    if (reservoir->sieve != NULL)
        return MB_OK;
    if (reservoir->n_fields == 0)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "%s: the reservoir has no names; call mb_reservoir_set_shape for each "
                            "input and output first",
                            function);
    const mb_sieve_options_t options = {.newest = reservoir->newest,
                                        .capacity = reservoir->capacity,
                                        .seed = reservoir->seed,
                                        .n_fields = reservoir->n_fields,
                                        .fields = reservoir->fields};
    return mb_sieve_create(reservoir->context->comm, &options, &reservoir->sieve);
}

mb_status_t mb_reservoir_add(mb_reservoir_t *reservoir, int64_t count, const void *const *data)
{
    MB_NEED(reservoir);
    if (count < 0)
        return mb_error_set(MB_ERR_ARGUMENT, "mb_reservoir_add: %" PRId64 " samples", count);
    MB_TRY(begin(reservoir, __func__));
    if (count == 0)
        return MB_OK;
    MB_NEED(data);
    for (int f = 0; f < reservoir->n_fields; f++) {
        if (data[f] == NULL)
            return mb_error_set(MB_ERR_ARGUMENT, "mb_reservoir_add: data[%d], of '%s', is NULL", f,
                                reservoir->fields[f].name);
    }
    double begun = mb_time_seconds();
    mb_status_t status = mb_sieve_offer(reservoir->sieve, count, data);
    reservoir->seconds += mb_time_seconds() - begun;
    return status;
}

double mb_api_reservoir_seconds(mb_reservoir_t *reservoir)
{
    double seconds = reservoir->seconds;
    reservoir->seconds = 0;
    return seconds;
}

static uint64_t digest_of(const mb_reservoir_t *reservoir)
{
    uint64_t digest = mb_digest_add(reservoir->seed, (uint64_t)reservoir->capacity);
    digest = mb_digest_add(digest, reservoir->newest);
    for (int f = 0; f < reservoir->n_fields; f++) {
        const mb_held_t *field = &reservoir->fields[f];
        digest = mb_digest_add(digest, mb_hash_name(field->name));
        digest = mb_digest_add(digest, (uint64_t)field->dtype);
        for (int i = 0; i < field->shape.rank; i++)
            digest = mb_digest_add(digest, (uint64_t)field->shape.dim[i]);
    }
    return digest;
}

mb_status_t mb_api_reservoir_update(mb_reservoir_t *reservoir)
{
    mb_comm_t *comm = reservoir->context->comm;
    MB_TRY(mb_comm_agree(comm, begin(reservoir, "mb_reservoir_update")));
    MB_TRY(mb_api_same(comm, digest_of(reservoir), "reservoir's policy, capacity, seed and names"));
    return mb_sieve_update(reservoir->sieve);
}

mb_status_t mb_reservoir_update(mb_reservoir_t *reservoir)
{
    MB_NEED(reservoir);
    MB_TRY(mb_api_need_idle(reservoir->context, __func__));
    mb_status_t status = MB_OK;
    if (reservoir->users > 0)
        status =
            mb_error_set(MB_ERR_ARGUMENT, "mb_reservoir_update: a trainer reads the reservoir; "
                                          "mb_trainer_renew updates it for the trainer");
    MB_TRY(mb_comm_agree(reservoir->context->comm, status));
    return mb_api_reservoir_update(reservoir);
}

mb_status_t mb_reservoir_count(const mb_reservoir_t *reservoir, int64_t *own, int64_t *all,
                               int64_t *stream)
{
    mb_sieve_counts_t counts = {0};
    MB_NEED(reservoir);
    if (reservoir->sieve != NULL)
        counts = mb_sieve_counts(reservoir->sieve);
    if (own != NULL)
        *own = counts.own;
    if (all != NULL)
        *all = counts.all;
    if (stream != NULL)
        *stream = counts.stream;
    return MB_OK;
}

mb_status_t mb_reservoir_get(const mb_reservoir_t *reservoir, const char *name, int64_t *count,
                             const void **data)
{
    MB_NEED(reservoir);
    MB_NEED(name);
    MB_NEED(count);
    MB_NEED(data);
    int at = find(reservoir, name);
    if (at == reservoir->n_fields)
        return mb_error_set(MB_ERR_ARGUMENT, "mb_reservoir_get: there is no '%s' in the reservoir",
                            name);
    *count = reservoir->sieve == NULL ? 0 : mb_sieve_counts(reservoir->sieve).own;
    *data = *count == 0 ? NULL : mb_sieve_kept(reservoir->sieve, at).data;
    return MB_OK;
}

void mb_api_reservoir_use(mb_reservoir_t *reservoir, int more)
{
    reservoir->users += more;
}

bool mb_api_reservoir_is_of(const mb_reservoir_t *reservoir, const mb_context_t *context)
{
    return reservoir->context == context;
}

mb_status_t mb_api_reservoir_samples(const mb_reservoir_t *reservoir, mb_api_samples_t *samples)
{
    for (int f = 0; f < reservoir->n_fields; f++) {
        const mb_held_t kept = mb_sieve_kept(reservoir->sieve, f);
        MB_TRY(mb_api_samples_put(samples, &kept, mb_sieve_counts(reservoir->sieve).own));
    }
    return MB_OK;
}

mb_status_t mb_reservoir_destroy(mb_reservoir_t *reservoir)
{
    if (reservoir == NULL)
        return MB_OK;
    if (reservoir->users > 0)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "mb_reservoir_destroy: a trainer reads the reservoir; destroy the "
                            "trainer first");
    mb_sieve_destroy(reservoir->sieve);
    for (int f = 0; f < reservoir->n_fields; f++)
        free((char *)(uintptr_t)reservoir->fields[f].name);
    reservoir->context->users--;
    free(reservoir);
    return MB_OK;
}
