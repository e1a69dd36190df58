/* Samples of an HDF5 file. Where every dataset is one stretch of bytes, the file is closed in HDF5
 * after opening and read with pread, from any thread. Otherwise (chunks, compression) reads go
 * through the library, sorted, and only the opener's thread may ask. */
#define _POSIX_C_SOURCE 200809L
#include "data/extent.h"
#include "data/hdf5_select.h"
#include "data/hdf5_words.h"
#include "data/internal.h"
#include "store/h5.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SCRATCH_BYTES (INT64_C(1) << 20)
#define LARGEST_SAMPLE (INT64_C(1) << 30)

typedef struct {
    char *dataset;
    char *name;
    mb_hdf5_form_t form;
    int64_t length, shift;
    mb_hdf5_dataset_t hdf5; /* open while the file is */
    mb_extent_t extent;     /* file -1: through HDF5 */
} place_t;

typedef struct {
    int64_t index, position;
} order_t;

typedef struct {
    mb_source_t base;
    place_t *places;
    hid_t hdf5;
    int file;
    char *scratch;
    int64_t scratch_bytes;
    order_t *order;
    int64_t order_capacity;
} hdf5_t;

static void close_library(hdf5_t *h)
{
    for (int i = 0; i < h->base.n_fields; i++)
        mb_hdf5_dataset_close(&h->places[i].hdf5);
    if (h->hdf5 >= 0)
        H5Fclose(h->hdf5);
    h->hdf5 = H5I_INVALID_HID;
}

static void hdf5_close(mb_source_t *source)
{
    hdf5_t *h = (hdf5_t *)source;
    close_library(h);
    if (h->file >= 0)
        close(h->file);
    for (int i = 0; i < source->n_fields; i++) {
        free(h->places[i].dataset);
        free(h->places[i].name);
    }
    free(h->places);
    free(h->scratch);
    free(h->order);
    mb_source_release(source);
}

/* The box of COUNT samples from SAMPLE. */
static void sample_box(const place_t *place, int64_t sample, int64_t count, hsize_t *start,
                       hsize_t *size)
{
    const mb_shape_t *shape = &place->hdf5.shape;
    for (int i = 0; i < shape->rank; i++) {
        start[i] = 0;
        size[i] = (hsize_t)shape->dim[i];
    }
    start[0] = (hsize_t)sample;
    size[0] = (hsize_t)count;
    if (place->form == MB_HDF5_STREAM) {
        start[0] = (hsize_t)(sample * place->length + place->shift);
        size[0] = (hsize_t)(count * place->length);
    } else if (place->form == MB_HDF5_WINDOW) {
        start[1] = (hsize_t)place->shift;
        size[1] = (hsize_t)place->length;
    }
}

static mb_status_t read_raw(hdf5_t *h, const place_t *place, int64_t sample, int64_t count)
{
    hsize_t start[MB_MAX_RANK], size[MB_MAX_RANK];
    sample_box(place, sample, count, start, size);
    return mb_hdf5_dataset_read(&place->hdf5, h->base.path, place->dataset, start, size,
                                h->scratch);
}

static int by_index(const void *a, const void *b)
{
    const order_t *left = a, *right = b;
    return (left->index > right->index) - (left->index < right->index);
}

static mb_status_t sort_indices(hdf5_t *h, const int64_t *indices, int64_t count)
{
    if (count > h->order_capacity) {
        order_t *order = realloc(h->order, (size_t)count * sizeof(*order));
        if (order == NULL)
            return mb_error_memory("the order of a batch", (size_t)count * sizeof(*order));
        h->order = order;
        h->order_capacity = count;
    }
    for (int64_t i = 0; i < count; i++)
        h->order[i] = (order_t){indices[i], i};
    qsort(h->order, (size_t)count, sizeof(*h->order), by_index);
    return MB_OK;
}

