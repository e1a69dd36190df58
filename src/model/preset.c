/* The list of presets, and what all of them are compiled with: Adam at Keras' default rate, the
 * cross-entropy of the logits, accuracy. */
#include "model/preset.h"
#include "base/str.h"
#include "model/optimizers/class.h"
#include "model/preset_models.h"

#include <string.h>

typedef mb_status_t (*build_t)(const mb_preset_settings_t *settings, json_t **out);

static const mb_preset_t presets[] = {
    {"mlp", "a multi-layer perceptron: dense layers and logits",
     "input=28x28x1 hidden=512,512 classes=10 activation=relu dropout=0"},
    {"cnn", "a convolutional classifier: 3x3 convolutions and pooling, a dense layer, logits",
     "input=28x28x1 filters=32,64 dense=128 classes=10 batchnorm=no dropout=0"},
    {"unet", "a segmenter: convolutions down and up again, logits for each pixel",
     "input=64x64x3 filters=16,32,64 classes=2"},
    {"mobilenet", "a classifier of inverted residual blocks with depthwise convolutions",
     "input=32x32x3 filters=16,24,32 repeat=2 expansion=6 classes=10"},
    {"resnet", "a classifier of residual blocks of two convolutions",
     "input=32x32x3 filters=16,32,64 repeat=3 classes=10"},
    {"vit", "a classifier of patches by blocks of attention: a vision transformer",
     "input=32x32x3 patch=4 width=64 depth=6 heads=4 mlp=128 classes=10 dropout=0"},
    {"gpt", "a language model: causal attention blocks over tokens and positions",
     "layers=3 width=48 heads=4 length=32 vocabulary=256 dropout=0 init=keras"},
    {"lstm", "a classifier of token sequences: an embedding, LSTM layers, logits",
     "vocabulary=10000 length=100 width=128 units=128 classes=2 bidirectional=no dropout=0"},
};
static const build_t builds[] = {mb_preset_mlp,       mb_preset_cnn,    mb_preset_unet,
                                 mb_preset_mobilenet, mb_preset_resnet, mb_preset_vit,
                                 mb_preset_gpt,       mb_preset_lstm};
#define N_PRESETS (sizeof(presets) / sizeof(presets[0]))

const mb_preset_t *mb_preset_list(int *count)
{
    *count = (int)N_PRESETS;
    return presets;
}

static mb_status_t find(const char *name, size_t *out)
{
    const char *names[N_PRESETS];
    for (size_t i = 0; i < N_PRESETS; i++) {
        names[i] = presets[i].name;
        *out = i;
        if (strcmp(name, names[i]) == 0)
            return MB_OK;
    }
    const char *nearest = mb_str_nearest(name, names, N_PRESETS);
    return mb_error_set(
        MB_ERR_ARGUMENT,
        "preset '%s' is not known%s%s; there are mlp, cnn, unet, mobilenet, resnet, vit, gpt, lstm",
        name, nearest == NULL ? "" : "; the nearest one is ", nearest == NULL ? "" : nearest);
}

static mb_status_t compile(json_t **out)
{
    json_t *optimizer;
    MB_TRY(mb_optimizer_from_spec("adam", &optimizer));
    *out = json_pack("{s:{s:s, s:{s:s, s:s, s:b, s:n}}, s:n, s:[s], s:n, s:b, s:i, s:b, s:o}",
                     "loss", "class_name", "SparseCategoricalCrossentropy", "config", "name",
                     "sparse_categorical_crossentropy", "reduction", "sum_over_batch_size",
                     "from_logits", 1, "ignore_class", "loss_weights", "metrics", "accuracy",
                     "weighted_metrics", "run_eagerly", 0, "steps_per_execution", 1, "jit_compile",
                     0, "optimizer_config", optimizer);
    return *out == NULL ? mb_error_memory("a preset", 1) : MB_OK;
}

mb_status_t mb_preset_create(const char *name, const char *const (*settings)[2], int n_settings,
                             json_t **model_config, json_t **training_config)
{
    size_t at;
    mb_preset_settings_t read;
    json_t *model;
    json_t *training;
    MB_TRY(find(name, &at));
    MB_TRY(mb_preset_settings_read(name, presets[at].keys, settings, n_settings, &read));
    MB_TRY(builds[at](&read, &model));
    mb_status_t status = compile(&training);
    if (status != MB_OK) {
        json_decref(model);
        return status;
    }
    *model_config = model;
    *training_config = training;
    return MB_OK;
}
