/* Attributes as h5py wrote them over the years: strings of fixed or variable length, in ASCII or
 * UTF-8, padded by nulls or spaces, alone or in lists; empty lists as empty float64 arrays; long
 * lists split over NAME0, NAME1 ... as Keras does. */
#include "store/h5_heap.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* An open attribute. */
typedef struct {
    const mb_h5_reader_t *reader;
    const char *object_path, *name;
    hid_t attribute, type, space;
    H5T_class_t class;
    hssize_t count; /* elements; 0 for the null space */
} attribute_t;

static mb_status_t refuse(const attribute_t *a, const char *what)
{
    return mb_error_set(MB_ERR_FORMAT, "'%s': attribute '%s' of '%s' %s", a->reader->path, a->name,
                        a->object_path, what);
}

static mb_status_t fail(const attribute_t *a, const char *doing)
{
    char object[256];
    snprintf(object, sizeof(object), "attribute '%s' of '%s'", a->name, a->object_path);
    return mb_h5_error(MB_ERR_FORMAT, a->reader->path, doing, object);
}

static void close_attribute(attribute_t *a)
{
    if (a->space >= 0)
        H5Sclose(a->space);
    if (a->type >= 0)
        H5Tclose(a->type);
    if (a->attribute >= 0)
        H5Aclose(a->attribute);
    a->space = a->type = a->attribute = H5I_INVALID_HID;
}

static mb_status_t open_attribute(const mb_h5_reader_t *reader, hid_t object,
                                  const char *object_path, const char *name, attribute_t *a,
                                  bool *present)
{
    *a = (attribute_t){.reader = reader, .object_path = object_path, .name = name};
    a->attribute = a->type = a->space = H5I_INVALID_HID;
    htri_t exists = H5Aexists(object, name);
    *present = exists > 0;
    if (exists == 0)
        return MB_OK;
    if (exists > 0)
        a->attribute = H5Aopen(object, name, H5P_DEFAULT);
    if (a->attribute >= 0)
        a->type = H5Aget_type(a->attribute);
    if (a->type >= 0)
        a->space = H5Aget_space(a->attribute);
    mb_status_t status = a->space < 0 ? fail(a, "open") : MB_OK;
    if (status == MB_OK) {
        a->class = H5Tget_class(a->type);
        a->count = H5Sget_simple_extent_npoints(a->space);
        if (a->count < 0)
            status = fail(a, "size");
        else if ((uint64_t)a->count > (uint64_t)reader->bytes)
            status = refuse(a, "claims more elements than the file has bytes; the file is damaged");
    }
    if (status != MB_OK)
        close_attribute(a);
    return status;
}

static char *copy_text(mb_arena_t *arena, const char *text, size_t length)
{
    char *copy = mb_arena_alloc(arena, length + 1);
    if (copy != NULL && length > 0)
        memcpy(copy, text, length);
    return copy;
}

static mb_status_t read_texts(const attribute_t *a, mb_h5_heap_t *heap, unsigned char *references,
                              const char **items)
{
    char what[256];
    size_t bytes = mb_h5_heap_reference_bytes(heap);
    snprintf(what, sizeof(what), "attribute '%s' of '%s'", a->name, a->object_path);
    if (!mb_h5_heap_references(heap, a->attribute, a->type, references))
        return fail(a, "read");
    for (hssize_t i = 0; i < a->count; i++)
        MB_TRY(mb_h5_heap_text(heap, references + (size_t)i * bytes, what, &items[i]));
    return MB_OK;
}

static mb_status_t read_variable(const attribute_t *a, const char **items)
{
    mb_h5_heap_t heap;
    unsigned char *references = NULL;
    mb_status_t status = mb_h5_heap_open(a->reader, &heap);
    if (status == MB_OK) {
        references = calloc((size_t)a->count, mb_h5_heap_reference_bytes(&heap));
        status = references == NULL ? mb_error_memory("a list of strings", (size_t)a->count)
                                    : read_texts(a, &heap, references, items);
    }
    free(references);
    mb_h5_heap_close(&heap);
    return status;
}

/* Length of a fixed string without its padding. */
static size_t unpadded(const char *text, size_t bytes, H5T_str_t padding)
{
    size_t length = strnlen(text, bytes);
    while (padding == H5T_STR_SPACEPAD && length > 0 && text[length - 1] == ' ')
        length--;
    return length;
}

static mb_status_t read_fixed(const attribute_t *a, const char **items)
{
    size_t bytes = H5Tget_size(a->type);
    if (bytes == 0 || bytes > (size_t)a->reader->bytes / (size_t)a->count)
        return refuse(a, "claims more bytes than the file has; the file is damaged");
    char *texts = calloc((size_t)a->count, bytes);
    if (texts == NULL)
        return mb_error_memory("a list of strings", (size_t)a->count * bytes);
    mb_status_t status = H5Aread(a->attribute, a->type, texts) < 0 ? fail(a, "read") : MB_OK;
    H5T_str_t padding = a->class == H5T_STRING ? H5Tget_strpad(a->type) : H5T_STR_NULLPAD;
    for (hssize_t i = 0; i < a->count && status == MB_OK; i++) {
        const char *text = texts + (size_t)i * bytes;
        items[i] = copy_text(a->reader->arena, text, unpadded(text, bytes, padding));
        if (items[i] == NULL)
            status = mb_error_memory("a string", bytes);
    }
    free(texts);
    return status;
}

