/* Products with stored matrices: every format against plain loops, executed integers exactly. */
#include <stdlib.h>
#include <string.h>
#include "device/cpu/stored.h"
#include "support/deferred_device.h"
#include "support/op_check.h"

/* Blocks of 0 rows: no scales; of ALL rows or columns: as many as the matrix has. */
#define ALL 1000000

typedef struct {
    mb_number_t number;
    int64_t block_rows, block_columns;
    bool bf16_scales, zeros, row_scales;
} format_t;

static const format_t formats[] = {
    {MB_NUMBER_F32, 0, 0, false, false, false},    {MB_NUMBER_F16, 0, 0, false, false, false},
    {MB_NUMBER_BF16, 0, 0, false, false, false},   {MB_NUMBER_E3M4, 0, 0, false, false, false},
    {MB_NUMBER_E3M4, 0, 0, false, false, true},    {MB_NUMBER_I8, ALL, 1, false, false, false},
    {MB_NUMBER_I8, ALL, ALL, false, false, false}, {MB_NUMBER_I8, 32, 1, false, false, true},
    {MB_NUMBER_I8, 1, 32, true, false, false},     {MB_NUMBER_I4, 32, 1, true, false, false},
    {MB_NUMBER_I4, ALL, 1, false, false, true},    {MB_NUMBER_U4, 32, 1, false, true, false},
    {MB_NUMBER_U4, 64, 1, true, true, true},
};
enum { FORMATS = sizeof formats / sizeof formats[0] };

static const int64_t sizes[] = {1, 3, 7, 16, 17, 33, 64, 130, 600};

static int64_t random_size(op_t *op, int64_t largest)
{
    int64_t size;
    do
        size = sizes[op_integer(op, 0, (int64_t)(sizeof sizes / sizeof sizes[0]) - 1)];
    while (size > largest);
    return size;
}

static void fill_codes(op_t *op, mb_matrix_t *m, void *codes)
{
    int64_t bytes = mb_matrix_value_bytes(m);
    for (int64_t i = 0; i < bytes; i++)
        ((uint8_t *)codes)[i] = (uint8_t)op_integer(op, 0, 255);
    for (int64_t i = 0; i < m->rows * m->columns; i++) {
        float value = (float)op_uniform(op, -1, 1);
        if (m->number == MB_NUMBER_F32)
            ((float *)codes)[i] = value;
        else if (m->number == MB_NUMBER_F16)
            ((uint16_t *)codes)[i] = mb_f16_encode(value);
        else if (m->number == MB_NUMBER_BF16)
            ((uint16_t *)codes)[i] = mb_bf16_encode(value);
        else if (m->number == MB_NUMBER_E3M4)
            ((uint8_t *)codes)[i] = mb_e3m4_encode(value, m->bias);
    }
    m->values = codes;
}

static void fill_scales(op_t *op, mb_matrix_t *m)
{
    int64_t count = mb_matrix_scales(m);
    float *scales = op_random(op, count, 0.01, 0.1);
    uint16_t *halves = (uint16_t *)(void *)scales;
    uint8_t *zeros = op_memory(op, (size_t)count);
    for (int64_t i = 0; i < count; i++) {
        float scale = scales[i];
        zeros[i] = (uint8_t)op_integer(op, 0, 15);
        if (m->scale_number == MB_NUMBER_BF16)
            halves[i] = mb_bf16_encode(scale); /* written behind what is still to be read */
    }
    m->scales = scales;
    m->zeros = m->has_zeros ? zeros : NULL;
}

static void sum_columns(op_t *op, mb_matrix_t *m)
{
    int32_t *sums = op_memory(op, sizeof(int32_t) * (size_t)m->columns);
    for (int64_t r = 0; r < m->rows; r++)
        for (int64_t c = 0; c < m->columns; c++)
            sums[c] += ((const int8_t *)m->values)[r * m->columns + c];
    m->column_sums = sums;
}

