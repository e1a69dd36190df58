/* The gpt preset: token and position embeddings, pre-normalized blocks of causal attention and a
 * GELU network, a final normalization and an untied head (Radford et al. 2019, section 2.3). */
#include "model/preset_layers.h"
#include "model/preset_models.h"

#include <stdio.h>

typedef struct {
    int64_t layers, width, heads, length, vocabulary;
    double dropout;
    bool normal; /* the beginning of GPT-2 instead of Keras' */
    mb_preset_builder_t builder;
    int n_adds;
} gpt_t;

typedef mb_preset_tensor_t tensor_t;

static mb_shape_t sequence(const gpt_t *gpt, int64_t width)
{
    return (mb_shape_t){.rank = 2, .dim = {gpt->length, width}};
}

/* A layer on one tensor. */
static tensor_t apply(gpt_t *gpt, const char *class_name, json_t *config, const tensor_t *input,
                      int64_t width)
{
    mb_preset_call_t call = {
        .class_name = class_name, .config = config, .n_inputs = 1, .inputs = {input}};
    return mb_preset_call(&gpt->builder, &call, sequence(gpt, width), "float32");
}

static tensor_t add(gpt_t *gpt, const tensor_t *a, const tensor_t *b)
{
    char name[32] = "add";
    if (gpt->n_adds > 0)
        snprintf(name, sizeof(name), "add_%d", gpt->n_adds);
    gpt->n_adds++;
    mb_preset_call_t call = {.class_name = "Add",
                             .config = mb_preset_add(name),
                             .n_inputs = 2,
                             .inputs = {a, b},
                             .merge = true};
    return mb_preset_call(&gpt->builder, &call, sequence(gpt, gpt->width), "float32");
}

static tensor_t drop(gpt_t *gpt, const char *name, const tensor_t *x)
{
    if (!(gpt->dropout > 0.0))
        return *x;
    return apply(gpt, "Dropout", mb_preset_dropout(name, gpt->dropout), x, gpt->width);
}

static tensor_t normalize(gpt_t *gpt, const char *name, const tensor_t *x)
{
    return apply(gpt, "LayerNormalization", mb_preset_layer_normalization(name, 1e-5), x,
                 gpt->width);
}

static const char *part(char text[32], int64_t block, const char *name)
{
    snprintf(text, 32, "h%d_%s", (int)block, name);
    return text;
}

static tensor_t attend(gpt_t *gpt, int64_t block, const tensor_t *x)
{
    char name[32];
    mb_preset_call_t call = {.class_name = "MultiHeadAttention",
                             .config = mb_preset_attention(part(name, block, "attn"), gpt->heads,
                                                           gpt->width / gpt->heads, gpt->dropout),
                             .n_inputs = 2,
                             .inputs = {x, x},
                             .kwargs = json_pack("{s:b}", "use_causal_mask", 1)};
    return mb_preset_call(&gpt->builder, &call, sequence(gpt, gpt->width), "float32");
}

static tensor_t append_block(gpt_t *gpt, int64_t block, const tensor_t *x)
{
    char name[32];
    tensor_t a = normalize(gpt, part(name, block, "ln1"), x);
    a = attend(gpt, block, &a);
    a = drop(gpt, part(name, block, "attn_drop"), &a);
    tensor_t middle = add(gpt, x, &a);
    a = normalize(gpt, part(name, block, "ln2"), &middle);
    a = apply(gpt, "Dense", mb_preset_dense(part(name, block, "fc"), 4 * gpt->width, "gelu", true),
              &a, 4 * gpt->width);
    a = apply(gpt, "Dense", mb_preset_dense(part(name, block, "out"), gpt->width, "linear", true),
              &a, gpt->width);
    a = drop(gpt, part(name, block, "drop"), &a);
    return add(gpt, &middle, &a);
}

static tensor_t append_input(gpt_t *gpt, const char *name)
{
    mb_shape_t shape = {.rank = 1, .dim = {gpt->length}};
    mb_preset_call_t call = {.class_name = "InputLayer",
                             .config = mb_preset_input(name, &shape, "int32")};
    return mb_preset_call(&gpt->builder, &call, shape, "int32");
}

static void append_all(gpt_t *gpt)
{
    tensor_t tokens = append_input(gpt, "tokens");
    tensor_t positions = append_input(gpt, "positions");
    tensor_t wte = apply(gpt, "Embedding", mb_preset_embedding("wte", gpt->vocabulary, gpt->width),
                         &tokens, gpt->width);
    tensor_t wpe = apply(gpt, "Embedding", mb_preset_embedding("wpe", gpt->length, gpt->width),
                         &positions, gpt->width);
    tensor_t x = add(gpt, &wte, &wpe);
    x = drop(gpt, "drop", &x);
    for (int64_t i = 0; i < gpt->layers; i++)
        x = append_block(gpt, i, &x);
    x = normalize(gpt, "ln_f", &x);
    apply(gpt, "Dense", mb_preset_dense("head", gpt->vocabulary, "linear", false), &x,
          gpt->vocabulary);
}

static mb_status_t read_init(const mb_preset_settings_t *settings, gpt_t *gpt)
{
    static const char *const known[] = {"keras", "normal"};
    const char *init = NULL;
    MB_TRY(mb_preset_choice(settings, "init", known, sizeof(known) / sizeof(known[0]), &init));
    gpt->normal = init == known[1];
    return MB_OK;
}

static mb_status_t read_settings(const mb_preset_settings_t *settings, gpt_t *gpt)
{
    MB_TRY(read_init(settings, gpt));
    MB_TRY(mb_preset_int(settings, "layers", 1, &gpt->layers));
    MB_TRY(mb_preset_int(settings, "width", 1, &gpt->width));
    MB_TRY(mb_preset_int(settings, "heads", 1, &gpt->heads));
    MB_TRY(mb_preset_int(settings, "length", 1, &gpt->length));
    MB_TRY(mb_preset_int(settings, "vocabulary", 2, &gpt->vocabulary));
    MB_TRY(mb_preset_rate(settings, "dropout", &gpt->dropout));
    if (gpt->width % gpt->heads != 0)
        return mb_preset_refuse(settings, "heads", "the width must be a multiple of it");
    if (gpt->layers > 1000)
        return mb_preset_refuse(settings, "layers", "at most 1000 are written");
    return MB_OK;
}

mb_status_t mb_preset_gpt(const mb_preset_settings_t *settings, json_t **out)
{
    gpt_t gpt = {0};
    json_t *model = NULL;
    MB_TRY(read_settings(settings, &gpt));
    gpt.builder.layers = json_array();
    append_all(&gpt);
    if (gpt.normal)
        mb_preset_begin_normal(&gpt.builder, 0.02);
    if (!gpt.builder.failed)
        model = json_pack("{s:s, s:{s:s, s:b, s:O, s:[[sii], [sii]], s:[sii]}}", "class_name",
                          "Functional", "config", "name", "functional", "trainable", 1, "layers",
                          gpt.builder.layers, "input_layers", "tokens", 0, 0, "positions", 0, 0,
                          "output_layers", "head", 0, 0);
    json_decref(gpt.builder.layers);
    if (model == NULL)
        return mb_error_memory("a preset", 1);
    *out = model;
    return MB_OK;
}
