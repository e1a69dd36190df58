/* A model ready to predict: opened, cut into stages and planned, with its weights and workspaces in
 * memory. Runs follow one another on it, each with samples of its own, and find all that there.
 *
 * What is computed at a time is a micro-batch of always as many samples, the last one of a run
 * filled up with zeros; so results depend on that number (by rounding), and on no run's. A step
 * sends at most so many micro-batches through every group; the next step's follow at once, so that
 * stages never run dry between steps. */
#ifndef MB_INFER_SESSION_H
#define MB_INFER_SESSION_H

#include "data/sampler.h"
#include "engine/model.h"
#include "infer/predictor.h"

typedef struct { /* where a run's samples come from, and its outputs go to */
    int64_t samples;
    void *user;
    /* Puts the samples from FIRST on into the micro-batch's place; on every stage. */
    mb_status_t (*feed)(void *user, const mb_micro_t *micro, int index, int64_t first);
    /* The model's output OUTPUT of the samples from FIRST on has been put on the stream. */
    mb_status_t (*take)(void *user, const mb_micro_t *micro, int output, int64_t first);
    /* All outputs of this stage were taken. NULL: nothing is to do then. */
    void (*taken)(void *user, int index);
    void (*progress)(void *user, int64_t done); /* rank 0; NULL: none */
} mb_session_run_t;

typedef struct mb_session {
    mb_comm_t *comm;
    mb_machine_t *machine;
    mb_model_t *model;
    mb_source_t *source; /* that it was opened with, which says what open dimensions are */
    bool owns_source;
    mb_engine_t *engine;
    int64_t micro_batch;
    int micros;  /* of a group's step */
    void *host;  /* one output of one micro-batch as the device has it; NULL: the host sees that */
    float *wide; /* the same in float32; NULL: all outputs are */

    const mb_session_run_t *run; /* that is under way */
    mb_sampler_t sampler;        /* its */
    int64_t step;
} mb_session_t;

/* Collective: all of it but output files. */
mb_status_t mb_session_open(const mb_predict_options_t *options, mb_session_t **out);
/* FAILED: a run has. NULL: nothing. Keeps the error message. */
void mb_session_close(mb_session_t *session, bool failed);

/* The micro-batches of a run of so many samples, as its feed will be asked for them. */
mb_sampler_t mb_session_sampler(const mb_session_t *session, int64_t samples);
/* Collective over the working ranks. What layers keep from batch to batch begins with zeros. */
mb_status_t mb_session_flow(mb_session_t *session, const mb_session_run_t *run);
/* The samples of a source through it, as mb_predict; of OPTIONS those that say where outputs go.
 * Collective. */
mb_status_t mb_predict_in(mb_session_t *session, mb_source_t *source,
                          const mb_predict_options_t *options, mb_predict_report_t *report);
/* In TAKE: the values of the samples that count, float32, where the host can read them. */
mb_status_t mb_session_fetch(mb_session_t *session, const mb_micro_t *micro, int output,
                             const float **values);

#endif