static mb_matrix_t random_matrix(op_t *op, const format_t *f, int64_t rows, int64_t columns)
{
    mb_matrix_t m = {.number = f->number, .rows = rows, .columns = columns, .bias = 5};
    m.block_rows = mb_min_i64(f->block_rows, rows);
    m.block_columns = mb_min_i64(f->block_columns, columns);
    m.scale_number = f->bf16_scales ? MB_NUMBER_BF16 : MB_NUMBER_F32;
    m.has_zeros = f->zeros;
    m.has_row_scales = f->row_scales;
    m.has_column_sums = f->number == MB_NUMBER_I8 && f->block_rows == ALL;
    fill_codes(op, &m, op_memory(op, (size_t)mb_matrix_value_bytes(&m)));
    if (m.block_rows > 0)
        fill_scales(op, &m);
    if (m.has_row_scales)
        m.row_scales = op_random(op, rows, 0.5, 2);
    if (m.has_column_sums)
        sum_columns(op, &m);
    return m;
}

static mb_stored_gemm_args_t random_product(op_t *op, const format_t *f, int64_t m, int64_t k,
                                            int64_t n, int64_t pad)
{
    mb_stored_gemm_args_t args = {.m = m, .lda = k + pad, .ldc = n + pad};
    args.b = random_matrix(op, f, k, n);
    args.a = op_random(op, m * args.lda, -1, 1);
    args.c = op_random(op, m * args.ldc, -1, 1);
    args.bias = op_integer(op, 0, 1) ? op_random(op, n, -1, 1) : NULL;
    return args;
}

static void check_block(const mb_matrix_t *m, mb_span_t rows, mb_span_t columns)
{
    int64_t ld = columns.end - columns.begin + 3;
    float *block = malloc(sizeof(float) * (size_t)((rows.end - rows.begin) * ld));
    ck_assert_ptr_nonnull(block);
    mb_stored_decode(m, rows, columns, block, ld);
    for (int64_t r = rows.begin; r < rows.end; r++) {
        for (int64_t c = columns.begin; c < columns.end; c++) {
            float want = mb_matrix_value(m, r, c);
            float got = block[(r - rows.begin) * ld + c - columns.begin];
            ck_assert_msg(memcmp(&want, &got, sizeof want) == 0 || (isnan(want) && isnan(got)),
                          "%s (%lld, %lld): %a, not %a", mb_number_name(m->number), (long long)r,
                          (long long)c, (double)got, (double)want);
        }
    }
    free(block);
}

START_TEST(decoded_blocks_are_the_values_bit_for_bit)
{
    op_t op;
    op_open(&op, 1, (uint64_t)_i + 1);
    mb_matrix_t m = random_matrix(&op, &formats[_i], 131, 301);
    m.squared = _i % 3 == 2;
    check_block(&m, (mb_span_t){0, 131}, (mb_span_t){0, 301});
    check_block(&m, (mb_span_t){31, 97}, (mb_span_t){7, 10});
    check_block(&m, (mb_span_t){130, 131}, (mb_span_t){33, 300});
    op_close(&op);
}
END_TEST

START_TEST(every_code_of_the_float_formats_decodes_as_one_number_does)
{
    static uint16_t halves[65536];
    static uint8_t bytes[256];
    for (int i = 0; i < 65536; i++)
        halves[i] = (uint16_t)i;
    for (int i = 0; i < 256; i++)
        bytes[i] = (uint8_t)i;
    mb_matrix_t m = {.number = MB_NUMBER_F16, .rows = 1, .columns = 65536, .values = halves};
    check_block(&m, (mb_span_t){0, 1}, (mb_span_t){0, 65536});
    m.number = MB_NUMBER_BF16;
    check_block(&m, (mb_span_t){0, 1}, (mb_span_t){0, 65536});
    m = (mb_matrix_t){.number = MB_NUMBER_E3M4, .rows = 1, .columns = 256, .values = bytes};
    for (m.bias = 1; m.bias <= MB_E3M4_MAX_BIAS; m.bias++)
        check_block(&m, (mb_span_t){0, 1}, (mb_span_t){0, 256});
}
END_TEST

