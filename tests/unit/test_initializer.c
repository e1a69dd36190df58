/* Initializers, regularizers and constraints as configs hold them, and the values they start from.
 */
#include "model/graph.h"
#include "model/initializer.h"
#include "support/graph_text.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static json_t *parse(const char *quoted)
{
    char *text = json_quoted(quoted);
    json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);
    ck_assert_msg(json != NULL, "%s", quoted);
    free(text);
    return json;
}

static mb_initializer_t initializer(const char *quoted)
{
    mb_initializer_t out;
    json_t *json = parse(quoted);
    ck_assert_msg(mb_initializer_parse(json, "zeros", "here", &out) == MB_OK, "%s", mb_error_get());
    json_decref(json);
    return out;
}

static void check_says(const char *part)
{
    ck_assert_msg(strstr(mb_error_get(), part) != NULL, "'%s' lacks '%s'", mb_error_get(), part);
}

static void check_initializer_refused(const char *quoted, const char *part)
{
    mb_initializer_t out;
    json_t *json = parse(quoted);
    ck_assert_int_ne(mb_initializer_parse(json, "zeros", "here", &out), MB_OK);
    json_decref(json);
    check_says(part);
}

START_TEST(initializers_are_read_in_every_form_keras_writes)
{
    mb_initializer_t out;
    ck_assert_int_eq(mb_initializer_parse(NULL, "glorot_uniform", "here", &out), MB_OK);
    ck_assert_int_eq(out.kind, MB_INIT_VARIANCE_SCALING);
    ck_assert_int_eq(out.mode, MB_FAN_AVG);
    ck_assert_int_eq(out.distribution, MB_DIST_UNIFORM);
    ck_assert_int_eq(initializer("null").kind, MB_INIT_ZEROS);
    ck_assert_int_eq(initializer("'ones'").kind, MB_INIT_ONES);
    ck_assert_int_eq(initializer("'normal'").kind, MB_INIT_NORMAL);
    ck_assert_int_eq(initializer("{'class_name': 'Zeros', 'config': {}}").kind, MB_INIT_ZEROS);
    out = initializer("{'module': 'keras.initializers', 'class_name': 'HeNormal', 'config': "
                      "{'seed': 7}, 'registered_name': null}");
    ck_assert(out.scale > 1.99 && out.mode == MB_FAN_IN && out.distribution == MB_DIST_TRUNCATED);
    out = initializer("{'class_name': 'VarianceScaling', 'config': {'scale': 0.5, 'mode': "
                      "'fan_out', 'distribution': 'untruncated_normal', 'seed': null}}");
    ck_assert(out.scale < 0.51 && out.mode == MB_FAN_OUT && out.distribution == MB_DIST_NORMAL);
    out = initializer("{'class_name': 'RandomUniform', 'config': {'minval': -1, 'maxval': 2.5, "
                      "'seed': null}}");
    ck_assert(out.kind == MB_INIT_UNIFORM && out.a < -0.99 && out.b > 2.49);
    out = initializer("{'class_name': 'Constant', 'config': {'value': 0.25}}");
    ck_assert(out.kind == MB_INIT_CONSTANT && out.a > 0.24 && out.a < 0.26);
}
END_TEST

START_TEST(initializers_that_are_not_obeyed_are_refused_by_name)
{
    check_initializer_refused(
        "'glorot_unifrom'",
        "here: initializer 'glorot_unifrom' is not known; the nearest one is 'GlorotUniform'; "
        "doc/keras.md lists the initializers");
    check_initializer_refused("{'class_name': 'STFT', 'config': {}}", "'STFT'");
    check_initializer_refused("{'class_name': 'HeNorml', 'config': {}}",
                              "the nearest one is 'HeNormal'");
    check_initializer_refused("{'class_name': 'Zeros', 'config': {'size': 3}}",
                              "here, Zeros: key 'size' is not known");
    check_initializer_refused(
        "{'class_name': 'VarianceScaling', 'config': {'distribution': 'cauchy'}}",
        "key 'distribution' is 'cauchy'");
    check_initializer_refused("{'class_name': 'VarianceScaling', 'config': {'scale': 0}}",
                              "it must be positive");
    check_initializer_refused("3", "a name or an object");
}
END_TEST

