/* Models and their members from JSON, as the file nests them. */
#include "model/graph_private.h"

#include <string.h>

#include "model/layers/operators.h"

static mb_status_t read_module(mb_reader_t *reader, const json_t *wrapper,
                               const mb_module_t *parent, int depth, mb_module_t **out);

static bool is_model_class(const char *name)
{
    return strcmp(name, "Sequential") == 0 || strcmp(name, "Functional") == 0 ||
           strcmp(name, "Model") == 0;
}

/* Names become parts of paths in HDF5 files. Keras 2 lets '/' stand inside a name. */
static bool is_usable_name(const char *name)
{
    size_t length = strlen(name);
    return length > 0 && length <= 1024 && name[0] != '/' && name[length - 1] != '/' &&
           strstr(name, "//") == NULL && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
           strncmp(name, "./", 2) != 0 && strstr(name, "/./") == NULL;
}

static mb_status_t set_name(mb_reader_t *reader, mb_module_t *module, const json_t *wrapper,
                            const json_t *config, const char *where)
{
    /* A bare list of layers has no name of its own; Keras 2 called such a model so. */
    if (json_is_array(config) && !json_is_string(json_object_get(wrapper, "name"))) {
        module->name = module->path = "sequential";
        return MB_OK;
    }
    const json_t *outer = json_object_get(wrapper, "name");
    const json_t *inner = json_object_get(config, "name");
    const json_t *name = json_is_string(outer) ? outer : inner;
    if (!json_is_string(name))
        return mb_error_set(MB_ERR_FORMAT, "%s: a %s without a name", where, module->class_name);
    if (json_is_string(inner) && json_equal(name, inner) == 0)
        return mb_error_set(MB_ERR_FORMAT, "%s: a %s is called '%s' and '%s' at once", where,
                            module->class_name, json_string_value(name), json_string_value(inner));
    module->name = json_string_value(name);
    if (!is_usable_name(module->name))
        return mb_error_set(MB_ERR_FORMAT,
                            "%s: '%s' cannot name a %s: names become paths inside the file", where,
                            module->name, module->class_name);
    bool nested = module->parent != NULL && module->parent->parent != NULL;
    module->path = nested
                       ? mb_arena_format(reader->arena, "%s/%s", module->parent->path, module->name)
                       : module->name;
    MB_ARENA_TRY(module->path, "a layer's path");
    return MB_OK;
}

/* Reads MEMBERS[first...] and refuses names that come twice. */
static mb_status_t read_members(mb_reader_t *reader, mb_module_t *model, const json_t *list,
                                int depth)
{
    if (!json_is_array(list))
        return mb_error_set(MB_ERR_FORMAT, "model '%s': key 'layers' must be a list", model->name);
    size_t count = json_array_size(list);
    if (count == 0 || count > MB_MAX_NODES)
        return mb_error_set(MB_ERR_FORMAT, "model '%s' has %zu layers; 1 to %d can be read",
                            model->name, count, MB_MAX_NODES);
    mb_names_t names;
    MB_TRY(mb_names_create(reader->arena, count, &names));
    /* One more for the InputLayer that a Sequential model may leave out. */
    model->members = MB_ARENA_ARRAY(reader->arena, mb_module_t *, count + 1);
    MB_ARENA_TRY(model->members, "a model's layers");
    for (size_t i = 0; i < count; i++) {
        mb_module_t *member = NULL;
        MB_TRY(read_module(reader, json_array_get(list, i), model, depth, &member));
        if (!mb_names_put(&names, member->name, (int)i))
            return mb_error_set(MB_ERR_FORMAT, "model '%s' has two layers with the name '%s'",
                                model->name, member->name);
        model->members[model->n_members++] = member;
    }
    return MB_OK;
}

