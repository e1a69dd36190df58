/* Products of few rows with stored matrices, and rows looked up, against mb_matrix_value. */
#include <string.h>
#include "device/cpu/stored.h"
#include "device/cpu/stored_rows.h"
#include "stored_matrix.h"

/* block_rows -1: all rows; block_columns -1: all columns. */
static const struct {
    mb_number_t number;
    int block_rows, block_columns;
} cases[] = {{MB_NUMBER_I8, -1, 1},  {MB_NUMBER_I8, -1, -1}, {MB_NUMBER_I8, 32, 1},
             {MB_NUMBER_I8, 256, 1}, {MB_NUMBER_I4, 32, 1},  {MB_NUMBER_I4, 64, 1},
             {MB_NUMBER_U4, 32, 1},  {MB_NUMBER_U4, 128, 1}, {MB_NUMBER_I8, 1, 32},
             {MB_NUMBER_U4, 1, 32},  {MB_NUMBER_I8, 1, -1},  {MB_NUMBER_F32, 0, 0},
             {MB_NUMBER_F16, 0, 0},  {MB_NUMBER_BF16, 0, 0}, {MB_NUMBER_E3M4, 0, 0}};
#define N_CASES ((int)(sizeof cases / sizeof *cases))

static mb_matrix_t matrix_of(int which, int64_t rows, int64_t columns)
{
    int64_t r = cases[which].block_rows, c = cases[which].block_columns;
    return stored_matrix_layout(cases[which].number, rows, columns,
                                r < 0 ? rows : mb_min_i64(r, rows), c < 0 ? columns : c);
}

typedef struct {
    mb_stored_gemm_args_t args;
    double *want, *bound;
} product_t;

/* Each product and each partial sum is rounded once, and a few roundings are of scales, zeros, and
 * tiles: |error| <= (k + 8) eps times the sum of the terms' magnitudes. */
static void find_truth(const mb_stored_gemm_args_t *a, double *want, double *bound)
{
    for (int64_t j = 0; j < a->b.columns; j++) {
        for (int64_t i = 0; i < a->m; i++) {
            double bias = a->bias == NULL ? 0.0 : (double)a->bias[j];
            want[i * a->b.columns + j] = bias;
            bound[i * a->b.columns + j] = fabs(bias);
        }
        for (int64_t k = 0; k < a->b.rows; k++) {
            double value = (double)mb_matrix_value(&a->b, k, j);
            double size = stored_matrix_magnitude(&a->b, k, j);
            for (int64_t i = 0; i < a->m; i++) {
                double x = (double)((const float *)a->a)[i * a->lda + k];
                want[i * a->b.columns + j] += x * value;
                bound[i * a->b.columns + j] += fabs(x) * size;
            }
        }
    }
    for (int64_t i = 0; i < a->m * a->b.columns; i++)
        bound[i] *= OP_EPSILON * (double)(a->b.rows + 8);
}

static void check(const mb_stored_gemm_args_t *a, const char *what)
{
    int64_t count = a->m * a->b.columns;
    double *want = calloc((size_t)count, sizeof *want),
           *bound = calloc((size_t)count, sizeof *want);
    ck_assert(want != NULL && bound != NULL);
    find_truth(a, want, bound);
    for (int64_t i = 0; i < count; i++) {
        float got = ((const float *)a->c)[i / a->b.columns * a->ldc + i % a->b.columns];
        ck_assert_msg(fabs((double)got - want[i]) <= bound[i],
                      "%s m %d k %d n %d: element %d is %.9g, not %.9g (bound %.3g)", what,
                      (int)a->m, (int)a->b.rows, (int)a->b.columns, (int)i, (double)got, want[i],
                      bound[i]);
    }
    free(want);
    free(bound);
}

