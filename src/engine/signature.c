/* See signature.h. The bits of a result hold for one build on one kind of processor. */
#include "engine/signature.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"

#define BETWEEN ", "

typedef struct {
    char host[128], signature[MB_SIGNATURE_TEXT];
} place_t;

void mb_signature_make(mb_device_t *device, char *text, size_t capacity)
{
    int used = snprintf(text, capacity, "mbrun %s" BETWEEN, PACKAGE_VERSION);
    device->class_->signature(device, text + used, capacity - (size_t)used);
}

static size_t part_length(const char *at)
{
    const char *end = strstr(at, BETWEEN);
    return end == NULL ? strlen(at) : (size_t)(end - at);
}

static const char *part_behind(const char *at, size_t length)
{
    return at[length] == '\0' ? at + length : at + length + strlen(BETWEEN);
}

void mb_signature_unlike(const char *a, const char *b, char *text, size_t capacity)
{
    size_t used = 0;
    text[0] = '\0';
    while (*a != '\0') {
        size_t length = part_length(a), others = part_length(b);
        bool same = length == others && strncmp(a, b, length) == 0;
        if (!same && used + length + sizeof BETWEEN <= capacity)
            used += (size_t)snprintf(text + used, capacity - used, "%s%.*s",
                                     used == 0 ? "" : BETWEEN, (int)length, a);
        a = part_behind(a, length);
        b = part_behind(b, others);
    }
}

/* Only the set that oneDNN chooses from can be brought to a common one. */
static mb_status_t refuse(const place_t *all, int rank)
{
    char first[MB_SIGNATURE_TEXT], other[MB_SIGNATURE_TEXT];
    mb_signature_unlike(all[0].signature, all[rank].signature, first, sizeof first);
    mb_signature_unlike(all[rank].signature, all[0].signature, other, sizeof other);
    return mb_error_set(MB_ERR_UNSUPPORTED,
                        "rank 0 on %s computes with \"%s\" and rank %d on %s with \"%s\": their "
                        "results would differ. Use nodes of one kind and one build%s",
                        all[0].host, first, rank, all[rank].host, other,
                        strstr(first, "isa ") == NULL
                            ? ""
                            : " (ONEDNN_MAX_CPU_ISA brings oneDNN's instructions to a common set)");
}

mb_status_t mb_signature_compare(mb_comm_t *comm, const char *own)
{
    place_t mine = {.host = ""}, *all = calloc((size_t)mb_comm_size(comm), sizeof *all);
    if (all == NULL)
        return mb_error_memory("the signatures of all ranks", sizeof *all);
    snprintf(mine.host, sizeof mine.host, "%s", mb_comm_host(comm));
    snprintf(mine.signature, sizeof mine.signature, "%s", own);
    mb_status_t status = mb_comm_allgather(comm, &mine, sizeof mine, all);
    for (int r = 1; status == MB_OK && r < mb_comm_size(comm); r++) {
        if (strcmp(all[0].signature, all[r].signature) != 0)
            status = refuse(all, r);
    }
    free(all);
    return status;
}
