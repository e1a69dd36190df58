/* The asker's side: see asks.h. */
#include "data/asks_private.h"

#include <stdlib.h>
#include <string.h>

static void release(mb_asks_t *asks)
{
    if (asks != NULL)
        free(asks->open_part);
    free(asks);
}

static mb_asks_t *allocate(mb_comm_t *comm)
{
    int size = mb_comm_size(comm);
    mb_asks_t *asks = calloc(1, sizeof *asks);
    if (asks == NULL)
        return NULL;
    asks->comm = comm;
    asks->rank = mb_comm_rank(comm);
    asks->open_part = malloc((size_t)size * sizeof *asks->open_part);
    for (int r = 0; asks->open_part != NULL && r < size; r++)
        asks->open_part[r] = -1;
    if (asks->open_part != NULL)
        return asks;
    release(asks);
    return NULL;
}

mb_status_t mb_asks_create(mb_comm_t *comm, const mb_asks_hooks_t *hooks, mb_asks_t **out)
{
    int size = mb_comm_size(comm);
    mb_asks_t *asks = allocate(comm);
    mb_status_t status = asks == NULL ? mb_error_memory("samples of other ranks", (size_t)size)
                                      : mb_comm_add_progress(comm, mb_asks_serve, asks);
    status = mb_comm_agree(comm, status);
    if (status != MB_OK) {
        if (asks != NULL)
            mb_comm_remove_progress(comm, asks);
        release(asks);
        return status;
    }
    asks->hooks = *hooks;
    *out = asks;
    return mb_asks_listen(asks);
}

static mb_parcel_t *spare_parcel(mb_asks_t *asks)
{
    mb_parcel_t *parcel = asks->spare;
    if (parcel == NULL)
        return calloc(1, sizeof *parcel);
    asks->spare = parcel->next;
    parcel->next = NULL;
    return parcel;
}

static void keep_spare(mb_asks_t *asks, mb_parcel_t *parcel)
{
    if (parcel == NULL)
        return;
    parcel->next = asks->spare;
    asks->spare = parcel;
}

static mb_status_t ask(mb_asks_t *asks, mb_parcel_t *parcel)
{
    size_t bytes = (size_t)asks->hooks.bytes(asks->hooks.user, parcel->field);
    for (int p = 0; p < parcel->n_parts; p++) {
        mb_ask_part_t *part = &parcel->parts[p];
        size_t list = (size_t)part->ask.count * sizeof part->ask.samples[0];
        size_t all = (size_t)part->ask.count * bytes;
        part->ask.asker = asks->rank;
        part->ask.field = parcel->field;
        MB_TRY(mb_comm_irecv(asks->comm, parcel->memory + (size_t)part->first * bytes, all,
                             part->owner, MB_TAG_SAMPLES_SENT, &part->arrives));
        MB_TRY(mb_comm_isend(asks->comm, &part->ask, offsetof(mb_ask_t, samples) + list,
                             part->owner, MB_TAG_SAMPLES_ASK, &part->asked));
        asks->received += (int64_t)all;
    }
    return MB_OK;
}

static void append(mb_asks_t *asks, mb_parcel_t *parcel)
{
    if (asks->expected == NULL)
        asks->expected = parcel;
    else
        asks->last->next = parcel;
    asks->last = parcel;
}

mb_status_t mb_asks_expect(mb_asks_t *asks, int field, const int64_t *samples, int64_t count)
{
    mb_parcel_t *parcel = spare_parcel(asks);
    if (parcel == NULL)
        return mb_error_memory("samples of other ranks", sizeof *parcel);
    mb_status_t status = mb_parcel_plan(asks, parcel, field, samples, count);
    if (status != MB_OK) {
        keep_spare(asks, parcel);
        return status;
    }
    append(asks, parcel);
    return ask(asks, parcel);
}

