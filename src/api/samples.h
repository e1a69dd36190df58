/* Samples of a rank's own by name, before all ranks' become one source. */
#ifndef MB_API_SAMPLES_H
#define MB_API_SAMPLES_H

#include "api/arrays.h"
#include "data/source_held.h"

typedef struct {
    int count;
    mb_held_t fields[MB_HELD_MOST]; /* names are owned */
    int64_t samples[MB_HELD_MOST];
} mb_api_samples_t;

/* An array as the public call describes it. */
typedef struct {
    const char *name;
    mb_type_t type;
    int rank;
    const int64_t *shape, *strides;
    const void *data;
    mb_where_t where;
} mb_api_array_t;

/* Adds an array, or replaces the one of its name. FUNCTION starts the message. */
mb_status_t mb_api_samples_set(mb_api_samples_t *samples, const char *function,
                               const mb_api_array_t *array);
/* The same of what is checked already; the name is copied. */
mb_status_t mb_api_samples_put(mb_api_samples_t *samples, const mb_held_t *held, int64_t count);
/* Collective over ALL; see mb_source_hold. */
mb_status_t mb_api_samples_open(mb_api_samples_t *samples, mb_comm_t *all, mb_comm_t *comm,
                                const char *device, mb_source_t **out);
void mb_api_samples_free(mb_api_samples_t *samples);

/* Whether RANK of SIZE ranks is in a list such as "0-3,6", which FUNCTION was given as the setting
 * `ranks`; *FIRST is the lowest that is. */
mb_status_t mb_api_ranks_read(const char *text, int size, int rank, bool *in, int *first);

#endif
