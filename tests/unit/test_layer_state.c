/* What layers do beside their arithmetic: statistics, randomness, training against inference,
 * frozen layers, and what they declare to keep. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "unit/layer_fixture.h"

static layer_fixture_t *open_layer(const char *device, const char *class_name, const char *config,
                                   mb_shape_t shape, int64_t samples)
{
    char *model = layer_model_text(class_name, config, "", 1, &shape, false);
    layer_fixture_t *f = layer_open(device, model, samples);
    free(model);
    layer_fill(f, 0);
    return f;
}

#define FOR_EACH_DEVICE(name)                                                                      \
    const char *name = NULL;                                                                       \
    for (int d_ = 0; d_ < layer_n_devices() && (name = layer_device(d_)) != NULL; d_++)

/* Sums of at most 20 float terms below 2 in double: exact to 1e-12. */
START_TEST(batch_normalization_adds_the_sums_of_the_samples_that_count)
{
    FOR_EACH_DEVICE(device)
    {
        layer_fixture_t *f =
            open_layer(device, "BatchNormalization", "", (mb_shape_t){2, {3, 4}}, 5);
        f->valid = 4;
        ck_assert_int_eq(f->memory.sums, 8);
        for (int i = 0; i < 8; i++)
            f->host_sums[i] = i;
        layer_forward(f);
        const float *x = f->host_inputs[0];
        for (int c = 0; c < 4; c++) {
            double sum = c, square = 4 + c;
            for (int i = 0; i < 12; i++) {
                sum += (double)x[4 * i + c];
                square += (double)x[4 * i + c] * (double)x[4 * i + c];
            }
            ck_assert_double_eq_tol(f->host_sums[c], sum, 1e-12);
            ck_assert_double_eq_tol(f->host_sums[4 + c], square, 1e-12);
        }
        layer_close(f);
    }
}
END_TEST

START_TEST(batch_normalization_moves_its_statistics_by_the_whole_batch)
{
    FOR_EACH_DEVICE(device)
    {
        layer_fixture_t *f = open_layer(device, "BatchNormalization", "\"momentum\": 0.75",
                                        (mb_shape_t){2, {3, 1}}, 2);
        /* Four samples of three positions: sum 24, sum of squares 60, so mean 2, variance 1. */
        f->host_sums[0] = 24.0;
        f->host_sums[1] = 60.0;
        layer_forward(f);
        float mean = f->host_params[2][0], variance = f->host_params[3][0];
        f->host_sums[0] = 24.0;
        f->host_sums[1] = 60.0;
        layer_update_statistics(f, 4.0);
        ck_assert_float_eq(f->host_params[2][0], 0.75f * mean + 0.25f * 2.0f);
        ck_assert_float_eq(f->host_params[3][0], 0.75f * variance + 0.25f * 1.0f);
        layer_close(f);
    }
}
END_TEST

/* Keras takes 1 - momentum before it rounds: of 0.99 that is another float than 1 - 0.99f. */
START_TEST(batch_normalization_takes_its_momentum_in_double)
{
    FOR_EACH_DEVICE(device)
    {
        layer_fixture_t *f = open_layer(device, "BatchNormalization", "\"momentum\": 0.99",
                                        (mb_shape_t){2, {3, 1}}, 2);
        layer_forward(f);
        float mean = f->host_params[2][0], take = (float)(1.0 - 0.99);
        f->host_sums[0] = 24.0;
        f->host_sums[1] = 60.0;
        layer_update_statistics(f, 4.0);
        ck_assert_float_eq(f->host_params[2][0], 0.99f * mean + take * 2.0f);
        layer_close(f);
    }
}
END_TEST

