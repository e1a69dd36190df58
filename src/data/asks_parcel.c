/* What of a list of samples other ranks have, cut into messages: samples of one owner stand
 * together in the parcel's memory, in the order in which they are asked for. Memory grows in the
 * first steps and is used again. */
#include "data/asks_private.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* Makes *MEMORY at least COUNT elements of SIZE bytes; what is in it goes. */
static bool need(void *memory, size_t count, size_t size)
{
    void **place = memory;
    free(*place);
    *place = malloc(count * size + 1);
    return *place != NULL;
}

static mb_status_t need_samples(mb_parcel_t *parcel, int64_t count)
{
    size_t n = (size_t)count;
    if (count <= parcel->capacity)
        return MB_OK;
    parcel->capacity = count;
    if (need(&parcel->samples, n, sizeof *parcel->samples) &&
        need(&parcel->order, 2 * n, sizeof *parcel->order) &&
        need((void *)&parcel->at, n, sizeof *parcel->at))
        return MB_OK;
    parcel->capacity = 0;
    return mb_error_memory("a list of samples", n * sizeof *parcel->samples);
}

static mb_status_t add_part(mb_parcel_t *parcel, int owner)
{
    if (parcel->n_parts == parcel->most_parts) {
        int most = 2 * parcel->most_parts + 4;
        void *grown = realloc(parcel->parts, (size_t)most * sizeof *parcel->parts);
        if (grown == NULL)
            return mb_error_memory("messages for samples", (size_t)most * sizeof *parcel->parts);
        parcel->parts = grown;
        parcel->most_parts = most;
    }
    mb_ask_part_t *part = &parcel->parts[parcel->n_parts++];
    part->owner = owner;
    part->ask.count = part->ask.unused = 0;
    part->asked.active = part->arrives.active = false;
    return MB_OK;
}

static int64_t most_of(int64_t bytes)
{
    int64_t most = MB_ASK_BYTES / (bytes < 1 ? 1 : bytes);
    return most < 1 ? 1 : most < MB_ASK_MOST ? most : MB_ASK_MOST;
}

/* ORDER: of each sample its part, -1: this rank's own, and its number in it. */
static mb_status_t assign(mb_asks_t *asks, mb_parcel_t *parcel, int64_t most)
{
    for (int64_t i = 0; i < parcel->count; i++) {
        int owner = asks->hooks.owner(asks->hooks.user, parcel->samples[i]);
        parcel->order[2 * i] = -1;
        if (owner == asks->rank)
            continue;
        int *open = &asks->open_part[owner];
        if (*open < 0 || parcel->parts[*open].ask.count == most) {
            MB_TRY(add_part(parcel, owner));
            *open = parcel->n_parts - 1;
        }
        mb_ask_t *ask = &parcel->parts[*open].ask;
        parcel->order[2 * i] = *open;
        parcel->order[2 * i + 1] = ask->count;
        ask->samples[ask->count++] = parcel->samples[i];
    }
    return MB_OK;
}

static mb_status_t place(mb_parcel_t *parcel, size_t bytes)
{
    int64_t places = 0;
    for (int p = 0; p < parcel->n_parts; p++) {
        parcel->parts[p].first = places;
        places += parcel->parts[p].ask.count;
    }
    if ((size_t)places * bytes > parcel->bytes) {
        parcel->bytes = (size_t)places * bytes;
        if (!need(&parcel->memory, parcel->bytes, 1)) {
            parcel->bytes = 0;
            return mb_error_memory("samples of other ranks", (size_t)places * bytes);
        }
    }
    for (int64_t i = 0; i < parcel->count; i++) {
        int64_t part = parcel->order[2 * i];
        parcel->at[i] = NULL;
        if (part >= 0)
            parcel->at[i] = parcel->memory +
                            (size_t)(parcel->parts[part].first + parcel->order[2 * i + 1]) * bytes;
    }
    return MB_OK;
}

mb_status_t mb_parcel_plan(mb_asks_t *asks, mb_parcel_t *parcel, int field, const int64_t *samples,
                           int64_t count)
{
    int64_t bytes = asks->hooks.bytes(asks->hooks.user, field);
    MB_TRY(need_samples(parcel, count));
    memcpy(parcel->samples, samples, (size_t)count * sizeof *samples);
    parcel->field = field;
    parcel->count = count;
    parcel->n_parts = 0;
    mb_status_t status = assign(asks, parcel, most_of(bytes));
    for (int p = 0; p < parcel->n_parts; p++)
        asks->open_part[parcel->parts[p].owner] = -1;
    return status == MB_OK ? place(parcel, (size_t)bytes) : status;
}

void mb_parcel_free(mb_parcel_t *parcel)
{
    while (parcel != NULL) {
        mb_parcel_t *next = parcel->next;
        free(parcel->samples);
        free(parcel->order);
        free((void *)parcel->at);
        free(parcel->memory);
        free(parcel->parts);
        free(parcel);
        parcel = next;
    }
}
