/* A first pass over the headers fixes every size; then the contents stream through one buffer into
 * the new file. */
#define _POSIX_C_SOURCE 200809L
#include "data/convert.h"

#include "data/element.h"
#include "data/extent.h"
#include "data/idx.h"
#include "data/output.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUFFER_BYTES ((size_t)1 << 20)

typedef struct {
    char *images;
    char *labels;
    mb_idx_header_t image_header;
    mb_idx_header_t label_header;
} pair_t;

typedef struct {
    pair_t *pairs;
    int n_pairs;
    char *buffer;
    mb_output_t output;
} conversion_t;

static mb_status_t read_header(const char *path, mb_idx_header_t *header)
{
    mb_idx_reader_t *reader = NULL;
    MB_TRY(mb_idx_open(path, header, &reader));
    mb_idx_close(reader);
    return MB_OK;
}

/* A labels file on its own belongs to the images before it. */
static mb_status_t add_labels(conversion_t *c, char *path)
{
    pair_t *pair = c->n_pairs > 0 ? &c->pairs[c->n_pairs - 1] : NULL;
    if (pair == NULL) {
        mb_error_set(MB_ERR_ARGUMENT, "%s: labels must come behind their images", path);
        free(path);
        return MB_ERR_ARGUMENT;
    }
    free(pair->labels);
    pair->labels = path;
    return MB_OK;
}

static mb_status_t add_input(conversion_t *c, const char *input)
{
    pair_t pair = {0};
    mb_status_t status = mb_idx_find(input, false, &pair.images, &pair.labels);
    if (status == MB_OK)
        status = read_header(pair.images, &pair.image_header);
    if (status != MB_OK) {
        free(pair.images);
        free(pair.labels);
        return status;
    }
    if (pair.image_header.shape.rank == 1 && pair.labels == NULL)
        return add_labels(c, pair.images);
    c->pairs[c->n_pairs++] = pair;
    return MB_OK;
}

static mb_status_t check_labels(const conversion_t *c, pair_t *pair)
{
    bool wanted = c->pairs[0].labels != NULL;
    if ((pair->labels != NULL) != wanted)
        return mb_error_set(MB_ERR_DATA,
                            "%s has %s labels file, but %s has %s; name it as "
                            "IMAGES,LABELS",
                            pair->images, wanted ? "no" : "a", c->pairs[0].images,
                            wanted ? "one" : "none");
    if (!wanted)
        return MB_OK;
    MB_TRY(read_header(pair->labels, &pair->label_header));
    int64_t images = pair->image_header.shape.dim[0], labels = pair->label_header.shape.dim[0];
    if (images != labels)
        return mb_error_set(MB_ERR_DATA,
                            "%s holds %" PRId64 " samples, but %s holds %" PRId64 " labels",
                            pair->images, images, pair->labels, labels);
    return MB_OK;
}

/* Adds HEADER's samples to the dataset; its shape and type must be the first one's. */
static mb_status_t grow(mb_output_dataset_t *d, const mb_idx_header_t *header, const char *path)
{
    char have[MB_SHAPE_TEXT], want[MB_SHAPE_TEXT];
    mb_shape_t shape = header->shape;
    if (d->shape.rank == 0) {
        d->dtype = header->dtype;
        d->shape = header->shape;
        return MB_OK;
    }
    int64_t samples = d->shape.dim[0];
    shape.dim[0] = samples;
    if (!mb_shape_equal(&shape, &d->shape) || header->dtype != d->dtype)
        return mb_error_set(MB_ERR_SHAPE,
                            "%s holds %s of shape %s (samples first), which does not continue the "
                            "files before it: %s of shape %s",
                            path, mb_dtype_name(header->dtype),
                            mb_shape_text(&header->shape, have, sizeof(have)),
                            mb_dtype_name(d->dtype), mb_shape_text(&d->shape, want, sizeof(want)));
    d->shape.dim[0] = samples + header->shape.dim[0];
    return MB_OK;
}

static void swap_elements(char *bytes, size_t count, size_t size)
{
    for (size_t i = 0; i < count; i += size) {
        for (size_t j = 0; j < size / 2; j++) {
            char byte = bytes[i + j];
            bytes[i + j] = bytes[i + size - 1 - j];
            bytes[i + size - 1 - j] = byte;
        }
    }
}

