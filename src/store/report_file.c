/* One table says what a report has; writing and reading walk it. */
#include "store/report_file.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define GROUP "/mbrun/report"

typedef enum { TEXT, INTEGER, REAL } kind_t;

typedef struct {
    const char *name;
    kind_t kind;
    size_t offset;
} field_t;

#define LINE(name, kind)                                                                           \
    {                                                                                              \
#name, kind, offsetof(mb_report_line_t, name)                                              \
    }
#define WHOLE(name, kind)                                                                          \
    {                                                                                              \
#name, kind, offsetof(mb_report_t, name)                                                   \
    }

static const field_t line_fields[] = {
    LINE(tensor, TEXT),
    LINE(format, TEXT),
    LINE(method, TEXT),
    LINE(elements, INTEGER),
    LINE(bytes_before, INTEGER),
    LINE(bytes_after, INTEGER),
    LINE(bits_per_weight, REAL),
    LINE(sqnr_db, REAL),
    LINE(max_abs_err, REAL),
    LINE(max_rel_err, REAL),
    LINE(rmse, REAL),
};

static const field_t whole_fields[] = {
    WHOLE(format, TEXT),         WHOLE(method, TEXT),          WHOLE(parent_digest, TEXT),
    WHOLE(data, TEXT),           WHOLE(bytes_before, INTEGER), WHOLE(bytes_after, INTEGER),
    WHOLE(samples, INTEGER),     WHOLE(compared, INTEGER),     WHOLE(bits_per_weight, REAL),
    WHOLE(loss_before, REAL),    WHOLE(loss_after, REAL),      WHOLE(accuracy_before, REAL),
    WHOLE(accuracy_after, REAL), WHOLE(agreement, REAL),       WHOLE(mean_kl, REAL),
    WHOLE(max_kl, REAL),
};

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static size_t field_bytes(kind_t kind)
{
    return kind == TEXT ? sizeof(const char *) : kind == INTEGER ? sizeof(int64_t) : sizeof(double);
}

static void *at(void *record, const field_t *field)
{
    return (char *)record + field->offset;
}

static const char *text_in(const void *record, const field_t *field)
{
    const char *text = *(const char *const *)((const char *)record + field->offset);
    return text == NULL ? "" : text;
}

static const char *path_of(const char *name, char *buffer, size_t capacity)
{
    strcpy(buffer, GROUP "/");
    strncat(buffer, name, capacity - sizeof(GROUP "/"));
    return buffer;
}

/* One field of all lines. */
static mb_status_t write_column(const mb_h5_writer_t *h5, const mb_report_t *report,
                                const field_t *field)
{
    char path[64];
    size_t n = (size_t)report->n_lines, bytes = field_bytes(field->kind);
    path_of(field->name, path, sizeof(path));
    char *column = calloc(n + 1, bytes);
    if (column == NULL)
        return mb_error_memory("the report", n * bytes);
    for (size_t i = 0; i < n; i++) {
        const char *text = field->kind == TEXT ? text_in(&report->lines[i], field) : NULL;
        const void *from = field->kind == TEXT ? (const void *)&text
                                               : (const char *)&report->lines[i] + field->offset;
        memcpy(column + i * bytes, from, bytes);
    }
    const mb_shape_t shape = {.rank = 1, .dim = {report->n_lines}};
    mb_status_t status;
    if (field->kind == TEXT)
        status = mb_h5_write_text_list(h5, path, report->n_lines, (const char *const *)column);
    else if (field->kind == INTEGER)
        status = mb_h5_write_array(h5, path, H5T_STD_I64LE, H5T_NATIVE_INT64, &shape, column);
    else
        status = mb_h5_write_array(h5, path, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, &shape, column);
    free(column);
    return status;
}

static mb_status_t write_attribute(const mb_h5_writer_t *h5, hid_t group, const mb_report_t *report,
                                   const field_t *field)
{
    const char *from = (const char *)report + field->offset;
    if (field->kind == TEXT) {
        const char *text = text_in(report, field);
        return text[0] == '\0' ? MB_OK : mb_h5_write_text(h5, group, field->name, text);
    }
    if (field->kind == INTEGER)
        return mb_h5_write_int(h5, group, field->name, *(const int64_t *)(const void *)from);
    return mb_h5_write_real(h5, group, field->name, *(const double *)(const void *)from);
}

mb_status_t mb_report_write(const mb_h5_writer_t *h5, const mb_report_t *report)
{
    hid_t group = H5I_INVALID_HID;
    MB_TRY(mb_h5_make_group(h5, GROUP, &group));
    mb_status_t status = MB_OK;
    for (size_t i = 0; i < COUNT_OF(whole_fields) && status == MB_OK; i++)
        status = write_attribute(h5, group, report, &whole_fields[i]);
    H5Gclose(group);
    for (size_t i = 0; i < COUNT_OF(line_fields) && status == MB_OK; i++)
        status = write_column(h5, report, &line_fields[i]);
    return status;
}

static mb_status_t refuse(const mb_h5_reader_t *reader, const char *path, const char *what)
{
    return mb_error_set(MB_ERR_FORMAT, "'%s': dataset '%s' of the report %s; the file is damaged",
                        reader->path, path, what);
}

/* A column that is being read. */
typedef struct {
    const mb_h5_reader_t *reader;
    const field_t *field;
    const char *path;
    hid_t dataset, type, space;
    int count;
    size_t bytes; /* of an entry in memory */
} column_t;

