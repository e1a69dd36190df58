/* Predictions in the caller's memory: written where they are computed, then brought to all ranks.
 */
#ifndef MB_API_OUTPUTS_H
#define MB_API_OUTPUTS_H

#include "api/arrays.h"
#include "model/graph.h"

typedef struct {
    char *name;
    int64_t count; /* numbers there is room for */
    float *values;
    int place;        /* which output of the model; set when it is known */
    int64_t elements; /* of one sample */
} mb_api_output_t;

/* Samples first .. first + count - 1 of an output, which this rank has written. */
typedef struct {
    int output;
    int64_t first, count;
} mb_api_run_t;

typedef struct {
    int count;
    mb_api_output_t outputs[MB_API_MAX_ARRAYS];
    int64_t samples;
    int n_runs, run_capacity;
    mb_api_run_t *runs;
} mb_api_outputs_t;

/* *AT: its place among them. FUNCTION starts the message. */
mb_status_t mb_api_outputs_set(mb_api_outputs_t *outputs, const char *function, const char *name,
                               int64_t count, float *values, int *at);
/* The hooks of mb_predict_options_t, with outputs as their user. */
mb_status_t mb_api_outputs_ready(void *outputs, const mb_graph_t *graph);
mb_status_t mb_api_outputs_write(void *outputs, int output, int64_t first, int64_t count,
                                 const float *values);
/* Collective: afterwards every rank has all samples. */
mb_status_t mb_api_outputs_share(mb_api_outputs_t *outputs, mb_comm_t *comm);
/* Makes ready for the next prediction. */
void mb_api_outputs_forget(mb_api_outputs_t *outputs);
void mb_api_outputs_free(mb_api_outputs_t *outputs);

#endif
