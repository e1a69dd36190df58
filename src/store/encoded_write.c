/* Where an encoded tensor's parts go, and the attributes that say what they are. */
#include "store/encoded_write.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "store/encoded_layout.h"
#include "store/number_type.h"

/* HDF5's limit on a chunk. */
#define MOST_PACKED UINT32_MAX

static mb_status_t refuse(const char *path, const mb_tensor_spec_t *tensor, const char *what)
{
    return mb_error_set(MB_ERR_INTERNAL, "writing '%s': the encoding of '%s' %s", path,
                        tensor->name, what);
}

/* Of a format with scales, and of a float format, what bytes there must be. */
static bool has_right_sizes(const mb_encoding_t *e)
{
    bool scaled = !mb_format_is_float(&e->format);
    for (mb_part_t part = 0; part < MB_PART_COUNT; part++) {
        bool has = scaled ? mb_encoded_has_part(e, part) : part == MB_PART_VALUES;
        int64_t bytes = scaled ? mb_encoded_part_bytes(e, part) : mb_matrix_value_bytes(&e->layout);
        if (e->bytes[part] != (has ? bytes : 0))
            return false;
    }
    return true;
}

static bool has_codes_only(const mb_encoding_t *e)
{
    bool alone = e->layout.number == MB_NUMBER_I8 &&
                 e->bytes[MB_PART_VALUES] == mb_matrix_value_bytes(&e->layout);
    for (mb_part_t part = MB_PART_SCALES; part < MB_PART_COUNT; part++)
        alone = alone && e->bytes[part] == 0;
    return alone;
}

mb_status_t mb_encoded_check_spec(const char *path, const mb_tensor_spec_t *tensor)
{
    const mb_encoding_t *e = tensor->encoding;
    int64_t elements = mb_shape_elements(&tensor->shape);
    if (elements <= 0 || e->view.rows <= 0 || e->view.columns <= 0 ||
        e->layout.rows != e->view.rows || e->layout.columns != e->view.columns ||
        e->view.rows != elements / e->view.columns || elements % e->view.columns != 0)
        return refuse(path, tensor, "is not of its shape");
    if (tensor->codes_only)
        return has_codes_only(e) ? MB_OK : refuse(path, tensor, "is not of 8-bit codes alone");
    if (e->format.kept_bits == 0)
        return has_right_sizes(e) ? MB_OK : refuse(path, tensor, "has parts of other sizes");
    if (e->bytes[MB_PART_VALUES] <= 0)
        return refuse(path, tensor, "has no bytes");
    if (tensor->shape.rank == 0)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "writing '%s': '%s' is a single number, which cannot be deflated; keep "
                            "it in fp32",
                            path, tensor->name);
    if (elements > (int64_t)(MOST_PACKED / sizeof(float)))
        return mb_error_set(MB_ERR_ARGUMENT,
                            "writing '%s': '%s' has %" PRId64
                            " elements, more than the 4 GiB that HDF5 deflates as one chunk; store "
                            "it as bf16 or fp16",
                            path, tensor->name, elements);
    return MB_OK;
}

typedef struct {
    const mb_h5_writer_t *h5;
    hid_t object;
    mb_status_t status; /* the first failure */
} labels_t;

static void put_int(labels_t *l, const char *name, int64_t value)
{
    if (l->status == MB_OK)
        l->status = mb_h5_write_int(l->h5, l->object, name, value);
}

static void put_real(labels_t *l, const char *name, double value)
{
    if (l->status == MB_OK)
        l->status = mb_h5_write_real(l->h5, l->object, name, value);
}

static void put_text(labels_t *l, const char *name, const char *value)
{
    if (l->status == MB_OK)
        l->status = mb_h5_write_text(l->h5, l->object, name, value);
}

static void label_all(labels_t *l, const mb_encoding_t *e)
{
    char text[MB_FORMAT_TEXT];
    put_text(l, "format", mb_format_text(&e->format, text, sizeof(text)));
    put_text(l, "method", mb_method_name(e->method));
    put_int(l, "lookup", e->view.lookup);
    put_real(l, "rmse", e->loss.rmse);
    put_real(l, "max_abs_err", e->loss.max_abs);
    put_real(l, "max_rel_err", e->loss.max_relative);
    put_real(l, "sqnr_db", e->loss.sqnr_db);
    put_int(l, "crc32c", (int64_t)e->crc);
}

