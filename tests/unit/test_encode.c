/* Encoding tensors: the error bounds of every format, shapes with tails, what is refused, and
 * deflated chunks against HDF5's filters. */
#include "quant/encode.h"

#include "base/crc32c.h"
#include "quant/deflate.h"
#include "quant/methods.h"

#include <check.h>
#include <hdf5.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const all_formats[] = {"fp32",          "fp16",          "bf16",
                                          "e3m4",          "int8",          "int4",
                                          "int8:tensor",   "int8:block=32", "int8:block=64",
                                          "int4:block=64", "int4:offset",   "int4:block=128,offset",
                                          "rounded",       "rounded:bits=3"};
#define N_FORMATS (sizeof all_formats / sizeof *all_formats)

static mb_format_t parsed(const char *text)
{
    mb_format_t format;
    ck_assert_msg(mb_format_parse(text, &format) == MB_OK, "%s", mb_error_get());
    return format;
}

/* Bell-shaped, with a few that are ten times as large. The caller frees. */
static float *weights(mb_view_t view, uint32_t seed)
{
    int64_t count = view.rows * view.columns;
    float *values = malloc((size_t)count * sizeof *values);
    ck_assert_ptr_nonnull(values);
    uint32_t state = seed;
    for (int64_t i = 0; i < count; i++) {
        float sum = 0;
        for (int k = 0; k < 4; k++) {
            state = state * 1664525u + 1013904223u;
            sum += (float)(state >> 8) / 16777216.0f - 0.5f;
        }
        values[i] = sum * (state >> 8 & 127 ? 0.1f : 1.0f);
    }
    return values;
}

static mb_encoded_t encoded(const char *format, mb_method_t method, mb_view_t view,
                            const float *values)
{
    mb_encoded_t e;
    mb_format_t f = parsed(format);
    ck_assert_msg(mb_encode(&f, method, &view, values, NULL, "tensor 'w'", &e) == MB_OK, "%s",
                  mb_error_get());
    return e;
}

static const mb_view_t views[] = {{1, 1, false},   {1, 77, false},  {77, 1, false},
                                  {40, 33, false}, {97, 64, false}, {300, 35, false},
                                  {1, 1, true},    {1, 77, true},   {77, 1, true},
                                  {40, 33, true},  {5, 300, true}};
#define N_VIEWS (sizeof views / sizeof *views)

static void for_all(void (*check)(const char *format, mb_view_t view, mb_method_t method,
                                  const float *values))
{
    for (size_t v = 0; v < N_VIEWS; v++)
        for (size_t f = 0; f < N_FORMATS; f++)
            for (mb_method_t method = MB_METHOD_NEAREST; method <= MB_METHOD_MSE; method++) {
                float *values = weights(views[v], (uint32_t)(v + 1));
                check(all_formats[f], views[v], method, values);
                free(values);
            }
}

static void check_decoding(const char *format, mb_view_t view, mb_method_t method,
                           const float *values)
{
    mb_encoded_t e = encoded(format, method, view, values);
    int64_t count = view.rows * view.columns;
    float *decoded = malloc((size_t)count * sizeof *decoded);
    mb_matrix_decode(&e.matrix, decoded);
    for (int64_t i = 0; i < count; i++) {
        float value = mb_matrix_value(&e.matrix, i / view.columns, i % view.columns);
        ck_assert_msg(memcmp(&value, decoded + i, sizeof value) == 0, "%s at %lld", format,
                      (long long)i);
    }
    mb_loss_of_accuracy_t loss;
    mb_measure(values, decoded, count, &loss);
    /* The same squares, summed in another order: a relative error of count * 2^-53 */
    double tolerance = (double)count * 0x1p-52 * loss.rmse;
    ck_assert_double_le(fabs(loss.rmse - e.encoding.loss.rmse), tolerance);
    ck_assert(loss.max_abs == e.encoding.loss.max_abs);
    ck_assert(loss.max_relative == e.encoding.loss.max_relative);
    free(decoded);
    mb_encoded_free(&e);
}

