/* Memory of a rank that other ranks of its node map into theirs, so that what they exchange need
 * not be sent. It is a file without a name (memfd_create(2)), which is gone with the last process
 * that has it: a rank that dies leaves nothing behind. Who may read and write what, and when, its
 * users agree on by themselves. */
#ifndef MB_COMM_SHARED_H
#define MB_COMM_SHARED_H

#include "comm/comm.h"

typedef struct mb_shared mb_shared_t;

/* Zeros, on a page's boundary. Not collective. *out is NULL, and that is no error, where the system
 * has no such memory. */
mb_status_t mb_shared_create(size_t bytes, mb_shared_t **out);
void *mb_shared_memory(const mb_shared_t *shared);
/* Collective over COMM. Ranks of one COLOR (0 and up; -1: none) see each other's memory from now
 * on, if there are MEMBERS of them, all on one node, with as much memory each as this one has.
 * *JOINED says whether; it says the same to all of a color. NUMBER: of this rank among them. */
mb_status_t mb_shared_join(mb_comm_t *comm, mb_shared_t *shared, int color, int number, int members,
                           bool *joined);
/* Where member NUMBER's memory is seen here. */
void *mb_shared_of(const mb_shared_t *shared, int number);
void mb_shared_destroy(mb_shared_t *shared); /* NULL: nothing */

#endif
