/* The presets of `mbrun new`: what they write, and what they refuse. */
#include "model/preset.h"
#include "model/graph.h"
#include "unit/optim_refs.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

typedef const char *const setting_t[2];

static json_t *create(const char *name, setting_t *settings, int count)
{
    json_t *model = NULL;
    json_t *training = NULL;
    ck_assert_msg(mb_preset_create(name, settings, count, &model, &training) == MB_OK, "%s",
                  mb_error_get());
    ck_assert_str_eq(json_string_value(json_object_get(
                         json_object_get(training, "optimizer_config"), "class_name")),
                     "Adam");
    json_decref(training);
    return model;
}

/* "InputLayer Flatten Dense ..." */
static void class_names(const json_t *model, char *out, size_t capacity)
{
    const json_t *layers = json_object_get(json_object_get(model, "config"), "layers");
    out[0] = '\0';
    for (size_t i = 0; i < json_array_size(layers); i++) {
        const char *name =
            json_string_value(json_object_get(json_array_get(layers, i), "class_name"));
        ck_assert_ptr_nonnull(name);
        ck_assert_uint_lt(strlen(out) + strlen(name) + 2, capacity);
        strcat(out, i == 0 ? "" : " ");
        strcat(out, name);
    }
}

static void check_layers(const char *name, setting_t *settings, int count, const char *wanted)
{
    char found[2048];
    json_t *model = create(name, settings, count);
    class_names(model, found, sizeof(found));
    ck_assert_str_eq(found, wanted);
    json_decref(model);
}

START_TEST(presets_write_the_layers_they_promise)
{
    check_layers("mlp", NULL, 0, "InputLayer Flatten Dense Dense Dense");
    setting_t flat[] = {{"input", "784"}, {"hidden", "none"}};
    check_layers("mlp", flat, 2, "InputLayer Dense");
    setting_t dropped[] = {{"dropout", "0.5"}, {"hidden", "16"}, {"activation", "tanh"}};
    check_layers("mlp", dropped, 3, "InputLayer Flatten Dense Dropout Dense");
    check_layers("cnn", NULL, 0,
                 "InputLayer Conv2D MaxPooling2D Conv2D MaxPooling2D Flatten Dense Dense");
    setting_t normalized[] = {{"batchnorm", "yes"}, {"filters", "8"}};
    check_layers("cnn", normalized, 2,
                 "InputLayer Conv2D BatchNormalization Activation MaxPooling2D Flatten Dense "
                 "Dense");
    setting_t shallow[] = {{"filters", "4,8"}};
    check_layers("unet", shallow, 1,
                 "InputLayer Conv2D Conv2D MaxPooling2D Conv2D Conv2D Conv2DTranspose Concatenate "
                 "Conv2D Conv2D Conv2D");
    setting_t single[] = {{"filters", "8"}, {"repeat", "1"}};
    check_layers("mobilenet", single, 2,
                 "InputLayer Conv2D BatchNormalization ReLU Conv2D BatchNormalization ReLU "
                 "DepthwiseConv2D BatchNormalization ReLU Conv2D BatchNormalization Add Conv2D "
                 "BatchNormalization ReLU GlobalAveragePooling2D Dense");
    setting_t narrow[] = {{"filters", "4,8"}, {"repeat", "1"}};
    check_layers("resnet", narrow, 2,
                 "InputLayer Conv2D BatchNormalization Activation "
                 "Conv2D BatchNormalization Activation Conv2D BatchNormalization Add Activation "
                 "Conv2D BatchNormalization Activation Conv2D Conv2D BatchNormalization "
                 "BatchNormalization Add Activation GlobalAveragePooling2D Dense");
    setting_t block[] = {{"depth", "1"}};
    check_layers("vit", block, 1,
                 "InputLayer Reshape Permute Reshape EinsumDense LayerNormalization "
                 "MultiHeadAttention Add LayerNormalization Dense Dense Add LayerNormalization "
                 "GlobalAveragePooling1D Dense");
    setting_t rained[] = {{"depth", "1"}, {"dropout", "0.1"}};
    check_layers("vit", rained, 2,
                 "InputLayer Reshape Permute Reshape EinsumDense Dropout LayerNormalization "
                 "MultiHeadAttention Dropout Add LayerNormalization Dense Dense Dropout Add "
                 "LayerNormalization GlobalAveragePooling1D Dense");
    setting_t one[] = {{"layers", "1"}};
    check_layers("gpt", one, 1,
                 "InputLayer InputLayer Embedding Embedding Add LayerNormalization "
                 "MultiHeadAttention Add LayerNormalization Dense Dense Add LayerNormalization "
                 "Dense");
    setting_t wet[] = {{"layers", "1"}, {"dropout", "0.1"}};
    check_layers("gpt", wet, 2,
                 "InputLayer InputLayer Embedding Embedding Add Dropout LayerNormalization "
                 "MultiHeadAttention Dropout Add LayerNormalization Dense Dense Dropout Add "
                 "LayerNormalization Dense");
    check_layers("lstm", NULL, 0, "InputLayer Embedding LSTM Dense");
    setting_t both[] = {{"bidirectional", "yes"}, {"units", "8,4"}};
    check_layers("lstm", both, 2, "InputLayer Embedding Bidirectional Bidirectional Dense");
}
END_TEST

