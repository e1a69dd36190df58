/* What all sources share: construction, names, messages, digests; and which field serves which
 * input or output of a model. */
#define _POSIX_C_SOURCE 200809L
#include "data/internal.h"

#include "base/philox.h"
#include "base/str.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

mb_source_t *mb_source_allocate(const mb_source_class_t *class_, size_t bytes, const char *path,
                                int n_fields)
{
    mb_source_t *source = calloc(1, bytes);
    if (source == NULL)
        return NULL;
    source->class_ = class_;
    source->path = strdup(path);
    source->fields = calloc(n_fields < 1 ? 1 : (size_t)n_fields, sizeof(mb_field_t));
    source->n_fields = n_fields;
    if (source->path != NULL && source->fields != NULL)
        return source;
    mb_source_release(source);
    return NULL;
}

void mb_source_release(mb_source_t *source)
{
    mb_vocabularies_free(&source->words);
    free(source->fields);
    free(source->path);
    free(source);
}

void mb_source_close(mb_source_t *source)
{
    if (source != NULL)
        source->class_->close(source);
}

int mb_source_field(const mb_source_t *source, const char *name)
{
    for (int i = 0; i < source->n_fields; i++) {
        if (strcmp(source->fields[i].name, name) == 0)
            return i;
    }
    return -1;
}

bool mb_source_is_table(const mb_source_t *source)
{
    return strcmp(source->class_->kind, "table") == 0;
}

mb_status_t mb_source_refuse_label(const char *path)
{
    return mb_error_set(MB_ERR_ARGUMENT,
                        "%s: --label names a column of a table (.csv, .tsv), and this is none",
                        path);
}

const char *mb_source_weights_name(const char *output, char name[MB_WEIGHTS_NAME])
{
    snprintf(name, MB_WEIGHTS_NAME, MB_SAMPLE_WEIGHT "_%s", output);
    return name;
}

int mb_source_weights(const mb_source_t *source, const char *output)
{
    char name[MB_WEIGHTS_NAME];
    int own = mb_source_field(source, mb_source_weights_name(output, name));
    return own >= 0 ? own : mb_source_field(source, MB_SAMPLE_WEIGHT);
}

const char *mb_source_path(const mb_source_t *source, int field)
{
    const char *path = source->fields[field].path;
    return path != NULL ? path : source->path;
}

mb_status_t mb_source_fault(const mb_source_t *source, int field, int64_t sample, const char *what)
{
    return mb_error_set(MB_ERR_DATA, "%s: dataset '%s': sample %" PRId64 ": %s",
                        mb_source_path(source, field), source->fields[field].name,
                        source->first + sample, what);
}

mb_status_t mb_source_check_indices(const mb_source_t *source, const int64_t *indices,
                                    int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        if (indices[i] < 0 || indices[i] >= source->samples)
            return mb_error_set(MB_ERR_ARGUMENT,
                                "%s: sample %" PRId64 " was asked for, but there are %" PRId64,
                                source->path, indices[i], source->samples);
    }
    return MB_OK;
}

uint64_t mb_digest_add(uint64_t digest, uint64_t word)
{
    digest = (digest ^ word) * UINT64_C(0x9E3779B97F4A7C15);
    return digest ^ digest >> 29;
}

uint64_t mb_digest_field(uint64_t digest, const mb_field_t *field, const mb_element_t *element,
                         int64_t samples)
{
    char shape[MB_SHAPE_TEXT], text[256];
    snprintf(text, sizeof(text), "%s %s %" PRId64 " %.17g %.17g %s",
             mb_shape_text(&field->shape, shape, sizeof(shape)), mb_dtype_name(element->stored),
             samples, element->scaled ? element->scale : 1.0,
             element->scaled ? element->offset : 0.0, element->swap ? "swapped" : "native");
    return mb_digest_add(mb_digest_add(digest, mb_hash_name(field->name)), mb_hash_name(text));
}

bool mb_source_is_positions(const mb_source_wants_t *wants, int input)
{
    return wants->n_inputs > 1 && strcmp(wants->input_names[input], "positions") == 0;
}

int mb_source_only_input(const mb_source_wants_t *wants)
{
    int only = -1;
    for (int i = 0; i < wants->n_inputs; i++) {
        if (mb_source_is_positions(wants, i))
            continue;
        if (only >= 0)
            return -1;
        only = i;
    }
    return only;
}

/* DIMS dimensions agree, open ones with any. */
static bool dims_fit(const mb_shape_t *have, const mb_shape_t *want, int dims)
{
    for (int i = 0; i < dims; i++) {
        if (want->dim[i] != MB_OPEN && want->dim[i] != have->dim[i])
            return false;
    }
    return true;
}

