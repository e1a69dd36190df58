/* Everything that a file says of an encoded tensor is compared with what its format implies, so
 * that kernels may take it at its word. */
#include "store/encoded_open.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "store/encoded_layout.h"
#include "store/number_type.h"
#include "store/tensors.h"

/* A dataset whose attributes are read. */
typedef struct {
    const mb_h5_reader_t *reader;
    hid_t dataset;
    const char *path;
} labelled_t;

static mb_status_t refuse(const labelled_t *l, const char *what)
{
    return mb_error_set(MB_ERR_FORMAT, "'%s': dataset '%s' %s; the file is damaged, copy it again",
                        l->reader->path, l->path, what);
}

static mb_status_t refuse_value(const labelled_t *l, const char *name, int64_t found,
                                int64_t expected)
{
    return mb_error_set(MB_ERR_FORMAT,
                        "'%s': attribute '%s' of '%s' is %" PRId64 ", expected %" PRId64
                        "; the file is damaged, copy it again",
                        l->reader->path, name, l->path, found, expected);
}

static mb_status_t get_int(const labelled_t *l, const char *name, int64_t *value)
{
    return mb_h5_read_int(l->reader, l->dataset, l->path, name, value);
}

/* An attribute that the format implies. */
static mb_status_t expect_int(const labelled_t *l, const char *name, int64_t expected)
{
    int64_t found = INT64_MIN;
    MB_TRY(get_int(l, name, &found));
    if (found == INT64_MIN)
        return mb_error_set(MB_ERR_FORMAT,
                            "'%s': dataset '%s' lacks the attribute '%s'; the file is damaged",
                            l->reader->path, l->path, name);
    return found == expected ? MB_OK : refuse_value(l, name, found, expected);
}

static mb_status_t read_format(const labelled_t *l, mb_format_t *format, bool *present)
{
    const char *text = NULL;
    MB_TRY(mb_h5_read_text(l->reader, l->dataset, l->path, "format", &text));
    *present = text != NULL;
    if (text == NULL)
        return MB_OK;
    if (mb_format_parse(text, format) != MB_OK)
        return mb_error_set(MB_ERR_FORMAT,
                            "'%s': dataset '%s' has the format '%s', which this version does not "
                            "know; use a newer mbrun, or copy the file again",
                            l->reader->path, l->path, text);
    return MB_OK;
}

static mb_status_t read_method(const labelled_t *l, mb_method_t *method)
{
    const char *text = NULL;
    MB_TRY(mb_h5_read_text(l->reader, l->dataset, l->path, "method", &text));
    if (text == NULL || mb_method_parse(text, method) == MB_OK)
        return MB_OK;
    return mb_error_set(MB_ERR_FORMAT,
                        "'%s': dataset '%s' has the method '%s', which this version does not know; "
                        "use a newer mbrun, or copy the file again",
                        l->reader->path, l->path, text);
}

static mb_status_t read_loss(const labelled_t *l, mb_loss_of_accuracy_t *loss)
{
    const struct {
        const char *name;
        double *value;
    } reals[] = {
        {"rmse", &loss->rmse},
        {"max_abs_err", &loss->max_abs},
        {"max_rel_err", &loss->max_relative},
        {"sqnr_db", &loss->sqnr_db},
    };
    for (size_t i = 0; i < sizeof(reals) / sizeof(reals[0]); i++) {
        *reals[i].value = NAN;
        MB_TRY(mb_h5_read_real(l->reader, l->dataset, l->path, reals[i].name, reals[i].value));
    }
    return MB_OK;
}

/* Method, error, lookup and checksum, which all formats have. */
static mb_status_t read_common(const labelled_t *l, mb_encoding_t *e, mb_stored_tensor_t *tensor)
{
    int64_t crc = -1, lookup = e->view.lookup;
    MB_TRY(read_method(l, &e->method));
    MB_TRY(read_loss(l, &e->loss));
    MB_TRY(get_int(l, "lookup", &lookup));
    if (lookup != 0 && lookup != 1)
        return refuse_value(l, "lookup", lookup, 0);
    e->view.lookup = lookup == 1;
    MB_TRY(get_int(l, "crc32c", &crc));
    if (crc < -1 || crc > (int64_t)UINT32_MAX)
        return refuse(l, "has a checksum of more than 32 bits");
    tensor->has_crc = crc >= 0;
    e->crc = crc >= 0 ? (uint32_t)crc : 0;
    return MB_OK;
}

