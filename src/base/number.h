/* The number formats that weights are stored in.
 *
 *     F16    IEEE 754 binary16
 *     BF16   the upper half of binary32
 *     E3M4   sign, 3 exponent bits, 4 mantissa bits; the exponent's bias belongs to the tensor. As
 * in IEEE 754, and in what HDF5 makes of such a type, exponent 7 is infinity and NaN, exponent 0 is
 * zero and the subnormal numbers m / 16 * 2^(1 - bias).
 *
 * Encoding rounds to the nearest, ties to even; what lies past the largest finite number becomes
 * infinity; a NaN stays a NaN. */
#ifndef MB_BASE_NUMBER_H
#define MB_BASE_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/types.h"

typedef enum {
    MB_NUMBER_F32 = 0,
    MB_NUMBER_F16,
    MB_NUMBER_BF16,
    MB_NUMBER_E3M4,
    MB_NUMBER_I8, /* whole numbers, which a scale goes with */
    MB_NUMBER_U8,
    MB_NUMBER_I4, /* two to a byte, the first in the low half */
    MB_NUMBER_U4,
    MB_NUMBER_COUNT
} mb_number_t;

const char *mb_number_name(mb_number_t number); /* "fp32", "fp16", "bf16", "e3m4", "int8" ... */
int mb_number_bits(mb_number_t number);
/* What a type of mb_dtype_is_float has for elements; its bias is 0. */
static inline mb_number_t mb_number_of(mb_dtype_t type)
{
    return type == MB_BF16 ? MB_NUMBER_BF16 : type == MB_F16 ? MB_NUMBER_F16 : MB_NUMBER_F32;
}
/* Bytes of COUNT numbers that lie side by side (halves are rounded up to a byte). */
static inline int64_t mb_number_bytes(mb_number_t number, int64_t count)
{
    return (count * mb_number_bits(number) + 7) / 8;
}

float mb_f16_decode(uint16_t code);
uint16_t mb_f16_encode(float value);
float mb_bf16_decode(uint16_t code);
uint16_t mb_bf16_encode(float value);
/* BIAS from 1 to MB_E3M4_MAX_BIAS; the largest finite number is 1.9375 * 2^(6 - bias). */
#define MB_E3M4_MAX_BIAS 120
float mb_e3m4_decode(uint8_t code, int bias);
uint8_t mb_e3m4_encode(float value, int bias);

/* COUNT numbers side by side, of any format (4-bit numbers: from the low half of the first byte).
 * Whole numbers become the float of the same value. */
void mb_number_decode(mb_number_t number, int bias, const void *codes, int64_t count,
                      float *values);
/* The float formats only. */
void mb_number_encode(mb_number_t number, int bias, const float *values, int64_t count,
                      void *codes);
/* Rounds float32 to KEPT_BITS mantissa bits, 1 to 22, ties to even; in place allowed. */
void mb_number_cut(int kept_bits, const float *values, int64_t count, float *rounded);

#endif
