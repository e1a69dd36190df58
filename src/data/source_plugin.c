/* A plugin's source as one of ours: what it gives is checked as what files hold is, and its digest
 * is of samples spread evenly over it. */
#define _POSIX_C_SOURCE 200809L
#include "data/source_plugin.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "data/csv.h"

enum { MOST_ADDED = 32, MOST_FIELDS = 1024 };
static const mb_plugin_source_t *added[MOST_ADDED];
static size_t n_added;

typedef struct {
    mb_source_t base;
    const mb_plugin_source_t *plugin;
    void *data;
    bool opened;
} plugin_t;

static bool ends_with(const char *path, const char *ending)
{
    size_t length = strlen(path), tail = strlen(ending);
    return length > tail && strcasecmp(path + length - tail, ending) == 0;
}

const mb_plugin_source_t *mb_source_plugin_find(const char *path)
{
    for (size_t i = 0; i < n_added; i++) {
        if (ends_with(path, added[i]->ending))
            return added[i];
    }
    return NULL;
}

mb_status_t mb_source_plugin_add(const mb_plugin_source_t *source)
{
    char name[64];
    snprintf(name, sizeof(name), "x%s", source->ending);
    if (mb_source_plugin_find(name) != NULL || mb_csv_has_ending(name))
        return mb_error_set(MB_ERR_ARGUMENT,
                            "source '%s': files of this ending are another source's already",
                            source->ending);
    if (n_added == MOST_ADDED)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "source '%s': %d sources were added, which is the most", source->ending,
                            MOST_ADDED);
    added[n_added++] = source;
    return MB_OK;
}

static void plugin_close(mb_source_t *source)
{
    plugin_t *p = (plugin_t *)source;
    if (p->opened && p->plugin->close != NULL)
        p->plugin->close(p->data);
    mb_source_release(source);
}

/* ---- one sample */

static mb_status_t check_floats(const plugin_t *p, int field, int64_t index, int64_t n,
                                const void *values)
{
    const float *x = values;
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(x[i]))
            return mb_source_fault(&p->base, field, index, "a value that is not finite");
    }
    return MB_OK;
}

/* int32 elements to floats in their place, or the other way round. */
static mb_status_t convert(const plugin_t *p, int field, int64_t index, int64_t n, bool as_int,
                           void *values)
{
    char *at = values;
    for (int64_t i = 0; i < n; i++, at += 4) {
        int32_t whole;
        float real;
        memcpy(as_int ? (void *)&real : (void *)&whole, at, 4);
        if (as_int && (!(fabsf(real) < 0x1p31f) || real != floorf(real)))
            return mb_source_fault(&p->base, field, index, "whole numbers are wanted");
        if (as_int)
            whole = (int32_t)real;
        else
            real = (float)whole;
        memcpy(at, as_int ? (const void *)&whole : (const void *)&real, 4);
    }
    return MB_OK;
}

static mb_status_t read_one(const plugin_t *p, int field, int64_t index, void *to)
{
    mb_status_t status = p->plugin->read(p->data, field, index, to);
    if (status == MB_OK)
        return status;
    return mb_error_prefix(status, "%s: dataset '%s': sample %" PRId64 ": ", p->base.path,
                           p->base.fields[field].name, index);
}

static mb_status_t plugin_read(mb_source_t *source, int field, const int64_t *indices,
                               int64_t count, bool as_int, void *to)
{
    const plugin_t *p = (const plugin_t *)source;
    const mb_field_t *f = &source->fields[field];
    int64_t n = mb_shape_elements(&f->shape);
    char *at = to;
    MB_TRY(mb_source_check_indices(source, indices, count));
    for (int64_t i = 0; i < count; i++, at += 4 * n) {
        MB_TRY(read_one(p, field, indices[i], at));
        if (!f->integral)
            MB_TRY(check_floats(p, field, indices[i], n, at));
        if (f->integral != as_int)
            MB_TRY(convert(p, field, indices[i], n, as_int, at));
    }
    return MB_OK;
}

static const mb_source_class_t on_any_thread = {sizeof(mb_source_class_t), "plugin", plugin_close,
                                                plugin_read, true};
static const mb_source_class_t on_one_thread = {sizeof(mb_source_class_t), "plugin", plugin_close,
                                                plugin_read, false};

/* ---- opening */

