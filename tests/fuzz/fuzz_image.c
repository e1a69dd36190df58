/* Bytes as a PNG or JPEG image; the last one says how many channels are wanted. */
#include "data/image.h"

#include "fuzz/fuzz.h"

enum { MOST_PIXELS = 1 << 20 };

void mb_fuzz_image(const uint8_t *data, size_t size);

void mb_fuzz_image(const uint8_t *data, size_t size)
{
    static const int channels[] = {1, 3, 4};
    mb_image_t image = {.height = 0};
    int64_t measured[3] = {0};
    if (size == 0 || mb_image_measure("fuzz", data, size, measured) != MB_OK ||
        measured[0] * measured[1] > MOST_PIXELS)
        return;
    (void)mb_image_decode("fuzz", data, size, channels[data[size - 1] % 3], &image);
    mb_image_free(&image);
}
