/* Values are read as they are stored and converted by element.c, because HDF5's own conversions are
 * slow and, for narrow floats, not always right. */
#define _POSIX_C_SOURCE 200809L
#include "data/hdf5_dataset.h"

#include "base/str.h"
#include "store/h5.h"
#include "store/h5_storage.h"

#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CACHE_BYTES ((size_t)256 << 20)

/* Adds the innermost cause from HDF5's error stack, which is then cleared. */
static mb_status_t fail(mb_status_t status, const char *path, const char *what)
{
    char cause[512] = "";
    bool known = H5Eget_num(H5E_DEFAULT) > 0;
    mb_h5_reason(cause, sizeof cause);
    H5Eclear2(H5E_DEFAULT);
    return known ? mb_error_set(status, "%s: %s (HDF5: %s)", path, what, cause)
                 : mb_error_set(status, "%s: %s", path, what);
}

/* A child process of the host's must not inherit the file. */
static void close_on_exec(hid_t file)
{
    int *descriptor = NULL;
    if (H5Fget_vfd_handle(file, H5P_DEFAULT, (void **)&descriptor) >= 0 && descriptor != NULL)
        fcntl(*descriptor, F_SETFD, FD_CLOEXEC);
}

mb_status_t mb_hdf5_data_open(const char *path, hid_t *out)
{
    mb_status_t status = MB_OK;
    H5E_BEGIN_TRY
    {
        hid_t access = H5Pcreate(H5P_FILE_ACCESS);
#if H5_VERSION_GE(1, 10, 7)
        H5Pset_file_locking(access, 1, 1);
#endif
        *out = H5Fopen(path, H5F_ACC_RDONLY, access);
        if (*out < 0)
            status = fail(MB_ERR_FORMAT, path, "cannot be read as HDF5: truncated or damaged");
        else
            close_on_exec(*out);
        H5Pclose(access);
    }
    H5E_END_TRY;
    return status;
}

static bool is_dataset(hid_t file, const char *name)
{
    bool yes = false;
    hid_t object = H5Oopen(file, name, H5P_DEFAULT);
    if (object >= 0) {
        yes = H5Iget_type(object) == H5I_DATASET;
        H5Oclose(object);
    }
    return yes;
}

bool mb_hdf5_data_has(hid_t file, const char *name)
{
    bool yes = false;
    H5E_BEGIN_TRY
    {
        /* What is refused when it is opened is there. */
        yes = H5Lexists(file, name, H5P_DEFAULT) > 0 &&
              (is_dataset(file, name) || mb_h5_check_link(file, "", name) != MB_OK);
        H5Eclear2(H5E_DEFAULT);
    }
    H5E_END_TRY;
    return yes;
}

char *mb_hdf5_data_names(hid_t file)
{
    mb_str_t names = {0};
    H5E_BEGIN_TRY
    {
        H5G_info_t info = {0};
        H5Gget_info(file, &info);
        for (hsize_t i = 0; i < info.nlinks && i < 64; i++) {
            char name[128];
            ssize_t length = H5Lget_name_by_idx(file, ".", H5_INDEX_NAME, H5_ITER_INC, i, name,
                                                sizeof(name), H5P_DEFAULT);
            if (length > 0 && is_dataset(file, name))
                mb_str_addf(&names, "%s'%s'", names.length > 0 ? ", " : "", name);
        }
        H5Eclear2(H5E_DEFAULT);
    }
    H5E_END_TRY;
    if (names.length == 0)
        mb_str_add(&names, "no dataset");
    return names.text;
}

static bool integer_type(hid_t type, mb_dtype_t *dtype)
{
    static const mb_dtype_t by_size[9][2] = {[1] = {MB_U8, MB_I8},
                                             [2] = {MB_U16, MB_I16},
                                             [4] = {MB_U32, MB_I32},
                                             [8] = {MB_U64, MB_I64}};
    size_t size = H5Tget_size(type);
    if ((size != 1 && size != 2 && size != 4 && size != 8) || H5Tget_precision(type) != 8 * size)
        return false;
    *dtype = by_size[size][H5Tget_sign(type) == H5T_SGN_2];
    return true;
}

static bool float_type(hid_t type, mb_dtype_t *dtype)
{
    static const struct {
        mb_dtype_t dtype;
        size_t size, exponent_bits, fraction_bits, bias;
    } known[] = {{MB_F32, 4, 8, 23, 127},
                 {MB_F64, 8, 11, 52, 1023},
                 {MB_F16, 2, 5, 10, 15},
                 {MB_BF16, 2, 8, 7, 127}};
    size_t sign, exponent, exponent_bits, fraction, fraction_bits;
    if (H5Tget_fields(type, &sign, &exponent, &exponent_bits, &fraction, &fraction_bits) < 0)
        return false;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (H5Tget_size(type) != known[i].size || exponent_bits != known[i].exponent_bits ||
            fraction_bits != known[i].fraction_bits || H5Tget_ebias(type) != known[i].bias ||
            fraction != 0 || sign != 8 * known[i].size - 1)
            continue;
        *dtype = known[i].dtype;
        return true;
    }
    return false;
}

