/* Conversion goes block by block through double, which holds every stored value that float32 or
 * int32 can hold. Blocks have a constant size so that the compiler turns each loop into vector
 * code; what lies past the end of the data is zero. */
#include "data/element.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define BLOCK 256

typedef union {
    unsigned char bytes[BLOCK * 8];
    float f32[BLOCK];
    double f64[BLOCK];
    int8_t i8[BLOCK];
    uint8_t u8[BLOCK];
    int16_t i16[BLOCK];
    uint16_t u16[BLOCK];
    int32_t i32[BLOCK];
    uint32_t u32[BLOCK];
    int64_t i64[BLOCK];
    uint64_t u64[BLOCK];
} block_t;

static double half_value(uint16_t bits)
{
    int exponent = bits >> 10 & 31;
    double fraction = bits & 1023;
    double magnitude = exponent == 0 ? fraction * 0x1p-24 : ldexp(fraction + 1024.0, exponent - 25);
    if (exponent == 31)
        magnitude = fraction > 0 ? (double)NAN : (double)INFINITY;
    return bits & 0x8000 ? -magnitude : magnitude;
}

static double brain_value(uint16_t bits)
{
    uint32_t wide = (uint32_t)bits << 16;
    float value;
    memcpy(&value, &wide, sizeof(value));
    return (double)value;
}

static void swap_bytes(block_t *block, size_t size)
{
    for (size_t i = 0; i < BLOCK; i++) {
        unsigned char *at = block->bytes + i * size;
        for (size_t j = 0; j < size / 2; j++) {
            unsigned char byte = at[j];
            at[j] = at[size - 1 - j];
            at[size - 1 - j] = byte;
        }
    }
}

#define WIDEN(expression)                                                                          \
    for (int i = 0; i < BLOCK; i++)                                                                \
        values[i] = (expression);                                                                  \
    break

static void widen(const block_t *block, mb_dtype_t stored, double *values)
{
    switch (stored) {
    case MB_F32:
        WIDEN((double)block->f32[i]);
    case MB_F64:
        WIDEN(block->f64[i]);
    case MB_I8:
        WIDEN((double)block->i8[i]);
    case MB_U8:
        WIDEN((double)block->u8[i]);
    case MB_I16:
        WIDEN((double)block->i16[i]);
    case MB_U16:
        WIDEN((double)block->u16[i]);
    case MB_I32:
        WIDEN((double)block->i32[i]);
    case MB_U32:
        WIDEN((double)block->u32[i]);
    case MB_I64:
        WIDEN((double)block->i64[i]);
    case MB_U64:
        WIDEN((double)block->u64[i]);
    case MB_F16:
        WIDEN(half_value(block->u16[i]));
    case MB_BF16:
        WIDEN(brain_value(block->u16[i]));
    case MB_DTYPE_COUNT:
        WIDEN(0.0);
    }
}

/* The index of the first value that is NaN or infinite, -1 if none. */
static int64_t first_not_finite(const float *values, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        if (!isfinite(values[i]))
            return i;
    }
    return -1;
}

/* Adding up exponents that are all ones costs one pass of vector code. */
static bool all_finite(const float *values)
{
    uint32_t faults = 0;
    for (int i = 0; i < BLOCK; i++) {
        uint32_t bits;
        memcpy(&bits, values + i, sizeof(bits));
        faults += (bits & UINT32_C(0x7F800000)) == UINT32_C(0x7F800000);
    }
    return faults == 0;
}

static int64_t to_floats(const double *values, int64_t count, float *to)
{
    float narrow[BLOCK];
    for (int i = 0; i < BLOCK; i++)
        narrow[i] = (float)values[i];
    memcpy(to, narrow, (size_t)count * sizeof(float));
    return all_finite(narrow) ? -1 : first_not_finite(narrow, count);
}

