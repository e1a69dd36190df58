/* Activations as 8-bit numbers between the smallest and the largest of their row, and results from
 * the sums of their products. See stored.h. */
#include <float.h>
#include <math.h>
#include "device/cpu/simd.h"
#include "device/cpu/stored.h"
#include "device/cpu/vmath.h"

/* 255 * 128 * rows stays below 2^31. */
#define MOST_ROWS 65536
#define COLUMNS 256 /* of a stretch whose scales are gathered at a time */

/* Adding it rounds to a whole number, ties to even, for magnitudes below 2^22. */
#define ROUNDING 0x1.8p23f

bool mb_stored_is_integer(const mb_matrix_t *matrix)
{
    return matrix->number == MB_NUMBER_I8 && matrix->has_column_sums && !matrix->squared &&
           matrix->block_rows >= matrix->rows && matrix->rows <= MOST_ROWS;
}

/* The largest magnitude as bits: those of infinity or more belong to what is not finite. */
typedef struct {
    float low, high;
    uint32_t magnitude;
} range_t;

MB_MULTIVERSION
static range_t find_range(const float *x, int64_t count)
{
    float low = 0.0f, high = 0.0f;
    uint32_t magnitude = 0;
#pragma omp simd reduction(min : low) reduction(max : high, magnitude)
    for (int64_t i = 0; i < count; i++) {
        float value = x[i];
        uint32_t bits = mb_v_bits(value) & UINT32_C(0x7FFFFFFF);
        low = value < low ? value : low;
        high = value > high ? value : high;
        magnitude = bits > magnitude ? bits : magnitude;
    }
    return (range_t){low, high, magnitude};
}

MB_MULTIVERSION
static range_t find_range_of_products(const float *x, const float *factors, int64_t count)
{
    float low = 0.0f, high = 0.0f;
    uint32_t magnitude = 0;
#pragma omp simd reduction(min : low) reduction(max : high, magnitude)
    for (int64_t i = 0; i < count; i++) {
        float value = x[i] * factors[i];
        uint32_t bits = mb_v_bits(value) & UINT32_C(0x7FFFFFFF);
        low = value < low ? value : low;
        high = value > high ? value : high;
        magnitude = bits > magnitude ? bits : magnitude;
    }
    return (range_t){low, high, magnitude};
}

mb_row_code_t mb_stored_row_code(const float *x, const float *factors, int64_t count)
{
    range_t range =
        factors == NULL ? find_range(x, count) : find_range_of_products(x, factors, count);
    if (range.magnitude >= UINT32_C(0x7F800000))
        return (mb_row_code_t){NAN, 0};
    /* Divided first: the difference may leave the range of float. */
    float scale = range.high / 255.0f - range.low / 255.0f;
    if (scale < FLT_MIN)
        return (mb_row_code_t){0.0f, 0};
    float zero = -range.low * (1.0f / scale) + ROUNDING - ROUNDING;
    return (mb_row_code_t){scale, (int32_t)zero};
}

static inline uint8_t encode(float value, float inverse, int32_t zero)
{
    int32_t q = (int32_t)(value * inverse + ROUNDING - ROUNDING) + zero;
    q = q < 0 ? 0 : q;
    return (uint8_t)(q > 255 ? 255 : q);
}

MB_MULTIVERSION
static void encode_row(const float *x, int64_t count, float inverse, int32_t zero, uint8_t *out)
{
#pragma omp simd
    for (int64_t i = 0; i < count; i++)
        out[i] = encode(x[i], inverse, zero);
}

MB_MULTIVERSION
static void encode_products(const float *x, const float *factors, int64_t count, float inverse,
                            int32_t zero, uint8_t *out)
{
#pragma omp simd
    for (int64_t i = 0; i < count; i++)
        out[i] = encode(x[i] * factors[i], inverse, zero);
}

void mb_stored_row_encode(const float *x, const float *factors, int64_t count, mb_row_code_t code,
                          uint8_t *out)
{
    if (!(code.scale > 0.0f)) {
        for (int64_t i = 0; i < count; i++)
            out[i] = 0;
        return;
    }
    float inverse = 1.0f / code.scale;
    if (factors == NULL)
        encode_row(x, count, inverse, code.zero, out);
    else
        encode_products(x, factors, count, inverse, code.zero, out);
}

/* What the columns of a stretch share over all rows. */
typedef struct {
    float scale[COLUMNS], bias[COLUMNS];
    int32_t sum[COLUMNS];
} columns_t;

static float scale_of(const mb_matrix_t *m, int64_t column)
{
    int64_t s = m->block_columns == 1 ? column : column / m->block_columns;
    return m->scale_number == MB_NUMBER_BF16
               ? mb_v_float((uint32_t)((const uint16_t *)m->scales)[s] << 16)
               : ((const float *)m->scales)[s];
}

MB_MULTIVERSION
static void scale_row(const int32_t *sums, mb_row_code_t code, const columns_t *columns,
                      int64_t count, float *c)
{
#pragma omp simd
    for (int64_t j = 0; j < count; j++) {
        float sum = (float)(sums[j] - code.zero * columns->sum[j]);
        c[j] = code.scale * columns->scale[j] * sum + columns->bias[j];
    }
}

void mb_stored_integer_scale(const mb_integer_scale_t *args)
{
    const mb_matrix_t *m = args->matrix;
    columns_t columns;
    for (int64_t begin = 0; begin < args->columns; begin += COLUMNS) {
        int64_t count = mb_min_i64(COLUMNS, args->columns - begin);
        for (int64_t j = 0; j < count; j++) {
            int64_t column = args->first + begin + j;
            columns.scale[j] = scale_of(m, column);
            columns.sum[j] = m->column_sums[column];
            columns.bias[j] = args->bias == NULL ? 0.0f : args->bias[begin + j];
        }
        for (int64_t i = 0; i < args->rows; i++)
            scale_row(args->sums + i * args->ld_sums + begin, args->codes[i * args->code_step],
                      &columns, count, args->c + i * args->ldc + begin);
    }
}
