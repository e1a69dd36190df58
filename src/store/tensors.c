/* Finding a dataset's shape and place, and reading it: plain little-endian float32 and what we
 * decode ourselves by pread, all other storage through HDF5. A dataset that claims more than its
 * file can hold is refused before anything is allocated for it. */
#include "store/tensors.h"

#include <inttypes.h>
#include <stdio.h>
#include "store/encoded_open.h"
#include "store/encoded_read.h"
#include "store/io.h"
#include "store/number_type.h"

/* No filter of HDF5 packs better than this (deflate: 1032). */
#define MOST_PACKING 65536

static mb_status_t refuse(const mb_h5_reader_t *reader, const char *dataset, const char *what)
{
    return mb_error_set(MB_ERR_FORMAT, "'%s': dataset '%s' %s", reader->path, dataset, what);
}

static const char *class_name(H5T_class_t class)
{
    switch (class) {
    case H5T_STRING:
        return "holds strings, expected numbers";
    case H5T_COMPOUND:
        return "holds records, expected numbers";
    case H5T_VLEN:
        return "holds lists of varying length, expected numbers";
    case H5T_REFERENCE:
        return "holds references, expected numbers";
    default:
        return "holds elements that are not numbers";
    }
}

static mb_status_t read_shape(const mb_h5_reader_t *reader, hid_t dataset, const char *path,
                              mb_shape_t *shape)
{
    hsize_t dims[H5S_MAX_RANK];
    hid_t space = H5Dget_space(dataset);
    if (space < 0)
        return mb_h5_error(MB_ERR_FORMAT, reader->path, "read the shape of", path);
    H5S_class_t class = H5Sget_simple_extent_type(space);
    int rank = H5Sget_simple_extent_dims(space, dims, NULL);
    H5Sclose(space);
    if (class == H5S_NULL || rank < 0)
        return refuse(reader, path, "has no values");
    if (rank > MB_MAX_RANK)
        return refuse(reader, path, "has more than 8 dimensions");
    *shape = (mb_shape_t){.rank = rank};
    int64_t elements = 1;
    for (int i = 0; i < rank; i++) {
        if (dims[i] > INT64_MAX / 64 ||
            (dims[i] > 0 && elements > INT64_MAX / 64 / (int64_t)dims[i]))
            return refuse(reader, path, "claims an absurd size; the file is damaged");
        shape->dim[i] = (int64_t)dims[i];
        elements *= (int64_t)dims[i];
    }
    return MB_OK;
}

static mb_status_t check_size(const mb_h5_reader_t *reader, hid_t dataset, const char *path,
                              int64_t elements, size_t element_bytes, bool plain)
{
    if (elements == 0)
        return MB_OK;
    int64_t claimed = elements;
    bool absurd = claimed > INT64_MAX / (int64_t)element_bytes;
    claimed = absurd ? INT64_MAX : claimed * (int64_t)element_bytes;
    hsize_t stored = H5Dget_storage_size(dataset);
    if (stored == 0)
        return refuse(reader, path, "was created but never written; save the model again");
    int64_t held = stored > (hsize_t)reader->bytes ? reader->bytes : (int64_t)stored;
    if (!plain)
        held = held > INT64_MAX / MOST_PACKING ? INT64_MAX : held * MOST_PACKING;
    if (absurd || claimed > held)
        return mb_error_set(MB_ERR_FORMAT,
                            "'%s': dataset '%s' claims %" PRId64
                            " elements, more than the file of %" PRId64
                            " bytes can hold; the file is damaged, copy it again",
                            reader->path, path, elements, reader->bytes);
    return MB_OK;
}

/* How the values are stored. */
typedef struct {
    H5D_layout_t layout;
    int n_filters, n_external;
} storage_t;

