/* Graphs made by hand; see fake_graph.h. */
#include "support/fake_graph.h"

#include <stdio.h>
#include <string.h>

static void fake_cost(const mb_call_t *call, mb_cost_t *out)
{
    *out = (mb_cost_t){.forward_flops = *(const double *)call->layer->config};
}

static bool fake_differentiable(const mb_call_t *call, int input)
{
    return call->input_types[input] == MB_F32;
}

static const mb_layer_class_t fake_class = {.size = sizeof(mb_layer_class_t),
                                            .name = "Fake",
                                            .cost = fake_cost,
                                            .differentiable = fake_differentiable};

const mb_layer_class_t *fake_class_of(void)
{
    return &fake_class;
}

void fake_graph_start(fake_graph_t *fake)
{
    memset(fake, 0, sizeof(*fake));
    fake->graph.name = "fake";
    fake->graph.layers = fake->layer_list;
    fake->graph.nodes = fake->nodes;
    fake->weights = (mb_param_t){.elements = FAKE_WEIGHTS, .trainable = true};
    fake->graph.params = &fake->weights;
}

static int add_node(fake_graph_t *fake, double cost, int64_t elements)
{
    int index = fake->graph.n_nodes++;
    fake->graph.n_layers++;
    mb_layer_t *layer = &fake->layers[index];
    mb_node_t *node = &fake->nodes[index];
    snprintf(fake->names[index], sizeof(fake->names[index]), "n%d", index);
    fake->costs[index] = cost;
    *layer = (mb_layer_t){.class_ = &fake_class,
                          .name = fake->names[index],
                          .path = fake->names[index],
                          .config = &fake->costs[index],
                          .trainable = true,
                          .n_params = 1,
                          .index = index};
    fake->layer_list[index] = layer;
    node->layer = index;
    node->uses = fake->uses[index];
    node->call = (mb_call_t){
        .layer = layer, .output = {.rank = 1, .dim = {elements}}, .output_type = MB_F32};
    return index;
}

int fake_graph_input(fake_graph_t *fake, int64_t elements)
{
    int index = add_node(fake, 0, elements);
    fake->nodes[index].is_input = true;
    fake->layers[index].n_params = 0;
    return index;
}

int fake_graph_add(fake_graph_t *fake, double forward_flops, int64_t elements, int n_inputs,
                   const int *inputs)
{
    int index = add_node(fake, forward_flops, elements);
    mb_node_t *node = &fake->nodes[index];
    node->needs_gradient = node->trains = true;
    node->call.n_inputs = n_inputs;
    for (int k = 0; k < n_inputs; k++) {
        mb_node_t *producer = &fake->nodes[inputs[k]];
        node->inputs[k] = inputs[k];
        node->call.inputs[k] = producer->call.output;
        node->call.input_types[k] = producer->call.output_type;
        producer->uses[producer->n_uses++] = (mb_use_t){index, k};
    }
    return index;
}

void fake_graph_chain(fake_graph_t *fake, int count, int64_t elements)
{
    fake_graph_start(fake);
    int last = fake_graph_input(fake, elements);
    for (int i = 0; i < count; i++)
        last = fake_graph_add(fake, 1, elements, 1, &last);
}
