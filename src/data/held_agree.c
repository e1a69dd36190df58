/* What the ranks tell each other of the samples that each of them holds, before any is read. */
#include "data/held_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_BYTES = 128 };

typedef struct {
    char name[NAME_BYTES]; /* what of a long one fits; the rest is in the hash */
    uint64_t hash;
    int32_t dtype, rank;
    int64_t dim[MB_MAX_RANK];
} field_text_t;

typedef struct {
    int64_t n;
    field_text_t fields[MB_HELD_MOST];
} fields_text_t;

static void describe(const mb_held_options_t *options, fields_text_t *out)
{
    memset(out, 0, sizeof *out);
    out->n = options->n_fields;
    for (int i = 0; i < options->n_fields; i++) {
        const mb_held_t *held = &options->fields[i];
        field_text_t *field = &out->fields[i];
        snprintf(field->name, sizeof field->name, "%s", held->name);
        field->hash = mb_hash_name(held->name);
        field->dtype = (int32_t)held->dtype;
        field->rank = held->shape.rank;
        memcpy(field->dim, held->shape.dim, (size_t)held->shape.rank * sizeof field->dim[0]);
    }
}

static const char *text_of(const field_text_t *field, char *text, size_t bytes)
{
    char shape[MB_SHAPE_TEXT];
    mb_shape_t dims = {.rank = field->rank};
    memcpy(dims.dim, field->dim, sizeof dims.dim);
    snprintf(text, bytes, "'%s' of shape %s, %s, a sample", field->name,
             mb_shape_text(&dims, shape, sizeof shape), mb_dtype_name((mb_dtype_t)field->dtype));
    return text;
}

static mb_status_t compare(const fields_text_t *own, const fields_text_t *first, int rank)
{
    char ours[2 * NAME_BYTES + MB_SHAPE_TEXT], theirs[2 * NAME_BYTES + MB_SHAPE_TEXT];
    if (own->n != first->n)
        return mb_error_set(MB_ERR_SHAPE,
                            "rank %d gives samples for %" PRId64 " names and rank 0 for %" PRId64
                            "; every rank names the same ones, with no samples where it has none",
                            rank, own->n, first->n);
    for (int64_t i = 0; i < own->n; i++) {
        if (memcmp(&own->fields[i], &first->fields[i], sizeof own->fields[i]) != 0)
            return mb_error_set(MB_ERR_SHAPE,
                                "rank %d gives samples %s, and rank 0 %s; every rank gives the "
                                "same names, types and shapes",
                                rank, text_of(&own->fields[i], ours, sizeof ours),
                                text_of(&first->fields[i], theirs, sizeof theirs));
    }
    return MB_OK;
}

static mb_status_t compare_fields(const mb_held_options_t *options)
{
    mb_status_t status = MB_OK;
    fields_text_t *texts = calloc(2, sizeof *texts);
    if (texts == NULL)
        status = mb_error_memory("the names of samples", 2 * sizeof *texts);
    status = mb_comm_agree(options->all, status);
    if (status == MB_OK) {
        describe(options, &texts[0]);
        texts[1] = texts[0];
        status = mb_comm_broadcast(options->all, &texts[1], sizeof texts[1], 0);
    }
    if (status == MB_OK)
        status =
            mb_comm_agree(options->all, compare(&texts[0], &texts[1], mb_comm_rank(options->all)));
    free(texts);
    return status;
}

typedef struct {
    int64_t samples, computes;
} rank_part_t;

static mb_status_t total_of(const rank_part_t *parts, int ranks)
{
    int64_t samples = 0;
    for (int r = 0; r < ranks; r++)
        samples += parts[r].samples;
    if (samples > 0)
        return MB_OK;
    return mb_error_set(MB_ERR_DATA, "no rank holds any samples; there is nothing to train on");
}

mb_status_t mb_held_agree(const mb_held_options_t *options, int64_t **counts, bool **computes)
{
    int ranks = mb_comm_size(options->all);
    const rank_part_t own = {options->samples, options->comm != NULL};
    MB_TRY(compare_fields(options));
    rank_part_t *parts = calloc((size_t)ranks, sizeof *parts);
    *counts = calloc((size_t)ranks, sizeof **counts);
    *computes = calloc((size_t)ranks, sizeof **computes);
    mb_status_t status = MB_OK;
    if (parts == NULL || *counts == NULL || *computes == NULL)
        status = mb_error_memory("the places of samples", (size_t)ranks * sizeof *parts);
    status = mb_comm_agree(options->all, status);
    if (status == MB_OK)
        status = mb_comm_allgather(options->all, &own, sizeof own, parts);
    if (status == MB_OK)
        status = total_of(parts, ranks);
    for (int r = 0; r < ranks && status == MB_OK; r++) {
        (*counts)[r] = parts[r].samples;
        (*computes)[r] = parts[r].computes != 0;
    }
    free(parts);
    return status;
}
