/* NumPy arrays as samples. Arrays in files of their own and stored members of an archive are read
 * where they lie; a deflated member is inflated once, when its first sample is asked for. */
#define _POSIX_C_SOURCE 200809L
#include "data/extent.h"
#include "data/internal.h"
#include "data/npy.h"
#include "data/npz.h"
#include "data/spool.h"

#include "base/str.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct {
    char *name; /* of the field */
    char *path; /* the file, or "ARCHIVE: member 'x.npy'" */
    int member; /* -1: a file of its own */
    int file;   /* of its own; -1 */
    mb_npy_header_t header;
    mb_extent_t extent;
    mb_spool_t spool;
} array_t;

typedef struct {
    array_t *items;
    int n;
} arrays_t;

typedef struct {
    mb_source_t base;
    arrays_t arrays; /* one a field */
    mb_npz_t *archive;
    pthread_mutex_t inflating;
} npy_t;

static void free_array(array_t *array)
{
    if (array->file >= 0)
        close(array->file);
    mb_spool_free(&array->spool);
    free(array->name);
    free(array->path);
}

static void free_arrays(arrays_t *arrays)
{
    for (int i = 0; i < arrays->n; i++)
        free_array(&arrays->items[i]);
    free(arrays->items);
    *arrays = (arrays_t){NULL, 0};
}

static void npy_close(mb_source_t *source)
{
    npy_t *npy = (npy_t *)source;
    free_arrays(&npy->arrays);
    mb_npz_close(npy->archive);
    pthread_mutex_destroy(&npy->inflating);
    mb_source_release(source);
}

/* Takes NAME and PATH over, with an error too. */
static mb_status_t add_array(arrays_t *arrays, char *name, char *path, int member)
{
    array_t *items = realloc(arrays->items, (size_t)(arrays->n + 1) * sizeof(*items));
    if (items != NULL)
        arrays->items = items;
    if (items == NULL || name == NULL || path == NULL) {
        free(name);
        free(path);
        return mb_error_memory("a list of arrays", (size_t)arrays->n);
    }
    items[arrays->n++] =
        (array_t){.name = name, .path = path, .member = member, .file = -1, .extent = {.file = -1}};
    return MB_OK;
}

static size_t name_length(const char *file)
{
    size_t length = strlen(file);
    return length > 4 && strcmp(file + length - 4, ".npy") == 0 ? length - 4 : 0;
}

static mb_status_t inflate_array(const npy_t *npy, array_t *array)
{
    mb_npz_reader_t *reader;
    mb_npy_header_t header;
    mb_spool_t spool = {NULL, 0, 0};
    MB_TRY(mb_npz_reader_open(npy->archive, array->member, &reader));
    mb_status_t status = mb_spool_create(array->header.data_bytes, array->path, &spool);
    if (status == MB_OK)
        status = mb_npy_read_header(array->path, mb_npz_reader_read, reader, &header);
    if (status == MB_OK)
        status = mb_npz_reader_read(reader, (size_t)array->header.data_bytes, spool.bytes);
    if (status == MB_OK)
        status = mb_npz_reader_finish(reader);
    mb_npz_reader_close(reader);
    if (status != MB_OK) {
        mb_spool_free(&spool);
        return status;
    }
    array->spool = spool;
    array->extent.memory = spool.bytes;
    return MB_OK;
}

static mb_status_t ensure_inflated(npy_t *npy, array_t *array)
{
    pthread_mutex_lock(&npy->inflating);
    mb_status_t status = array->spool.bytes == NULL ? inflate_array(npy, array) : MB_OK;
    pthread_mutex_unlock(&npy->inflating);
    return status;
}

static mb_status_t npy_read(mb_source_t *source, int field, const int64_t *indices, int64_t count,
                            bool as_int, void *to)
{
    npy_t *npy = (npy_t *)source;
    array_t *array = &npy->arrays.items[field];
    if (array->extent.file < 0)
        MB_TRY(ensure_inflated(npy, array));
    return mb_extent_read(source, field, &array->extent, indices, count, as_int, to);
}

