/* One layer from its config: the keys that all layers have are taken here, the rest is the class's.
 */
#include "model/graph_private.h"

#include "model/initializer.h"
#include "model/known.h"
#include "model/layers/operators.h"
#include "model/layers/time_distributed.h"

#include <inttypes.h>
#include <string.h>

const mb_layer_class_t mb_input_class = {.size = sizeof(mb_layer_class_t), .name = "InputLayer"};

/* Policies whose variables are float32. */
static const struct {
    const char *name;
    mb_dtype_t type;
} policies[] = {{"float32", MB_F32}, {"mixed_bfloat16", MB_BF16}, {"mixed_float16", MB_F16}};

static mb_status_t refuse_policy(const char *name, const char *where)
{
    if (strcmp(name, "QuantizedDTypePolicy") == 0)
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "%s: its weights are in Keras' own quantized form, which Keras alone "
                            "reads; use the float32 model, or one that mbrun quantize made without "
                            "--keras-int8",
                            where);
    return mb_error_set(
        MB_ERR_UNSUPPORTED,
        "%s: dtype policy '%s' is not obeyed: weights are kept in float32; save the "
        "model with the policy float32, mixed_bfloat16 or mixed_float16",
        where, name);
}

/* Keras 2 and 3 write a policy as "float32" or as an object that holds the name. */
mb_status_t mb_dtype_policy_read(const json_t *dtype, const char *where, mb_dtype_t *out)
{
    *out = MB_F32;
    if (dtype == NULL || json_is_null(dtype))
        return MB_OK;
    const char *name = NULL;
    const json_t *config = NULL;
    MB_TRY(mb_config_object(dtype, where, &name, &config));
    if (config != NULL) {
        const json_t *inner = json_object_get(config, "name");
        name = json_is_string(inner) ? json_string_value(inner) : name;
    }
    for (size_t i = 0; i < sizeof policies / sizeof policies[0]; i++) {
        *out = policies[i].type;
        if (strcmp(name, policies[i].name) == 0)
            return MB_OK;
    }
    return refuse_policy(name, where);
}

/* Layers that take whole numbers may have a policy that is no float's. */
static bool is_whole_policy(const json_t *dtype)
{
    static const char *const names[] = {"int32", "int64", "string"};
    const json_t *name = json_object_get(json_object_get(dtype, "config"), "name");
    const char *text = json_string_value(json_is_string(dtype) ? dtype : name);
    for (size_t i = 0; text != NULL && i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(text, names[i]) == 0)
            return true;
    }
    return false;
}

static const struct {
    const char *name;
    bool integer;
} input_types[] = {{"float32", false}, {"float64", false}, {"int32", true}, {"int64", true},
                   {"uint8", true},    {"int8", true},     {"int16", true}, {"uint16", true},
                   {"uint32", true},   {"bool", true}};

static mb_status_t read_input_type(const json_t *dtype, const char *where, bool *integer)
{
    *integer = false;
    if (dtype == NULL || json_is_null(dtype))
        return MB_OK;
    const char *name = NULL;
    const json_t *config = NULL;
    MB_TRY(mb_config_object(dtype, where, &name, &config));
    if (config != NULL && json_is_string(json_object_get(config, "name")))
        name = json_string_value(json_object_get(config, "name"));
    for (size_t i = 0; i < sizeof(input_types) / sizeof(input_types[0]); i++) {
        if (strcmp(name, input_types[i].name) == 0) {
            *integer = input_types[i].integer;
            return MB_OK;
        }
    }
    if (strcmp(name, "string") == 0)
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "%s: an input of texts is not supported; mbrun data gives a column of "
                            "texts numbers of its own: declare the input int32, and let an "
                            "Embedding, a CategoryEncoding or an IntegerLookup take them",
                            where);
    return mb_error_set(MB_ERR_UNSUPPORTED,
                        "%s: an input of type '%s' is not supported; it may be float32, float64 "
                        "or an integer type",
                        where, name);
}