START_TEST(whole_matrices_decode_as_single_places_do_and_the_loss_is_theirs)
{
    for_all(check_decoding);
}
END_TEST

/* Half a step, or for the last bit of rounding quotients a little more: a quotient up to 255 has an
 * error of 2^-17, the product another of 2^-24 of itself. Floats: half of the last place, which is
 * 2^-bits of the number, or of the subnormal numbers. */
static void check_bound(const char *format, mb_view_t view, mb_method_t method, const float *values)
{
    if (method != MB_METHOD_NEAREST)
        return;
    mb_encoded_t e = encoded(format, method, view, values);
    const mb_matrix_t *m = &e.matrix;
    for (int64_t r = 0; r < view.rows; r++)
        for (int64_t c = 0; c < view.columns; c++) {
            double value = (double)values[r * view.columns + c], bound = 0;
            int64_t s = m->block_rows == 0
                            ? 0
                            : r / m->block_rows * mb_matrix_scale_columns(m) + c / m->block_columns;
            if (m->scale_number == MB_NUMBER_BF16)
                bound = (double)mb_bf16_decode(((const uint16_t *)m->scales)[s]) * 0.50001;
            else if (m->block_rows > 0)
                bound = (double)((const float *)m->scales)[s] * 0.50001;
            else if (m->number == MB_NUMBER_E3M4)
                bound = fmax(fabs(value) * 0x1p-5, ldexp(1, 1 - m->bias - 5));
            else if (m->number == MB_NUMBER_F16)
                bound = fmax(fabs(value) * 0x1p-11, 0x1p-25);
            else if (m->number == MB_NUMBER_BF16)
                bound = fabs(value) * 0x1p-8;
            else if (e.encoding.format.kept_bits > 0)
                bound = fabs(value) * ldexp(1, -e.encoding.format.kept_bits - 1);
            double error = fabs((double)mb_matrix_value(m, r, c) - value);
            ck_assert_msg(error <= bound, "%s: %g off by %g > %g", format, value, error, bound);
        }
    mb_encoded_free(&e);
}

START_TEST(nearest_is_at_most_half_a_step_off)
{
    for_all(check_bound);
}
END_TEST

static void check_mse(const char *format, mb_view_t view, mb_method_t method, const float *values)
{
    if (method != MB_METHOD_MSE)
        return;
    mb_encoded_t nearest = encoded(format, MB_METHOD_NEAREST, view, values);
    mb_encoded_t mse = encoded(format, MB_METHOD_MSE, view, values);
    ck_assert_msg(mse.encoding.loss.rmse <= nearest.encoding.loss.rmse, "%s", format);
    mb_encoded_free(&nearest);
    mb_encoded_free(&mse);
}

START_TEST(mse_never_has_a_larger_squared_error_than_nearest)
{
    for_all(check_mse);
}
END_TEST

START_TEST(mse_clips_what_is_rare)
{
    const mb_view_t view = {64, 1, false};
    const char *const formats[] = {"int4:block=64", "int4:block=64,offset"};
    float values[64];
    for (int i = 0; i < 64; i++)
        values[i] = (float)(i % 2 == 0 ? i + 1 : -i - 1) / 64;
    values[63] = -2;
    for (int i = 0; i < 2; i++) {
        mb_encoded_t nearest = encoded(formats[i], MB_METHOD_NEAREST, view, values);
        mb_encoded_t mse = encoded(formats[i], MB_METHOD_MSE, view, values);
        ck_assert_int_eq(mse.encoding.method, MB_METHOD_MSE);
        ck_assert_double_gt(mse.encoding.loss.max_abs, nearest.encoding.loss.max_abs);
        ck_assert_double_gt(mse.encoding.loss.sqnr_db, nearest.encoding.loss.sqnr_db);
        mb_encoded_free(&nearest);
        mb_encoded_free(&mse);
    }
}
END_TEST

