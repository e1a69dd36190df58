/* Models built layer by layer: they are what the presets write, they train, and their weights can
 * be had and set. */
#include "unit/api_ring.h"

#include <math.h>
#include <string.h>

static mb_model_t *model_of(const char *name)
{
    mb_model_t *model = NULL;
    OK(mb_model_create(name, &model));
    return model;
}

static void add(mb_model_t *model, const char *class_name, const char *name, const char *config)
{
    OK(mb_model_add(model, class_name, name, config, 0, NULL));
}

static void join(mb_model_t *model, const char *class_name, const char *name, const char *config,
                 const char *a, const char *b)
{
    const char *inputs[2] = {a, b};
    OK(mb_model_add(model, class_name, name, config, b == NULL ? 1 : 2, inputs));
}

/* Saves MODEL and compares all bits with the preset's. */
static void same_as_preset(mb_model_t *model, const char *preset, const char *settings)
{
    OK(mb_model_set(model, "loss", "sparse_categorical_crossentropy:from_logits=true"));
    OK(mb_model_set(model, "metrics", "accuracy"));
    OK(mb_model_set(model, "seed", "3"));
    OK(mb_model_save(model, ring_context, "built.h5"));
    OK(mb_model_create_preset(ring_context, preset, settings, "preset.h5"));
    ck_assert_uint_eq(ring_digest("built.h5"), ring_digest("preset.h5"));
    OK(mb_model_destroy(model));
}

START_TEST(a_chain_has_the_bits_of_the_sequential_preset)
{
    const int64_t shape[3] = {8, 8, 3};
    mb_model_t *model = model_of("sequential");
    OK(mb_model_add_input(model, "input_layer", MB_FLOAT32, 3, shape));
    add(model, "Conv2D", NULL, "filters=4 kernel_size=3,3 padding=same activation=relu");
    add(model, "MaxPooling2D", NULL, "pool_size=2,2");
    add(model, "Flatten", NULL, NULL);
    add(model, "Dense", NULL, "units=5 activation=relu");
    add(model, "Dense", NULL, "{\"units\": 7}");
    same_as_preset(model, "cnn", "input=8x8x3 filters=4 dense=5 classes=7 seed=3");
}
END_TEST

START_TEST(a_graph_of_calls_has_the_bits_of_the_functional_preset)
{
    const int64_t shape[1] = {6};
    mb_model_t *model = model_of("functional");
    OK(mb_model_add_input(model, "tokens", MB_INT32, 1, shape));
    OK(mb_model_add_input(model, "positions", MB_INT32, 1, shape));
    join(model, "Embedding", "wte", "input_dim=5 output_dim=8", "tokens", NULL);
    join(model, "Embedding", "wpe", "input_dim=6 output_dim=8", "positions", NULL);
    join(model, "Add", NULL, NULL, "wte", "wpe");
    add(model, "LayerNormalization", "h0_ln1", "epsilon=1e-5");
    join(model, "MultiHeadAttention", "h0_attn", "num_heads=2 key_dim=4 call.use_causal_mask=true",
         "h0_ln1", "h0_ln1");
    join(model, "Add", NULL, NULL, "add", "h0_attn");
    join(model, "LayerNormalization", "h0_ln2", "epsilon=1e-5", "add_1", NULL);
    add(model, "Dense", "h0_fc", "units=32 activation=gelu");
    add(model, "Dense", "h0_out", "units=8");
    join(model, "Add", NULL, NULL, "add_1", "h0_out");
    add(model, "LayerNormalization", "ln_f", "epsilon=1e-5");
    add(model, "Dense", "head", "units=5 use_bias=no");
    same_as_preset(model, "gpt", "layers=1 width=8 heads=2 length=6 vocabulary=5 seed=3");
}
END_TEST

