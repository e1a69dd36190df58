/* Each output row lies between two input rows, each output column between two input columns; what
 * concerns columns is computed once an image. */
#include "data/resize.h"

#include <math.h>

typedef struct {
    int64_t low, high;
    float share; /* of high */
} between_t;

static between_t find(int64_t out, float scale, int64_t in_size)
{
    float at = ((float)out + 0.5f) * scale - 0.5f, floor_at = floorf(at);
    int64_t low = (int64_t)floor_at, high = (int64_t)ceilf(at);
    return (between_t){low > 0 ? low : 0, high < in_size - 1 ? high : in_size - 1, at - floor_at};
}

static float interpolate(const unsigned char *top, const unsigned char *bottom, int64_t left,
                         int64_t right, float share_x, float share_y)
{
    float top_left = (float)top[left], bottom_left = (float)bottom[left];
    float upper = top_left + ((float)top[right] - top_left) * share_x;
    float lower = bottom_left + ((float)bottom[right] - bottom_left) * share_x;
    return upper + (lower - upper) * share_y;
}

static void resize_row(const mb_image_t *from, const mb_image_size_t *size,
                       const between_t *columns, int64_t y, float scale, float *to)
{
    int64_t channels = size->channels, stride = from->width * channels;
    between_t rows = find(y, scale, from->height);
    const unsigned char *top = from->pixels.bytes + rows.low * stride;
    const unsigned char *bottom = from->pixels.bytes + rows.high * stride;
    int64_t pixel = size->channels_first ? 1 : channels;
    int64_t plane = size->channels_first ? size->height * size->width : 1;
    float *row = to + y * size->width * pixel;
    for (int64_t x = 0; x < size->width; x++) {
        const between_t *c = &columns[x];
        for (int64_t k = 0; k < channels; k++)
            row[x * pixel + k * plane] = interpolate(top, bottom, c->low * channels + k,
                                                     c->high * channels + k, c->share, rows.share);
    }
}

static void copy(const mb_image_t *from, const mb_image_size_t *size, float *to)
{
    int64_t pixels = size->height * size->width, channels = size->channels;
    for (int64_t i = 0; i < pixels * channels; i++) {
        int64_t at = size->channels_first ? i % channels * pixels + i / channels : i;
        to[at] = (float)from->pixels.bytes[i];
    }
}

mb_status_t mb_image_resize(const mb_image_t *from, const mb_image_size_t *size,
                            mb_image_buffer_t *columns, const char *path, float *to)
{
    if (from->height == size->height && from->width == size->width) {
        copy(from, size, to);
        return MB_OK;
    }
    float scale_x = (float)from->width / (float)size->width;
    float scale_y = (float)from->height / (float)size->height;
    MB_TRY(mb_image_reserve(columns, (size_t)size->width * sizeof(between_t), path));
    between_t *between = (between_t *)(void *)columns->bytes;
    for (int64_t x = 0; x < size->width; x++)
        between[x] = find(x, scale_x, from->width);
    for (int64_t y = 0; y < size->height; y++)
        resize_row(from, size, between, y, scale_y, to);
    return MB_OK;
}
