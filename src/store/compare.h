/* What two model files do not have in common: configurations key by key, tensors by name, settings
 * and the counters of a run. Tensors are read in stretches, so memory does not grow with them. */
#ifndef MB_STORE_COMPARE_H
#define MB_STORE_COMPARE_H

#include "base/arena.h"
#include "store/model_file.h"

typedef enum {
    MB_COMPARED_CONFIG = 0, /* of model and training */
    MB_COMPARED_SETTINGS,
    MB_COMPARED_STATE,
    MB_COMPARED_TEXTS
} mb_compared_text_t;

/* A text that is not the same; NULL: there is none on that side. */
typedef struct {
    const char *place; /* "layer 'dense_1' (Dense): units" */
    const char *a, *b;
} mb_text_difference_t;

typedef struct {
    int n, capacity;
    mb_text_difference_t *list;
} mb_text_differences_t;

typedef enum {
    MB_COMPARED_WEIGHTS = 0,
    MB_COMPARED_MOMENTS,   /* /mbrun/optimizer */
    MB_COMPARED_OPTIMIZER, /* Keras' optimizer_weights */
    MB_COMPARED_STATES,    /* of layers, from batch to batch */
    MB_COMPARED_TENSORS
} mb_compared_tensors_t;

typedef enum {
    MB_TENSOR_EQUAL = 0,
    MB_TENSOR_ONLY_A,
    MB_TENSOR_ONLY_B,
    MB_TENSOR_OTHER_SHAPE,
    MB_TENSOR_OTHER_VALUES
} mb_tensor_verdict_t;

typedef struct {
    const char *name;
    mb_tensor_verdict_t verdict;
    mb_shape_t a, b;
    int64_t elements, different, first; /* FIRST: the first element that differs */
    float first_a, first_b;
    double max_abs;      /* infinite where one of the two is no number */
    double max_relative; /* to the larger magnitude of the two */
    double rmse;         /* over all elements */
} mb_tensor_difference_t;

typedef struct {
    int compared, n; /* names on either side; those that differ */
    mb_tensor_difference_t *list;
} mb_tensor_differences_t;

typedef struct {
    mb_arena_t *arena;
    double tolerance;
    mb_text_differences_t texts[MB_COMPARED_TEXTS];
    mb_tensor_differences_t tensors[MB_COMPARED_TENSORS];
} mb_comparison_t;

/* Elements are equal when their bits are, or, with a TOLERANCE over 0, when they lie no further
 * apart than that, absolutely or relative to the larger of the two; NaN equals NaN. Not collective.
 * Free it also after an error. */
mb_status_t mb_compare(const mb_model_file_t *a, const mb_model_file_t *b, double tolerance,
                       mb_comparison_t *out);
void mb_comparison_free(mb_comparison_t *comparison);
bool mb_comparison_equal(const mb_comparison_t *comparison);

/* Between the files of this. */
mb_status_t mb_compare_note(mb_comparison_t *comparison, mb_compared_text_t kind, const char *place,
                            const char *a, const char *b);
mb_status_t mb_compare_configs(mb_comparison_t *comparison, const mb_model_file_t *a,
                               const mb_model_file_t *b);
mb_status_t mb_compare_tensors(mb_comparison_t *comparison, const mb_model_file_t *a,
                               const mb_model_file_t *b);

#endif