/* Takes the oldest expectation of just these samples out of the list; NULL: there is none. */
static mb_parcel_t *find(mb_asks_t *asks, int field, const int64_t *samples, int64_t count)
{
    mb_parcel_t *before = NULL, *parcel = asks->expected;
    for (; parcel != NULL; before = parcel, parcel = parcel->next) {
        if (parcel->field == field && parcel->count == count &&
            memcmp(parcel->samples, samples, (size_t)count * sizeof *samples) == 0)
            break;
    }
    if (parcel == NULL)
        return NULL;
    if (before == NULL)
        asks->expected = parcel->next;
    else
        before->next = parcel->next;
    if (asks->last == parcel)
        asks->last = before;
    parcel->next = NULL;
    return parcel;
}

typedef struct {
    mb_asks_t *asks;
    mb_parcel_t *parcel;
} awaited_t;

static mb_status_t has_arrived(void *user, bool *done)
{
    const awaited_t *awaited = user;
    mb_parcel_t *parcel = awaited->parcel;
    *done = true;
    for (int p = 0; p < parcel->n_parts; p++) {
        bool asked, arrived;
        MB_TRY(mb_comm_test(awaited->asks->comm, &parcel->parts[p].asked, &asked));
        MB_TRY(mb_comm_test(awaited->asks->comm, &parcel->parts[p].arrives, &arrived));
        *done = *done && asked && arrived;
    }
    return MB_OK;
}

static mb_status_t await(mb_asks_t *asks, mb_parcel_t *parcel)
{
    awaited_t awaited = {asks, parcel};
    int peer = parcel->n_parts == 1 ? parcel->parts[0].owner : -1;
    const mb_comm_note_t note = {.action = "waiting for samples of other ranks",
                                 .stage = -1,
                                 .micro = -1,
                                 .peer = peer,
                                 .tag = MB_TAG_SAMPLES_SENT};
    return parcel->n_parts == 0 ? MB_OK : mb_comm_wait(asks->comm, has_arrived, &awaited, &note);
}

mb_status_t mb_asks_take(mb_asks_t *asks, int field, const int64_t *samples, int64_t count,
                         const char *const **at)
{
    keep_spare(asks, asks->taken);
    asks->taken = find(asks, field, samples, count);
    if (asks->taken == NULL) {
        MB_TRY(mb_asks_expect(asks, field, samples, count));
        asks->taken = find(asks, field, samples, count);
    }
    MB_TRY(await(asks, asks->taken));
    *at = asks->taken->at;
    return MB_OK;
}

int64_t mb_asks_bytes_sent(const mb_asks_t *asks)
{
    return asks->sent;
}

int64_t mb_asks_bytes_received(const mb_asks_t *asks)
{
    return asks->received;
}

static mb_status_t all_sent(void *user, bool *done)
{
    *done = mb_asks_all_sent(user);
    return MB_OK;
}

/* What is still expected arrives, everywhere; then nobody asks for anything any more. */
static mb_status_t part(mb_asks_t *asks)
{
    const mb_comm_note_t note = {
        .action = "sending samples", .stage = -1, .micro = -1, .peer = -1, .tag = -1};
    for (mb_parcel_t *parcel = asks->expected; parcel != NULL; parcel = parcel->next)
        MB_TRY(await(asks, parcel));
    MB_TRY(mb_comm_barrier(asks->comm));
    return mb_comm_wait(asks->comm, all_sent, asks, &note);
}

static void give_up(mb_asks_t *asks, mb_parcel_t *parcel)
{
    for (; parcel != NULL; parcel = parcel->next) {
        for (int p = 0; p < parcel->n_parts; p++) {
            mb_comm_cancel(asks->comm, &parcel->parts[p].asked);
            mb_comm_cancel(asks->comm, &parcel->parts[p].arrives);
        }
    }
}

void mb_asks_destroy(mb_asks_t *asks)
{
    mb_error_message_t kept;
    if (asks == NULL)
        return;
    mb_error_keep(&kept);
    if (mb_comm_failed(asks->comm, NULL, NULL) || part(asks) != MB_OK) {
        give_up(asks, asks->expected);
        give_up(asks, asks->taken);
    }
    mb_asks_stop_serving(asks);
    mb_parcel_free(asks->expected);
    mb_parcel_free(asks->taken);
    mb_parcel_free(asks->spare);
    release(asks);
    mb_error_restore(&kept);
}