/* Small numbers beside one that is just past the next bias: that bias halves the
 * step of what is small. */
START_TEST(e3m4_saturates_at_the_largest_number_where_that_is_better)
{
    const mb_view_t view = {4000, 1, false};
    float *values = malloc(sizeof(float) * 4000);
    for (int i = 0; i < 4000; i++)
        values[i] = (float)(i + 1) / 4000 * 0.03f;
    values[7] = 7.9f;
    mb_encoded_t nearest = encoded("e3m4", MB_METHOD_NEAREST, view, values);
    mb_encoded_t mse = encoded("e3m4", MB_METHOD_MSE, view, values);
    ck_assert_int_eq(nearest.matrix.bias, 3);
    ck_assert_int_eq(mse.matrix.bias, 4);
    ck_assert(mb_matrix_value(&mse.matrix, 7, 0) == 7.75f);
    ck_assert_int_eq(mse.encoding.method, MB_METHOD_MSE);
    mb_encoded_free(&nearest);
    mb_encoded_free(&mse);
    free(values);
}
END_TEST

/* Codes that are put one by one, in an order of their own, are those that mb_encode makes. */
static void check_puts(const char *format, mb_view_t view)
{
    float *values = weights(view, 11);
    mb_encoded_t e = encoded(format, MB_METHOD_NEAREST, view, values);
    mb_matrix_t m = e.matrix;
    float row_scales[64];
    uint8_t *codes = calloc((size_t)mb_matrix_value_bytes(&m), 1);
    const mb_draft_t draft = {&m, codes, e.parts[MB_PART_SCALES], e.own[0], row_scales, &view};
    m.values = codes;
    for (int64_t c = view.columns - 1; c >= 0; c--)
        for (int64_t r = 0; r < view.rows; r++) {
            float put = mb_draft_put(&draft, r, c, values[r * view.columns + c]);
            ck_assert(put == mb_matrix_value(&e.matrix, r, c));
        }
    ck_assert_mem_eq(codes, e.matrix.values, (size_t)mb_matrix_value_bytes(&m));

    m.has_row_scales = true;
    m.row_scales = row_scales;
    for (int64_t r = 0; r < view.rows; r++)
        row_scales[r] = 1 + (float)r / 7;
    for (int64_t i = 0; i < view.rows * view.columns; i++) {
        float put = mb_draft_put(&draft, i / view.columns, i % view.columns, values[i]);
        ck_assert(put == mb_matrix_value(&m, i / view.columns, i % view.columns));
    }
    free(codes);
    free(values);
    mb_encoded_free(&e);
}

START_TEST(codes_put_one_by_one_are_those_of_whole_tensors)
{
    const mb_view_t kernel = {40, 33, false}, table = {5, 300, true};
    const char *const formats[] = {"int8", "int8:block=32", "int4", "int4:block=64,offset"};
    for (int i = 0; i < 4; i++) {
        check_puts(formats[i], kernel);
        check_puts(formats[i], table);
    }
}
END_TEST

START_TEST(a_zero_block_has_scale_and_codes_of_zero)
{
    const mb_view_t view = {64, 3, false};
    float values[64 * 3] = {0};
    values[40 * 3 + 1] = 1e30f;
    values[63 * 3 + 2] = -0.0f;
    for (size_t f = 0; f < N_FORMATS; f++) {
        if (strcmp(all_formats[f], "fp16") == 0 || strcmp(all_formats[f], "e3m4") == 0)
            continue;
        for (mb_method_t method = MB_METHOD_NEAREST; method <= MB_METHOD_MSE; method++) {
            mb_encoded_t e = encoded(all_formats[f], method, view, values);
            for (int64_t i = 0; i < 64 * 3; i++)
                if (values[i] == 0)
                    ck_assert(mb_matrix_value(&e.matrix, i / 3, i % 3) == 0);
            double huge = (double)mb_matrix_value(&e.matrix, 40, 1);
            ck_assert_double_le(fabs(huge / 1e30 - 1), 0.125);
            mb_encoded_free(&e);
        }
    }
}
END_TEST

