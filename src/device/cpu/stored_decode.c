/* Blocks of a stored matrix as floats: the codes of a row first, then its scales, a stretch of
 * columns at a time so that it stays in the first cache. */
#include <string.h>
#include "device/cpu/simd.h"
#include "device/cpu/stored.h"
#include "device/cpu/vmath.h"

#define STRETCH 256

typedef struct {
    float scale[STRETCH], zero[STRETCH];
} scales_t;

/* Sign, exponent and mantissa moved to their places in a float, whose exponent is then put right by
 * a power of two; that takes subnormal numbers along. LARGEST: codes from there on are not finite.
 */
static inline float widen(uint32_t sign, uint32_t magnitude, int shift, uint32_t largest,
                          float power)
{
    uint32_t special = magnitude >= largest ? UINT32_C(0x7F800000) : 0;
    uint32_t bits = mb_v_bits(mb_v_float(magnitude << shift) * power);
    return mb_v_float(bits | special | sign);
}

MB_MULTIVERSION
static void decode_f16(const uint16_t *codes, int64_t count, float *out)
{
#pragma omp simd
    for (int64_t c = 0; c < count; c++) {
        uint32_t code = codes[c];
        out[c] = widen((code & 0x8000u) << 16, code & 0x7FFFu, 13, 0x7C00u, 0x1p112f);
    }
}

MB_MULTIVERSION
static void decode_bf16(const uint16_t *codes, int64_t count, float *out)
{
#pragma omp simd
    for (int64_t c = 0; c < count; c++)
        out[c] = mb_v_float((uint32_t)codes[c] << 16);
}

MB_MULTIVERSION
static void decode_e3m4(const uint8_t *codes, int64_t count, float power, float *out)
{
#pragma omp simd
    for (int64_t c = 0; c < count; c++) {
        uint32_t code = codes[c];
        out[c] = widen((code & 0x80u) << 24, code & 0x7Fu, 19, 0x70u, power);
    }
}

MB_MULTIVERSION
static void decode_i8(const int8_t *codes, int64_t count, float *out)
{
#pragma omp simd
    for (int64_t c = 0; c < count; c++)
        out[c] = (float)codes[c];
}

MB_MULTIVERSION
static void decode_u8(const uint8_t *codes, int64_t count, float *out)
{
#pragma omp simd
    for (int64_t c = 0; c < count; c++)
        out[c] = (float)codes[c];
}

/* Halves of bytes. FLIP makes of them I4 (8: the upper bit is a sign) or U4 (0). */
MB_MULTIVERSION
static void decode_halves(const uint8_t *bytes, int64_t pairs, int32_t flip, float *out)
{
#pragma omp simd
    for (int64_t i = 0; i < pairs; i++) {
        int32_t byte = bytes[i];
        out[2 * i] = (float)(((byte & 15) ^ flip) - flip);
        out[2 * i + 1] = (float)(((byte >> 4) ^ flip) - flip);
    }
}

static void decode_4_bits(const uint8_t *row, mb_span_t columns, int32_t flip, float *out)
{
    int64_t c = columns.begin;
    if (c % 2 == 1 && c < columns.end) {
        *out++ = (float)(((row[c / 2] >> 4) ^ flip) - flip);
        c++;
    }
    int64_t pairs = (columns.end - c) / 2;
    decode_halves(row + c / 2, pairs, flip, out);
    c += 2 * pairs;
    if (c < columns.end)
        out[2 * pairs] = (float)(((row[c / 2] & 15) ^ flip) - flip);
}

