/* PNG and JPEG images as rows of bytes. */
#ifndef MB_DATA_IMAGE_H
#define MB_DATA_IMAGE_H

#include "base/error.h"
#include "base/types.h"

/* Memory that is used again from image to image. */
typedef struct {
    unsigned char *bytes;
    size_t capacity;
} mb_image_buffer_t;

mb_status_t mb_image_reserve(mb_image_buffer_t *buffer, size_t bytes, const char *path);

typedef struct {
    int64_t height, width;
    mb_image_buffer_t pixels; /* height rows of width pixels of CHANNELS bytes */
} mb_image_t;

void mb_image_free(mb_image_t *image);

/* Decodes BYTES bytes of the file PATH into 1 (grey), 3 (red, green, blue) or 4 (and opacity)
 * channels, 8 bits each, by what the bytes are. Grey of colours is 0.299 R + 0.587 G + 0.114 B;
 * opacity is left away, not blended in, as TensorFlow does; palettes, 1 to 16 bits and CMYK are
 * converted. What is damaged or cut off is MB_ERR_FORMAT, naming the file. */
mb_status_t mb_image_decode(const char *path, const unsigned char *from, size_t bytes, int channels,
                            mb_image_t *out);
/* Height, width, and the channels that the file has: 1, 3 or 4. */
mb_status_t mb_image_measure(const char *path, const unsigned char *from, size_t bytes,
                             int64_t size[3]);

/* Which formats this build reads: "PNG and JPEG", "PNG", "JPEG", or NULL for none. */
const char *mb_image_formats(void);

/* More pixels than this are damage, not an image. */
#define MB_IMAGE_MOST_PIXELS (INT64_C(1) << 28)

/* The formats; the same arguments. */
typedef struct {
    const char *path;
    const unsigned char *from;
    size_t bytes;
    int channels;   /* 0: only measured */
    mb_image_t *to; /* NULL: only measured */
    int64_t size[3];
} mb_image_job_t;
mb_status_t mb_image_png(mb_image_job_t *job);
mb_status_t mb_image_jpeg(mb_image_job_t *job);
/* Checks the size that a header gives and reserves the pixels, unless only measuring. */
mb_status_t mb_image_begin(mb_image_job_t *job, int64_t height, int64_t width);
mb_status_t mb_image_damaged(const mb_image_job_t *job, const char *format, const char *what);

#endif