/* h5py keeps booleans as an enumeration over int8, so enumerations count as their integers. */
static bool known_type(hid_t type, mb_element_t *element)
{
    H5T_class_t class_ = H5Tget_class(type);
    hid_t number = class_ == H5T_ENUM ? H5Tget_super(type) : H5Tcopy(type);
    bool known = class_ == H5T_FLOAT ? float_type(number, &element->stored)
                                     : (class_ == H5T_INTEGER || class_ == H5T_ENUM) &&
                                           integer_type(number, &element->stored);
    H5T_order_t order = H5Tget_order(number);
    element->swap = order != H5Tget_order(H5T_NATIVE_INT) && H5Tget_size(number) > 1;
    H5Tclose(number);
    return known;
}

static const char *class_name(hid_t type)
{
    switch (H5Tget_class(type)) {
    case H5T_COMPOUND:
        return "a compound type";
    case H5T_STRING:
        return "strings";
    case H5T_VLEN:
        return "sequences of variable length";
    case H5T_FLOAT:
        return "floating-point numbers of an unusual format";
    case H5T_INTEGER:
        return "integers of an unusual format";
    default:
        return "an HDF5 type that holds no numbers";
    }
}

static mb_status_t refuse(mb_status_t status, const char *path, const char *name, const char *what)
{
    return mb_error_set(status, "%s: dataset '%s': %s", path, name, what);
}

static mb_status_t describe_type(mb_hdf5_dataset_t *d, const char *path, const char *name)
{
    d->type = H5Dget_type(d->id);
    if (d->type >= 0 && known_type(d->type, &d->element))
        return MB_OK;
    return mb_error_set(MB_ERR_FORMAT,
                        "%s: dataset '%s' holds %s; wanted are integers or float16, bfloat16, "
                        "float32 or float64",
                        path, name, class_name(d->type));
}

static mb_status_t describe_shape(mb_hdf5_dataset_t *d, const char *path, const char *name)
{
    hid_t space = H5Dget_space(d->id);
    int rank = H5Sget_simple_extent_ndims(space);
    hsize_t dims[H5S_MAX_RANK] = {0};
    bool simple = rank >= 1 && H5Sget_simple_extent_dims(space, dims, NULL) == rank;
    H5Sclose(space);
    if (!simple || rank > MB_MAX_RANK)
        return refuse(MB_ERR_FORMAT, path, name,
                      "its first axis must count samples, with at most 7 axes behind it");
    d->shape.rank = rank;
    int64_t elements = 1;
    for (int i = 0; i < rank; i++) {
        if (dims[i] == 0)
            return refuse(MB_ERR_DATA, path, name, "it is empty: one of its axes has length 0");
        if (dims[i] > (hsize_t)((INT64_C(1) << 56) / elements))
            return refuse(MB_ERR_FORMAT, path, name, "its size is absurd");
        d->shape.dim[i] = (int64_t)dims[i];
        elements *= d->shape.dim[i];
    }
    return MB_OK;
}

/* A CF attribute of one number; OTHERWISE where it is absent. */
static mb_status_t number_attribute(const mb_hdf5_dataset_t *d, const char *path, const char *name,
                                    const char *attribute, double otherwise, double *out)
{
    *out = otherwise;
    if (H5Aexists(d->id, attribute) <= 0)
        return MB_OK;
    hid_t id = H5Aopen(d->id, attribute, H5P_DEFAULT);
    hid_t space = H5Aget_space(id), type = H5Aget_type(id);
    H5T_class_t class_ = H5Tget_class(type);
    bool good = H5Sget_simple_extent_npoints(space) == 1 &&
                (class_ == H5T_FLOAT || class_ == H5T_INTEGER) &&
                H5Aread(id, H5T_NATIVE_DOUBLE, out) >= 0 && isfinite(*out);
    H5Tclose(type);
    H5Sclose(space);
    H5Aclose(id);
    if (good)
        return MB_OK;
    return mb_error_set(MB_ERR_FORMAT, "%s: dataset '%s': attribute '%s' must be one finite number",
                        path, name, attribute);
}

static mb_status_t describe_scale(mb_hdf5_dataset_t *d, const char *path, const char *name)
{
    mb_element_t *e = &d->element;
    MB_TRY(number_attribute(d, path, name, "scale_factor", 1.0, &e->scale));
    MB_TRY(number_attribute(d, path, name, "add_offset", 0.0, &e->offset));
    e->scaled = fabs(e->scale - 1.0) > 0.0 || fabs(e->offset) > 0.0;
    mb_element_tabulate(e);
    return MB_OK;
}

/* The library can be passed by where the bytes of the dataset are one stretch of this very file. */
static int64_t direct_offset(const mb_hdf5_dataset_t *d)
{
    hid_t plist = H5Dget_create_plist(d->id);
    bool direct = H5Pget_layout(plist) == H5D_CONTIGUOUS && H5Pget_external_count(plist) == 0;
    H5Pclose(plist);
    haddr_t offset = direct ? H5Dget_offset(d->id) : HADDR_UNDEF;
    return offset == HADDR_UNDEF ? -1 : (int64_t)offset;
}

