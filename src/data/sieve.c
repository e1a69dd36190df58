/* See sieve.h. */
#include "base/philox.h"
#include "data/sieve_private.h"

#include <stdlib.h>
#include <string.h>

static int64_t block_start(const mb_sieve_t *sieve, int rank)
{
    int64_t ranks = mb_comm_size(sieve->comm);
    int64_t each = sieve->capacity / ranks, more = sieve->capacity % ranks;
    return each * rank + (rank < more ? rank : more);
}

static mb_status_t take_field(mb_sieve_t *sieve, const mb_held_t *field)
{
    mb_held_t *own = &sieve->fields[sieve->n_fields];
    int64_t stride = (int64_t)mb_dtype_bytes(field->dtype);
    *own = (mb_held_t){.name = strdup(field->name), .shape = field->shape, .dtype = field->dtype};
    if (own->name == NULL)
        return mb_error_memory("a name", strlen(field->name));
    for (int i = field->shape.rank - 1; i >= 0; i--) {
        own->strides[i] = stride;
        stride *= field->shape.dim[i];
    }
    own->stride = stride;
    sieve->n_fields++;
    return MB_OK;
}

mb_status_t mb_sieve_create(mb_comm_t *comm, const mb_sieve_options_t *options, mb_sieve_t **out)
{
    mb_status_t status = MB_OK;
    mb_sieve_t *sieve = calloc(1, sizeof *sieve);
    if (sieve == NULL)
        return mb_error_memory("a reservoir", sizeof *sieve);
    sieve->comm = comm;
    sieve->newest = options->newest;
    sieve->capacity = options->capacity;
    sieve->seed = options->seed;
    sieve->first = block_start(sieve, mb_comm_rank(comm));
    sieve->slots = block_start(sieve, mb_comm_rank(comm) + 1) - sieve->first;
    for (int f = 0; f < options->n_fields && status == MB_OK; f++)
        status = take_field(sieve, &options->fields[f]);
    if (status == MB_OK)
        *out = sieve;
    else
        mb_sieve_destroy(sieve);
    return status;
}

/* ---- what is offered */

static mb_status_t grow(mb_sieve_t *sieve, int64_t wanted)
{
    int64_t room = 2 * sieve->room > wanted ? 2 * sieve->room : wanted;
    for (int f = 0; f < sieve->n_fields; f++) {
        size_t bytes = (size_t)(room * sieve->fields[f].stride);
        char *grown = realloc(sieve->offered[f], bytes);
        if (grown == NULL)
            return mb_error_memory("samples offered to a reservoir", bytes);
        sieve->offered[f] = grown;
    }
    sieve->room = room;
    return MB_OK;
}

mb_status_t mb_sieve_offer(mb_sieve_t *sieve, int64_t count, const void *const *data)
{
    if (sieve->waiting + count > sieve->room)
        MB_TRY(grow(sieve, sieve->waiting + count));
    for (int f = 0; f < sieve->n_fields && count > 0; f++) {
        int64_t bytes = sieve->fields[f].stride;
        memcpy(sieve->offered[f] + sieve->waiting * bytes, data[f], (size_t)(count * bytes));
    }
    sieve->waiting += count;
    return MB_OK;
}

static void forget_offered(mb_sieve_t *sieve)
{
    for (int f = 0; f < sieve->n_fields; f++) {
        free(sieve->offered[f]);
        sieve->offered[f] = NULL;
    }
    free(sieve->offered_keys);
    sieve->offered_keys = NULL;
    sieve->waiting = sieve->room = 0;
}

/* ---- an update */

static mb_sieve_key_t key_of(const mb_sieve_t *sieve, uint64_t place)
{
    const uint32_t counter[4] = {(uint32_t)place, (uint32_t)(place >> 32), 0, MB_RANDOM_RESERVOIR};
    const uint32_t key[2] = {(uint32_t)sieve->seed, (uint32_t)(sieve->seed >> 32)};
    uint32_t words[4];
    if (sieve->newest)
        return (mb_sieve_key_t){.high = UINT64_MAX - place};
    mb_philox(counter, key, words);
    return (mb_sieve_key_t){(uint64_t)words[0] << 32 | words[1],
                            (uint64_t)words[2] << 32 | words[3]};
}

