/* The model over its data, as often as quantization asks for it: one engine whose stages span the
 * ranks, and passes over all samples or over an even choice of them. */
#ifndef MB_COMPRESS_PASSES_H
#define MB_COMPRESS_PASSES_H

#include "engine/feed.h"
#include "train/score.h"

typedef struct {
    int64_t samples; /* 0: all; else as many, rounded up to whole steps, drawn evenly */
    void *user;
    /* After each micro-batch's forward, on the ranks that have a stage; BATCH counts them from 0.
     * NULL: nobody looks. */
    mb_status_t (*micro)(void *user, const mb_micro_t *micro, int64_t batch);
} mb_pass_t;

typedef struct mb_passes {
    mb_comm_t *comm;
    const mb_model_t *model;
    mb_source_t *source;
    mb_machine_t *machine;
    mb_engine_t *engine;
    mb_score_t *score; /* NULL without losses */
    mb_feed_t *feed;
    int64_t batch;        /* samples of a micro-batch */
    int64_t summed_batch; /* that a summed loss is of */
    int64_t step;
    const mb_pass_t *pass; /* the one that runs */
} mb_passes_t;

typedef struct {
    mb_comm_t *comm;
    const mb_model_t *model; /* with losses, or without */
    mb_source_t *source;
    mb_machine_options_t machine;
    int64_t batch, summed_batch;
} mb_passes_options_t;

typedef struct {
    double loss, accuracy; /* NaN: none */
} mb_pass_score_t;

/* Collective. The stage holds the model's float32 values. */
mb_status_t mb_passes_open(const mb_passes_options_t *options, mb_passes_t **out);
void mb_passes_close(mb_passes_t *passes);

/* How many micro-batches such a pass has. */
int64_t mb_passes_batches(const mb_passes_t *passes, int64_t samples);
/* How many samples it sees. */
int64_t mb_passes_samples(const mb_passes_t *passes, int64_t samples);

/* Collective; every rank gets the score. */
mb_status_t mb_passes_run(mb_passes_t *passes, const mb_pass_t *pass, mb_pass_score_t *score);

#endif
