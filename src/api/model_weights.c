/* The weights of a model: names, shapes, values. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "api/model_own.h"

mb_status_t mb_model_count_weights(const mb_model_t *model, int *count)
{
    mb_api_weights_t weights;
    MB_NEED(model);
    MB_NEED(count);
    MB_TRY(mb_api_model_weights(model, &weights));
    *count = weights.graph->n_params;
    return MB_OK;
}

mb_status_t mb_model_describe_weight(const mb_model_t *model, int index, const char **name,
                                     int *rank, int64_t *shape)
{
    mb_api_weights_t weights;
    MB_NEED(model);
    MB_NEED(name);
    MB_NEED(rank);
    MB_NEED(shape);
    MB_TRY(mb_api_model_weights(model, &weights));
    if (index < 0 || index >= weights.graph->n_params)
        return mb_error_set(MB_ERR_ARGUMENT, "%s: there is no weight %d; the model has %d, from 0",
                            __func__, index, weights.graph->n_params);
    const mb_param_t *param = &weights.graph->params[index];
    *name = param->path;
    *rank = param->shape.rank;
    for (int i = 0; i < param->shape.rank; i++)
        shape[i] = param->shape.dim[i];
    return MB_OK;
}

static mb_status_t no_weight(const mb_graph_t *graph, const char *function, const char *name)
{
    const char **names = calloc((size_t)graph->n_params + 1, sizeof *names);
    for (int i = 0; names != NULL && i < graph->n_params; i++)
        names[i] = graph->params[i].path;
    const char *nearest =
        names == NULL ? NULL : mb_str_nearest(name, names, (size_t)graph->n_params);
    free(names);
    return mb_error_set(MB_ERR_ARGUMENT, "%s: the model has no weight '%s'%s%s%s", function, name,
                        nearest == NULL ? "" : ": do you mean '", nearest == NULL ? "" : nearest,
                        nearest == NULL ? "" : "'?");
}

static mb_status_t find(const mb_model_t *model, const char *function, const char *name,
                        int64_t count, mb_api_weights_t *weights, const mb_param_t **out)
{
    MB_TRY(mb_api_model_weights(model, weights));
    int index = mb_graph_param(weights->graph, name);
    if (index < 0)
        return no_weight(weights->graph, function, name);
    *out = &weights->graph->params[index];
    if (count != (*out)->elements)
        return mb_error_set(MB_ERR_SHAPE,
                            "%s: weight '%s' has %" PRId64 " numbers, and %" PRId64 " are given",
                            function, name, (*out)->elements, count);
    return MB_OK;
}

mb_status_t mb_model_get_weight(const mb_model_t *model, const char *name, int64_t count,
                                float *values)
{
    mb_api_weights_t weights;
    const mb_param_t *param;
    MB_NEED(model);
    MB_NEED(name);
    MB_NEED(values);
    MB_TRY(find(model, __func__, name, count, &weights, &param));
    mb_api_kept_t kept = mb_api_enter();
    mb_status_t status = mb_api_weight_values(&weights, param, values);
    mb_api_leave(&kept);
    return status;
}

/* The place of a weight's values, or a new one behind the others. */
static mb_status_t place_of(mb_model_own_t *own, const mb_param_t *param, mb_api_values_t **out)
{
    for (int i = 0; i < own->n_values; i++) {
        *out = &own->values[i];
        if (strcmp((*out)->path, param->path) == 0)
            return MB_OK;
    }
    mb_api_values_t *values =
        realloc(own->values, ((size_t)own->n_values + 1) * sizeof *own->values);
    if (values == NULL)
        return mb_error_memory("a weight", sizeof *values);
    own->values = values;
    *out = &values[own->n_values];
    **out = (mb_api_values_t){.path = strdup(param->path)};
    if ((*out)->path == NULL)
        return mb_error_memory("a weight's name", strlen(param->path));
    own->n_values++;
    return MB_OK;
}

mb_status_t mb_model_set_weight(mb_model_t *model, const char *name, int64_t count,
                                const float *values)
{
    mb_api_weights_t weights;
    mb_api_values_t *place = NULL;
    const mb_param_t *param;
    MB_NEED(model);
    MB_NEED(name);
    MB_NEED(values);
    MB_TRY(find(model, __func__, name, count, &weights, &param));
    float *copy = malloc((size_t)count * sizeof *copy + 1);
    if (copy == NULL)
        return mb_error_memory("a weight", (size_t)count * sizeof *copy);
    mb_status_t status = place_of(model->own, param, &place);
    if (status != MB_OK) {
        free(copy);
        return status;
    }
    memcpy(copy, values, (size_t)count * sizeof *copy);
    free(place->values);
    place->values = copy;
    place->count = count;
    return MB_OK;
}
