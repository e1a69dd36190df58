/* See draft.h: inputs, layers, and which tensors calls take. */
#include "model/draft_private.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

mb_status_t mb_draft_create(const char *name, mb_draft_t **out)
{
    mb_arena_t *arena = mb_arena_create();
    mb_draft_t *draft = arena == NULL ? NULL : MB_ARENA_NEW(arena, mb_draft_t);
    if (draft != NULL) {
        *draft = (mb_draft_t){.arena = arena, .name = mb_arena_strdup(arena, name), .chain = true};
        draft->layers = json_array();
    }
    if (draft == NULL || draft->name == NULL || draft->layers == NULL) {
        if (arena != NULL)
            mb_arena_destroy(arena);
        return mb_error_memory("a model", sizeof *draft);
    }
    *out = draft;
    return MB_OK;
}

void mb_draft_destroy(mb_draft_t *draft)
{
    if (draft == NULL)
        return;
    json_decref(draft->layers);
    mb_arena_destroy(draft->arena);
}

const char *mb_draft_name(const mb_draft_t *draft)
{
    return draft->name;
}

/* ---- names */

static json_t *find_layer(const mb_draft_t *draft, const char *name)
{
    size_t at;
    json_t *layer;
    json_array_foreach(draft->layers, at, layer)
    {
        if (strcmp(json_string_value(json_object_get(layer, "name")), name) == 0)
            return layer;
    }
    return NULL;
}

static mb_status_t check_name(const mb_draft_t *draft, const char *name)
{
    if (name[0] == '\0' || strpbrk(name, "/: ") != NULL)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "model '%s': '%s' is no name for a layer: letters, digits, '_', '-' "
                            "and '.'",
                            draft->name, name);
    if (find_layer(draft, name) != NULL)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "model '%s' has a layer '%s' already; to call it again use "
                            "mb_model_call",
                            draft->name, name);
    return MB_OK;
}

/* "LayerNormalization" is layer_normalization, "Conv2D" conv2d: Keras' own rule. */
static void small_letters(const char *class_name, char *out, size_t room)
{
    size_t n = 0;
    const char *plain = strrchr(class_name, '>');
    plain = plain == NULL ? class_name : plain + 1;
    for (const char *at = plain; *at != '\0' && n + 2 < room; at++) {
        bool begins = isupper((unsigned char)*at) && at > plain &&
                      (islower((unsigned char)at[-1]) ||
                       (isupper((unsigned char)at[-1]) && islower((unsigned char)at[1])));
        if (begins)
            out[n++] = '_';
        out[n++] = (char)tolower((unsigned char)*at);
    }
    out[n] = '\0';
}

static const char *free_name(const mb_draft_t *draft, const char *class_name)
{
    char base[128];
    small_letters(class_name, base, sizeof base);
    const char *name = mb_arena_strdup(draft->arena, base);
    for (int i = 1; name != NULL && find_layer(draft, name) != NULL; i++)
        name = mb_arena_format(draft->arena, "%s_%d", base, i);
    return name;
}

/* ---- tensors */

static mb_status_t find_tensor(const mb_draft_t *draft, const char *name, int *out)
{
    for (int i = 0; i < draft->n_tensors; i++) {
        *out = i;
        if (strcmp(draft->tensors[i].name, name) == 0)
            return MB_OK;
    }
    const char **names = MB_ARENA_ARRAY(draft->arena, const char *, draft->n_tensors + 1);
    for (int i = 0; names != NULL && i < draft->n_tensors; i++)
        names[i] = draft->tensors[i].name;
    const char *nearest =
        names == NULL ? NULL : mb_str_nearest(name, names, (size_t)draft->n_tensors);
    return mb_error_set(MB_ERR_ARGUMENT, "model '%s' has no input or layer '%s'%s%s%s", draft->name,
                        name, nearest == NULL ? "" : ": do you mean '",
                        nearest == NULL ? "" : nearest, nearest == NULL ? "" : "'?");
}

static mb_status_t add_tensor(mb_draft_t *draft, const mb_draft_tensor_t *tensor)
{
    if (draft->n_tensors == draft->room) {
        int room = 2 * draft->room + 16;
        mb_draft_tensor_t *tensors = MB_ARENA_ARRAY(draft->arena, mb_draft_tensor_t, room);
        if (tensors == NULL)
            return mb_error_memory("a model's layers", (size_t)room * sizeof *tensors);
        if (draft->n_tensors > 0)
            memcpy(tensors, draft->tensors, (size_t)draft->n_tensors * sizeof *tensors);
        draft->tensors = tensors;
        draft->room = room;
    }
    draft->tensors[draft->n_tensors++] = *tensor;
    return MB_OK;
}

static mb_status_t find_all(const mb_draft_t *draft, int count, const char *const *names, int *out)
{
    if (count < 0 || count > MB_MAX_INPUTS)
        return mb_error_set(MB_ERR_ARGUMENT, "model '%s': %d tensors; there are 0 to %d",
                            draft->name, count, MB_MAX_INPUTS);
    for (int i = 0; i < count; i++) {
        if (names == NULL || names[i] == NULL)
            return mb_error_set(MB_ERR_ARGUMENT, "model '%s': the name of tensor %d is NULL",
                                draft->name, i);
        MB_TRY(find_tensor(draft, names[i], &out[i]));
    }
    return MB_OK;
}

