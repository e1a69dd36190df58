/* The fixed binary tree over the replica index in which gradients are added.
 *
 *     level 2         0..4                  R = 5: ((0+1)+(2+3))+4
 *     level 1     0+1     2+3     4
 *     level 0    0   1   2   3   4          an unpaired node passes up unchanged
 *
 * Node (level, i) covers replicas [i 2^level, (i+1) 2^level) below R. A rank that holds a run of
 * replicas adds what lies wholly inside the run and sends the roots of its maximal aligned
 * subtrees; whoever combines them needs every group's roots. The result never depends on who
 * held what. */
#ifndef MB_COMM_TREE_H
#define MB_COMM_TREE_H

#include <stdbool.h>

typedef struct {
    int level, index;
} mb_tree_node_t;

#define MB_TREE_MAX_ROOTS 64

/* The roots of the run [first, first + count) of R replicas, in order. Returns how many. */
int mb_tree_roots(int replicas, int first, int count, mb_tree_node_t roots[MB_TREE_MAX_ROOTS]);

/* A stack of finished subtrees, one buffer slot each: push replica after replica; the result is the
 * number of merges "slot[top-1] += slot[top]; top -= 1" to do after this push, in that order. At
 * the end the slots hold the roots. */
typedef struct {
    int replicas, first, count; /* the run */
    int depth;
    mb_tree_node_t nodes[MB_TREE_MAX_ROOTS];
} mb_tree_stack_t;
void mb_tree_stack_start(mb_tree_stack_t *stack, int replicas, int first, int count);
/* Slot that replica number (stack->first + pushed so far) accumulates into: the current depth. */
int mb_tree_push(mb_tree_stack_t *stack);
/* The deepest the stack gets for this run: how many slots are needed. */
int mb_tree_slots(int replicas, int first, int count);

/* How to combine N roots of consecutive runs (all groups', in replica order) into the whole: a list
 * of merges into[i] += from[i]; the result is in root 0. Returns the number of merges. */
int mb_tree_combine(int replicas, const mb_tree_node_t *roots, int n, int *into, int *from);

#endif
