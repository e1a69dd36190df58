/* The presets that are a chain of layers: mlp, cnn and lstm. Names count up as Keras' do. */
#include "model/preset_layers.h"
#include "model/preset_models.h"

#include <stdio.h>

typedef struct {
    char text[32];
} name_t;

static name_t numbered(const char *base, int index)
{
    name_t name;
    if (index == 0)
        snprintf(name.text, sizeof(name.text), "%s", base);
    else
        snprintf(name.text, sizeof(name.text), "%s_%d", base, index);
    return name;
}

static mb_status_t finish(mb_preset_builder_t *builder, const mb_shape_t *input, json_t **out)
{
    json_t *model = NULL;
    json_t *policy = json_pack("{s:s, s:s, s:{s:s}, s:n}", "module", "keras", "class_name",
                               "DTypePolicy", "config", "name", "float32", "registered_name");
    if (!builder->failed)
        model = json_pack("{s:s, s:{s:s, s:b, s:O, s:O, s:o}}", "class_name", "Sequential",
                          "config", "name", "sequential", "trainable", 1, "dtype", policy, "layers",
                          builder->layers, "build_input_shape", mb_preset_batch_shape(input));
    json_decref(policy);
    json_decref(builder->layers);
    if (model == NULL)
        return mb_error_memory("a preset", 1);
    *out = model;
    return MB_OK;
}

static mb_status_t read_input(const mb_preset_settings_t *settings, mb_shape_t *input)
{
    int64_t sizes[MB_PRESET_MAX_LIST];
    MB_TRY(mb_preset_list_of(settings, "input", 'x', &input->rank, sizes));
    if (input->rank < 1 || input->rank >= MB_MAX_RANK)
        return mb_preset_refuse(settings, "input", "one to seven sizes are wanted");
    for (int i = 0; i < input->rank; i++)
        input->dim[i] = sizes[i];
    return MB_OK;
}

static void append_input(mb_preset_builder_t *builder, const mb_shape_t *input)
{
    mb_preset_append(builder, "InputLayer", mb_preset_input("input_layer", input, "float32"));
}

static void append_dropout(mb_preset_builder_t *builder, int index, double rate)
{
    if (rate > 0.0)
        mb_preset_append(builder, "Dropout",
                         mb_preset_dropout(numbered("dropout", index).text, rate));
}

mb_status_t mb_preset_mlp(const mb_preset_settings_t *settings, json_t **out)
{
    static const char *const known[] = {"relu", "tanh", "sigmoid",  "gelu",    "silu",
                                        "elu",  "selu", "softplus", "softsign"};
    mb_shape_t input = {0};
    int n_hidden;
    int64_t hidden[MB_PRESET_MAX_LIST];
    int64_t classes;
    double dropout;
    const char *activation = NULL;
    MB_TRY(read_input(settings, &input));
    MB_TRY(mb_preset_list_of(settings, "hidden", ',', &n_hidden, hidden));
    MB_TRY(mb_preset_int(settings, "classes", 2, &classes));
    MB_TRY(mb_preset_rate(settings, "dropout", &dropout));
    MB_TRY(mb_preset_choice(settings, "activation", known, sizeof(known) / sizeof(known[0]),
                            &activation));
    mb_preset_builder_t builder = {.layers = json_array()};
    append_input(&builder, &input);
    if (input.rank > 1)
        mb_preset_append(&builder, "Flatten", mb_preset_flatten("flatten"));
    for (int i = 0; i < n_hidden; i++) {
        const name_t name = numbered("dense", i);
        mb_preset_append(&builder, "Dense",
                         mb_preset_dense(name.text, hidden[i], activation, true));
        append_dropout(&builder, i, dropout);
    }
    const name_t last = numbered("dense", n_hidden);
    mb_preset_append(&builder, "Dense", mb_preset_dense(last.text, classes, "linear", true));
    return finish(&builder, &input, out);
}

static void append_block(mb_preset_builder_t *builder, int index, int64_t filters, bool normalize)
{
    const name_t conv = numbered("conv2d", index);
    mb_preset_append(
        builder, "Conv2D",
        mb_preset_conv2d(conv.text, filters, normalize ? "linear" : "relu", !normalize));
    if (normalize) {
        const name_t norm = numbered("batch_normalization", index);
        const name_t relu = numbered("activation", index);
        mb_preset_append(builder, "BatchNormalization", mb_preset_batch_normalization(norm.text));
        mb_preset_append(builder, "Activation", mb_preset_activation(relu.text, "relu"));
    }
    const name_t pool = numbered("max_pooling2d", index);
    mb_preset_append(builder, "MaxPooling2D", mb_preset_max_pooling2d(pool.text));
}

