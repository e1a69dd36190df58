/* Element types and shapes. */
#ifndef MB_BASE_TYPES_H
#define MB_BASE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum {
    MB_F32 = 0,
    MB_F64,
    MB_I8,
    MB_U8,
    MB_I16,
    MB_U16,
    MB_I32,
    MB_U32,
    MB_I64,
    MB_U64,
    MB_F16,
    MB_BF16,
    MB_DTYPE_COUNT
} mb_dtype_t;

size_t mb_dtype_bytes(mb_dtype_t dtype);
/* A type that layers compute in. */
static inline bool mb_dtype_is_float(mb_dtype_t dtype)
{
    return dtype == MB_F32 || dtype == MB_BF16 || dtype == MB_F16;
}
const char *mb_dtype_name(mb_dtype_t dtype); /* "float32", "int32", ... as numpy names them */

#define MB_MAX_RANK 8

/* dim[i] == MB_OPEN: the model leaves the size to the data. */
#define MB_OPEN ((int64_t)-1)

typedef struct {
    int rank;
    int64_t dim[MB_MAX_RANK];
} mb_shape_t;

/* Product of the dimensions; 1 for rank 0. No dimension may be open. */
int64_t mb_shape_elements(const mb_shape_t *shape);
bool mb_shape_equal(const mb_shape_t *a, const mb_shape_t *b);
bool mb_shape_is_open(const mb_shape_t *shape);
/* "(28, 28, 1)"; an open dimension prints as "?". Returns BUFFER. */
char *mb_shape_text(const mb_shape_t *shape, char *buffer, size_t capacity);
#define MB_SHAPE_TEXT 128

#endif
