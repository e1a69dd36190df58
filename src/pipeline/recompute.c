/* See recompute.h. */
#include "pipeline/recompute.h"

#include "base/str.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN = 6, MOST_SEGMENTS = 4096 };

bool mb_recompute_is_open(const char *text)
{
    return text == NULL || strcmp(text, "auto") == 0;
}

/* "full", or "full:SEGMENTS"; 0: neither. */
static int read_full(const char *text)
{
    char *end;
    if (strcmp(text, "full") == 0)
        return 1;
    if (strncmp(text, "full:", 5) != 0 || text[5] < '0' || text[5] > '9')
        return 0;
    long segments = strtol(text + 5, &end, 10);
    return *end == '\0' && segments >= 1 && segments <= MOST_SEGMENTS ? (int)segments : 0;
}

void mb_recompute_read(const char *text, mb_schedule_choice_t *out)
{
    int full = read_full(text);
    out->recomputes = !mb_recompute_is_open(text) && strcmp(text, "none") != 0;
    out->layers = out->recomputes && full == 0 ? text : NULL;
    out->segments = full;
}

/* Inputs are given, not computed. */
static bool computes(const mb_graph_t *graph, int layer)
{
    for (int i = 0; i < graph->n_nodes; i++) {
        if (graph->nodes[i].layer == layer)
            return !graph->nodes[i].is_input;
    }
    return false;
}

static mb_status_t refuse(const mb_graph_t *graph, const mb_schedule_choice_t *choice,
                          const char *pattern)
{
    mb_str_t names = {0};
    int shown = 0;
    for (int l = 0; l < graph->n_layers && shown < SHOWN; l++) {
        if (computes(graph, l))
            mb_str_addf(&names, "%s%s", shown++ == 0 ? "" : ", ", graph->layers[l]->path);
    }
    mb_status_t status = mb_error_set(
        MB_ERR_ARGUMENT,
        "recompute=%s: no layer's name matches '%s'; there are none, full, full:SEGMENTS, auto, or "
        "patterns of "
        "names such as %s%s",
        choice->layers, pattern, names.text == NULL ? "" : names.text,
        shown == SHOWN ? ", ..." : "");
    mb_str_free(&names);
    return status;
}

static mb_status_t match(const mb_graph_t *graph, const mb_schedule_choice_t *choice,
                         const char *pattern, bool *layers)
{
    bool found = false;
    for (int l = 0; l < graph->n_layers; l++) {
        if (fnmatch(pattern, graph->layers[l]->path, 0) != 0 || !computes(graph, l))
            continue;
        layers[l] = found = true;
    }
    return found ? MB_OK : refuse(graph, choice, pattern);
}

static mb_status_t match_all(const mb_graph_t *graph, const mb_schedule_choice_t *choice,
                             char *patterns, bool *layers)
{
    char *rest = NULL, *pattern = strtok_r(patterns, ",", &rest);
    if (pattern == NULL)
        return refuse(graph, choice, "");
    for (; pattern != NULL; pattern = strtok_r(NULL, ",", &rest))
        MB_TRY(match(graph, choice, pattern, layers));
    return MB_OK;
}

mb_status_t mb_recompute_layers(const mb_graph_t *graph, const mb_schedule_choice_t *choice,
                                bool *layers)
{
    for (int l = 0; l < graph->n_layers; l++)
        layers[l] = choice->layers == NULL && computes(graph, l);
    if (choice->layers == NULL)
        return MB_OK;
    char *patterns = strdup(choice->layers);
    if (patterns == NULL)
        return mb_error_memory("the patterns of layers", strlen(choice->layers));
    mb_status_t status = match_all(graph, choice, patterns, layers);
    free(patterns);
    return status;
}

mb_status_t mb_recompute_nodes(const mb_graph_t *graph, const mb_schedule_choice_t *choice,
                               bool *again)
{
    bool *layers = calloc((size_t)graph->n_layers + 1, sizeof *layers);
    mb_status_t status = layers == NULL ? mb_error_memory("a plan", (size_t)graph->n_layers)
                                        : mb_recompute_layers(graph, choice, layers);
    for (int i = 0; i < graph->n_nodes && status == MB_OK; i++)
        again[i] = !graph->nodes[i].is_input && layers[graph->nodes[i].layer];
    free(layers);
    return status;
}

mb_status_t mb_recompute_check(const mb_graph_t *graph, const mb_schedule_choice_t *choice,
                               const char *file)
{
    bool *layers = calloc((size_t)graph->n_layers + 1, sizeof *layers);
    mb_status_t status = layers == NULL       ? mb_error_memory("a plan", (size_t)graph->n_layers)
                         : choice->recomputes ? mb_recompute_layers(graph, choice, layers)
                                              : MB_OK;
    free(layers);
    if (status != MB_OK || !choice->recomputes || !graph->keeps_states)
        return status;
    return mb_error_set(MB_ERR_UNSUPPORTED,
                        "recompute=%s: %s has layers that keep states (stateful), which a forward "
                        "changes: it cannot be computed again",
                        choice->layers == NULL ? "full" : choice->layers, file);
}

mb_status_t mb_recompute_refuse_states(const char *file)
{
    return mb_error_set(MB_ERR_UNSUPPORTED,
                        "%s computes forwards again (R), but the model has layers that keep states "
                        "(stateful), which a forward changes",
                        file);
}

const char *mb_recompute_full(int segments, char *buffer, size_t size)
{
    if (segments > 1)
        snprintf(buffer, size, "full:%d", segments);
    else
        snprintf(buffer, size, "full");
    return buffer;
}

bool mb_recompute_can_name(const mb_layer_t *layer)
{
    return strpbrk(layer->path, ",*?[\\") == NULL;
}

const char *mb_recompute_text(const mb_graph_t *graph, const bool *layers, mb_arena_t *arena)
{
    mb_str_t text = {0};
    for (int l = 0; l < graph->n_layers; l++) {
        if (layers[l])
            mb_str_addf(&text, "%s%s", text.length == 0 ? "" : ",", graph->layers[l]->path);
    }
    char *kept = text.failed ? NULL : MB_ARENA_ARRAY(arena, char, text.length + 1);
    if (kept != NULL && text.length > 0)
        memcpy(kept, text.text, text.length);
    mb_str_free(&text);
    return kept;
}