/* A sum of k products, each rounded, and k additions in any order err by at most k eps sum |a||b|;
 * scaling once per block instead of once per element adds two roundings, the bias one. Activations
 * that are rounded to bf16 err by 2^-8 of themselves. */
static void check_product(const mb_stored_gemm_args_t *args)
{
    const mb_matrix_t *b = &args->b;
    double relative = (double)(b->rows + 4) * OP_EPSILON * 1.01;
    if (b->number == MB_NUMBER_BF16 && mb_dnnl_has_bf16())
        relative += 0x1p-8;
    for (int64_t i = 0; i < args->m; i++) {
        for (int64_t j = 0; j < b->columns; j++) {
            double want = args->bias == NULL ? 0.0 : (double)args->bias[j], size = fabs(want);
            for (int64_t k = 0; k < b->rows; k++) {
                double product = (double)((const float *)args->a)[i * args->lda + k] *
                                 (double)mb_matrix_value(b, k, j);
                want += product;
                size += fabs(product);
            }
            op_near(mb_number_name(b->number), &((const float *)args->c)[i * args->ldc + j], &want,
                    1, 0.0, relative * size);
        }
    }
}

START_TEST(product_matches_plain_loops_for_every_format)
{
    for (int i = 0; i < 8; i++) {
        op_t op;
        op_open(&op, 2, (uint64_t)(_i * 8 + i) + 1);
        int64_t m = random_size(&op, 130), n = random_size(&op, 130);
        int64_t k = random_size(&op, 600), pad = i % 2 * 5;
        mb_stored_gemm_args_t args = random_product(&op, &formats[_i], m, k, n, pad);
        float *before = malloc(sizeof(float) * (size_t)(m * args.ldc));
        ck_assert_ptr_nonnull(before);
        memcpy(before, args.c, sizeof(float) * (size_t)(m * args.ldc));
        OP_RUN(&op, STORED_GEMM, &args);
        check_product(&args);
        for (int64_t r = 0; r < m; r++)
            ck_assert_mem_eq((const float *)args.c + r * args.ldc + n, before + r * args.ldc + n,
                             sizeof(float) * (size_t)pad);
        free(before);
        op_close(&op);
    }
}
END_TEST

/* What ops.h says of executed integers, one step at a time. */
static void check_integer_row(const mb_stored_gemm_args_t *args, int64_t i)
{
    const mb_matrix_t *b = &args->b;
    const float *a = (const float *)args->a + i * args->lda;
    float low = 0.0f, high = 0.0f;
    for (int64_t k = 0; k < b->rows; k++) {
        low = fminf(low, b->has_row_scales ? a[k] * b->row_scales[k] : a[k]);
        high = fmaxf(high, b->has_row_scales ? a[k] * b->row_scales[k] : a[k]);
    }
    float scale = high / 255.0f - low / 255.0f, inverse = 1.0f / scale;
    int64_t zero = scale > 0.0f ? (int64_t)nearbyintf(-low * inverse) : 0;
    for (int64_t j = 0; j < b->columns; j++) {
        int64_t sum = 0;
        for (int64_t k = 0; k < b->rows && scale > 0.0f; k++) {
            float x = b->has_row_scales ? a[k] * b->row_scales[k] : a[k];
            int64_t q = (int64_t)nearbyintf(x * inverse) + zero;
            q = q < 0 ? 0 : q > 255 ? 255 : q;
            sum += (q - zero) * ((const int8_t *)b->values)[k * b->columns + j];
        }
        const float *scales = b->scales;
        float want = scale * scales[j / b->block_columns] * (float)sum;
        want += args->bias == NULL ? 0.0f : args->bias[j];
        float got = ((const float *)args->c)[i * args->ldc + j];
        ck_assert_msg(want == got, "(%lld, %lld) is %a, not %a", (long long)i, (long long)j,
                      (double)got, (double)want);
    }
}

