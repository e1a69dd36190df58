/* See profile.h. */
#include "engine/profile.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/config.h"
#include "base/str.h"
#include "store/io.h"

enum { LARGEST_FILE = 1 << 26 };

mb_status_t mb_profile_create(const mb_graph_t *graph, mb_profile_t **out)
{
    mb_profile_t *profile = calloc(1, sizeof *profile);
    if (profile == NULL)
        return mb_error_memory("a profile", sizeof *profile);
    profile->n_nodes = graph->n_nodes;
    profile->nodes = calloc((size_t)graph->n_nodes, sizeof *profile->nodes);
    profile->crossing = calloc((size_t)graph->n_nodes, sizeof *profile->crossing);
    if (profile->nodes == NULL || profile->crossing == NULL) {
        mb_profile_destroy(profile);
        return mb_error_memory("a profile", (size_t)graph->n_nodes * sizeof *profile->nodes);
    }
    *out = profile;
    return MB_OK;
}

void mb_profile_destroy(mb_profile_t *profile)
{
    if (profile == NULL)
        return;
    free(profile->nodes);
    free(profile->crossing);
    free(profile);
}

/* The layers' names are for people; nodes stand in order. */
mb_status_t mb_profile_write(const mb_profile_t *profile, const mb_graph_t *graph, const char *key,
                             const char *path)
{
    mb_str_t text = {0};
    json_t *name = json_string(key);
    char *quoted = json_dumps(name, JSON_ENCODE_ANY);
    json_decref(name);
    mb_str_addf(&text,
                "{\"key\": %s,\n \"seconds\": {\"forward\": 0, \"backward_input\": 1, "
                "\"backward_weights\": 2, \"crossing\": 3},\n \"nodes\": [",
                quoted == NULL ? "\"\"" : quoted);
    free(quoted);
    for (int i = 0; i < profile->n_nodes; i++) {
        const mb_node_cost_t *cost = &profile->nodes[i];
        name = json_string(graph->layers[graph->nodes[i].layer]->path);
        quoted = json_dumps(name, JSON_ENCODE_ANY);
        json_decref(name);
        mb_str_addf(&text, "%s\n  [%s, %.9e, %.9e, %.9e, %.9e]", i == 0 ? "" : ",",
                    quoted == NULL ? "\"\"" : quoted, cost->forward, cost->backward_input,
                    cost->backward_weights, profile->crossing[i]);
        free(quoted);
    }
    mb_str_add(&text, "]}\n");
    mb_status_t status = text.failed ? mb_error_memory("profile.json", text.length)
                                     : mb_io_replace_text(path, text.text);
    mb_str_free(&text);
    return status;
}

static bool take_seconds(const json_t *row, size_t at, double *out)
{
    const json_t *value = json_array_get(row, at);
    *out = json_number_value(value);
    return json_is_number(value) && *out >= 0;
}

static bool take_nodes(const json_t *nodes, mb_profile_t *profile)
{
    bool good = json_array_size(nodes) == (size_t)profile->n_nodes;
    for (int i = 0; good && i < profile->n_nodes; i++) {
        const json_t *row = json_array_get(nodes, (size_t)i);
        mb_node_cost_t *cost = &profile->nodes[i];
        good = take_seconds(row, 1, &cost->forward) &&
               take_seconds(row, 2, &cost->backward_input) &&
               take_seconds(row, 3, &cost->backward_weights) &&
               take_seconds(row, 4, &profile->crossing[i]);
    }
    return good;
}

/* One that is damaged is measured again, as one that is not there. */
mb_status_t mb_profile_read(mb_profile_t *profile, const char *key, const char *path, bool *found)
{
    char *text;
    json_t *object = NULL;
    *found = false;
    MB_TRY(mb_io_read_text(path, LARGEST_FILE, &text));
    if (text != NULL && mb_json_parse(text, strlen(text), path, &object) == MB_OK) {
        const char *its = json_string_value(json_object_get(object, "key"));
        *found = its != NULL && (key == NULL || strcmp(its, key) == 0) &&
                 take_nodes(json_object_get(object, "nodes"), profile);
    }
    json_decref(object);
    free(text);
    return MB_OK;
}