/* A matrix of all but the last axis by the last, unless attributes say otherwise. */
static mb_status_t read_view(const labelled_t *l, const mb_stored_tensor_t *tensor, mb_view_t *view)
{
    const mb_shape_t *shape = &tensor->shape;
    view->columns = shape->rank > 0 ? shape->dim[shape->rank - 1] : 1;
    view->rows = tensor->elements / view->columns;
    MB_TRY(get_int(l, "rows", &view->rows));
    MB_TRY(get_int(l, "columns", &view->columns));
    if (view->rows < 1 || view->columns < 1 || tensor->elements % view->columns != 0 ||
        tensor->elements / view->columns != view->rows)
        return refuse(l, "has attributes 'rows' and 'columns' that do not fit its shape");
    return MB_OK;
}

static mb_encoding_t *new_encoding(const mb_h5_reader_t *reader)
{
    mb_encoding_t *e = MB_ARENA_NEW(reader->arena, mb_encoding_t);
    if (e == NULL)
        (void)mb_error_memory("an encoded tensor", sizeof(*e));
    return e;
}

mb_status_t mb_encoded_open_float(const mb_h5_reader_t *reader, hid_t dataset, const char *path,
                                  mb_number_t number, int bias, int64_t offset,
                                  mb_stored_tensor_t *tensor)
{
    const labelled_t l = {reader, dataset, path};
    mb_encoding_t *e = new_encoding(reader);
    if (e == NULL)
        return MB_ERR_MEMORY;
    bool present = false;
    e->format = (mb_format_t){.number = number};
    MB_TRY(read_format(&l, &e->format, &present));
    const mb_format_t implied = {.number = number};
    if (!mb_format_equal(&e->format, &implied))
        return refuse(&l, "is not stored in the format that its attribute 'format' names");
    MB_TRY(read_view(&l, tensor, &e->view));
    MB_TRY(read_common(&l, e, tensor));
    e->layout = mb_format_matrix(&e->format, &e->view);
    e->layout.bias = bias;
    e->bytes[MB_PART_VALUES] = mb_matrix_value_bytes(&e->layout);
    tensor->part_offsets[MB_PART_VALUES] = offset;
    tensor->encoding = e;
    return MB_OK;
}

#if H5_VERSION_GE(1, 10, 5)
static mb_status_t find_chunk(const labelled_t *l, mb_encoding_t *e, int64_t *offset)
{
    hsize_t first[H5S_MAX_RANK], bytes = 0, count = 0;
    unsigned mask = 0;
    haddr_t at = HADDR_UNDEF;
    hid_t space = H5Dget_space(l->dataset);
    bool found = space >= 0 && H5Dget_num_chunks(l->dataset, space, &count) >= 0 && count == 1 &&
                 H5Dget_chunk_info(l->dataset, space, 0, first, &mask, &at, &bytes) >= 0;
    if (space >= 0)
        H5Sclose(space);
    if (!found || mask != 0)
        return refuse(l, "is not one chunk, as its format is");
    int64_t room = l->reader->bytes;
    if (bytes == 0 || bytes > (hsize_t)room || at > (haddr_t)(room - (int64_t)bytes))
        return refuse(l, "lies beyond the end of the file");
    e->bytes[MB_PART_VALUES] = (int64_t)bytes;
    *offset = (int64_t)at;
    return MB_OK;
}
#else
static mb_status_t find_chunk(const labelled_t *l, mb_encoding_t *e, int64_t *offset)
{
    (void)l, (void)e;
    *offset = -1; /* this HDF5 does not tell */
    return MB_OK;
}
#endif