/* Room for what may come in. */
static mb_status_t prepare(mb_sieve_t *sieve, mb_sieve_change_t *change)
{
    size_t offered = (size_t)sieve->waiting + 1, slots = (size_t)sieve->slots + 1;
    sieve->offered_keys = malloc(offered * sizeof *sieve->offered_keys);
    change->in = malloc(offered * sizeof *change->in);
    change->free_slots = malloc(slots * sizeof *change->free_slots);
    if (sieve->offered_keys == NULL || change->in == NULL || change->free_slots == NULL)
        return mb_error_memory("a reservoir's keys", offered * sizeof *sieve->offered_keys);
    if (sieve->keys != NULL)
        return MB_OK;
    for (int f = 0; f < sieve->n_fields; f++) {
        size_t bytes = slots * (size_t)sieve->fields[f].stride;
        if (sieve->fields[f].data == NULL)
            sieve->fields[f].data = malloc(bytes);
        if (sieve->fields[f].data == NULL)
            return mb_error_memory("a reservoir's samples", bytes);
    }
    sieve->keys = malloc(slots * sizeof *sieve->keys);
    return sieve->keys == NULL ? mb_error_memory("a reservoir's keys", slots) : MB_OK;
}

/* Keys of what was offered, by its places in the stream; *TOTAL: offered to all. */
static mb_status_t name_offered(mb_sieve_t *sieve, int64_t *total)
{
    int ranks = mb_comm_size(sieve->comm);
    int64_t *counts = malloc((size_t)ranks * sizeof *counts), before = sieve->stream;
    mb_status_t status = counts == NULL ? mb_error_memory("a reservoir's counts", 0) : MB_OK;
    status = mb_comm_agree(sieve->comm, status);
    if (status == MB_OK)
        status = mb_comm_allgather(sieve->comm, &sieve->waiting, sizeof sieve->waiting, counts);
    *total = 0;
    for (int r = 0; r < ranks && status == MB_OK; r++) {
        before += r < mb_comm_rank(sieve->comm) ? counts[r] : 0;
        *total += counts[r];
    }
    free(counts);
    for (int64_t i = 0; i < sieve->waiting && status == MB_OK; i++)
        sieve->offered_keys[i] = key_of(sieve, (uint64_t)(before + i));
    return status;
}

/* What of this rank's goes, and what of it comes in: nothing above LARGEST stays. */
static void compare(const mb_sieve_t *sieve, mb_sieve_key_t largest, mb_sieve_change_t *change)
{
    for (int64_t i = 0; i < sieve->used; i++) {
        if (mb_sieve_key_above(sieve->keys[i], largest))
            change->free_slots[change->n_free++] = i;
    }
    for (int64_t i = sieve->used; i < sieve->slots; i++)
        change->free_slots[change->n_free++] = i;
    for (int64_t i = 0; i < sieve->waiting; i++) {
        if (!mb_sieve_key_above(sieve->offered_keys[i], largest))
            change->in[change->n_in++] = i;
    }
}

static mb_status_t take_in(mb_sieve_t *sieve, mb_sieve_change_t *change)
{
    mb_sieve_key_t largest = {UINT64_MAX, UINT64_MAX};
    int64_t total;
    MB_TRY(mb_comm_agree(sieve->comm, prepare(sieve, change)));
    MB_TRY(name_offered(sieve, &total));
    int64_t all = sieve->all + total < sieve->capacity ? sieve->all + total : sieve->capacity;
    if (sieve->all + total > sieve->capacity)
        MB_TRY(mb_sieve_select(sieve, &largest));
    compare(sieve, largest, change);
    MB_TRY(mb_sieve_move(sieve, change));
    int64_t used = all - sieve->first;
    sieve->used = used < 0 ? 0 : used < sieve->slots ? used : sieve->slots;
    sieve->all = all;
    sieve->stream += total;
    return MB_OK;
}

mb_status_t mb_sieve_update(mb_sieve_t *sieve)
{
    mb_sieve_change_t change = {0};
    mb_status_t status = take_in(sieve, &change);
    free(change.in);
    free(change.free_slots);
    free(sieve->offered_keys);
    sieve->offered_keys = NULL;
    if (status == MB_OK)
        forget_offered(sieve);
    return status;
}

mb_sieve_counts_t mb_sieve_counts(const mb_sieve_t *sieve)
{
    return (mb_sieve_counts_t){
        .own = sieve->used, .all = sieve->all, .stream = sieve->stream, .waiting = sieve->waiting};
}

mb_held_t mb_sieve_kept(const mb_sieve_t *sieve, int field)
{
    return sieve->fields[field];
}

int64_t mb_sieve_bytes(const mb_sieve_t *sieve)
{
    int64_t bytes = 0;
    for (int f = 0; f < sieve->n_fields; f++)
        bytes += sieve->fields[f].stride *
                 (sieve->room + (sieve->fields[f].data == NULL ? 0 : sieve->slots));
    return bytes;
}

void mb_sieve_destroy(mb_sieve_t *sieve)
{
    if (sieve == NULL)
        return;
    forget_offered(sieve);
    for (int f = 0; f < sieve->n_fields; f++) {
        free((char *)(uintptr_t)sieve->fields[f].name);
        free((char *)(uintptr_t)sieve->fields[f].data);
    }
    free(sieve->keys);
    free(sieve);
}
