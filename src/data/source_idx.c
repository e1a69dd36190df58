/* IDX images and labels: raw files are read where they lie, gzip files are inflated into memory
 * once, when the first sample is asked for. */
#define _POSIX_C_SOURCE 200809L
#include "data/extent.h"
#include "data/idx.h"
#include "data/internal.h"

#include "base/host_memory.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct {
    char *path;
    mb_idx_header_t header;
    mb_extent_t extent;
    unsigned char *inflated;
} part_t;

typedef struct {
    mb_source_t base;
    part_t parts[2]; /* images, labels */
    pthread_mutex_t inflating;
} idx_t;

static void idx_close(mb_source_t *source)
{
    idx_t *idx = (idx_t *)source;
    for (int i = 0; i < 2; i++) {
        if (idx->parts[i].extent.file >= 0)
            close(idx->parts[i].extent.file);
        free(idx->parts[i].inflated);
        free(idx->parts[i].path);
    }
    pthread_mutex_destroy(&idx->inflating);
    mb_source_release(source);
}

/* Half of the memory is the most that a compressed file may take. */
static mb_status_t check_memory(const part_t *part)
{
    char size[32];
    if (part->header.data_bytes <= mb_host_memory() / 2)
        return MB_OK;
    return mb_error_set(MB_ERR_MEMORY,
                        "%s: uncompressed it takes %s, more than half of the memory at hand; "
                        "make a file that is read piece by piece: mbrun data %s -o DATA.h5",
                        part->path, mb_str_bytes((double)part->header.data_bytes, size, 32),
                        part->path);
}

static mb_status_t inflate_part(part_t *part)
{
    mb_idx_header_t header;
    mb_idx_reader_t *reader = NULL;
    MB_TRY(check_memory(part));
    size_t bytes = (size_t)part->header.data_bytes;
    unsigned char *memory = malloc(bytes);
    if (memory == NULL)
        return mb_error_memory(part->path, bytes);
    mb_status_t status = mb_idx_open(part->path, &header, &reader);
    if (status == MB_OK && header.data_bytes != part->header.data_bytes)
        status = mb_error_set(MB_ERR_IO, "%s: the file changed since it was opened", part->path);
    if (status == MB_OK)
        status = mb_idx_read(reader, bytes, memory);
    if (status == MB_OK)
        status = mb_idx_finish(reader);
    mb_idx_close(reader);
    if (status != MB_OK) {
        free(memory);
        return status;
    }
    part->inflated = memory;
    part->extent.memory = memory;
    return MB_OK;
}

static mb_status_t ensure_inflated(idx_t *idx, part_t *part)
{
    pthread_mutex_lock(&idx->inflating);
    mb_status_t status = part->inflated == NULL ? inflate_part(part) : MB_OK;
    pthread_mutex_unlock(&idx->inflating);
    return status;
}

static mb_status_t idx_read(mb_source_t *source, int field, const int64_t *indices, int64_t count,
                            bool as_int, void *to)
{
    idx_t *idx = (idx_t *)source;
    part_t *part = &idx->parts[field];
    if (part->header.gzip)
        MB_TRY(ensure_inflated(idx, part));
    return mb_extent_read(source, field, &part->extent, indices, count, as_int, to);
}

static const mb_source_class_t idx_class = {sizeof(mb_source_class_t), "idx", idx_close, idx_read,
                                            true};

