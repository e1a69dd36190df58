/* What the formats share, and the choice between them. */
#include "data/image.h"

#include "config.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

const char *mb_image_formats(void)
{
#if defined(MB_HAVE_PNG) && defined(MB_HAVE_JPEG)
    return "PNG and JPEG";
#elif defined(MB_HAVE_PNG)
    return "PNG";
#elif defined(MB_HAVE_JPEG)
    return "JPEG";
#else
    return NULL;
#endif
}

mb_status_t mb_image_reserve(mb_image_buffer_t *buffer, size_t bytes, const char *path)
{
    if (bytes <= buffer->capacity)
        return MB_OK;
    unsigned char *grown = realloc(buffer->bytes, bytes);
    if (grown == NULL)
        return mb_error_memory(path, bytes);
    *buffer = (mb_image_buffer_t){grown, bytes};
    return MB_OK;
}

void mb_image_free(mb_image_t *image)
{
    free(image->pixels.bytes);
    *image = (mb_image_t){0, 0, {NULL, 0}};
}

mb_status_t mb_image_damaged(const mb_image_job_t *job, const char *format, const char *what)
{
    return mb_error_set(MB_ERR_FORMAT,
                        "%s: the %s image is truncated or damaged (%s); replace it or take it out "
                        "of the folder",
                        job->path, format, what);
}

mb_status_t mb_image_begin(mb_image_job_t *job, int64_t height, int64_t width)
{
    job->size[0] = height;
    job->size[1] = width;
    if (height < 1 || width < 1 || height > MB_IMAGE_MOST_PIXELS / width)
        return mb_error_set(MB_ERR_FORMAT,
                            "%s: the header says %" PRId64 " x %" PRId64
                            " pixels: damaged, or too large to be read",
                            job->path, height, width);
    if (job->to == NULL)
        return MB_OK;
    job->to->height = height;
    job->to->width = width;
    return mb_image_reserve(&job->to->pixels, (size_t)(height * width * job->channels), job->path);
}

static bool begins(const mb_image_job_t *job, const char *signature, size_t length)
{
    return job->bytes >= length && memcmp(job->from, signature, length) == 0;
}

static mb_status_t run(mb_image_job_t *job)
{
    if (begins(job, "\x89PNG\r\n\x1A\n", 8))
        return mb_image_png(job);
    if (begins(job, "\xFF\xD8\xFF", 3))
        return mb_image_jpeg(job);
    return mb_error_set(MB_ERR_FORMAT,
                        "%s: neither a PNG nor a JPEG image%s; convert it or take it out of the "
                        "folder",
                        job->path, job->bytes == 0 ? ": the file is empty" : "");
}

mb_status_t mb_image_decode(const char *path, const unsigned char *from, size_t bytes, int channels,
                            mb_image_t *out)
{
    mb_image_job_t job = {
        .path = path, .from = from, .bytes = bytes, .channels = channels, .to = out};
    return run(&job);
}

mb_status_t mb_image_measure(const char *path, const unsigned char *from, size_t bytes,
                             int64_t size[3])
{
    mb_image_job_t job = {.path = path, .from = from, .bytes = bytes};
    MB_TRY(run(&job));
    memcpy(size, job.size, sizeof(job.size));
    return MB_OK;
}
