/* See number.h. */
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

/* A binary format with EXPONENT and MANTISSA bits, sign in front. */
typedef struct {
    int exponent, mantissa, bias;
} layout_t;

static float decode(unsigned code, layout_t f)
{
    unsigned top = (1u << f.exponent) - 1;
    unsigned exponent = code >> f.mantissa & top, mantissa = code & ((1u << f.mantissa) - 1);
    float sign = code >> (f.exponent + f.mantissa) & 1 ? -1.0f : 1.0f;
    if (exponent == top)
        return mantissa != 0 ? NAN : sign * INFINITY;
    if (exponent == 0)
        return sign * ldexpf((float)mantissa, 1 - f.bias - f.mantissa);
    return sign *
           ldexpf((float)(mantissa + (1u << f.mantissa)), (int)exponent - f.bias - f.mantissa);
}

/* The number is scaled so that the format's last place becomes 1, and rounded there. */
static unsigned encode(float value, layout_t f)
{
    unsigned top = (1u << f.exponent) - 1;
    unsigned sign = signbit(value) ? 1u << (f.exponent + f.mantissa) : 0;
    if (isnan(value))
        return sign | top << f.mantissa | 1u << (f.mantissa - 1);
    if (isinf(value))
        return sign | top << f.mantissa;
    int exponent = 0;
    (void)frexpf(value, &exponent);
    exponent -= 1; /* |value| = 1.x * 2^exponent */
    if (exponent < 1 - f.bias)
        exponent = 1 - f.bias;
    unsigned places = (unsigned)lrint(ldexp(fabs((double)value), f.mantissa - exponent));
    /* A carry out of the mantissa, and the step from subnormal to normal, add into the exponent. */
    unsigned code = ((unsigned)(exponent + f.bias - 1) << f.mantissa) + places;
    return sign | (code >= top << f.mantissa ? top << f.mantissa : code);
}

static const layout_t half = {5, 10, 15};

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
    uint32_t bits = (uint32_t)code << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

uint16_t mb_bf16_encode(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if (isnan(value))
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

float mb_e3m4_decode(uint8_t code, int bias)
{
    return decode(code, (layout_t){3, 4, bias});
}

uint8_t mb_e3m4_encode(float value, int bias)
{
    return (uint8_t)encode(value, (layout_t){3, 4, bias});
}