static mb_status_t read_storage(const mb_h5_reader_t *reader, hid_t dataset, const char *path,
                                storage_t *storage)
{
    hid_t plist = H5Dget_create_plist(dataset);
    if (plist < 0)
        return mb_h5_error(MB_ERR_FORMAT, reader->path, "read the layout of", path);
    storage->layout = H5Pget_layout(plist);
    storage->n_filters = H5Pget_nfilters(plist);
    storage->n_external = H5Pget_external_count(plist);
    H5Pclose(plist);
    if (storage->n_external != 0 || storage->layout == H5D_VIRTUAL)
        return refuse(reader, path,
                      "keeps its values in other files; copy them into the model file (h5repack, "
                      "or save it anew)");
    return MB_OK;
}

mb_status_t mb_tensors_place(const mb_h5_reader_t *reader, hid_t dataset, hid_t type,
                             const char *path, mb_shape_t *shape, int64_t *offset)
{
    storage_t storage = {0};
    MB_TRY(read_shape(reader, dataset, path, shape));
    MB_TRY(read_storage(reader, dataset, path, &storage));
    H5T_class_t class = H5Tget_class(type);
    if (class != H5T_FLOAT && class != H5T_INTEGER)
        return refuse(reader, path, class_name(class));
    bool contiguous = storage.layout == H5D_CONTIGUOUS && storage.n_filters == 0;
    int64_t elements = mb_shape_elements(shape);
    MB_TRY(check_size(reader, dataset, path, elements, H5Tget_size(type),
                      contiguous || storage.layout == H5D_COMPACT));
    *offset = -1;
    if (!contiguous || elements == 0)
        return MB_OK;
    haddr_t at = H5Dget_offset(dataset);
    int64_t bytes = elements * (int64_t)H5Tget_size(type);
    if (at == HADDR_UNDEF || at > (haddr_t)(reader->bytes - bytes))
        return refuse(reader, path, "lies beyond the end of the file; copy the file again");
    *offset = (int64_t)at;
    return MB_OK;
}

static mb_status_t locate(const mb_h5_reader_t *reader, hid_t dataset, hid_t type, const char *path,
                          mb_stored_tensor_t *tensor)
{
    mb_number_t number = MB_NUMBER_F32;
    int bias = 0;
    int64_t offset = -1;
    MB_TRY(mb_tensors_place(reader, dataset, type, path, &tensor->shape, &offset));
    tensor->elements = mb_shape_elements(&tensor->shape);
    if (tensor->elements == 0 || !mb_number_type_find(type, &number, &bias))
        return MB_OK;
    if (number == MB_NUMBER_F32 && offset >= 0)
        tensor->offset = offset;
    else if (number == MB_NUMBER_F32)
        return mb_encoded_open_packed(reader, dataset, path, tensor);
    else if (offset >= 0)
        return mb_encoded_open_float(reader, dataset, path, number, bias, offset, tensor);
    return MB_OK;
}

static mb_status_t locate_plain(const mb_h5_reader_t *reader, hid_t dataset, const char *path,
                                mb_stored_tensor_t *tensor)
{
    hid_t type = H5Dget_type(dataset);
    if (type < 0)
        return mb_h5_error(MB_ERR_FORMAT, reader->path, "read the type of", path);
    mb_status_t status = locate(reader, dataset, type, path, tensor);
    H5Tclose(type);
    return status;
}

mb_status_t mb_stored_tensor_locate(const mb_h5_reader_t *reader, const char *name,
                                    const char *dataset_path, const char *quantized_path,
                                    mb_stored_tensor_t *tensor)
{
    hid_t dataset = H5I_INVALID_HID;
    bool found = false;
    MB_TRY(mb_h5_open_object(reader, dataset_path, H5I_DATASET, true, &dataset));
    if (dataset < 0)
        MB_TRY(mb_encoded_open_scaled(reader, name, quantized_path, tensor, &found));
    if (found)
        return MB_OK;
    *tensor = (mb_stored_tensor_t){
        .name = name, .group = dataset_path, .offset = -1, .part_offsets = {-1, -1, -1, -1}};
    if (dataset < 0)
        return mb_h5_open_object(reader, dataset_path, H5I_DATASET, false, &dataset);
    mb_status_t status = locate_plain(reader, dataset, dataset_path, tensor);
    mb_h5_close(&dataset);
    return status;
}