static mb_stored_gemm_args_t random_product(op_t *op, int which, int64_t m, int64_t k, int64_t n)
{
    mb_stored_gemm_args_t a = {.m = m, .lda = k + 3, .ldc = n + 5};
    a.b = matrix_of(which, k, n);
    a.b.has_row_scales = op_integer(op, 0, 3) == 0 && a.b.block_rows > 0;
    stored_matrix_random(op, &a.b);
    a.a = op_random(op, m * a.lda, -1, 1);
    a.bias = op_integer(op, 0, 1) ? op_random(op, n, -1, 1) : NULL;
    a.c = op_floats(op, m * a.ldc);
    return a;
}

static mb_status_t run_rows(op_t *op, const mb_stored_gemm_args_t *a)
{
    op->exec.planning = true;
    MB_TRY(mb_cpu_stored_rows(&op->exec, a));
    MB_TRY(mb_exec_allocate(&op->exec));
    return mb_cpu_stored_rows(&op->exec, a);
}

START_TEST(products_match_the_values)
{
    op_t op;
    op_open(&op, 2, (uint64_t)_i + 1);
    for (int round = 0; round < 6; round++) {
        static const int64_t rows[] = {1, 2, 3, 5, 15, 4};
        mb_stored_gemm_args_t a =
            random_product(&op, _i, rows[round], op_integer(&op, 1, 400), op_integer(&op, 1, 300));
        ck_assert_int_eq(run_rows(&op, &a), MB_OK);
        check(&a, mb_number_name(a.b.number));
    }
    op_close(&op);
}
END_TEST

/* Several tiles in both directions: 4096 bytes of a row, half a megabyte in all. */
START_TEST(tiles_fit_together)
{
    static const mb_number_t numbers[] = {MB_NUMBER_F32, MB_NUMBER_I8, MB_NUMBER_U4};
    static const int64_t columns[] = {1500, 4200, 8300}, rows[] = {300, 300, 300};
    op_t op;
    op_open(&op, 2, (uint64_t)_i + 1);
    int which = 0;
    while (cases[which].number != numbers[_i] || cases[which].block_rows == -1)
        which++;
    mb_stored_gemm_args_t a = random_product(&op, which, 2, rows[_i], columns[_i]);
    ck_assert_int_eq(run_rows(&op, &a), MB_OK);
    check(&a, mb_number_name(a.b.number));
    op_close(&op);
}
END_TEST

static uint64_t digest_with(int threads, int which)
{
    op_t op;
    op_open(&op, threads, (uint64_t)which + 1);
    mb_stored_gemm_args_t a = random_product(&op, which, 3, 700, 1333);
    ck_assert_int_eq(run_rows(&op, &a), MB_OK);
    uint64_t digest = op_digest(&op);
    op_close(&op);
    return digest;
}

START_TEST(any_number_of_threads_gives_the_same_bits)
{
    uint64_t one = digest_with(1, _i);
    ck_assert_uint_eq(digest_with(2, _i), one);
    ck_assert_uint_eq(digest_with(3, _i), one);
}
END_TEST

START_TEST(a_row_does_not_depend_on_the_others)
{
    op_t op;
    op_open(&op, 1, (uint64_t)_i + 1);
    mb_stored_gemm_args_t all = random_product(&op, _i, 7, 200, 150);
    ck_assert_int_eq(run_rows(&op, &all), MB_OK);
    for (int64_t i = 0; i < all.m; i++) {
        mb_stored_gemm_args_t one = all;
        one.m = 1;
        one.a = (const float *)all.a + i * all.lda;
        one.c = op_floats(&op, all.ldc);
        ck_assert_int_eq(run_rows(&op, &one), MB_OK);
        ck_assert_int_eq(memcmp(one.c, (const float *)all.c + i * all.ldc,
                                sizeof(float) * (size_t)all.b.columns),
                         0);
    }
    op_close(&op);
}
END_TEST

/* Every code, by every set of instructions that this processor has, to the same bits; the plain one
 * rounds products and sums apart. */