static const mb_source_class_t npy_class = {sizeof(mb_source_class_t), "npy", npy_close, npy_read,
                                            true};

typedef struct {
    const array_t *array;
    int64_t at;
} position_t;

static mb_status_t read_file(void *user, size_t bytes, void *to)
{
    position_t *position = user;
    MB_TRY(mb_read_fully(position->array->file, position->array->path, position->at, bytes, to));
    position->at += (int64_t)bytes;
    return MB_OK;
}

static mb_status_t check_size(const array_t *array, int64_t size)
{
    int64_t wanted = array->header.header_bytes + array->header.data_bytes;
    if (wanted == size)
        return MB_OK;
    return mb_error_set(MB_ERR_FORMAT,
                        "%s: the NPY header describes a file of %" PRId64
                        " bytes, but it has %" PRId64 "%s; save the array again",
                        array->path, wanted, size, size < wanted ? ": it is truncated" : "");
}

static mb_status_t open_own_file(array_t *array)
{
    struct stat info;
    position_t position = {array, 0};
    array->file = open(array->path, O_RDONLY | O_CLOEXEC);
    if (array->file < 0 || fstat(array->file, &info) != 0)
        return mb_error_set(MB_ERR_IO, "%s: the array cannot be opened: %s", array->path,
                            strerror(errno));
    MB_TRY(mb_npy_read_header(array->path, read_file, &position, &array->header));
    MB_TRY(check_size(array, info.st_size));
    array->extent.file = array->file;
    array->extent.start = array->header.header_bytes;
    return MB_OK;
}

static mb_status_t open_member(const npy_t *npy, array_t *array)
{
    const mb_npz_member_t *member = &npy->archive->members[array->member];
    mb_npz_reader_t *reader;
    MB_TRY(mb_npz_reader_open(npy->archive, array->member, &reader));
    int64_t start = mb_npz_reader_start(reader);
    mb_status_t status =
        mb_npy_read_header(array->path, mb_npz_reader_read, reader, &array->header);
    mb_npz_reader_close(reader);
    MB_TRY(status);
    MB_TRY(check_size(array, member->bytes));
    if (member->deflated)
        return MB_OK;
    array->extent.file = npy->archive->file;
    array->extent.start = start + array->header.header_bytes;
    return MB_OK;
}

static void describe(npy_t *npy, int i)
{
    array_t *array = &npy->arrays.items[i];
    const mb_npy_header_t *h = &array->header;
    mb_field_t *field = &npy->base.fields[i];
    *field = (mb_field_t){.name = array->name, .stored = h->dtype, .path = array->path};
    field->integral = h->dtype >= MB_I8 && h->dtype <= MB_U64;
    field->shape.rank = h->shape.rank - 1;
    for (int d = 0; d < field->shape.rank; d++)
        field->shape.dim[d] = h->shape.dim[d + 1];
    array->extent.bytes = h->data_bytes / h->shape.dim[0];
    array->extent.stride = array->extent.bytes;
    array->extent.element = (mb_element_t){.stored = h->dtype, .swap = h->swap};
    mb_element_tabulate(&array->extent.element);
}

static mb_status_t check_samples(npy_t *npy, int i)
{
    const array_t *first = &npy->arrays.items[0], *array = &npy->arrays.items[i];
    npy->base.samples = first->header.shape.dim[0];
    if (array->header.shape.dim[0] == npy->base.samples)
        return MB_OK;
    return mb_error_set(MB_ERR_DATA,
                        "%s has %" PRId64 " samples, but %s has %" PRId64
                        " (the length of the first axis)",
                        first->path, npy->base.samples, array->path, array->header.shape.dim[0]);
}