static mb_status_t stream(conversion_t *c, const char *path, const mb_idx_header_t *expected,
                          int64_t *offset)
{
    mb_idx_header_t header;
    mb_idx_reader_t *reader = NULL;
    size_t size = mb_dtype_bytes(expected->dtype);
    MB_TRY(mb_idx_open(path, &header, &reader));
    mb_status_t status = MB_OK;
    if (!mb_shape_equal(&header.shape, &expected->shape))
        status = mb_error_set(MB_ERR_IO, "%s: the file changed while it was read", path);
    for (int64_t left = header.data_bytes; left > 0 && status == MB_OK;) {
        size_t n = left < (int64_t)BUFFER_BYTES ? (size_t)left : BUFFER_BYTES;
        MB_TRY_GOTO(mb_idx_read(reader, n, c->buffer), status, out);
        if (size > 1 && mb_little_endian())
            swap_elements(c->buffer, n, size);
        MB_TRY_GOTO(mb_output_write(&c->output, *offset, c->buffer, n), status, out);
        *offset += (int64_t)n;
        left -= (int64_t)n;
    }
    if (status == MB_OK)
        status = mb_idx_finish(reader);
out:
    mb_idx_close(reader);
    return status;
}

static mb_status_t write_pairs(conversion_t *c, const char *output, mb_output_dataset_t *datasets,
                               int n_datasets)
{
    MB_TRY(mb_output_create(output, datasets, n_datasets, &c->output));
    int64_t x = datasets[0].offset, y = datasets[1].offset;
    for (int i = 0; i < c->n_pairs; i++) {
        MB_TRY(stream(c, c->pairs[i].images, &c->pairs[i].image_header, &x));
        if (n_datasets == 2)
            MB_TRY(stream(c, c->pairs[i].labels, &c->pairs[i].label_header, &y));
    }
    return mb_output_commit(&c->output);
}

static void summarize(const conversion_t *c, const mb_output_dataset_t *first, int n_datasets,
                      mb_data_summary_t *summary)
{
    *summary = (mb_data_summary_t){.samples = first->shape.dim[0],
                                   .dtype = first->dtype,
                                   .has_labels = n_datasets == 2,
                                   .bytes = c->output.bytes};
    summary->shape.rank = first->shape.rank - 1;
    for (int i = 0; i < summary->shape.rank; i++)
        summary->shape.dim[i] = first->shape.dim[i + 1];
}

static mb_status_t convert_idx(conversion_t *c, const char *const *inputs, int n_inputs,
                               const char *output, mb_data_summary_t *summary)
{
    mb_output_dataset_t datasets[2] = {{.name = "x"}, {.name = "y"}};
    for (int i = 0; i < n_inputs; i++)
        MB_TRY(add_input(c, inputs[i]));
    int n_datasets = c->pairs[0].labels != NULL ? 2 : 1;
    for (int i = 0; i < c->n_pairs; i++) {
        MB_TRY(check_labels(c, &c->pairs[i]));
        MB_TRY(grow(&datasets[0], &c->pairs[i].image_header, c->pairs[i].images));
        if (n_datasets == 2)
            MB_TRY(grow(&datasets[1], &c->pairs[i].label_header, c->pairs[i].labels));
    }
    datasets[0].scaled = datasets[0].dtype == MB_U8 && datasets[0].shape.rank > 1;
    datasets[0].scale = MB_BYTE_SCALE;
    MB_TRY(write_pairs(c, output, datasets, n_datasets));
    summarize(c, &datasets[0], n_datasets, summary);
    return MB_OK;
}

static mb_status_t open_text(const char *path, int *file, int64_t *bytes)
{
    struct stat info;
    *file = open(path, O_RDONLY | O_CLOEXEC);
    if (*file < 0 || fstat(*file, &info) != 0)
        return mb_error_set(MB_ERR_IO, "%s: cannot be opened: %s", path, strerror(errno));
    if (!S_ISREG(info.st_mode))
        return mb_error_set(MB_ERR_IO, "%s: not a regular file", path);
    *bytes = info.st_size;
    return MB_OK;
}

/* Zero bytes do not occur in text; a binary file given by mistake has them early. */
static mb_status_t check_text(conversion_t *c, const char *path, size_t bytes)
{
    if (memchr(c->buffer, '\0', bytes) == NULL)
        return MB_OK;
    return mb_error_set(MB_ERR_FORMAT,
                        "%s: neither IDX (raw or gzip) nor text: it contains zero bytes", path);
}

static mb_status_t stream_text(conversion_t *c, const char *path, int64_t *offset)
{
    int file = -1;
    int64_t bytes = 0;
    mb_status_t status = open_text(path, &file, &bytes);
    for (int64_t at = 0; at < bytes && status == MB_OK;) {
        size_t n = bytes - at < (int64_t)BUFFER_BYTES ? (size_t)(bytes - at) : BUFFER_BYTES;
        MB_TRY_GOTO(mb_read_fully(file, path, at, n, c->buffer), status, out);
        MB_TRY_GOTO(check_text(c, path, n), status, out);
        MB_TRY_GOTO(mb_output_write(&c->output, *offset, c->buffer, n), status, out);
        at += (int64_t)n;
        *offset += (int64_t)n;
    }
out:
    if (file >= 0)
        close(file);
    return status;
}

