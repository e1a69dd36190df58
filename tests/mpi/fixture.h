/* A model that Keras wrote, and what Keras did with it: tests/fixtures/NAME.h5 and NAME.ref.h5. */
#ifndef TESTS_MPI_FIXTURE_H
#define TESTS_MPI_FIXTURE_H

#include <hdf5.h>
#include "train/trainer.h"

enum { FIXTURE_MAX_STEPS = 64, FIXTURE_PATH = 512 };

typedef struct {
    char model[FIXTURE_PATH], data[FIXTURE_PATH];
    hid_t file; /* the reference */
    int64_t batch, first_batch;
    int steps;
    double loss[FIXTURE_MAX_STEPS]; /* of each step, in Keras */
} fixture_t;

mb_status_t fixture_open(const char *name, fixture_t *out);
void fixture_close(fixture_t *fixture);
/* Float datasets of the reference; malloc'ed. */
mb_status_t fixture_floats(hid_t file, const char *dataset, int64_t *count, float **out);

typedef struct {
    double loss;   /* largest relative difference of a step's loss */
    double weight; /* largest difference of a weight over its tensor's largest magnitude */
    int loss_step;
    char weight_name[128];
    int weights; /* tensors compared */
} fixture_distance_t;

/* Trains MODEL on the fixture's samples in their order, with defaults but for the batch, and
 * compares with Keras, but for the weights in SKIP: ends of names, or "NAME[i]" for one element;
 * NULL-terminated; may be NULL. before_step (may be NULL) may reach into the trainer. SCRATCH: a
 * folder. */
typedef void (*fixture_hook_t)(mb_training_t *trainer, int64_t step);
mb_status_t fixture_train(mb_comm_t *comm, const fixture_t *fixture, const char *model,
                          const char *scratch, const char *const *skip, fixture_hook_t before_step,
                          fixture_distance_t *out);

/* Largest difference of the predictions of the first batch over the output's largest magnitude. */
mb_status_t fixture_predict(mb_comm_t *comm, const fixture_t *fixture, const char *scratch,
                            double *out);

/* Copies MODEL to TO with one value of a JSON attribute replaced: WHERE is a path of keys, indices
 * and layer names ("config/layers/dense_1/config/use_bias"), VALUE is JSON. */
mb_status_t fixture_edit(const char *model, const char *to, const char *attribute,
                         const char *where, const char *value);

#endif