static mb_status_t read_sequential(mb_reader_t *reader, const json_t *layers,
                                   const json_t *build_shape, mb_module_t *model, int depth)
{
    MB_TRY(read_members(reader, model, layers, depth));
    if (model->members[0]->kind != MB_MODULE_INPUT) {
        for (int i = model->n_members++; i > 0; i--)
            model->members[i] = model->members[i - 1];
        MB_TRY(mb_module_imply_input(reader, model, build_shape, &model->members[0]));
    }
    for (int i = 1; i < model->n_members; i++) {
        if (model->members[i]->kind == MB_MODULE_INPUT)
            return mb_error_set(MB_ERR_FORMAT,
                                "model '%s': the InputLayer '%s' stands behind other layers",
                                model->name, model->members[i]->name);
    }
    if (model->n_members == 1)
        return mb_error_set(MB_ERR_FORMAT, "model '%s' has no layers behind its input",
                            model->name);
    return mb_calls_chain(reader, model);
}

static mb_status_t read_model(mb_reader_t *reader, const json_t *config, mb_module_t *model,
                              int depth)
{
    model->kind = MB_MODULE_MODEL;
    model->sequential = strcmp(model->class_name, "Sequential") == 0;
    if (depth > MB_MAX_NESTING)
        return mb_error_set(MB_ERR_UNSUPPORTED, "model '%s' is nested more than %d deep",
                            model->name, MB_MAX_NESTING);
    /* Keras before 2.2 wrote a Sequential model's layers as a bare list. */
    if (json_is_array(config))
        return read_sequential(reader, config, NULL, model, depth);
    mb_config_t c;
    bool trainable;
    MB_TRY(mb_config_open(&c, config, "model '%s' (%s)", model->name, model->class_name));
    mb_config_ignore(&c, "name");
    MB_TRY(mb_config_bool_or(&c, "trainable", true, &trainable));
    model->trainable = model->trainable && trainable;
    MB_TRY(mb_dtype_policy_read(mb_config_take(&c, "dtype"), c.where, &model->type));
    const json_t *layers = mb_config_take(&c, "layers");
    const json_t *build_shape = NULL, *inputs = NULL, *outputs = NULL;
    if (model->sequential) {
        build_shape = mb_config_take(&c, "build_input_shape");
    } else {
        inputs = mb_config_take(&c, "input_layers");
        outputs = mb_config_take(&c, "output_layers");
    }
    MB_TRY(mb_config_finish(&c));
    if (model->sequential)
        return read_sequential(reader, layers, build_shape, model, depth);
    MB_TRY(read_members(reader, model, layers, depth));
    return mb_calls_read(reader, model, inputs, outputs);
}

static bool is_distributed_model(const mb_module_t *module, const json_t *config)
{
    const json_t *inner = json_object_get(json_object_get(config, "layer"), "class_name");
    return strcmp(module->class_name, "TimeDistributed") == 0 && json_is_string(inner) &&
           is_model_class(json_string_value(inner));
}

/* TimeDistributed around a model is a model whose layers each work on all steps. */
static mb_status_t read_distributed(mb_reader_t *reader, const json_t *config, mb_module_t *module,
                                    int depth)
{
    const json_t *inner;
    const char *class_name = module->class_name;
    MB_TRY(mb_module_read_distributed(config, module, &inner));
    module->distributed = true;
    module->inside = json_string_value(json_object_get(json_object_get(inner, "config"), "name"));
    if (module->inside == NULL || !is_usable_name(module->inside))
        module->inside = module->name;
    module->class_name = json_string_value(json_object_get(inner, "class_name"));
    reader->steps++;
    MB_TRY(read_model(reader, json_object_get(inner, "config"), module, depth + 1));
    reader->steps--;
    module->class_name = class_name;
    return MB_OK;
}

static mb_status_t read_by_kind(mb_reader_t *reader, const json_t *config, mb_module_t *module,
                                int depth)
{
    if (is_model_class(module->class_name))
        return read_model(reader, config, module, depth + 1);
    if (is_distributed_model(module, config))
        return read_distributed(reader, config, module, depth);
    if (strcmp(module->class_name, mb_input_class.name) == 0) {
        module->kind = MB_MODULE_INPUT;
        return mb_module_read_input(reader, config, module);
    }
    module->kind = MB_MODULE_LAYER;
    if (module->operation)
        return mb_module_read_operation(reader, config, module);
    return mb_module_read_layer(reader, config, module);
}

