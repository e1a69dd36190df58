/* A run of another source's samples: indices move, everything else is the whole's. */
#include "data/internal.h"

#include <inttypes.h>
#include <stdlib.h>

#define STRETCH 256

typedef struct {
    mb_source_t base;
    mb_source_t *whole;
    int64_t shift;
} slice_t;

static void slice_close(mb_source_t *source)
{
    free(source);
}

/* Moves indices in stretches, because the caller's are const and nothing is allocated here. */
static mb_status_t slice_read(mb_source_t *source, int field, const int64_t *indices, int64_t count,
                              bool as_int, void *to)
{
    const slice_t *slice = (const slice_t *)source;
    int64_t sample_bytes = 4 * mb_shape_elements(&source->fields[field].shape);
    int64_t moved[STRETCH];
    MB_TRY(mb_source_check_indices(source, indices, count));
    for (int64_t at = 0; at < count; at += STRETCH) {
        int64_t n = count - at < STRETCH ? count - at : STRETCH;
        for (int64_t i = 0; i < n; i++)
            moved[i] = indices[at + i] + slice->shift;
        MB_TRY(slice->whole->class_->read(slice->whole, field, moved, n, as_int,
                                          (char *)to + at * sample_bytes));
    }
    return MB_OK;
}

static mb_status_t slice_expect(mb_source_t *source, int field, const int64_t *indices,
                                int64_t count)
{
    const slice_t *slice = (const slice_t *)source;
    int64_t moved[STRETCH];
    MB_TRY(mb_source_check_indices(source, indices, count));
    for (int64_t at = 0; at < count; at += STRETCH) {
        int64_t n = count - at < STRETCH ? count - at : STRETCH;
        for (int64_t i = 0; i < n; i++)
            moved[i] = indices[at + i] + slice->shift;
        MB_TRY(slice->whole->expect(slice->whole, field, moved, n));
    }
    return MB_OK;
}

static const mb_source_class_t any_thread_class = {sizeof(mb_source_class_t), "slice", slice_close,
                                                   slice_read, true};
static const mb_source_class_t one_thread_class = {sizeof(mb_source_class_t), "slice", slice_close,
                                                   slice_read, false};

mb_status_t mb_source_slice(mb_source_t *whole, int64_t first, int64_t count, mb_source_t **out)
{
    if (first < 0 || count < 0 || first > whole->samples || count > whole->samples - first)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "%s: a slice of %" PRId64 " samples from %" PRId64
                            " does not lie inside its %" PRId64 " samples",
                            whole->path, count, first, whole->samples);
    slice_t *slice = malloc(sizeof(*slice));
    if (slice == NULL)
        return mb_error_memory("a slice of a data source", sizeof(*slice));
    *slice = (slice_t){.base = *whole, .whole = whole, .shift = first};
    slice->base.class_ = whole->class_->thread_ok ? &any_thread_class : &one_thread_class;
    slice->base.expect = whole->expect == NULL ? NULL : slice_expect;
    slice->base.samples = count;
    slice->base.first = whole->first + first;
    slice->base.digest =
        mb_digest_add(mb_digest_add(whole->digest, (uint64_t)first), (uint64_t)count);
    *out = &slice->base;
    return MB_OK;
}
