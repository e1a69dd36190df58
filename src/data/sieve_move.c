/* Brings what comes in to the slots that are free: the numbers of the one, rank by rank, and of the
 * other are laid beside each other, and where a stretch's ends are two ranks it is sent, in
 * messages of up to 1 MiB. All ranks go through the stretches in their order, so that none waits in
 * a circle. */
#include "data/sieve_private.h"

#include <stdlib.h>
#include <string.h>

#define MESSAGE_BYTES (INT64_C(1) << 20)

typedef struct {
    int64_t in, free_slots;
} part_t;

typedef struct {
    mb_sieve_t *sieve;
    const mb_sieve_change_t *change;
    int64_t sent, filled; /* of this rank's so far */
    int64_t record;       /* bytes of a sample with its key */
    char *message;
    int64_t most; /* samples that it takes */
} move_t;

/* The next COUNT that come in, into the message. */
static void pack(move_t *move, int64_t count)
{
    const mb_sieve_t *sieve = move->sieve;
    char *to = move->message;
    for (int64_t i = 0; i < count; i++) {
        int64_t at = move->change->in[move->sent++];
        memcpy(to, &sieve->offered_keys[at], sizeof *sieve->offered_keys);
        to += sizeof *sieve->offered_keys;
        for (int f = 0; f < sieve->n_fields; f++) {
            int64_t bytes = sieve->fields[f].stride;
            memcpy(to, sieve->offered[f] + at * bytes, (size_t)bytes);
            to += bytes;
        }
    }
}

static void unpack(move_t *move, int64_t count)
{
    mb_sieve_t *sieve = move->sieve;
    const char *from = move->message;
    for (int64_t i = 0; i < count; i++) {
        int64_t slot = move->change->free_slots[move->filled++];
        memcpy(&sieve->keys[slot], from, sizeof *sieve->keys);
        from += sizeof *sieve->keys;
        for (int f = 0; f < sieve->n_fields; f++) {
            int64_t bytes = sieve->fields[f].stride;
            memcpy((char *)(uintptr_t)mb_held_place(&sieve->fields[f], slot), from, (size_t)bytes);
            from += bytes;
        }
    }
}

static mb_status_t exchange(const move_t *move, int64_t count, int peer, bool sends)
{
    const mb_comm_note_t note = {.action = "moving samples of a reservoir",
                                 .stage = -1,
                                 .micro = -1,
                                 .peer = peer,
                                 .tag = MB_TAG_SAMPLES};
    mb_comm_t *comm = move->sieve->comm;
    mb_comm_request_t request = {0};
    size_t bytes = (size_t)(count * move->record);
    if (sends)
        MB_TRY(mb_comm_isend(comm, move->message, bytes, peer, MB_TAG_SAMPLES, &request));
    else
        MB_TRY(mb_comm_irecv(comm, move->message, bytes, peer, MB_TAG_SAMPLES, &request));
    return mb_comm_wait_requests(comm, &request, 1, &note);
}

static mb_status_t move_stretch(move_t *move, int from, int to, int64_t count)
{
    int self = mb_comm_rank(move->sieve->comm);
    for (int64_t done = 0; done < count && (from == self || to == self);) {
        int64_t n = count - done < move->most ? count - done : move->most;
        if (from == self)
            pack(move, n);
        if (from != to)
            MB_TRY(exchange(move, n, from == self ? to : from, from == self));
        if (to == self)
            unpack(move, n);
        done += n;
    }
    return MB_OK;
}

static mb_status_t move_all(move_t *move, part_t *parts)
{
    int ranks = mb_comm_size(move->sieve->comm);
    for (int from = 0, to = 0; from < ranks;) {
        if (parts[from].in == 0) {
            from++;
            continue;
        }
        if (parts[to].free_slots == 0) {
            to++;
            continue;
        }
        int64_t n = parts[from].in < parts[to].free_slots ? parts[from].in : parts[to].free_slots;
        MB_TRY(move_stretch(move, from, to, n));
        parts[from].in -= n;
        parts[to].free_slots -= n;
    }
    return MB_OK;
}

mb_status_t mb_sieve_move(mb_sieve_t *sieve, const mb_sieve_change_t *change)
{
    move_t move = {.sieve = sieve, .change = change, .record = sizeof *sieve->keys};
    const part_t own = {change->n_in, change->n_free};
    for (int f = 0; f < sieve->n_fields; f++)
        move.record += sieve->fields[f].stride;
    move.most = MESSAGE_BYTES / move.record < 1 ? 1 : MESSAGE_BYTES / move.record;
    part_t *parts = malloc((size_t)mb_comm_size(sieve->comm) * sizeof *parts);
    move.message = malloc((size_t)(move.most * move.record));
    mb_status_t status = parts == NULL || move.message == NULL
                             ? mb_error_memory("a message of samples", (size_t)move.record)
                             : MB_OK;
    status = mb_comm_agree(sieve->comm, status);
    if (status == MB_OK)
        status = mb_comm_allgather(sieve->comm, &own, sizeof own, parts);
    if (status == MB_OK)
        status = move_all(&move, parts);
    free(parts);
    free(move.message);
    return status;
}
