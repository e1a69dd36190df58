/* A first pass over the headers fixes every size; then the contents stream through one buffer into
 * the new file. */
#define _POSIX_C_SOURCE 200809L
#include "data/convert_private.h"

#include "data/element.h"
#include "data/idx.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    char *images;
    char *labels;
    mb_idx_header_t image_header;
    mb_idx_header_t label_header;
} pair_t;

typedef struct {
    mb_conversion_t *c;
    pair_t *pairs;
    int n_pairs;
    int64_t done, total; /* bytes */
    mb_deviation_t deviation;
    mb_element_t element; /* of the images */
    float *floats;        /* a buffer's elements as they are used */
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

/* Where features are wanted: the values that a model is given. */
static mb_status_t measure(conversion_t *c, const char *path, size_t bytes)
{
    mb_element_fault_t fault;
    int64_t n = (int64_t)(bytes / mb_dtype_bytes(c->element.stored));
    if (mb_element_convert(&c->element, c->c->buffer, n, false, c->floats, &fault) >= 0)
        return mb_error_set(MB_ERR_DATA, "%s: %s", path, mb_element_fault_text(fault));
    mb_deviation_add(&c->deviation, c->floats, n);
    return MB_OK;
}

static mb_status_t stream(conversion_t *c, const char *path, const mb_idx_header_t *expected,
                          bool measured, int64_t *offset)
{
    mb_idx_header_t header;
    mb_idx_reader_t *reader = NULL;
    size_t size = mb_dtype_bytes(expected->dtype);
    MB_TRY(mb_idx_open(path, &header, &reader));
    mb_status_t status = MB_OK;
    if (!mb_shape_equal(&header.shape, &expected->shape))
        status = mb_error_set(MB_ERR_IO, "%s: the file changed while it was read", path);
    for (int64_t left = header.data_bytes; left > 0 && status == MB_OK;) {
        size_t n = left < (int64_t)MB_CONVERT_BYTES ? (size_t)left : MB_CONVERT_BYTES;
        MB_TRY_GOTO(mb_idx_read(reader, n, c->c->buffer), status, out);
        if (size > 1 && mb_little_endian())
            swap_elements(c->c->buffer, n, size);
        MB_TRY_GOTO(mb_output_write(&c->c->file, *offset, c->c->buffer, n), status, out);
        if (measured)
            MB_TRY_GOTO(measure(c, path, n), status, out);
        *offset += (int64_t)n;
        left -= (int64_t)n;
        c->done += (int64_t)n;
        mb_convert_show(c->c, "writing", c->done, c->total);
    }
    if (status == MB_OK)
        status = mb_idx_finish(reader);
out:
    mb_idx_close(reader);
    return status;
}

enum { X, Y, MEAN, VARIANCE };

static mb_status_t stream_pairs(conversion_t *c, const mb_output_dataset_t *d)
{
    int64_t x = d[X].offset, y = d[Y].offset;
    for (int i = 0; i < c->n_pairs; i++) {
        const pair_t *pair = &c->pairs[i];
        MB_TRY(stream(c, pair->images, &pair->image_header, c->floats != NULL, &x));
        if (pair->labels != NULL)
            MB_TRY(stream(c, pair->labels, &pair->label_header, false, &y));
    }
    if (c->floats == NULL)
        return MB_OK;
    return mb_convert_write_deviation(c->c, &c->deviation, &d[MEAN], &d[VARIANCE]);
}

/* Datasets that are not wanted are left out of the file. */
static mb_status_t write_pairs(conversion_t *c, mb_output_dataset_t *d)
{
    mb_output_dataset_t made[VARIANCE + 1];
    int n = 0;
    for (int i = X; i <= VARIANCE; i++) {
        if (d[i].shape.rank > 0)
            made[n++] = d[i];
    }
    MB_TRY(mb_output_create(c->c->output, made, n, NULL, &c->c->file));
    for (int i = VARIANCE; i >= X; i--) {
        if (d[i].shape.rank > 0)
            d[i].offset = made[--n].offset;
    }
    MB_TRY(stream_pairs(c, d));
    return mb_output_commit(&c->c->file);
}

static mb_status_t prepare_deviation(conversion_t *c, mb_output_dataset_t *d)
{
    mb_shape_t sample = {.rank = d[X].shape.rank - 1};
    memcpy(sample.dim, d[X].shape.dim + 1, (size_t)sample.rank * sizeof(sample.dim[0]));
    int64_t channels = mb_convert_channels(&sample, d[X].dtype);
    c->element = (mb_element_t){
        .stored = d[X].dtype, .scaled = d[X].scaled, .scale = d[X].scaled ? d[X].scale : 1.0};
    mb_element_tabulate(&c->element);
    d[MEAN].shape = d[VARIANCE].shape = (mb_shape_t){.rank = 1, .dim = {channels}};
    c->floats = malloc(MB_CONVERT_BYTES * sizeof(float));
    if (c->floats == NULL)
        return mb_error_memory("means and variances", MB_CONVERT_BYTES * sizeof(float));
    return mb_deviation_create(channels, &c->deviation);
}

static void summarize(const conversion_t *c, const mb_output_dataset_t *d)
{
    *c->c->summary = (mb_data_summary_t){.samples = d[X].shape.dim[0],
                                         .dtype = d[X].dtype,
                                         .n_datasets = d[Y].shape.rank > 0 ? 2 : 1,
                                         .has_labels = d[Y].shape.rank > 0,
                                         .normalized = c->floats != NULL,
                                         .bytes = c->c->file.bytes};
    c->c->summary->shape.rank = d[X].shape.rank - 1;
    for (int i = 1; i < d[X].shape.rank; i++)
        c->c->summary->shape.dim[i - 1] = d[X].shape.dim[i];
}

static mb_status_t convert(conversion_t *c)
{
    mb_output_dataset_t d[VARIANCE + 1] = {{.name = "x"},
                                           {.name = "y"},
                                           {.name = "mean", .dtype = MB_F64},
                                           {.name = "variance", .dtype = MB_F64}};
    for (int i = 0; i < c->c->n_inputs; i++)
        MB_TRY(add_input(c, c->c->inputs[i]));
    for (int i = 0; i < c->n_pairs; i++) {
        pair_t *pair = &c->pairs[i];
        MB_TRY(check_labels(c, pair));
        MB_TRY(grow(&d[X], &pair->image_header, pair->images));
        c->total += pair->image_header.data_bytes;
        if (pair->labels == NULL)
            continue;
        MB_TRY(grow(&d[Y], &pair->label_header, pair->labels));
        c->total += pair->label_header.data_bytes;
    }
    d[X].scaled = d[X].dtype == MB_U8 && d[X].shape.rank > 1;
    d[X].scale = MB_BYTE_SCALE;
    if (c->c->options->normalize)
        MB_TRY(prepare_deviation(c, d));
    MB_TRY(write_pairs(c, d));
    summarize(c, d);
    return MB_OK;
}

mb_status_t mb_convert_idx(mb_conversion_t *conversion)
{
    conversion_t c = {.c = conversion};
    size_t n = (size_t)conversion->n_inputs;
    c.pairs = calloc(n, sizeof(pair_t));
    mb_status_t status = c.pairs == NULL ? mb_error_memory("a list of files", n) : convert(&c);
    for (int i = 0; i < c.n_pairs; i++) {
        free(c.pairs[i].images);
        free(c.pairs[i].labels);
    }
    mb_deviation_free(&c.deviation);
    free(c.floats);
    free(c.pairs);
    return status;
}
