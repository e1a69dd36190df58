/* Putting nodes of one's own between those of a file: the nodes are written anew, in their order,
 * and what refers to them follows. */
#ifndef MB_MODEL_GRAPH_INSERT_H
#define MB_MODEL_GRAPH_INSERT_H

#include "model/graph_private.h"

typedef struct {
    mb_graph_t *graph;
    const mb_node_t *old;
    int n_old;
    int *places; /* [n_old] new indices */
} mb_insertion_t;

/* Makes room for ROOM more nodes, each with a layer of its own; graph->nodes is empty then. */
mb_status_t mb_insertion_begin(mb_insertion_t *in, mb_graph_t *graph, int room);
/* A new node, of LAYER, behind those that are there. */
int mb_insertion_add(mb_insertion_t *in, mb_layer_t *layer, const int *inputs, int n_inputs);
/* The same for NODE, number K of the old ones, whose inputs are new indices. */
void mb_insertion_keep(mb_insertion_t *in, int k, const mb_node_t *node);
/* Leaves K out, whose output nothing reads. */
void mb_insertion_drop(mb_insertion_t *in, int k);
/* Inputs, outputs, entries, masks and uses. */
mb_status_t mb_insertion_end(const mb_insertion_t *in);

#endif
