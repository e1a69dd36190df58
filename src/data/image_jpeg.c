/* JPEG through libjpeg. Warnings that mean lost pixels are errors; those that mean an oddity of the
 * writer are not. Errors come back by longjmp into one function that keeps nothing of its own. */
#include "data/image.h"

#include "config.h"

#ifdef MB_HAVE_JPEG

#include <stdio.h>

#include <jpeglib.h>
#include <jerror.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    struct jpeg_error_mgr errors; /* first: libjpeg hands this out */
    struct jpeg_decompress_struct jpeg;
    mb_image_job_t *job;
    jmp_buf failed;
    unsigned char *inks; /* a row of CMYK */
    char what[JMSG_LENGTH_MAX];
    mb_status_t status;
} reader_t;

static void keep_error(j_common_ptr jpeg)
{
    reader_t *r = (reader_t *)(void *)jpeg->err;
    jpeg->err->format_message(jpeg, r->what);
    longjmp(r->failed, 1);
}

static void judge_warning(j_common_ptr jpeg, int level)
{
    int code = jpeg->err->msg_code;
    if (level < 0 && (code == JWRN_JPEG_EOF || code == JWRN_HIT_MARKER ||
                      code == JWRN_HUFF_BAD_CODE || code == JWRN_MUST_RESYNC))
        keep_error(jpeg);
}

static bool is_ink(const reader_t *r)
{
    return r->jpeg.jpeg_color_space == JCS_CMYK || r->jpeg.jpeg_color_space == JCS_YCCK;
}

/* Adobe writes inks inverted. */
static void ink_to_colours(const reader_t *r, const unsigned char *ink, unsigned char *to)
{
    int channels = r->job->channels;
    for (unsigned x = 0; x < r->jpeg.output_width; x++, ink += 4, to += channels) {
        unsigned k = ink[3], colour[3];
        for (int i = 0; i < 3; i++)
            colour[i] =
                r->jpeg.saw_Adobe_marker ? ink[i] * k / 255 : (255u - ink[i]) * (255u - k) / 255;
        for (int i = 0; i < 3 && channels > 1; i++)
            to[i] = (unsigned char)colour[i];
        if (channels == 1)
            to[0] = (unsigned char)((colour[0] * 19595u + colour[1] * 38470u + colour[2] * 7471u +
                                     32768u) >>
                                    16);
        if (channels == 4)
            to[3] = 255;
    }
}

static void widen_row(const reader_t *r, unsigned char *row)
{
    for (unsigned x = r->jpeg.output_width; x-- > 0;) {
        unsigned char red = row[3 * x], green = row[3 * x + 1], blue = row[3 * x + 2];
        row[4 * x] = red;
        row[4 * x + 1] = green;
        row[4 * x + 2] = blue;
        row[4 * x + 3] = 255;
    }
}

static void read_row(reader_t *r, unsigned char *row)
{
    JSAMPROW to = r->inks != NULL ? r->inks : row;
    jpeg_read_scanlines(&r->jpeg, &to, 1);
    if (r->inks != NULL)
        ink_to_colours(r, r->inks, row);
    else if (r->job->channels == 4)
        widen_row(r, row);
}

static mb_status_t read_rows(reader_t *r)
{
    r->jpeg.out_color_space = is_ink(r)               ? JCS_CMYK
                              : r->job->channels == 1 ? JCS_GRAYSCALE
                                                      : JCS_RGB;
    jpeg_start_decompress(&r->jpeg);
    if (is_ink(r)) {
        r->inks = malloc(4 * (size_t)r->jpeg.output_width);
        if (r->inks == NULL)
            return mb_error_memory(r->job->path, 4 * (size_t)r->jpeg.output_width);
    }
    size_t stride = (size_t)r->jpeg.output_width * (size_t)r->job->channels;
    for (size_t y = 0; y < r->jpeg.output_height; y++)
        read_row(r, r->job->to->pixels.bytes + y * stride);
    jpeg_finish_decompress(&r->jpeg);
    return MB_OK;
}

static mb_status_t read_pixels(reader_t *r)
{
    jpeg_mem_src(&r->jpeg, r->job->from, (unsigned long)r->job->bytes);
    jpeg_read_header(&r->jpeg, TRUE);
    r->job->size[2] = r->jpeg.num_components == 1 ? 1 : 3;
    MB_TRY(mb_image_begin(r->job, r->jpeg.image_height, r->jpeg.image_width));
    return r->job->to == NULL ? MB_OK : read_rows(r);
}

static void guarded(reader_t *r)
{
    if (setjmp(r->failed) != 0) {
        r->status = mb_image_damaged(r->job, "JPEG", r->what);
        return;
    }
    jpeg_create_decompress(&r->jpeg);
    r->status = read_pixels(r);
}

mb_status_t mb_image_jpeg(mb_image_job_t *job)
{
    reader_t *r = calloc(1, sizeof(*r));
    if (r == NULL)
        return mb_error_memory("a JPEG reader", sizeof(*r));
    r->job = job;
    r->jpeg.err = jpeg_std_error(&r->errors);
    r->errors.error_exit = keep_error;
    r->errors.emit_message = judge_warning;
    guarded(r);
    mb_status_t status = r->status;
    jpeg_destroy_decompress(&r->jpeg);
    free(r->inks);
    free(r);
    return status;
}

#else

mb_status_t mb_image_jpeg(mb_image_job_t *job)
{
    return mb_error_set(MB_ERR_UNSUPPORTED,
                        "%s: this build reads no JPEG images: install libjpeg-turbo (Debian: "
                        "libjpeg62-turbo-dev), then configure and build again",
                        job->path);
}

#endif
