/* Steps of stored_rows.h in plain C. Products and sums are rounded apart. */
#include <stddef.h>
#include <string.h>
#include "device/cpu/simd.h"
#include "device/cpu/stored_rows.h"

typedef void (*decode_t)(const uint8_t *codes, float *value);

static void decode_f32(const uint8_t *codes, float *value)
{
    memcpy(value, codes, MB_STEP_COLUMNS * sizeof *value);
}

static void decode_f16(const uint8_t *codes, float *value)
{
    uint16_t half[MB_STEP_COLUMNS];
    memcpy(half, codes, sizeof half);
    for (int c = 0; c < MB_STEP_COLUMNS; c++)
        value[c] = mb_f16_decode(half[c]);
}

static void decode_bf16(const uint8_t *codes, float *value)
{
    uint16_t half[MB_STEP_COLUMNS];
    memcpy(half, codes, sizeof half);
    for (int c = 0; c < MB_STEP_COLUMNS; c++)
        value[c] = mb_bf16_decode(half[c]);
}

static void decode_e3m4(const uint8_t *codes, float *value)
{
    for (int c = 0; c < MB_STEP_COLUMNS; c++)
        value[c] = mb_e3m4_decode(codes[c], 15);
}

static void decode_i8(const uint8_t *codes, float *value)
{
    for (int c = 0; c < MB_STEP_COLUMNS; c++)
        value[c] = (float)(int8_t)codes[c];
}

static void decode_i4(const uint8_t *codes, float *value)
{
    for (int c = 0; c < MB_STEP_COLUMNS; c++)
        value[c] = (float)(((codes[c / 2] >> (c % 2 * 4) & 15) ^ 8) - 8);
}

static void decode_u4(const uint8_t *codes, float *value)
{
    for (int c = 0; c < MB_STEP_COLUMNS; c++)
        value[c] = (float)((codes[c / 2] >> (c % 2 * 4) & 15) - 8);
}

static void add_products(float *restrict sum, const float *restrict value, float a)
{
#pragma omp simd
    for (int c = 0; c < MB_STEP_COLUMNS; c++)
        sum[c] += a * value[c];
}

static void sum_groups(const mb_rows_step_t *s, decode_t decode, int bits)
{
    for (int64_t group = 0; group < s->groups; group++) {
        float sum[MB_STEP_SAMPLES][MB_STEP_COLUMNS] = {0};
        for (int r = 0; r < s->rows; r++) {
            float value[MB_STEP_COLUMNS];
            decode(s->codes + r * s->row_bytes + group * MB_STEP_COLUMNS * bits / 8, value);
            for (int i = 0; i < s->samples; i++)
                add_products(sum[i], value, s->a[i * s->lda + r]);
        }
        for (int i = 0; i < s->samples; i++)
            add_products(s->sums + i * s->ld_sums + group * MB_STEP_COLUMNS, sum[i], 1.0f);
    }
}

#define STEP(number, bits)                                                                         \
    static void step_##number(const mb_rows_step_t *s)                                             \
    {                                                                                              \
        sum_groups(s, decode_##number, bits);                                                      \
    }
STEP(f32, 32)
STEP(f16, 16)
STEP(bf16, 16)
STEP(e3m4, 8)
STEP(i8, 8)
STEP(i4, 4)
STEP(u4, 4)

mb_rows_step_fn_t mb_rows_step_plain(mb_number_t number)
{
    static const mb_rows_step_fn_t steps[MB_NUMBER_COUNT] = {
        [MB_NUMBER_F32] = step_f32,   [MB_NUMBER_F16] = step_f16, [MB_NUMBER_BF16] = step_bf16,
        [MB_NUMBER_E3M4] = step_e3m4, [MB_NUMBER_I8] = step_i8,   [MB_NUMBER_I4] = step_i4,
        [MB_NUMBER_U4] = step_u4};
    return steps[number];
}