START_TEST(instruction_sets_agree)
{
    mb_rows_step_fn_t steps[] = {mb_rows_step_plain(cases[_i].number),
                                 mb_rows_step_avx2(cases[_i].number),
                                 mb_rows_step_avx512(cases[_i].number)};
    enum { ROWS = 9, GROUPS = 3, WIDTH = GROUPS * MB_STEP_COLUMNS, SAMPLES = 3 };
    op_t op;
    op_open(&op, 1, (uint64_t)_i + 1);
    mb_matrix_t m = matrix_of(_i, ROWS, WIDTH);
    stored_matrix_random(&op, &m);
    float *a = op_random(&op, SAMPLES * ROWS, -1, 1), *sums[3];
    for (int s = 0; s < 3; s++) {
        sums[s] = op_floats(&op, SAMPLES * WIDTH);
        mb_rows_step_t step = {.samples = SAMPLES,
                               .rows = ROWS,
                               .groups = GROUPS,
                               .codes = m.values,
                               .row_bytes = mb_matrix_row_bytes(&m),
                               .lda = ROWS,
                               .ld_sums = WIDTH,
                               .a = a,
                               .sums = sums[s]};
        if (steps[s] == NULL)
            continue;
        steps[s](&step);
        for (int i = 0; i < SAMPLES * WIDTH; i++) {
            float size = 0.0f; /* 128 bounds the magnitude of any code */
            for (int r = 0; r < ROWS; r++)
                size += fabsf(a[i / WIDTH * ROWS + r]) * 128.0f;
            ck_assert_float_le(fabsf(sums[s][i] - sums[0][i]), size * 2.0f * ROWS * 0x1p-24f);
        }
    }
    if (steps[1] != NULL && steps[2] != NULL)
        ck_assert_int_eq(memcmp(sums[1], sums[2], sizeof(float) * SAMPLES * WIDTH), 0);
    op_close(&op);
}
END_TEST

static void fill_with_all_codes(uint8_t codes[256])
{
    for (int i = 0; i < 256; i++)
        codes[i] = (uint8_t)i;
}

/* A sum that begins with 0 has no negative zero. */
static void check_e3m4(const float *got, int bias, const char *what)
{
    for (int i = 0; i < 256; i++) {
        float want = mb_e3m4_decode((uint8_t)i, bias);
        ck_assert_msg(isnan(want) ? isnan(got[i]) : want == got[i],
                      "%s, bias %d, code %#x: %.9g, not %.9g", what, bias, (unsigned)i,
                      (double)got[i], (double)want);
    }
}

/* Infinity and NaN among them. */
START_TEST(every_step_decodes_every_code_of_e3m4)
{
    const mb_rows_step_fn_t steps[] = {mb_rows_step_plain(MB_NUMBER_E3M4),
                                       mb_rows_step_avx2(MB_NUMBER_E3M4),
                                       mb_rows_step_avx512(MB_NUMBER_E3M4)};
    uint8_t codes[256];
    float one = 1.0f, sums[256] = {0};
    fill_with_all_codes(codes);
    mb_rows_step_t step = {.samples = 1,
                           .rows = 1,
                           .groups = 256 / MB_STEP_COLUMNS,
                           .codes = codes,
                           .row_bytes = 256,
                           .lda = 1,
                           .ld_sums = 256,
                           .a = &one,
                           .sums = sums};
    if (steps[_i] == NULL)
        return;
    steps[_i](&step);
    check_e3m4(sums, 15, "step");
}
END_TEST

/* Few rows are multiplied as they are decoded, many after it. */
START_TEST(products_with_every_code_of_e3m4_are_its_values)
{
    static const int64_t rows[] = {1, 70};
    mb_stored_gemm_args_t a = {.m = rows[_i], .lda = 1, .ldc = 256};
    op_t op;
    op_open(&op, 2, 1);
    a.b = stored_matrix_layout(MB_NUMBER_E3M4, 1, 256, 0, 0);
    a.b.values = op_memory(&op, 256);
    fill_with_all_codes((uint8_t *)a.b.values);
    a.a = op_random(&op, a.m, 1, 1);
    a.c = op_floats(&op, a.m * 256);
    for (a.b.bias = 1; a.b.bias <= 12; a.b.bias++) {
        OP_RUN(&op, STORED_GEMM, &a);
        for (int64_t i = 0; i < a.m; i++)
            check_e3m4((const float *)a.c + i * 256, a.b.bias, "product");
    }
    op_close(&op);
}
END_TEST