static mb_status_t read_items(const attribute_t *a, const char **items)
{
    if (a->count == 0)
        return MB_OK;
    if (a->class == H5T_OPAQUE)
        return read_fixed(a, items);
    if (a->class != H5T_STRING)
        return refuse(a, "is not text; save the model again with Keras");
    htri_t variable = H5Tis_variable_str(a->type);
    if (variable < 0)
        return fail(a, "read");
    return variable > 0 ? read_variable(a, items) : read_fixed(a, items);
}

mb_status_t mb_h5_read_text(const mb_h5_reader_t *reader, hid_t object, const char *object_path,
                            const char *name, const char **text)
{
    attribute_t a;
    bool present = false;
    *text = NULL;
    MB_TRY(open_attribute(reader, object, object_path, name, &a, &present));
    if (!present)
        return MB_OK;
    mb_status_t status = MB_OK;
    if (a.count > 1)
        status = refuse(&a, "is a list, expected one text");
    else if (a.count == 1)
        status = read_items(&a, text);
    close_attribute(&a);
    return status;
}

static mb_status_t append(const attribute_t *a, mb_h5_names_t *names)
{
    int64_t total = (int64_t)names->count + (int64_t)a->count;
    if (total > INT32_MAX)
        return refuse(a, "has too many names");
    const char **items = MB_ARENA_ARRAY(a->reader->arena, const char *, total + 1);
    if (items == NULL)
        return mb_error_memory("a list of names", (size_t)total * sizeof(*items));
    if (names->count > 0)
        memcpy(items, names->items, (size_t)names->count * sizeof(*items));
    MB_TRY(read_items(a, items + names->count));
    names->items = items;
    names->count = (int)total;
    return MB_OK;
}

mb_status_t mb_h5_read_names(const mb_h5_reader_t *reader, hid_t object, const char *object_path,
                             const char *name, mb_h5_names_t *names, bool *present)
{
    *names = (mb_h5_names_t){0};
    *present = false;
    char part[96];
    snprintf(part, sizeof(part), "%s", name);
    for (int i = 0;; i++) {
        attribute_t a;
        bool here = false;
        MB_TRY(open_attribute(reader, object, object_path, part, &a, &here));
        if (here) {
            mb_status_t status = append(&a, names);
            close_attribute(&a);
            MB_TRY(status);
            *present = true;
            if (i == 0)
                return MB_OK;
        } else if (i > 0) {
            return MB_OK;
        }
        snprintf(part, sizeof(part), "%s%d", name, i);
    }
}

static mb_status_t read_number(const mb_h5_reader_t *reader, hid_t object, const char *object_path,
                               const char *name, hid_t memory_type, void *value)
{
    attribute_t a;
    bool present = false;
    MB_TRY(open_attribute(reader, object, object_path, name, &a, &present));
    if (!present)
        return MB_OK;
    mb_status_t status = MB_OK;
    if (a.count != 1 || (a.class != H5T_INTEGER && a.class != H5T_FLOAT))
        status = refuse(&a, "is not a number");
    else if (H5Aread(a.attribute, memory_type, value) < 0)
        status = fail(&a, "read");
    close_attribute(&a);
    return status;
}

mb_status_t mb_h5_read_int(const mb_h5_reader_t *reader, hid_t object, const char *object_path,
                           const char *name, int64_t *value)
{
    return read_number(reader, object, object_path, name, H5T_NATIVE_INT64, value);
}

mb_status_t mb_h5_read_real(const mb_h5_reader_t *reader, hid_t object, const char *object_path,
                            const char *name, double *value)
{
    return read_number(reader, object, object_path, name, H5T_NATIVE_DOUBLE, value);
}

mb_status_t mb_h5_read_ints(const mb_h5_reader_t *reader, hid_t object, const char *object_path,
                            const char *name, int capacity, int64_t *values, int *count)
{
    attribute_t a;
    bool present = false;
    *count = -1;
    MB_TRY(open_attribute(reader, object, object_path, name, &a, &present));
    if (!present)
        return MB_OK;
    mb_status_t status = MB_OK;
    if (a.count > capacity || a.class != H5T_INTEGER)
        status = refuse(&a, "is not a short list of whole numbers; the file is damaged");
    else if (a.count > 0 && H5Aread(a.attribute, H5T_NATIVE_INT64, values) < 0)
        status = fail(&a, "read");
    else
        *count = (int)a.count;
    close_attribute(&a);
    return status;
}