/* One row over more panels of columns than are decoded at a time. */
START_TEST(rows_decode_alone_as_in_the_whole)
{
    const mb_view_t view = {70, 601, false};
    float *values = weights(view, 9), *whole = malloc(sizeof(float) * 70 * 601), row[601];
    for (size_t f = 0; f < N_FORMATS; f++) {
        mb_encoded_t e = encoded(all_formats[f], MB_METHOD_NEAREST, view, values);
        mb_matrix_decode(&e.matrix, whole);
        for (int64_t r = 0; r < 70; r += 23) {
            mb_matrix_decode_rows(&e.matrix, r, 1, row);
            ck_assert_mem_eq(row, whole + r * 601, sizeof row);
        }
        mb_encoded_free(&e);
    }
    free(whole);
    free(values);
}
END_TEST

START_TEST(parts_give_back_the_same_matrix)
{
    const mb_view_t view = {70, 33, false};
    float *values = weights(view, 4), first[70 * 33], second[70 * 33];
    for (size_t f = 0; f < N_FORMATS; f++) {
        mb_encoded_t e = encoded(all_formats[f], MB_METHOD_MSE, view, values), again;
        void *parts[MB_PART_COUNT];
        uint32_t crc = 0;
        for (int p = 0; p < MB_PART_COUNT; p++) {
            size_t bytes = (size_t)e.encoding.bytes[p];
            parts[p] = bytes > 0 ? malloc(bytes) : NULL;
            if (bytes > 0)
                memcpy(parts[p], e.parts[p], bytes);
            crc = mb_crc32c(crc, e.parts[p], bytes);
        }
        ck_assert_uint_eq(crc, e.encoding.crc);
        ck_assert_int_eq(mb_encoded_adopt(&e.encoding, parts, &again), MB_OK);
        mb_matrix_decode(&e.matrix, first);
        mb_matrix_decode(&again.matrix, second);
        ck_assert_mem_eq(first, second, sizeof first);
        if (again.matrix.has_column_sums)
            ck_assert_mem_eq(again.matrix.column_sums, e.matrix.column_sums, 33 * sizeof(int32_t));
        mb_encoded_free(&e);
        mb_encoded_free(&again);
    }
    free(values);
}
END_TEST

START_TEST(column_sums_add_the_codes)
{
    const mb_view_t view = {300, 35, false};
    float *values = weights(view, 5);
    mb_encoded_t e = encoded("int8", MB_METHOD_NEAREST, view, values);
    for (int64_t c = 0; c < 35; c++) {
        int32_t sum = 0;
        for (int64_t r = 0; r < 300; r++)
            sum += ((const int8_t *)e.matrix.values)[r * 35 + c];
        ck_assert_int_eq(e.matrix.column_sums[c], sum);
    }
    mb_encoded_free(&e);
    free(values);
}
END_TEST

static void check_refused(const char *format, float value, const char *message)
{
    const mb_view_t view = {40, 5, false};
    float *values = weights(view, 3);
    mb_encoded_t e;
    mb_format_t f = parsed(format);
    values[33 * 5 + 4] = value;
    ck_assert_int_eq(
        mb_encode(&f, MB_METHOD_MSE, &view, values, NULL, "q.h5: tensor 'dense/kernel'", &e),
        MB_ERR_NUMERIC);
    ck_assert_ptr_nonnull(
        strstr(mb_error_get(), "q.h5: tensor 'dense/kernel': element 169 (row 33, column 4) is "));
    ck_assert_msg(strstr(mb_error_get(), message) != NULL, "%s", mb_error_get());
    free(values);
}

START_TEST(what_is_not_finite_is_refused_with_its_place)
{
    for (size_t f = 0; f < N_FORMATS; f++) {
        check_refused(all_formats[f], NAN, "nan");
        check_refused(all_formats[f], INFINITY, "inf");
        check_refused(all_formats[f], -INFINITY, "-inf");
    }
}
END_TEST

