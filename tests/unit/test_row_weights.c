/* Weights of a loss's values: what Keras divides by as a factor over the whole batch, weights of
 * classes, labels of hinges, and the datasets that say so. */
#include "engine/hinge_labels.h"
#include "engine/row_weights.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

enum { SAMPLES = 4, VALUES = 3 };
static const mb_class_weights_t no_classes;

/* Four samples of three labels; -1 is ignored where the loss says so. */
static const int32_t labels[SAMPLES][VALUES] = {{0, 1, -1}, {2, -1, -1}, {0, 0, 0}, {1, 2, 0}};
static const float single[SAMPLES] = {1.0F, 3.0F, 0.0F, 0.5F};
static const float each[SAMPLES][VALUES] = {{1, 2, 4}, {8, 1, 1}, {0, 0, 1}, {2, 2, 2}};

static mb_source_t *source_of(const char *name, int rank, const void *weights)
{
    mb_source_t *source = NULL;
    mb_array_t arrays[] = {
        {"y", {.rank = 1, .dim = {VALUES}}, MB_I32, labels},
        {name, {.rank = rank, .dim = {VALUES}}, MB_F32, weights},
    };
    ck_assert_int_eq(mb_source_from_arrays(arrays, weights == NULL ? 1 : 2, SAMPLES, &source),
                     MB_OK);
    return source;
}

static mb_loss_t sequence_loss(void)
{
    return (mb_loss_t){.sparse = true, .rows = VALUES, .merged = 1, .columns = 3};
}

/* Weights of all values of the batch of the first three samples (and one that is none). */
static void weigh(const mb_loss_t *loss, mb_source_t *source, int field, float to[3][VALUES])
{
    static const int64_t batch[] = {0, 1, 2, -1};
    mb_row_weights_t *weights = NULL;
    ck_assert_int_eq(mb_row_weights_create(loss, source, 0, field, &no_classes, NULL, &weights),
                     MB_OK);
    for (int again = 0; again < 2; again++) /* once read, once kept */
        ck_assert_int_eq(mb_row_weights_begin(weights, batch, 4), MB_OK);
    for (int i = 0; i < 3; i++) {
        const float *given = field < 0                                              ? NULL
                             : mb_shape_elements(&source->fields[field].shape) == 1 ? &single[i]
                                                                                    : each[i];
        mb_row_weights_of(weights, labels[i], given, NULL, to[i]);
    }
    mb_row_weights_destroy(weights);
    mb_source_close(source);
}

static void expect(float found[3][VALUES], const double wanted[3][VALUES], double factor)
{
    for (int i = 0; i < 3; i++) {
        for (int j = 0; j < VALUES; j++)
            ck_assert_double_eq_tol((double)found[i][j], factor * wanted[i][j], 1e-6);
    }
}

START_TEST(a_sum_and_a_mean_over_values_take_weights_as_they_are)
{
    float found[3][VALUES];
    mb_loss_t loss = sequence_loss();
    weigh(&loss, source_of("sample_weight", 0, single), 1, found);
    expect(found, (const double[3][VALUES]){{1, 1, 1}, {3, 3, 3}, {0, 0, 0}}, 1);
    weigh(&loss, source_of("sample_weight", 1, each), 1, found);
    expect(found, (const double[3][VALUES]){{1, 2, 4}, {8, 1, 1}, {0, 0, 1}}, 1);
    loss.sum = true;
    weigh(&loss, source_of("sample_weight", 0, single), 1, found);
    expect(found, (const double[3][VALUES]){{1, 1, 1}, {3, 3, 3}, {0, 0, 0}}, 1);
}
END_TEST