/* Dimensions FIRST and on of a JSON list as a shape; null stays open. */
static mb_status_t read_shape(const json_t *list, size_t first, const char *where, const char *key,
                              mb_shape_t *out)
{
    size_t size = json_array_size(list);
    if (!json_is_array(list) || size < first)
        return mb_error_set(MB_ERR_FORMAT, "%s: key '%s' must be a list of dimensions", where, key);
    if (size - first > MB_MAX_RANK)
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "%s: key '%s' has %zu dimensions a sample, this build has at most %d",
                            where, key, size - first, MB_MAX_RANK);
    *out = (mb_shape_t){.rank = (int)(size - first)};
    for (int i = 0; i < out->rank; i++) {
        const json_t *item = json_array_get(list, first + (size_t)i);
        int64_t dim = json_is_null(item) ? MB_OPEN : json_integer_value(item);
        if (!json_is_null(item) && (!json_is_integer(item) || dim < 1 || dim > MB_MAX_ELEMENTS))
            return mb_error_set(MB_ERR_FORMAT,
                                "%s: dimension %d of key '%s' must be null or a positive integer",
                                where, i, key);
        out->dim[i] = dim;
    }
    return MB_OK;
}

/* The batch that stands in front of a shape; MB_OPEN: any. */
static int64_t batch_of(const json_t *list)
{
    const json_t *first = json_array_get(list, 0);
    int64_t batch = json_integer_value(first); /* 0 of what is none */
    return batch > 0 && batch <= INT32_MAX ? batch : MB_OPEN;
}

/* The shape of a sample from whichever key a Keras wrote; rank MB_RANK_UNKNOWN without one. */
static mb_status_t take_shape(mb_config_t *c, mb_module_t *module)
{
    static const struct {
        const char *key;
        size_t first; /* 1: the batch comes first */
    } keys[] = {{"batch_shape", 1}, {"batch_input_shape", 1}, {"input_shape", 0}};
    module->shape = (mb_shape_t){.rank = MB_RANK_UNKNOWN};
    module->batch = MB_OPEN;
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        const json_t *list = mb_config_take(c, keys[i].key);
        if (list == NULL || json_is_null(list) || module->shape.rank != MB_RANK_UNKNOWN)
            continue;
        MB_TRY(read_shape(list, keys[i].first, c->where, keys[i].key, &module->shape));
        if (keys[i].first > 0)
            module->batch = batch_of(list);
    }
    return MB_OK;
}

static mb_layer_t *new_layer(mb_reader_t *reader, const mb_module_t *module,
                             const mb_layer_class_t *class_)
{
    mb_layer_t *layer = MB_ARENA_NEW(reader->arena, mb_layer_t);
    if (layer == NULL)
        return NULL;
    *layer = (mb_layer_t){.class_ = class_,
                          .name = module->name,
                          .path = module->path,
                          .type = module->type,
                          .trainable = module->trainable,
                          .index = -1};
    return layer;
}

/* Inside a model that TimeDistributed gives each step to, the steps stand in front. */
static mb_status_t add_steps(const mb_reader_t *reader, const char *where, mb_shape_t *shape)
{
    for (int i = 0; i < reader->steps && shape->rank != MB_RANK_UNKNOWN; i++) {
        if (shape->rank == MB_MAX_RANK)
            return mb_error_set(MB_ERR_UNSUPPORTED,
                                "%s: with the steps of TimeDistributed its shape has more than %d "
                                "dimensions a sample",
                                where, MB_MAX_RANK);
        memmove(shape->dim + 1, shape->dim, (size_t)shape->rank * sizeof(*shape->dim));
        shape->dim[0] = MB_OPEN;
        shape->rank++;
    }
    return MB_OK;
}

mb_status_t mb_module_read_input(mb_reader_t *reader, const json_t *config, mb_module_t *module)
{
    mb_config_t c;
    MB_TRY(mb_config_open(&c, config, "layer '%s' (InputLayer)", module->path));
    mb_config_ignore(&c, "name");
    mb_config_ignore(&c, "trainable");
    MB_TRY(take_shape(&c, module));
    MB_TRY(add_steps(reader, c.where, &module->shape));
    MB_TRY(read_input_type(mb_config_take(&c, "dtype"), c.where, &module->integer));
    MB_TRY(mb_config_only(&c, "sparse", "false"));
    MB_TRY(mb_config_only(&c, "ragged", "false"));
    MB_TRY(mb_config_only(&c, "optional", "false"));
    MB_TRY(mb_config_finish(&c));
    module->layer = new_layer(reader, module, &mb_input_class);
    MB_ARENA_TRY(module->layer, "an input");
    return MB_OK;
}

