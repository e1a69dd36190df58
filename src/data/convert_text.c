/* Text becomes a stream of tokens: its bytes. */
#define _POSIX_C_SOURCE 200809L
#include "data/convert_private.h"

#include "data/extent.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static mb_status_t open_text(const char *path, int *file, int64_t *bytes)
{
    struct stat info;
    *file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (*file < 0 || fstat(*file, &info) != 0)
        return mb_error_set(MB_ERR_IO, "%s: cannot be opened: %s", path, strerror(errno));
    if (!S_ISREG(info.st_mode))
        return mb_error_set(MB_ERR_IO, "%s: not a regular file", path);
    *bytes = info.st_size;
    return MB_OK;
}

/* Zero bytes do not occur in text; a binary file given by mistake has them early. */
static mb_status_t check_text(mb_conversion_t *c, const char *path, size_t bytes)
{
    if (memchr(c->buffer, '\0', bytes) == NULL)
        return MB_OK;
    return mb_error_set(MB_ERR_FORMAT, "%s: no text: it contains zero bytes", path);
}

static mb_status_t stream_text(mb_conversion_t *c, const char *path,
                               const mb_output_dataset_t *tokens, int64_t *offset)
{
    int file = -1;
    int64_t bytes = 0;
    mb_status_t status = open_text(path, &file, &bytes);
    for (int64_t at = 0; at < bytes && status == MB_OK;) {
        size_t n = bytes - at < (int64_t)MB_CONVERT_BYTES ? (size_t)(bytes - at) : MB_CONVERT_BYTES;
        MB_TRY_GOTO(mb_read_fully(file, path, at, n, c->buffer), status, out);
        MB_TRY_GOTO(check_text(c, path, n), status, out);
        MB_TRY_GOTO(mb_output_write(&c->file, *offset, c->buffer, n), status, out);
        at += (int64_t)n;
        *offset += (int64_t)n;
        mb_convert_show(c, "writing", *offset - tokens->offset, tokens->shape.dim[0]);
    }
out:
    if (file >= 0)
        close(file);
    return status;
}

static mb_status_t count_bytes(const mb_conversion_t *c, int64_t *total)
{
    *total = 0;
    for (int i = 0; i < c->n_inputs; i++) {
        int file = -1;
        int64_t bytes = 0;
        mb_status_t status = open_text(c->inputs[i], &file, &bytes);
        if (file >= 0)
            close(file);
        MB_TRY(status);
        *total += bytes;
    }
    if (*total == 0)
        return mb_error_set(MB_ERR_DATA, "%s: the text is empty", c->inputs[0]);
    return MB_OK;
}

mb_status_t mb_convert_text(mb_conversion_t *c)
{
    mb_output_dataset_t tokens = {.name = "tokens", .dtype = MB_U8, .shape = {.rank = 1}};
    if (c->options->normalize)
        return mb_error_set(MB_ERR_ARGUMENT, "%s: text has no features to normalize", c->inputs[0]);
    MB_TRY(count_bytes(c, &tokens.shape.dim[0]));
    MB_TRY(mb_output_create(c->output, &tokens, 1, NULL, &c->file));
    int64_t offset = tokens.offset;
    for (int i = 0; i < c->n_inputs; i++)
        MB_TRY(stream_text(c, c->inputs[i], &tokens, &offset));
    if (offset != tokens.offset + tokens.shape.dim[0])
        return mb_error_set(MB_ERR_IO, "%s: the text changed while it was read", c->inputs[0]);
    MB_TRY(mb_output_commit(&c->file));
    *c->summary = (mb_data_summary_t){.samples = tokens.shape.dim[0],
                                      .dtype = MB_U8,
                                      .n_datasets = 1,
                                      .is_tokens = true,
                                      .bytes = c->file.bytes};
    return MB_OK;
}
