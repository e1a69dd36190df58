/* See output.h. Space is reserved before the first byte is written, so that a full disk shows
 * early. */
#define _POSIX_C_SOURCE 200809L
#include "data/output.h"

#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <hdf5.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ALIGN_ABOVE 65536
#define ALIGN_TO 4096
#define METADATA_BYTES 16384

static mb_status_t hdf5_failed(const mb_output_t *o, const char *what)
{
    return mb_error_set(MB_ERR_IO, "%s: %s could not be created in the new file (%s)", o->path,
                        what, strerror(errno));
}

static hid_t file_type(mb_dtype_t dtype)
{
    switch (dtype) {
    case MB_F32:
        return H5T_NATIVE_FLOAT;
    case MB_F64:
        return H5T_NATIVE_DOUBLE;
    case MB_I8:
        return H5T_NATIVE_INT8;
    case MB_U8:
        return H5T_NATIVE_UINT8;
    case MB_I16:
        return H5T_NATIVE_INT16;
    case MB_I32:
        return H5T_NATIVE_INT32;
    default:
        return H5I_INVALID_HID;
    }
}

static bool write_scale(hid_t dataset, double scale)
{
    hid_t space = H5Screate(H5S_SCALAR);
    hid_t attribute =
        H5Acreate2(dataset, "scale_factor", H5T_NATIVE_DOUBLE, space, H5P_DEFAULT, H5P_DEFAULT);
    bool done = attribute >= 0 && H5Awrite(attribute, H5T_NATIVE_DOUBLE, &scale) >= 0;
    if (attribute >= 0)
        H5Aclose(attribute);
    H5Sclose(space);
    return done;
}

static bool create_dataset(hid_t file, mb_output_dataset_t *d)
{
    hsize_t dims[MB_MAX_RANK];
    for (int i = 0; i < d->shape.rank; i++)
        dims[i] = (hsize_t)d->shape.dim[i];
    hid_t space = H5Screate_simple(d->shape.rank, dims, NULL);
    hid_t plist = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_layout(plist, H5D_CONTIGUOUS);
    H5Pset_alloc_time(plist, H5D_ALLOC_TIME_EARLY);
    H5Pset_fill_time(plist, H5D_FILL_TIME_NEVER);
    hid_t dataset =
        H5Dcreate2(file, d->name, file_type(d->dtype), space, H5P_DEFAULT, plist, H5P_DEFAULT);
    bool done = dataset >= 0 && (!d->scaled || write_scale(dataset, d->scale));
    if (dataset >= 0) {
        haddr_t offset = H5Dget_offset(dataset);
        done = done && offset != HADDR_UNDEF;
        d->offset = (int64_t)offset;
        H5Dclose(dataset);
    }
    H5Pclose(plist);
    H5Sclose(space);
    return done;
}

static mb_status_t create_layout(const mb_output_t *o, mb_output_dataset_t *datasets, int n)
{
    mb_status_t status = MB_OK;
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_libver_bounds(access, H5F_LIBVER_V18, H5F_LIBVER_LATEST);
    H5Pset_alignment(access, ALIGN_ABOVE, ALIGN_TO);
    hid_t file = H5Fcreate(o->temporary, H5F_ACC_EXCL, H5P_DEFAULT, access);
    H5Pclose(access);
    if (file < 0)
        return hdf5_failed(o, "a file");
    for (int i = 0; i < n && status == MB_OK; i++) {
        if (!create_dataset(file, &datasets[i]))
            status = hdf5_failed(o, datasets[i].name);
    }
    if (H5Fclose(file) < 0 && status == MB_OK)
        status = hdf5_failed(o, "the layout");
    return status;
}

static mb_status_t no_room(const mb_output_t *o, int64_t bytes, int code)
{
    char size[32];
    return mb_error_set(MB_ERR_IO, "%s: no room for a file of %s: %s", o->path,
                        mb_str_bytes((double)bytes, size, sizeof(size)), strerror(code));
}

static bool cannot_reserve(int code)
{
    return code != 0 && code != EOPNOTSUPP && code != EINVAL;
}

