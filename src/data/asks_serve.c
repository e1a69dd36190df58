/* The owner's side: what was asked for goes out, from inside whatever drives progress. One ask is
 * received at a time; the others, small, wait in MPI. */
#include "data/asks_private.h"

#include <stdlib.h>

enum { MOST_A_LOOK = 8 };

mb_status_t mb_asks_listen(mb_asks_t *asks)
{
    return mb_comm_irecv(asks->comm, &asks->arriving, sizeof asks->arriving, MPI_ANY_SOURCE,
                         MB_TAG_SAMPLES_ASK, &asks->incoming);
}

static mb_status_t take_reply(mb_asks_t *asks, mb_reply_t **out)
{
    mb_reply_t *reply = asks->spare_replies;
    if (reply != NULL)
        asks->spare_replies = reply->next;
    else
        reply = calloc(1, sizeof *reply);
    if (reply == NULL)
        return mb_error_memory("a message of samples", sizeof *reply);
    reply->next = asks->replies;
    asks->replies = reply;
    *out = reply;
    return MB_OK;
}

static mb_status_t make_room(mb_reply_t *reply, size_t bytes)
{
    if (bytes <= reply->bytes)
        return MB_OK;
    free(reply->memory);
    reply->memory = malloc(bytes);
    reply->bytes = reply->memory == NULL ? 0 : bytes;
    return reply->memory == NULL ? mb_error_memory("a message of samples", bytes) : MB_OK;
}

static mb_status_t answer(mb_asks_t *asks, const mb_ask_t *ask)
{
    const mb_asks_hooks_t *hooks = &asks->hooks;
    size_t bytes = (size_t)ask->count * (size_t)hooks->bytes(hooks->user, ask->field);
    mb_reply_t *reply = NULL;
    const void *from = NULL;
    MB_TRY(take_reply(asks, &reply));
    if (ask->count == 1)
        from = hooks->place(hooks->user, ask->field, ask->samples[0]);
    if (from == NULL) {
        MB_TRY(make_room(reply, bytes));
        MB_TRY(hooks->gather(hooks->user, ask->field, ask->samples, ask->count, reply->memory));
        from = reply->memory;
    }
    asks->sent += (int64_t)bytes;
    return mb_comm_isend(asks->comm, from, bytes, ask->asker, MB_TAG_SAMPLES_SENT, &reply->request);
}

/* Replies that have arrived become spare. */
static mb_status_t look_after_replies(mb_asks_t *asks)
{
    mb_reply_t **place = &asks->replies;
    while (*place != NULL) {
        mb_reply_t *reply = *place;
        bool done;
        MB_TRY(mb_comm_test(asks->comm, &reply->request, &done));
        if (!done) {
            place = &reply->next;
            continue;
        }
        *place = reply->next;
        reply->next = asks->spare_replies;
        asks->spare_replies = reply;
    }
    return MB_OK;
}

mb_status_t mb_asks_serve(void *user)
{
    mb_asks_t *asks = user;
    for (int i = 0; i < MOST_A_LOOK && asks->incoming.active; i++) {
        bool come;
        MB_TRY(mb_comm_test(asks->comm, &asks->incoming, &come));
        if (!come)
            break;
        MB_TRY(answer(asks, &asks->arriving));
        MB_TRY(mb_asks_listen(asks));
    }
    return look_after_replies(asks);
}

bool mb_asks_all_sent(const mb_asks_t *asks)
{
    return asks->replies == NULL;
}

static void free_replies(mb_comm_t *comm, mb_reply_t *reply)
{
    while (reply != NULL) {
        mb_reply_t *next = reply->next;
        mb_comm_cancel(comm, &reply->request);
        free(reply->memory);
        free(reply);
        reply = next;
    }
}

void mb_asks_stop_serving(mb_asks_t *asks)
{
    mb_comm_remove_progress(asks->comm, asks);
    mb_comm_cancel(asks->comm, &asks->incoming);
    free_replies(asks->comm, asks->replies);
    free_replies(asks->comm, asks->spare_replies);
}