static bool is_shape(const mb_plugin_shape_t *shape)
{
    bool good = shape->rank >= 0 && shape->rank <= MB_MAX_RANK;
    for (int d = 0; good && d < shape->rank; d++)
        good = shape->dim[d] >= 1 && shape->dim[d] <= INT32_MAX;
    return good;
}

static mb_status_t check_contents(const char *path, const mb_plugin_contents_t *contents)
{
    bool good = contents->samples >= 1 && contents->fields >= 1 &&
                contents->fields <= MOST_FIELDS && contents->field != NULL;
    for (int i = 0; good && i < contents->fields; i++)
        good = contents->field[i].name != NULL && is_shape(&contents->field[i].shape);
    if (good)
        return MB_OK;
    return mb_error_set(MB_ERR_DATA,
                        "%s: the plugin's source says nothing that can be read: it must have "
                        "samples, and fields with a name and a shape",
                        path);
}

static void fill_field(const mb_plugin_field_t *from, mb_field_t *to)
{
    *to = (mb_field_t){
        .name = from->name, .stored = from->whole ? MB_I32 : MB_F32, .integral = from->whole != 0};
    to->shape.rank = from->shape.rank;
    memcpy(to->shape.dim, from->shape.dim, sizeof(to->shape.dim));
}

static mb_status_t digest_field(plugin_t *p, int field)
{
    const mb_field_t *f = &p->base.fields[field];
    int64_t bytes = 4 * mb_shape_elements(&f->shape), samples = p->base.samples;
    int64_t most = MB_DIGEST_BYTES / p->base.n_fields / bytes;
    int64_t n = most < 1 ? 1 : most < samples ? most : samples;
    mb_element_t element = {.stored = f->stored};
    unsigned char *values = malloc((size_t)bytes);
    mb_status_t status = values == NULL ? mb_error_memory("a sample", (size_t)bytes) : MB_OK;
    p->base.digest = mb_digest_field(p->base.digest, f, &element, samples);
    for (int64_t i = 0; i < n && status == MB_OK; i++) {
        int64_t index = i * (samples / n);
        status = plugin_read(&p->base, field, &index, 1, f->integral, values);
        for (int64_t at = 0; at < bytes && status == MB_OK; at += 4) {
            uint32_t word;
            memcpy(&word, values + at, 4);
            p->base.digest = mb_digest_add(p->base.digest, word);
        }
    }
    free(values);
    return status;
}

static mb_status_t look(plugin_t *p, const mb_plugin_contents_t *contents,
                        const mb_source_wants_t *wants)
{
    p->base.samples = contents->samples;
    for (int i = 0; i < contents->fields; i++)
        fill_field(&contents->field[i], &p->base.fields[i]);
    mb_source_add_channel(&p->base, wants);
    MB_TRY(mb_source_check_inputs(&p->base, wants));
    for (int i = 0; i < contents->fields; i++)
        MB_TRY(digest_field(p, i));
    return MB_OK;
}

static mb_status_t allocate(const mb_plugin_source_t *plugin, const char *path, int fields,
                            void *data, plugin_t **out)
{
    const mb_source_class_t *class_ = plugin->threads ? &on_any_thread : &on_one_thread;
    plugin_t *p = (plugin_t *)mb_source_allocate(class_, sizeof(plugin_t), path, fields);
    if (p == NULL)
        return mb_error_memory("a plugin's source", sizeof(plugin_t));
    p->plugin = plugin;
    p->data = data;
    p->opened = true;
    *out = p;
    return MB_OK;
}

mb_status_t mb_source_open_plugin(const char *path, const mb_source_wants_t *wants,
                                  mb_source_t **out)
{
    const mb_plugin_source_t *plugin = mb_source_plugin_find(path);
    mb_plugin_contents_t contents = {0, 0, NULL};
    void *data = NULL;
    plugin_t *p = NULL;
    mb_status_t status = plugin->open(path, &data, &contents);
    if (status != MB_OK)
        return mb_error_prefix(status, "%s: ", path);
    status = check_contents(path, &contents);
    if (status == MB_OK)
        status = allocate(plugin, path, contents.fields, data, &p);
    if (p == NULL && plugin->close != NULL)
        plugin->close(data);
    if (status == MB_OK)
        status = look(p, &contents, wants);
    if (status == MB_OK)
        *out = &p->base;
    else if (p != NULL)
        plugin_close(&p->base);
    return status;
}