/* Numbers are a list; of texts there is a row of characters each. */
static mb_status_t check_shape(column_t *c)
{
    hsize_t dims[2] = {0, field_bytes(c->field->kind)};
    int rank = c->field->kind == TEXT ? 2 : 1;
    if (H5Sget_simple_extent_ndims(c->space) != rank ||
        H5Sget_simple_extent_dims(c->space, dims, NULL) != rank)
        return refuse(c->reader, c->path, "is not a list");
    hsize_t room = (hsize_t)c->reader->bytes;
    if (dims[1] == 0 || dims[0] > INT32_MAX || dims[0] > room / dims[1] ||
        H5Dget_storage_size(c->dataset) < dims[0])
        return refuse(c->reader, c->path, "claims more than the file can hold");
    c->count = (int)dims[0];
    c->bytes = (size_t)dims[1];
    return MB_OK;
}

static mb_status_t check_column(column_t *c)
{
    H5T_class_t class = H5Tget_class(c->type);
    H5T_class_t expected = c->field->kind == TEXT      ? H5T_STRING
                           : c->field->kind == INTEGER ? H5T_INTEGER
                                                       : H5T_FLOAT;
    if (class != expected ||
        (class == H5T_STRING && (H5Tis_variable_str(c->type) != 0 || H5Tget_size(c->type) != 1)))
        return refuse(c->reader, c->path, "has elements of another kind");
    return check_shape(c);
}

static mb_status_t take_lines(const column_t *c, mb_report_t *report, const char *values)
{
    if (report->lines == NULL) {
        report->n_lines = c->count;
        report->lines = MB_ARENA_ARRAY(c->reader->arena, mb_report_line_t, c->count + 1);
        if (report->lines == NULL)
            return mb_error_memory("the report", (size_t)c->count);
    }
    if (report->n_lines != c->count)
        return refuse(c->reader, c->path, "is not as long as the others");
    for (int i = 0; i < c->count; i++) {
        void *to = at(&report->lines[i], c->field);
        const char *from = values + (size_t)i * c->bytes;
        if (c->field->kind != TEXT) {
            memcpy(to, from, c->bytes);
            continue;
        }
        size_t length = strnlen(from, c->bytes);
        char *text = mb_arena_alloc(c->reader->arena, length + 1);
        if (text == NULL)
            return mb_error_memory("the report", length);
        memcpy(text, from, length);
        memcpy(to, &text, sizeof(text));
    }
    return MB_OK;
}

static mb_status_t load_column(column_t *c, mb_report_t *report)
{
    c->type = H5Dget_type(c->dataset);
    c->space = H5Dget_space(c->dataset);
    if (c->type < 0 || c->space < 0)
        return mb_h5_error(MB_ERR_FORMAT, c->reader->path, "read", c->path);
    MB_TRY(check_column(c));
    char *values = calloc((size_t)c->count + 1, c->bytes);
    if (values == NULL)
        return mb_error_memory("the report", (size_t)c->count * c->bytes);
    hid_t memory = c->field->kind == TEXT      ? c->type
                   : c->field->kind == INTEGER ? H5T_NATIVE_INT64
                                               : H5T_NATIVE_DOUBLE;
    mb_status_t status = MB_OK;
    if (c->count > 0 && H5Dread(c->dataset, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) < 0)
        status = mb_h5_error(MB_ERR_FORMAT, c->reader->path, "read", c->path);
    if (status == MB_OK)
        status = take_lines(c, report, values);
    free(values);
    return status;
}

static mb_status_t read_column(const mb_h5_reader_t *reader, const field_t *field,
                               mb_report_t *report)
{
    char path[64];
    column_t c = {
        .reader = reader, .field = field, .path = path_of(field->name, path, sizeof(path))};
    c.dataset = c.type = c.space = H5I_INVALID_HID;
    MB_TRY(mb_h5_open_object(reader, path, H5I_DATASET, false, &c.dataset));
    mb_status_t status = load_column(&c, report);
    if (c.space >= 0)
        H5Sclose(c.space);
    if (c.type >= 0)
        H5Tclose(c.type);
    mb_h5_close(&c.dataset);
    return status;
}

static mb_status_t read_attribute(const mb_h5_reader_t *reader, hid_t group, const field_t *field,
                                  mb_report_t *report)
{
    void *to = at(report, field);
    if (field->kind == TEXT)
        return mb_h5_read_text(reader, group, GROUP, field->name, to);
    if (field->kind == INTEGER)
        return mb_h5_read_int(reader, group, GROUP, field->name, to);
    *(double *)to = NAN;
    return mb_h5_read_real(reader, group, GROUP, field->name, to);
}

mb_status_t mb_report_read(const mb_h5_reader_t *reader, mb_report_t **out)
{
    hid_t group = H5I_INVALID_HID;
    *out = NULL;
    MB_TRY(mb_h5_open_object(reader, GROUP, H5I_GROUP, true, &group));
    if (group < 0)
        return MB_OK;
    mb_report_t *report = MB_ARENA_NEW(reader->arena, mb_report_t);
    mb_status_t status = report == NULL ? mb_error_memory("the report", sizeof(*report)) : MB_OK;
    for (size_t i = 0; i < COUNT_OF(whole_fields) && status == MB_OK; i++)
        status = read_attribute(reader, group, &whole_fields[i], report);
    mb_h5_close(&group);
    for (size_t i = 0; i < COUNT_OF(line_fields) && status == MB_OK; i++)
        status = read_column(reader, &line_fields[i], report);
    MB_TRY(status);
    report->format = report->format == NULL ? "" : report->format;
    report->method = report->method == NULL ? "" : report->method;
    report->parent_digest = report->parent_digest == NULL ? "" : report->parent_digest;
    *out = report;
    return MB_OK;
}