/* Samples of one run, read by one call, go to their places in the batch. */
static mb_status_t scatter(hdf5_t *h, int field, const order_t *run, int64_t count, bool as_int,
                           char *to)
{
    const place_t *place = &h->places[field];
    int64_t elements = place->extent.bytes / (int64_t)mb_dtype_bytes(place->extent.element.stored);
    for (int64_t i = 0; i < count; i++) {
        mb_element_fault_t fault;
        const char *from = h->scratch + (run[i].index - run[0].index) * place->extent.bytes;
        int64_t bad = mb_element_convert(&place->extent.element, from, elements, as_int,
                                         to + run[i].position * elements * 4, &fault);
        if (bad >= 0)
            return mb_source_fault(&h->base, field, run[i].index, mb_element_fault_text(fault));
    }
    return MB_OK;
}

static mb_status_t read_library(hdf5_t *h, int field, const int64_t *indices, int64_t count,
                                bool as_int, void *to)
{
    const place_t *place = &h->places[field];
    int64_t most = h->scratch_bytes / place->extent.bytes;
    MB_TRY(mb_source_check_indices(&h->base, indices, count));
    MB_TRY(sort_indices(h, indices, count));
    for (int64_t i = 0; i < count;) {
        const order_t *run = h->order + i;
        int64_t n = 1;
        while (i + n < count && run[n].index - run[n - 1].index <= 1 &&
               run[n].index - run[0].index < most)
            n++;
        MB_TRY(read_raw(h, place, run[0].index, run[n - 1].index - run[0].index + 1));
        MB_TRY(scatter(h, field, run, n, as_int, to));
        i += n;
    }
    return MB_OK;
}

static mb_status_t hdf5_read(mb_source_t *source, int field, const int64_t *indices, int64_t count,
                             bool as_int, void *to)
{
    hdf5_t *h = (hdf5_t *)source;
    const mb_extent_t *extent = &h->places[field].extent;
    if (extent->file >= 0)
        return mb_extent_read(source, field, extent, indices, count, as_int, to);
    return read_library(h, field, indices, count, as_int, to);
}

static const mb_source_class_t direct_class = {sizeof(mb_source_class_t), "hdf5", hdf5_close,
                                               hdf5_read, true};
static const mb_source_class_t library_class = {sizeof(mb_source_class_t), "hdf5", hdf5_close,
                                                hdf5_read, false};

static int64_t sample_count(const place_t *place)
{
    int64_t first = place->hdf5.shape.dim[0];
    return place->form == MB_HDF5_STREAM ? (first - 1) / place->length : first;
}

static void describe_field(const place_t *place, mb_field_t *field)
{
    const mb_shape_t *shape = &place->hdf5.shape;
    mb_dtype_t stored = place->hdf5.element.stored;
    *field = (mb_field_t){.name = place->name, .stored = stored};
    field->integral = stored >= MB_I8 && stored <= MB_U64 && !place->hdf5.element.scaled;
    if (place->form != MB_HDF5_ROWS) {
        field->shape = (mb_shape_t){.rank = 1, .dim = {place->length}};
        return;
    }
    field->shape.rank = shape->rank - 1;
    memcpy(field->shape.dim, shape->dim + 1, (size_t)field->shape.rank * sizeof(shape->dim[0]));
}

/* Where samples lie in the file, if the dataset is one stretch of it. */
static mb_status_t describe_extent(const hdf5_t *h, place_t *place, const mb_field_t *field)
{
    const mb_hdf5_dataset_t *d = &place->hdf5;
    int64_t size = (int64_t)mb_dtype_bytes(d->element.stored);
    mb_extent_t *e = &place->extent;
    struct stat info;
    *e = (mb_extent_t){.file = -1, .element = d->element};
    e->bytes = mb_shape_elements(&field->shape) * size;
    e->stride = place->form == MB_HDF5_WINDOW ? d->shape.dim[1] * size : e->bytes;
    if (d->offset < 0)
        return MB_OK;
    e->file = h->file;
    e->start = d->offset + place->shift * size;
    int64_t end = d->offset + mb_shape_elements(&d->shape) * size;
    if (fstat(h->file, &info) == 0 && info.st_size >= end)
        return MB_OK;
    return mb_error_set(
        MB_ERR_FORMAT, "%s: truncated: dataset '%s' ends at byte %" PRId64 ", the file at %" PRId64,
        h->base.path, place->dataset, end, (int64_t)info.st_size);
}

