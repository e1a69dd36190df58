/* See arrays.h. */
#include "api/arrays.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

mb_status_t mb_api_array_type(const char *function, mb_type_t type, mb_dtype_t *out)
{
    static const mb_dtype_t dtypes[] = {[MB_FLOAT32] = MB_F32,
                                        [MB_FLOAT64] = MB_F64,
                                        [MB_INT32] = MB_I32,
                                        [MB_INT64] = MB_I64,
                                        [MB_UINT8] = MB_U8};
    int index = (int)type;
    if (index < 0 || (size_t)index >= sizeof dtypes / sizeof dtypes[0])
        return mb_error_set(MB_ERR_ARGUMENT, "%s: %d is no mb_type_t", function, index);
    *out = dtypes[index];
    return MB_OK;
}

mb_status_t mb_api_array_shape(const char *function, const char *name, int rank,
                               const int64_t *shape, int64_t least, mb_shape_t *sample)
{
    if (rank < 1 || rank > MB_MAX_DIMS + 1)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "%s: array '%s' has %d dimensions; there are 1 (samples) to %d",
                            function, name, rank, MB_MAX_DIMS + 1);
    for (int i = 0; i < rank; i++) {
        int64_t wanted = i == 0 ? least : 1;
        if (shape[i] < wanted)
            return mb_error_set(MB_ERR_ARGUMENT,
                                "%s: array '%s': shape[%d] is %" PRId64 "; at least %" PRId64
                                " is needed",
                                function, name, i, shape[i], wanted);
    }
    sample->rank = rank - 1;
    memcpy(sample->dim, shape + 1, (size_t)sample->rank * sizeof *shape);
    return MB_OK;
}

int mb_api_arrays_find(const mb_api_arrays_t *arrays, const char *name)
{
    int i = 0;
    while (i < arrays->count && strcmp(arrays->arrays[i].name, name) != 0)
        i++;
    return i;
}

mb_status_t mb_api_arrays_set(mb_api_arrays_t *arrays, const char *function, const char *name,
                              mb_type_t type, int rank, const int64_t *shape, const void *data)
{
    mb_array_t array = {.data = data};
    MB_TRY(mb_api_need(name, function, "name"));
    MB_TRY(mb_api_need(shape, function, "shape"));
    MB_TRY(mb_api_need(data, function, "data"));
    MB_TRY(mb_api_array_type(function, type, &array.dtype));
    MB_TRY(mb_api_array_shape(function, name, rank, shape, 1, &array.shape));
    int at = mb_api_arrays_find(arrays, name);
    if (at == MB_API_MAX_ARRAYS)
        return mb_error_set(MB_ERR_ARGUMENT, "%s: more than %d arrays", function,
                            MB_API_MAX_ARRAYS);
    if (at == arrays->count) {
        array.name = strdup(name);
        if (array.name == NULL)
            return mb_error_memory("an array's name", strlen(name));
        arrays->count++;
    } else {
        array.name = arrays->arrays[at].name;
    }
    arrays->arrays[at] = array;
    arrays->samples[at] = shape[0];
    return MB_OK;
}

mb_status_t mb_api_arrays_check(const mb_api_arrays_t *arrays)
{
    for (int i = 1; i < arrays->count; i++) {
        if (arrays->samples[i] != arrays->samples[0])
            return mb_error_set(MB_ERR_SHAPE,
                                "array '%s' has %" PRId64 " samples and '%s' %" PRId64
                                "; all arrays have the same number",
                                arrays->arrays[0].name, arrays->samples[0], arrays->arrays[i].name,
                                arrays->samples[i]);
    }
    return MB_OK;
}

mb_status_t mb_api_arrays_open(const mb_api_arrays_t *arrays, mb_source_t **out)
{
    MB_TRY(mb_api_arrays_check(arrays));
    return mb_source_from_arrays(arrays->arrays, arrays->count, arrays->samples[0], out);
}

void mb_api_arrays_free(mb_api_arrays_t *arrays)
{
    for (int i = 0; i < arrays->count; i++)
        free((char *)(uintptr_t)arrays->arrays[i].name);
    arrays->count = 0;
}
