/* Samples of ranks that do not compute go to those that adopt them, in messages of up to 1 MiB, run
 * by run: each rank comes to its runs in their order, so that none waits in a circle. */
#include "data/held_private.h"

#include <stdlib.h>

#define MESSAGE_BYTES (INT64_C(1) << 20)

typedef struct {
    mb_comm_t *all;
    mb_held_source_t *source;
    const mb_held_run_t *run;
    int owner_rank; /* in ALL */
    char *message;
} move_t;

static mb_status_t await(mb_comm_t *comm, mb_comm_request_t *request, int peer)
{
    const mb_comm_note_t note = {.action = "moving samples to ranks that compute",
                                 .stage = -1,
                                 .micro = -1,
                                 .peer = peer,
                                 .tag = MB_TAG_SAMPLES};
    return mb_comm_wait_requests(comm, request, 1, &note);
}

/* COUNT samples from the run's sample FIRST on. */
static mb_status_t send(const move_t *move, int field, int64_t first, int64_t count)
{
    mb_held_source_t *source = move->source;
    const mb_held_t *held = &source->fields[field];
    int64_t bytes = mb_held_bytes(held);
    mb_comm_request_t request = {0};
    for (int64_t i = 0; i < count; i++)
        MB_TRY(mb_held_fetch(held, &source->way, move->run->index + first + i,
                             move->message + i * bytes));
    if (held->on_device)
        MB_TRY(mb_exec_sync(&source->way.exec));
    MB_TRY(mb_comm_isend(move->all, move->message, (size_t)(count * bytes), move->owner_rank,
                         MB_TAG_SAMPLES, &request));
    return await(move->all, &request, move->owner_rank);
}

static mb_status_t receive(const move_t *move, int field, int64_t first, int64_t count)
{
    const mb_held_t *held = &move->source->adopted[field];
    mb_comm_request_t request = {0};
    char *to = (char *)(uintptr_t)mb_held_place(held, move->run->at + first);
    MB_TRY(mb_comm_irecv(move->all, to, (size_t)(count * mb_held_bytes(held)), move->run->rank,
                         MB_TAG_SAMPLES, &request));
    return await(move->all, &request, move->run->rank);
}

static mb_status_t move_run(const move_t *move)
{
    int self = mb_comm_rank(move->all);
    for (int f = 0; f < move->source->base.n_fields; f++) {
        int64_t most = MESSAGE_BYTES / mb_held_bytes(&move->source->fields[f]);
        most = most < 1 ? 1 : most;
        for (int64_t first = 0; first < move->run->count; first += most) {
            int64_t left = move->run->count - first, count = left < most ? left : most;
            if (move->run->rank == self)
                MB_TRY(send(move, f, first, count));
            else if (move->owner_rank == self)
                MB_TRY(receive(move, f, first, count));
        }
    }
    return MB_OK;
}

static int rank_of_owner(const bool *computes, int owner)
{
    int rank = 0;
    for (int left = owner;; rank++) {
        if (computes[rank] && left-- == 0)
            return rank;
    }
}

static mb_status_t take_room(mb_held_source_t *source, int64_t samples)
{
    for (int f = 0; f < source->base.n_fields && samples > 0; f++) {
        mb_held_t *held = &source->adopted[f];
        size_t bytes = (size_t)(samples * mb_held_bytes(held));
        char *memory = malloc(bytes);
        if (memory == NULL)
            return mb_error_memory("samples of ranks that do not compute", bytes);
        held->data = memory;
    }
    return MB_OK;
}

static size_t message_bytes(const mb_held_source_t *source)
{
    int64_t most = MESSAGE_BYTES;
    for (int f = 0; f < source->base.n_fields; f++) {
        int64_t bytes = mb_held_bytes(&source->fields[f]);
        most = bytes > most ? bytes : most;
    }
    return (size_t)most;
}

mb_status_t mb_held_move(const mb_held_options_t *options, const bool *computes,
                         mb_held_source_t *source)
{
    move_t move = {.all = options->all, .source = source};
    mb_status_t status = MB_OK;
    if (options->comm != NULL)
        status = take_room(source, mb_held_runs_adopted(&source->runs, source->rank));
    else if (options->samples > 0) {
        move.message = malloc(message_bytes(source));
        if (move.message == NULL)
            status = mb_error_memory("a message of samples", message_bytes(source));
    }
    status = mb_comm_agree(options->all, status);
    for (int i = 0; i < source->runs.n && status == MB_OK; i++) {
        move.run = &source->runs.runs[i];
        if (!move.run->adopted)
            continue;
        move.owner_rank = rank_of_owner(computes, move.run->owner);
        status = move_run(&move);
    }
    if (status != MB_OK)
        mb_comm_fail(options->all, status);
    free(move.message);
    return status;
}
