/* Chooses the kind of data by what it contains. Only tables and text have no mark of their own:
 * those are told by the ending of the name, and so is what a plugin reads. */
#define _POSIX_C_SOURCE 200809L
#include "data/internal.h"

#include "data/csv.h"
#include "data/extent.h"
#include "data/idx.h"
#include "data/image_folder.h"
#include "data/kind.h"
#include "data/npy.h"
#include "data/npz.h"
#include "data/paths.h"
#include "data/source_plugin.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* HDF5's signature stands at byte 0, 512, 1024, 2048 ... behind a user block. */
static mb_status_t has_hdf5_signature(int file, const char *path, int64_t size, bool *yes)
{
    static const unsigned char signature[8] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1A, '\n'};
    unsigned char found[8];
    *yes = false;
    for (int64_t at = 0; at + 8 <= size && !*yes; at = at == 0 ? 512 : at * 2) {
        MB_TRY(mb_read_fully(file, path, at, sizeof(found), found));
        *yes = memcmp(found, signature, sizeof(signature)) == 0;
    }
    return MB_OK;
}

static mb_status_t recognise(int file, const char *path, int64_t size, mb_data_kind_t *kind)
{
    unsigned char head[8] = {0};
    size_t n = size < 8 ? (size_t)size : 8;
    bool hdf5;
    if (size == 0)
        return mb_error_set(MB_ERR_FORMAT, "%s: the file is empty", path);
    if (mb_csv_has_ending(path)) {
        *kind = MB_DATA_TABLE;
        return MB_OK;
    }
    MB_TRY(mb_read_fully(file, path, 0, n, head));
    MB_TRY(has_hdf5_signature(file, path, size, &hdf5));
    if (hdf5)
        *kind = MB_DATA_HDF5;
    else if (mb_npy_looks_like(head, n))
        *kind = MB_DATA_NPY;
    else if (mb_npz_looks_like(head, n))
        *kind = MB_DATA_NPZ;
    else if (mb_idx_looks_like(head))
        *kind = MB_DATA_IDX;
    return MB_OK;
}

/* O_NONBLOCK: a pipe would be waited for. */
static mb_status_t kind_of_file(const char *path, mb_data_kind_t *kind)
{
    struct stat info;
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0)
        return mb_error_set(MB_ERR_IO, "%s: the data file cannot be opened: %s", path,
                            strerror(errno));
    mb_status_t status = MB_OK;
    if (fstat(file, &info) != 0)
        status = mb_error_set(MB_ERR_IO, "%s: %s", path, strerror(errno));
    else if (!S_ISREG(info.st_mode))
        status = mb_error_set(MB_ERR_IO, "%s: not a regular file", path);
    else
        status = recognise(file, path, info.st_size, kind);
    close(file);
    return status;
}

/* A folder of IDX files has the usual names in it. */
static mb_data_kind_t kind_of_folder(const char *path)
{
    if (mb_idx_in_folder(path))
        return MB_DATA_IDX;
    if (mb_npy_in_folder(path))
        return MB_DATA_NPY;
    return mb_image_folder_looks_like(path) ? MB_DATA_IMAGES : MB_DATA_UNKNOWN;
}

/* "FIRST,SECOND" and "NAME:train" are of the kind of the file in front. */
static mb_data_kind_t kind_of_pair(const char *path)
{
    size_t length = strcspn(path, ",");
    const char *colon = strrchr(path, ':');
    if (path[length] == '\0' && colon != NULL)
        length = (size_t)(colon - path);
    mb_data_kind_t kind = MB_DATA_IDX;
    char *first = strndup(path, length);
    if (first != NULL && access(first, R_OK) == 0) {
        struct stat info;
        if (stat(first, &info) == 0 && S_ISREG(info.st_mode))
            (void)kind_of_file(first, &kind);
    }
    free(first);
    return kind == MB_DATA_NPY || kind == MB_DATA_NPZ ? kind : MB_DATA_IDX;
}

mb_status_t mb_data_kind(const char *path, mb_data_kind_t *kind)
{
    struct stat info;
    bool exists = stat(path, &info) == 0;
    *kind = MB_DATA_UNKNOWN;
    if (exists && mb_source_plugin_find(path) != NULL)
        *kind = MB_DATA_PLUGIN;
    else if (exists && S_ISDIR(info.st_mode))
        *kind = kind_of_folder(path);
    else if (!exists && mb_idx_names_several(path))
        *kind = kind_of_pair(path);
    else
        return kind_of_file(path, kind);
    return MB_OK;
}

