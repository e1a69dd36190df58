/* A stage's weights: as floats, as they are stored, as shadows; and who looks at what they are
 * multiplied by. The truth is the float product with the values that the codes stand for. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/stage.h"
#include "quant/encode.h"
#include "support/graph_text.h"

enum { IN = 24, OUT = 10, BATCH = 6, VALID = 4 };

static const char config[] =
    "{'class_name': 'Sequential', 'config': {'name': 's', 'layers': ["
    "{'class_name': 'InputLayer', 'config': {'name': 'x', 'batch_shape': [null, 24]}},"
    "{'class_name': 'Dense', 'config': {'name': 'd', 'units': 10, 'activation': 'linear',"
    " 'use_bias': true}}]}}";

typedef struct {
    mb_graph_t *graph;
    mb_plan_t *plan;
    mb_device_t *device;
    mb_exec_t exec;
    mb_stage_t *stage;
    float kernel[IN * OUT];
} bench_t;

static void fill(float *values, int count, unsigned state)
{
    for (int i = 0; i < count; i++) {
        state = state * 1664525U + 1013904223U;
        values[i] = (float)(state >> 8) / 8388608.0F - 1;
    }
}

static void bench_open(bench_t *b, const mb_format_t *round_to, bool training)
{
    char *text = json_quoted(config);
    mb_device_options_t device = {.size = sizeof device, .threads = 1};
    mb_plan_options_t plan = {.stages = 1,
                              .micro_batch = BATCH,
                              .micros_per_replica = 1,
                              .replicas_of_group = 1,
                              .schedule = {.kind = MB_SCHEDULE_GPIPE, .per_stage = 2},
                              .training = training};
    ck_assert_int_eq(mb_graph_create(text, "a test", &b->graph), MB_OK);
    free(text);
    ck_assert_int_eq(mb_graph_bind(b->graph, NULL), MB_OK);
    ck_assert_int_eq(mb_plan_create(b->graph, &plan, &b->plan), MB_OK);
    ck_assert_int_eq(mb_device_open("cpu", &device, &b->device), MB_OK);
    ck_assert_int_eq(mb_exec_create(b->device, &b->exec), MB_OK);
    b->exec.planning = false;
    mb_stage_options_t stage = {
        .plan = b->plan, .n_blocks = training, .exec = &b->exec, .round_to = round_to};
    ck_assert_int_eq(mb_stage_create(&stage, &b->stage), MB_OK);
    fill(b->kernel, IN * OUT, 1);
    memcpy(b->stage->values[0], b->kernel, sizeof b->kernel);
    memset(b->stage->values[1], 0, OUT * sizeof(float));
}

static void bench_close(bench_t *b)
{
    mb_stage_destroy(b->stage);
    mb_exec_destroy(&b->exec);
    mb_device_close(b->device);
    mb_plan_destroy(b->plan);
    mb_graph_destroy(b->graph);
}

static void bench_score(bench_t *b, const mb_loss_t *loss)
{
    mb_stage_options_t options = {
        .plan = b->plan, .losses = loss, .n_blocks = 1, .n_sum_blocks = 1, .exec = &b->exec};
    mb_stage_destroy(b->stage);
    ck_assert_int_eq(mb_stage_create(&options, &b->stage), MB_OK);
}

static void forward(bench_t *b, float y[BATCH * OUT])
{
    mb_micro_t micro = {.valid = VALID, .batch = VALID};
    fill(mb_stage_tensor(b->stage, 0, 0), BATCH * IN, 2);
    b->exec.planning = true;
    ck_assert_int_eq(mb_stage_forward(b->stage, &micro), MB_OK);
    ck_assert_int_eq(mb_exec_allocate(&b->exec), MB_OK);
    ck_assert_int_eq(mb_stage_forward(b->stage, &micro), MB_OK);
    memcpy(y, mb_stage_tensor(b->stage, 0, 1), BATCH * OUT * sizeof(float));
}

/* Sums of IN products of numbers below 1, in any order and with any fusing: each differs from the
 * exact one by at most IN eps times the sum of the magnitudes, at most IN. */
static void check_product(const float *y, const float *kernel)
{
    float x[BATCH * IN];
    fill(x, BATCH * IN, 2);
    for (int i = 0; i < BATCH; i++) {
        for (int j = 0; j < OUT; j++) {
            double sum = 0;
            for (int k = 0; k < IN; k++)
                sum += (double)x[i * IN + k] * (double)kernel[k * OUT + j];
            ck_assert_double_eq_tol((double)y[i * OUT + j], sum, IN * IN * 1.2e-7);
        }
    }
}

static void encode(const bench_t *b, const char *format, mb_encoded_t *out, float *decoded)
{
    mb_format_t parsed;
    mb_view_t view = {IN, OUT, false};
    mb_calibration_t none = {0};
    ck_assert_int_eq(mb_format_parse(format, &parsed), MB_OK);
    ck_assert_int_eq(mb_encode(&parsed, MB_METHOD_NEAREST, &view, b->kernel, &none, "a test", out),
                     MB_OK);
    mb_matrix_decode(&out->matrix, decoded);
}

