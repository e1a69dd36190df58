/* What one group's rank does to sum a piece over all groups in the fixed tree, as data: rounds of
 * messages, and the additions that follow each.
 *
 *     halving   where every group holds one aligned subtree, in pairs, then pairs of pairs: the two
 *               halves of a pair's sum are made on its two sides
 *     direct    what is left, an odd number of blocks of groups: each sends every other one its
 *               part of every root, and combines its own part of all
 *     sharing   the same messages back: finished parts
 *
 * Many such blocks fold instead (reduce_fold.h).
 *
 * A power of two of groups takes 2 log2(groups) messages a rank, and less than twice the data.
 * Source: Thakur, Rabenseifner, Gropp, "Optimization of Collective Communication Operations in
 * MPICH" (2005), recursive halving and doubling; the order of the additions is the tree's own. */
#ifndef MB_COMM_REDUCE_PLAN_H
#define MB_COMM_REDUCE_PLAN_H

#include "base/arena.h"
#include "base/error.h"
#include "comm/grid.h"
#include "comm/tree.h"

#include <stdint.h>

typedef struct { /* where a number stands */
    int root;    /* of this rank's own; -1: in the memory for what comes in */
    int64_t at;  /* element of it */
} mb_reduce_place_t;

typedef struct {
    bool sends, wide; /* wide: doubles */
    int group;        /* the other end */
    int root;         /* of the sender */
    int64_t count;
    mb_reduce_place_t place;
} mb_reduce_message_t;

typedef struct { /* y = a + b */
    bool wide;
    int64_t count;
    mb_reduce_place_t y, a, b;
} mb_reduce_sum_t;

typedef struct {
    int n_messages, n_sums;
    mb_reduce_message_t *messages; /* receives first */
    mb_reduce_sum_t *sums;
} mb_reduce_round_t;

typedef struct {
    int64_t count, count64; /* floats and doubles of a root */
    const int64_t *bounds;  /* [groups + 1] where the parts of the floats begin; NULL: equal ones */
    bool borrows;           /* memory for floats that come in (mb_reduce_lend) */
    bool windowed;          /* floats go through a window (mb_reduce_use_window), not by messages */
} mb_reduce_shape_t;

typedef struct {
    int n_roots;             /* this rank's */
    int n_rounds, n_scatter; /* the sharing rounds follow those that scatter */
    mb_reduce_round_t *rounds;
    int64_t received, received64; /* elements of the memory for what comes in */
} mb_reduce_plan_t;

/* In the arena; of the grid's group. No rounds where there is one group, or for an idle rank. */
mb_status_t mb_reduce_plan(const mb_grid_t *grid, const mb_reduce_shape_t *shape, mb_arena_t *arena,
                           mb_reduce_plan_t *out);
/* What a round's additions read and write. */
int64_t mb_reduce_bytes_added(const mb_reduce_round_t *round);
/* So many blocks of groups exchange directly; 1: none do. */
int mb_reduce_blocks(const mb_grid_t *grid, const mb_reduce_shape_t *shape);
/* Which part of the floats, in their order, is finished by GROUP. */
int mb_reduce_part(const mb_grid_t *grid, int group);

#endif