/* Classes of Keras that are refused, and what to do. */
static const struct {
    const char *name, *advice;
} refused_classes[] = {
    {"SpectralNormalization",
     "Keras divides a weight of the wrapped layer by its largest singular value, which it "
     "estimates "
     "as it trains; train with Keras, or put the wrapped layer in the wrapper's place"},
};

static mb_status_t refuse_lambda(const mb_module_t *module)
{
    return mb_error_set(
        MB_ERR_UNSUPPORTED,
        "layer '%s' (Lambda) holds Python code, which only Keras can run; in a functional model "
        "write what it does with operators and keras.ops (x * 2, x[:, 0], ops.mean(x, axis=1)), or "
        "use a layer that does it, and save the model again",
        module->path);
}

static mb_status_t refuse_class(const mb_module_t *module)
{
    char hint[MB_KNOWN_HINT];
    for (size_t i = 0; i < sizeof refused_classes / sizeof refused_classes[0]; i++) {
        if (strcmp(refused_classes[i].name, module->class_name) == 0)
            return mb_error_set(MB_ERR_UNSUPPORTED,
                                "layer '%s' is of class '%s', which is refused: %s", module->path,
                                module->class_name, refused_classes[i].advice);
    }
    if (strcmp(module->class_name, "Lambda") == 0)
        return refuse_lambda(module);
    return mb_error_set(
        MB_ERR_UNSUPPORTED,
        "layer '%s' is of class '%s', which is not known%s; --plugin FILE.so brings "
        "classes of your own",
        module->path, module->class_name,
        mb_known_hint(&mb_known_layers, module->class_name, hint));
}

/* Keras 2 records the shapes that attention was built for; the graph has its own. */
static mb_status_t take_common(mb_config_t *c, const mb_layer_class_t *class_, mb_module_t *module)
{
    bool trainable;
    const json_t *dtype = mb_config_take(c, "dtype");
    mb_config_ignore(c, "name");
    mb_config_ignore(c, "query_shape");
    mb_config_ignore(c, "key_shape");
    mb_config_ignore(c, "value_shape");
    MB_TRY(mb_config_bool_or(c, "trainable", true, &trainable));
    module->trainable = module->trainable && trainable;
    if (!class_->whole || !is_whole_policy(dtype))
        MB_TRY(mb_dtype_policy_read(dtype, c->where, &module->type));
    MB_TRY(mb_config_only(c, "autocast", "true"));
    MB_TRY(mb_config_only(c, "quantization_config", "null"));
    return take_shape(c, module);
}

mb_status_t mb_module_read_layer(mb_reader_t *reader, const json_t *config, mb_module_t *module)
{
    const mb_layer_class_t *class_ = mb_layer_class_find(module->class_name);
    if (class_ == NULL)
        return refuse_class(module);
    mb_config_t c;
    MB_TRY(mb_config_open(&c, config, "layer '%s' (%s)", module->path, module->class_name));
    c.keras2 = reader->keras2;
    MB_TRY(take_common(&c, class_, module));
    mb_layer_t *layer = module->layer = new_layer(reader, module, class_);
    MB_ARENA_TRY(layer, "a layer");
    layer->keras2 = c.keras2;
    MB_TRY(mb_regularizer_parse(mb_config_take(&c, "activity_regularizer"), c.where,
                                &layer->activity));
    MB_TRY(mb_layer_class_parse(class_, &c, reader->arena, &layer->config));
    if (class_->activity != NULL)
        layer->activity = *class_->activity(layer);
    MB_TRY(mb_config_finish(&c));
    for (int i = 0; i < reader->steps; i++)
        MB_TRY(mb_layer_distribute(reader->arena, layer));
    return MB_OK;
}

