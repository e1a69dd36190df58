/* A graph from beginning to end: built from a model_config, looked up, destroyed. */
#include "model/graph_private.h"

#include <string.h>

static mb_status_t build(const char *model_config, const char *where, mb_graph_t *graph)
{
    mb_graph_detail_t *detail = graph->detail = MB_ARENA_NEW(graph->arena, mb_graph_detail_t);
    MB_ARENA_TRY(detail, "a graph");
    MB_TRY(mb_json_parse(model_config, strlen(model_config), "model_config", &graph->config));
    detail->where = mb_arena_strdup(graph->arena, where);
    detail->kept = json_array();
    MB_ARENA_TRY(detail->where, "a graph");
    MB_ARENA_TRY(detail->kept, "a graph");
    /* Keras 3 calls the shape of an input batch_shape. */
    mb_reader_t reader = {.arena = graph->arena,
                          .kept = detail->kept,
                          .keras2 = strstr(model_config, "\"batch_input_shape\"") != NULL};
    MB_TRY(mb_module_read(&reader, graph->config, &detail->root));
    graph->name = detail->root->name;
    graph->sequential = detail->root->sequential;
    return mb_graph_open(graph);
}

mb_status_t mb_graph_create(const char *model_config, const char *where, mb_graph_t **out)
{
    mb_arena_t *arena = mb_arena_create();
    mb_graph_t *graph = arena == NULL ? NULL : MB_ARENA_NEW(arena, mb_graph_t);
    if (graph == NULL) {
        mb_arena_destroy(arena);
        return mb_error_memory("a graph", sizeof(mb_graph_t));
    }
    graph->arena = arena;
    mb_status_t status = build(model_config, where, graph);
    if (status != MB_OK) {
        mb_graph_destroy(graph);
        return mb_error_prefix(status, "%s: ", where);
    }
    *out = graph;
    return MB_OK;
}

void mb_graph_destroy(mb_graph_t *graph)
{
    if (graph == NULL)
        return;
    if (graph->detail != NULL)
        json_decref(graph->detail->kept);
    json_decref(graph->config);
    mb_arena_destroy(graph->arena);
}

int mb_graph_param(const mb_graph_t *graph, const char *path)
{
    return mb_names_get(&graph->detail->params, path);
}

int mb_graph_layer(const mb_graph_t *graph, const char *path)
{
    for (int i = 0; i < graph->n_layers; i++) {
        if (strcmp(graph->layers[i]->path, path) == 0)
            return i;
    }
    return -1;
}

static bool looks_up(const mb_graph_t *graph, int node)
{
    for (int u = 0; u < graph->nodes[node].n_uses; u++) {
        const mb_node_t *user = &graph->nodes[graph->nodes[node].uses[u].node];
        if (strcmp(user->call.layer->class_->name, "Embedding") == 0)
            return true;
    }
    return false;
}

int64_t mb_graph_tokens(const mb_graph_t *graph)
{
    for (int i = 0; i < graph->n_inputs; i++) {
        int64_t ids = mb_shape_elements(&graph->nodes[graph->inputs[i]].call.output);
        if (ids > 1 && looks_up(graph, graph->inputs[i]))
            return ids;
    }
    return 0;
}
