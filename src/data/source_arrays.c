/* Arrays that the caller owns, read in place. */
#include "data/extent.h"
#include "data/internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    mb_source_t base;
    mb_extent_t *extents;
    char *names;
} arrays_t;

static void arrays_close(mb_source_t *source)
{
    arrays_t *arrays = (arrays_t *)source;
    free(arrays->names);
    free(arrays->extents);
    mb_source_release(source);
}

static mb_status_t arrays_read(mb_source_t *source, int field, const int64_t *indices,
                               int64_t count, bool as_int, void *to)
{
    const arrays_t *arrays = (const arrays_t *)source;
    return mb_extent_read(source, field, &arrays->extents[field], indices, count, as_int, to);
}

static const mb_source_class_t arrays_class = {sizeof(mb_source_class_t), "arrays", arrays_close,
                                               arrays_read, true};

static mb_status_t check_array(const mb_array_t *array, int64_t samples)
{
    const char *name = array->name == NULL ? "(no name)" : array->name;
    if (array->name == NULL || (array->data == NULL && samples > 0))
        return mb_error_set(MB_ERR_ARGUMENT, "array '%s': a name and data are needed", name);
    if (array->shape.rank < 0 || array->shape.rank > MB_MAX_RANK)
        return mb_error_set(MB_ERR_ARGUMENT, "array '%s': a sample of %d dimensions; at most %d",
                            name, array->shape.rank, MB_MAX_RANK);
    for (int i = 0; i < array->shape.rank; i++) {
        if (array->shape.dim[i] < 1)
            return mb_error_set(MB_ERR_SHAPE, "array '%s': dimension %d of a sample is %" PRId64,
                                name, i, array->shape.dim[i]);
    }
    return MB_OK;
}

static bool is_integer(mb_dtype_t dtype)
{
    return dtype >= MB_I8 && dtype <= MB_U64;
}

/* Field I over its array; the name is copied to *NAME, which moves on. */
static void fill_field(arrays_t *arrays, int i, const mb_array_t *array, char **name)
{
    size_t length = strlen(array->name) + 1;
    memcpy(*name, array->name, length);
    arrays->base.fields[i] = (mb_field_t){.name = *name,
                                          .shape = array->shape,
                                          .stored = array->dtype,
                                          .integral = is_integer(array->dtype)};
    *name += length;
    int64_t bytes = mb_shape_elements(&array->shape) * (int64_t)mb_dtype_bytes(array->dtype);
    arrays->extents[i] = (mb_extent_t){.file = -1,
                                       .memory = array->data,
                                       .stride = bytes,
                                       .bytes = bytes,
                                       .element = {.stored = array->dtype}};
    mb_element_tabulate(&arrays->extents[i].element);
}

static mb_status_t fill(arrays_t *arrays, const mb_array_t *inputs, int n)
{
    mb_source_t *source = &arrays->base;
    char *name = arrays->names;
    for (int i = 0; i < n; i++) {
        fill_field(arrays, i, &inputs[i], &name);
        const mb_extent_t *extent = &arrays->extents[i];
        source->digest =
            mb_digest_field(source->digest, &source->fields[i], &extent->element, source->samples);
        if (inputs[i].unseen)
            continue;
        MB_TRY(mb_extent_digest(extent, source->path, source->samples * extent->bytes,
                                MB_DIGEST_BYTES / n, &source->digest));
    }
    return MB_OK;
}

void mb_source_move_arrays(mb_source_t *source, const void *const *data, int64_t samples)
{
    arrays_t *arrays = (arrays_t *)source;
    for (int i = 0; i < source->n_fields; i++)
        arrays->extents[i].memory = data[i];
    source->samples = samples;
}

mb_status_t mb_source_from_arrays(const mb_array_t *arrays, int n_arrays, int64_t samples,
                                  mb_source_t **out)
{
    size_t names = 1;
    if (n_arrays < 1 || samples < 1)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "a source needs at least one array and one sample, found %d and "
                            "%" PRId64,
                            n_arrays, samples);
    for (int i = 0; i < n_arrays; i++) {
        MB_TRY(check_array(&arrays[i], samples));
        names += strlen(arrays[i].name) + 1;
    }
    mb_source_t *source =
        mb_source_allocate(&arrays_class, sizeof(arrays_t), "caller's arrays", n_arrays);
    if (source == NULL)
        return mb_error_memory("a source of arrays", sizeof(arrays_t));
    arrays_t *made = (arrays_t *)source;
    made->names = malloc(names);
    made->extents = calloc((size_t)n_arrays, sizeof(mb_extent_t));
    source->samples = samples;
    mb_status_t status = made->names == NULL || made->extents == NULL
                             ? mb_error_memory("a source of arrays", names)
                             : fill(made, arrays, n_arrays);
    if (status == MB_OK)
        *out = source;
    else
        arrays_close(source);
    return status;
}