/* Operations whose names are layers' too: Add on two arguments rather than one list, and Reshape by
 * the key that only the operation has. Concatenate and Softmax mean the same as the layers. */
static bool is_called_as_operation(const mb_module_t *module, const json_t *config)
{
    const json_t *args = json_object_get(json_array_get(module->inbound, 0), "args");
    return json_array_size(args) > 1 || json_object_get(config, "newshape") != NULL;
}

/* Keras says which is meant by the module, but leaves that out of HDF5 files. */
static bool is_operation(const mb_module_t *module, const json_t *module_name, const json_t *config)
{
    static const char *const places[] = {"keras.src.ops", "keras.ops", "keras.src.activations"};
    const char *name = json_string_value(module_name);
    for (size_t i = 0; name != NULL && i < sizeof(places) / sizeof(places[0]); i++) {
        if (strncmp(name, places[i], strlen(places[i])) == 0)
            return true;
    }
    if (name != NULL || mb_operator_class_find(module->class_name) == NULL ||
        json_object_get(json_array_get(module->inbound, 0), "args") == NULL)
        return false;
    return mb_layer_class_find(module->class_name) == NULL ||
           is_called_as_operation(module, config);
}

/* A class registered under a package is known by that longer name. */
static const char *class_of(const json_t *class_name, const json_t *registered)
{
    if (json_is_string(registered) && mb_layer_class_find(json_string_value(registered)) != NULL)
        return json_string_value(registered);
    return json_string_value(class_name);
}

/* The wrapper's shared_object_id is not looked at: like Keras' own reader of these files, a layer
 * that stands in two models becomes two layers. */
static mb_status_t read_module(mb_reader_t *reader, const json_t *wrapper,
                               const mb_module_t *parent, int depth, mb_module_t **out)
{
    static const char *const without_effect[] = {"build_config", "compile_config",
                                                 "shared_object_id", "keras_version", "backend"};
    mb_config_t c;
    if (parent == NULL)
        MB_TRY(mb_config_open(&c, wrapper, "model_config"));
    else
        MB_TRY(mb_config_open(&c, wrapper, "a layer of model '%s'", parent->name));
    const json_t *class_name = mb_config_take(&c, "class_name");
    const json_t *registered = mb_config_take(&c, "registered_name");
    const json_t *config = mb_config_take(&c, "config");
    const json_t *inbound = mb_config_take(&c, "inbound_nodes");
    const json_t *module_name = mb_config_take(&c, "module");
    mb_config_ignore(&c, "name");
    for (size_t i = 0; i < sizeof(without_effect) / sizeof(without_effect[0]); i++)
        mb_config_ignore(&c, without_effect[i]);
    MB_TRY(mb_config_finish(&c));
    if (!json_is_string(class_name))
        return mb_error_set(MB_ERR_FORMAT, "%s: key 'class_name' must be a string", c.where);
    mb_module_t *module = MB_ARENA_NEW(reader->arena, mb_module_t);
    MB_ARENA_TRY(module, "a layer");
    module->class_name = class_of(class_name, registered);
    module->parent = parent;
    module->trainable = parent == NULL || parent->trainable;
    module->inbound = inbound;
    module->operation = is_operation(module, module_name, config);
    MB_TRY(set_name(reader, module, wrapper, config, c.where));
    if (mb_is_lambda(module->class_name))
        MB_TRY(mb_lambda_rewrite(reader, module, &config));
    MB_TRY(read_by_kind(reader, config, module, depth));
    *out = module;
    return MB_OK;
}

mb_status_t mb_module_read(mb_reader_t *reader, const json_t *wrapper, mb_module_t **out)
{
    const json_t *class_name = json_object_get(wrapper, "class_name");
    if (json_is_string(class_name) && !is_model_class(json_string_value(class_name)))
        return mb_error_set(
            MB_ERR_UNSUPPORTED,
            "model_config: a model of class '%s' cannot be rebuilt from its file, because its "
            "layers are wired by Python code; save it as a Functional or Sequential model",
            json_string_value(class_name));
    return read_module(reader, wrapper, NULL, 0, out);
}