/* A deflated member is known by its packed bytes, which costs no inflating. */
static mb_status_t digest_array(npy_t *npy, int i)
{
    const array_t *array = &npy->arrays.items[i];
    mb_source_t *source = &npy->base;
    mb_extent_t packed = {.file = -1};
    int64_t limit = MB_DIGEST_BYTES / npy->arrays.n;
    source->digest = mb_digest_field(source->digest, &source->fields[i], &array->extent.element,
                                     source->samples);
    if (array->extent.file >= 0)
        return mb_extent_digest(&array->extent, array->path, array->header.data_bytes, limit,
                                &source->digest);
    const mb_npz_member_t *member = &npy->archive->members[array->member];
    packed.file = npy->archive->file;
    packed.start = member->header;
    return mb_extent_digest(&packed, array->path, member->packed_bytes, limit, &source->digest);
}

static mb_status_t set_up(npy_t *npy, const mb_source_wants_t *wants)
{
    for (int i = 0; i < npy->arrays.n; i++) {
        array_t *array = &npy->arrays.items[i];
        MB_TRY(array->member < 0 ? open_own_file(array) : open_member(npy, array));
        describe(npy, i);
        MB_TRY(check_samples(npy, i));
    }
    mb_source_add_channel(&npy->base, wants);
    MB_TRY(mb_source_check_inputs(&npy->base, wants));
    for (int i = 0; i < npy->arrays.n; i++)
        MB_TRY(digest_array(npy, i));
    return MB_OK;
}

static void keep_chosen(arrays_t *arrays, const bool *chosen)
{
    int kept = 0;
    for (int i = 0; i < arrays->n; i++) {
        if (chosen[i])
            arrays->items[kept++] = arrays->items[i];
        else
            free_array(&arrays->items[i]);
    }
    arrays->n = kept;
}

/* Keeps those arrays that the model wants. */
static mb_status_t keep_wanted(arrays_t *arrays, const char *path, const mb_source_wants_t *wants)
{
    size_t n = (size_t)arrays->n;
    const char **names = calloc(n + 1, sizeof(*names));
    bool *chosen = calloc(n + 1, sizeof(*chosen));
    mb_status_t status =
        names == NULL || chosen == NULL ? mb_error_memory("a list of arrays", n) : MB_OK;
    for (int i = 0; i < arrays->n && status == MB_OK; i++)
        names[i] = arrays->items[i].name;
    if (status == MB_OK)
        status = mb_source_choose(path, names, arrays->n, wants, chosen);
    if (status == MB_OK)
        keep_chosen(arrays, chosen);
    free(names);
    free(chosen);
    return status;
}

/* Takes ARRAYS and ARCHIVE over, with an error too. */
static mb_status_t open_arrays(const char *path, arrays_t *arrays, mb_npz_t *archive,
                               const mb_source_wants_t *wants, mb_source_t **out)
{
    mb_source_t *source = NULL;
    mb_status_t status = keep_wanted(arrays, path, wants);
    if (status == MB_OK) {
        source = mb_source_allocate(&npy_class, sizeof(npy_t), path, arrays->n);
        status = source == NULL ? mb_error_memory("arrays", sizeof(npy_t)) : MB_OK;
    }
    if (status != MB_OK) {
        free_arrays(arrays);
        mb_npz_close(archive);
        return status;
    }
    npy_t *npy = (npy_t *)source;
    npy->arrays = *arrays;
    npy->archive = archive;
    pthread_mutex_init(&npy->inflating, NULL);
    status = set_up(npy, wants);
    if (status == MB_OK)
        *out = source;
    else
        npy_close(source);
    return status;
}

bool mb_npy_in_folder(const char *path)
{
    DIR *folder = opendir(path);
    bool found = false;
    if (folder == NULL)
        return false;
    for (struct dirent *entry = readdir(folder); entry != NULL && !found; entry = readdir(folder))
        found = entry->d_name[0] != '.' && name_length(entry->d_name) > 0;
    closedir(folder);
    return found;
}

static mb_status_t add_entry(arrays_t *arrays, const char *folder, const char *file)
{
    mb_str_t path = {0};
    if (file[0] == '.' || name_length(file) == 0)
        return MB_OK;
    mb_str_addf(&path, "%s/%s", folder, file);
    return add_array(arrays, strndup(file, name_length(file)), path.text, -1);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const array_t *)a)->name, ((const array_t *)b)->name);
}