mb_status_t mb_encoded_open_packed(const mb_h5_reader_t *reader, hid_t dataset, const char *path,
                                   mb_stored_tensor_t *tensor)
{
    const labelled_t l = {reader, dataset, path};
    mb_format_t format = {0};
    bool present = false;
    MB_TRY(read_format(&l, &format, &present));
    if (!present)
        return MB_OK;
    if (format.kept_bits == 0)
        return refuse(&l, "is not stored in the format that its attribute 'format' names");
    mb_encoding_t *e = new_encoding(reader);
    if (e == NULL)
        return MB_ERR_MEMORY;
    e->format = format;
    MB_TRY(read_view(&l, tensor, &e->view));
    MB_TRY(read_common(&l, e, tensor));
    e->layout = mb_format_matrix(&e->format, &e->view);
    MB_TRY(find_chunk(&l, e, &tensor->part_offsets[MB_PART_VALUES]));
    tensor->packed = e;
    return MB_OK;
}

/* A part's dataset must have the type and the shape that follow from the encoding. */
static mb_status_t place_part(const labelled_t *l, mb_part_t part, mb_encoding_t *e,
                              int64_t *offset)
{
    mb_shape_t expected = mb_encoded_part_shape(e, part), shape = {0};
    mb_number_t number = mb_encoded_part_number(e, part);
    hid_t wanted = mb_number_type_create(number, 0), type = H5Dget_type(l->dataset);
    mb_status_t status = MB_OK;
    if (wanted < 0 || type < 0)
        status = mb_h5_error(MB_ERR_FORMAT, l->reader->path, "read the type of", l->path);
    else if (H5Tequal(type, wanted) <= 0)
        status = refuse(l, "has elements of another type than its format");
    else
        status = mb_tensors_place(l->reader, l->dataset, type, l->path, &shape, offset);
    if (wanted >= 0)
        H5Tclose(wanted);
    if (type >= 0)
        H5Tclose(type);
    MB_TRY(status);
    if (!mb_shape_equal(&shape, &expected)) {
        char text[MB_SHAPE_TEXT], other[MB_SHAPE_TEXT];
        return mb_error_set(MB_ERR_FORMAT,
                            "'%s': dataset '%s' has shape %s, its format wants %s; the file is "
                            "damaged, copy it again",
                            l->reader->path, l->path, mb_shape_text(&shape, text, sizeof(text)),
                            mb_shape_text(&expected, other, sizeof(other)));
    }
    if (*offset < 0)
        return refuse(l, "is not stored contiguously");
    e->bytes[part] = mb_encoded_part_bytes(e, part);
    return MB_OK;
}

/* Scales may be float32 or bfloat16, whatever the format would choose today. */
static mb_status_t find_scale_number(const labelled_t *l, mb_encoding_t *e)
{
    mb_number_t number = MB_NUMBER_F32;
    int bias = 0;
    hid_t type = H5Dget_type(l->dataset);
    bool known = type >= 0 && mb_number_type_find(type, &number, &bias);
    if (type >= 0)
        H5Tclose(type);
    if (!known || (number != MB_NUMBER_F32 && number != MB_NUMBER_BF16))
        return refuse(l, "has scales that are neither float32 nor bfloat16");
    e->layout.scale_number = number;
    return MB_OK;
}

static mb_status_t open_part(const mb_h5_reader_t *reader, const char *group, mb_part_t part,
                             mb_encoding_t *e, mb_stored_tensor_t *tensor)
{
    labelled_t l = {reader, H5I_INVALID_HID,
                    mb_arena_format(reader->arena, "%s/%s", group, mb_encoded_parts[part])};
    if (l.path == NULL)
        return mb_error_memory("a path", 0);
    bool may_miss = part == MB_PART_ROW_SCALES || (part == MB_PART_ZEROS && !e->layout.has_zeros);
    MB_TRY(mb_h5_open_object(reader, l.path, H5I_DATASET, may_miss, &l.dataset));
    if (l.dataset < 0)
        return MB_OK;
    mb_status_t status = MB_OK;
    if (part == MB_PART_ROW_SCALES)
        e->layout.has_row_scales = true;
    if (part == MB_PART_ZEROS && !e->layout.has_zeros)
        status = refuse(&l, "belongs to a format that has no offset");
    if (part == MB_PART_SCALES)
        status = find_scale_number(&l, e);
    if (status == MB_OK)
        status = place_part(&l, part, e, &tensor->part_offsets[part]);
    mb_h5_close(&l.dataset);
    return status;
}

