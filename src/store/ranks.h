/* The store's collective steps, where a comm of NULL is one process alone. */
#ifndef MB_STORE_RANKS_H
#define MB_STORE_RANKS_H

#include <stdlib.h>
#include <string.h>
#include "comm/comm.h"

static inline int mb_ranks_rank(const mb_comm_t *comm)
{
    return comm == NULL ? 0 : mb_comm_rank(comm);
}

static inline int mb_ranks_size(const mb_comm_t *comm)
{
    return comm == NULL ? 1 : mb_comm_size(comm);
}

static inline mb_status_t mb_ranks_agree(mb_comm_t *comm, mb_status_t status)
{
    return comm == NULL ? status : mb_comm_agree(comm, status);
}

static inline mb_status_t mb_ranks_broadcast(mb_comm_t *comm, void *data, size_t bytes)
{
    return comm == NULL || bytes == 0 ? MB_OK : mb_comm_broadcast(comm, data, bytes, 0);
}

static inline mb_status_t mb_ranks_fold(mb_comm_t *comm, mb_comm_bytes_t *own,
                                        mb_comm_merge_t merge, void *user)
{
    return comm == NULL ? MB_OK : mb_comm_fold(comm, own, merge, user);
}

/* All ranks' data one after the other, malloc'ed, on rank 0; NULL elsewhere. */
static inline mb_status_t mb_ranks_gather(mb_comm_t *comm, const void *data, size_t bytes,
                                          void **all, size_t *all_bytes)
{
    *all = NULL;
    *all_bytes = 0;
    if (comm == NULL) {
        *all = malloc(bytes + 1);
        if (*all == NULL)
            return mb_error_memory("a list of pieces", bytes);
        if (bytes > 0)
            memcpy(*all, data, bytes);
        *all_bytes = bytes;
        return MB_OK;
    }
    size_t *bytes_of = NULL;
    MB_TRY(mb_comm_gather(comm, data, bytes, 0, all, &bytes_of));
    for (int i = 0; bytes_of != NULL && i < mb_comm_size(comm); i++)
        *all_bytes += bytes_of[i];
    free(bytes_of);
    return MB_OK;
}

#endif