static mb_status_t list_folder(const char *path, arrays_t *arrays)
{
    DIR *folder = opendir(path);
    mb_status_t status = MB_OK;
    if (folder == NULL)
        return mb_error_set(MB_ERR_IO, "%s: the folder cannot be read: %s", path, strerror(errno));
    for (struct dirent *entry = readdir(folder); entry != NULL && status == MB_OK;
         entry = readdir(folder))
        status = add_entry(arrays, path, entry->d_name);
    closedir(folder);
    if (arrays->n > 0)
        qsort(arrays->items, (size_t)arrays->n, sizeof(array_t), by_name);
    return status;
}

static mb_status_t list_files(const char *path, arrays_t *arrays)
{
    const char *comma = access(path, F_OK) == 0 ? NULL : strchr(path, ',');
    size_t length = comma == NULL ? strlen(path) : (size_t)(comma - path);
    MB_TRY(add_array(arrays, strdup("x"), strndup(path, length), -1));
    return comma == NULL ? MB_OK : add_array(arrays, strdup("y"), strdup(comma + 1), -1);
}

static mb_status_t check_targets(const char *path, const arrays_t *arrays,
                                 const mb_source_wants_t *wants)
{
    if (arrays->n != 1 || wants->n_outputs != 1 || strcmp(arrays->items[0].name, "x") != 0)
        return MB_OK;
    return mb_error_set(MB_ERR_DATA,
                        "%s: one array has no targets; name both as X.npy,Y.npy, or a folder of "
                        "arrays, or an NPZ archive",
                        path);
}

mb_status_t mb_source_open_npy(const char *path, const mb_source_wants_t *wants, mb_source_t **out)
{
    struct stat info;
    arrays_t arrays = {NULL, 0};
    bool folder = stat(path, &info) == 0 && S_ISDIR(info.st_mode);
    mb_status_t status = folder ? list_folder(path, &arrays) : list_files(path, &arrays);
    if (status == MB_OK && !folder)
        status = check_targets(path, &arrays, wants);
    if (status == MB_OK)
        return open_arrays(path, &arrays, NULL, wants, out);
    free_arrays(&arrays);
    return status;
}

/* With "ARCHIVE.npz:train" the members are x_train.npy and so on, as in Keras' mnist.npz. */
static mb_status_t list_members(const mb_npz_t *archive, const char *split, arrays_t *arrays)
{
    size_t tail = split == NULL ? 0 : strlen(split) + 1;
    for (int i = 0; i < archive->n_members; i++) {
        const char *member = archive->members[i].name;
        size_t length = name_length(member);
        if (length <= tail)
            continue;
        if (split != NULL && (member[length - tail] != '_' ||
                              strncmp(member + length - tail + 1, split, tail - 1) != 0))
            continue;
        mb_str_t path = {0};
        mb_str_addf(&path, "%s: member '%s'", archive->path, member);
        MB_TRY(add_array(arrays, strndup(member, length - tail), path.text, i));
    }
    return MB_OK;
}

mb_status_t mb_source_open_npz(const char *path, const mb_source_wants_t *wants, mb_source_t **out)
{
    const char *colon = access(path, F_OK) == 0 ? NULL : strrchr(path, ':');
    mb_npz_t *archive = NULL;
    arrays_t arrays = {NULL, 0};
    char *file = strndup(path, colon == NULL ? strlen(path) : (size_t)(colon - path));
    if (file == NULL)
        return mb_error_memory(path, strlen(path));
    mb_status_t status = mb_npz_open(file, &archive);
    free(file);
    if (status == MB_OK)
        status = list_members(archive, colon == NULL ? NULL : colon + 1, &arrays);
    if (status == MB_OK)
        return open_arrays(path, &arrays, archive, wants, out);
    free_arrays(&arrays);
    mb_npz_close(archive);
    return status;
}
