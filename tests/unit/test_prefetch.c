/* The ring of batches: order, contents, errors in their turn, shutdown at any point. */
#define _XOPEN_SOURCE 700
#include "base/log.h"
#include "data/prefetch.h"
#include "data/sampler.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SAMPLES = 37, BATCH = 8, WIDTH = 5 };

static float values[SAMPLES][WIDTH];
static int64_t labels[SAMPLES];

static mb_source_t *make_source(void)
{
    const mb_array_t arrays[] = {{"x", {1, {WIDTH}}, MB_F32, values},
                                 {"y", {0, {0}}, MB_I64, labels}};
    mb_source_t *source = NULL;
    for (int i = 0; i < SAMPLES; i++) {
        labels[i] = i % 10;
        for (int j = 0; j < WIDTH; j++)
            values[i][j] = (float)(i * 10 + j);
    }
    ck_assert_int_eq(mb_source_from_arrays(arrays, 2, SAMPLES, &source), MB_OK);
    return source;
}

static const mb_prefetch_item_t items[] = {
    {.field = 0, .elements = WIDTH, .what = "input"},
    {.field = 1, .as_int = true, .elements = 1, .classes = 10, .what = "labels of output 'y'"},
    {.field = -1, .as_int = true, .elements = 4}};

/* Two epochs. */
static int64_t next_batch(void *user, int64_t i, int64_t *indices)
{
    const mb_sampler_t *s = user;
    int64_t steps = mb_sampler_steps(s);
    if (i >= 2 * steps)
        return -1;
    mb_sampler_indices(s, i / steps, i % steps, 0, BATCH, indices);
    return mb_sampler_batch(s, i % steps);
}

static mb_sampler_t sampler = {MB_SHUFFLE_FULL, 0, SAMPLES, BATCH, 11};

static void check_batch(const void *const *buffers, const int64_t *indices)
{
    const float *x = buffers[0];
    const int32_t *y = buffers[1], *positions = buffers[2];
    for (int i = 0; i < BATCH; i++) {
        for (int j = 0; j < WIDTH; j++)
            ck_assert_float_eq(x[i * WIDTH + j],
                               indices[i] < 0 ? 0.0f : (float)(indices[i] * 10 + j));
        ck_assert_int_eq(y[i], indices[i] < 0 ? 0 : indices[i] % 10);
        for (int j = 0; j < 4; j++)
            ck_assert_int_eq(positions[i * 4 + j], j);
    }
}

static void check_all(mb_source_t *source, int depth)
{
    mb_prefetch_t *p = NULL;
    const void *const *buffers;
    int64_t count, indices[BATCH];
    ck_assert_int_eq(mb_prefetch_create(source, items, 3, BATCH, depth, next_batch, &sampler, &p),
                     MB_OK);
    for (int64_t i = 0; next_batch(&sampler, i, indices) >= 0; i++) {
        ck_assert_int_eq(mb_prefetch_take(p, &buffers, &count), MB_OK);
        ck_assert_int_eq(count, next_batch(&sampler, i, indices));
        check_batch(buffers, indices);
    }
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(mb_prefetch_take(p, &buffers, &count), MB_OK);
        ck_assert_int_lt(count, 0);
    }
    mb_prefetch_destroy(p);
}

START_TEST(batches_come_in_order_at_every_depth)
{
    mb_source_t *source = make_source();
    for (int depth = 1; depth <= 20; depth += 3)
        check_all(source, depth);
    mb_source_close(source);
}
END_TEST

/* The same source, but one that may only be read by its opener's thread. */
START_TEST(a_source_of_the_opener_s_thread_is_read_when_its_batch_is_taken)
{
    mb_source_t *source = make_source();
    mb_source_class_t bound = *source->class_;
    const mb_source_class_t *before = source->class_;
    bound.thread_ok = false;
    source->class_ = &bound;
    check_all(source, 1);
    check_all(source, 4);
    source->class_ = before;
    mb_source_close(source);
}
END_TEST

static const mb_source_class_t *plain;

static mb_status_t read_slowly(mb_source_t *source, int field, const int64_t *indices,
                               int64_t count, bool as_int, void *to)
{
    nanosleep(&(const struct timespec){.tv_nsec = 2000000}, NULL);
    return plain->read(source, field, indices, count, as_int, to);
}

