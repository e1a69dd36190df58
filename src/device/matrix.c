/* See matrix.h. */
#include "device/matrix.h"

static unsigned nibble(const mb_matrix_t *m, int64_t r, int64_t c)
{
    unsigned byte = ((const uint8_t *)m->values)[r * mb_matrix_row_bytes(m) + c / 2];
    return c % 2 == 0 ? byte & 15 : byte >> 4;
}

float mb_matrix_code(const mb_matrix_t *m, int64_t r, int64_t c)
{
    int64_t at = r * m->columns + c;
    switch (m->number) {
    case MB_NUMBER_F16:
        return mb_f16_decode(((const uint16_t *)m->values)[at]);
    case MB_NUMBER_BF16:
        return mb_bf16_decode(((const uint16_t *)m->values)[at]);
    case MB_NUMBER_E3M4:
        return mb_e3m4_decode(((const uint8_t *)m->values)[at], m->bias);
    case MB_NUMBER_I8:
        return (float)((const int8_t *)m->values)[at];
    case MB_NUMBER_U8:
        return (float)((const uint8_t *)m->values)[at];
    case MB_NUMBER_I4:
        return (float)((int)(nibble(m, r, c) ^ 8) - 8);
    case MB_NUMBER_U4:
        return (float)nibble(m, r, c);
    case MB_NUMBER_F32:
    case MB_NUMBER_COUNT:
        break;
    }
    return ((const float *)m->values)[at];
}

float mb_matrix_value(const mb_matrix_t *m, int64_t r, int64_t c)
{
    float code = mb_matrix_code(m, r, c), scale = 1.0f;
    if (m->block_rows > 0) {
        int64_t s = r / m->block_rows * mb_matrix_scale_columns(m) + c / m->block_columns;
        scale = m->scale_number == MB_NUMBER_BF16 ? mb_bf16_decode(((const uint16_t *)m->scales)[s])
                                                  : ((const float *)m->scales)[s];
        if (m->has_zeros)
            code -= (float)m->zeros[s];
    }
    if (m->has_row_scales)
        scale *= m->row_scales[r];
    return m->squared ? scale * code * (scale * code) : scale * code;
}