static bool lacks_channel(const mb_shape_t *have, const mb_shape_t *want)
{
    return want->rank == have->rank + 1 && want->dim[have->rank] == 1 &&
           dims_fit(have, want, have->rank);
}

/* Keras too adds or drops a last axis of 1 (Functional._adjust_input_rank). */
static bool shape_fits(const mb_shape_t *have, const mb_shape_t *want)
{
    if (have->rank == want->rank)
        return dims_fit(have, want, have->rank);
    return lacks_channel(have, want) ||
           (have->rank == want->rank + 1 && have->dim[want->rank] == 1 &&
            dims_fit(have, want, want->rank));
}

static int input_field(const mb_source_t *source, const mb_source_wants_t *wants, int input)
{
    int field = mb_source_field(source, wants->input_names[input]);
    if (field < 0 && mb_source_only_input(wants) == input)
        field = mb_source_field(source, "x");
    return field;
}

void mb_source_add_channel(mb_source_t *source, const mb_source_wants_t *wants)
{
    for (int i = 0; i < wants->n_inputs; i++) {
        int field = input_field(source, wants, i);
        if (field < 0)
            continue;
        mb_shape_t *shape = &source->fields[field].shape;
        if (shape->rank < MB_MAX_RANK && lacks_channel(shape, &wants->input_shapes[i]))
            shape->dim[shape->rank++] = 1;
    }
}

static mb_status_t no_field(const mb_source_t *source, const char *role, const char *name,
                            const char *otherwise)
{
    mb_str_t has = {0};
    for (int i = 0; i < source->n_fields; i++)
        mb_str_addf(&has, "%s'%s'", i == 0 ? "" : ", ", source->fields[i].name);
    mb_status_t status =
        mb_error_set(MB_ERR_DATA,
                     "%s: no data for the model's %s '%s': wanted is a dataset of that name%s; "
                     "found %s",
                     source->path, role, name, otherwise, has.text == NULL ? "none" : has.text);
    mb_str_free(&has);
    return status;
}

mb_status_t mb_source_take_words(mb_source_t *source, mb_vocabulary_t *words)
{
    MB_TRY(mb_vocabularies_take(&source->words, words));
    int field = mb_source_field(source, words->name);
    if (field >= 0)
        source->fields[field].classes = words->n;
    source->digest = mb_vocabulary_digest(words, source->digest);
    return MB_OK;
}

static mb_status_t match_input(const mb_source_t *source, const mb_source_wants_t *wants, int input,
                               int *field)
{
    const char *name = wants->input_names[input];
    *field = input_field(source, wants, input);
    if (*field < 0 && mb_source_is_positions(wants, input))
        return MB_OK;
    if (*field < 0)
        return no_field(source, "input", name,
                        mb_source_only_input(wants) == input ? " or 'x'" : "");
    const mb_field_t *found = &source->fields[*field];
    if (shape_fits(&found->shape, &wants->input_shapes[input]))
        return MB_OK;
    char have[MB_SHAPE_TEXT], want[MB_SHAPE_TEXT];
    return mb_error_set(MB_ERR_SHAPE,
                        "%s: a sample of dataset '%s' has shape %s, but the model's input '%s' "
                        "takes %s",
                        mb_source_path(source, *field), found->name,
                        mb_shape_text(&found->shape, have, sizeof(have)), name,
                        mb_shape_text(&wants->input_shapes[input], want, sizeof(want)));
}

mb_status_t mb_source_check_inputs(const mb_source_t *source, const mb_source_wants_t *wants)
{
    for (int i = 0; i < wants->n_inputs; i++) {
        int field;
        MB_TRY(match_input(source, wants, i, &field));
    }
    return MB_OK;
}

mb_status_t mb_source_match(const mb_source_t *source, const mb_source_wants_t *wants,
                            int *input_fields, int *output_fields)
{
    for (int i = 0; i < wants->n_inputs; i++)
        MB_TRY(match_input(source, wants, i, &input_fields[i]));
    for (int i = 0; i < wants->n_outputs; i++) {
        output_fields[i] = mb_source_field(source, wants->output_names[i]);
        if (output_fields[i] < 0 && wants->n_outputs == 1)
            output_fields[i] = mb_source_field(source, "y");
        if (output_fields[i] < 0)
            return no_field(source, "output", wants->output_names[i],
                            wants->n_outputs == 1 ? " or 'y'" : "");
    }
    return MB_OK;
}
