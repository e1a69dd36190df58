/* At most so many ranks of a node write at one time: a file server, or a file system's client, that
 * many writers slow down gets them one after the other. The ranks share as many locks, each a file
 * in the node's memory that is there while somebody has it or waits for it; the system gives up
 * those of a rank that is killed. No rank is asked, so that any thread may wait. */
#ifndef MB_STORE_WRITER_SLOT_H
#define MB_STORE_WRITER_SLOT_H

#include <stdatomic.h>
#include "base/error.h"
#include "base/types.h"

typedef struct {
    int fd; /* -1: none is held */
    char path[96];
} mb_writer_slot_t;

/* Waits for slot RANK % SLOTS of what is written as KEY, the same on all ranks of a node that write
 * it. MB_ERR_IO; MB_ERR_STOPPED when CANCELLED becomes true. */
mb_status_t mb_writer_slot_take(mb_writer_slot_t *slot, const char *key, int rank, int slots,
                                const atomic_bool *cancelled);
/* Of one that is not held: nothing. */
void mb_writer_slot_give(mb_writer_slot_t *slot);

#endif
