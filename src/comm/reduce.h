/* Sums over replicas in the fixed tree, the same bits for any number of groups.
 *
 * The `count` floats (and `count64` doubles) are cut into one shard per group. Each rank sends
 * shard g of every root it holds to group g's rank of its stage, which combines all groups' roots
 * of its shard in tree order; then the finished shards go to everyone. Nothing depends on timing.
 */
#ifndef MB_COMM_REDUCE_H
#define MB_COMM_REDUCE_H

#include "comm/grid.h"
#include "comm/reduce_link.h"
#include "comm/transport.h"
#include "comm/tree.h"

typedef struct mb_reduce mb_reduce_t;

/* Collective over the ranks of one stage. Allocates all it needs (device memory for the
 * received shards). */
mb_status_t mb_reduce_create(mb_comm_t *comm, mb_transport_t *transport, mb_exec_t *exec,
                             const mb_grid_t *grid, int64_t count, int64_t count64,
                             mb_reduce_t **out);
/* roots[i], roots64[i]: this rank's root i (device memory). The whole sum ends in roots[0] and
 * roots64[0] on every rank of the stage; the other roots are overwritten. */
mb_status_t mb_reduce_run(mb_reduce_t *reduce, float *const *roots, double *const *roots64);
/* From now on the sums are made by LINK in its own order; NULL: in the tree's again. */
void mb_reduce_use_link(mb_reduce_t *reduce, mb_reduce_link_t *link);
void mb_reduce_destroy(mb_reduce_t *reduce);
/* Bytes this rank sends in one run: the formula of the plan. */
int64_t mb_reduce_bytes(const mb_grid_t *grid, int64_t count, int64_t count64);
/* What the transport must be ready for: requests outstanding, and the longest message in bytes. */
int mb_reduce_max_requests(const mb_grid_t *grid);
size_t mb_reduce_max_bytes(const mb_grid_t *grid, int64_t count, int64_t count64);

#endif