/* Codes and activations that saturate 16 bits in pairs, and so many that sums pass 2^24. */
static void make_extreme(op_t *op, mb_stored_gemm_args_t *args)
{
    int8_t *codes = op_memory(op, (size_t)mb_matrix_value_bytes(&args->b));
    float *a = op_floats(op, args->m * args->lda);
    for (int64_t i = 0; i < mb_matrix_value_bytes(&args->b); i++)
        codes[i] = i % args->b.columns % 2 ? 127 : -128;
    for (int64_t i = 0; i < args->m * args->lda; i++)
        a[i] = i % 97 == 0 ? 0.5f : 1.0f;
    args->b.values = codes;
    args->a = a;
    sum_columns(op, &args->b);
}

static void check_integers(op_t *op, const format_t *f, int64_t m, int64_t k, int64_t n,
                           bool extreme)
{
    mb_stored_gemm_args_t args = random_product(op, f, m, k, n, 5);
    args.integer = true;
    if (extreme)
        make_extreme(op, &args);
    OP_RUN(op, STORED_GEMM, &args);
    for (int64_t i = 0; i < m; i++)
        check_integer_row(&args, i);
}

/* Each instruction set in a process of its own, which is what Check makes of a test. */
static const char *const isas[] = {
    "ALL", "AVX512_CORE_BF16", "AVX512_CORE_VNNI", "AVX512_CORE", "AVX2", "SSE41"};

START_TEST(executed_integers_are_exact_on_every_processor)
{
    static const format_t channel = {MB_NUMBER_I8, ALL, 1, false, false, false};
    static const format_t tensor = {MB_NUMBER_I8, ALL, ALL, false, false, false};
    static const format_t scaled = {MB_NUMBER_I8, ALL, 1, false, false, true};
    ck_assert_int_eq(setenv("ONEDNN_MAX_CPU_ISA", isas[_i], 1), 0);
    op_t op;
    op_open(&op, 2, (uint64_t)_i + 1);
    check_integers(&op, &channel, 16, 1, 1, false);
    check_integers(&op, &tensor, 17, 33, 130, false);
    check_integers(&op, &scaled, 33, 130, 7, false);
    check_integers(&op, &channel, 130, 600, 65, false);
    check_integers(&op, &channel, 33, 1025, 130, true);
    check_integers(&op, &tensor, 545, 64, 17, true);
    op_close(&op);
}
END_TEST

START_TEST(row_of_zeros_gives_the_bias_and_one_that_is_not_finite_gives_none)
{
    static const format_t channel = {MB_NUMBER_I8, ALL, 1, false, false, false};
    enum { M = 16, K = 40, N = 9 };
    op_t op;
    op_open(&op, 1, 1);
    mb_stored_gemm_args_t args = random_product(&op, &channel, M, K, N, 0);
    args.integer = true;
    args.bias = op_random(&op, N, -1, 1);
    float *a = op_random(&op, M * K, -1, 1);
    memset(a + K, 0, sizeof(float) * K);
    a[2 * K + 7] = INFINITY;
    a[3 * K + 39] = NAN;
    a[4 * K] = 3e38f;
    a[4 * K + 1] = -3e38f;
    for (int k = 0; k < K; k++)
        a[5 * K + k] = 1e-40f;
    args.a = a;
    OP_RUN(&op, STORED_GEMM, &args);
    for (int j = 0; j < N; j++) {
        ck_assert_float_eq(((const float *)args.c)[N + j], args.bias[j]);
        ck_assert(isnan(((const float *)args.c)[2 * N + j]));
        ck_assert(isnan(((const float *)args.c)[3 * N + j]));
        ck_assert_float_eq(((const float *)args.c)[5 * N + j], args.bias[j]);
    }
    check_integer_row(&args, 0);
    check_integer_row(&args, 4);
    op_close(&op);
}
END_TEST