START_TEST(batch_normalization_uses_moving_statistics_in_inference)
{
    FOR_EACH_DEVICE(device)
    {
        layer_fixture_t *f = open_layer(device, "BatchNormalization", "", (mb_shape_t){1, {2}}, 3);
        f->training = false;
        f->host_params[3][0] = 0.5f;
        f->host_params[3][1] = 2.0f;
        layer_forward(f);
        for (int i = 0; i < 6; i++) {
            double mean = (double)f->host_params[2][i % 2];
            double variance = (double)f->host_params[3][i % 2];
            double normal =
                ((double)((float *)f->host_inputs[0])[i] - mean) / sqrt(variance + 1e-3);
            double wanted =
                normal * (double)f->host_params[0][i % 2] + (double)f->host_params[1][i % 2];
            ck_assert_double_eq_tol((double)f->host_output[i], wanted, 8 * 0x1p-24 * 4);
        }
        ck_assert(f->host_sums[0] == 0.0 && f->host_sums[3] == 0.0);
        layer_close(f);
    }
}
END_TEST

START_TEST(frozen_batch_normalization_gathers_and_moves_nothing)
{
    FOR_EACH_DEVICE(device)
    {
        layer_fixture_t *f = open_layer(device, "BatchNormalization", "\"trainable\": false",
                                        (mb_shape_t){1, {2}}, 3);
        f->host_params[3][0] = f->host_params[3][1] = 1.0f;
        float before = f->host_params[2][0];
        ck_assert_int_eq(f->memory.sums, 0);
        ck_assert(!f->memory.keeps_input[0]);
        layer_forward(f);
        layer_update_statistics(f, 3.0);
        ck_assert_float_eq(f->host_params[2][0], before);
        layer_close(f);
    }
}
END_TEST

static const struct {
    const char *class_name, *config;
    mb_shape_t shape;
} noises[] = {{"Dropout", "\"rate\": 0.5", {1, {50}}},
              {"Dropout", "\"rate\": 0.5, \"noise_shape\": [null, 1, 10]", {2, {5, 10}}},
              {"Dropout", "\"rate\": 0.5, \"noise_shape\": [null, 10, 1]", {2, {10, 5}}},
              {"Dropout", "\"rate\": 0.5, \"noise_shape\": [1, 10, 5]", {2, {10, 5}}},
              {"SpatialDropout1D", "\"rate\": 0.5", {2, {5, 10}}},
              {"AlphaDropout", "\"rate\": 0.5", {1, {50}}},
              {"GaussianNoise", "\"stddev\": 0.5", {1, {50}}},
              {"GaussianDropout", "\"rate\": 0.5", {1, {50}}}};
enum { N_NOISES = sizeof noises / sizeof noises[0] };

static layer_fixture_t *open_noise(const char *device, int index, int64_t samples)
{
    return open_layer(device, noises[index].class_name, noises[index].config, noises[index].shape,
                      samples);
}

START_TEST(noise_is_absent_in_inference)
{
    FOR_EACH_DEVICE(device)
    {
        layer_fixture_t *f = open_noise(device, _i, 2);
        f->training = false;
        layer_forward(f);
        ck_assert_mem_eq(f->host_output, f->host_inputs[0], 100 * sizeof(float));
        layer_close(f);
    }
}
END_TEST

START_TEST(dropout_of_everything_gives_zeros_and_no_gradient)
{
    static const char *const configs[] = {"\"rate\": 1.0",
                                          "\"rate\": 1.0, \"noise_shape\": [null, 2, 1]"};
    FOR_EACH_DEVICE(device)
    {
        layer_fixture_t *f = open_layer(device, "Dropout", configs[_i], (mb_shape_t){2, {2, 2}}, 2);
        layer_forward(f);
        layer_backward_input(f, true);
        for (int i = 0; i < 8; i++)
            ck_assert(f->host_output[i] == 0.0f && f->host_grad_inputs[0][i] == 0.0f);
        layer_close(f);
    }
}
END_TEST

/* 4000 draws at rate 0.3: the share that is kept has deviation sqrt(0.21 / 4000) = 0.0072; five of
 * them are 0.036. */
