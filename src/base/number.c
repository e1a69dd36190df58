/* The small floats by whole-number arithmetic on the bits of float32, without branches that depend
 * on the value, so that the loops vectorize.
 *
 * Decoding puts exponent and mantissa where float32 has its own; a power of two, which makes no
 * rounding, then turns one bias into the other and normalizes subnormal numbers. Encoding adds half
 * of the last kept place less one, plus the last kept bit, and cuts: ties go to even, a carry runs
 * on into the exponent. A subnormal result is rounded by the addition of a float whose last place
 * is that of the result. */
#include "base/number.h"

#include <math.h>
#include <string.h>

static const struct {
    const char *name;
    int bits;
} numbers[MB_NUMBER_COUNT] = {
    [MB_NUMBER_F32] = {"fp32", 32}, [MB_NUMBER_F16] = {"fp16", 16}, [MB_NUMBER_BF16] = {"bf16", 16},
    [MB_NUMBER_E3M4] = {"e3m4", 8}, [MB_NUMBER_I8] = {"int8", 8},   [MB_NUMBER_U8] = {"uint8", 8},
    [MB_NUMBER_I4] = {"int4", 4},   [MB_NUMBER_U4] = {"uint4", 4},
};

const char *mb_number_name(mb_number_t number)
{
    return (unsigned)number < MB_NUMBER_COUNT ? numbers[number].name : "?";
}

int mb_number_bits(mb_number_t number)
{
    return (unsigned)number < MB_NUMBER_COUNT ? numbers[number].bits : 0;
}

#define F32_MANTISSA 23
#define F32_BIAS 127
#define F32_INFINITY 0x7F800000u

static inline uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline float power_of_two(int exponent)
{
    return float_of((uint32_t)(exponent + F32_BIAS) << F32_MANTISSA);
}

/* A binary format with EXPONENT and MANTISSA bits, sign in front. */
typedef struct {
    int exponent, mantissa, bias;
} layout_t;

static const layout_t half = {5, 10, 15};

static inline float decode(uint32_t code, layout_t f)
{
    uint32_t sign = code >> (f.exponent + f.mantissa) << 31;
    uint32_t magnitude = (code & ((1u << (f.exponent + f.mantissa)) - 1))
                         << (F32_MANTISSA - f.mantissa);
    uint32_t infinity = ((1u << f.exponent) - 1) << F32_MANTISSA;
    uint32_t finite = bits_of(float_of(magnitude) * power_of_two(F32_BIAS - f.bias));
    return float_of(sign | (magnitude >= infinity ? magnitude | F32_INFINITY : finite));
}

static inline uint32_t encode(float value, layout_t f)
{
    uint32_t bits = bits_of(value), magnitude = bits & 0x7FFFFFFFu;
    int shift = F32_MANTISSA - f.mantissa;
    uint32_t infinity = ((1u << f.exponent) - 1) << f.mantissa;

    uint32_t half_place = (1u << (shift - 1)) - 1 + (magnitude >> shift & 1);
    uint32_t rebias = (uint32_t)(F32_BIAS - f.bias) << F32_MANTISSA;
    uint32_t normal = (magnitude - rebias + half_place) >> shift;
    normal = normal < infinity ? normal : infinity;

    float last_place_is_ours = power_of_two(1 - f.bias - f.mantissa + F32_MANTISSA);
    uint32_t subnormal =
        bits_of(float_of(magnitude) + last_place_is_ours) - bits_of(last_place_is_ours);

    uint32_t smallest_normal = (uint32_t)(F32_BIAS + 1 - f.bias) << F32_MANTISSA;
    uint32_t code = magnitude < smallest_normal ? subnormal : normal;
    code = magnitude > F32_INFINITY ? infinity | 1u << (f.mantissa - 1) : code;
    return bits >> 31 << (f.exponent + f.mantissa) | code;
}

static inline float decode_bf16(uint16_t code)
{
    return float_of((uint32_t)code << 16);
}

static inline uint16_t encode_bf16(float value)
{
    uint32_t bits = bits_of(value);
    uint32_t rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16;
    return (uint16_t)((bits & 0x7FFFFFFFu) > F32_INFINITY ? bits >> 16 | 0x40 : rounded);
}

