/* A graph as text; see graph_text.h. */
#include "support/graph_text.h"

#include <stdio.h>
#include <stdlib.h>

static void node_text(const mb_graph_t *graph, int k, mb_str_t *out)
{
    char shape[MB_SHAPE_TEXT];
    const mb_node_t *node = &graph->nodes[k];
    const mb_layer_t *layer = graph->layers[node->layer];
    mb_str_addf(out, "%d %s %s", k, layer->class_->name, layer->path);
    if (node->call_index > 0)
        mb_str_addf(out, " again(%d)", node->call_index);
    for (int i = 0; i < node->call.n_inputs; i++)
        mb_str_addf(out, "%s%d", i == 0 ? " <- " : ", ", node->inputs[i]);
    mb_str_addf(out, " : %s %s", mb_shape_text(&node->call.output, shape, sizeof(shape)),
                mb_dtype_name(node->call.output_type));
    mb_str_add(out, node->trains ? " trains" : node->needs_gradient ? " passes" : "");
    if (node->n_uses > 1) {
        mb_str_add(out, " used by");
        for (int u = 0; u < node->n_uses; u++)
            mb_str_addf(out, " %d.%d", node->uses[u].node, node->uses[u].input);
    }
    mb_str_add(out, "\n");
}

static void param_text(const mb_graph_t *graph, int i, mb_str_t *out)
{
    char shape[MB_SHAPE_TEXT];
    const mb_param_t *param = &graph->params[i];
    mb_str_addf(out, "%d %s %s%s%s of %s\n", i, param->path,
                mb_shape_text(&param->shape, shape, sizeof(shape)),
                param->trainable ? "" : " fixed", param->weight ? "" : " statistic",
                graph->layers[param->layer]->path);
}

void graph_text(const mb_graph_t *graph, mb_str_t *out)
{
    mb_str_addf(out, "%s %s\n", graph->sequential ? "sequential" : "functional", graph->name);
    for (int i = 0; i < graph->n_inputs; i++)
        mb_str_addf(out, "input %s = %d\n", graph->input_names[i], graph->inputs[i]);
    for (int i = 0; i < graph->n_outputs; i++)
        mb_str_addf(out, "output %s = %d\n", graph->outputs[i].name, graph->outputs[i].node);
    mb_str_add(out, "nodes\n");
    for (int k = 0; k < graph->n_nodes; k++)
        node_text(graph, k, out);
    mb_str_add(out, "params\n");
    for (int i = 0; i < graph->n_params; i++)
        param_text(graph, i, out);
    mb_str_add(out, "file\n");
    for (int i = 0; i < graph->n_file_layers; i++) {
        mb_str_add(out, graph->file_layers[i]);
        for (int j = 0; j < graph->file_layer_n_params[i]; j++)
            mb_str_addf(out, " %d", graph->file_layer_params[i][j]);
        mb_str_add(out, "\n");
    }
}

char *json_quoted(const char *text)
{
    mb_str_t copy = {0};
    mb_str_add(&copy, text);
    for (size_t i = 0; i < copy.length; i++) {
        if (copy.text[i] == '\'')
            copy.text[i] = '"';
    }
    return copy.text;
}

char *test_data_read(const char *name)
{
    const char *folder = getenv("MB_TEST_DATA");
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", folder == NULL ? "tests/data" : folder, name);
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return NULL;
    mb_str_t text = {0};
    char buffer[4096];
    size_t n;
    mb_str_add(&text, "");
    while ((n = fread(buffer, 1, sizeof(buffer) - 1, file)) > 0) {
        buffer[n] = '\0';
        mb_str_add(&text, buffer);
    }
    fclose(file);
    return text.text;
}