START_TEST(regularizers_have_their_factors)
{
    static const struct {
        const char *json;
        float l1, l2;
    } cases[] = {{"null", 0, 0},
                 {"'l1'", 0.01F, 0},
                 {"'l2'", 0, 0.01F},
                 {"{'class_name': 'L2', 'config': {'l2': 0.5}}", 0, 0.5F},
                 {"{'class_name': 'L1', 'config': {'l1': 0.5}}", 0.5F, 0},
                 {"{'class_name': 'L1L2', 'config': {'l1': 0.25, 'l2': 0.5}}", 0.25F, 0.5F}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        mb_regularizer_t out;
        json_t *json = parse(cases[i].json);
        ck_assert_msg(mb_regularizer_parse(json, "here", &out) == MB_OK, "%s", mb_error_get());
        ck_assert_float_eq(out.l1, cases[i].l1);
        ck_assert_float_eq(out.l2, cases[i].l2);
        json_decref(json);
    }
}
END_TEST

START_TEST(regularizers_that_are_not_obeyed_are_refused)
{
    static const char *const cases[][2] = {
        {"'l3'", "here: regularizer 'l3' is not known"},
        {"{'class_name': 'L2', 'config': {'l1': 1}}", "here, L2: key 'l1' is not known"},
        {"{'class_name': 'L2', 'config': {'l2': -1}}", "must not be negative"},
        {"{'class_name': 'L2', 'config': {'l2': 1e300}}", "key 'l2' is 1e+300"},
        {"{'class_name': 'OrthogonalRegularizer', 'config': {}}", "'OrthogonalRegularizer'"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        mb_regularizer_t out;
        json_t *json = parse(cases[i][0]);
        ck_assert_int_ne(mb_regularizer_parse(json, "here", &out), MB_OK);
        check_says(cases[i][1]);
        json_decref(json);
    }
}
END_TEST

START_TEST(constraints_are_read_with_their_axes)
{
    mb_constraint_t out;
    json_t *json = parse("{'class_name': 'MinMaxNorm', 'config': {'min_value': 0.5, 'max_value': "
                         "2, 'rate': 0.75, 'axis': [0, 1]}}");
    ck_assert_int_eq(mb_constraint_parse(json, "here", &out), MB_OK);
    ck_assert(out.present && out.limit == MB_LIMIT_MINMAX);
    ck_assert(out.low > 0.4F && out.high > 1.9F && out.rate > 0.7F);
    ck_assert_int_eq(out.n_axes, 2);
    ck_assert_int_eq(out.axes[1], 1);
    json_decref(json);
    json = parse("'max_norm'");
    ck_assert_int_eq(mb_constraint_parse(json, "here", &out), MB_OK);
    ck_assert(out.limit == MB_LIMIT_MAXNORM && out.high > 1.9F && out.n_axes == 1);
    json_decref(json);
    json = parse("{'class_name': 'MaxNorm', 'config': {'axis': 'all'}}");
    ck_assert_int_eq(mb_constraint_parse(json, "here", &out), MB_ERR_FORMAT);
    check_says("here, MaxNorm: key 'axis'");
    json_decref(json);
    json = parse("{'class_name': 'Sum', 'config': {}}");
    ck_assert_int_eq(mb_constraint_parse(json, "here", &out), MB_ERR_UNSUPPORTED);
    check_says("constraint 'Sum' is not known");
    json_decref(json);
}
END_TEST

#define COUNT 40001

static void start(mb_param_t *param, uint64_t seed, float *values)
{
    param->shape = (mb_shape_t){.rank = 1, .dim = {COUNT}};
    param->elements = COUNT;
    if (param->path == NULL)
        param->path = "dense/kernel";
    ck_assert_int_eq(mb_param_initialize(param, seed, values), MB_OK);
}

typedef struct {
    double mean, deviation, low, high;
} moments_t;

static moments_t moments(const float *values)
{
    moments_t out = {.low = (double)values[0], .high = (double)values[0]};
    double sum = 0, squares = 0;
    for (int i = 0; i < COUNT; i++) {
        sum += (double)values[i];
        squares += (double)values[i] * (double)values[i];
        out.low = fmin(out.low, (double)values[i]);
        out.high = fmax(out.high, (double)values[i]);
    }
    out.mean = sum / COUNT;
    out.deviation = sqrt(squares / COUNT - out.mean * out.mean);
    return out;
}

/* A mean of n values of deviation s has deviation s / sqrt(n), their deviation about s / sqrt(2 n):
 * five of those are left as room, for one fixed seed. */
static void check_moments(mb_param_t *param, double mean, double deviation, double low, double high)
{
    static float values[COUNT];
    start(param, 3, values);
    moments_t found = moments(values);
    double room = 5 * deviation / sqrt(COUNT);
    ck_assert_double_le(fabs(found.mean - mean), room);
    ck_assert_double_le(fabs(found.deviation - deviation), room);
    ck_assert_double_ge(found.low, low);
    ck_assert_double_le(found.high, high);
}

START_TEST(initial_values_have_the_distribution_of_keras)
{
    mb_param_t uniform = {.initializer = initializer("{'class_name': 'RandomUniform', 'config': "
                                                     "{'minval': 1, 'maxval': 4}}")};
    check_moments(&uniform, 2.5, 3 / sqrt(12), 1, 4);
    mb_param_t normal = {.initializer = initializer("{'class_name': 'RandomNormal', 'config': "
                                                    "{'mean': 1, 'stddev': 2}}")};
    check_moments(&normal, 1, 2, -9, 11);
    /* A standard normal cut at two deviations has deviation 0.8796... */
    mb_param_t truncated = {.initializer = initializer("{'class_name': 'TruncatedNormal', "
                                                       "'config': {'mean': 1, 'stddev': 2}}")};
    check_moments(&truncated, 1, 2 * 0.87962566103423978, -3, 5);
    mb_param_t glorot = {
        .initializer = initializer("'glorot_uniform'"), .fan_in = 20, .fan_out = 4};
    check_moments(&glorot, 0, sqrt(2.0 / 24), -sqrt(6.0 / 24), sqrt(6.0 / 24));
    mb_param_t he = {.initializer = initializer("'he_normal'"), .fan_in = 50, .fan_out = 4};
    check_moments(&he, 0, sqrt(2.0 / 50), -0.5, 0.5);
    mb_param_t plain = {.initializer = initializer("{'class_name': 'VarianceScaling', 'config': "
                                                   "{'mode': 'fan_out', 'distribution': "
                                                   "'untruncated_normal'}}"),
                        .fan_in = 50,
                        .fan_out = 4};
    check_moments(&plain, 0, 0.5, -2.6, 2.6);
    mb_param_t constant = {.initializer = initializer("{'class_name': 'Constant', 'config': "
                                                      "{'value': 3}}")};
    check_moments(&constant, 3, 0, 3, 3);
}
END_TEST

START_TEST(initial_values_follow_from_the_seed_and_the_path_alone)
{
    static float a[COUNT], b[COUNT];
    static const char *const kinds[] = {"'uniform'", "'normal'", "'truncated_normal'"};
    for (int i = 0; i < 3; i++) {
        mb_param_t param = {.initializer = initializer(kinds[i]), .layer = 3, .index = 9};
        mb_param_t moved = {.initializer = param.initializer, .layer = 1, .index = 2};
        start(&param, 5, a);
        start(&moved, 5, b);
        ck_assert_mem_eq(a, b, sizeof(a));
        start(&param, 6, b);
        ck_assert_mem_ne(a, b, 64);
        param.path = "dense_1/kernel";
        start(&param, 5, b);
        ck_assert_mem_ne(a, b, 64);
    }
}
END_TEST

START_TEST(a_shorter_parameter_starts_like_a_longer_one)
{
    static float all[COUNT];
    float few[7];
    mb_param_t param = {.initializer = initializer("'normal'")};
    start(&param, 5, all);
    param.elements = 7;
    ck_assert_int_eq(mb_param_initialize(&param, 5, few), MB_OK);
    ck_assert_mem_eq(all, few, sizeof(few));
}
END_TEST

/* Rows where there are no more of them than columns, else columns: products of two are zero, of one
 * with itself the gain squared, but for the rounding of their values to float. */
static void check_orthogonal(int64_t rows, int64_t columns, double gain)
{
    float values[64];
    mb_param_t param = {.path = "lstm/recurrent_kernel",
                        .shape = {2, {rows, columns}},
                        .elements = rows * columns,
                        .initializer = {.kind = MB_INIT_ORTHOGONAL, .a = gain}};
    ck_assert_int_eq(mb_param_initialize(&param, 3, values), MB_OK);
    int64_t count = rows < columns ? rows : columns, length = param.elements / count;
    int64_t step = rows <= columns ? 1 : columns, from = rows <= columns ? columns : 1;
    for (int64_t a = 0; a < count; a++) {
        for (int64_t b = 0; b <= a; b++) {
            double sum = 0;
            for (int64_t i = 0; i < length; i++)
                sum += (double)values[a * from + i * step] * (double)values[b * from + i * step];
            ck_assert_double_eq_tol(sum, a == b ? gain * gain : 0, 4 * 0x1p-24 * gain * gain);
        }
    }
}

START_TEST(orthogonal_matrices_are_so)
{
    ck_assert_double_eq_tol(initializer("'orthogonal'").a, 1, 1e-15);
    ck_assert_double_eq_tol(
        initializer("{'class_name': 'Orthogonal', 'config': {'gain': 0.5, 'seed': null}}").a, 0.5,
        1e-15);
    check_orthogonal(3, 12, 1);
    check_orthogonal(12, 3, 1);
    check_orthogonal(8, 8, 0.5);
    check_orthogonal(1, 1, 2);
}
END_TEST

START_TEST(identity_has_its_gain_on_the_diagonal)
{
    float values[6];
    mb_param_t param = {.path = "rnn/recurrent_kernel",
                        .shape = {2, {2, 3}},
                        .elements = 6,
                        .initializer = initializer("{'class_name': 'Identity', 'config': "
                                                   "{'gain': 2}}")};
    ck_assert_int_eq(mb_param_initialize(&param, 3, values), MB_OK);
    for (int i = 0; i < 6; i++)
        ck_assert_float_eq(values[i], i == 0 || i == 4 ? 2 : 0);
    param.shape.rank = 1;
    ck_assert_int_eq(mb_param_initialize(&param, 3, values), MB_ERR_UNSUPPORTED);
    check_says("for matrices");
}
END_TEST

START_TEST(ones_stand_where_they_are_asked_for)
{
    float values[6];
    mb_param_t param = {.path = "lstm/bias",
                        .shape = {1, {6}},
                        .elements = 6,
                        .initializer = {.kind = MB_INIT_ZEROS}};
    param.initializer.ones_from = 2;
    param.initializer.ones_to = 4;
    ck_assert_int_eq(mb_param_initialize(&param, 3, values), MB_OK);
    for (int i = 0; i < 6; i++)
        ck_assert_float_eq(values[i], i == 2 || i == 3 ? 1 : 0);
}
END_TEST

static Suite *suite(void)
{
    Suite *suite = suite_create("initializer");
    TCase *tests = tcase_create("initializer");
    tcase_add_test(tests, initializers_are_read_in_every_form_keras_writes);
    tcase_add_test(tests, initializers_that_are_not_obeyed_are_refused_by_name);
    tcase_add_test(tests, regularizers_have_their_factors);
    tcase_add_test(tests, regularizers_that_are_not_obeyed_are_refused);
    tcase_add_test(tests, constraints_are_read_with_their_axes);
    tcase_add_test(tests, initial_values_have_the_distribution_of_keras);
    tcase_add_test(tests, initial_values_follow_from_the_seed_and_the_path_alone);
    tcase_add_test(tests, a_shorter_parameter_starts_like_a_longer_one);
    tcase_add_test(tests, orthogonal_matrices_are_so);
    tcase_add_test(tests, identity_has_its_gain_on_the_diagonal);
    tcase_add_test(tests, ones_stand_where_they_are_asked_for);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(suite());
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
