/* See keras_int8.h. */
#include "store/keras_int8.h"

#include <stdlib.h>
#include <string.h>
#include "base/config.h"

typedef struct {
    const char *name;
    const char *weight; /* what Keras quantizes of it; NULL: nothing */
} layer_t;

struct mb_keras_int8 {
    const char *path;
    int n_layers;
    layer_t *layers;
};

static mb_status_t no_memory(void)
{
    return mb_error_set(MB_ERR_MEMORY, "out of memory while turning a model into Keras' int8");
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text == NULL ? "" : text;
}

static const char *weight_of(const char *class_name)
{
    if (strcmp(class_name, "Dense") == 0)
        return "kernel";
    return strcmp(class_name, "Embedding") == 0 ? "embeddings" : NULL;
}

/* The list of a Functional or Sequential model, or of Keras 2's oldest Sequential. */
static json_t *list_layers(const json_t *model)
{
    json_t *config = json_object_get(model, "config");
    return json_is_array(config) ? config : json_object_get(config, "layers");
}

mb_status_t mb_keras_int8_open(const char *model_config, const char *path, mb_arena_t *arena,
                               mb_keras_int8_t **out)
{
    json_t *model = NULL;
    MB_TRY(mb_json_parse(model_config, strlen(model_config), path, &model));
    const json_t *list = list_layers(model);
    size_t count = json_array_size(list);
    mb_keras_int8_t *keras = MB_ARENA_NEW(arena, mb_keras_int8_t);
    layer_t *layers = MB_ARENA_ARRAY(arena, layer_t, count);
    mb_status_t status = keras == NULL || layers == NULL ? no_memory() : MB_OK;
    for (size_t i = 0; i < count && status == MB_OK; i++) {
        const json_t *layer = json_array_get(list, i);
        layers[i].weight = weight_of(text_of(layer, "class_name"));
        layers[i].name = mb_arena_strdup(arena, text_of(json_object_get(layer, "config"), "name"));
        if (layers[i].name == NULL)
            status = no_memory();
    }
    json_decref(model);
    MB_TRY(status);
    *keras = (mb_keras_int8_t){path, (int)count, layers};
    *out = keras;
    return MB_OK;
}

/* "dense/kernel:0" is the kernel of dense in Keras 2. */
static bool is_called(const char *path, const char *name)
{
    const char *last = strrchr(path, '/');
    last = last == NULL ? path : last + 1;
    size_t length = strlen(name);
    return strncmp(last, name, length) == 0 && (last[length] == '\0' || last[length] == ':');
}

bool mb_keras_int8_takes(const mb_keras_int8_t *keras, const char *layer, const char *weight)
{
    for (int i = 0; i < keras->n_layers; i++) {
        if (strcmp(keras->layers[i].name, layer) == 0)
            return keras->layers[i].weight != NULL && is_called(weight, keras->layers[i].weight);
    }
    return false;
}

/* A layout that is being turned. */
typedef struct {
    const mb_keras_int8_t *keras;
    mb_arena_t *arena;
    mb_checkpoint_layout_t *layout;
    mb_tensor_spec_t *tensors; /* those there were, then scales */
    int *scale_of;             /* of a tensor: the index of its scale; 0: it has none */
    json_t *model;
} turn_t;

static json_t *policy(void)
{
    return json_pack("{s:s, s:s, s:{s:s, s:s}, s:n}", "module", "keras.dtype_policies",
                     "class_name", "QuantizedDTypePolicy", "config", "mode", "int8", "source_name",
                     "float32", "registered_name");
}

static mb_status_t set_policy(const turn_t *t, const char *name)
{
    json_t *list = list_layers(t->model), *layer;
    size_t i;
    json_array_foreach(list, i, layer)
    {
        json_t *config = json_object_get(layer, "config");
        if (strcmp(text_of(config, "name"), name) == 0)
            return json_object_set_new(config, "dtype", policy()) == 0 ? MB_OK : no_memory();
    }
    return MB_OK;
}