/* Bytes of one chunk, and of all chunks that one sample touches. */
static bool chunk_bytes(const mb_hdf5_dataset_t *d, size_t *chunk, size_t *row)
{
    hsize_t dims[H5S_MAX_RANK];
    hid_t plist = H5Dget_create_plist(d->id);
    bool chunked = H5Pget_layout(plist) == H5D_CHUNKED &&
                   H5Pget_chunk(plist, MB_MAX_RANK, dims) == d->shape.rank;
    H5Pclose(plist);
    if (!chunked)
        return false;
    *chunk = mb_dtype_bytes(d->element.stored);
    for (int i = 0; i < d->shape.rank; i++)
        *chunk *= (size_t)dims[i];
    *row = *chunk;
    for (int i = 1; i < d->shape.rank; i++)
        *row *= ((size_t)d->shape.dim[i] + (size_t)dims[i] - 1) / (size_t)dims[i];
    return true;
}

/* Opens again with a cache that holds a whole row of chunks at least, so that samples read in order
 * inflate each chunk once. */
static mb_status_t enlarge_cache(mb_hdf5_dataset_t *d, hid_t file, const char *path,
                                 const char *name)
{
    size_t chunk, row;
    if (!chunk_bytes(d, &chunk, &row) || chunk == 0)
        return MB_OK;
    size_t whole = (size_t)mb_shape_elements(&d->shape) * mb_dtype_bytes(d->element.stored);
    size_t bytes = whole + row < CACHE_BYTES ? whole + row : CACHE_BYTES;
    if (bytes < row + chunk)
        bytes = row + chunk;
    size_t slots = 20 * (bytes / chunk) + 101;
    hid_t access = H5Pcreate(H5P_DATASET_ACCESS);
    H5Pset_chunk_cache(access, slots < 1000003 ? slots : 1000003, bytes, 1.0);
    H5Dclose(d->id);
    d->id = H5Dopen2(file, name, access);
    H5Pclose(access);
    return d->id < 0 ? refuse(MB_ERR_FORMAT, path, name, "cannot be opened") : MB_OK;
}

static mb_status_t open_dataset(hid_t file, const char *path, const char *name,
                                mb_hdf5_dataset_t *d)
{
    char what[192];
    snprintf(what, sizeof(what), "dataset '%s' cannot be opened", name);
    MB_TRY(mb_h5_check_link(file, path, name));
    d->id = H5Dopen2(file, name, H5P_DEFAULT);
    if (d->id < 0)
        return fail(MB_ERR_FORMAT, path, what);
    MB_TRY(mb_h5_check_storage(file, d->id, path, name));
    MB_TRY(describe_type(d, path, name));
    MB_TRY(describe_shape(d, path, name));
    MB_TRY(describe_scale(d, path, name));
    d->offset = direct_offset(d);
    return d->offset >= 0 ? MB_OK : enlarge_cache(d, file, path, name);
}

mb_status_t mb_hdf5_dataset_open(hid_t file, const char *path, const char *name,
                                 mb_hdf5_dataset_t *out)
{
    mb_hdf5_dataset_t d = {.id = H5I_INVALID_HID, .type = H5I_INVALID_HID};
    mb_status_t status;
    H5E_BEGIN_TRY
    {
        status = open_dataset(file, path, name, &d);
        H5Eclear2(H5E_DEFAULT);
    }
    H5E_END_TRY;
    if (status == MB_OK)
        *out = d;
    else
        mb_hdf5_dataset_close(&d);
    return status;
}

mb_status_t mb_hdf5_dataset_read(const mb_hdf5_dataset_t *dataset, const char *path,
                                 const char *name, const hsize_t *start, const hsize_t *count,
                                 void *to)
{
    mb_status_t status = MB_OK;
    const char *before = mb_h5_work_on(path);
    H5E_BEGIN_TRY
    {
        hid_t box = H5Dget_space(dataset->id);
        hid_t memory = H5Screate_simple(dataset->shape.rank, count, NULL);
        H5Sselect_hyperslab(box, H5S_SELECT_SET, start, NULL, count, NULL);
        if (H5Dread(dataset->id, dataset->type, memory, box, H5P_DEFAULT, to) < 0) {
            char what[256];
            snprintf(what, sizeof(what), "dataset '%s': samples from %" PRId64 " on cannot be read",
                     name, (int64_t)start[0]);
            status = fail(MB_ERR_IO, path, what);
        }
        H5Sclose(memory);
        H5Sclose(box);
    }
    H5E_END_TRY;
    mb_h5_work_on(before);
    return status;
}

void mb_hdf5_dataset_close(mb_hdf5_dataset_t *dataset)
{
    H5E_BEGIN_TRY
    {
        if (dataset->type >= 0)
            H5Tclose(dataset->type);
        if (dataset->id >= 0)
            H5Dclose(dataset->id);
        H5Eclear2(H5E_DEFAULT);
    }
    H5E_END_TRY;
    dataset->type = H5I_INVALID_HID;
    dataset->id = H5I_INVALID_HID;
}