START_TEST(what_a_format_cannot_hold_is_refused_with_formats_that_can)
{
    const mb_view_t one = {1, 1, false};
    const struct {
        const char *format;
        float most, refused;
        const char *message;
    } limits[] = {{"fp16", 65519.996f, 65520.0f, "bf16, int8 or fp32"},
                  {"bf16", 0x1.fefffep127f, 0x1.ffp127f, "fp32"},
                  {"e3m4", 62.999996f, 63.0f, "fp16, bf16 or int8"},
                  {"rounded", 0x1.ff7ffep127f, 0x1.fffffep127f, "fp32"}};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        mb_encoded_t e = encoded(limits[i].format, MB_METHOD_NEAREST, one, &limits[i].most);
        ck_assert(isfinite(mb_matrix_value(&e.matrix, 0, 0)));
        mb_encoded_free(&e);
        check_refused(limits[i].format, limits[i].refused, limits[i].message);
        check_refused(limits[i].format, -limits[i].refused, limits[i].message);
    }
}
END_TEST

START_TEST(methods_that_need_inputs_are_mse_without_them)
{
    const mb_view_t view = {40, 5, false};
    float *values = weights(view, 3);
    const mb_method_t by_inputs[] = {MB_METHOD_GPTQ, MB_METHOD_AWQ};
    for (int i = 0; i < 2; i++) {
        mb_encoded_t e = encoded("int4", by_inputs[i], view, values);
        ck_assert_int_eq(e.encoding.method, MB_METHOD_MSE);
        ck_assert(!e.matrix.has_row_scales);
        mb_encoded_free(&e);
        e = encoded("fp16", by_inputs[i], view, values);
        ck_assert_int_eq(e.encoding.method, MB_METHOD_NEAREST);
        mb_encoded_free(&e);
    }
    free(values);
}
END_TEST

/* A file in memory with one dataset of one chunk, shuffled and deflated. */
static hid_t chunked(hid_t *file, hsize_t count)
{
    hid_t access = H5Pcreate(H5P_FILE_ACCESS), plist = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_fapl_core(access, 1 << 20, 0);
    *file = H5Fcreate("chunk.h5", H5F_ACC_TRUNC, H5P_DEFAULT, access);
    hid_t space = H5Screate_simple(1, &count, NULL);
    H5Pset_chunk(plist, 1, &count);
    H5Pset_shuffle(plist);
    H5Pset_deflate(plist, MB_DEFLATE_LEVEL);
    hid_t set = H5Dcreate2(*file, "x", H5T_IEEE_F32LE, space, H5P_DEFAULT, plist, H5P_DEFAULT);
    H5Sclose(space);
    H5Pclose(plist);
    H5Pclose(access);
    return set;
}