/* Keras sums the weights as they were given: once a sample here, 4 in all; 18 for single values. */
START_TEST(a_mean_by_weight_is_divided_by_the_sum_of_the_weights_given)
{
    float found[3][VALUES];
    mb_loss_t loss = sequence_loss();
    loss.by_weight = true;
    weigh(&loss, source_of("sample_weight", 0, single), 1, found);
    expect(found, (const double[3][VALUES]){{1, 1, 1}, {3, 3, 3}, {0, 0, 0}}, 9.0 / 4.0);
    weigh(&loss, source_of("sample_weight", 1, each), 1, found);
    expect(found, (const double[3][VALUES]){{1, 2, 4}, {8, 1, 1}, {0, 0, 1}}, 9.0 / 18.0);
    weigh(&loss, source_of("", 0, NULL), -1, found);
    expect(found, (const double[3][VALUES]){{1, 1, 1}, {1, 1, 1}, {1, 1, 1}}, 1);
}
END_TEST

/* Six of nine labels count; their weights are 1, 1, 3 and three times 0. */
START_TEST(ignored_labels_leave_the_divisor)
{
    float found[3][VALUES];
    mb_loss_t loss = sequence_loss();
    loss.has_ignore = true;
    loss.ignore_label = -1;
    weigh(&loss, source_of("", 0, NULL), -1, found);
    expect(found, (const double[3][VALUES]){{1, 1, 0}, {1, 0, 0}, {1, 1, 1}}, 9.0 / 6.0);
    weigh(&loss, source_of("sample_weight", 0, single), 1, found);
    expect(found, (const double[3][VALUES]){{1, 1, 0}, {3, 0, 0}, {0, 0, 0}}, 9.0 / 6.0);
    loss.by_weight = true;
    weigh(&loss, source_of("sample_weight", 0, single), 1, found);
    expect(found, (const double[3][VALUES]){{1, 1, 0}, {3, 0, 0}, {0, 0, 0}}, 9.0 / 5.0);
    loss.by_weight = false;
    loss.sum = true;
    weigh(&loss, source_of("", 0, NULL), -1, found);
    expect(found, (const double[3][VALUES]){{1, 1, 0}, {1, 0, 0}, {1, 1, 1}}, 1);
}
END_TEST

START_TEST(a_divisor_of_zero_gives_zero_as_keras_does)
{
    static const float none[SAMPLES] = {0};
    float found[3][VALUES];
    mb_loss_t loss = sequence_loss();
    loss.by_weight = true;
    weigh(&loss, source_of("sample_weight", 0, none), 1, found);
    expect(found, (const double[3][VALUES]){{0}}, 0);
}
END_TEST

static void check_classes(const mb_loss_t *loss, const char *text, mb_status_t status,
                          const char *words)
{
    mb_arena_t *arena = mb_arena_create();
    mb_class_weights_t classes = {0};
    ck_assert_int_eq(mb_class_weights_parse(text, loss, arena, &classes), status);
    ck_assert_msg(status == MB_OK || strstr(mb_error_get(), words) != NULL, "%s", mb_error_get());
    mb_arena_destroy(arena);
}

static float class_weight(const mb_loss_t *loss, const char *text, const void *label)
{
    mb_arena_t *arena = mb_arena_create();
    mb_class_weights_t classes = {0};
    ck_assert_msg(mb_class_weights_parse(text, loss, arena, &classes) == MB_OK, "%s",
                  mb_error_get());
    float weight = mb_class_weights_of(&classes, loss, label);
    mb_arena_destroy(arena);
    return weight;
}