static mb_model_t *ring_model(void)
{
    const int64_t shape[1] = {2};
    mb_model_t *model = model_of("sequential");
    OK(mb_model_add_input(model, "input_layer", MB_FLOAT32, 1, shape));
    add(model, "Dense", NULL, "units=8 activation=relu");
    add(model, "Dense", NULL, "units=2");
    OK(mb_model_set(model, "loss", "sparse_categorical_crossentropy:from_logits=true"));
    OK(mb_model_set(model, "seed", "3"));
    return model;
}

static double train(const char *path)
{
    mb_trainer_t *trainer = NULL;
    OK(mb_trainer_create(ring_context, path, &trainer));
    OK(mb_trainer_set(trainer, "batch", "16"));
    OK(mb_trainer_set_array(trainer, "x", MB_FLOAT32, 2, ring_x_shape, ring_x));
    OK(mb_trainer_set_array(trainer, "y", MB_INT32, 1, ring_y_shape, ring_y));
    OK(mb_trainer_run(trainer));
    double loss = ring_number(trainer, "loss");
    OK(mb_trainer_destroy(trainer));
    return loss;
}

START_TEST(a_built_model_trains_with_its_own_optimizer)
{
    mb_model_t *model = ring_model();
    OK(mb_model_save(model, NULL, "adam.h5"));
    ck_assert(train("adam.h5") == train("ring.h5"));
    OK(mb_model_set(model, "optimizer", "sgd:momentum=0.9"));
    OK(mb_model_set(model, "lr", "0.05"));
    OK(mb_model_save(model, NULL, "sgd.h5"));
    ck_assert(train("sgd.h5") != train("ring.h5"));
    OK(mb_model_destroy(model));
}
END_TEST

START_TEST(weights_are_described_read_and_set_by_name)
{
    mb_model_t *built = ring_model(), *read = NULL;
    const char *name;
    int count = 0, rank = 0;
    int64_t shape[MB_MAX_DIMS];
    float one[16], other[16];
    OK(mb_model_count_weights(built, &count));
    ck_assert_int_eq(count, 4);
    OK(mb_model_describe_weight(built, 0, &name, &rank, shape));
    ck_assert_str_eq(name, "sequential/dense/kernel");
    ck_assert(rank == 2 && shape[0] == 2 && shape[1] == 8);
    OK(mb_model_load("ring.h5", &read));
    OK(mb_model_get_weight(built, name, 16, one));
    OK(mb_model_get_weight(read, name, 16, other));
    ck_assert_mem_eq(one, other, sizeof one);
    for (int i = 0; i < 16; i++)
        one[i] = (float)i;
    OK(mb_model_set_weight(read, "sequential/dense/kernel", 16, one));
    OK(mb_model_save(read, NULL, "ring.h5"));
    OK(mb_model_destroy(read));
    OK(mb_model_load("ring.h5", &read));
    OK(mb_model_get_weight(read, "sequential/dense/kernel", 16, other));
    ck_assert_mem_eq(one, other, sizeof one);
    OK(mb_model_destroy(read));
    OK(mb_model_destroy(built));
}
END_TEST

START_TEST(what_a_file_records_stays_when_its_model_is_saved_anew)
{
    mb_model_t *model = NULL;
    const uint64_t before = ring_digest("ring.h5");
    OK(mb_model_load("ring.h5", &model));
    OK(mb_model_save(model, NULL, "copy.h5"));
    ck_assert_uint_eq(ring_digest("copy.h5"), before);
    ck_assert(train("copy.h5") == train("ring.h5"));
    OK(mb_model_set(model, "loss", "mean_squared_error"));
    REFUSED(mb_model_set(model, "los", "mse"), MB_ERR_ARGUMENT, "do you mean 'loss'");
    REFUSED(mb_model_add(model, "Dense", NULL, "units=2", 0, NULL), MB_ERR_ARGUMENT, "ring.h5");
    OK(mb_model_destroy(model));
}
END_TEST