START_TEST(hdf5_reads_what_is_deflated_and_its_own_chunk_is_inflated)
{
    const mb_view_t view = {111, 37, false};
    const hsize_t zero = 0;
    float *values = weights(view, 8), *back = malloc(sizeof(float) * 111 * 37);
    hid_t file, set = chunked(&file, 111 * 37);
    mb_encoded_t e = encoded("rounded", MB_METHOD_NEAREST, view, values);
    size_t bytes = (size_t)e.encoding.bytes[MB_PART_VALUES];
    ck_assert_uint_lt(bytes, 111 * 37 * 4 / 2 + 111 * 37);
    ck_assert_int_ge(H5Dwrite_chunk(set, H5P_DEFAULT, 0, &zero, bytes, e.parts[MB_PART_VALUES]), 0);
    ck_assert_int_ge(H5Dread(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, back), 0);
    ck_assert_mem_eq(back, e.matrix.values, sizeof(float) * 111 * 37);
    H5Dclose(set);
    H5Fclose(file);

    set = chunked(&file, 111 * 37);
    H5Dwrite(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
    H5Dflush(set);
    hsize_t stored = 0;
    H5Dget_chunk_storage_size(set, &zero, &stored);
    void *chunk = malloc((size_t)stored);
    uint32_t mask = 0;
    ck_assert_int_ge(H5Dread_chunk(set, H5P_DEFAULT, &zero, &mask, chunk), 0);
    ck_assert_int_eq(mb_inflate(chunk, (int64_t)stored, 111 * 37, back), MB_OK);
    ck_assert_mem_eq(back, values, sizeof(float) * 111 * 37);
    H5Dclose(set);
    H5Fclose(file);
    free(chunk);
    mb_encoded_free(&e);
    free(back);
    free(values);
}
END_TEST

START_TEST(deflated_bytes_that_are_damaged_are_refused)
{
    const mb_view_t view = {50, 3, false};
    float *values = weights(view, 8), back[151];
    void *packed;
    int64_t bytes;
    ck_assert_int_eq(mb_deflate(values, 150, "w", &packed, &bytes), MB_OK);
    ck_assert_int_eq(mb_inflate(packed, bytes, 150, back), MB_OK);
    ck_assert_int_eq(mb_inflate(packed, bytes, 149, back), MB_ERR_FORMAT);
    ck_assert_int_eq(mb_inflate(packed, bytes, 151, back), MB_ERR_FORMAT);
    ck_assert_int_eq(mb_inflate(packed, bytes - 1, 150, back), MB_ERR_FORMAT);
    ((uint8_t *)packed)[bytes / 2] ^= 0x10;
    ck_assert_int_eq(mb_inflate(packed, bytes, 150, back), MB_ERR_FORMAT);
    ck_assert_int_eq(mb_deflate(values, MB_DEFLATE_MAX_COUNT + 1, "w", &packed, &bytes),
                     MB_ERR_UNSUPPORTED);
    free(packed);
    free(values);
}
END_TEST

START_TEST(measures_are_those_of_their_definitions)
{
    const float original[] = {1, -2, 0, 4}, decoded[] = {1.5f, -2, 0.25f, 3};
    mb_loss_of_accuracy_t loss;
    mb_measure(original, decoded, 4, &loss);
    ck_assert(loss.rmse == sqrt((0.25 + 0.0625 + 1) / 4));
    ck_assert(loss.max_abs == 1 && loss.max_relative == 0.5);
    ck_assert(loss.sqnr_db == 10 * log10(21 / 1.3125));
    mb_measure(original, original, 4, &loss);
    ck_assert(loss.rmse == 0 && isinf(loss.sqnr_db));
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("encode");
    TCase *t = tcase_create("encode");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, whole_matrices_decode_as_single_places_do_and_the_loss_is_theirs);
    tcase_add_test(t, nearest_is_at_most_half_a_step_off);
    tcase_add_test(t, mse_never_has_a_larger_squared_error_than_nearest);
    tcase_add_test(t, mse_clips_what_is_rare);
    tcase_add_test(t, e3m4_saturates_at_the_largest_number_where_that_is_better);
    tcase_add_test(t, codes_put_one_by_one_are_those_of_whole_tensors);
    tcase_add_test(t, a_zero_block_has_scale_and_codes_of_zero);
    tcase_add_test(t, rows_decode_alone_as_in_the_whole);
    tcase_add_test(t, parts_give_back_the_same_matrix);
    tcase_add_test(t, column_sums_add_the_codes);
    tcase_add_test(t, what_is_not_finite_is_refused_with_its_place);
    tcase_add_test(t, what_a_format_cannot_hold_is_refused_with_formats_that_can);
    tcase_add_test(t, methods_that_need_inputs_are_mse_without_them);
    tcase_add_test(t, hdf5_reads_what_is_deflated_and_its_own_chunk_is_inflated);
    tcase_add_test(t, deflated_bytes_that_are_damaged_are_refused);
    tcase_add_test(t, measures_are_those_of_their_definitions);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    SRunner *runner = srunner_create(suite());
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