static mb_status_t take_inputs(mb_draft_t *draft, int count, const char *const *names,
                               mb_draft_call_t *call)
{
    if (draft->n_tensors == 0)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "model '%s' has no input yet; begin with mb_model_add_input",
                            draft->name);
    MB_TRY(find_all(draft, count, names, call->inputs));
    call->n_inputs = count;
    if (count == 0) {
        call->n_inputs = 1;
        call->inputs[0] = draft->n_tensors - 1;
    }
    return MB_OK;
}

/* ---- what a program adds */

mb_status_t mb_draft_add_input(mb_draft_t *draft, const char *name, const char *dtype,
                               const mb_shape_t *sample)
{
    mb_draft_tensor_t tensor = {.dtype = dtype, .shape = *sample, .is_input = true};
    MB_TRY(check_name(draft, name));
    tensor.name = tensor.layer = mb_arena_strdup(draft->arena, name);
    json_t *layer = tensor.name == NULL ? NULL : mb_draft_input_layer(&tensor);
    if (layer == NULL)
        return mb_error_set(MB_ERR_ARGUMENT, "model '%s': input '%s' is not UTF-8 text",
                            draft->name, name);
    if (json_array_append_new(draft->layers, layer) != 0)
        return mb_error_memory("a model's input", 0);
    draft->chain = draft->chain && draft->n_tensors == 0;
    return add_tensor(draft, &tensor);
}

/* Adds the call to the layer, and what it gives to the tensors. */
static mb_status_t commit(mb_draft_t *draft, json_t *layer, const mb_draft_call_t *call,
                          const mb_draft_tensor_t *given)
{
    json_t *nodes = json_object_get(layer, "inbound_nodes");
    if (json_array_append_new(nodes, mb_draft_node(draft->tensors, call)) != 0)
        return mb_error_memory("a call", 0);
    for (int i = 0; i < call->n_inputs; i++)
        draft->tensors[call->inputs[i]].used = true;
    return add_tensor(draft, given);
}

static mb_status_t add_layer(mb_draft_t *draft, json_t *layer, const char *name,
                             mb_draft_call_t *call)
{
    mb_draft_tensor_t given = {.name = name, .layer = name};
    if (layer == NULL)
        return mb_error_set(MB_ERR_ARGUMENT, "model '%s': a name that is not UTF-8 text",
                            draft->name);
    MB_TRY(mb_draft_infer(draft, layer, call, &given));
    if (json_array_append(draft->layers, layer) != 0)
        return mb_error_memory("a model's layer", 0);
    return commit(draft, layer, call, &given);
}

mb_status_t mb_draft_add(mb_draft_t *draft, const char *class_name, const char *name,
                         const char *config, int count, const char *const *inputs)
{
    json_t *read = NULL;
    mb_draft_call_t call = {.class_name = class_name};
    if (name != NULL)
        MB_TRY(check_name(draft, name));
    const char *own =
        name == NULL ? free_name(draft, class_name) : mb_arena_strdup(draft->arena, name);
    if (own == NULL)
        return mb_error_memory("a layer's name", 0);
    MB_TRY(take_inputs(draft, count, inputs, &call));
    MB_TRY(mb_draft_read_config(config, own, draft->name, &read, &call.kwargs));
    json_t *layer = json_pack("{s:s, s:O, s:s, s:[]}", "class_name", class_name, "config", read,
                              "name", own, "inbound_nodes");
    mb_status_t status = add_layer(draft, layer, own, &call);
    if (status == MB_OK)
        draft->chain = draft->chain && count == 0 && call.kwargs == NULL;
    json_decref(layer);
    json_decref(read);
    json_decref(call.kwargs);
    return status;
}

mb_status_t mb_draft_call(mb_draft_t *draft, const char *name, int count, const char *const *inputs)
{
    json_t *layer = find_layer(draft, name);
    const json_t *nodes = json_object_get(layer, "inbound_nodes");
    if (json_array_size(nodes) == 0)
        return mb_error_set(MB_ERR_ARGUMENT, "model '%s' has no layer '%s' to call again",
                            draft->name, name);
    mb_draft_call_t call = {.class_name = json_string_value(json_object_get(layer, "class_name")),
                            .kwargs = json_object_get(json_array_get(nodes, 0), "kwargs")};
    mb_draft_tensor_t given = {.call = (int)json_array_size(nodes)};
    given.layer = mb_arena_strdup(draft->arena, name);
    given.name = mb_arena_format(draft->arena, "%s:%d", name, given.call);
    if (given.name == NULL || given.layer == NULL)
        return mb_error_memory("a call", 0);
    MB_TRY(take_inputs(draft, count, inputs, &call));
    MB_TRY(mb_draft_infer(draft, layer, &call, &given));
    draft->chain = false;
    return commit(draft, layer, &call, &given);
}

mb_status_t mb_draft_set_outputs(mb_draft_t *draft, int count, const char *const *names)
{
    int outputs[MB_MAX_INPUTS];
    MB_TRY(find_all(draft, count, names, outputs));
    if (count == 0)
        return mb_error_set(MB_ERR_ARGUMENT, "model '%s': a model has at least one output",
                            draft->name);
    draft->n_outputs = count;
    memcpy(draft->outputs, outputs, sizeof outputs);
    return MB_OK;
}