START_TEST(a_layer_that_is_called_twice_shares_its_weights)
{
    const int64_t shape[1] = {4};
    const char *twice[2] = {"shared", "shared:1"}, *b = "b";
    mb_model_t *model = model_of("twins");
    int count = 0;
    OK(mb_model_add_input(model, "a", MB_FLOAT32, 1, shape));
    OK(mb_model_add_input(model, "b", MB_FLOAT32, 1, shape));
    join(model, "Dense", "shared", "units=3", "a", NULL);
    OK(mb_model_call(model, "shared", 1, &b));
    OK(mb_model_add(model, "Subtract", "difference", NULL, 2, twice));
    OK(mb_model_count_weights(model, &count));
    ck_assert_int_eq(count, 2);
    OK(mb_model_count_inputs(model, &count));
    ck_assert_int_eq(count, 2);
    OK(mb_model_save(model, NULL, "twins.h5"));
    OK(mb_model_save(model, NULL, "twins.keras"));
    REFUSED(mb_model_call(model, "a", 1, &b), MB_ERR_ARGUMENT, "no layer 'a'");
    OK(mb_model_destroy(model));
}
END_TEST

START_TEST(a_size_that_is_left_open_stays_open)
{
    const int64_t shape[2] = {-1, 3};
    mb_model_t *model = model_of("series"), *read = NULL;
    const char *name, *text;
    int rank;
    int64_t found[MB_MAX_DIMS];
    OK(mb_model_add_input(model, "series", MB_FLOAT32, 2, shape));
    add(model, "LSTM", NULL, "units=4 return_sequences=yes");
    add(model, "Dense", NULL, "units=2");
    REFUSED(mb_model_describe_output(model, 0, &name, &rank, found), MB_ERR_SHAPE, "open");
    OK(mb_model_summary(model, &text));
    ck_assert_ptr_nonnull(strstr(text, "(?, 3)"));
    ck_assert_ptr_nonnull(strstr(text, "dense (Dense)"));
    ck_assert_ptr_nonnull(strstr(text, "parameters: 138"));
    OK(mb_model_save(model, NULL, "series.h5"));
    OK(mb_model_load("series.h5", &read));
    OK(mb_model_describe_input(read, 0, &name, &rank, found));
    ck_assert(rank == 2 && found[0] == -1 && found[1] == 3);
    OK(mb_model_summary(read, &text));
    ck_assert_ptr_nonnull(strstr(text, "parameters: 138"));
    OK(mb_model_destroy(read));
    OK(mb_model_destroy(model));
}
END_TEST

START_TEST(what_does_not_fit_is_refused_where_it_is_added)
{
    const int64_t shape[1] = {4};
    const char *inputs[2] = {"x", "dence"};
    mb_model_t *model = model_of("wrong");
    REFUSED(mb_model_add(model, "Dense", NULL, "units=3", 0, NULL), MB_ERR_ARGUMENT,
            "mb_model_add_input");
    OK(mb_model_add_input(model, "x", MB_FLOAT32, 1, shape));
    REFUSED(mb_model_add_input(model, "x", MB_FLOAT32, 1, shape), MB_ERR_ARGUMENT, "already");
    REFUSED(mb_model_add(model, "Dense", "d", "unit=3", 0, NULL), MB_ERR_FORMAT, "layer 'd'");
    REFUSED(mb_model_add(model, "Dense", "d", "units=3 color=red", 0, NULL), MB_ERR_UNSUPPORTED,
            "color");
    REFUSED(mb_model_add(model, "Dens", "d", "units=3", 0, NULL), MB_ERR_UNSUPPORTED, "Dense");
    REFUSED(mb_model_add(model, "Dense", "d", "units", 0, NULL), MB_ERR_ARGUMENT, "key=value");
    REFUSED(mb_model_add(model, "Dense", "d", "{\"units\": ", 0, NULL), MB_ERR_FORMAT, "JSON");
    REFUSED(mb_model_add(model, "Dense", "a/b", "units=3", 0, NULL), MB_ERR_ARGUMENT, "a/b");
    REFUSED(mb_model_add(model, "Conv2D", NULL, "filters=3 kernel_size=3", 0, NULL), MB_ERR_SHAPE,
            "conv2d");
    add(model, "Dense", "dense", "units=3");
    REFUSED(mb_model_add(model, "Add", NULL, NULL, 2, inputs), MB_ERR_ARGUMENT, "'dense'");
    inputs[1] = "dense";
    REFUSED(mb_model_add(model, "Add", NULL, NULL, 2, inputs), MB_ERR_SHAPE, "add");
    OK(mb_model_set(model, "optimizer", "sgd"));
    REFUSED(mb_model_save(model, NULL, "wrong.h5"), MB_ERR_ARGUMENT, "no loss");
    OK(mb_model_set(model, "loss", "mean_squred_error"));
    REFUSED(mb_model_save(model, NULL, "wrong.h5"), MB_ERR_UNSUPPORTED, "mean_squared_error");
    OK(mb_model_set(model, "loss", "mean_squared_error"));
    OK(mb_model_set(model, "optimizer", "sdg"));
    ck_assert_int_ne(mb_model_save(model, NULL, "wrong.h5"), MB_OK);
    OK(mb_model_set(model, "optimizer", "sgd"));
    REFUSED(mb_model_save(model, NULL, "no/folder/wrong.h5"), MB_ERR_IO, "no/folder");
    OK(mb_model_save(model, NULL, "right.h5"));
    OK(mb_model_destroy(model));
}
END_TEST