static void decode_codes(const mb_matrix_t *m, int64_t r, mb_span_t columns, float *out)
{
    const char *row = (const char *)m->values + r * mb_matrix_row_bytes(m);
    int64_t first = columns.begin, count = columns.end - columns.begin;
    switch (m->number) {
    case MB_NUMBER_F16:
        decode_f16((const uint16_t *)(const void *)row + first, count, out);
        return;
    case MB_NUMBER_BF16:
        decode_bf16((const uint16_t *)(const void *)row + first, count, out);
        return;
    case MB_NUMBER_E3M4:
        decode_e3m4((const uint8_t *)row + first, count,
                    mb_v_power_of_two((uint32_t)(127 - m->bias)), out);
        return;
    case MB_NUMBER_I8:
        decode_i8((const int8_t *)row + first, count, out);
        return;
    case MB_NUMBER_U8:
        decode_u8((const uint8_t *)row + first, count, out);
        return;
    case MB_NUMBER_I4:
        decode_4_bits((const uint8_t *)row, columns, 8, out);
        return;
    case MB_NUMBER_U4:
        decode_4_bits((const uint8_t *)row, columns, 0, out);
        return;
    case MB_NUMBER_F32:
    case MB_NUMBER_COUNT:
        break;
    }
    memcpy(out, (const float *)(const void *)row + first, sizeof(float) * (size_t)count);
}

static float scale_at(const mb_matrix_t *m, int64_t s)
{
    return m->scale_number == MB_NUMBER_BF16
               ? mb_v_float((uint32_t)((const uint16_t *)m->scales)[s] << 16)
               : ((const float *)m->scales)[s];
}

/* The scales and zeros of a stretch of columns, for the rows of block R. */
static void gather_scales(const mb_matrix_t *m, int64_t r, mb_span_t columns, scales_t *out)
{
    int64_t row = r * mb_matrix_scale_columns(m);
    for (int64_t c = columns.begin; c < columns.end; c++) {
        int64_t i = c - columns.begin;
        int64_t s = m->block_columns == 1 ? row + c : row + c / m->block_columns;
        out->scale[i] = scale_at(m, s);
        out->zero[i] = m->has_zeros ? (float)m->zeros[s] : 0.0f;
    }
}

/* What goes with no scales: only its row's factor scales a code. */
static void gather_ones(scales_t *out)
{
    for (int64_t i = 0; i < STRETCH; i++) {
        out->scale[i] = 1.0f;
        out->zero[i] = 0.0f;
    }
}

MB_MULTIVERSION
static void apply_scales(const scales_t *s, float row_scale, int64_t count, float *values)
{
#pragma omp simd
    for (int64_t c = 0; c < count; c++)
        values[c] = row_scale * s->scale[c] * (values[c] - s->zero[c]);
}

static void square(int64_t count, float *values)
{
    for (int64_t c = 0; c < count; c++)
        values[c] *= values[c];
}

/* Rows that share their scales. */
static void decode_rows(const mb_matrix_t *m, mb_span_t rows, mb_span_t columns,
                        const scales_t *scales, float *out, int64_t ld)
{
    int64_t count = columns.end - columns.begin;
    for (int64_t r = rows.begin; r < rows.end; r++, out += ld) {
        decode_codes(m, r, columns, out);
        if (m->block_rows > 0 || m->has_row_scales)
            apply_scales(scales, m->has_row_scales ? m->row_scales[r] : 1.0f, count, out);
        if (m->squared)
            square(count, out);
    }
}

void mb_stored_decode(const mb_matrix_t *matrix, mb_span_t rows, mb_span_t columns, float *out,
                      int64_t ld)
{
    int64_t block = matrix->block_rows > 0 ? matrix->block_rows : matrix->rows;
    scales_t scales;
    if (matrix->block_rows == 0)
        gather_ones(&scales);
    for (int64_t c = columns.begin; c < columns.end; c += STRETCH) {
        mb_span_t stretch = {c, mb_min_i64(c + STRETCH, columns.end)};
        for (int64_t r = rows.begin; r < rows.end;) {
            mb_span_t same = {r, mb_min_i64((r / block + 1) * block, rows.end)};
            if (matrix->block_rows > 0)
                gather_scales(matrix, r / block, stretch, &scales);
            decode_rows(matrix, same, stretch, &scales,
                        out + (r - rows.begin) * ld + (c - columns.begin), ld);
            r = same.end;
        }
    }
}