/* Each pooling halves height and width. */
static mb_status_t check_image(const mb_preset_settings_t *settings, const mb_shape_t *input,
                               int n_poolings)
{
    if (input->rank != 3)
        return mb_preset_refuse(settings, "input",
                                "height x width x channels is wanted, as in 28x28x1");
    int64_t smaller = input->dim[0] < input->dim[1] ? input->dim[0] : input->dim[1];
    if (n_poolings > 30 || (smaller >> n_poolings) < 1)
        return mb_preset_refuse(settings, "filters",
                                "each entry halves the image, and nothing would be left of it");
    return MB_OK;
}

mb_status_t mb_preset_cnn(const mb_preset_settings_t *settings, json_t **out)
{
    mb_shape_t input = {0};
    int n_filters;
    int64_t filters[MB_PRESET_MAX_LIST];
    int64_t dense;
    int64_t classes;
    bool normalize;
    double dropout;
    MB_TRY(read_input(settings, &input));
    MB_TRY(mb_preset_list_of(settings, "filters", ',', &n_filters, filters));
    MB_TRY(check_image(settings, &input, n_filters));
    MB_TRY(mb_preset_int(settings, "dense", 1, &dense));
    MB_TRY(mb_preset_int(settings, "classes", 2, &classes));
    MB_TRY(mb_preset_flag(settings, "batchnorm", &normalize));
    MB_TRY(mb_preset_rate(settings, "dropout", &dropout));
    mb_preset_builder_t builder = {.layers = json_array()};
    append_input(&builder, &input);
    for (int i = 0; i < n_filters; i++)
        append_block(&builder, i, filters[i], normalize);
    mb_preset_append(&builder, "Flatten", mb_preset_flatten("flatten"));
    mb_preset_append(&builder, "Dense", mb_preset_dense("dense", dense, "relu", true));
    append_dropout(&builder, 0, dropout);
    mb_preset_append(&builder, "Dense", mb_preset_dense("dense_1", classes, "linear", true));
    return finish(&builder, &input, out);
}

/* As Keras names the two layers inside: after the one that they are made of. */
static json_t *both_ways(int index, int64_t units, bool sequences, double dropout)
{
    char forward[48], backward[48];
    const name_t inner = numbered("lstm", index), name = numbered("bidirectional", index);
    snprintf(forward, sizeof(forward), "forward_%s", inner.text);
    snprintf(backward, sizeof(backward), "backward_%s", inner.text);
    return mb_preset_bidirectional(name.text, "LSTM",
                                   mb_preset_lstm_layer(forward, units, sequences, false, dropout),
                                   mb_preset_lstm_layer(backward, units, sequences, true, dropout));
}

mb_status_t mb_preset_lstm(const mb_preset_settings_t *settings, json_t **out)
{
    int n_units;
    int64_t units[MB_PRESET_MAX_LIST];
    int64_t vocabulary, width, classes;
    bool bidirectional;
    double dropout;
    mb_shape_t input = {.rank = 1};
    MB_TRY(mb_preset_int(settings, "vocabulary", 2, &vocabulary));
    MB_TRY(mb_preset_int(settings, "length", 1, &input.dim[0]));
    MB_TRY(mb_preset_int(settings, "width", 1, &width));
    MB_TRY(mb_preset_list_of(settings, "units", ',', &n_units, units));
    MB_TRY(mb_preset_int(settings, "classes", 2, &classes));
    MB_TRY(mb_preset_flag(settings, "bidirectional", &bidirectional));
    MB_TRY(mb_preset_rate(settings, "dropout", &dropout));
    if (n_units < 1)
        return mb_preset_refuse(settings, "units", "at least one layer is wanted, as in 128,64");
    mb_preset_builder_t builder = {.layers = json_array()};
    mb_preset_append(&builder, "InputLayer", mb_preset_input("input_layer", &input, "int32"));
    mb_preset_append(&builder, "Embedding", mb_preset_embedding("embedding", vocabulary, width));
    for (int i = 0; i < n_units; i++) {
        bool sequences = i + 1 < n_units;
        json_t *layer = bidirectional ? both_ways(i, units[i], sequences, dropout)
                                      : mb_preset_lstm_layer(numbered("lstm", i).text, units[i],
                                                             sequences, false, dropout);
        mb_preset_append(&builder, bidirectional ? "Bidirectional" : "LSTM", layer);
    }
    mb_preset_append(&builder, "Dense", mb_preset_dense("dense", classes, "linear", true));
    return finish(&builder, &input, out);
}
