/* Arrays of the caller's by name, before they become a source of samples. */
#ifndef MB_API_ARRAYS_H
#define MB_API_ARRAYS_H

#include "api/api.h"

#define MB_API_MAX_ARRAYS 32

typedef struct {
    int count;
    mb_array_t arrays[MB_API_MAX_ARRAYS]; /* names are owned */
    int64_t samples[MB_API_MAX_ARRAYS];
} mb_api_arrays_t;

/* Adds an array, or replaces the one of this name. FUNCTION starts the message. */
mb_status_t mb_api_arrays_set(mb_api_arrays_t *arrays, const char *function, const char *name,
                              mb_type_t type, int rank, const int64_t *shape, const void *data);
/* What the public interface says of an array, checked: its elements, and the shape of one sample.
 * LEAST: samples. */
mb_status_t mb_api_array_type(const char *function, mb_type_t type, mb_dtype_t *out);
mb_status_t mb_api_array_shape(const char *function, const char *name, int rank,
                               const int64_t *shape, int64_t least, mb_shape_t *sample);
/* The place of the array of this name; `count` where there is none. */
int mb_api_arrays_find(const mb_api_arrays_t *arrays, const char *name);
/* MB_ERR_SHAPE unless all have the same number of samples. */
mb_status_t mb_api_arrays_check(const mb_api_arrays_t *arrays);
/* The source of all of them. Not collective. */
mb_status_t mb_api_arrays_open(const mb_api_arrays_t *arrays, mb_source_t **out);
void mb_api_arrays_free(mb_api_arrays_t *arrays);

#endif
