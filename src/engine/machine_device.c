/* Which device a rank takes. A launcher that gives each rank one GPU to see makes it number 0;
 * otherwise the rank's number on its node is the device's. The address on the PCI bus tells whether
 * two ranks would compute on one. */
#include "engine/machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct { /* what a rank has, for all to see */
    char host[128], identity[32];
    char reason[128]; /* why it has none, though there is a plugin; "": nothing to say */
    int count, index; /* count 0: none */
} place_t;

static void find_place(mb_comm_t *comm, const char *name, bool share, place_t *place)
{
    int local = mb_comm_local_rank(comm);
    snprintf(place->host, sizeof place->host, "%s", mb_comm_host(comm));
    place->count = mb_device_count(name);
    if (place->count == 0)
        snprintf(place->reason, sizeof place->reason, "%s", mb_error_get());
    if (place->count < 0)
        place->count = 0;
    place->index = place->count == 1 ? 0 : local;
    if (share && place->count > 0)
        place->index = local % place->count;
    mb_device_identity(name, place->index, place->identity, sizeof place->identity);
}

static bool is_one_device(const place_t *a, const place_t *b)
{
    return a->identity[0] != '\0' && strcmp(a->host, b->host) == 0 &&
           strcmp(a->identity, b->identity) == 0;
}

/* The first rank of a pair on one device; -1: each has its own. */
static int find_pair(const place_t *places, int n, int *other)
{
    for (int a = 0; a < n; a++) {
        for (int b = a + 1; b < n; b++) {
            if (places[a].index < places[a].count && is_one_device(&places[a], &places[b])) {
                *other = b;
                return a;
            }
        }
    }
    return -1;
}

static int find_without(const place_t *places, int n)
{
    for (int r = 0; r < n; r++) {
        if (places[r].index >= places[r].count)
            return r;
    }
    return -1;
}

static mb_status_t refuse_pair(const place_t *places, int a, int b)
{
    return mb_error_set(MB_ERR_ARGUMENT,
                        "ranks %d and %d would both use the GPU at %s of %s, which has %d to see: "
                        "start one rank a GPU, or --share-device to let them share it",
                        a, b, places[a].identity, places[a].host, places[a].count);
}

/* Where there is no device at all, opening it says why. */
static mb_status_t refuse_rank(const place_t *places, int rank)
{
    const place_t *place = &places[rank];
    return mb_error_set(MB_ERR_ARGUMENT,
                        "rank %d on %s would be the GPU number %d there, and %d can be seen: start "
                        "%d ranks a node, or --share-device to let ranks share GPUs",
                        rank, place->host, place->index, place->count, place->count);
}

/* GPUs where every rank has one of its own, else the CPU; and why. */
static const char *settle_auto(const place_t *places, int n, char *choice, size_t capacity)
{
    int other = 0, without = find_without(places, n), pair = find_pair(places, n, &other);
    if (without < 0 && pair < 0) {
        snprintf(choice, capacity, "%s", n == 1 ? "there is a GPU" : "every rank has a GPU");
        return "cuda";
    }
    bool some = false;
    for (int r = 0; r < n; r++)
        some = some || places[r].count > 0;
    choice[0] = '\0'; /* a build without CUDA needs no words */
    if (without >= 0 && places[without].reason[0] != '\0')
        snprintf(choice, capacity, "rank %d on %s: %s", without, places[without].host,
                 places[without].reason);
    else if (some && without >= 0)
        snprintf(choice, capacity, "rank %d on %s has no GPU of its own", without,
                 places[without].host);
    else if (some)
        snprintf(choice, capacity, "ranks %d and %d would share one GPU", pair, other);
    return "cpu";
}

mb_status_t mb_machine_choose_device(mb_comm_t *comm, const mb_machine_options_t *options,
                                     const char **name, int *index, bool *shared, char *choice,
                                     size_t capacity)
{
    int other = 0, ranks = mb_comm_size(comm);
    bool chooses = options->device != NULL && strcmp(options->device, "auto") == 0;
    place_t own = {.count = 0}, *all = calloc((size_t)ranks, sizeof *all);
    *name = chooses ? "cuda" : options->device;
    if (all == NULL)
        return mb_error_memory("the devices of all ranks", sizeof *all);
    if (*name != NULL)
        find_place(comm, *name, options->share_device, &own);
    mb_status_t status = mb_comm_allgather(comm, &own, sizeof own, all);
    int pair = status == MB_OK ? find_pair(all, ranks, &other) : -1;
    *shared = pair >= 0;
    *index = own.index;
    if (status == MB_OK && chooses)
        *name = settle_auto(all, ranks, choice, capacity);
    else if (pair >= 0 && !options->share_device)
        status = refuse_pair(all, pair, other);
    int without = status == MB_OK && !chooses ? find_without(all, ranks) : -1;
    if (without >= 0 && all[without].count > 0)
        status = refuse_rank(all, without);
    free(all);
    return status;
}
