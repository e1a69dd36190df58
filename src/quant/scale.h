/* Whole-number codes of weights that share a scale. */
#ifndef MB_QUANT_SCALE_H
#define MB_QUANT_SCALE_H

#include "base/number.h"

/* What the codes less the zero lie between. */
typedef struct {
    float low, high;
} mb_code_range_t;

static inline mb_code_range_t mb_code_range(mb_number_t number, int zero)
{
    switch (number) {
    case MB_NUMBER_I4:
        return (mb_code_range_t){-7, 7};
    case MB_NUMBER_U4:
        return (mb_code_range_t){(float)-zero, (float)(15 - zero)};
    default:
        return (mb_code_range_t){-127, 127};
    }
}

/* The whole number nearest to QUOTIENT within RANGE, ties to even. Up to 2^22 the last place of
 * such a sum is 1; as a plain addition it vectorizes everywhere. A NaN becomes the upper end. */
static inline float mb_code_round(float quotient, mb_code_range_t range)
{
    const float last_place_is_one = 12582912.0f; /* 1.5 * 2^23 */
    quotient = quotient < range.high ? quotient : range.high;
    quotient = quotient > range.low ? quotient : range.low;
    return (quotient + last_place_is_one) - last_place_is_one;
}

/* As mb_scale_choose of methods.h, for a scale that is stored as SCALE_NUMBER; the scale that comes
 * out is exact in it. */
void mb_scale_choose_stored(mb_number_t number, mb_number_t scale_number, bool mse,
                            const float *values, int64_t count, int64_t stride, float *scale,
                            int *zero);
/* The smallest number of SCALE_NUMBER that is not below SCALE. */
float mb_scale_stored(mb_number_t scale_number, float scale);

/* COUNT codes, a byte each, as they are stored (4-bit: in the low half, which alone counts). */
void mb_scale_apply(mb_number_t number, const float *values, int64_t count, float scale, int zero,
                    uint8_t *codes);

#endif
