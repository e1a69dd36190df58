/* Tensors of two files, matched by their labels. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "store/compare.h"
#include "store/labels.h"

#define STRETCH_ELEMENTS ((int64_t)1 << 18)

typedef struct {
    const char *name;
    const mb_stored_tensor_t *a, *b; /* NULL: not there */
} pair_t;

typedef struct {
    const mb_model_file_t *file_a, *file_b;
    int n;
    pair_t *list;
} pairs_t;

/* One that has no partner yet. Files of one model have their tensors in one order: the place behind
 * the last find comes first. */
static pair_t *find(pairs_t *pairs, int expected, const char *name)
{
    for (int i = 0; i < pairs->n; i++) {
        pair_t *pair = &pairs->list[(expected + i) % pairs->n];
        if (pair->b == NULL && strcmp(pair->name, name) == 0)
            return pair;
    }
    return NULL;
}

static mb_status_t add(mb_comparison_t *comparison, pairs_t *pairs, const char *layer,
                       const mb_stored_tensor_t *tensor, bool second, int *at)
{
    const char *name = mb_tensor_label(comparison->arena, layer, tensor->name);
    if (name == NULL)
        return mb_error_memory("a comparison", 0);
    pair_t *pair = second ? find(pairs, *at, name) : NULL;
    if (pair != NULL) {
        pair->b = tensor;
        *at = (int)(pair - pairs->list) + 1;
        return MB_OK;
    }
    pairs->list[pairs->n++] = (pair_t){name, second ? NULL : tensor, second ? tensor : NULL};
    return MB_OK;
}

static int count_weights(const mb_model_file_t *file)
{
    int count = file->n_layers == 0 ? file->n_variables : 0;
    for (int l = 0; l < file->n_layers; l++)
        count += file->layers[l].n_weights;
    return count;
}

static mb_status_t add_weights(mb_comparison_t *comparison, pairs_t *pairs,
                               const mb_model_file_t *file, bool second)
{
    int at = 0;
    for (int l = 0; l < file->n_layers; l++) {
        const mb_stored_layer_t *layer = &file->layers[l];
        for (int w = 0; w < layer->n_weights; w++)
            MB_TRY(add(comparison, pairs, layer->name, &layer->weights[w], second, &at));
    }
    for (int v = 0; v < file->n_variables && file->n_layers == 0; v++)
        MB_TRY(add(comparison, pairs, "", &file->variables[v].tensor, second, &at));
    return MB_OK;
}

static void list_of(const mb_model_file_t *file, mb_compared_tensors_t kind, int *count,
                    const mb_stored_tensor_t **list)
{
    *count = kind == MB_COMPARED_MOMENTS     ? file->n_moments
             : kind == MB_COMPARED_OPTIMIZER ? file->n_optimizer
                                             : file->n_states;
    *list = kind == MB_COMPARED_MOMENTS     ? file->moments
            : kind == MB_COMPARED_OPTIMIZER ? file->optimizer
                                            : file->states;
}

static mb_status_t add_list(mb_comparison_t *comparison, pairs_t *pairs,
                            const mb_model_file_t *file, mb_compared_tensors_t kind, bool second)
{
    const mb_stored_tensor_t *list;
    int count, at = 0;
    list_of(file, kind, &count, &list);
    for (int i = 0; i < count; i++)
        MB_TRY(add(comparison, pairs, "", &list[i], second, &at));
    return MB_OK;
}

static int count_of(const mb_model_file_t *file, mb_compared_tensors_t kind)
{
    const mb_stored_tensor_t *list;
    int count;
    list_of(file, kind, &count, &list);
    return kind == MB_COMPARED_WEIGHTS ? count_weights(file) : count;
}

static mb_status_t match(mb_comparison_t *comparison, mb_compared_tensors_t kind, pairs_t *pairs)
{
    int most = count_of(pairs->file_a, kind) + count_of(pairs->file_b, kind);
    pairs->list = MB_ARENA_ARRAY(comparison->arena, pair_t, most + 1);
    if (pairs->list == NULL)
        return mb_error_memory("a comparison", 0);
    for (int side = 0; side < 2; side++) {
        const mb_model_file_t *file = side == 0 ? pairs->file_a : pairs->file_b;
        if (kind == MB_COMPARED_WEIGHTS)
            MB_TRY(add_weights(comparison, pairs, file, side == 1));
        else
            MB_TRY(add_list(comparison, pairs, file, kind, side == 1));
    }
    return MB_OK;
}

static bool same(float a, float b, double tolerance)
{
    double x = (double)a, y = (double)b, larger = fmax(fabs(x), fabs(y));
    if (memcmp(&a, &b, sizeof a) == 0 || (isnan(a) && isnan(b)))
        return true;
    double distance = fabs(x - y);
    return tolerance > 0 && (distance <= tolerance || distance <= tolerance * larger);
}

