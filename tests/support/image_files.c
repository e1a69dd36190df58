#include "support/image_files.h"

#include "config.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#if defined(MB_HAVE_PNG) && defined(MB_HAVE_JPEG)

#include <jpeglib.h>
#include <png.h>

bool test_images_can(void)
{
    return true;
}

static int colour_type(const test_png_t *p)
{
    static const int types[] = {0, PNG_COLOR_TYPE_GRAY, PNG_COLOR_TYPE_GRAY_ALPHA,
                                PNG_COLOR_TYPE_RGB, PNG_COLOR_TYPE_RGB_ALPHA};
    return p->palette ? PNG_COLOR_TYPE_PALETTE : types[p->channels];
}

static void set_palette(png_structp png, png_infop info)
{
    png_color colours[256];
    for (int i = 0; i < 256; i++)
        colours[i] = (png_color){(png_byte)i, (png_byte)(255 - i), (png_byte)(7 * i)};
    png_set_PLTE(png, info, colours, 256);
}

void test_png_write(const char *path, const test_png_t *p)
{
    FILE *file = fopen(path, "wb");
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    size_t stride = ((size_t)p->width * (size_t)p->channels * (size_t)p->bits + 7) / 8;
    if (file == NULL || info == NULL)
        abort();
    png_init_io(png, file);
    png_set_IHDR(png, info, (png_uint_32)p->width, (png_uint_32)p->height, p->bits, colour_type(p),
                 p->interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    if (p->palette)
        set_palette(png, info);
    png_bytep *rows = malloc((size_t)p->height * sizeof(*rows));
    for (int y = 0; rows != NULL && y < p->height; y++)
        rows[y] = (png_bytep)(uintptr_t)(p->pixels + (size_t)y * stride);
    png_write_info(png, info);
    png_write_image(png, rows);
    png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
    free(rows);
    fclose(file);
}

void test_jpeg_write(const char *path, const test_jpeg_t *image)
{
    int width = image->width, channels = image->channels;
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    FILE *file = fopen(path, "wb");
    if (file == NULL)
        abort();
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    jpeg_stdio_dest(&jpeg, file);
    jpeg.image_height = (JDIMENSION)image->height;
    jpeg.image_width = (JDIMENSION)width;
    jpeg.input_components = channels;
    jpeg.in_color_space = channels == 1 ? JCS_GRAYSCALE : channels == 3 ? JCS_RGB : JCS_CMYK;
    jpeg_set_defaults(&jpeg);
    jpeg_set_quality(&jpeg, image->quality, TRUE);
    if (image->progressive)
        jpeg_simple_progression(&jpeg);
    jpeg_start_compress(&jpeg, TRUE);
    for (int y = 0; y < image->height; y++) {
        JSAMPROW row = (JSAMPROW)(uintptr_t)(image->pixels + (size_t)(y * width * channels));
        jpeg_write_scanlines(&jpeg, &row, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    fclose(file);
}

#else

bool test_images_can(void)
{
    return false;
}

void test_png_write(const char *path, const test_png_t *png)
{
    (void)path, (void)png;
}

void test_jpeg_write(const char *path, const test_jpeg_t *image)
{
    (void)path, (void)image;
}

#endif