START_TEST(nothing_is_lost_of_a_model_without_a_word)
{
    const int64_t shape[1] = {4};
    const char *x = "x";
    float values[12] = {0};
    mb_model_t *model = model_of("lost");
    REFUSED(mb_model_save(model, NULL, "lost.h5"), MB_ERR_ARGUMENT, "no layers");
    OK(mb_model_add_input(model, "x", MB_FLOAT32, 1, shape));
    OK(mb_model_add_input(model, "unused", MB_FLOAT32, 1, shape));
    join(model, "Dense", "a", "units=3", "x", NULL);
    REFUSED(mb_model_save(model, NULL, "lost.h5"), MB_ERR_ARGUMENT, "unused");
    join(model, "Dense", "b", "units=3", "unused", NULL);
    OK(mb_model_set_outputs(model, 1, &(const char *){"b"}));
    REFUSED(mb_model_save(model, NULL, "lost.h5"), MB_ERR_ARGUMENT, "'a'");
    OK(mb_model_set_outputs(model, 2, (const char *[]){"b", "a"}));
    OK(mb_model_set_weight(model, "a/kernel", 12, values));
    REFUSED(mb_model_set_weight(model, "a/kernel", 11, values), MB_ERR_SHAPE, "12");
    REFUSED(mb_model_set_weight(model, "a/kernal", 12, values), MB_ERR_ARGUMENT, "'a/kernel'");
    REFUSED(mb_model_set_outputs(model, 0, &x), MB_ERR_ARGUMENT, "at least one");
    OK(mb_model_save(model, NULL, "found.h5"));
    OK(mb_model_destroy(model));
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("api_model");
    TCase *cases = tcase_create("api_model");
    tcase_add_checked_fixture(cases, ring_begin, ring_end);
    tcase_add_test(cases, a_chain_has_the_bits_of_the_sequential_preset);
    tcase_add_test(cases, a_graph_of_calls_has_the_bits_of_the_functional_preset);
    tcase_add_test(cases, a_built_model_trains_with_its_own_optimizer);
    tcase_add_test(cases, weights_are_described_read_and_set_by_name);
    tcase_add_test(cases, what_a_file_records_stays_when_its_model_is_saved_anew);
    tcase_add_test(cases, a_layer_that_is_called_twice_shares_its_weights);
    tcase_add_test(cases, a_size_that_is_left_open_stays_open);
    tcase_add_test(cases, what_does_not_fit_is_refused_where_it_is_added);
    tcase_add_test(cases, nothing_is_lost_of_a_model_without_a_word);
    suite_add_tcase(suite, cases);
    return suite;
}

int main(int argc, char **argv)
{
    return ring_main(argc, argv, make_suite());
}