static mb_status_t convert_text(conversion_t *c, const char *const *inputs, int n_inputs,
                                const char *output, mb_data_summary_t *summary)
{
    mb_output_dataset_t tokens = {.name = "tokens", .dtype = MB_U8, .shape = {.rank = 1}};
    for (int i = 0; i < n_inputs; i++) {
        int file = -1;
        int64_t bytes = 0;
        mb_status_t status = open_text(inputs[i], &file, &bytes);
        if (file >= 0)
            close(file);
        MB_TRY(status);
        tokens.shape.dim[0] += bytes;
    }
    if (tokens.shape.dim[0] == 0)
        return mb_error_set(MB_ERR_DATA, "%s: the text is empty", inputs[0]);
    MB_TRY(mb_output_create(output, &tokens, 1, &c->output));
    int64_t offset = tokens.offset;
    for (int i = 0; i < n_inputs; i++)
        MB_TRY(stream_text(c, inputs[i], &offset));
    if (offset != tokens.offset + tokens.shape.dim[0])
        return mb_error_set(MB_ERR_IO, "%s: the text changed while it was read", inputs[0]);
    MB_TRY(mb_output_commit(&c->output));
    *summary = (mb_data_summary_t){.samples = tokens.shape.dim[0],
                                   .dtype = MB_U8,
                                   .is_tokens = true,
                                   .bytes = c->output.bytes};
    return MB_OK;
}

static mb_status_t is_idx(const char *input, bool *yes)
{
    struct stat info;
    unsigned char head[4] = {0};
    bool exists = stat(input, &info) == 0;
    *yes = (exists && S_ISDIR(info.st_mode)) || (!exists && mb_idx_names_several(input));
    if (*yes)
        return MB_OK;
    int file = open(input, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return mb_error_set(MB_ERR_IO, "%s: cannot be opened: %s", input, strerror(errno));
    *yes = pread(file, head, sizeof(head), 0) == (ssize_t)sizeof(head) && mb_idx_looks_like(head);
    close(file);
    return MB_OK;
}

static mb_status_t same_kind(const char *const *inputs, int n_inputs, bool *idx)
{
    MB_TRY(is_idx(inputs[0], idx));
    for (int i = 1; i < n_inputs; i++) {
        bool other;
        MB_TRY(is_idx(inputs[i], &other));
        if (other != *idx)
            return mb_error_set(
                MB_ERR_ARGUMENT, "%s is %s, but %s is %s: one data file is made of one kind",
                inputs[0], *idx ? "IDX" : "text", inputs[i], other ? "IDX" : "text");
    }
    return MB_OK;
}

/* Replacing an input would lose it. */
static mb_status_t check_output(const char *const *inputs, int n_inputs, const char *output)
{
    struct stat to, from;
    if (stat(output, &to) != 0)
        return MB_OK;
    if (S_ISDIR(to.st_mode))
        return mb_error_set(MB_ERR_ARGUMENT, "%s: the output is a folder; name a file", output);
    for (int i = 0; i < n_inputs; i++) {
        if (stat(inputs[i], &from) == 0 && from.st_dev == to.st_dev && from.st_ino == to.st_ino)
            return mb_error_set(MB_ERR_ARGUMENT, "%s: the output is one of the inputs", output);
    }
    return MB_OK;
}

mb_status_t mb_data_convert(const char *const *inputs, int n_inputs, const char *output,
                            mb_data_summary_t *summary)
{
    bool idx;
    if (n_inputs < 1)
        return mb_error_set(MB_ERR_ARGUMENT, "no input is named");
    MB_TRY(same_kind(inputs, n_inputs, &idx));
    MB_TRY(check_output(inputs, n_inputs, output));
    conversion_t c = {.output = {.staged = {.fd = -1}}};
    c.pairs = calloc((size_t)n_inputs, sizeof(pair_t));
    c.buffer = malloc(BUFFER_BYTES);
    mb_status_t status = MB_OK;
    if (c.pairs == NULL || c.buffer == NULL)
        status = mb_error_memory("a data file's buffer", BUFFER_BYTES);
    else if (idx)
        status = convert_idx(&c, inputs, n_inputs, output, summary);
    else
        status = convert_text(&c, inputs, n_inputs, output, summary);
    mb_output_close(&c.output);
    for (int i = 0; i < c.n_pairs; i++) {
        free(c.pairs[i].images);
        free(c.pairs[i].labels);
    }
    free(c.buffer);
    free(c.pairs);
    return status;
}
