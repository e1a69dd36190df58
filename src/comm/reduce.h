/* Sums over replicas in the fixed tree, the same bits for any number of groups: carries out a plan
 * (reduce_plan.h) of one piece of what a stage sums, a chunk's. Messages move while the stage
 * computes; several pieces may be under way, and each goes on when it is looked after
 * (mb_reduce_go_on). Nothing depends on timing. */
#ifndef MB_COMM_REDUCE_H
#define MB_COMM_REDUCE_H

#include "comm/reduce_link.h"
#include "comm/reduce_plan.h"
#include "comm/reduce_window.h"
#include "comm/transport.h"

typedef struct mb_reduce mb_reduce_t;

/* Collective over the ranks of one stage. Allocates all it needs (device memory for what comes in).
 * TAG: the first of MB_TAG_REDUCE_EACH that tell its messages from others'. BOUNDS of the shape are
 * copied. */
mb_status_t mb_reduce_create(mb_comm_t *comm, mb_transport_t *transport, mb_exec_t *exec,
                             const mb_grid_t *grid, const mb_reduce_shape_t *shape, int tag,
                             mb_reduce_t **out);
/* roots[i], roots64[i]: this rank's root i (device memory), to be left alone until the end. The
 * whole sum comes to roots[0] and roots64[0] on every rank of the stage; the other roots are
 * overwritten. */
mb_status_t mb_reduce_start(mb_reduce_t *reduce, float *const *roots, double *const *roots64);
/* Does what can be done without waiting. */
mb_status_t mb_reduce_go_on(mb_reduce_t *reduce);
/* Waits for the end. Nothing where none is under way. */
mb_status_t mb_reduce_finish(mb_reduce_t *reduce);
/* The three in one. */
mb_status_t mb_reduce_run(mb_reduce_t *reduce, float *const *roots, double *const *roots64);
/* From now on a sum of floats stays with the group that finishes it, part mb_reduce_part of root 0;
 * mb_reduce_gather gives out what stands there: collective, waits. */
void mb_reduce_keep_parts(mb_reduce_t *reduce);
mb_status_t mb_reduce_gather(mb_reduce_t *reduce, float *values);
/* From now on the sums are made by LINK in its own order; NULL: in the tree's again. */
void mb_reduce_use_link(mb_reduce_t *reduce, mb_reduce_link_t *link);
/* For a shape that is windowed, before the first run: the floats of the roots begin at FIRST of the
 * window's; NUMBER: the piece's signals. */
void mb_reduce_use_window(mb_reduce_t *reduce, mb_reduce_window_t *window, int number,
                          int64_t first);
/* Where floats come in from now on, until the end of a run: room for mb_reduce_received. For a
 * shape that borrows. */
void mb_reduce_lend(mb_reduce_t *reduce, float *memory);
int64_t mb_reduce_received(const mb_reduce_t *reduce);
void mb_reduce_destroy(mb_reduce_t *reduce);

/* Bytes this rank sends in one run, and in one gather, by the plan. */
int64_t mb_reduce_bytes(const mb_reduce_t *reduce);
int64_t mb_reduce_gather_bytes(const mb_reduce_t *reduce);
/* Bytes of its own device memory that it receives into. */
int64_t mb_reduce_memory(const mb_reduce_t *reduce);
/* What the transport must be ready for: requests outstanding, and the longest message in bytes. */
mb_status_t mb_reduce_needs(const mb_grid_t *grid, const mb_reduce_shape_t *shape, int *requests,
                            size_t *bytes);

#endif
