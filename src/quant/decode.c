/* Whole matrices back to float32, rounded at every step as mb_matrix_value rounds. Works on panels
 * of columns, whose scales are spread out once for all rows that share them. */
#include "quant/encode.h"

#define PANEL 256 /* columns; even, so that 4-bit numbers start on a byte */

typedef struct {
    int64_t first; /* column */
    int count;
    int64_t scale_row; /* the one that is spread out; -1: none */
    float scales[PANEL], zeros[PANEL];
} panel_t;

static void spread(const mb_matrix_t *m, int64_t scale_row, panel_t *panel)
{
    int64_t base = scale_row * mb_matrix_scale_columns(m);
    if (panel->scale_row == scale_row)
        return;
    panel->scale_row = scale_row;
    for (int i = 0; i < panel->count; i++) {
        int64_t at = base + (panel->first + i) / m->block_columns;
        panel->scales[i] = m->scale_number == MB_NUMBER_BF16
                               ? mb_bf16_decode(((const uint16_t *)m->scales)[at])
                               : ((const float *)m->scales)[at];
        panel->zeros[i] = m->has_zeros ? (float)m->zeros[at] : 0;
    }
}

/* Codes become values in place. */
static void scale_row(const mb_matrix_t *m, int64_t row, const panel_t *panel, float *values)
{
    float row_scale = m->has_row_scales ? m->row_scales[row] : 1;
    if (m->has_zeros)
        for (int i = 0; i < panel->count; i++)
            values[i] -= panel->zeros[i];
#pragma omp simd
    for (int i = 0; i < panel->count; i++)
        values[i] *= panel->scales[i] * row_scale;
    if (m->squared)
        for (int i = 0; i < panel->count; i++)
            values[i] *= values[i];
}

void mb_matrix_decode_rows(const mb_matrix_t *m, int64_t first, int64_t count, float *values)
{
    int64_t row_bytes = mb_matrix_row_bytes(m);
    panel_t panel;
    for (panel.first = 0; panel.first < m->columns; panel.first += PANEL) {
        int64_t rest = m->columns - panel.first;
        panel.count = rest < PANEL ? (int)rest : PANEL;
        panel.scale_row = -1;
        int64_t offset = mb_number_bytes(m->number, panel.first);
        for (int64_t r = first; r < first + count; r++) {
            const uint8_t *codes = (const uint8_t *)m->values + r * row_bytes + offset;
            float *to = values + (r - first) * m->columns + panel.first;
            mb_number_decode(m->number, m->bias, codes, panel.count, to);
            if (m->block_rows == 0)
                continue;
            spread(m, r / m->block_rows, &panel);
            scale_row(m, r, &panel, to);
        }
    }
}

void mb_matrix_decode(const mb_matrix_t *m, float *values)
{
    mb_matrix_decode_rows(m, 0, m->rows, values);
}

void mb_matrix_sum_columns(const int8_t *codes, int64_t count, int64_t columns, int32_t *sums)
{
    for (int64_t r = 0; r < count; r++) {
        const int8_t *row = codes + r * columns;
#pragma omp simd
        for (int64_t c = 0; c < columns; c++)
            sums[c] += row[c];
    }
}

void mb_matrix_unpack_zeros(const mb_matrix_t *layout, const uint8_t *packed, uint8_t *zeros)
{
    int64_t rows = mb_matrix_scale_rows(layout), columns = mb_matrix_scale_columns(layout);
    int64_t row_bytes = (columns + 1) / 2;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < columns; c++) {
            uint8_t byte = packed[r * row_bytes + c / 2];
            zeros[r * columns + c] = c % 2 == 0 ? byte & 15 : byte >> 4;
        }
}