static mb_status_t read_through_h5(const mb_model_file_t *file, const mb_stored_tensor_t *tensor,
                                   hid_t memory_type, void *values)
{
    const mb_model_source_t *source = file->private_;
    mb_h5_quiet_t quiet;
    const char *before = mb_h5_work_on(file->path);
    mb_h5_quiet_begin(&quiet);
    hid_t dataset = H5Dopen2(source->file, tensor->group, H5P_DEFAULT);
    mb_status_t status = MB_OK;
    if (dataset < 0 || H5Dread(dataset, memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) < 0)
        status = mb_h5_error(MB_ERR_IO, file->path, "read", tensor->group);
    if (dataset >= 0)
        H5Dclose(dataset);
    mb_h5_quiet_end(&quiet);
    mb_h5_work_on(before);
    return status;
}

static mb_status_t read_encoded(const mb_model_file_t *file, const mb_stored_tensor_t *tensor,
                                float *values)
{
    mb_decoder_t decoder;
    mb_status_t status = mb_decoder_open(file, tensor, &decoder);
    int64_t count = 0;
    for (int64_t at = 0; at < tensor->elements && status == MB_OK; at += count)
        status = mb_decoder_read(&decoder, at, values + at, &count);
    mb_decoder_close(&decoder);
    return status;
}

mb_status_t mb_model_file_read(const mb_model_file_t *file, void *data, size_t bytes,
                               int64_t offset)
{
    const mb_model_source_t *source = file->private_;
    if (file->archive)
        return mb_io_read(source->part.fd, data, bytes, source->part.base + offset, file->path);
    return mb_io_read(source->fd, data, bytes, offset, file->path);
}

mb_status_t mb_stored_tensor_read_some(const mb_model_file_t *file,
                                       const mb_stored_tensor_t *tensor, int64_t first,
                                       int64_t count, float *values)
{
    if (tensor->offset < 0 || first < 0 || count < 0 || first > tensor->elements - count)
        return mb_error_set(MB_ERR_INTERNAL,
                            "reading elements %" PRId64 " to %" PRId64
                            " of '%s' in '%s', which do not lie there as plain float32",
                            first, first + count, tensor->name, file->path);
    return mb_model_file_read(file, values, (size_t)count * sizeof(float),
                              tensor->offset + first * (int64_t)sizeof(float));
}

mb_status_t mb_stored_tensor_read(const mb_model_file_t *file, const mb_stored_tensor_t *tensor,
                                  float *values)
{
    if (tensor->elements == 0)
        return MB_OK;
    if (tensor->encoding != NULL)
        return read_encoded(file, tensor, values);
    if (tensor->offset < 0)
        return read_through_h5(file, tensor, H5T_NATIVE_FLOAT, values);
    return mb_stored_tensor_read_some(file, tensor, 0, tensor->elements, values);
}

mb_status_t mb_stored_tensor_read_int(const mb_model_file_t *file, const mb_stored_tensor_t *tensor,
                                      int64_t *value)
{
    if (tensor->elements != 1)
        return mb_error_set(MB_ERR_FORMAT,
                            "'%s': dataset '%s' has %" PRId64 " elements, expected one number",
                            file->path, tensor->group, tensor->elements);
    if (tensor->encoding != NULL && !mb_format_is_float(&tensor->encoding->format))
        return mb_error_set(MB_ERR_FORMAT, "'%s': '%s' is quantized, expected a whole number",
                            file->path, tensor->name);
    int64_t read = 0;
    MB_TRY(read_through_h5(file, tensor, H5T_NATIVE_INT64, &read));
    *value = read;
    return MB_OK;
}