static mb_status_t check(const turn_t *t, const mb_tensor_spec_t *tensor, bool takes)
{
    const mb_format_t *format = &tensor->encoding->format;
    if (!takes || format->number != MB_NUMBER_I8 || format->grain != MB_GRAIN_CHANNEL) {
        char text[MB_FORMAT_TEXT];
        return mb_error_set(MB_ERR_ARGUMENT,
                            "%s: tensor '%s' is to be %s, and Keras' own layout has int8 kernels "
                            "of Dense and tables of Embedding only; give it fp32 by --rule",
                            t->keras->path, tensor->name,
                            mb_format_text(format, text, sizeof text));
    }
    if (tensor->encoding->layout.has_row_scales)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "%s: tensor '%s' has row scales (method awq), which Keras' own layout "
                            "has no place for; use another method",
                            t->keras->path, tensor->name);
    return MB_OK;
}

/* The same without the scales. */
static mb_encoding_t codes_only(const mb_encoding_t *encoding)
{
    mb_encoding_t codes = *encoding;
    codes.bytes[MB_PART_SCALES] = 0;
    return codes;
}

static mb_status_t turn_tensor(turn_t *t, int index)
{
    mb_tensor_spec_t *tensor = &t->tensors[index];
    const char *colon = strrchr(tensor->name, ':');
    int length = colon == NULL ? (int)strlen(tensor->name) : (int)(colon - tensor->name);
    const char *name =
        mb_arena_format(t->arena, "%.*s_scale%s", length, tensor->name, colon == NULL ? "" : colon);
    mb_encoding_t *codes = MB_ARENA_NEW(t->arena, mb_encoding_t);
    if (name == NULL || codes == NULL)
        return no_memory();
    t->scale_of[index] = t->layout->n_weights;
    t->tensors[t->layout->n_weights++] = (mb_tensor_spec_t){
        .name = name, .shape = {.rank = 1, .dim = {mb_matrix_scales(&tensor->encoding->layout)}}};
    *codes = codes_only(tensor->encoding);
    tensor->encoding = codes;
    tensor->codes_only = true;
    return MB_OK;
}

/* Weights that stay come first, then codes, each with its scale. */
static mb_status_t order_weights(const turn_t *t, mb_layer_spec_t *layer)
{
    int *order = MB_ARENA_ARRAY(t->arena, int, 2 * layer->n_weights), n = 0;
    if (order == NULL)
        return no_memory();
    for (int i = 0; i < layer->n_weights; i++) {
        if (t->scale_of[layer->weights[i]] == 0)
            order[n++] = layer->weights[i];
    }
    for (int i = 0; i < layer->n_weights; i++) {
        int scale = t->scale_of[layer->weights[i]];
        if (scale == 0)
            continue;
        order[n++] = layer->weights[i];
        order[n++] = scale;
    }
    layer->weights = order;
    layer->n_weights = n;
    return MB_OK;
}

static mb_status_t turn_layer(turn_t *t, mb_layer_spec_t *layer)
{
    bool turned = false;
    for (int i = 0; i < layer->n_weights; i++) {
        const mb_tensor_spec_t *tensor = &t->tensors[layer->weights[i]];
        if (tensor->encoding == NULL || mb_format_is_float(&tensor->encoding->format))
            continue;
        MB_TRY(check(t, tensor, mb_keras_int8_takes(t->keras, layer->name, tensor->name)));
        MB_TRY(turn_tensor(t, layer->weights[i]));
        turned = true;
    }
    if (!turned)
        return MB_OK;
    MB_TRY(set_policy(t, layer->name));
    return order_weights(t, layer);
}