START_TEST(layer_names_are_all_different)
{
    static const char *const presets[] = {"mlp",    "cnn", "unet", "mobilenet",
                                          "resnet", "vit", "gpt",  "lstm"};
    for (int p = 0; p < 8; p++) {
        json_t *model = create(presets[p], NULL, 0);
        const json_t *layers = json_object_get(json_object_get(model, "config"), "layers");
        json_t *seen = json_object();
        for (size_t i = 0; i < json_array_size(layers); i++) {
            const json_t *config = json_object_get(json_array_get(layers, i), "config");
            const char *name = json_string_value(json_object_get(config, "name"));
            ck_assert_ptr_nonnull(name);
            ck_assert_msg(json_object_get(seen, name) == NULL, "%s twice", name);
            json_object_set_new(seen, name, json_true());
        }
        json_decref(seen);
        json_decref(model);
    }
}
END_TEST

static void check_refused(const char *name, const char *key, const char *value, const char *words)
{
    setting_t settings[] = {{key, value}};
    json_t *model = NULL;
    json_t *training = NULL;
    ck_assert_int_eq(mb_preset_create(name, settings, 1, &model, &training), MB_ERR_ARGUMENT);
    ck_assert_msg(strstr(mb_error_get(), words) != NULL, "'%s' does not say '%s'", mb_error_get(),
                  words);
    ck_assert_ptr_null(model);
}

START_TEST(wrong_settings_are_refused_with_the_remedy)
{
    check_refused("mpl", "input", "1", "the nearest one is mlp");
    check_refused("mlp", "hiden", "1", "the nearest one is 'hidden'");
    check_refused("mlp", "kernel", "1", "it has input, hidden, classes");
    check_refused("mlp", "hidden", "5,", "hidden=5,");
    check_refused("mlp", "hidden", "0", "above 0");
    check_refused("mlp", "hidden", "99999999999999999999", "above 0");
    check_refused("mlp", "input", "28x28x", "28x28x1");
    check_refused("mlp", "input", "1x1x1x1x1x1x1x1", "one to seven sizes");
    check_refused("mlp", "classes", "1", "above 1");
    check_refused("mlp", "activation", "rellu", "relu, tanh");
    check_refused("mlp", "dropout", "1", "below 1");
    check_refused("cnn", "input", "784", "height x width x channels");
    check_refused("cnn", "filters", "1,1,1,1,1,1", "halves the image");
    check_refused("cnn", "batchnorm", "maybe", "yes or no");
    check_refused("unet", "input", "64x63x3", "multiples of 4");
    check_refused("unet", "filters", "none", "at least one");
    check_refused("mobilenet", "input", "784", "height x width x channels");
    check_refused("mobilenet", "repeat", "0", "above 0");
    check_refused("resnet", "filters", "none", "at least one");
    check_refused("vit", "patch", "5", "a divisor of the image's sides");
    check_refused("vit", "heads", "5", "a divisor of width");
    check_refused("vit", "input", "32x32", "height x width x channels");
    check_refused("gpt", "heads", "5", "multiple");
    check_refused("gpt", "init", "gpt2", "keras, normal");
    check_refused("lstm", "units", "none", "at least one layer");
}
END_TEST

START_TEST(every_preset_is_listed_with_the_keys_it_takes)
{
    int count;
    const mb_preset_t *list = mb_preset_list(&count);
    ck_assert_int_eq(count, 8);
    for (int i = 0; i < count; i++) {
        json_t *model = create(list[i].name, NULL, 0);
        ck_assert_ptr_nonnull(list[i].title);
        ck_assert_ptr_nonnull(strchr(list[i].keys, '='));
        json_decref(model);
    }
}
END_TEST