static mb_status_t unknown(const char *path)
{
    struct stat info;
    if (stat(path, &info) == 0 && S_ISDIR(info.st_mode))
        return mb_error_set(MB_ERR_IO,
                            "%s: the folder holds no train-images-idx3-ubyte[.gz], no NPY files "
                            "and no folders of images by class; name a data file",
                            path);
    return mb_error_set(MB_ERR_FORMAT,
                        "%s: neither HDF5, NPY, NPZ nor IDX (raw or gzip), and its ending is not "
                        "that of a table (.csv, .tsv); mbrun data IN -o DATA.h5 makes a data file "
                        "from text (.txt, or --text)",
                        path);
}

static mb_status_t open_one(char *path, const mb_source_wants_t *wants, mb_source_t **out)
{
    mb_data_kind_t kind;
    MB_TRY(mb_data_kind(path, &kind));
    switch (kind) {
    case MB_DATA_HDF5:
        return mb_source_open_hdf5(path, wants, out);
    case MB_DATA_IDX:
        return mb_source_open_idx(path, wants, out);
    case MB_DATA_NPY:
        return mb_source_open_npy(path, wants, out);
    case MB_DATA_NPZ:
        return mb_source_open_npz(path, wants, out);
    case MB_DATA_TABLE:
        return mb_source_open_table(&path, 1, wants, out);
    case MB_DATA_IMAGES:
        return mb_source_open_images(path, wants, out);
    case MB_DATA_PLUGIN:
        return mb_source_open_plugin(path, wants, out);
    case MB_DATA_UNKNOWN:
        break;
    }
    return unknown(path);
}

/* Tables are one kind of source even when there are several, so that words are those of all. */
static mb_status_t are_tables(const mb_paths_t *paths, bool *tables)
{
    mb_data_kind_t kind, other;
    MB_TRY(mb_data_kind(paths->path[0], &kind));
    for (int i = 1; i < paths->n; i++) {
        MB_TRY(mb_data_kind(paths->path[i], &other));
        if ((kind == MB_DATA_TABLE) != (other == MB_DATA_TABLE))
            return mb_error_set(MB_ERR_ARGUMENT,
                                "%s is a table and %s is none: data is joined of one kind",
                                paths->path[kind == MB_DATA_TABLE ? 0 : i],
                                paths->path[kind == MB_DATA_TABLE ? i : 0]);
    }
    *tables = kind == MB_DATA_TABLE;
    return MB_OK;
}

static void close_all(mb_source_t **sources, int n)
{
    for (int i = 0; i < n; i++)
        mb_source_close(sources[i]);
}

static mb_status_t open_parts(const mb_paths_t *paths, const mb_source_wants_t *wants,
                              mb_source_t **out)
{
    mb_source_t **parts = calloc((size_t)paths->n, sizeof(*parts));
    mb_status_t status = parts == NULL ? mb_error_memory("joined data", (size_t)paths->n) : MB_OK;
    int n = 0;
    while (n < paths->n && status == MB_OK) {
        status = open_one(paths->path[n], wants, &parts[n]);
        n += status == MB_OK;
    }
    if (status == MB_OK)
        status = mb_source_join(parts, n, out);
    else
        close_all(parts, n);
    free(parts);
    return status;
}

static mb_status_t open_paths(const mb_paths_t *paths, const mb_source_wants_t *wants,
                              mb_source_t **out)
{
    bool tables = false;
    if (paths->n == 1)
        return open_one(paths->path[0], wants, out);
    MB_TRY(are_tables(paths, &tables));
    if (tables)
        return mb_source_open_table(paths->path, paths->n, wants, out);
    return open_parts(paths, wants, out);
}

/* Integers must mean the same words as in the data that this goes with. */
static mb_status_t check_known(const mb_source_t *source, const mb_vocabularies_t *known)
{
    for (int i = 0; i < source->words.n; i++) {
        const mb_vocabulary_t *own = source->words.items[i];
        const mb_vocabulary_t *other = mb_vocabularies_find(known, own->name);
        if (other == NULL || mb_vocabulary_equal(own, other))
            continue;
        return mb_error_set(MB_ERR_DATA,
                            "%s: the words that integers of '%s' stand for are not those of the "
                            "data that this goes with",
                            source->path, own->name);
    }
    return MB_OK;
}

mb_status_t mb_source_open(const char *path, const mb_source_wants_t *wants, mb_source_t **out)
{
    mb_paths_t paths;
    mb_source_t *source = NULL;
    MB_TRY(mb_paths_expand(path, &paths));
    mb_status_t status = open_paths(&paths, wants, &source);
    mb_paths_free(&paths);
    MB_TRY(status);
    status = check_known(source, wants->form.known);
    if (status == MB_OK)
        *out = source;
    else
        mb_source_close(source);
    return status;
}
