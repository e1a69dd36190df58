/* Single scales and codes of a matrix that is being made. */
#include "quant/methods.h"

#include "quant/scale.h"

float mb_draft_set_scale(const mb_draft_t *draft, int64_t row, int64_t column, float scale,
                         int zero)
{
    const mb_matrix_t *m = draft->m;
    int64_t at = row * mb_matrix_scale_columns(m) + column;
    float stored = mb_scale_stored(m->scale_number, scale);
    if (m->scale_number == MB_NUMBER_BF16)
        ((uint16_t *)draft->scales)[at] = mb_bf16_encode(stored);
    else
        ((float *)draft->scales)[at] = stored;
    if (m->has_zeros)
        draft->zeros[at] = (uint8_t)zero;
    return stored;
}

static void set_code(const mb_draft_t *draft, int64_t row, int64_t column, int code)
{
    const mb_matrix_t *m = draft->m;
    uint8_t *codes = draft->values + row * mb_matrix_row_bytes(m);
    if (mb_number_bits(m->number) == 8) {
        codes[column] = (uint8_t)code;
        return;
    }
    int shift = column % 2 == 0 ? 0 : 4;
    uint8_t other = (uint8_t)(codes[column / 2] & ~(15 << shift));
    codes[column / 2] = (uint8_t)(other | (code & 15) << shift);
}

float mb_draft_put(const mb_draft_t *draft, int64_t row, int64_t column, float value)
{
    const mb_matrix_t *m = draft->m;
    int64_t at = row / m->block_rows * mb_matrix_scale_columns(m) + column / m->block_columns;
    float scale = m->scale_number == MB_NUMBER_BF16
                      ? mb_bf16_decode(((const uint16_t *)draft->scales)[at])
                      : ((const float *)draft->scales)[at];
    int zero = m->has_zeros ? draft->zeros[at] : 0;
    if (m->has_row_scales)
        scale *= draft->row_scales[row];
    float code = scale > 0 ? mb_code_round(value / scale, mb_code_range(m->number, zero)) : 0;
    set_code(draft, row, column, (int)code + zero);
    return scale * code;
}
