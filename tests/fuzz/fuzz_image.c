/* Bytes as a PNG or JPEG image; the last one says how many channels are wanted. The checksums of a
 * PNG's chunks are put right first: no mutation would get past them. */
#include "data/image.h"

#include "fuzz/fuzz.h"

#include <stdlib.h>
#include <zlib.h>

enum { MOST_PIXELS = 1 << 18, SIGNATURE_BYTES = 8 };

void mb_fuzz_image(const uint8_t *data, size_t size);

static size_t number(const uint8_t *at)
{
    return (size_t)at[0] << 24 | (size_t)at[1] << 16 | (size_t)at[2] << 8 | at[3];
}

/* A chunk: length, type, so many bytes, checksum of type and bytes. */
static void mend_checksums(uint8_t *image, size_t size)
{
    for (size_t at = SIGNATURE_BYTES; at + 12 <= size;) {
        size_t bytes = number(image + at);
        if (bytes > size - at - 12)
            return;
        unsigned long crc = crc32(0, image + at + 4, (unsigned)bytes + 4);
        for (size_t i = 0; i < 4; i++)
            image[at + 8 + bytes + i] = (uint8_t)(crc >> (24 - 8 * i));
        at += 12 + bytes;
    }
}

static void decode(const uint8_t *data, size_t size)
{
    static const int channels[] = {1, 3, 4};
    mb_image_t image = {.height = 0};
    int64_t measured[3] = {0};
    if (mb_image_measure("fuzz", data, size, measured) != MB_OK ||
        measured[0] * measured[1] > MOST_PIXELS)
        return;
    (void)mb_image_decode("fuzz", data, size, channels[data[size - 1] % 3], &image);
    mb_image_free(&image);
}

void mb_fuzz_image(const uint8_t *data, size_t size)
{
    uint8_t *copy = (uint8_t *)mb_fuzz_text(data, size);
    if (size > 0 && copy[0] == 0x89)
        mend_checksums(copy, size);
    if (size > 0)
        decode(copy, size);
    free(copy);
}
