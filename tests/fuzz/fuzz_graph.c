/* Any text as model_config; what builds must bind or be refused with a message. */
#include "model/graph.h"

#include "fuzz/fuzz.h"

#include <stdlib.h>

void mb_fuzz_graph(const uint8_t *data, size_t size);

/* Open dimensions get small sizes, as data would give them. */
static void bind(mb_graph_t *graph)
{
    mb_shape_t shapes[64];
    for (int i = 0; i < graph->n_inputs && i < 64; i++) {
        shapes[i] = graph->nodes[graph->inputs[i]].call.output;
        if (shapes[i].rank < 0)
            shapes[i] = (mb_shape_t){.rank = 2, .dim = {5, 3}};
        for (int d = 0; d < shapes[i].rank; d++)
            shapes[i].dim[d] = shapes[i].dim[d] == MB_OPEN ? 4 + d : shapes[i].dim[d];
    }
    if (mb_graph_bind(graph, shapes) != MB_OK && mb_error_get()[0] == '\0')
        abort();
    for (int i = 0; i < graph->n_params; i++) {
        const mb_param_t *param = &graph->params[i];
        float values[1024];
        if (param->elements <= 1024 && mb_param_initialize(param, 1, values) != MB_OK)
            abort();
        if (mb_graph_param(graph, param->path) != i)
            abort();
    }
}

void mb_fuzz_graph(const uint8_t *data, size_t size)
{
    char *text = mb_fuzz_text(data, size);
    mb_graph_t *graph;
    if (mb_graph_create(text, "fuzz", &graph) == MB_OK) {
        bind(graph);
        mb_graph_destroy(graph);
    } else if (mb_error_get()[0] == '\0') {
        abort();
    }
    free(text);
}
