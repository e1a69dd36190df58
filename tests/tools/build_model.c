/* Builds a model by the library's calls, for Keras to load: convolutions with a sum around one, a
 * layer that is called twice, attention. build_model MODEL SEED */
#include <mb/mb.h>
#include <stdio.h>

static mb_model_t *model;

static int failed(mb_status_t status)
{
    if (status != MB_OK)
        fprintf(stderr, "%s\n", mb_error_message());
    return status != MB_OK;
}

static int add(const char *class_name, const char *name, const char *config, const char *a,
               const char *b)
{
    const char *inputs[2] = {a, b};
    return failed(mb_model_add(model, class_name, name, config, b == NULL ? 1 : 2, inputs));
}

static int add_all(void)
{
    const int64_t shape[3] = {8, 8, 3};
    const char *tokens = "normal";
    return failed(mb_model_create("built", &model)) ||
           failed(mb_model_add_input(model, "pixels", MB_FLOAT32, 3, shape)) ||
           add("Conv2D", "stem", "filters=6 kernel_size=3,3 padding=same", "pixels", NULL) ||
           add("Conv2D", "branch",
               "{\"filters\": 6, \"kernel_size\": [3, 3], \"padding\": \"same\", "
               "\"activation\": \"relu\", \"kernel_initializer\": \"he_normal\"}",
               "stem", NULL) ||
           add("Add", NULL, NULL, "stem", "branch") ||
           add("Reshape", "tokens", "target_shape=64,6", "add", NULL) ||
           add("LayerNormalization", "normal", NULL, "tokens", NULL) ||
           add("Dense", "shared", "units=6 activation=tanh", "tokens", NULL) ||
           failed(mb_model_call(model, "shared", 1, &tokens)) ||
           add("MultiHeadAttention", "attention", "num_heads=2 key_dim=3", "shared", "shared:1") ||
           add("GlobalAveragePooling1D", NULL, NULL, "attention", NULL) ||
           add("Dense", "logits", "units=5", "global_average_pooling1d", NULL);
}

int main(int argc, char **argv)
{
    if (argc != 3 || add_all() ||
        failed(mb_model_set(model, "loss", "sparse_categorical_crossentropy:from_logits=true")) ||
        failed(mb_model_set(model, "metrics", "accuracy")) ||
        failed(mb_model_set(model, "optimizer", "adamw:weight_decay=0.01")) ||
        failed(mb_model_set(model, "seed", argv[2])) || failed(mb_model_save(model, NULL, argv[1])))
        return 1;
    mb_model_destroy(model);
    return 0;
}
