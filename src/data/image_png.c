/* PNG through libpng's low-level calls: its simple ones correct gamma, which no training pipeline
 * does. Errors of libpng come back by longjmp into one function that keeps nothing of its own. */
#include "data/image.h"

#include "config.h"

#ifdef MB_HAVE_PNG

#include <png.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS = 128 };

typedef struct {
    mb_image_job_t *job;
    png_structp png;
    png_infop info;
    size_t at;
    png_bytep *rows;
    unsigned char *colours; /* of an image that becomes grey */
    char what[WORDS];
    mb_status_t status;
} reader_t;

static void keep_error(png_structp png, png_const_charp text)
{
    reader_t *r = png_get_error_ptr(png);
    strncpy(r->what, text, WORDS - 1);
    png_longjmp(png, 1);
}

static void ignore_warning(png_structp png, png_const_charp text)
{
    (void)png, (void)text;
}

static void give_bytes(png_structp png, png_bytep to, size_t bytes)
{
    reader_t *r = png_get_io_ptr(png);
    if (bytes > r->job->bytes - r->at)
        png_error(png, "the file ends too early");
    memcpy(to, r->job->from + r->at, bytes);
    r->at += bytes;
}

static bool has_opacity(const reader_t *r)
{
    return (png_get_color_type(r->png, r->info) & PNG_COLOR_MASK_ALPHA) != 0 ||
           png_get_valid(r->png, r->info, PNG_INFO_tRNS) != 0;
}

static bool has_colour(const reader_t *r)
{
    return (png_get_color_type(r->png, r->info) & PNG_COLOR_MASK_COLOR) != 0;
}

/* Everything becomes 8 bits of grey, RGB or RGBA. */
static void ask_transforms(const reader_t *r)
{
    int type = png_get_color_type(r->png, r->info), channels = r->job->channels;
    png_set_strip_16(r->png);
    png_set_packing(r->png);
    if (type == PNG_COLOR_TYPE_PALETTE)
        png_set_palette_to_rgb(r->png);
    if ((type & PNG_COLOR_MASK_COLOR) == 0 && png_get_bit_depth(r->png, r->info) < 8)
        png_set_expand_gray_1_2_4_to_8(r->png);
    if (channels == 4 && png_get_valid(r->png, r->info, PNG_INFO_tRNS) != 0)
        png_set_tRNS_to_alpha(r->png);
    else if (channels == 4 && (type & PNG_COLOR_MASK_ALPHA) == 0)
        png_set_add_alpha(r->png, 255, PNG_FILLER_AFTER);
    if (channels != 4)
        png_set_strip_alpha(r->png);
    if (channels > 1 && !has_colour(r))
        png_set_gray_to_rgb(r->png);
    png_set_interlace_handling(r->png);
    png_read_update_info(r->png, r->info);
}

static mb_status_t reserve_rows(reader_t *r, int64_t height, int64_t width)
{
    int64_t channels = r->job->channels;
    unsigned char *pixels = r->job->to->pixels.bytes;
    if (channels == 1 && has_colour(r)) {
        channels = 3;
        r->colours = malloc((size_t)(height * width * channels));
        pixels = r->colours;
    }
    r->rows = malloc((size_t)height * sizeof(*r->rows));
    if (r->rows == NULL || pixels == NULL)
        return mb_error_memory(r->job->path, (size_t)(height * width * channels));
    for (int64_t y = 0; y < height; y++)
        r->rows[y] = pixels + y * width * channels;
    return MB_OK;
}

/* In 1/65536: as libjpeg and Pillow make grey. */
static void make_grey(const reader_t *r)
{
    const mb_image_t *to = r->job->to;
    for (int64_t i = 0; i < to->height * to->width; i++) {
        const unsigned char *c = r->colours + 3 * i;
        to->pixels.bytes[i] =
            (unsigned char)((c[0] * 19595u + c[1] * 38470u + c[2] * 7471u + 32768u) >> 16);
    }
}

/* Deflate makes at most 1032 bytes of one (258 of 2 bits). */
static bool can_hold(const reader_t *r, int64_t height)
{
    int64_t row = 1 + (int64_t)png_get_rowbytes(r->png, r->info);
    return height <= (int64_t)r->job->bytes * 1032 / row;
}

static mb_status_t read_pixels(reader_t *r)
{
    int64_t height = png_get_image_height(r->png, r->info);
    int64_t width = png_get_image_width(r->png, r->info);
    r->job->size[2] = has_opacity(r) ? 4 : has_colour(r) ? 3 : 1;
    if (height > 0 && !can_hold(r, height))
        return mb_image_damaged(r->job, "PNG", "its header asks for more pixels than it can hold");
    MB_TRY(mb_image_begin(r->job, height, width));
    if (r->job->to == NULL)
        return MB_OK;
    ask_transforms(r);
    MB_TRY(reserve_rows(r, height, width));
    if (png_get_rowbytes(r->png, r->info) !=
        (size_t)(width * (r->colours != NULL ? 3 : r->job->channels)))
        return mb_image_damaged(r->job, "PNG", "its rows have an unusual size");
    png_read_image(r->png, r->rows);
    png_read_end(r->png, NULL);
    if (r->colours != NULL)
        make_grey(r);
    return MB_OK;
}

static void guarded(reader_t *r)
{
    if (setjmp(png_jmpbuf(r->png)) != 0) {
        r->status = mb_image_damaged(r->job, "PNG", r->what);
        return;
    }
    png_set_read_fn(r->png, r, give_bytes);
    png_set_user_limits(r->png, 1 << 24, 1 << 24);
    png_read_info(r->png, r->info);
    r->status = read_pixels(r);
}

mb_status_t mb_image_png(mb_image_job_t *job)
{
    reader_t r = {.job = job, .status = MB_OK};
    r.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &r, keep_error, ignore_warning);
    r.info = r.png == NULL ? NULL : png_create_info_struct(r.png);
    if (r.info == NULL)
        r.status = mb_error_memory("a PNG reader", sizeof(r));
    else
        guarded(&r);
    if (r.png != NULL)
        png_destroy_read_struct(&r.png, &r.info, NULL);
    free(r.rows);
    free(r.colours);
    return r.status;
}

#else

mb_status_t mb_image_png(mb_image_job_t *job)
{
    return mb_error_set(MB_ERR_UNSUPPORTED,
                        "%s: this build reads no PNG images: install libpng (Debian: libpng-dev), "
                        "then configure and build again",
                        job->path);
}

#endif
