/* Copies a source's fields into datasets, a run of samples at a time. Integers of 8 and 16 bits
 * stay what they are, others become int32, and floats float32, which is what a model is given of
 * them anyway. */
#include "data/convert_private.h"

#include "base/str.h"
#include "data/hdf5_words.h"
#include "data/source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RUN_BYTES (INT64_C(16) << 20)
enum { NAME_BYTES = 256, PER_FIELD = 3, BLOCK = 4096 };

typedef struct {
    mb_conversion_t *c;
    mb_source_t *source;
    mb_vocabularies_t known;
    mb_output_dataset_t *datasets; /* a field's values, then means and variances */
    int n_datasets;
    char *names; /* of means and variances */
    char *values;
    int64_t *indices;
    int64_t done, total; /* samples of all fields */
} copy_t;

static mb_dtype_t stored_type(const mb_field_t *field)
{
    if (!field->integral)
        return MB_F32;
    bool narrow = field->stored == MB_I8 || field->stored == MB_U8 || field->stored == MB_I16;
    return narrow ? field->stored : MB_I32;
}

static bool is_label(const mb_field_t *field)
{
    return strcmp(field->name, "y") == 0;
}

static int count_inputs(const mb_source_t *source)
{
    int n = 0;
    for (int i = 0; i < source->n_fields; i++)
        n += !is_label(&source->fields[i]);
    return n;
}

static mb_status_t check_name(const copy_t *copy, const char *name)
{
    bool measured = strcmp(name, "mean") == 0 || strcmp(name, "variance") == 0;
    bool bad = strchr(name, '/') != NULL || strcmp(name, ".") == 0 || strlen(name) > 128 ||
               strcmp(name, "vocabulary") == 0 || (measured && copy->c->options->normalize);
    if (!bad)
        return MB_OK;
    return mb_error_set(MB_ERR_DATA, "%s: a dataset cannot be called '%s'; rename it",
                        copy->source->path, name);
}

static mb_status_t add_values(copy_t *copy, const mb_field_t *field)
{
    mb_output_dataset_t *d = &copy->datasets[copy->n_datasets++];
    MB_TRY(check_name(copy, field->name));
    if (field->shape.rank == MB_MAX_RANK)
        return mb_error_set(MB_ERR_UNSUPPORTED, "%s: dataset '%s' has too many axes",
                            copy->source->path, field->name);
    *d = (mb_output_dataset_t){.name = field->name, .dtype = stored_type(field)};
    d->shape.rank = field->shape.rank + 1;
    d->shape.dim[0] = copy->source->samples;
    memcpy(d->shape.dim + 1, field->shape.dim,
           (size_t)field->shape.rank * sizeof(field->shape.dim[0]));
    copy->total += copy->source->samples;
    return MB_OK;
}

static void add_deviation(copy_t *copy, int field, bool only)
{
    static const char *const endings[] = {"mean", "variance"};
    const mb_field_t *f = &copy->source->fields[field];
    int64_t channels = mb_convert_channels(&f->shape, f->stored);
    for (int k = 0; k < 2; k++) {
        char *name = copy->names + (2 * field + k) * NAME_BYTES;
        snprintf(name, NAME_BYTES, "%s%s%s", only ? "" : f->name, only ? "" : "_", endings[k]);
        copy->datasets[copy->n_datasets++] = (mb_output_dataset_t){
            .name = name, .dtype = MB_F64, .shape = {.rank = 1, .dim = {channels}}};
    }
}

/* The dataset of a field's mean; its variance is the next. NULL: it has none. */
static const mb_output_dataset_t *mean_of(const copy_t *copy, int field)
{
    const char *name = copy->names + 2 * field * NAME_BYTES;
    for (int i = copy->source->n_fields; i < copy->n_datasets; i++) {
        if (copy->datasets[i].name == name)
            return &copy->datasets[i];
    }
    return NULL;
}

static mb_status_t list_datasets(copy_t *copy)
{
    const mb_source_t *source = copy->source;
    size_t n = (size_t)source->n_fields;
    copy->datasets = calloc(PER_FIELD * n, sizeof(*copy->datasets));
    copy->names = calloc(2 * n, NAME_BYTES);
    if (copy->datasets == NULL || copy->names == NULL)
        return mb_error_memory("a list of datasets", n);
    for (int i = 0; i < source->n_fields; i++)
        MB_TRY(add_values(copy, &source->fields[i]));
    bool only = count_inputs(source) == 1;
    for (int i = 0; i < source->n_fields && copy->c->options->normalize; i++) {
        if (!is_label(&source->fields[i]))
            add_deviation(copy, i, only);
    }
    return MB_OK;
}

/* Values of 4 bytes into the smaller ones that are written, in place. */
static void narrow(char *values, int64_t n, mb_dtype_t dtype)
{
    for (int64_t i = 0; i < n; i++) {
        int32_t value;
        memcpy(&value, values + 4 * i, sizeof(value));
        if (dtype == MB_I16) {
            int16_t small = (int16_t)value;
            memcpy(values + 2 * i, &small, sizeof(small));
        } else {
            values[i] = (char)value;
        }
    }
}

/* Before they are narrowed. */
static void measure(const copy_t *copy, mb_deviation_t *deviation, int64_t n, bool integral)
{
    float block[BLOCK];
    if (!integral) {
        mb_deviation_add(deviation, (const float *)(const void *)copy->values, n);
        return;
    }
    const int32_t *values = (const int32_t *)(const void *)copy->values;
    for (int64_t at = 0; at < n; at += BLOCK) {
        int64_t count = n - at < BLOCK ? n - at : BLOCK;
        for (int64_t i = 0; i < count; i++)
            block[i] = (float)values[at + i];
        mb_deviation_add(deviation, block, count);
    }
}

