/* HDF5's filters shuffle (all first bytes, then all second bytes, ...) and deflate (a zlib stream),
 * byte for byte. */
#include "quant/deflate.h"

#include <stdlib.h>
#include <zlib.h>

static uint8_t *shuffled(const float *values, size_t count)
{
    const uint8_t *from = (const uint8_t *)values;
    uint8_t *to = malloc(count * sizeof *values + 1);
    for (size_t byte = 0; to != NULL && byte < sizeof *values; byte++)
        for (size_t i = 0; i < count; i++)
            to[byte * count + i] = from[i * sizeof *values + byte];
    return to;
}

static void unshuffle(const uint8_t *from, size_t count, float *values)
{
    uint8_t *to = (uint8_t *)values;
    for (size_t byte = 0; byte < sizeof *values; byte++)
        for (size_t i = 0; i < count; i++)
            to[i * sizeof *values + byte] = from[byte * count + i];
}

mb_status_t mb_deflate(const float *values, int64_t count, const char *where, void **packed,
                       int64_t *bytes)
{
    if (count > MB_DEFLATE_MAX_COUNT)
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "%s: %lld weights are too many for one deflated chunk of 4 GiB; a rule "
                            "can give this tensor another format, such as fp16",
                            where, (long long)count);
    size_t size = (size_t)count * sizeof *values;
    uLongf room = compressBound((uLong)size);
    uint8_t *plain = shuffled(values, (size_t)count);
    uint8_t *to = malloc(room);
    mb_status_t status = MB_OK;
    if (plain == NULL || to == NULL) {
        status = mb_error_memory("deflating a tensor", size + room);
    } else if (compress2(to, &room, plain, (uLong)size, MB_DEFLATE_LEVEL) != Z_OK) {
        status = mb_error_set(MB_ERR_INTERNAL, "%s: zlib could not deflate", where);
    } else {
        *packed = to;
        *bytes = (int64_t)room;
        to = NULL;
    }
    free(plain);
    free(to);
    return status;
}

mb_status_t mb_inflate(const void *packed, int64_t bytes, int64_t count, float *values)
{
    uLongf size = (uLongf)count * sizeof *values;
    uint8_t *plain = malloc(size + 1);
    if (plain == NULL)
        return mb_error_memory("inflating a tensor", size);
    uLongf got = size;
    mb_status_t status = MB_OK;
    if (uncompress(plain, &got, packed, (uLong)bytes) != Z_OK || got != size)
        status = mb_error_set(MB_ERR_FORMAT,
                              "the deflated bytes are damaged: they do not hold %lld float32",
                              (long long)count);
    else
        unshuffle(plain, (size_t)count, values);
    free(plain);
    return status;
}
