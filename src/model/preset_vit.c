/* The vit preset (Dosovitskiy et al. 2021, without a class token): patches of the image, projected
 * with a learned bias for each place, which is the embedding of patches and of positions in one;
 * pre-normalized blocks of attention and a GELU network; a last normalization, the mean over the
 * places, logits. */
#include "model/preset_models.h"
#include "model/preset_net.h"

typedef mb_preset_tensor_t tensor_t;

#define EPSILON 1e-6

typedef struct {
    mb_preset_net_t net;
    mb_shape_t image;
    int64_t patch, width, depth, heads, mlp, classes;
    double dropout;
    int64_t places; /* patches of an image */
} vit_t;

static tensor_t apply(vit_t *vit, const char *class_name, json_t *config, const tensor_t *x,
                      mb_shape_t output)
{
    return mb_preset_add_layer(&vit->net, class_name, config, x, NULL, output);
}

static mb_shape_t sequence(const vit_t *vit, int64_t width)
{
    return (mb_shape_t){2, {vit->places, width}};
}

static tensor_t reshape(vit_t *vit, const tensor_t *x, mb_shape_t shape)
{
    mb_preset_name_t name = mb_preset_next(&vit->net, "reshape");
    return apply(vit, "Reshape", mb_preset_reshape(name.text, &shape), x, shape);
}

/* [height, width, channels] to [places, elements of a patch]. */
static tensor_t cut_patches(vit_t *vit, const tensor_t *x)
{
    int64_t rows = vit->image.dim[0] / vit->patch, columns = vit->image.dim[1] / vit->patch;
    int64_t size = vit->patch, channels = vit->image.dim[2];
    mb_shape_t apart = {5, {rows, size, columns, size, channels}};
    mb_shape_t together = {5, {rows, columns, size, size, channels}};
    tensor_t y = reshape(vit, x, apart);
    mb_preset_name_t name = mb_preset_next(&vit->net, "permute");
    y = apply(vit, "Permute", mb_preset_permute(name.text, 5, (const int[]){1, 3, 2, 4, 5}), &y,
              together);
    return reshape(vit, &y, sequence(vit, size * size * channels));
}

static tensor_t embed(vit_t *vit, const tensor_t *patches)
{
    mb_shape_t output = sequence(vit, vit->width);
    return apply(vit, "EinsumDense",
                 mb_preset_einsum_dense("embedding", "btp,pw->btw", "tw", &output), patches,
                 output);
}

static tensor_t normalize(vit_t *vit, const tensor_t *x)
{
    mb_preset_name_t name = mb_preset_next(&vit->net, "layer_normalization");
    return apply(vit, "LayerNormalization", mb_preset_layer_normalization(name.text, EPSILON), x,
                 x->shape);
}

static tensor_t dense(vit_t *vit, const tensor_t *x, int64_t units, const char *activation)
{
    mb_preset_name_t name = mb_preset_next(&vit->net, "dense");
    return apply(vit, "Dense", mb_preset_dense(name.text, units, activation, true), x,
                 sequence(vit, units));
}

static tensor_t drop(vit_t *vit, const tensor_t *x)
{
    if (!(vit->dropout > 0.0))
        return *x;
    mb_preset_name_t name = mb_preset_next(&vit->net, "dropout");
    return apply(vit, "Dropout", mb_preset_dropout(name.text, vit->dropout), x, x->shape);
}

static tensor_t add(vit_t *vit, const tensor_t *a, const tensor_t *b)
{
    mb_preset_name_t name = mb_preset_next(&vit->net, "add");
    return mb_preset_add_layer(&vit->net, "Add", mb_preset_add(name.text), a, b, a->shape);
}

static tensor_t attend(vit_t *vit, const tensor_t *x)
{
    mb_preset_name_t name = mb_preset_next(&vit->net, "multi_head_attention");
    mb_preset_call_t call = {
        .class_name = "MultiHeadAttention",
        .config = mb_preset_attention(name.text, vit->heads, vit->width / vit->heads, vit->dropout),
        .n_inputs = 2,
        .inputs = {x, x}};
    return mb_preset_call(&vit->net.builder, &call, x->shape, "float32");
}

static tensor_t append_block(vit_t *vit, const tensor_t *x)
{
    tensor_t y = normalize(vit, x);
    y = attend(vit, &y);
    y = drop(vit, &y);
    tensor_t middle = add(vit, x, &y);
    y = normalize(vit, &middle);
    y = dense(vit, &y, vit->mlp, "gelu");
    y = dense(vit, &y, vit->width, "linear");
    y = drop(vit, &y);
    return add(vit, &middle, &y);
}

static tensor_t append_head(vit_t *vit, const tensor_t *x)
{
    mb_shape_t means = {1, {vit->width}}, logits = {1, {vit->classes}};
    tensor_t y = normalize(vit, x);
    y = apply(vit, "GlobalAveragePooling1D",
              mb_preset_global_average_pooling("global_average_pooling1d"), &y, means);
    return apply(vit, "Dense", mb_preset_dense("dense", vit->classes, "linear", true), &y, logits);
}

static mb_status_t read(const mb_preset_settings_t *settings, vit_t *vit)
{
    MB_TRY(mb_preset_image(settings, &vit->image));
    MB_TRY(mb_preset_int(settings, "patch", 1, &vit->patch));
    MB_TRY(mb_preset_int(settings, "width", 1, &vit->width));
    MB_TRY(mb_preset_int(settings, "depth", 1, &vit->depth));
    MB_TRY(mb_preset_int(settings, "heads", 1, &vit->heads));
    MB_TRY(mb_preset_int(settings, "mlp", 1, &vit->mlp));
    MB_TRY(mb_preset_int(settings, "classes", 2, &vit->classes));
    MB_TRY(mb_preset_rate(settings, "dropout", &vit->dropout));
    if (vit->depth > 1000)
        return mb_preset_refuse(settings, "depth", "at most 1000 blocks are written");
    if (vit->width % vit->heads != 0)
        return mb_preset_refuse(settings, "heads", "a divisor of width is wanted");
    if (vit->image.dim[0] % vit->patch != 0 || vit->image.dim[1] % vit->patch != 0)
        return mb_preset_refuse(settings, "patch", "a divisor of the image's sides is wanted");
    vit->places = (vit->image.dim[0] / vit->patch) * (vit->image.dim[1] / vit->patch);
    return MB_OK;
}

mb_status_t mb_preset_vit(const mb_preset_settings_t *settings, json_t **out)
{
    vit_t vit = {.image = {0}};
    MB_TRY(read(settings, &vit));
    vit.net.builder.layers = json_array();
    tensor_t x = mb_preset_add_image(&vit.net, &vit.image);
    x = cut_patches(&vit, &x);
    x = embed(&vit, &x);
    x = drop(&vit, &x);
    for (int64_t i = 0; i < vit.depth; i++)
        x = append_block(&vit, &x);
    x = append_head(&vit, &x);
    return mb_preset_finish(&vit.net, &x, out);
}
