/* What both sides must agree on about a tensor in a format with scales: the shapes of its datasets.
 * Scales stand as ONNX's QuantizeLinear wants them: none, one axis, or one of each block. */
#ifndef MB_STORE_ENCODED_LAYOUT_H
#define MB_STORE_ENCODED_LAYOUT_H

#include "base/types.h"
#include "quant/encode.h"

static const char *const mb_encoded_parts[MB_PART_COUNT] = {"q", "scale", "zero", "row_scale"};

static inline mb_number_t mb_encoded_part_number(const mb_encoding_t *e, mb_part_t part)
{
    if (part == MB_PART_VALUES)
        return e->layout.number;
    if (part == MB_PART_SCALES)
        return e->layout.scale_number;
    return part == MB_PART_ZEROS ? MB_NUMBER_U8 : MB_NUMBER_F32;
}

static inline bool mb_encoded_has_part(const mb_encoding_t *e, mb_part_t part)
{
    return part == MB_PART_VALUES || part == MB_PART_SCALES ||
           (part == MB_PART_ZEROS && e->layout.has_zeros) ||
           (part == MB_PART_ROW_SCALES && e->layout.has_row_scales);
}

/* The axis of the matrix that ONNX names: of the channels, or along which blocks lie. */
static inline int mb_encoded_axis(const mb_encoding_t *e)
{
    return e->format.grain == MB_GRAIN_BLOCK ? e->view.lookup : !e->view.lookup;
}

static inline mb_shape_t mb_encoded_part_shape(const mb_encoding_t *e, mb_part_t part)
{
    const mb_matrix_t *m = &e->layout;
    int64_t rows = mb_matrix_scale_rows(m), columns = mb_matrix_scale_columns(m);
    if (part == MB_PART_VALUES)
        return (mb_shape_t){.rank = 2, .dim = {m->rows, mb_matrix_row_bytes(m)}};
    if (part == MB_PART_ZEROS)
        return (mb_shape_t){.rank = 2, .dim = {rows, (columns + 1) / 2}};
    if (part == MB_PART_ROW_SCALES)
        return (mb_shape_t){.rank = 1, .dim = {m->rows}};
    if (e->format.grain == MB_GRAIN_TENSOR)
        return (mb_shape_t){.rank = 0};
    if (e->format.grain == MB_GRAIN_CHANNEL)
        return (mb_shape_t){.rank = 1, .dim = {rows * columns}};
    return (mb_shape_t){.rank = 2, .dim = {rows, columns}};
}

static inline int64_t mb_encoded_part_bytes(const mb_encoding_t *e, mb_part_t part)
{
    mb_shape_t shape = mb_encoded_part_shape(e, part);
    int bits = mb_number_bits(mb_encoded_part_number(e, part));
    return mb_shape_elements(&shape) * (bits < 8 ? 1 : bits / 8);
}

#endif
