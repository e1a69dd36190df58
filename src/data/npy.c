/* The dictionary is read by a reader of its own: of Python's literals only texts, True, False and
 * tuples of whole numbers occur in it. */
#include "data/npy.h"

#include "data/element.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LARGEST_HEADER 65536
#define LARGEST_ARRAY (INT64_C(1) << 50)
#define TYPE_TEXT 32

static const unsigned char magic[6] = {0x93, 'N', 'U', 'M', 'P', 'Y'};

typedef struct {
    const char *where;
    const char *text, *at, *end;
    int64_t offset; /* of the text in the file */
    char type[TYPE_TEXT];
    bool has_type, has_order, has_shape, fortran;
    mb_shape_t shape;
} reader_t;

bool mb_npy_looks_like(const unsigned char *head, size_t bytes)
{
    return bytes >= sizeof(magic) && memcmp(head, magic, sizeof(magic)) == 0;
}

static mb_status_t damaged(const reader_t *r, const char *what)
{
    return mb_error_set(MB_ERR_FORMAT,
                        "%s: the NPY header is damaged at byte %" PRId64
                        ": %s; save the array again with numpy.save",
                        r->where, r->offset + (int64_t)(r->at - r->text), what);
}

static void skip_space(reader_t *r)
{
    while (r->at < r->end && isspace((unsigned char)*r->at))
        r->at++;
}

static bool take(reader_t *r, char wanted)
{
    skip_space(r);
    if (r->at >= r->end || *r->at != wanted)
        return false;
    r->at++;
    return true;
}

static mb_status_t read_text(reader_t *r, char *to, size_t capacity)
{
    skip_space(r);
    char quote = r->at < r->end ? *r->at : '\0';
    if (quote != '\'' && quote != '"')
        return damaged(r, "a quoted text is wanted");
    const char *from = ++r->at;
    while (r->at < r->end && *r->at != quote)
        r->at++;
    size_t length = (size_t)(r->at - from);
    if (r->at >= r->end || length >= capacity)
        return damaged(r, "a text without an end");
    memcpy(to, from, length);
    to[length] = '\0';
    r->at++;
    return MB_OK;
}

static mb_status_t read_type(reader_t *r)
{
    skip_space(r);
    if (r->at < r->end && *r->at == '[')
        return mb_error_set(MB_ERR_FORMAT,
                            "%s: the array holds records of several fields; save each field as an "
                            "array of its own",
                            r->where);
    r->has_type = true;
    return read_text(r, r->type, sizeof(r->type));
}

static bool take_word(reader_t *r, const char *word)
{
    size_t length = strlen(word);
    if ((size_t)(r->end - r->at) < length || memcmp(r->at, word, length) != 0)
        return false;
    r->at += length;
    return true;
}

static mb_status_t read_order(reader_t *r)
{
    skip_space(r);
    r->fortran = take_word(r, "True");
    if (!r->fortran && !take_word(r, "False"))
        return damaged(r, "True or False is wanted");
    r->has_order = true;
    return MB_OK;
}

static mb_status_t read_dimension(reader_t *r)
{
    int64_t value = 0;
    const char *first = r->at;
    while (r->at < r->end && isdigit((unsigned char)*r->at) && value < LARGEST_ARRAY)
        value = 10 * value + (*r->at++ - '0');
    if (r->at == first || value >= LARGEST_ARRAY)
        return damaged(r, "a dimension is wanted");
    if (r->at < r->end && *r->at == 'L') /* Python 2 */
        r->at++;
    if (r->shape.rank == MB_MAX_RANK)
        return mb_error_set(MB_ERR_FORMAT, "%s: an array of more than %d dimensions", r->where,
                            MB_MAX_RANK);
    r->shape.dim[r->shape.rank++] = value;
    return MB_OK;
}

static mb_status_t read_shape(reader_t *r)
{
    if (r->has_shape || !take(r, '('))
        return damaged(r, "a tuple of dimensions is wanted");
    while (!take(r, ')')) {
        if (r->shape.rank > 0 && !take(r, ','))
            return damaged(r, "a comma is wanted");
        if (take(r, ')'))
            break;
        MB_TRY(read_dimension(r));
    }
    r->has_shape = true;
    return MB_OK;
}

static mb_status_t read_entry(reader_t *r)
{
    char key[32];
    MB_TRY(read_text(r, key, sizeof(key)));
    if (!take(r, ':'))
        return damaged(r, "a colon is wanted");
    if (strcmp(key, "descr") == 0)
        return read_type(r);
    if (strcmp(key, "fortran_order") == 0)
        return read_order(r);
    if (strcmp(key, "shape") == 0)
        return read_shape(r);
    return damaged(r, "a key other than descr, fortran_order, shape");
}

