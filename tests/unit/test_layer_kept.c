/* Layers that keep their states from batch to batch: what they give for the second batch is what
 * the same layer gives for the second half of one sequence, and their gradients are those of a call
 * that is given the states as they were. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit/layer_fixture.h"

enum { SAMPLES = 3, STEPS = 4 };
#define SAMPLES_TEXT "3   " /* where "null" stood */

typedef struct {
    const char *class_name, *config;
    mb_shape_t step; /* of the input */
    bool backwards, both_ways;
    int n_states;
    mb_shape_t state;
} case_t;

#define KEYS "\"units\": 5, \"return_sequences\": true"
#define IMAGES                                                                                     \
    "\"filters\": 3, \"kernel_size\": 2, \"padding\": \"same\", \"return_sequences\": true"
#define STACK                                                                                      \
    "\"return_sequences\": true, \"cell\": {\"class_name\": \"StackedRNNCells\", \"config\": "     \
    "{\"cells\": [{\"class_name\": \"LSTMCell\", \"config\": {\"units\": 4}}, {\"class_name\": "   \
    "\"GRUCell\", \"config\": {\"units\": 5}}]}}"

static const case_t cases[] = {
    {"SimpleRNN", KEYS, {1, {2}}, false, false, 1, {1, {5}}},
    {"LSTM", KEYS, {1, {2}}, false, false, 2, {1, {5}}},
    {"LSTM", KEYS ", \"go_backwards\": true", {1, {2}}, true, false, 2, {1, {5}}},
    {"GRU", KEYS, {1, {2}}, false, false, 1, {1, {5}}},
    {"GRU", KEYS ", \"reset_after\": false", {1, {2}}, false, false, 1, {1, {5}}},
    {"RNN", STACK, {1, {2}}, false, false, 3, {0}},
    {"ConvLSTM1D", IMAGES, {2, {4, 2}}, false, false, 2, {2, {4, 3}}},
    {"ConvLSTM1D",
     IMAGES ", \"data_format\": \"channels_first\"",
     {2, {2, 4}},
     false,
     false,
     2,
     {2, {3, 4}}},
};
static const case_t both_ways = {"Bidirectional", KEYS, {1, {2}}, false, true, 4, {1, {5}}};
#define N_CASES (int)(sizeof cases / sizeof cases[0])

static mb_shape_t sequence_of(const case_t *c, int64_t steps)
{
    mb_shape_t shape = {c->step.rank + 1, {steps}};
    memcpy(shape.dim + 1, c->step.dim, sizeof(int64_t) * (size_t)c->step.rank);
    return shape;
}

/* With the number of samples in the inputs' shapes. */
static layer_fixture_t *open_layer(const char *device, const case_t *c, bool keeps, int n_inputs,
                                   const mb_shape_t *shapes)
{
    char config[512];
    const char *keep = keeps ? "true" : "false";
    if (c->both_ways)
        snprintf(config, sizeof config,
                 "\"layer\": {\"class_name\": \"LSTM\", \"config\": {%s, \"stateful\": %s}}",
                 c->config, keep);
    else
        snprintf(config, sizeof config, "%s, \"stateful\": %s", c->config, keep);
    char *model = layer_model_text(c->class_name, config, "", n_inputs, shapes, false);
    for (char *at = strstr(model, "[null"); at != NULL; at = strstr(at, "[null"))
        memcpy(at + 1, SAMPLES_TEXT, strlen("null"));
    layer_fixture_t *f = layer_open(device, model, SAMPLES);
    free(model);
    layer_fill(f, 0);
    for (int i = 0; i < f->layer->n_params; i++) {
        for (int64_t k = 0; k < layer_param_elements(f, i); k++)
            f->host_params[i][k] *=
                0.2f; /* so that no step enlarges what the one before erred by */
    }
    return f;
}

static void copy_params(const layer_fixture_t *from, layer_fixture_t *to)
{
    for (int i = 0; i < from->layer->n_params; i++)
        memcpy(to->host_params[i], from->host_params[i],
               sizeof(float) * (size_t)layer_param_elements(from, i));
}

/* Steps FIRST and on of each sample's sequence of twice as many. */
static void cut(const layer_fixture_t *whole, int64_t first, layer_fixture_t *half)
{
    int64_t step = mb_shape_elements(&half->call->inputs[0]) / STEPS;
    for (int64_t s = 0; s < SAMPLES; s++)
        memcpy((float *)half->host_inputs[0] + s * STEPS * step,
               (float *)whole->host_inputs[0] + (2 * s * STEPS + first) * step,
               sizeof(float) * (size_t)(STEPS * step));
}

/* Sums of at most 16 terms below 1 in each of 8 steps. */
static void check_half(const layer_fixture_t *whole, int64_t row, const layer_fixture_t *half)
{
    int64_t step = mb_shape_elements(&half->call->output) / STEPS;
    for (int64_t s = 0; s < SAMPLES; s++) {
        for (int64_t i = 0; i < STEPS * step; i++)
            ck_assert_float_eq_tol(half->host_output[s * STEPS * step + i],
                                   whole->host_output[(2 * s * STEPS + row) * step + i],
                                   16 * 8 * 0x1p-24F);
    }
}

