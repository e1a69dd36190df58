/* What a tensor is stored as: the number format and what its scales cover. */
#ifndef MB_QUANT_FORMAT_H
#define MB_QUANT_FORMAT_H

#include "base/error.h"
#include "device/matrix.h"

typedef enum { MB_GRAIN_NONE = 0, MB_GRAIN_TENSOR, MB_GRAIN_CHANNEL, MB_GRAIN_BLOCK } mb_grain_t;

typedef struct {
    mb_number_t number; /* F32, F16, BF16, E3M4, I8, I4, U4 (int4 with an offset), U8 (moments) */
    mb_grain_t grain;   /* of scales; NONE for floats */
    int block;          /* BLOCK: 32, 64, 128 or 256 along the axis that a product sums over */
    int kept_bits; /* F32: mantissa bits kept, 1 to 22, then shuffled and deflated; 0: all, plain */
    bool squared;  /* U8: codes of the square root (second moments) */
} mb_format_t;

/* "fp32", "fp16", "bf16", "e3m4", "int8" (= "int8:channel"), "int8:tensor", "int8:block=64", "int4"
 * (= "int4:block=32"), "int4:offset", "int4:block=64,offset", "rounded" (= "rounded:bits=9");
 * "uint8:block=128,squared" is for moments. MB_ERR_ARGUMENT says what there is. */
mb_status_t mb_format_parse(const char *text, mb_format_t *out);
/* The same text back, as short as it can be: "int4:block=64,offset". Returns BUFFER. */
#define MB_FORMAT_TEXT 48
char *mb_format_text(const mb_format_t *format, char *buffer, size_t capacity);
bool mb_format_equal(const mb_format_t *a, const mb_format_t *b);

/* Whether /model_weights may hold it, as numbers that any HDF5 reader decodes. */
bool mb_format_is_float(const mb_format_t *format);

/* A tensor as a matrix: what a product sums over in rows, what it gives in columns. A table is
 * looked up by row, and its blocks and channels lie along rows. */
typedef struct {
    int64_t rows, columns;
    bool lookup;
} mb_view_t;

/* The matrix that FORMAT makes of VIEW, without pointers: blocks, scale type, flags. A block that
 * is longer than the axis is the axis. bias is left 0. */
mb_matrix_t mb_format_matrix(const mb_format_t *format, const mb_view_t *view);
/* Bytes in the file: values and scales (zeros of U4 packed two to a byte). Of a deflated format: as
 * if it were not. */
int64_t mb_format_bytes(const mb_format_t *format, const mb_view_t *view);

#endif
