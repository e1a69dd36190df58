/* One run of one model on one layout, and what came out of it. */
#ifndef TESTS_MPI_LAYOUT_H
#define TESTS_MPI_LAYOUT_H

#include "train/trainer.h"

enum { LAYOUT_MAX_STEPS = 16, LAYOUT_PATH = 512, LAYOUT_REPLICAS = 4 };

typedef struct {
    const char *name;
    const char *clip; /* the setting; NULL: the file's own */
    const char *loss; /* likewise */
    int64_t micro_batch;
    int64_t even, uneven; /* batches: one that replicas times micro_batch divides, one that not */
    int64_t samples;      /* two steps of an epoch are full, the third is not */
    int steps;
    bool is_narrow;    /* its policies are what a processor may lack */
    bool is_weighed;   /* its data has sample weights */
    bool keeps_states; /* forwards cannot be computed again */
    bool calls_again;  /* a layer with weights more than once: not with zero=2 */
    char path[LAYOUT_PATH], data[LAYOUT_PATH];
    mb_source_t *whole, *source;
    int most_stages;
} layout_model_t;

typedef struct {
    const layout_model_t *model;
    const char *device, *schedule, *threads;
    const char *recompute; /* the setting; NULL: none */
    bool measures;         /* partition=measured */
    int zero;              /* the setting */
    bool checks;           /* check-every=2, on-nan=skip */
    bool offloads;     /* offload=activations,moments, on a device that keeps its memory apart */
    const char *dtype; /* the setting, emulated where the processor lacks it; NULL: float32 */
    const char *transport; /* the setting; NULL: auto */
    int stages;
    int64_t batch;
    const char *run; /* a run directory, which is gone on with; NULL: none, rank 0 writes `save` */
    const char *save;
    int64_t stop; /* asked to stop during this step; 0: never */
    bool free;    /* replicas and micro-batches are left to the program */
} layout_run_t;

typedef struct {
    int steps; /* done by this start */
    int64_t first_step;
    double losses[LAYOUT_MAX_STEPS]; /* of the run's steps; NaN: done by another start */
    uint64_t weights, full;
    int groups;
} layout_outcome_t;

mb_status_t layout_settings(const layout_run_t *run, mb_settings_t *settings);
/* These are for all processes, run on the first RANKS (ranks.h), and give rank 0 what came out.
 * Stopped is no error. */
mb_status_t layout_train(int ranks, const layout_run_t *run, layout_outcome_t *out);
/* Loss and accuracy of the model's file on its data. */
mb_status_t layout_evaluate(int ranks, const layout_run_t *run, double numbers[2]);
/* A sum over all samples that tells predictions apart. */
mb_status_t layout_predict(int ranks, const layout_run_t *run, uint64_t *digest);

/* layout_models.c: opens the models that DIRECTORY holds, with their data; or those that path and
 * data name already. */
mb_status_t layout_open(const char *directory, layout_model_t *model);
void layout_close(layout_model_t *model);
mb_status_t layout_write_data(const char *directory, const layout_model_t *model);

#endif
