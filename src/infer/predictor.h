/* Prediction: batches flow through the stages one behind the other, replicas side by side, and
 * outputs are written by the ranks that have them. Results do not depend on the layout. */
#ifndef MB_INFER_PREDICTOR_H
#define MB_INFER_PREDICTOR_H

#include "data/source.h"
#include "engine/engine.h"
#include "engine/model_weights.h"

typedef struct {
    mb_comm_t *comm;
    const char *model;            /* path */
    mb_weights_request_t weights; /* instead of its own */
    const char *data;             /* path */
    const char *label;            /* a table's column that is not fed; NULL: none */
    const char *output;           /* HDF5: one dataset per model output, by name */
    mb_source_t *source;          /* instead of `data`; stays the caller's */
    /* Instead of `output`. READY is called on every rank once the outputs' shapes are known, WRITE
     * on the ranks that have the samples FIRST .. FIRST + COUNT - 1 of an output, in any order. */
    mb_status_t (*ready)(void *user, const mb_graph_t *graph);
    mb_status_t (*write)(void *user, int output, int64_t first, int64_t count, const float *values);
    int64_t batch; /* samples that flow together; 0: chosen */
    int stages;    /* 0: chosen */
    mb_machine_options_t machine;
    const char
        *dtype; /* that layers compute in, see mb_model_compute_in; NULL: as the model says */
    bool float_activations; /* never quantize activations, also where weights are int8 */
    double deadline;
    const mb_log_t *log;
    void *user;
    void (*progress)(void *user, int64_t done, int64_t samples); /* rank 0; NULL: none */
} mb_predict_options_t;

typedef struct {
    int64_t samples;
    int64_t tokens; /* in a sample; 0: not a model of tokens */
    double seconds; /* first sample in to last sample out */
    /* latency of a batch: from its samples' entering the first stage to its outputs' leaving the
     * last */
    double batch_seconds;    /* median */
    double batch_seconds_99; /* 99th percentile */
    int64_t batch;           /* samples of one */
    int stages, groups;
} mb_predict_report_t;

/* Collective; rank 0 gets the latencies. Nothing is left at OUTPUT when it fails. */
mb_status_t mb_predict(const mb_predict_options_t *options, mb_predict_report_t *report);

#endif