START_TEST(dropout_drops_its_rate_and_scales_what_it_keeps)
{
    FOR_EACH_DEVICE(device)
    {
        layer_fixture_t *f =
            open_layer(device, "Dropout", "\"rate\": 0.3", (mb_shape_t){1, {1000}}, 4);
        const float *x = f->host_inputs[0];
        int kept = 0;
        layer_forward(f);
        for (int i = 0; i < 4000; i++) {
            kept += f->host_output[i] != 0.0f;
            ck_assert(f->host_output[i] == 0.0f ||
                      fabs((double)f->host_output[i] - (double)x[i] / 0.7) < 4 * 0x1p-24);
        }
        ck_assert_double_eq_tol((double)kept / 4000.0, 0.7, 0.036);
        layer_close(f);
    }
}
END_TEST

/* A number belongs to a position in the global batch: samples 2 and 3 of a micro-batch at 40 are
 * the first two of one at 42. */
START_TEST(noise_follows_the_position_in_the_global_batch)
{
    FOR_EACH_DEVICE(device)
    {
        layer_fixture_t *whole = open_noise(device, _i, 4), *part = open_noise(device, _i, 2);
        part->random.position = whole->random.position + 2;
        memcpy(part->host_inputs[0], (float *)whole->host_inputs[0] + 100, 100 * sizeof(float));
        layer_forward(whole);
        layer_forward(part);
        ck_assert_mem_eq(whole->host_output + 100, part->host_output, 100 * sizeof(float));
        part->random.step++;
        layer_forward(part);
        ck_assert_int_ne(memcmp(whole->host_output + 100, part->host_output, 100 * sizeof(float)),
                         0);
        layer_close(whole);
        layer_close(part);
    }
}
END_TEST

START_TEST(attention_drops_nothing_in_inference)
{
    static const mb_shape_t shapes[2] = {{2, {4, 6}}, {2, {4, 6}}};
    FOR_EACH_DEVICE(device)
    {
        layer_fixture_t *f[2];
        for (int i = 0; i < 2; i++) {
            char *model =
                layer_model_text("MultiHeadAttention",
                                 i == 0 ? "\"num_heads\": 2, \"key_dim\": 3, \"dropout\": 0.5"
                                        : "\"num_heads\": 2, \"key_dim\": 3",
                                 "", 2, shapes, false);
            f[i] = layer_open(device, model, 2);
            free(model);
            layer_fill(f[i], 0);
            f[i]->training = false;
            layer_forward(f[i]);
        }
        ck_assert_mem_eq(f[0]->host_output, f[1]->host_output, 48 * sizeof(float));
        layer_close(f[0]);
        layer_close(f[1]);
    }
}
END_TEST

typedef struct {
    const char *class_name, *config;
    mb_shape_t shape;
    bool keeps_input, keeps_output;
    size_t saved, carry;
} memory_case_t;