mb_status_t mb_module_read_distributed(const json_t *config, mb_module_t *module,
                                       const json_t **inner)
{
    mb_config_t c;
    bool trainable;
    mb_dtype_t type;
    MB_TRY(mb_config_open(&c, config, "layer '%s' (TimeDistributed)", module->path));
    mb_config_ignore(&c, "name");
    MB_TRY(mb_config_bool_or(&c, "trainable", true, &trainable));
    module->trainable = module->trainable && trainable;
    MB_TRY(mb_dtype_policy_read(mb_config_take(&c, "dtype"), c.where, &type));
    MB_TRY(mb_config_only(&c, "autocast", "true"));
    MB_TRY(mb_config_only(&c, "activity_regularizer", "null"));
    MB_TRY(mb_config_only(&c, "quantization_config", "null"));
    MB_TRY(take_shape(&c, module));
    *inner = mb_config_take(&c, "layer");
    return mb_config_finish(&c);
}

static mb_status_t refuse_operation(const mb_module_t *module)
{
    char hint[MB_KNOWN_HINT];
    return mb_error_set(MB_ERR_UNSUPPORTED,
                        "'%s' is keras.ops' %s, which is not known%s; a layer may do the same",
                        module->path, module->class_name,
                        mb_known_hint(&mb_known_operators, module->class_name, hint));
}

/* What it computes in follows from its inputs. */
mb_status_t mb_module_read_operation(mb_reader_t *reader, const json_t *config, mb_module_t *module)
{
    const mb_layer_class_t *class_ = mb_operator_class_find(module->class_name);
    if (class_ == NULL)
        return refuse_operation(module);
    if (reader->steps > 0)
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "'%s' is keras.ops' %s inside a model that TimeDistributed gives each "
                            "step to; use a layer that does it there (Add, Multiply, Rescaling)",
                            module->path, module->class_name);
    mb_config_t c;
    MB_TRY(mb_config_open(&c, config, "operation '%s' (%s)", module->path, module->class_name));
    mb_config_ignore(&c, "name");
    mb_layer_t *layer = module->layer = new_layer(reader, module, class_);
    MB_ARENA_TRY(layer, "an operation");
    layer->follows = true;
    MB_TRY(mb_layer_class_parse(class_, &c, reader->arena, &layer->config));
    return mb_config_finish(&c);
}

/* What Keras 2 makes of batch_input_shape on the first layer, else of the model's
 * build_input_shape; without both the data decides. */
mb_status_t mb_module_imply_input(mb_reader_t *reader, mb_module_t *model,
                                  const json_t *build_shape, mb_module_t **out)
{
    mb_module_t *first = model->members[1];
    mb_module_t *input = MB_ARENA_NEW(reader->arena, mb_module_t);
    MB_ARENA_TRY(input, "an input");
    input->kind = MB_MODULE_INPUT;
    input->class_name = mb_input_class.name;
    input->parent = model;
    input->name = mb_arena_format(reader->arena, "%s_input", first->name);
    input->path = mb_arena_format(reader->arena, "%s_input", first->path);
    MB_ARENA_TRY(input->name, "a name");
    MB_ARENA_TRY(input->path, "a name");
    input->trainable = model->trainable;
    input->shape = (mb_shape_t){.rank = MB_RANK_UNKNOWN};
    input->batch = MB_OPEN;
    if (first->kind == MB_MODULE_MODEL && first->n_inputs == 1) {
        const mb_module_t *inner = first->members[first->calls[first->inputs[0]].member];
        input->shape = inner->shape;
        input->batch = inner->batch;
        input->integer = inner->integer;
    }
    if (first->kind == MB_MODULE_LAYER || (first->distributed && first->shape.rank >= 0)) {
        input->shape = first->shape;
        input->batch = first->batch;
        MB_TRY(add_steps(reader, input->path, &input->shape));
    }
    if (input->shape.rank == MB_RANK_UNKNOWN && json_is_array(build_shape)) {
        MB_TRY(read_shape(build_shape, 1, model->class_name, "build_input_shape", &input->shape));
        MB_TRY(add_steps(reader, input->path, &input->shape));
    }
    input->layer = new_layer(reader, input, &mb_input_class);
    MB_ARENA_TRY(input->layer, "an input");
    *out = input;
    return MB_OK;
}