/* A batch sleeps twice, once a field. Where a take reads itself, that is the wait; else it is no
 * longer than the takes. */
START_TEST(waits_for_data_are_counted)
{
    mb_source_t *source = make_source();
    mb_source_class_t slow = *source->class_;
    mb_prefetch_t *p = NULL;
    const void *const *buffers;
    int64_t count;
    plain = source->class_;
    slow.read = read_slowly;
    slow.thread_ok = _i == 1;
    source->class_ = &slow;
    ck_assert_int_eq(mb_prefetch_create(source, items, 3, BATCH, 4, next_batch, &sampler, &p),
                     MB_OK);
    double start = mb_time_seconds();
    for (int i = 0; i < 6; i++)
        ck_assert_int_eq(mb_prefetch_take(p, &buffers, &count), MB_OK);
    ck_assert_double_le(mb_prefetch_waited(p), mb_time_seconds() - start);
    ck_assert_double_ge(mb_prefetch_waited(p), slow.thread_ok ? 0.0 : 6 * 2 * 0.002);
    mb_prefetch_destroy(p);
    source->class_ = plain;
    mb_source_close(source);
}
END_TEST

START_TEST(classes_become_rows_with_a_one_and_empty_places_stay_zero)
{
    mb_source_t *source = make_source();
    const mb_prefetch_item_t rows = {.field = 1, .elements = 10, .one_hot = true};
    mb_sampler_t in_order = {MB_SHUFFLE_NONE, 0, SAMPLES, BATCH, 0};
    mb_prefetch_t *p = NULL;
    const void *const *buffers;
    int64_t count, indices[BATCH];
    ck_assert_int_eq(mb_prefetch_create(source, &rows, 1, BATCH, 3, next_batch, &in_order, &p),
                     MB_OK);
    for (int64_t i = 0; next_batch(&in_order, i, indices) >= 0; i++) {
        ck_assert_int_eq(mb_prefetch_take(p, &buffers, &count), MB_OK);
        const float *row = buffers[0];
        for (int k = 0; k < BATCH * 10; k++) {
            bool one = indices[k / 10] >= 0 && labels[indices[k / 10]] == k % 10;
            ck_assert(row[k] == (one ? 1.0f : 0.0f));
        }
    }
    mb_prefetch_destroy(p);
    const mb_prefetch_item_t few = {.field = 1, .elements = 2, .one_hot = true};
    ck_assert_int_eq(mb_prefetch_create(source, &few, 1, BATCH, 3, next_batch, &in_order, &p),
                     MB_OK);
    ck_assert_int_eq(mb_prefetch_take(p, &buffers, &count), MB_ERR_DATA);
    ck_assert_msg(strstr(mb_error_get(), "but there are 2") != NULL, "%s", mb_error_get());
    mb_prefetch_destroy(p);
    mb_source_close(source);
}
END_TEST

static void check_error_at(mb_source_t *source, int64_t bad_batch, const char *part)
{
    mb_sampler_t in_order = {MB_SHUFFLE_NONE, 0, SAMPLES, BATCH, 0};
    mb_prefetch_t *p = NULL;
    const void *const *buffers;
    int64_t count;
    ck_assert_int_eq(mb_prefetch_create(source, items, 3, BATCH, 3, next_batch, &in_order, &p),
                     MB_OK);
    for (int64_t i = 0; i < bad_batch; i++)
        ck_assert_int_eq(mb_prefetch_take(p, &buffers, &count), MB_OK);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(mb_prefetch_take(p, &buffers, &count), MB_ERR_DATA);
        ck_assert_msg(strstr(mb_error_get(), part) != NULL, "%s", mb_error_get());
    }
    mb_prefetch_destroy(p);
}

START_TEST(an_error_is_returned_by_the_take_of_its_batch)
{
    mb_source_t *source = make_source();
    labels[19] = 10;
    check_error_at(source, 2,
                   "dataset 'y': sample 19: labels of output 'y': found 10, but it must lie from "
                   "0 to 9");
    labels[19] = -1;
    check_error_at(source, 2, "sample 19: labels of output 'y': found -1");
    labels[19] = 0;
    values[33][2] = 0.0f / (0.0f * values[33][2]);
    check_error_at(source, 4, "dataset 'x': sample 33: NaN");
    mb_source_close(source);
}
END_TEST