static int64_t parameters_of(json_t *model)
{
    mb_graph_t *graph = NULL;
    int64_t count = 0;
    char *text = json_dumps(model, 0);
    json_decref(model);
    ck_assert_msg(mb_graph_create(text, "a preset", &graph) == MB_OK, "%s", mb_error_get());
    ck_assert_msg(mb_graph_bind(graph, NULL) == MB_OK, "%s", mb_error_get());
    for (int p = 0; p < graph->n_params; p++)
        count += graph->params[p].elements;
    mb_graph_destroy(graph);
    free(text);
    return count;
}

/* Tables of tokens and positions, 12 W^2 + 13 W a block, the last normalization, and the head,
 * which GPT-2 shares with the first table: it has 124 439 808 and 354 823 168. */
START_TEST(gpt_has_the_parameters_of_gpt2_and_a_head_of_its_own)
{
    setting_t small[] = {{"layers", "12"},
                         {"width", "768"},
                         {"heads", "12"},
                         {"length", "1024"},
                         {"vocabulary", "50257"}};
    setting_t medium[] = {{"layers", "24"},
                          {"width", "1024"},
                          {"heads", "16"},
                          {"length", "1024"},
                          {"vocabulary", "50257"}};
    ck_assert_int_eq(parameters_of(create("gpt", small, 5)), 124439808 + 50257 * 768);
    ck_assert_int_eq(parameters_of(create("gpt", medium, 5)), 354823168 + 50257 * 1024);
}
END_TEST

/* Two embeddings; a block's attention and its two layers; the head. */
START_TEST(gpt_begins_normally_distributed_when_asked)
{
    setting_t normal[] = {{"layers", "1"}, {"init", "normal"}};
    json_t *model = create("gpt", normal, 2);
    const json_t *layers = json_object_get(json_object_get(model, "config"), "layers");
    int found = 0;
    size_t i;
    json_t *layer;
    json_array_foreach(layers, i, layer)
    {
        json_t *config = json_object_get(layer, "config");
        json_t *init = json_object_get(config, "kernel_initializer");
        if (init == NULL)
            init = json_object_get(config, "embeddings_initializer");
        if (init == NULL)
            continue;
        ck_assert_str_eq(json_string_value(json_object_get(init, "class_name")), "RandomNormal");
        init = json_object_get(json_object_get(init, "config"), "stddev");
        ck_assert_double_eq(json_real_value(init), 0.02);
        found++;
    }
    ck_assert_int_eq(found, 2 + 3 + 1);
    json_decref(model);
}
END_TEST

static int64_t parameters_of_lstm(const char *bidirectional)
{
    setting_t settings[] = {{"vocabulary", "50"}, {"width", "6"},
                            {"units", "8,4"},     {"classes", "3"},
                            {"length", "7"},      {"bidirectional", bidirectional}};
    return parameters_of(create("lstm", settings, 6));
}

/* The table, for each LSTM 4 (in + units + 1) units, and the logits. */
START_TEST(lstm_has_the_parameters_of_its_layers)
{
    int64_t first = 4 * (6 + 8 + 1) * 8;
    ck_assert_int_eq(parameters_of_lstm("no"), 50 * 6 + first + 4 * (8 + 4 + 1) * 4 + (4 + 1) * 3);
    ck_assert_int_eq(parameters_of_lstm("yes"),
                     50 * 6 + 2 * first + 2 * 4 * (16 + 4 + 1) * 4 + (8 + 1) * 3);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("preset");
    TCase *t = tcase_create("preset");
    tcase_add_test(t, presets_write_the_layers_they_promise);
    tcase_add_test(t, layer_names_are_all_different);
    tcase_add_test(t, lstm_has_the_parameters_of_its_layers);
    tcase_add_test(t, wrong_settings_are_refused_with_the_remedy);
    tcase_add_test(t, gpt_has_the_parameters_of_gpt2_and_a_head_of_its_own);
    tcase_add_test(t, gpt_begins_normally_distributed_when_asked);
    tcase_add_test(t, every_preset_is_listed_with_the_keys_it_takes);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    SRunner *r = srunner_create(suite());
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? 0 : 1;
}