START_TEST(product_gives_the_same_bits_for_any_number_of_threads)
{
    uint64_t digest[3];
    for (int threads = 1; threads <= 3; threads++) {
        op_t op;
        op_open(&op, threads, 7);
        mb_stored_gemm_args_t few = random_product(&op, &formats[_i], 5, 257, 130, 0);
        mb_stored_gemm_args_t many = random_product(&op, &formats[_i], 70, 600, 330, 0);
        OP_RUN(&op, STORED_GEMM, &few);
        OP_RUN(&op, STORED_GEMM, &many);
        many.integer = true;
        many.c = op_floats(&op, many.m * many.ldc);
        OP_RUN(&op, STORED_GEMM, &many);
        digest[threads - 1] = op_digest(&op);
        op_close(&op);
    }
    ck_assert_uint_eq(digest[0], digest[1]);
    ck_assert_uint_eq(digest[0], digest[2]);
}
END_TEST

static void check_plan(op_t *op, const format_t *f, int64_t m, bool integer)
{
    mb_stored_gemm_args_t args = random_product(op, f, m, 65, 70, 0);
    args.integer = integer;
    args.bias = op_random(op, 70, -1, 1);
    mb_stored_gemm_args_t planned = args;
    planned.a = NULL;
    planned.c = NULL;
    planned.b.values = planned.b.scales = NULL;
    planned.b.zeros = NULL;
    planned.b.row_scales = NULL;
    planned.b.column_sums = NULL;
    op->exec.planning = true;
    ck_assert_int_eq(mb_run_stored_gemm(&op->exec, &planned), MB_OK);
    ck_assert_int_eq(mb_exec_allocate(&op->exec), MB_OK);
    ck_assert_int_eq(mb_run_stored_gemm(&op->exec, &args), MB_OK);
    if (!integer)
        check_product(&args);
}

START_TEST(product_is_planned_without_any_memory)
{
    static const int64_t rows[] = {1, 40};
    for (int i = 0; i < 4; i++) {
        op_t op;
        op_open(&op, 2, 3);
        check_plan(&op, &formats[_i], rows[i / 2], i % 2 == 1);
        op_close(&op);
    }
}
END_TEST

START_TEST(product_over_nothing_is_the_bias)
{
    op_t op;
    op_open(&op, 1, 1);
    float *c = op_random(&op, 6, -1, 1), *bias = op_random(&op, 3, -1, 1);
    mb_stored_gemm_args_t args = {.m = 2, .ldc = 3, .bias = bias, .c = c};
    args.b = (mb_matrix_t){.number = MB_NUMBER_F16, .columns = 3};
    OP_RUN(&op, STORED_GEMM, &args);
    for (int i = 0; i < 6; i++)
        ck_assert_float_eq(c[i], bias[i % 3]);
    args.m = 0;
    OP_RUN(&op, STORED_GEMM, &args);
    args.m = 2;
    args.b.rows = 4;
    args.lda = 3;
    ck_assert_int_eq(op_try(&op, MB_OP_STORED_GEMM, &args, sizeof args), MB_ERR_INTERNAL);
    op_close(&op);
}
END_TEST

static const void *moved(mb_exec_t *exec, const void *from, size_t bytes)
{
    void *to = NULL;
    if (from == NULL)
        return NULL;
    ck_assert_int_eq(mb_device_alloc(exec->device, bytes, &to), MB_OK);
    ck_assert_int_eq(mb_exec_copy(exec, to, from, bytes, MB_COPY_TO_DEVICE), MB_OK);
    return to;
}

static void drop(mb_exec_t *exec, const void *memory)
{
    mb_device_free(exec->device, (void *)(uintptr_t)memory);
}

