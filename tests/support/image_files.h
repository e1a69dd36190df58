/* PNG and JPEG images made by the tests themselves. */
#ifndef MB_TESTS_IMAGE_FILES_H
#define MB_TESTS_IMAGE_FILES_H

#include <stdbool.h>

/* This build has the libraries. */
bool test_images_can(void);

typedef struct {
    int height, width;
    int channels; /* 1, 2 (grey and opacity), 3, 4 */
    int bits;     /* 8 or 16; 1, 2, 4 for grey */
    bool palette; /* the pixels are places in it: entry i is (i, 255 - i, 7 i) */
    bool interlaced;
    const unsigned char *pixels; /* packed rows, 16 bits big-endian */
} test_png_t;

void test_png_write(const char *path, const test_png_t *png);

typedef struct {
    int height, width;
    int channels; /* 1, 3 or 4 (inks) */
    int quality;  /* 1 to 100 */
    bool progressive;
    const unsigned char *pixels;
} test_jpeg_t;

void test_jpeg_write(const char *path, const test_jpeg_t *image);

#endif