/* Bytes of images stand for [0, 1]; labels are integers as they are. */
static void describe(idx_t *idx, int field, const char *name)
{
    part_t *part = &idx->parts[field];
    const mb_idx_header_t *h = &part->header;
    mb_field_t *f = &idx->base.fields[field];
    *f = (mb_field_t){.name = name, .stored = h->dtype, .path = part->path};
    f->shape.rank = h->shape.rank - 1;
    for (int i = 0; i < f->shape.rank; i++)
        f->shape.dim[i] = h->shape.dim[i + 1];
    bool image = field == 0 && h->dtype == MB_U8 && h->shape.rank > 1;
    f->integral = !image && h->dtype != MB_F32 && h->dtype != MB_F64;
    part->extent.start = h->gzip ? 0 : h->header_bytes;
    part->extent.bytes = h->data_bytes / h->shape.dim[0];
    part->extent.stride = part->extent.bytes;
    part->extent.element =
        (mb_element_t){.stored = h->dtype,
                       .swap = mb_little_endian() && mb_dtype_bytes(h->dtype) > 1,
                       .scaled = image,
                       .scale = image ? MB_BYTE_SCALE : 1.0};
}

/* A compressed file's contents are known by its compressed bytes, which costs no inflating. */
static mb_status_t digest_part(idx_t *idx, int field)
{
    const part_t *part = &idx->parts[field];
    mb_source_t *source = &idx->base;
    mb_extent_t bytes = {.file = part->extent.file};
    struct stat info;
    if (fstat(bytes.file, &info) != 0)
        return mb_error_set(MB_ERR_IO, "%s: %s", part->path, strerror(errno));
    source->digest = mb_digest_field(source->digest, &source->fields[field], &part->extent.element,
                                     part->header.shape.dim[0]);
    return mb_extent_digest(&bytes, part->path, info.st_size, MB_DIGEST_BYTES / 2, &source->digest);
}

static mb_status_t open_part(idx_t *idx, int field, const char *name)
{
    part_t *part = &idx->parts[field];
    mb_idx_reader_t *reader;
    MB_TRY(mb_idx_open(part->path, &part->header, &reader));
    mb_idx_close(reader);
    part->extent.file = open(part->path, O_RDONLY | O_CLOEXEC);
    if (part->extent.file < 0)
        return mb_error_set(MB_ERR_IO, "%s: %s", part->path, strerror(errno));
    describe(idx, field, name);
    return digest_part(idx, field);
}

static mb_status_t check_counts(const idx_t *idx)
{
    int64_t labels = idx->parts[1].header.shape.dim[0];
    if (labels == idx->base.samples)
        return MB_OK;
    return mb_error_set(MB_ERR_DATA,
                        "%s holds %" PRId64 " samples, but %s holds %" PRId64 " labels",
                        idx->parts[0].path, idx->base.samples, idx->parts[1].path, labels);
}

static mb_status_t open_parts(idx_t *idx, const mb_source_wants_t *wants)
{
    MB_TRY(open_part(idx, 0, "x"));
    idx->base.samples = idx->parts[0].header.shape.dim[0];
    if (idx->parts[1].path != NULL) {
        MB_TRY(open_part(idx, 1, "y"));
        MB_TRY(check_counts(idx));
    }
    mb_source_add_channel(&idx->base, wants);
    return mb_source_check_inputs(&idx->base, wants);
}

mb_status_t mb_source_open_idx(const char *path, const mb_source_wants_t *wants, mb_source_t **out)
{
    char *images = NULL, *labels = NULL;
    mb_status_t status = mb_idx_find(path, wants->n_outputs > 0, &images, &labels);
    mb_source_t *source = NULL;
    if (status == MB_OK) {
        source = mb_source_allocate(&idx_class, sizeof(idx_t), images, labels == NULL ? 1 : 2);
        if (source == NULL)
            status = mb_error_memory("an IDX source", sizeof(idx_t));
    }
    if (status != MB_OK) {
        free(images);
        free(labels);
        return status;
    }
    idx_t *idx = (idx_t *)source;
    pthread_mutex_init(&idx->inflating, NULL);
    idx->parts[0] = (part_t){.path = images, .extent = {.file = -1}};
    idx->parts[1] = (part_t){.path = labels, .extent = {.file = -1}};
    status = open_parts(idx, wants);
    if (status == MB_OK)
        *out = source;
    else
        idx_close(source);
    return status;
}