/* The tensor's own shape, and the matrix that q makes of it. */
static mb_status_t read_shapes(const labelled_t *l, mb_stored_tensor_t *tensor, mb_encoding_t *e)
{
    int rank = -1;
    hsize_t dims[H5S_MAX_RANK] = {0};
    MB_TRY(mb_h5_read_ints(l->reader, l->dataset, l->path, "shape", MB_MAX_RANK, tensor->shape.dim,
                           &rank));
    if (rank < 0)
        return refuse(l, "lacks the attribute 'shape'");
    tensor->shape.rank = rank;
    int64_t elements = 1;
    for (int i = 0; i < rank; i++) {
        int64_t dim = tensor->shape.dim[i];
        if (dim < 1 || elements > INT64_MAX / 64 / dim)
            return refuse(l, "has an absurd attribute 'shape'");
        elements *= dim;
    }
    tensor->elements = elements;
    hid_t space = H5Dget_space(l->dataset);
    bool matrix = space >= 0 && H5Sget_simple_extent_ndims(space) == 2 &&
                  H5Sget_simple_extent_dims(space, dims, NULL) == 2;
    if (space >= 0)
        H5Sclose(space);
    if (!matrix || dims[0] == 0 || dims[0] > (hsize_t)elements || elements % (int64_t)dims[0] != 0)
        return refuse(l, "does not have the rows and columns of a matrix of its 'shape'");
    e->view.rows = (int64_t)dims[0];
    e->view.columns = elements / e->view.rows;
    return MB_OK;
}

static mb_status_t read_scaled(const labelled_t *l, mb_stored_tensor_t *tensor, mb_encoding_t *e)
{
    bool present = false;
    MB_TRY(read_format(l, &e->format, &present));
    if (!present || mb_format_is_float(&e->format))
        return refuse(l, "has no attribute 'format' that names whole numbers with scales");
    MB_TRY(read_shapes(l, tensor, e));
    MB_TRY(read_common(l, e, tensor));
    e->layout = mb_format_matrix(&e->format, &e->view);
    bool is_signed = e->layout.number == MB_NUMBER_I8 || e->layout.number == MB_NUMBER_I4;
    MB_TRY(expect_int(l, "block_rows", e->layout.block_rows));
    MB_TRY(expect_int(l, "block_columns", e->layout.block_columns));
    MB_TRY(expect_int(l, "axis", mb_encoded_axis(e)));
    MB_TRY(expect_int(l, "bits", mb_number_bits(e->layout.number)));
    return expect_int(l, "signed", is_signed);
}

mb_status_t mb_encoded_open_scaled(const mb_h5_reader_t *reader, const char *name,
                                   const char *group, mb_stored_tensor_t *tensor, bool *found)
{
    labelled_t l = {reader, H5I_INVALID_HID, mb_arena_format(reader->arena, "%s/q", group)};
    mb_encoding_t *e = new_encoding(reader);
    if (e == NULL || l.path == NULL)
        return MB_ERR_MEMORY;
    *tensor = (mb_stored_tensor_t){
        .name = name, .group = group, .offset = -1, .part_offsets = {-1, -1, -1, -1}};
    MB_TRY(mb_h5_open_object(reader, l.path, H5I_DATASET, true, &l.dataset));
    *found = l.dataset >= 0;
    if (!*found)
        return MB_OK;
    mb_status_t status = read_scaled(&l, tensor, e);
    mb_h5_close(&l.dataset);
    for (mb_part_t part = 0; part < MB_PART_COUNT && status == MB_OK; part++)
        status = open_part(reader, group, part, e, tensor);
    if (status == MB_OK)
        tensor->encoding = e;
    return status;
}
