/* One layer call on a device: a model of InputLayers and one layer is opened, planned and run, with
 * host arrays in and out. What the layer may not rely on is poisoned with NaN: outputs and
 * gradients before they are written, and between forward and backward every tensor that its
 * memory() does not keep. */
#ifndef MB_TESTS_LAYER_FIXTURE_H
#define MB_TESTS_LAYER_FIXTURE_H

#include "model/graph.h"
#include "model/layers/layers.h"

typedef struct {
    mb_device_t *device;
    mb_exec_t exec;
    mb_graph_t *graph;
    const mb_layer_t *layer;
    const mb_call_t *call;
    mb_memory_t memory;
    int64_t samples, valid;
    bool training;
    mb_random_key_t random;

    /* device memory */
    void *inputs[MB_MAX_INPUTS];
    void *params[MB_MAX_LAYER_PARAMS];
    void *output, *saved, *carry, *constants;
    void *states[MB_MAX_STATES]; /* zeros at first */
    double *sums;
    float *grad_output;
    void *grad_inputs[MB_MAX_INPUTS];
    float *grad_params[MB_MAX_LAYER_PARAMS];

    /* host memory: filled by the test, read and written by the calls below */
    void *host_inputs[MB_MAX_INPUTS];
    float *host_params[MB_MAX_LAYER_PARAMS];
    float *host_output, *host_grad_output;
    float *host_grad_inputs[MB_MAX_INPUTS], *host_grad_params[MB_MAX_LAYER_PARAMS];
    double *host_sums;
} layer_fixture_t;

/* The devices that every test runs on. */
int layer_n_devices(void);
const char *layer_device(int index);

/* The text of a model with one layer: CONFIG is the inside of its config ("\"units\": 3"), KWARGS
 * of its call's ("" for none). Inputs are float32, or int32 where INTEGER. To be freed. */
char *layer_model_text(const char *class_name, const char *config, const char *kwargs, int n_inputs,
                       const mb_shape_t *shapes, bool integer);

/* The same of a call whose last N_MASKS inputs are no arguments, but the masks of the first. */
char *layer_masked_text(const char *class_name, const char *config, const char *kwargs,
                        int n_inputs, int n_masks, const mb_shape_t *shapes, bool integer);

/* MODEL: a model_config with one node that is no input. Fails the test on any error. */
layer_fixture_t *layer_open(const char *device, const char *model, int64_t samples);
void layer_close(layer_fixture_t *fixture);

int64_t layer_input_elements(const layer_fixture_t *fixture, int input); /* of all samples */
int64_t layer_param_elements(const layer_fixture_t *fixture, int param);
int64_t layer_output_elements(const layer_fixture_t *fixture);

void layer_forward(layer_fixture_t *fixture);
/* WANT_INPUTS: with gradients of the inputs. */
void layer_backward_input(layer_fixture_t *fixture, bool want_inputs);
/* ACCUMULATE: adds to host_grad_params as they stand. */
void layer_backward_weights(layer_fixture_t *fixture, bool accumulate);
void layer_update_statistics(layer_fixture_t *fixture, double count);
/* One of the states that the call keeps: rows of all samples. */
int64_t layer_state_elements(const layer_fixture_t *fixture, int state);
void layer_read_state(layer_fixture_t *fixture, int state, float *values);

/* Reproducible numbers: uniform in [-1, 1) for a name and an index. */
double layer_uniform(uint32_t name, int64_t index);
/* Fills inputs, params and grad_output from layer_uniform; ids stay below VOCABULARY, and masks are
 * 0 or 1. */
void layer_fill(layer_fixture_t *fixture, int64_t vocabulary);

#endif