static void check_continuation(const char *device, const case_t *c, bool training)
{
    mb_shape_t shapes[] = {sequence_of(c, 2 * STEPS), sequence_of(c, STEPS)};
    layer_fixture_t *whole = open_layer(device, c, false, 1, &shapes[0]);
    layer_fixture_t *half = open_layer(device, c, true, 1, &shapes[1]);
    copy_params(whole, half);
    whole->training = half->training = training;
    layer_forward(whole);
    for (int part = 0; part < 2; part++) {
        int64_t first = c->backwards ? STEPS - part * STEPS : part * STEPS;
        cut(whole, first, half);
        layer_forward(half);
        check_half(whole, part * STEPS, half);
    }
    layer_close(whole);
    layer_close(half);
}

START_TEST(a_sequence_goes_on_in_the_next_batch)
{
    for (int d = 0; d < layer_n_devices(); d++) {
        check_continuation(layer_device(d), &cases[_i], true);
        check_continuation(layer_device(d), &cases[_i], false);
    }
}
END_TEST

/* A state as the model has it: images with their channels first, where they are kept last. */
static void give_state(layer_fixture_t *from, const case_t *c, int state, float *to)
{
    int64_t count = layer_state_elements(from, state);
    float *kept = malloc(sizeof(float) * (size_t)count);
    ck_assert_ptr_nonnull(kept);
    layer_read_state(from, state, kept);
    bool turned = strstr(c->config, "channels_first") != NULL;
    int64_t units = turned ? c->state.dim[0] : 1, places = count / SAMPLES / units;
    for (int64_t i = 0; i < count; i++) {
        int64_t sample = i / (places * units), place = i / units % places, unit = i % units;
        to[turned ? (sample * units + unit) * places + place : i] = kept[i];
    }
    free(kept);
}

static void check_same_gradients(const layer_fixture_t *a, const layer_fixture_t *b)
{
    for (int i = 0; i < a->layer->n_params; i++)
        ck_assert_mem_eq(a->host_grad_params[i], b->host_grad_params[i],
                         sizeof(float) * (size_t)layer_param_elements(a, i));
    ck_assert_mem_eq(a->host_grad_inputs[0], b->host_grad_inputs[0],
                     sizeof(float) * (size_t)layer_input_elements(a, 0));
}

static void check_gradients(const char *device, const case_t *c)
{
    mb_shape_t shapes[] = {sequence_of(c, STEPS), c->state, c->state, c->state, c->state};
    layer_fixture_t *keeps = open_layer(device, c, true, 1, shapes);
    layer_fixture_t *given = open_layer(device, c, false, 1 + c->n_states, shapes);
    copy_params(keeps, given);
    layer_forward(keeps);
    for (int s = 0; s < c->n_states; s++)
        give_state(keeps, c, s, given->host_inputs[1 + s]);
    for (int64_t i = 0; i < layer_input_elements(keeps, 0); i++)
        ((float *)keeps->host_inputs[0])[i] = (float)layer_uniform(77, i);
    memcpy(given->host_inputs[0], keeps->host_inputs[0],
           sizeof(float) * (size_t)layer_input_elements(keeps, 0));
    memcpy(given->host_grad_output, keeps->host_grad_output,
           sizeof(float) * (size_t)layer_output_elements(keeps));
    layer_fixture_t *both[] = {keeps, given};
    for (int i = 0; i < 2; i++) {
        layer_forward(both[i]);
        layer_backward_input(both[i], true);
        layer_backward_weights(both[i], false);
    }
    ck_assert_mem_eq(keeps->host_output, given->host_output,
                     sizeof(float) * (size_t)layer_output_elements(keeps));
    check_same_gradients(keeps, given);
    layer_close(keeps);
    layer_close(given);
}

/* Of a stack Keras takes no initial states from a file. */
START_TEST(backward_sees_the_states_as_they_were)
{
    const case_t *c = _i < N_CASES ? &cases[_i] : &both_ways;
    for (int d = 0; d < layer_n_devices() && strcmp(c->class_name, "RNN") != 0; d++)
        check_gradients(layer_device(d), c);
}
END_TEST

/* Both directions begin the second batch with what they came to in the first. */
START_TEST(each_direction_has_states_of_its_own)
{
    mb_shape_t shape = sequence_of(&both_ways, STEPS);
    layer_fixture_t *f = open_layer("cpu", &both_ways, true, 1, &shape);
    float states[4][SAMPLES * 5];
    layer_forward(f);
    for (int s = 0; s < 4; s++)
        layer_read_state(f, s, states[s]);
    for (int64_t sample = 0; sample < SAMPLES; sample++) {
        const float *y = f->host_output + sample * STEPS * 10;
        /* h of the way there is in the last row, that of the way back in the first */
        ck_assert_mem_eq(states[0] + sample * 5, y + (STEPS - 1) * 10, sizeof(float) * 5);
        ck_assert_mem_eq(states[2] + sample * 5, y + 5, sizeof(float) * 5);
    }
    ck_assert(memcmp(states[1], states[3], sizeof states[1]) != 0);
    layer_close(f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("kept states");
    TCase *tests = tcase_create("kept states");
    tcase_add_loop_test(tests, a_sequence_goes_on_in_the_next_batch, 0, N_CASES);
    tcase_add_loop_test(tests, backward_sees_the_states_as_they_were, 0, N_CASES + 1);
    tcase_add_test(tests, each_direction_has_states_of_its_own);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