START_TEST(classes_have_weights_by_their_labels)
{
    mb_loss_t sparse = {.kind = MB_LOSS_SPARSE_SOFTMAX, .sparse = true, .name = "s", .rows = 1};
    mb_loss_t one_hot = {.kind = MB_LOSS_SOFTMAX, .name = "o", .rows = 1, .columns = 3};
    mb_loss_t binary = {.kind = MB_LOSS_BINARY_LOGITS, .name = "b", .rows = 1, .columns = 1};
    mb_loss_t distance = {.kind = MB_LOSS_SQUARED, .name = "mse", .rows = 1, .columns = 1};
    const float second[] = {0, 1, 1}, yes = 0.75F;
    sparse.columns = 3;
    sparse.merged = one_hot.merged = binary.merged = distance.merged = 1;
    ck_assert_float_eq(class_weight(&sparse, "0=0.5,2=5", &(int32_t){2}), 5.0F);
    ck_assert_float_eq(class_weight(&sparse, "0=0.5,2=5", &(int32_t){1}), 1.0F);
    ck_assert_float_eq(class_weight(&sparse, "0=0.5,2=5", &(int32_t){-1}), 1.0F);
    ck_assert_float_eq(class_weight(&one_hot, "1=4,2=7", second), 4.0F); /* the first largest */
    ck_assert_float_eq(class_weight(&binary, "0=2,1=3", &yes), 3.0F);
    check_classes(&sparse, "3=1", MB_ERR_ARGUMENT, "a class from 0 to 2");
    check_classes(&sparse, "-1=1", MB_ERR_ARGUMENT, "a class from 0 to 2");
    check_classes(&sparse, "0", MB_ERR_ARGUMENT, "'0' does not begin");
    check_classes(&sparse, "0=1,1=x", MB_ERR_ARGUMENT, "'1=x' does not end with a number");
    check_classes(&distance, "0=1", MB_ERR_UNSUPPORTED, "not one class a sample");
    sparse.rows = 4;
    check_classes(&sparse, "0=1", MB_ERR_UNSUPPORTED, "not one class a sample");
}
END_TEST

static mb_status_t check_hinge(const float *sides)
{
    static const int64_t batch[] = {0, 1, -1};
    mb_source_t *source = NULL;
    mb_hinge_labels_t *hinge = NULL;
    mb_loss_t loss = {.kind = MB_LOSS_SQUARED_HINGE};
    mb_array_t array = {"y", {.rank = 1, .dim = {2}}, MB_F32, sides};
    ck_assert_int_eq(mb_source_from_arrays(&array, 1, 2, &source), MB_OK);
    ck_assert_int_eq(mb_hinge_labels_create(&loss, source, 0, &hinge), MB_OK);
    mb_status_t status = mb_hinge_labels_check(hinge, batch, 3);
    mb_hinge_labels_destroy(hinge);
    mb_source_close(source);
    return status;
}

START_TEST(hinges_take_labels_of_one_form_in_a_batch)
{
    ck_assert_int_eq(check_hinge((const float[]){0, 1, 1, 0}), MB_OK);
    ck_assert_int_eq(check_hinge((const float[]){-1, 1, 1, -1}), MB_OK);
    ck_assert_int_eq(check_hinge((const float[]){1, 1, 1, 1}), MB_OK);
    ck_assert_int_eq(check_hinge((const float[]){0, 1, 1, -1}), MB_ERR_DATA);
    ck_assert_int_eq(check_hinge((const float[]){0, 0.5F, 1, 1}), MB_ERR_DATA);
    ck_assert_ptr_nonnull(strstr(mb_error_get(), "as -1 and 1"));
}
END_TEST

START_TEST(weights_of_one_output_go_before_those_of_all)
{
    mb_source_t *all = source_of("sample_weight", 0, single);
    mb_source_t *own = source_of("sample_weight_kind", 0, single);
    ck_assert_int_eq(mb_source_weights(all, "kind"), 1);
    ck_assert_int_eq(mb_source_weights(own, "kind"), 1);
    ck_assert_int_eq(mb_source_weights(own, "value"), -1);
    mb_source_close(all);
    mb_source_close(own);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("row_weights");
    TCase *t = tcase_create("row_weights");
    tcase_add_test(t, a_sum_and_a_mean_over_values_take_weights_as_they_are);
    tcase_add_test(t, a_mean_by_weight_is_divided_by_the_sum_of_the_weights_given);
    tcase_add_test(t, ignored_labels_leave_the_divisor);
    tcase_add_test(t, a_divisor_of_zero_gives_zero_as_keras_does);
    tcase_add_test(t, classes_have_weights_by_their_labels);
    tcase_add_test(t, hinges_take_labels_of_one_form_in_a_batch);
    tcase_add_test(t, weights_of_one_output_go_before_those_of_all);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? 0 : 1;
}
