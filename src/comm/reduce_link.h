/* Sums over replicas by the link's own all-reduce (NCCL's): fewer messages than the tree, in an
 * order of its choice, so that the bits depend on the layout. */
#ifndef MB_COMM_REDUCE_LINK_H
#define MB_COMM_REDUCE_LINK_H

#include "comm/channel.h"

typedef struct mb_reduce_link mb_reduce_link_t;

/* Collective over the ranks of the channel. stage: -1 on an idle rank. */
mb_status_t mb_reduce_link_create(mb_channel_t *channel, mb_exec_t *exec, int stage,
                                  mb_reduce_link_t **out);
/* roots[i], roots64[i] (device memory) of this rank, n_roots of them: the sum over all ranks of the
 * stage comes to number 0. While planning the additions are planned. */
mb_status_t mb_reduce_link_start(mb_reduce_link_t *reduce, int n_roots, int64_t count,
                                 int64_t count64, float *const *roots, double *const *roots64);
/* What is computed from now on sees the sums that were started. */
mb_status_t mb_reduce_link_finish(mb_reduce_link_t *reduce);
/* As mb_channel_give_up. */
void mb_reduce_link_give_up(mb_reduce_link_t *reduce);
void mb_reduce_link_destroy(mb_reduce_link_t *reduce);

#endif