static void add_element(mb_tensor_difference_t *sum, int64_t at, float a, float b)
{
    double x = (double)a, y = (double)b, larger = fmax(fabs(x), fabs(y));
    double distance = isnan(a) != isnan(b) ? (double)INFINITY : fabs(x - y);
    if (sum->different++ == 0) {
        sum->first = at;
        sum->first_a = a;
        sum->first_b = b;
    }
    sum->max_abs = fmax(sum->max_abs, distance);
    if (distance > 0)
        sum->max_relative = fmax(sum->max_relative, distance / larger);
    sum->rmse += distance * distance;
}

static mb_status_t compare_stretch(const mb_comparison_t *comparison, const float *a,
                                   const float *b, int64_t first, int64_t count,
                                   mb_tensor_difference_t *sum)
{
    if (memcmp(a, b, (size_t)count * sizeof *a) == 0)
        return MB_OK;
    for (int64_t i = 0; i < count; i++) {
        if (!same(a[i], b[i], comparison->tolerance))
            add_element(sum, first + i, a[i], b[i]);
    }
    return MB_OK;
}

/* What HDF5 alone reads, or what is encoded, is read whole. */
static mb_status_t read_values(const mb_model_file_t *file, const mb_stored_tensor_t *tensor,
                               bool whole, int64_t first, int64_t count, float *values)
{
    return whole ? mb_stored_tensor_read(file, tensor, values)
                 : mb_stored_tensor_read_some(file, tensor, first, count, values);
}

static mb_status_t compare_pair(const mb_comparison_t *comparison, const pairs_t *pairs,
                                const pair_t *pair, float *values, int64_t step,
                                mb_tensor_difference_t *sum)
{
    bool whole = pair->a->offset < 0 || pair->b->offset < 0;
    for (int64_t at = 0; at < pair->a->elements; at += step) {
        int64_t left = pair->a->elements - at, count = left < step ? left : step;
        MB_TRY(read_values(pairs->file_a, pair->a, whole, at, count, values));
        MB_TRY(read_values(pairs->file_b, pair->b, whole, at, count, values + step));
        MB_TRY(compare_stretch(comparison, values, values + step, at, count, sum));
    }
    return MB_OK;
}

static mb_status_t compare_elements(const mb_comparison_t *comparison, const pairs_t *pairs,
                                    const pair_t *pair, mb_tensor_difference_t *sum)
{
    bool whole = pair->a->offset < 0 || pair->b->offset < 0;
    int64_t elements = pair->a->elements, step = elements;
    if (!whole && step > STRETCH_ELEMENTS)
        step = STRETCH_ELEMENTS;
    size_t bytes = 2 * (size_t)step * sizeof(float);
    float *values = malloc(bytes + 1);
    if (values == NULL)
        return mb_error_memory(pair->name, bytes);
    mb_status_t status = compare_pair(comparison, pairs, pair, values, step, sum);
    free(values);
    if (elements > 0)
        sum->rmse = sqrt(sum->rmse / (double)elements);
    return status;
}

static mb_status_t judge(const mb_comparison_t *comparison, const pairs_t *pairs,
                         const pair_t *pair, mb_tensor_difference_t *out)
{
    *out = (mb_tensor_difference_t){.name = pair->name};
    if (pair->a != NULL)
        out->a = pair->a->shape;
    if (pair->b != NULL)
        out->b = pair->b->shape;
    if (pair->a == NULL || pair->b == NULL) {
        out->verdict = pair->a == NULL ? MB_TENSOR_ONLY_B : MB_TENSOR_ONLY_A;
        return MB_OK;
    }
    out->elements = pair->a->elements;
    if (!mb_shape_equal(&out->a, &out->b)) {
        out->verdict = MB_TENSOR_OTHER_SHAPE;
        return MB_OK;
    }
    MB_TRY(compare_elements(comparison, pairs, pair, out));
    out->verdict = out->different > 0 ? MB_TENSOR_OTHER_VALUES : MB_TENSOR_EQUAL;
    return MB_OK;
}

static mb_status_t compare_kind(mb_comparison_t *comparison, mb_compared_tensors_t kind,
                                pairs_t *pairs)
{
    mb_tensor_differences_t *out = &comparison->tensors[kind];
    MB_TRY(match(comparison, kind, pairs));
    out->compared = pairs->n;
    out->list = MB_ARENA_ARRAY(comparison->arena, mb_tensor_difference_t, pairs->n + 1);
    if (out->list == NULL)
        return mb_error_memory("a comparison", 0);
    for (int i = 0; i < pairs->n; i++) {
        MB_TRY(judge(comparison, pairs, &pairs->list[i], &out->list[out->n]));
        out->n += out->list[out->n].verdict != MB_TENSOR_EQUAL;
    }
    return MB_OK;
}

mb_status_t mb_compare_tensors(mb_comparison_t *comparison, const mb_model_file_t *a,
                               const mb_model_file_t *b)
{
    for (int kind = 0; kind < MB_COMPARED_TENSORS; kind++) {
        pairs_t pairs = {.file_a = a, .file_b = b};
        MB_TRY(compare_kind(comparison, (mb_compared_tensors_t)kind, &pairs));
    }
    return MB_OK;
}
