/* Copies of local checkpoints on other nodes. A rank streams its part to its partner, which writes
 * what comes: neither holds more than a few messages of it. */
#include <stdlib.h>
#include <string.h>

#include "comm/tags.h"
#include "train/local_private.h"

#define MESSAGE_BYTES ((size_t)4 << 20)

/* The place of RANK's host in the order of the hosts' first ranks, and its own place there. */
static void place_of(const uint64_t *hosts, int rank, int *host, int *place)
{
    *host = *place = 0;
    for (int r = 0; r < rank; r++)
        *place += hosts[r] == hosts[rank];
    for (int r = 0; hosts[r] != hosts[rank]; r++) {
        bool first = true;
        for (int earlier = 0; earlier < r; earlier++)
            first = first && hosts[earlier] != hosts[r];
        *host += first;
    }
}

static int host_count(const uint64_t *hosts, int size)
{
    int most = 0, host, place;
    for (int r = 0; r < size; r++) {
        place_of(hosts, r, &host, &place);
        most = host + 1 > most ? host + 1 : most;
    }
    return most;
}

/* The rank in place PLACE, or around again, of host number HOST. */
static int rank_at(const uint64_t *hosts, int size, int host, int place)
{
    int there = 0, h, p;
    for (int r = 0; r < size; r++) {
        place_of(hosts, r, &h, &p);
        there += h == host;
    }
    for (int r = 0; r < size; r++) {
        place_of(hosts, r, &h, &p);
        if (h == host && p == place % there)
            return r;
    }
    return -1;
}

static int partner_of(const uint64_t *hosts, int size, int n_hosts, int rank)
{
    int host, place;
    if (n_hosts == 1)
        return size == 1 ? -1 : (rank + 1) % size;
    place_of(hosts, rank, &host, &place);
    return rank_at(hosts, size, (host + 1) % n_hosts, place);
}

mb_status_t mb_local_pair(mb_local_tier_t *tier, const uint64_t *hosts)
{
    int rank = mb_comm_rank(tier->comm), size = mb_comm_size(tier->comm);
    tier->on_host = 0;
    for (int r = 0; r < size; r++)
        tier->on_host += hosts[r] == hosts[rank];
    if (tier->copies == NULL)
        return MB_OK;
    int n_hosts = host_count(hosts, size);
    tier->clients = size < 1 ? NULL : calloc((size_t)size, sizeof *tier->clients);
    if (tier->clients == NULL)
        return mb_error_memory("the partners of local checkpoints", 0);
    tier->partner = partner_of(hosts, size, n_hosts, rank);
    for (int r = 0; r < size; r++) {
        if (partner_of(hosts, size, n_hosts, r) == rank)
            tier->clients[tier->n_clients++] = r;
    }
    return MB_OK;
}

/* What comes from one client. */
typedef struct {
    mb_local_writer_t writer;
    int64_t bytes;
    mb_status_t status; /* of the writing; what comes is taken all the same */
    mb_error_message_t message;
} client_t;

typedef struct {
    mb_local_tier_t *tier;
    const mb_local_image_t *image;
    client_t *clients;
    char *memory; /* a message to send, and one of each client */
    mb_comm_request_t *requests;
} exchange_t;

/* Bytes of message K of BYTES bytes. */
static size_t message_bytes(int64_t bytes, int64_t k)
{
    int64_t left = bytes - k * (int64_t)MESSAGE_BYTES;
    return left <= 0 ? 0 : left < (int64_t)MESSAGE_BYTES ? (size_t)left : MESSAGE_BYTES;
}

static void keep_failure(client_t *client, mb_status_t status)
{
    if (status == MB_OK || client->status != MB_OK)
        return;
    client->status = status;
    mb_error_keep(&client->message);
}

