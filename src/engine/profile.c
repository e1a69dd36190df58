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
    free(profile->slowness);
    free(profile);
}

/* ---- unequal devices */

static bool are_unequal(const double *rates, int n)
{
    double least = rates[0], most = rates[0];
    for (int i = 1; i < n; i++) {
        least = rates[i] < least ? rates[i] : least;
        most = rates[i] > most ? rates[i] : most;
    }
    return least > 0 && most > 1.2 * least;
}

static double mean_seconds(const double *rates, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += 1 / rates[i];
    return sum / n;
}

/* Nodes were measured on the first group. */
static void divide(mb_profile_t *profile, const double *rates, double mean, const int *stage_of)
{
    for (int i = 0; i < profile->n_nodes; i++) {
        mb_node_cost_t *cost = &profile->nodes[i];
        double own = 1 / rates[stage_of[i]] / mean;
        cost->forward /= own;
        cost->backward_input /= own;
        cost->backward_weights /= own;
    }
}

mb_status_t mb_profile_level(mb_profile_t *profile, int groups, int n_stages, const double *rates,
                             const int *stage_of)
{
    double mean = mean_seconds(rates, groups * n_stages);
    if (!are_unequal(rates, groups * n_stages))
        return MB_OK;
    free(profile->slowness);
    profile->slowness = calloc((size_t)n_stages, sizeof *profile->slowness);
    if (profile->slowness == NULL)
        return mb_error_memory("a profile", (size_t)n_stages * sizeof *profile->slowness);
    profile->n_stages = n_stages;
    for (int i = 0; i < groups * n_stages; i++) {
        double own = 1 / rates[i] / mean, *slowest = &profile->slowness[i % n_stages];
        *slowest = own > *slowest ? own : *slowest;
    }
    divide(profile, rates, mean, stage_of);
    return MB_OK;
}

const double *mb_profile_slowness(const mb_profile_t *profile, int stages)
{
    return profile != NULL && profile->n_stages == stages ? profile->slowness : NULL;
}

/* ---- files */

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
    mb_str_add(&text, "]");
    for (int s = 0; s < profile->n_stages; s++)
        mb_str_addf(&text, "%s%.6f", s == 0 ? ",\n \"slowness\": [" : ", ", profile->slowness[s]);
    mb_str_add(&text, profile->n_stages > 0 ? "]}\n" : "}\n");
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

static bool take_slowness(const json_t *stages, mb_profile_t *profile)
{
    size_t n = json_array_size(stages);
    if (stages == NULL)
        return true;
    free(profile->slowness);
    profile->n_stages = 0;
    profile->slowness = calloc(n + 1, sizeof *profile->slowness);
    bool good = profile->slowness != NULL && n > 0;
    for (size_t s = 0; good && s < n; s++)
        good = take_seconds(stages, s, &profile->slowness[s]) && profile->slowness[s] > 0;
    profile->n_stages = good ? (int)n : 0;
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
                 take_nodes(json_object_get(object, "nodes"), profile) &&
                 take_slowness(json_object_get(object, "slowness"), profile);
    }
    json_decref(object);
    free(text);
    return MB_OK;
}
