/* Graphs made by hand for tests of plans: nodes with a cost and a size, and nothing to compute. */
#ifndef TESTS_SUPPORT_FAKE_GRAPH_H
#define TESTS_SUPPORT_FAKE_GRAPH_H

#include "model/graph.h"

#define FAKE_NODES 80
enum { FAKE_WEIGHTS = 16 };

typedef struct {
    mb_graph_t graph;
    mb_node_t nodes[FAKE_NODES];
    mb_layer_t layers[FAKE_NODES];
    mb_layer_t *layer_list[FAKE_NODES];
    mb_param_t weights; /* all layers say that they have it */
    char names[FAKE_NODES][16];
    mb_use_t uses[FAKE_NODES][FAKE_NODES];
    double costs[FAKE_NODES];
} fake_graph_t;

/* That of all layers. */
const mb_layer_class_t *fake_class_of(void);
void fake_graph_start(fake_graph_t *fake);
/* Both return the node's index. A computing node trains, is a layer of its own named "nK", and
 * has FAKE_WEIGHTS weights. */
int fake_graph_input(fake_graph_t *fake, int64_t elements);
int fake_graph_add(fake_graph_t *fake, double forward_flops, int64_t elements, int n_inputs,
                   const int *inputs);
/* An input and COUNT nodes behind each other, each of one flop and ELEMENTS values. */
void fake_graph_chain(fake_graph_t *fake, int count, int64_t elements);

#endif