static mb_status_t pass_message(exchange_t *x, int64_t k)
{
    static const mb_comm_note_t note = {
        "copying local checkpoints", -1, -1, -1, MB_TAG_COPIES, false};
    mb_local_tier_t *tier = x->tier;
    size_t bytes = message_bytes(x->image->bytes, k);
    int n = 0;
    if (bytes > 0) {
        mb_local_image_copy(x->image, k * (int64_t)MESSAGE_BYTES, bytes, x->memory);
        MB_TRY(mb_comm_isend(tier->comm, x->memory, bytes, tier->partner, MB_TAG_COPIES,
                             &x->requests[n++]));
    }
    for (int c = 0; c < tier->n_clients; c++) {
        size_t coming = message_bytes(x->clients[c].bytes, k);
        if (coming > 0)
            MB_TRY(mb_comm_irecv(tier->comm, x->memory + (size_t)(c + 1) * MESSAGE_BYTES, coming,
                                 tier->clients[c], MB_TAG_COPIES, &x->requests[n++]));
    }
    MB_TRY(mb_comm_wait_requests(tier->comm, x->requests, n, &note));
    for (int c = 0; c < tier->n_clients; c++) {
        client_t *client = &x->clients[c];
        if (client->status == MB_OK)
            keep_failure(client,
                         mb_local_add(&client->writer, x->memory + (size_t)(c + 1) * MESSAGE_BYTES,
                                      message_bytes(client->bytes, k)));
    }
    return MB_OK;
}

static mb_status_t pass_all(exchange_t *x, const int64_t *sizes, mb_local_key_t key)
{
    mb_local_tier_t *tier = x->tier;
    int64_t longest = x->image->bytes;
    for (int c = 0; c < tier->n_clients; c++) {
        client_t *client = &x->clients[c];
        key.rank = tier->clients[c];
        client->bytes = sizes[key.rank];
        longest = client->bytes > longest ? client->bytes : longest;
        keep_failure(client, mb_local_begin(tier->copies, &key, true, &client->writer));
    }
    mb_status_t status = MB_OK;
    for (int64_t k = 0; k * (int64_t)MESSAGE_BYTES < longest && status == MB_OK; k++)
        status = pass_message(x, k);
    for (int c = 0; c < tier->n_clients; c++) {
        client_t *client = &x->clients[c];
        keep_failure(client,
                     mb_local_end(&client->writer, status != MB_OK ? status : client->status));
    }
    return status;
}

static mb_status_t exchange(exchange_t *x, int64_t *sizes, mb_local_key_t key, mb_status_t *written)
{
    mb_local_tier_t *tier = x->tier;
    MB_TRY(mb_comm_allgather(tier->comm, &x->image->bytes, sizeof x->image->bytes, sizes));
    MB_TRY(pass_all(x, sizes, key));
    for (int c = 0; c < tier->n_clients; c++) {
        if (x->clients[c].status != MB_OK && *written == MB_OK) {
            *written = x->clients[c].status;
            mb_error_restore(&x->clients[c].message);
        }
    }
    return MB_OK;
}

mb_status_t mb_local_exchange(mb_local_tier_t *tier, const mb_local_image_t *image,
                              mb_local_key_t key, mb_status_t *written)
{
    size_t places = (size_t)tier->n_clients + 1;
    if (tier->copies == NULL || mb_comm_size(tier->comm) == 1)
        return MB_OK;
    exchange_t x = {.tier = tier,
                    .image = image,
                    .clients = calloc(places, sizeof *x.clients),
                    .memory = malloc(places * MESSAGE_BYTES),
                    .requests = calloc(places, sizeof *x.requests)};
    int64_t *sizes = calloc((size_t)mb_comm_size(tier->comm), sizeof *sizes);
    bool short_of = x.clients == NULL || x.memory == NULL || x.requests == NULL || sizes == NULL;
    mb_status_t status =
        short_of ? mb_error_memory("copies of local checkpoints", places * MESSAGE_BYTES) : MB_OK;
    status = mb_comm_agree(tier->comm, status);
    if (status == MB_ERR_MEMORY) {
        *written = status;
        status = MB_OK;
    } else if (status == MB_OK)
        status = exchange(&x, sizes, key, written);
    free(x.clients);
    free(x.memory);
    free(x.requests);
    free(sizes);
    return status;
}