static void label_scaled(labels_t *l, const mb_tensor_spec_t *tensor)
{
    const mb_encoding_t *e = tensor->encoding;
    if (l->status == MB_OK)
        l->status =
            mb_h5_write_ints(l->h5, l->object, "shape", tensor->shape.dim, tensor->shape.rank);
    put_int(l, "block_rows", e->layout.block_rows);
    put_int(l, "block_columns", e->layout.block_columns);
    put_int(l, "axis", mb_encoded_axis(e));
    put_int(l, "bits", mb_number_bits(e->layout.number));
    put_int(l, "signed", e->layout.number == MB_NUMBER_I8 || e->layout.number == MB_NUMBER_I4);
}

static void label_float(labels_t *l, const mb_encoding_t *e)
{
    put_int(l, "rows", e->view.rows);
    put_int(l, "columns", e->view.columns);
}

/* The attributes of the dataset at PATH. */
static mb_status_t label(const mb_h5_writer_t *h5, const char *path, const mb_tensor_spec_t *tensor)
{
    labels_t l = {.h5 = h5, .object = H5Dopen2(h5->file, path, H5P_DEFAULT)};
    if (l.object < 0)
        return mb_h5_error(MB_ERR_IO, h5->path, "open", path);
    label_all(&l, tensor->encoding);
    if (mb_format_is_float(&tensor->encoding->format))
        label_float(&l, tensor->encoding);
    else
        label_scaled(&l, tensor);
    H5Dclose(l.object);
    return l.status;
}

static mb_status_t make_float(const mb_h5_writer_t *h5, const mb_tensor_spec_t *tensor,
                              const char *path, int64_t *offset)
{
    const mb_encoding_t *e = tensor->encoding;
    hid_t type = mb_number_type_create(e->layout.number, e->layout.bias);
    if (type < 0)
        return mb_h5_error(MB_ERR_IO, h5->path, "make the type of", path);
    mb_status_t status =
        e->format.kept_bits > 0
            ? mb_h5_make_packed(h5, path, type, &tensor->shape, e->bytes[MB_PART_VALUES], offset)
            : mb_h5_make_dataset(h5, path, type, &tensor->shape, offset);
    H5Tclose(type);
    return status;
}

static mb_status_t make_part(const mb_h5_writer_t *h5, const mb_encoding_t *e, mb_part_t part,
                             const char *path, int64_t *offset)
{
    mb_shape_t shape = mb_encoded_part_shape(e, part);
    hid_t type = mb_number_type_create(mb_encoded_part_number(e, part), 0);
    if (type < 0)
        return mb_h5_error(MB_ERR_IO, h5->path, "make the type of", path);
    mb_status_t status = mb_h5_make_dataset(h5, path, type, &shape, offset);
    H5Tclose(type);
    return status;
}

static mb_status_t make_scaled(const mb_h5_writer_t *h5, const mb_tensor_spec_t *tensor,
                               const char *group, int64_t offsets[MB_PART_COUNT])
{
    char path[4096];
    for (mb_part_t part = 0; part < MB_PART_COUNT; part++) {
        if (!mb_encoded_has_part(tensor->encoding, part))
            continue;
        int length = snprintf(path, sizeof(path), "%s/%s", group, mb_encoded_parts[part]);
        if (length < 0 || (size_t)length >= sizeof(path))
            return mb_error_set(MB_ERR_ARGUMENT, "'%s': the name '%s' is too long", h5->path,
                                tensor->name);
        MB_TRY(make_part(h5, tensor->encoding, part, path, &offsets[part]));
        if (part == MB_PART_VALUES)
            MB_TRY(label(h5, path, tensor));
    }
    return MB_OK;
}

mb_status_t mb_encoded_make(const mb_h5_writer_t *h5, const mb_tensor_spec_t *tensor,
                            const char *path, const char *quantized, int64_t offsets[MB_PART_COUNT])
{
    for (mb_part_t part = 0; part < MB_PART_COUNT; part++)
        offsets[part] = -1;
    if (tensor->codes_only)
        return mb_h5_make_dataset(h5, path, H5T_STD_I8LE, &tensor->shape, &offsets[MB_PART_VALUES]);
    if (!mb_format_is_float(&tensor->encoding->format))
        return make_scaled(h5, tensor, quantized, offsets);
    MB_TRY(make_float(h5, tensor, path, &offsets[MB_PART_VALUES]));
    return label(h5, path, tensor);
}
