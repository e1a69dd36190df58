/* Chooses the kind of a data file by what it contains, never by its name. */
#define _POSIX_C_SOURCE 200809L
#include "data/internal.h"

#include "data/extent.h"
#include "data/idx.h"

#include <errno.h>
#include <fcntl.h>
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

typedef enum { KIND_OTHER, KIND_HDF5, KIND_IDX } kind_t;

static mb_status_t recognise(int file, const char *path, int64_t size, kind_t *kind)
{
    unsigned char head[4] = {0};
    bool hdf5;
    *kind = KIND_OTHER;
    if (size == 0)
        return mb_error_set(MB_ERR_FORMAT, "%s: the file is empty", path);
    MB_TRY(mb_read_fully(file, path, 0, size < 4 ? (size_t)size : 4, head));
    MB_TRY(has_hdf5_signature(file, path, size, &hdf5));
    if (hdf5)
        *kind = KIND_HDF5;
    else if (mb_idx_looks_like(head))
        *kind = KIND_IDX;
    return MB_OK;
}

static mb_status_t open_file(const char *path, const mb_source_wants_t *wants, mb_source_t **out)
{
    struct stat info;
    kind_t kind = KIND_OTHER;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return mb_error_set(MB_ERR_IO, "%s: the data file cannot be opened: %s", path,
                            strerror(errno));
    mb_status_t status = MB_OK;
    if (fstat(file, &info) != 0)
        status = mb_error_set(MB_ERR_IO, "%s: %s", path, strerror(errno));
    else if (!S_ISREG(info.st_mode))
        status = mb_error_set(MB_ERR_IO, "%s: not a regular file", path);
    else
        status = recognise(file, path, info.st_size, &kind);
    close(file);
    MB_TRY(status);
    if (kind == KIND_HDF5)
        return mb_source_open_hdf5(path, wants, out);
    if (kind == KIND_IDX)
        return mb_source_open_idx(path, wants, out);
    return mb_error_set(MB_ERR_FORMAT,
                        "%s: neither HDF5 nor IDX (raw or gzip); 'mbrun data IN -o DATA.h5' makes "
                        "a data file from IDX or text",
                        path);
}

mb_status_t mb_source_open(const char *path, const mb_source_wants_t *wants, mb_source_t **out)
{
    struct stat info;
    bool exists = stat(path, &info) == 0;
    if ((exists && S_ISDIR(info.st_mode)) || (!exists && mb_idx_names_several(path)))
        return mb_source_open_idx(path, wants, out);
    return open_file(path, wants, out);
}
