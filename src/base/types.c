/* Names and sizes of element types; products and text of shapes. */
#include "base/types.h"

#include <inttypes.h>
#include <stdio.h>

static const struct {
    const char *name;
    size_t bytes;
} dtypes[MB_DTYPE_COUNT] = {
    [MB_F32] = {"float32", 4}, [MB_F64] = {"float64", 8}, [MB_I8] = {"int8", 1},
    [MB_U8] = {"uint8", 1},    [MB_I16] = {"int16", 2},   [MB_U16] = {"uint16", 2},
    [MB_I32] = {"int32", 4},   [MB_U32] = {"uint32", 4},  [MB_I64] = {"int64", 8},
    [MB_U64] = {"uint64", 8},  [MB_F16] = {"float16", 2}, [MB_BF16] = {"bfloat16", 2},
};

size_t mb_dtype_bytes(mb_dtype_t dtype)
{
    return dtypes[dtype].bytes;
}

const char *mb_dtype_name(mb_dtype_t dtype)
{
    return dtypes[dtype].name;
}

int64_t mb_shape_elements(const mb_shape_t *shape)
{
    int64_t elements = 1;
    for (int i = 0; i < shape->rank; i++)
        elements *= shape->dim[i];
    return elements;
}

bool mb_shape_equal(const mb_shape_t *a, const mb_shape_t *b)
{
    if (a->rank != b->rank)
        return false;
    for (int i = 0; i < a->rank; i++) {
        if (a->dim[i] != b->dim[i])
            return false;
    }
    return true;
}

bool mb_shape_is_open(const mb_shape_t *shape)
{
    for (int i = 0; i < shape->rank; i++) {
        if (shape->dim[i] == MB_OPEN)
            return true;
    }
    return false;
}

/* One dimension prints as "(10,)", as numpy and Keras do. */
char *mb_shape_text(const mb_shape_t *shape, char *buffer, size_t capacity)
{
    if (capacity == 0)
        return buffer;
    size_t used = 0;
    buffer[0] = '\0';
    for (int i = 0; i < shape->rank && used < capacity; i++) {
        const char *before = i == 0 ? "(" : ", ";
        int n = shape->dim[i] == MB_OPEN
                    ? snprintf(buffer + used, capacity - used, "%s?", before)
                    : snprintf(buffer + used, capacity - used, "%s%" PRId64, before, shape->dim[i]);
        used += (size_t)n;
    }
    const char *close = shape->rank == 0 ? "()" : shape->rank == 1 ? ",)" : ")";
    if (used < capacity)
        snprintf(buffer + used, capacity - used, "%s", close);
    return buffer;
}