START_TEST(a_weight_is_exchanged_for_a_matrix_and_back)
{
    static const char *const formats[] = {"fp16", "bf16", "e3m4", "int8", "int8:block=32", "int4"};
    bench_t b = {0};
    float before[BATCH * OUT], y[BATCH * OUT], decoded[IN * OUT];
    bench_open(&b, NULL, false);
    forward(&b, before);
    check_product(before, b.kernel);
    size_t bytes = b.stage->parameter_bytes;
    for (size_t f = 0; f < sizeof formats / sizeof formats[0]; f++) {
        mb_encoded_t encoded;
        encode(&b, formats[f], &encoded, decoded);
        ck_assert_int_eq(mb_stage_use_matrix(b.stage, 0, &encoded.matrix), MB_OK);
        mb_encoded_free(&encoded); /* the stage has its own */
        ck_assert(b.stage->parameter_bytes > bytes);
        forward(&b, y);
        check_product(y, decoded);
    }
    ck_assert_int_eq(mb_stage_use_matrix(b.stage, 0, NULL), MB_OK);
    ck_assert(b.stage->parameter_bytes == bytes);
    forward(&b, y);
    ck_assert_mem_eq(y, before, sizeof y);
    bench_close(&b);
}
END_TEST

START_TEST(a_bias_is_not_exchanged)
{
    bench_t b = {0};
    mb_encoded_t encoded;
    float decoded[IN * OUT];
    bench_open(&b, NULL, false);
    encode(&b, "int8", &encoded, decoded);
    ck_assert_int_eq(mb_stage_use_matrix(b.stage, 1, &encoded.matrix), MB_ERR_INTERNAL);
    mb_encoded_free(&encoded);
    bench_close(&b);
}
END_TEST

START_TEST(shadows_are_what_the_format_stores)
{
    static const char *const formats[] = {"int8", "int4"};
    for (size_t f = 0; f < 2; f++) {
        bench_t b = {0};
        mb_format_t format;
        mb_encoded_t encoded;
        float y[BATCH * OUT], decoded[IN * OUT];
        ck_assert_int_eq(mb_format_parse(formats[f], &format), MB_OK);
        bench_open(&b, &format, true);
        ck_assert_ptr_nonnull(b.stage->shadows[0]);
        ck_assert_ptr_null(b.stage->shadows[1]); /* a bias is not rounded */
        encode(&b, formats[f], &encoded, decoded);
        ck_assert_int_eq(mb_stage_round(b.stage), MB_OK);
        ck_assert_mem_eq(b.stage->shadows[0], decoded, sizeof decoded);
        ck_assert_mem_eq(b.stage->values[0], b.kernel, sizeof b.kernel);
        forward(&b, y);
        check_product(y, decoded);
        mb_encoded_free(&encoded);
        bench_close(&b);
    }
}
END_TEST

typedef struct {
    int calls, param;
    int64_t rows, columns;
    const float *x;
} seen_t;

static mb_status_t see(void *user, const mb_run_t *run, int param, const float *x, int64_t rows,
                       int64_t columns)
{
    seen_t *seen = user;
    (void)run;
    *seen = (seen_t){seen->calls + 1, param, rows, columns, x};
    return MB_OK;
}

START_TEST(the_gradient_of_logits_takes_their_place_where_only_the_loss_reads_them)
{
    bench_t b;
    mb_loss_t loss = {
        .label_shape = {.rank = 1, .dim = {1}}, .rows = 1, .columns = OUT, .merged = 1};
    bench_open(&b, NULL, true);
    bench_score(&b, &loss);
    ck_assert(b.stage->places[1].in_place);
    ck_assert_int_eq(b.stage->places[1].gradient, -1);
    ck_assert_uint_lt(b.stage->chunks[0].backward_bytes, BATCH * OUT * sizeof(float));
    b.graph->layers[b.graph->nodes[1].layer]->activity.l2 = 0.5F;
    bench_score(&b, &loss);
    ck_assert(!b.stage->places[1].in_place);
    ck_assert_int_ge(b.stage->places[1].gradient, 0);
    bench_close(&b);
}
END_TEST

START_TEST(an_observer_sees_the_samples_that_count)
{
    bench_t b = {0};
    seen_t seen = {0};
    mb_observer_t observer = {.user = &seen, .rows = see};
    float y[BATCH * OUT];
    bench_open(&b, NULL, false);
    b.stage->observer = &observer;
    forward(&b, y);
    ck_assert_int_eq(seen.calls, 1); /* not while planning */
    ck_assert_int_eq(seen.param, 0);
    ck_assert_int_eq((int)seen.rows, VALID);
    ck_assert_int_eq((int)seen.columns, IN);
    ck_assert_ptr_eq(seen.x, mb_stage_tensor(b.stage, 0, 0));
    bench_close(&b);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stage values");
    TCase *cases = tcase_create("stage values");
    tcase_add_test(cases, a_weight_is_exchanged_for_a_matrix_and_back);
    tcase_add_test(cases, a_bias_is_not_exchanged);
    tcase_add_test(cases, shadows_are_what_the_format_stores);
    tcase_add_test(cases, the_gradient_of_logits_takes_their_place_where_only_the_loss_reads_them);
    tcase_add_test(cases, an_observer_sees_the_samples_that_count);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