START_TEST(the_value_to_ignore_is_no_label_out_of_range)
{
    mb_source_t *source = make_source();
    mb_prefetch_item_t item = items[1];
    mb_prefetch_t *p = NULL;
    const void *const *buffers;
    int64_t count;
    item.has_ignore = true;
    item.ignore = -1;
    labels[19] = -1;
    ck_assert_int_eq(mb_prefetch_create(source, &item, 1, BATCH, 2, next_batch, &sampler, &p),
                     MB_OK);
    do
        ck_assert_int_eq(mb_prefetch_take(p, &buffers, &count), MB_OK);
    while (count >= 0);
    mb_prefetch_destroy(p);
    mb_source_close(source);
}
END_TEST

START_TEST(shutdown_is_clean_at_any_point)
{
    mb_source_t *source = make_source();
    for (int round = 0; round < 200; round++) {
        mb_prefetch_t *p = NULL;
        const void *const *buffers;
        int64_t count;
        ck_assert_int_eq(
            mb_prefetch_create(source, items, 3, BATCH, 1 + round % 5, next_batch, &sampler, &p),
            MB_OK);
        if (round % 7 == 0)
            nanosleep(&(const struct timespec){.tv_nsec = 50000}, NULL);
        for (int i = 0; i < round % 4; i++)
            ck_assert_int_eq(mb_prefetch_take(p, &buffers, &count), MB_OK);
        mb_prefetch_destroy(p);
    }
    mb_prefetch_destroy(NULL);
    mb_source_close(source);
}
END_TEST

START_TEST(two_prefetches_read_slices_of_one_source_at_once)
{
    mb_source_t *source = make_source(), *train, *validation;
    mb_prefetch_t *a, *b;
    const void *const *buffers;
    int64_t count, indices[BATCH];
    mb_sampler_t of_train = {MB_SHUFFLE_NONE, 0, 24, BATCH, 0};
    mb_sampler_t of_validation = {MB_SHUFFLE_NONE, 0, 13, BATCH, 0};
    ck_assert_int_eq(mb_source_slice(source, 0, 24, &train), MB_OK);
    ck_assert_int_eq(mb_source_slice(source, 24, 13, &validation), MB_OK);
    mb_prefetch_create(train, items, 3, BATCH, 2, next_batch, &of_train, &a);
    mb_prefetch_create(validation, items, 3, BATCH, 2, next_batch, &of_validation, &b);
    for (int64_t i = 0; i < 4; i++) {
        ck_assert_int_eq(mb_prefetch_take(a, &buffers, &count), MB_OK);
        next_batch(&of_train, i, indices);
        check_batch(buffers, indices);
        ck_assert_int_eq(mb_prefetch_take(b, &buffers, &count), MB_OK);
        next_batch(&of_validation, i, indices);
        for (int j = 0; j < BATCH; j++)
            indices[j] += indices[j] < 0 ? 0 : 24;
        check_batch(buffers, indices);
    }
    mb_prefetch_destroy(a);
    mb_prefetch_destroy(b);
    mb_source_close(train);
    mb_source_close(validation);
    mb_source_close(source);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("prefetch");
    TCase *t = tcase_create("prefetch");
    tcase_add_test(t, batches_come_in_order_at_every_depth);
    tcase_add_test(t, a_source_of_the_opener_s_thread_is_read_when_its_batch_is_taken);
    tcase_add_loop_test(t, waits_for_data_are_counted, 0, 2);
    tcase_add_test(t, classes_become_rows_with_a_one_and_empty_places_stay_zero);
    tcase_add_test(t, an_error_is_returned_by_the_take_of_its_batch);
    tcase_add_test(t, the_value_to_ignore_is_no_label_out_of_range);
    tcase_add_test(t, shutdown_is_clean_at_any_point);
    tcase_add_test(t, two_prefetches_read_slices_of_one_source_at_once);
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