static mb_status_t open_place(hdf5_t *h, int i, const mb_hdf5_choice_t *choice)
{
    place_t *place = &h->places[i];
    mb_field_t *field = &h->base.fields[i];
    place->dataset = strdup(choice->dataset);
    place->name = strdup(choice->name);
    if (place->dataset == NULL || place->name == NULL)
        return mb_error_memory("the name of a dataset", strlen(choice->name));
    place->form = choice->form;
    place->length = choice->length;
    place->shift = choice->shift;
    MB_TRY(mb_hdf5_dataset_open(h->hdf5, h->base.path, place->dataset, &place->hdf5));
    describe_field(place, field);
    MB_TRY(describe_extent(h, place, field));
    int64_t samples = sample_count(place);
    if (i == 0)
        h->base.samples = samples;
    if (samples == h->base.samples)
        return MB_OK;
    return mb_error_set(MB_ERR_DATA,
                        "%s: dataset '%s' has %" PRId64 " samples, but '%s' has %" PRId64
                        " (the length of the first axis)",
                        h->base.path, h->places[0].dataset, h->base.samples, place->dataset,
                        samples);
}

/* Evenly spread samples stand for a dataset that only HDF5 can read. */
static mb_status_t digest_library(hdf5_t *h, const place_t *place, int64_t limit, uint64_t *digest)
{
    int64_t samples = h->base.samples;
    int64_t wanted = limit / place->extent.bytes < 1 ? 1 : limit / place->extent.bytes;
    int64_t most = h->scratch_bytes / place->extent.bytes;
    int64_t piece = wanted / 16 < 1 ? 1 : wanted / 16 < most ? wanted / 16 : most;
    int64_t step = samples <= wanted ? piece : samples / 16 < piece ? piece : samples / 16;
    mb_extent_t raw = {.file = -1, .memory = (const unsigned char *)h->scratch};
    for (int64_t at = 0; at < samples; at += step) {
        int64_t n = samples - at < piece ? samples - at : piece;
        MB_TRY(read_raw(h, place, at, n));
        MB_TRY(mb_extent_digest(&raw, h->base.path, n * place->extent.bytes, INT64_MAX, digest));
    }
    return MB_OK;
}

static mb_status_t digest_places(hdf5_t *h)
{
    mb_source_t *source = &h->base;
    int64_t limit = MB_DIGEST_BYTES / (source->n_fields < 1 ? 1 : source->n_fields);
    for (int i = 0; i < source->n_fields; i++) {
        const place_t *place = &h->places[i];
        source->digest = mb_digest_field(source->digest, &source->fields[i], &place->extent.element,
                                         source->samples);
        if (place->extent.file < 0)
            MB_TRY(digest_library(h, place, limit, &source->digest));
        else
            MB_TRY(
                mb_extent_digest(&place->extent, source->path,
                                 (source->samples - 1) * place->extent.stride + place->extent.bytes,
                                 limit, &source->digest));
    }
    return MB_OK;
}

/* Leaves HDF5 altogether if every dataset can be read without it. */
static mb_status_t settle(hdf5_t *h)
{
    int64_t largest = 0;
    for (int i = 0; i < h->base.n_fields; i++) {
        const mb_extent_t *e = &h->places[i].extent;
        if (e->file < 0 && e->bytes > largest)
            largest = e->bytes;
    }
    if (largest == 0) {
        close_library(h);
        return MB_OK;
    }
    if (largest > LARGEST_SAMPLE)
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "%s: a sample of %" PRId64
                            " bytes is too large to be read from chunks; store the dataset "
                            "contiguous",
                            h->base.path, largest);
    h->base.class_ = &library_class;
    h->scratch_bytes = largest > SCRATCH_BYTES ? largest : SCRATCH_BYTES;
    h->scratch = malloc((size_t)h->scratch_bytes);
    return h->scratch == NULL ? mb_error_memory(h->base.path, (size_t)h->scratch_bytes) : MB_OK;
}

