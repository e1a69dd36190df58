/* What may run with the call in front of it, as one operation and with the bits of operations of
 * their own: a sum with another tensor, then a relu.
 *
 *     x -> call -> (+ other) -> relu -> y        x, other -> call with its tail -> y
 *
 * That is so where each of them takes the output of the one before, which nobody else takes, and
 * they stand in a row: it follows from the graph alone. Where a stage ends in between they run
 * apart.
 */
#ifndef MB_MODEL_GRAPH_TAIL_H
#define MB_MODEL_GRAPH_TAIL_H

#include "model/graph.h"

typedef struct {
    int nodes; /* behind the call; 0: it runs alone */
    int other; /* tensor that is added; -1: none */
    bool relu;
} mb_graph_tail_t;

/* Of NODE, among nodes before END. */
mb_graph_tail_t mb_graph_tail(const mb_graph_t *graph, int node, int end);

#endif