/* Ten samples. An activation that is known from y costs no copy of z. */
static const memory_case_t memory_cases[] = {
    {"Dense", "\"units\": 3", {1, {5}}, true, false, 0, 0},
    {"Dense", "\"units\": 3, \"activation\": \"relu\"", {1, {5}}, true, true, 0, 120},
    {"Dense", "\"units\": 3, \"activation\": \"gelu\"", {1, {5}}, true, false, 120, 120},
    {"Dense", "\"units\": 3, \"activation\": \"softmax\"", {1, {5}}, true, true, 120, 120},
    {"Dense", "\"units\": 3, \"trainable\": false", {1, {5}}, false, false, 0, 0},
    {"Conv1D", "\"filters\": 2, \"kernel_size\": 3", {2, {5, 1}}, true, false, 0, 0},
    {"Activation", "\"activation\": \"linear\"", {1, {5}}, false, false, 0, 0},
    {"Activation", "\"activation\": \"relu\"", {1, {5}}, false, true, 0, 0},
    {"Activation", "\"activation\": \"silu\"", {1, {5}}, true, false, 0, 0},
    {"Flatten", "", {2, {5, 2}}, false, false, 0, 0},
    {"Dropout", "\"rate\": 0.5", {1, {5}}, false, false, 0, 0},
    {"SpatialDropout1D", "\"rate\": 0.5", {2, {5, 2}}, false, false, 0, 0},
    {"Dropout", "\"rate\": 0.5, \"noise_shape\": [null, 5, 1]", {2, {5, 4}}, false, false, 256, 0},
    {"Dropout", "\"rate\": 0.5, \"noise_shape\": [1, 5, 1]", {2, {5, 4}}, false, false, 64, 0},
    {"GaussianNoise", "\"stddev\": 0.5", {1, {5}}, false, false, 0, 0},
    {"MaxPooling1D", "\"pool_size\": 2", {2, {6, 2}}, true, true, 0, 0},
    {"AveragePooling1D", "\"pool_size\": 2", {2, {6, 2}}, false, false, 0, 0},
    {"GlobalAveragePooling1D", "", {2, {6, 2}}, false, false, 0, 0},
    {"BatchNormalization", "", {1, {5}}, true, false, 128, 128}, /* sums of its gradients */
    {"LayerNormalization", "", {2, {2, 5}}, true, false, 256, 0},
};

START_TEST(layer_keeps_no_more_than_its_backward_reads)
{
    const memory_case_t *c = &memory_cases[_i];
    layer_fixture_t *f = open_layer("cpu", c->class_name, c->config, c->shape, 10);
    ck_assert_int_eq(f->memory.keeps_input[0], c->keeps_input);
    ck_assert_int_eq(f->memory.keeps_output, c->keeps_output);
    ck_assert_uint_eq(f->memory.saved_bytes, c->saved);
    ck_assert_uint_eq(f->memory.carry_bytes, c->carry);
    layer_close(f);
}
END_TEST

START_TEST(cost_of_a_product_is_two_flops_a_multiplication)
{
    mb_cost_t cost;
    layer_fixture_t *f = open_layer("cpu", "Conv2D", "\"filters\": 4, \"kernel_size\": [3, 2]",
                                    (mb_shape_t){3, {6, 5, 2}}, 2);
    f->layer->class_->cost(f->call, &cost);
    double flops = 2.0 * 3 * 2 * 2 * 4 * 4 * 4; /* taps x channels x filters x (4 x 4) positions */
    ck_assert(cost.forward_flops == flops && cost.backward_input_flops == flops &&
              cost.backward_weights_flops == flops);
    layer_close(f);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("layer state");
    TCase *t = tcase_create("state");
    tcase_add_test(t, batch_normalization_adds_the_sums_of_the_samples_that_count);
    tcase_add_test(t, batch_normalization_moves_its_statistics_by_the_whole_batch);
    tcase_add_test(t, batch_normalization_takes_its_momentum_in_double);
    tcase_add_test(t, batch_normalization_uses_moving_statistics_in_inference);
    tcase_add_test(t, frozen_batch_normalization_gathers_and_moves_nothing);
    tcase_add_loop_test(t, noise_is_absent_in_inference, 0, N_NOISES);
    tcase_add_loop_test(t, dropout_of_everything_gives_zeros_and_no_gradient, 0, 2);
    tcase_add_test(t, dropout_drops_its_rate_and_scales_what_it_keeps);
    tcase_add_loop_test(t, noise_follows_the_position_in_the_global_batch, 0, N_NOISES);
    tcase_add_test(t, attention_drops_nothing_in_inference);
    tcase_add_loop_test(t, layer_keeps_no_more_than_its_backward_reads, 0,
                        (int)(sizeof(memory_cases) / sizeof(memory_cases[0])));
    tcase_add_test(t, cost_of_a_product_is_two_flops_a_multiplication);
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
