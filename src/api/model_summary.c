/* A model as a table for people: a line a call. */
#include <inttypes.h>
#include <stdio.h>

#include "api/model_own.h"

enum { NAME_WIDTH = 38, SHAPE_WIDTH = 22 };

static int64_t count_layer(const mb_graph_t *graph, int layer, bool trainable)
{
    int64_t sum = 0;
    for (int i = 0; i < graph->n_params; i++) {
        const mb_param_t *param = &graph->params[i];
        if ((layer < 0 || param->layer == layer) && (!trainable || param->trainable))
            sum += param->elements;
    }
    return sum;
}

static const char *class_of(const mb_node_t *node)
{
    return node->is_input ? "InputLayer" : node->call.layer->class_->name;
}

/* Sizes that stand in for open ones are not told as the model's. */
static const char *shape_of(const mb_graph_t *described, const mb_graph_t *sized, int node,
                            char *text, size_t room)
{
    for (int i = 0; i < sized->n_inputs; i++) {
        if (sized->inputs[i] == node)
            return mb_shape_text(&described->nodes[described->inputs[i]].call.output, text, room);
    }
    if (mb_api_open_input(described) >= 0)
        return "(as the data)";
    return mb_shape_text(&sized->nodes[node].call.output, text, room);
}

static void add_node(mb_str_t *out, const mb_graph_t *graph, const mb_node_t *node,
                     const char *shape)
{
    char name[160];
    const mb_layer_t *layer = node->call.layer;
    int n = snprintf(name, sizeof name, "%s%s (%s)", layer->name,
                     node->call_index > 0 ? " again" : "", class_of(node));
    mb_str_addf(out, "%-*s %-*s %12" PRId64 " ", n > NAME_WIDTH ? n : NAME_WIDTH, name, SHAPE_WIDTH,
                shape, node->call_index > 0 ? 0 : count_layer(graph, node->layer, false));
    for (int i = 0; i < node->call.n_inputs; i++)
        mb_str_addf(out, "%s%s", i == 0 ? " " : ", ",
                    graph->nodes[node->inputs[i]].call.layer->name);
    mb_str_add(out, "\n");
}

static void add_totals(mb_str_t *out, const mb_graph_t *graph)
{
    int64_t all = count_layer(graph, -1, false), trained = count_layer(graph, -1, true);
    mb_str_addf(out, "parameters: %" PRId64 ", of which %" PRId64 " are trained\n", all, trained);
}

static void write_table(mb_str_t *out, const char *name, const mb_graph_t *described,
                        const mb_graph_t *sized)
{
    char text[MB_SHAPE_TEXT];
    mb_str_addf(out, "model %s\n%-*s %-*s %12s  %s\n", name, NAME_WIDTH, "layer (class)",
                SHAPE_WIDTH, "output of a sample", "parameters", "takes");
    for (int i = 0; i < sized->n_nodes; i++)
        add_node(out, sized, &sized->nodes[i], shape_of(described, sized, i, text, sizeof text));
    add_totals(out, sized);
}

mb_status_t mb_model_summary(const mb_model_t *model, const char **text)
{
    const mb_graph_t *graph;
    mb_api_weights_t weights;
    MB_NEED(model);
    MB_NEED(text);
    MB_TRY(mb_api_model_graph(model, &graph));
    MB_TRY(mb_api_model_weights(model, &weights));
    mb_str_free(&model->own->summary);
    mb_api_kept_t kept = mb_api_enter();
    write_table(&model->own->summary, mb_api_model_name(model), graph, weights.graph);
    mb_api_leave(&kept);
    if (model->own->summary.failed)
        return mb_error_memory("a model's summary", 0);
    *text = model->own->summary.text;
    return MB_OK;
}
