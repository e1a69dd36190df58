/* Every failure of HDF5 becomes one message; sizes are checked before memory is asked for. */
#include "data/hdf5_words.h"

#include "data/hdf5_dataset.h"
#include "store/h5.h"
#include "store/h5_storage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LARGEST (UINT64_C(1) << 28)
enum { NAME_BYTES = 300 };

static mb_status_t damaged(const char *path, const char *name)
{
    return mb_error_set(MB_ERR_FORMAT,
                        "%s: the vocabulary '%s' is damaged; make the file again with mbrun data",
                        path, name);
}

static mb_status_t add_words(mb_vocabulary_t *v, const char *path, const char *bytes,
                             const hsize_t *dims)
{
    char last = '\0';
    for (hsize_t i = 0; i < dims[0]; i++) {
        const char *word = bytes + i * dims[1];
        size_t length = strnlen(word, (size_t)dims[1]);
        last = length == 0 ? '!' : last;
        MB_TRY(mb_vocabulary_add(v, word, length));
    }
    if (last != '\0' || v->n != (int64_t)dims[0])
        return damaged(path, v->name);
    mb_vocabulary_sort(v);
    return MB_OK;
}

static mb_status_t read_bytes(hid_t dataset, const char *path, mb_vocabulary_t *v)
{
    hsize_t dims[H5S_MAX_RANK] = {0};
    hid_t space = H5Dget_space(dataset), type = H5Dget_type(dataset);
    bool good = H5Sget_simple_extent_ndims(space) == 2 &&
                H5Sget_simple_extent_dims(space, dims, NULL) == 2 &&
                H5Tget_class(type) == H5T_STRING && H5Tis_variable_str(type) == 0 &&
                H5Tget_size(type) == 1 && dims[0] > 0 && dims[1] > 0 &&
                dims[0] <= LARGEST / dims[1];
    char *bytes = good ? malloc((size_t)(dims[0] * dims[1])) : NULL;
    good = bytes != NULL && H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, bytes) >= 0;
    H5Tclose(type);
    H5Sclose(space);
    mb_status_t status = good ? add_words(v, path, bytes, dims) : damaged(path, v->name);
    free(bytes);
    return status;
}

static mb_status_t read_one(hid_t file, const char *path, const char *name, mb_vocabularies_t *out)
{
    char place[NAME_BYTES + 16];
    mb_vocabulary_t *v;
    snprintf(place, sizeof(place), "vocabulary/%s", name);
    MB_TRY(mb_h5_check_link(file, path, place));
    hid_t dataset = H5Dopen2(file, place, H5P_DEFAULT);
    if (dataset < 0)
        return damaged(path, name);
    mb_status_t status = mb_h5_check_storage(file, dataset, path, place);
    if (status == MB_OK)
        status = mb_vocabulary_create(name, &v);
    if (status == MB_OK)
        status = mb_vocabularies_take(out, v);
    if (status == MB_OK)
        status = read_bytes(dataset, path, v);
    H5Dclose(dataset);
    return status;
}

static mb_status_t read_group(hid_t file, const char *path, mb_vocabularies_t *out)
{
    H5G_info_t info = {0};
    hid_t group = H5Gopen2(file, "vocabulary", H5P_DEFAULT);
    mb_status_t status = MB_OK;
    if (group < 0 || H5Gget_info(group, &info) < 0)
        status = damaged(path, "");
    for (hsize_t i = 0; i < info.nlinks && status == MB_OK; i++) {
        char name[NAME_BYTES];
        ssize_t length = H5Lget_name_by_idx(group, ".", H5_INDEX_NAME, H5_ITER_INC, i, name,
                                            sizeof(name), H5P_DEFAULT);
        status = length > 0 && length < (ssize_t)sizeof(name) ? read_one(file, path, name, out)
                                                              : damaged(path, "");
    }
    if (group >= 0)
        H5Gclose(group);
    return status;
}

mb_status_t mb_hdf5_words_read(hid_t file, const char *path, mb_vocabularies_t *out)
{
    mb_status_t status = MB_OK;
    *out = (mb_vocabularies_t){NULL, 0};
    H5E_BEGIN_TRY
    {
        if (H5Lexists(file, "vocabulary", H5P_DEFAULT) > 0) {
            status = mb_h5_check_link(file, path, "vocabulary");
            H5O_info_t info;
            bool group = status == MB_OK &&
                         H5Oget_info_by_name(file, "vocabulary", &info, H5P_DEFAULT) >= 0 &&
                         info.type == H5O_TYPE_GROUP;
            if (group)
                status = read_group(file, path, out);
        }
        H5Eclear2(H5E_DEFAULT);
    }
    H5E_END_TRY;
    if (status != MB_OK)
        mb_vocabularies_free(out);
    return status;
}

mb_status_t mb_hdf5_words_of(const char *path, mb_vocabularies_t *out)
{
    hid_t file;
    const char *before = mb_h5_work_on(path);
    mb_status_t status = mb_hdf5_data_open(path, &file);
    if (status == MB_OK) {
        status = mb_hdf5_words_read(file, path, out);
        H5Fclose(file);
    }
    mb_h5_work_on(before);
    return status;
}
