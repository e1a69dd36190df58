/* See widen.h. */
#include "device/cpu/widen.h"
#include "device/cpu/simd.h"
#include "device/cpu/vmath.h"

MB_MULTIVERSION
static void widen_bf16(const uint16_t *codes, int64_t count, float *values)
{
#pragma omp simd
    for (int64_t i = 0; i < count; i++)
        values[i] = mb_v_float((uint32_t)codes[i] << 16);
}

/* To the nearest, ties to even; a NaN stays one. */
MB_MULTIVERSION
static void round_bf16(const float *values, int64_t count, uint16_t *codes)
{
#pragma omp simd
    for (int64_t i = 0; i < count; i++) {
        uint32_t bits = mb_v_bits(values[i]);
        uint32_t rounded = (bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16;
        uint32_t quiet = bits >> 16 | 0x40u;
        codes[i] = (uint16_t)((bits & 0x7FFFFFFFu) > 0x7F800000u ? quiet : rounded);
    }
}

void mb_cpu_widen(mb_number_t number, const uint16_t *codes, int64_t count, float *values)
{
    if (number == MB_NUMBER_BF16)
        widen_bf16(codes, count, values);
    else
        mb_number_decode(number, 0, codes, count, values);
}

void mb_cpu_round(mb_number_t number, const float *values, int64_t count, uint16_t *codes)
{
    if (number == MB_NUMBER_BF16)
        round_bf16(values, count, codes);
    else
        mb_number_encode(number, 0, values, count, codes);
}
