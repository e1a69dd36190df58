/* Where a call ends in a relu and one call alone takes its output, that call's backward multiplies
 * the gradient by the relu's slope while it writes it. Once more would change nothing, so the bits
 * are those of a relu that does so itself, as it does where a stage ends in between: but for the
 * sign of zeros, which no sum begins with. */
#ifndef MB_MODEL_GRAPH_CUT_H
#define MB_MODEL_GRAPH_CUT_H

#include "model/graph.h"

/* Whether the gradient of NODE's output comes with the slope of its relu, among nodes from FIRST to
 * before END. */
bool mb_graph_is_cut(const mb_graph_t *graph, int node, int first, int end);

#endif