/* COUNT samples of a field from the given one on. */
static mb_status_t copy_run(copy_t *copy, int field, int64_t first, int64_t count,
                            mb_deviation_t *deviation)
{
    mb_source_t *source = copy->source;
    const mb_output_dataset_t *d = &copy->datasets[field];
    bool integral = source->fields[field].integral;
    int64_t each = mb_shape_elements(&source->fields[field].shape), n = count * each;
    size_t size = mb_dtype_bytes(d->dtype);
    for (int64_t i = 0; i < count; i++)
        copy->indices[i] = first + i;
    MB_TRY(source->class_->read(source, field, copy->indices, count, integral, copy->values));
    if (deviation != NULL)
        measure(copy, deviation, n, integral);
    if (size < 4)
        narrow(copy->values, n, d->dtype);
    return mb_output_write(&copy->c->file, d->offset + first * each * (int64_t)size, copy->values,
                           (size_t)n * size);
}

static mb_status_t copy_samples(copy_t *copy, int field, mb_deviation_t *deviation)
{
    int64_t each = 4 * mb_shape_elements(&copy->source->fields[field].shape);
    int64_t run = each > RUN_BYTES ? 1 : RUN_BYTES / each, samples = copy->source->samples;
    run = run > samples ? samples : run;
    copy->values = malloc((size_t)(run * each));
    copy->indices = malloc((size_t)run * sizeof(int64_t));
    mb_status_t status = copy->values == NULL || copy->indices == NULL
                             ? mb_error_memory("a run of samples", (size_t)(run * each))
                             : MB_OK;
    for (int64_t at = 0; at < samples && status == MB_OK; at += run) {
        int64_t n = samples - at < run ? samples - at : run;
        status = copy_run(copy, field, at, n, deviation);
        copy->done += n;
        mb_convert_show(copy->c, "writing", copy->done, copy->total);
    }
    free(copy->values);
    free(copy->indices);
    copy->values = NULL;
    copy->indices = NULL;
    return status;
}

static mb_status_t copy_field(copy_t *copy, int field)
{
    const mb_output_dataset_t *mean = mean_of(copy, field);
    mb_deviation_t deviation = {.channels = 0};
    if (mean == NULL)
        return copy_samples(copy, field, NULL);
    MB_TRY(mb_deviation_create(mean->shape.dim[0], &deviation));
    mb_status_t status = copy_samples(copy, field, &deviation);
    if (status == MB_OK)
        status = mb_convert_write_deviation(copy->c, &deviation, mean, mean + 1);
    mb_deviation_free(&deviation);
    return status;
}

static void summarize(const copy_t *copy)
{
    const mb_source_t *source = copy->source;
    int labels = mb_source_field(source, "y"), first = labels == 0 && source->n_fields > 1;
    *copy->c->summary =
        (mb_data_summary_t){.samples = source->samples,
                            .shape = source->fields[first].shape,
                            .dtype = copy->datasets[first].dtype,
                            .n_datasets = source->n_fields,
                            .has_labels = labels >= 0,
                            .classes = labels >= 0 ? source->fields[labels].classes : 0,
                            .normalized = copy->n_datasets > source->n_fields,
                            .bytes = copy->c->file.bytes};
}

static mb_status_t copy_all(copy_t *copy)
{
    MB_TRY(list_datasets(copy));
    MB_TRY(mb_output_create(copy->c->output, copy->datasets, copy->n_datasets, &copy->source->words,
                            &copy->c->file));
    for (int i = 0; i < copy->source->n_fields; i++)
        MB_TRY(copy_field(copy, i));
    MB_TRY(mb_output_commit(&copy->c->file));
    summarize(copy);
    return MB_OK;
}

static void show_reading(void *user, int64_t done, int64_t total)
{
    mb_convert_show(user, "reading", done, total);
}

static mb_status_t open_source(copy_t *copy)
{
    const mb_data_options_t *o = copy->c->options;
    mb_source_wants_t wants = {.n_inputs = 0};
    mb_str_t paths = {0};
    if (o->like != NULL)
        MB_TRY(mb_hdf5_words_of(o->like, &copy->known));
    wants.form = (mb_source_form_t){.label = o->label,
                                    .columns = o->columns,
                                    .known = o->like == NULL ? NULL : &copy->known,
                                    .progress = show_reading,
                                    .user = copy->c};
    memcpy(wants.form.image_size, o->image_size, sizeof(o->image_size));
    for (int i = 0; i < copy->c->n_inputs; i++)
        mb_str_addf(&paths, "%s%s", i == 0 ? "" : "\n", copy->c->inputs[i]);
    mb_status_t status = paths.failed ? mb_error_memory("a list of files", paths.length)
                                      : mb_source_open(paths.text, &wants, &copy->source);
    mb_str_free(&paths);
    return status;
}

mb_status_t mb_convert_source(mb_conversion_t *conversion)
{
    copy_t copy = {.c = conversion};
    mb_status_t status = open_source(&copy);
    if (status == MB_OK)
        status = copy_all(&copy);
    mb_source_close(copy.source);
    mb_vocabularies_free(&copy.known);
    free(copy.datasets);
    free(copy.names);
    return status;
}