static mb_status_t read_dictionary(reader_t *r)
{
    if (!take(r, '{'))
        return damaged(r, "a dictionary is wanted");
    while (!take(r, '}')) {
        MB_TRY(read_entry(r));
        if (take(r, '}'))
            break;
        if (!take(r, ','))
            return damaged(r, "a comma is wanted");
    }
    skip_space(r);
    if (r->at != r->end)
        return damaged(r, "something follows the dictionary");
    return r->has_type && r->has_order && r->has_shape
               ? MB_OK
               : damaged(r, "descr, fortran_order or shape is missing");
}

static bool known_type(const char *text, mb_dtype_t *dtype, bool *swap)
{
    static const struct {
        const char *name;
        mb_dtype_t dtype;
    } types[] = {{"f4", MB_F32}, {"f8", MB_F64}, {"f2", MB_F16}, {"i1", MB_I8},
                 {"u1", MB_U8},  {"b1", MB_U8},  {"i2", MB_I16}, {"u2", MB_U16},
                 {"i4", MB_I32}, {"u4", MB_U32}, {"i8", MB_I64}, {"u8", MB_U64}};
    char order = text[0];
    if (order == '\0' || strchr("<>|=", order) == NULL)
        return false;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (strcmp(text + 1, types[i].name) != 0)
            continue;
        *dtype = types[i].dtype;
        *swap = mb_dtype_bytes(*dtype) > 1 && order == (mb_little_endian() ? '>' : '<');
        return order != '|' || mb_dtype_bytes(*dtype) == 1;
    }
    return false;
}

static const char *type_meaning(const char *text)
{
    switch (text[0] != '\0' ? text[1] : '\0') {
    case 'O':
        return " (Python objects)";
    case 'S':
    case 'U':
        return " (texts)";
    case 'c':
        return " (complex numbers)";
    case 'M':
    case 'm':
        return " (times)";
    case 'V':
        return " (raw bytes, or a type of another package)";
    default:
        return "";
    }
}

static mb_status_t check(const reader_t *r, mb_npy_header_t *out)
{
    if (!known_type(r->type, &out->dtype, &out->swap))
        return mb_error_set(MB_ERR_FORMAT,
                            "%s: the array's type is '%s'%s; wanted are whole numbers, booleans, "
                            "float16, float32 or float64",
                            r->where, r->type, type_meaning(r->type));
    if (r->shape.rank == 0 || r->shape.dim[0] == 0)
        return mb_error_set(MB_ERR_FORMAT, "%s: the array holds no samples: %s", r->where,
                            r->shape.rank == 0 ? "it is a single number" : "its first axis is 0");
    if (r->fortran && r->shape.rank > 1)
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "%s: the array is stored in Fortran's order, where a sample lies "
                            "scattered over the file; save it with numpy.save(FILE, "
                            "numpy.ascontiguousarray(a))",
                            r->where);
    return MB_OK;
}

static mb_status_t measure(const reader_t *r, mb_npy_header_t *out)
{
    out->shape = r->shape;
    out->data_bytes = (int64_t)mb_dtype_bytes(out->dtype);
    for (int i = 0; i < r->shape.rank; i++) {
        int64_t dim = r->shape.dim[i];
        if (dim == 0 || out->data_bytes > LARGEST_ARRAY / dim)
            return mb_error_set(MB_ERR_FORMAT, "%s: dimension %d of the array is %" PRId64 "%s",
                                r->where, i, dim, dim == 0 ? "" : ": an absurd size");
        out->data_bytes *= dim;
    }
    return MB_OK;
}

static mb_status_t parse(const char *where, const char *text, size_t bytes, int64_t offset,
                         mb_npy_header_t *out)
{
    reader_t r = {.where = where, .text = text, .at = text, .end = text + bytes, .offset = offset};
    MB_TRY(read_dictionary(&r));
    MB_TRY(check(&r, out));
    out->header_bytes = offset + (int64_t)bytes;
    return measure(&r, out);
}

mb_status_t mb_npy_read_header(const char *where, mb_npy_read_t read, void *user,
                               mb_npy_header_t *out)
{
    unsigned char head[8], size[4] = {0};
    MB_TRY(read(user, sizeof(head), head));
    if (!mb_npy_looks_like(head, sizeof(head)) || head[6] < 1 || head[6] > 3)
        return mb_error_set(MB_ERR_FORMAT, "%s: not an NPY array of version 1 to 3", where);
    size_t width = head[6] == 1 ? 2 : 4;
    MB_TRY(read(user, width, size));
    size_t bytes = size[0] | (size_t)size[1] << 8 | (size_t)size[2] << 16 | (size_t)size[3] << 24;
    if (bytes > LARGEST_HEADER)
        return mb_error_set(MB_ERR_FORMAT, "%s: the NPY header says it has %zu bytes: damaged",
                            where, bytes);
    char *text = malloc(bytes + 1);
    if (text == NULL)
        return mb_error_memory(where, bytes);
    mb_status_t status = read(user, bytes, text);
    if (status == MB_OK)
        status = parse(where, text, bytes, (int64_t)(sizeof(head) + width), out);
    free(text);
    return status;
}