float mb_f16_decode(uint16_t code)
{
    return decode(code, half);
}

uint16_t mb_f16_encode(float value)
{
    return (uint16_t)encode(value, half);
}

float mb_bf16_decode(uint16_t code)
{
    return decode_bf16(code);
}

uint16_t mb_bf16_encode(float value)
{
    return encode_bf16(value);
}

float mb_e3m4_decode(uint8_t code, int bias)
{
    return decode(code, (layout_t){3, 4, bias});
}

uint8_t mb_e3m4_encode(float value, int bias)
{
    return (uint8_t)encode(value, (layout_t){3, 4, bias});
}

/* CODE_T codes -> floats, and back, by EXPRESSION in `code` or `value`. */
#define DECODE_ALL(code_t, expression)                                                             \
    do {                                                                                           \
        const code_t *from = codes;                                                                \
        _Pragma("omp simd") for (int64_t i = 0; i < count; i++)                                    \
        {                                                                                          \
            code_t code = from[i];                                                                 \
            values[i] = expression;                                                                \
        }                                                                                          \
    } while (0)
#define ENCODE_ALL(code_t, expression)                                                             \
    do {                                                                                           \
        code_t *to = codes;                                                                        \
        _Pragma("omp simd") for (int64_t i = 0; i < count; i++)                                    \
        {                                                                                          \
            float value = values[i];                                                               \
            to[i] = (code_t)expression;                                                            \
        }                                                                                          \
    } while (0)

static void decode_halves(bool negative, const uint8_t *codes, int64_t count, float *values)
{
    int flip = negative ? 8 : 0;
    for (int64_t i = 0; i < count / 2; i++) {
        values[2 * i] = (float)(((codes[i] & 15) ^ flip) - flip);
        values[2 * i + 1] = (float)(((codes[i] >> 4) ^ flip) - flip);
    }
    if (count % 2 != 0)
        values[count - 1] = (float)(((codes[count / 2] & 15) ^ flip) - flip);
}

void mb_number_decode(mb_number_t number, int bias, const void *codes, int64_t count, float *values)
{
    const layout_t e3m4 = {3, 4, bias};
    switch (number) {
    case MB_NUMBER_F16:
        DECODE_ALL(uint16_t, decode(code, half));
        return;
    case MB_NUMBER_BF16:
        DECODE_ALL(uint16_t, decode_bf16(code));
        return;
    case MB_NUMBER_E3M4:
        DECODE_ALL(uint8_t, decode(code, e3m4));
        return;
    case MB_NUMBER_I8:
        DECODE_ALL(int8_t, (float)code);
        return;
    case MB_NUMBER_U8:
        DECODE_ALL(uint8_t, (float)code);
        return;
    case MB_NUMBER_I4:
    case MB_NUMBER_U4:
        decode_halves(number == MB_NUMBER_I4, codes, count, values);
        return;
    case MB_NUMBER_F32:
    case MB_NUMBER_COUNT:
        break;
    }
    if (count > 0) /* of no numbers the place may be NULL */
        memcpy(values, codes, (size_t)count * sizeof *values);
}

void mb_number_encode(mb_number_t number, int bias, const float *values, int64_t count, void *codes)
{
    const layout_t e3m4 = {3, 4, bias};
    if (number == MB_NUMBER_F16)
        ENCODE_ALL(uint16_t, encode(value, half));
    else if (number == MB_NUMBER_BF16)
        ENCODE_ALL(uint16_t, encode_bf16(value));
    else if (number == MB_NUMBER_E3M4)
        ENCODE_ALL(uint8_t, encode(value, e3m4));
    else if (count > 0)
        memcpy(codes, values, (size_t)count * sizeof *values);
}

void mb_number_cut(int kept_bits, const float *values, int64_t count, float *rounded)
{
    int shift = F32_MANTISSA - kept_bits;
    uint32_t half_place = (1u << (shift - 1)) - 1, mask = ~((1u << shift) - 1);
#pragma omp simd
    for (int64_t i = 0; i < count; i++) {
        uint32_t bits = bits_of(values[i]);
        uint32_t cut = (bits + half_place + (bits >> shift & 1)) & mask;
        rounded[i] = (bits & 0x7FFFFFFFu) > F32_INFINITY ? values[i] : float_of(cut);
    }
}
