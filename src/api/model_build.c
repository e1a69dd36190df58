/* Models built layer by layer, and what a model is compiled with. */
#include <stdlib.h>
#include <string.h>

#include "api/model_own.h"

static mb_status_t create(const char *name, mb_model_t *model)
{
    MB_TRY(mb_api_own_create(&model->own));
    return mb_draft_create(name, &model->own->draft);
}

mb_status_t mb_model_create(const char *name, mb_model_t **out)
{
    MB_NEED(name);
    MB_TRY(mb_api_need(out, __func__, "model"));
    if (name[0] == '\0' || strpbrk(name, "/: ") != NULL)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "mb_model_create: '%s' is no name for a model: letters, digits, '_', "
                            "'-' and '.'",
                            name);
    mb_model_t *model = calloc(1, sizeof *model);
    if (model == NULL)
        return mb_error_memory("a model", sizeof *model);
    mb_status_t status = create(name, model);
    if (status == MB_OK)
        *out = model;
    else
        mb_model_destroy(model);
    return status;
}

static mb_status_t need_draft(const mb_model_t *model, const char *function)
{
    MB_TRY(mb_api_need(model, function, "model"));
    if (model->own->draft != NULL)
        return MB_OK;
    return mb_error_set(MB_ERR_ARGUMENT,
                        "%s: the model was read from %s; layers are added to models of "
                        "mb_model_create",
                        function, model->file->path);
}

static mb_status_t take_type(mb_type_t type, const char **out)
{
    static const char *const names[] = {[MB_FLOAT32] = "float32",
                                        [MB_FLOAT64] = NULL,
                                        [MB_INT32] = "int32",
                                        [MB_INT64] = "int64",
                                        [MB_UINT8] = "uint8"};
    int index = (int)type;
    if (index < 0 || (size_t)index >= sizeof names / sizeof names[0] || names[index] == NULL)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "mb_model_add_input: type %d; an input is MB_FLOAT32, MB_INT32, "
                            "MB_INT64 or MB_UINT8 (arrays of other types are converted)",
                            index);
    *out = names[index];
    return MB_OK;
}

static mb_status_t take_shape(const char *name, int rank, const int64_t *shape, mb_shape_t *out)
{
    if (rank < 1 || rank > MB_MAX_DIMS)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "mb_model_add_input: input '%s' has %d dimensions; there are 1 to %d",
                            name, rank, MB_MAX_DIMS);
    out->rank = rank;
    for (int i = 0; i < rank; i++) {
        if (shape[i] < 1 && shape[i] != MB_OPEN)
            return mb_error_set(MB_ERR_ARGUMENT,
                                "mb_model_add_input: input '%s': shape[%d] is %lld; at least 1 is "
                                "needed, or -1 for a size that the data tells",
                                name, i, (long long)shape[i]);
        if (shape[i] > MB_MAX_ELEMENTS)
            return mb_error_set(MB_ERR_ARGUMENT,
                                "mb_model_add_input: input '%s': shape[%d] is %lld, which is too "
                                "much",
                                name, i, (long long)shape[i]);
        out->dim[i] = shape[i];
    }
    return MB_OK;
}

mb_status_t mb_model_add_input(mb_model_t *model, const char *name, mb_type_t type, int rank,
                               const int64_t *shape)
{
    mb_shape_t sample;
    const char *dtype = NULL;
    MB_TRY(need_draft(model, __func__));
    MB_NEED(name);
    MB_NEED(shape);
    MB_TRY(take_type(type, &dtype));
    MB_TRY(take_shape(name, rank, shape, &sample));
    mb_api_own_forget(model->own);
    return mb_draft_add_input(model->own->draft, name, dtype, &sample);
}

mb_status_t mb_model_add(mb_model_t *model, const char *class_name, const char *name,
                         const char *config, int count, const char *const *inputs)
{
    MB_TRY(need_draft(model, __func__));
    MB_NEED(class_name);
    mb_api_kept_t kept = mb_api_enter();
    mb_api_own_forget(model->own);
    mb_status_t status = mb_draft_add(model->own->draft, class_name, name, config, count, inputs);
    mb_api_leave(&kept);
    return status;
}

mb_status_t mb_model_call(mb_model_t *model, const char *name, int count, const char *const *inputs)
{
    MB_TRY(need_draft(model, __func__));
    MB_NEED(name);
    mb_api_kept_t kept = mb_api_enter();
    mb_api_own_forget(model->own);
    mb_status_t status = mb_draft_call(model->own->draft, name, count, inputs);
    mb_api_leave(&kept);
    return status;
}

mb_status_t mb_model_set_outputs(mb_model_t *model, int count, const char *const *names)
{
    MB_TRY(need_draft(model, __func__));
    MB_NEED(names);
    mb_api_own_forget(model->own);
    return mb_draft_set_outputs(model->own->draft, count, names);
}

/* ---- what it is compiled with */

static mb_status_t set_seed(mb_model_own_t *own, const char *value)
{
    char *end;
    uint64_t seed = strtoull(value, &end, 10);
    if (value[0] < '0' || value[0] > '9' || *end != '\0')
        return mb_error_set(MB_ERR_ARGUMENT,
                            "mb_model_set: seed=%s: a whole number of at least 0 is wanted", value);
    own->seed = seed;
    return MB_OK;
}

static mb_status_t set_text(mb_model_own_t *own, int id, const char *value)
{
    char *copy = strdup(value);
    if (copy == NULL)
        return mb_error_memory("a setting", strlen(value));
    free(own->texts[id]);
    own->texts[id] = copy;
    return MB_OK;
}

mb_status_t mb_model_set(mb_model_t *model, const char *key, const char *value)
{
    const char *names[MB_COMPILE_COUNT + 1] = {[MB_COMPILE_COUNT] = "seed"};
    MB_NEED(model);
    MB_NEED(key);
    MB_NEED(value);
    if (strcmp(key, "seed") == 0)
        return set_seed(model->own, value);
    for (int i = 0; i < MB_COMPILE_COUNT; i++) {
        names[i] = mb_compile_keys[i];
        if (strcmp(key, names[i]) == 0)
            return set_text(model->own, i, value);
    }
    const char *nearest = mb_str_nearest(key, names, MB_COMPILE_COUNT + 1);
    return mb_error_set(MB_ERR_ARGUMENT, "mb_model_set: a model has no setting '%s'%s%s%s", key,
                        nearest == NULL ? "" : ": do you mean '", nearest == NULL ? "" : nearest,
                        nearest == NULL ? "" : "'?");
}
