/* Sources of one structure behind each other: sample i of the whole is sample i - first[p] of the
 * part p that holds it. */
#include "data/internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define STRETCH 256

typedef struct {
    mb_source_t base;
    mb_source_t **parts;
    int64_t *first; /* of each part, and the end */
    int n_parts;
} join_t;

static void join_close(mb_source_t *source)
{
    join_t *join = (join_t *)source;
    for (int i = 0; i < join->n_parts; i++)
        mb_source_close(join->parts[i]);
    free(join->parts);
    free(join->first);
    mb_source_release(source);
}

static int part_of(const join_t *join, int64_t sample)
{
    int low = 0, high = join->n_parts - 1;
    while (low < high) {
        int middle = (low + high + 1) / 2;
        if (join->first[middle] <= sample)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

/* As many of the indices as lie in the part of the first. */
static int64_t take_run(const join_t *join, int part, const int64_t *indices, int64_t count,
                        int64_t *moved)
{
    int64_t n = 0;
    while (n < count && n < STRETCH && indices[n] >= join->first[part] &&
           indices[n] < join->first[part + 1]) {
        moved[n] = indices[n] - join->first[part];
        n++;
    }
    return n;
}

static mb_status_t join_read(mb_source_t *source, int field, const int64_t *indices, int64_t count,
                             bool as_int, void *to)
{
    const join_t *join = (const join_t *)source;
    int64_t sample_bytes = 4 * mb_shape_elements(&source->fields[field].shape);
    int64_t moved[STRETCH];
    MB_TRY(mb_source_check_indices(source, indices, count));
    for (int64_t at = 0; at < count;) {
        int p = part_of(join, indices[at]);
        int64_t n = take_run(join, p, indices + at, count - at, moved);
        mb_source_t *part = join->parts[p];
        MB_TRY(part->class_->read(part, field, moved, n, as_int, (char *)to + at * sample_bytes));
        at += n;
    }
    return MB_OK;
}

static const mb_source_class_t any_thread_class = {sizeof(mb_source_class_t), "joined", join_close,
                                                   join_read, true};
static const mb_source_class_t one_thread_class = {sizeof(mb_source_class_t), "joined", join_close,
                                                   join_read, false};

static mb_status_t check_field(const mb_source_t *first, const mb_source_t *part, int i)
{
    const mb_field_t *a = &first->fields[i], *b = &part->fields[i];
    char have[MB_SHAPE_TEXT], want[MB_SHAPE_TEXT];
    if (strcmp(a->name, b->name) == 0 && mb_shape_equal(&a->shape, &b->shape) &&
        a->integral == b->integral)
        return MB_OK;
    return mb_error_set(MB_ERR_SHAPE,
                        "%s: dataset '%s' (%s%s a sample) does not continue '%s' (%s%s a sample) "
                        "of %s: files that are joined must be of one structure",
                        part->path, b->name, b->integral ? "integers " : "",
                        mb_shape_text(&b->shape, have, sizeof(have)), a->name,
                        a->integral ? "integers " : "",
                        mb_shape_text(&a->shape, want, sizeof(want)), first->path);
}

static mb_status_t check_words(const mb_source_t *first, const mb_source_t *part)
{
    for (int i = 0; i < part->words.n || i < first->words.n; i++) {
        if (i < part->words.n && i < first->words.n &&
            mb_vocabulary_equal(part->words.items[i], first->words.items[i]))
            continue;
        return mb_error_set(MB_ERR_DATA,
                            "%s: its classes are not those of %s: files that are joined must have "
                            "the same ones",
                            part->path, first->path);
    }
    return MB_OK;
}

static mb_status_t check_part(const mb_source_t *first, const mb_source_t *part)
{
    if (first->n_fields != part->n_fields)
        return mb_error_set(MB_ERR_SHAPE, "%s holds %d datasets, but %s holds %d", part->path,
                            part->n_fields, first->path, first->n_fields);
    for (int i = 0; i < part->n_fields; i++)
        MB_TRY(check_field(first, part, i));
    return check_words(first, part);
}

static mb_status_t copy_words(join_t *join)
{
    const mb_vocabularies_t *words = &join->parts[0]->words;
    for (int i = 0; i < words->n; i++) {
        mb_vocabulary_t *copy;
        MB_TRY(mb_vocabulary_copy(words->items[i], &copy));
        MB_TRY(mb_source_take_words(&join->base, copy));
    }
    return MB_OK;
}

static mb_status_t fill(join_t *join)
{
    mb_source_t *source = &join->base;
    const mb_source_t *first = join->parts[0];
    memcpy(source->fields, first->fields, (size_t)first->n_fields * sizeof(mb_field_t));
    for (int f = 0; f < source->n_fields; f++)
        source->fields[f].path = NULL;
    for (int i = 0; i < join->n_parts; i++) {
        mb_source_t *part = join->parts[i];
        MB_TRY(check_part(first, part));
        if (!part->class_->thread_ok)
            source->class_ = &one_thread_class;
        source->by_class = source->by_class || part->by_class;
        join->first[i] = source->samples;
        source->samples += part->samples;
        join->first[i + 1] = source->samples;
        source->digest = mb_digest_add(source->digest, part->digest);
    }
    return copy_words(join);
}

static mb_source_t *allocate(mb_source_t **parts, int n_parts)
{
    mb_source_t *source =
        mb_source_allocate(&any_thread_class, sizeof(join_t), parts[0]->path, parts[0]->n_fields);
    join_t *join = (join_t *)source;
    if (source == NULL)
        return NULL;
    join->parts = calloc((size_t)n_parts, sizeof(*parts));
    join->first = calloc((size_t)n_parts + 1, sizeof(int64_t));
    if (join->parts != NULL && join->first != NULL)
        return source;
    join_close(source);
    return NULL;
}

mb_status_t mb_source_join(mb_source_t **parts, int n_parts, mb_source_t **out)
{
    mb_source_t *source = allocate(parts, n_parts);
    if (source == NULL) {
        for (int i = 0; i < n_parts; i++)
            mb_source_close(parts[i]);
        return mb_error_memory("joined data", (size_t)n_parts * sizeof(*parts));
    }
    join_t *join = (join_t *)source;
    memcpy(join->parts, parts, (size_t)n_parts * sizeof(*parts));
    join->n_parts = n_parts;
    mb_status_t status = fill(join);
    if (status == MB_OK)
        *out = source;
    else
        join_close(source);
    return status;
}