/* ARGS on a device whose memory lies apart; the result into C of the host. */
static void run_deferred(const mb_stored_gemm_args_t *args, float *c)
{
    mb_device_options_t options = {.size = sizeof options, .threads = 2};
    mb_device_t *device = NULL;
    mb_exec_t exec;
    ck_assert_int_eq(mb_device_open("deferred", &options, &device), MB_OK);
    ck_assert_int_eq(mb_exec_create(device, &exec), MB_OK);
    ck_assert_int_eq(mb_run_stored_gemm(&exec, args), MB_OK);
    ck_assert_int_eq(mb_exec_allocate(&exec), MB_OK);
    mb_stored_gemm_args_t there = *args;
    const mb_matrix_t *b = &args->b;
    size_t scales = (size_t)mb_matrix_scales(b), bytes = 4 * (size_t)(args->m * args->ldc);
    there.a = moved(&exec, args->a, 4 * (size_t)(args->m * args->lda));
    there.b.values = moved(&exec, b->values, (size_t)mb_matrix_value_bytes(b));
    there.b.scales = moved(&exec, b->scales, (size_t)mb_matrix_scale_bytes(b));
    there.b.zeros = moved(&exec, b->zeros, scales);
    there.b.row_scales = moved(&exec, b->row_scales, 4 * (size_t)b->rows);
    there.b.column_sums = moved(&exec, b->column_sums, 4 * (size_t)b->columns);
    there.bias = moved(&exec, args->bias, 4 * (size_t)b->columns);
    there.c = (float *)(uintptr_t)moved(&exec, c, bytes);
    ck_assert_msg(mb_run_stored_gemm(&exec, &there) == MB_OK, "%s", mb_error_get());
    ck_assert_int_eq(mb_exec_copy(&exec, c, there.c, bytes, MB_COPY_TO_HOST), MB_OK);
    ck_assert_int_eq(mb_exec_sync(&exec), MB_OK);
    const void *all[] = {there.a,
                         there.b.values,
                         there.b.scales,
                         there.b.zeros,
                         there.b.row_scales,
                         there.b.column_sums,
                         there.bias,
                         there.c};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        drop(&exec, all[i]);
    mb_exec_destroy(&exec);
    mb_device_close(device);
}

START_TEST(product_reads_only_memory_of_its_device)
{
    op_t op;
    op_open(&op, 1, 5);
    for (int integer = 0; integer < 2; integer++) {
        mb_stored_gemm_args_t args = random_product(&op, &formats[_i], 40, 65, 35, 0);
        args.integer = integer == 1;
        float *later = op_floats(&op, args.m * args.ldc);
        OP_RUN(&op, STORED_GEMM, &args);
        run_deferred(&args, later);
        ck_assert_mem_eq(later, args.c, sizeof(float) * (size_t)(args.m * args.ldc));
    }
    op_close(&op);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("op_stored_gemm");
    TCase *t = tcase_create("stored_gemm");
    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, decoded_blocks_are_the_values_bit_for_bit, 0, FORMATS);
    tcase_add_test(t, every_code_of_the_float_formats_decodes_as_one_number_does);
    tcase_add_loop_test(t, product_matches_plain_loops_for_every_format, 0, FORMATS);
    tcase_add_loop_test(t, executed_integers_are_exact_on_every_processor, 0,
                        (int)(sizeof isas / sizeof isas[0]));
    tcase_add_test(t, row_of_zeros_gives_the_bias_and_one_that_is_not_finite_gives_none);
    tcase_add_loop_test(t, product_gives_the_same_bits_for_any_number_of_threads, 0, FORMATS);
    tcase_add_loop_test(t, product_is_planned_without_any_memory, 0, FORMATS);
    tcase_add_test(t, product_over_nothing_is_the_bias);
    tcase_add_loop_test(t, product_reads_only_memory_of_its_device, 0, FORMATS);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return op_main(suite());
}