START_TEST(convolutions_with_every_code_of_e3m4_are_its_values)
{
    mb_window_t w = {.samples = 3,
                     .channels_in = 1,
                     .channels_out = 256,
                     .groups = 1,
                     .in = {2, 2},
                     .out = {2, 2},
                     .kernel = {1, 1},
                     .stride = {1, 1},
                     .dilation = {1, 1}};
    mb_stored_conv_args_t a = {.window = w};
    op_t op;
    op_open(&op, 2, 1);
    a.w = stored_matrix_layout(MB_NUMBER_E3M4, 1, 256, 0, 0);
    a.w.values = op_memory(&op, 256);
    fill_with_all_codes((uint8_t *)a.w.values);
    a.x = op_random(&op, 12, 1, 1);
    a.y = op_floats(&op, 12 * 256);
    for (a.w.bias = 1; a.w.bias <= 12; a.w.bias++) {
        OP_RUN(&op, STORED_CONV, &a);
        for (int i = 0; i < 12; i++)
            check_e3m4((const float *)a.y + i * 256, a.w.bias, "convolution");
    }
    op_close(&op);
}
END_TEST

START_TEST(planning_follows_no_pointers)
{
    op_t op;
    op_open(&op, 2, 1);
    mb_stored_gemm_args_t a = {.m = 4, .lda = 300, .ldc = 200};
    a.b = matrix_of(_i, 300, 200);
    a.b.has_row_scales = true;
    op.exec.planning = true;
    ck_assert_int_eq(mb_cpu_stored_rows(&op.exec, &a), MB_OK);
    mb_stored_lookup_args_t lookup = {.count = 5, .table = a.b};
    ck_assert_int_eq(mb_run_stored_lookup(&op.exec, &lookup), MB_OK);
    op_close(&op);
}
END_TEST

START_TEST(lookups_give_the_values)
{
    op_t op;
    op_open(&op, 2, (uint64_t)_i + 1);
    for (int round = 0; round < 4; round++) {
        int64_t rows = op_integer(&op, 1, 90), columns = op_integer(&op, 1, 300);
        mb_stored_lookup_args_t a = {.count = op_integer(&op, 1, 400)};
        a.table = matrix_of(_i, rows, columns);
        stored_matrix_random(&op, &a.table);
        a.ids = op_labels(&op, a.count, (int32_t)rows);
        a.y = op_floats(&op, a.count * columns);
        OP_RUN(&op, STORED_LOOKUP, &a);
        for (int64_t i = 0; i < a.count * columns; i++) {
            float want = mb_matrix_value(&a.table, a.ids[i / columns], i % columns);
            ck_assert_msg(memcmp(&want, &((const float *)a.y)[i], sizeof want) == 0,
                          "%d: %.9g, not %.9g", (int)i, (double)((const float *)a.y)[i],
                          (double)want);
        }
    }
    op_close(&op);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("op_stored_rows");
    TCase *t = tcase_create("rows");
    tcase_set_timeout(t, 300);
    tcase_add_loop_test(t, products_match_the_values, 0, N_CASES);
    tcase_add_loop_test(t, tiles_fit_together, 0, 3);
    tcase_add_loop_test(t, any_number_of_threads_gives_the_same_bits, 0, N_CASES);
    tcase_add_loop_test(t, a_row_does_not_depend_on_the_others, 0, N_CASES);
    tcase_add_loop_test(t, instruction_sets_agree, 0, N_CASES);
    tcase_add_loop_test(t, every_step_decodes_every_code_of_e3m4, 0, 3);
    tcase_add_loop_test(t, products_with_every_code_of_e3m4_are_its_values, 0, 2);
    tcase_add_test(t, convolutions_with_every_code_of_e3m4_are_its_values);
    tcase_add_loop_test(t, planning_follows_no_pointers, 0, N_CASES);
    tcase_add_loop_test(t, lookups_give_the_values, 0, N_CASES);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return op_main(suite());
}