static int64_t to_ints(const double *values, int64_t count, int32_t *to, mb_element_fault_t *fault)
{
    for (int64_t i = 0; i < count; i++) {
        if (!isfinite(values[i]))
            *fault = MB_ELEMENT_NOT_FINITE;
        else if (values[i] < (double)INT32_MIN || values[i] > (double)INT32_MAX)
            *fault = MB_ELEMENT_RANGE;
        else if (fabs(values[i] - trunc(values[i])) > 0.0)
            *fault = MB_ELEMENT_FRACTION;
        else
            to[i] = (int32_t)values[i];
        if (*fault != MB_ELEMENT_FINE)
            return i;
    }
    return -1;
}

static int64_t convert_block(const mb_element_t *element, const unsigned char *from, int64_t count,
                             bool as_int, void *to, mb_element_fault_t *fault)
{
    size_t size = mb_dtype_bytes(element->stored);
    block_t block;
    double values[BLOCK];
    memcpy(block.bytes, from, (size_t)count * size);
    memset(block.bytes + (size_t)count * size, 0, (size_t)(BLOCK - count) * size);
    if (element->swap)
        swap_bytes(&block, size);
    widen(&block, element->stored, values);
    if (element->scaled) {
        for (int i = 0; i < BLOCK; i++)
            values[i] = values[i] * element->scale + element->offset;
    }
    if (as_int)
        return to_ints(values, count, to, fault);
    int64_t bad = to_floats(values, count, to);
    if (bad >= 0)
        *fault = MB_ELEMENT_NOT_FINITE;
    return bad;
}

/* float32 as it is: a copy and a check. */
static int64_t copy_floats(const void *from, int64_t count, float *to, mb_element_fault_t *fault)
{
    if (from != to)
        memcpy(to, from, (size_t)count * sizeof(float));
    int64_t whole = count / BLOCK * BLOCK;
    int64_t at = 0;
    while (at < whole && all_finite(to + at))
        at += BLOCK;
    int64_t bad = first_not_finite(to + at, count - at);
    if (bad < 0)
        return -1;
    *fault = MB_ELEMENT_NOT_FINITE;
    return at + bad;
}

void mb_element_tabulate(mb_element_t *element)
{
    uint8_t bytes[256];
    mb_element_fault_t fault;
    if (element->stored != MB_U8)
        return;
    for (int i = 0; i < 256; i++)
        bytes[i] = (uint8_t)i;
    element->has_table =
        mb_element_convert(element, bytes, 256, false, element->of_byte, &fault) < 0;
}

static void look_up(const float *of_byte, const uint8_t *from, int64_t count, float *to)
{
    for (int64_t i = 0; i < count; i++)
        to[i] = of_byte[from[i]];
}

int64_t mb_element_convert(const mb_element_t *element, const void *from, int64_t count,
                           bool as_int, void *to, mb_element_fault_t *fault)
{
    *fault = MB_ELEMENT_FINE;
    if (element->stored == MB_F32 && !element->swap && !element->scaled && !as_int)
        return copy_floats(from, count, to, fault);
    if (element->has_table && !as_int) {
        look_up(element->of_byte, from, count, to);
        return -1;
    }
    size_t size = mb_dtype_bytes(element->stored);
    for (int64_t at = 0; at < count; at += BLOCK) {
        int64_t n = count - at < BLOCK ? count - at : BLOCK;
        int64_t bad = convert_block(element, (const unsigned char *)from + (size_t)at * size, n,
                                    as_int, (char *)to + at * 4, fault);
        if (bad >= 0)
            return at + bad;
    }
    return -1;
}

bool mb_little_endian(void)
{
    const uint16_t one = 1;
    unsigned char first;
    memcpy(&first, &one, 1);
    return first == 1;
}

const char *mb_element_fault_text(mb_element_fault_t fault)
{
    switch (fault) {
    case MB_ELEMENT_FINE:
        break;
    case MB_ELEMENT_NOT_FINITE:
        return "NaN, infinity or a number too large for float32";
    case MB_ELEMENT_FRACTION:
        return "a fraction where an integer is wanted";
    case MB_ELEMENT_RANGE:
        return "an integer beyond the range of int32";
    }
    return "no fault";
}
