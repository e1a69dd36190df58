/* See graph_insert.h. */
#include "model/graph_insert.h"

#include <string.h>

mb_status_t mb_insertion_begin(mb_insertion_t *in, mb_graph_t *graph, int room)
{
    mb_layer_t **layers = MB_ARENA_ARRAY(graph->arena, mb_layer_t *, graph->n_layers + room);
    *in = (mb_insertion_t){.graph = graph, .old = graph->nodes, .n_old = graph->n_nodes};
    in->places = MB_ARENA_ARRAY(graph->arena, int, in->n_old);
    graph->nodes = MB_ARENA_ARRAY(graph->arena, mb_node_t, in->n_old + room);
    if (layers == NULL || in->places == NULL || graph->nodes == NULL)
        return mb_error_memory("nodes between those of the model", 0);
    memcpy(layers, graph->layers, (size_t)graph->n_layers * sizeof(mb_layer_t *));
    graph->layers = layers;
    graph->n_nodes = 0;
    return MB_OK;
}

int mb_insertion_add(mb_insertion_t *in, mb_layer_t *layer, const int *inputs, int n_inputs)
{
    mb_graph_t *graph = in->graph;
    mb_node_t *node = &graph->nodes[graph->n_nodes];
    layer->index = graph->n_layers;
    graph->layers[graph->n_layers++] = layer;
    *node = (mb_node_t){.layer = layer->index, .call = {.layer = layer, .n_inputs = n_inputs}};
    memcpy(node->inputs, inputs, sizeof(int) * (size_t)n_inputs);
    return graph->n_nodes++;
}

void mb_insertion_keep(mb_insertion_t *in, int k, const mb_node_t *node)
{
    in->places[k] = in->graph->n_nodes;
    in->graph->nodes[in->graph->n_nodes++] = *node;
}

void mb_insertion_drop(mb_insertion_t *in, int k)
{
    in->places[k] = in->graph->n_nodes;
    in->graph->layers[in->old[k].layer]->implied = true;
}

static void move_masks(const mb_insertion_t *in)
{
    for (int i = 0; i < in->graph->n_masks; i++) {
        mb_mask_t *mask = in->graph->masks[i];
        for (int k = 0; k < mask->n; k++) {
            int place = in->places[mask->tensors[k]];
            mask->tensors[k] =
                place < in->graph->n_nodes ? place : 0; /* of one that nothing reads */
        }
    }
}

mb_status_t mb_insertion_end(const mb_insertion_t *in)
{
    mb_graph_t *graph = in->graph;
    mb_graph_detail_t *detail = graph->detail;
    for (int i = 0; i < graph->n_inputs; i++)
        graph->inputs[i] = in->places[graph->inputs[i]];
    for (int i = 0; i < graph->n_outputs; i++)
        graph->outputs[i].node = in->places[graph->outputs[i].node];
    for (int i = 0; i < detail->n_entries; i++) {
        mb_entry_t *entry = &detail->entries[i];
        entry->tensor = in->places[entry->tensor];
        entry->node = entry->node < in->n_old ? in->places[entry->node] : graph->n_nodes;
    }
    move_masks(in);
    return mb_graph_link_uses(graph);
}