/* Tries the file and its size before HDF5 does: open and fallocate say exactly what is wrong, while
 * HDF5 1.10 crashes at exit when it could not write a file to its end. */
static mb_status_t try_space(const mb_output_t *o, const mb_output_dataset_t *datasets, int n)
{
    int64_t bytes = METADATA_BYTES;
    for (int i = 0; i < n; i++)
        bytes += mb_shape_elements(&datasets[i].shape) * (int64_t)mb_dtype_bytes(datasets[i].dtype);
    int file = open(o->temporary, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (file < 0)
        return mb_error_set(MB_ERR_IO, "%s: cannot be created: %s", o->path, strerror(errno));
    int code = posix_fallocate(file, 0, bytes);
    close(file);
    unlink(o->temporary);
    return cannot_reserve(code) ? no_room(o, bytes, code) : MB_OK;
}

static mb_status_t reserve_space(mb_output_t *o)
{
    struct stat info;
    o->file = open(o->temporary, O_RDWR | O_CLOEXEC);
    if (o->file < 0 || fstat(o->file, &info) != 0)
        return mb_error_set(MB_ERR_IO, "%s: %s", o->temporary, strerror(errno));
    o->bytes = info.st_size;
    int code = posix_fallocate(o->file, 0, info.st_size);
    return cannot_reserve(code) ? no_room(o, o->bytes, code) : MB_OK;
}

mb_status_t mb_output_create(const char *path, mb_output_dataset_t *datasets, int n_datasets,
                             mb_output_t *out)
{
    mb_str_t name = {0};
    *out = (mb_output_t){.path = path, .file = -1};
    mb_str_addf(&name, "%s.tmp.%ld", path, (long)getpid());
    if (name.text == NULL)
        return mb_error_memory("a file name", strlen(path));
    out->temporary = name.text;
    MB_TRY(try_space(out, datasets, n_datasets));
    mb_status_t status;
    H5E_BEGIN_TRY
    {
        status = create_layout(out, datasets, n_datasets);
        H5Eclear2(H5E_DEFAULT);
    }
    H5E_END_TRY;
    return status == MB_OK ? reserve_space(out) : status;
}

mb_status_t mb_output_write(const mb_output_t *output, int64_t offset, const void *from,
                            size_t bytes)
{
    const char *next = from;
    while (bytes > 0) {
        ssize_t done = pwrite(output->file, next, bytes, (off_t)offset);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return mb_error_set(MB_ERR_IO, "%s: writing %zu bytes: %s", output->path, bytes,
                                strerror(done < 0 ? errno : ENOSPC));
        next += done;
        offset += done;
        bytes -= (size_t)done;
    }
    return MB_OK;
}

/* A rename is durable when its directory is. */
static mb_status_t sync_directory(const char *path)
{
    const char *slash = strrchr(path, '/');
    mb_str_t folder = {0};
    if (slash == NULL)
        mb_str_add(&folder, ".");
    else
        mb_str_addf(&folder, "%.*s", (int)(slash - path) + 1, path);
    if (folder.text == NULL)
        return mb_error_memory("a file name", strlen(path));
    int directory = open(folder.text, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool synced = directory >= 0 && fsync(directory) == 0;
    mb_status_t status = MB_OK;
    if (!synced && errno != EINVAL)
        status = mb_error_set(MB_ERR_IO, "%s: %s", folder.text, strerror(errno));
    if (directory >= 0)
        close(directory);
    mb_str_free(&folder);
    return status;
}

mb_status_t mb_output_commit(mb_output_t *output)
{
    if (fsync(output->file) != 0)
        return mb_error_set(MB_ERR_IO, "%s: %s", output->path, strerror(errno));
    int file = output->file;
    output->file = -1;
    if (close(file) != 0 || rename(output->temporary, output->path) != 0)
        return mb_error_set(MB_ERR_IO, "%s: %s", output->path, strerror(errno));
    free(output->temporary);
    output->temporary = NULL;
    return sync_directory(output->path);
}

void mb_output_close(mb_output_t *output)
{
    if (output->file >= 0)
        close(output->file);
    if (output->temporary != NULL)
        unlink(output->temporary);
    free(output->temporary);
    *output = (mb_output_t){.file = -1};
}