/* "y" is the vocabulary of the field y, "x.3" of a column of the field x. */
static bool concerns(const mb_source_t *source, const char *words)
{
    for (int i = 0; i < source->n_fields; i++) {
        size_t length = strlen(source->fields[i].name);
        if (strncmp(words, source->fields[i].name, length) == 0 &&
            (words[length] == '\0' || words[length] == '.'))
            return true;
    }
    return false;
}

static mb_status_t take_words(hdf5_t *h)
{
    mb_vocabularies_t all;
    mb_status_t status = MB_OK;
    MB_TRY(mb_hdf5_words_read(h->hdf5, h->base.path, &all));
    for (int i = 0; i < all.n && status == MB_OK; i++) {
        mb_vocabulary_t *copy;
        if (!concerns(&h->base, all.items[i]->name))
            continue;
        status = mb_vocabulary_copy(all.items[i], &copy);
        if (status == MB_OK)
            status = mb_source_take_words(&h->base, copy);
    }
    mb_vocabularies_free(&all);
    return status;
}

static mb_status_t fill(hdf5_t *h, const mb_hdf5_choice_t *choices, const mb_source_wants_t *wants)
{
    for (int i = 0; i < h->base.n_fields; i++)
        MB_TRY(open_place(h, i, &choices[i]));
    MB_TRY(take_words(h));
    mb_source_add_channel(&h->base, wants);
    MB_TRY(mb_source_check_inputs(&h->base, wants));
    MB_TRY(settle(h));
    return digest_places(h);
}

static mb_status_t create(const char *path, int n_fields, hid_t file, hdf5_t **out)
{
    mb_source_t *source = mb_source_allocate(&direct_class, sizeof(hdf5_t), path, n_fields);
    hdf5_t *h = (hdf5_t *)source;
    place_t *places = calloc((size_t)n_fields + 1, sizeof(*places));
    if (source == NULL || places == NULL) {
        if (source != NULL)
            mb_source_release(source);
        free(places);
        H5Fclose(file);
        return mb_error_memory("an HDF5 source", sizeof(*h));
    }
    for (int i = 0; i < n_fields; i++)
        places[i].hdf5 = (mb_hdf5_dataset_t){.id = H5I_INVALID_HID, .type = H5I_INVALID_HID};
    h->places = places;
    h->hdf5 = file;
    h->file = open(path, O_RDONLY | O_CLOEXEC);
    *out = h;
    if (h->file >= 0)
        return MB_OK;
    mb_error_set(MB_ERR_IO, "%s: %s", path, strerror(errno));
    hdf5_close(source);
    return MB_ERR_IO;
}

static mb_status_t open_source(const char *path, const mb_source_wants_t *wants, mb_source_t **out)
{
    hid_t file;
    mb_hdf5_choice_t *choices = NULL;
    int n_choices = 0;
    hdf5_t *h = NULL;
    MB_TRY(mb_hdf5_data_open(path, &file));
    mb_status_t status = mb_hdf5_select(file, path, wants, &choices, &n_choices);
    if (status != MB_OK) {
        H5Fclose(file);
        return status;
    }
    status = create(path, n_choices, file, &h);
    if (status == MB_OK) {
        status = fill(h, choices, wants);
        if (status == MB_OK)
            *out = &h->base;
        else
            hdf5_close(&h->base);
    }
    free(choices);
    return status;
}

mb_status_t mb_source_open_hdf5(const char *path, const mb_source_wants_t *wants, mb_source_t **out)
{
    const char *before = mb_h5_work_on(path);
    mb_status_t status = open_source(path, wants, out);
    mb_h5_work_on(before);
    return status;
}