static mb_status_t turn_layers(turn_t *t)
{
    mb_checkpoint_layout_t *layout = t->layout;
    mb_layer_spec_t *layers = MB_ARENA_ARRAY(t->arena, mb_layer_spec_t, layout->n_layers);
    size_t most = 2 * (size_t)layout->n_weights;
    t->tensors = MB_ARENA_ARRAY(t->arena, mb_tensor_spec_t, most);
    t->scale_of = MB_ARENA_ARRAY(t->arena, int, most);
    if (layers == NULL || t->tensors == NULL || t->scale_of == NULL)
        return no_memory();
    for (int i = 0; i < layout->n_weights; i++)
        t->tensors[i] = layout->tensors[i];
    for (int i = 0; i < layout->n_layers; i++) {
        layers[i] = layout->layers[i];
        MB_TRY(turn_layer(t, &layers[i]));
    }
    layout->layers = layers;
    layout->tensors = t->tensors;
    return MB_OK;
}

static mb_status_t write_config(const turn_t *t)
{
    char *text = json_dumps(t->model, JSON_REAL_PRECISION(17));
    t->layout->model_config = text == NULL ? NULL : mb_arena_strdup(t->arena, text);
    free(text);
    return t->layout->model_config == NULL ? no_memory() : MB_OK;
}

/* A column of zeros has the scale 0, and Keras divides by it. */
static float reciprocal(float scale)
{
    return scale == 0.0f ? 1.0f : 1.0f / scale;
}

/* The codes' piece and the scales'. */
static mb_status_t turn_piece(const turn_t *t, const mb_piece_t *piece, mb_piece_t out[2])
{
    const mb_encoded_t *encoded = piece->encoded;
    int64_t count = mb_matrix_scales(&encoded->encoding.layout);
    mb_encoded_t *codes = MB_ARENA_NEW(t->arena, mb_encoded_t);
    float *scales = MB_ARENA_ARRAY(t->arena, float, count);
    if (codes == NULL || scales == NULL)
        return no_memory();
    const float *from = encoded->parts[MB_PART_SCALES];
    for (int64_t i = 0; i < count; i++)
        scales[i] = reciprocal(from[i]);
    *codes = (mb_encoded_t){.encoding = codes_only(&encoded->encoding)};
    codes->parts[MB_PART_VALUES] = encoded->parts[MB_PART_VALUES];
    out[0] = (mb_piece_t){.tensor = piece->tensor, .encoded = codes};
    out[1] = (mb_piece_t){.tensor = t->scale_of[piece->tensor], .count = count, .values = scales};
    return MB_OK;
}

static mb_status_t turn_pieces(const turn_t *t, const mb_piece_t **pieces, int *n_pieces)
{
    mb_piece_t *turned = MB_ARENA_ARRAY(t->arena, mb_piece_t, 2 * *n_pieces);
    int n = 0;
    if (turned == NULL)
        return no_memory();
    for (int i = 0; i < *n_pieces; i++) {
        const mb_piece_t *piece = &(*pieces)[i];
        if (t->scale_of[piece->tensor] == 0) {
            turned[n++] = *piece;
            continue;
        }
        MB_TRY(turn_piece(t, piece, turned + n));
        n += 2;
    }
    *pieces = turned;
    *n_pieces = n;
    return MB_OK;
}

mb_status_t mb_keras_int8_convert(const mb_keras_int8_t *keras, mb_arena_t *arena,
                                  mb_checkpoint_layout_t *layout, const mb_piece_t **pieces,
                                  int *n_pieces)
{
    turn_t t = {.keras = keras, .arena = arena, .layout = layout};
    const char *config = layout->model_config;
    if (layout->n_moments > 0)
        return mb_error_set(MB_ERR_INTERNAL, "%s: moments have no place in Keras' int8 layout",
                            keras->path);
    MB_TRY(mb_json_parse(config, strlen(config), keras->path, &t.model));
    mb_status_t status = turn_layers(&t);
    if (status == MB_OK)
        status = write_config(&t);
    if (status == MB_OK)
        status = turn_pieces(&t, pieces, n_pieces);
    json_decref(t.model);
    return status;
}
