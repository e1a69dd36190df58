/* Steps of optimizers over given gradients, for Keras to be compared with.
 *
 *     optimize CASES.json VALUES OUT
 *
 * CASES.json: a list of {"config": Keras' serialized optimizer, "paths": [...], "shapes": [[...]],
 * "steps": n}. VALUES: of each case the parameters, then the gradients of each step, float32. OUT:
 * of each case the rate, and all parameters, after each step, then the averages of the weights if
 * the optimizer keeps them. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "model/optimizer.h"

enum { MOST = 16 };

typedef struct {
    mb_device_t *device;
    mb_exec_t exec;
    mb_arena_t *arena;
    mb_optimizer_t *optimizer;
    int n;
    mb_param_t params[MOST];
    mb_trained_t trained[MOST];
    mb_stepper_t *stepper;
    double *squares;
    float *scale;
    int64_t iterations;
} run_t;

static mb_status_t failed(const char *what)
{
    return mb_error_set(MB_ERR_IO, "optimize: cannot %s", what);
}

static mb_status_t take(run_t *run, int64_t count, float value, float **out)
{
    void *memory;
    MB_TRY(mb_device_alloc(run->device, (size_t)count * sizeof(float) + 1, &memory));
    *out = memory;
    for (int64_t i = 0; i < count; i++)
        (*out)[i] = value;
    return MB_OK;
}

static mb_status_t open_param(run_t *run, int p, const json_t *shape, const char *path)
{
    mb_param_t *param = &run->params[p];
    mb_trained_t *trained = &run->trained[p];
    *param = (mb_param_t){.path = path, .index = p, .trainable = true};
    param->shape.rank = (int)json_array_size(shape);
    for (int d = 0; d < param->shape.rank; d++)
        param->shape.dim[d] = json_integer_value(json_array_get(shape, (size_t)d));
    param->elements = mb_shape_elements(&param->shape);
    *trained = (mb_trained_t){.param = param};
    MB_TRY(take(run, param->elements, 0.0f, &trained->w));
    MB_TRY(take(run, param->elements, 0.0f, &trained->g));
    for (int s = 0; s < run->optimizer->n_slots; s++) {
        mb_shape_t slot;
        if (mb_optimizer_slot(run->optimizer, param, s, &slot))
            MB_TRY(take(run, mb_shape_elements(&slot), (float)run->optimizer->slot_initial[s],
                        &trained->slots[s]));
    }
    return MB_OK;
}

/* Slots that begin as copies of the weights, now that these are read. */
static void copy_weights(run_t *run)
{
    for (int p = 0; p < run->n; p++) {
        mb_trained_t *trained = &run->trained[p];
        for (int s = 0; s < run->optimizer->n_slots; s++) {
            if (run->optimizer->slot_copies[s])
                memcpy(trained->slots[s], trained->w,
                       (size_t)run->params[p].elements * sizeof(float));
        }
    }
}

static mb_status_t open_run(run_t *run, const json_t *at)
{
    const json_t *shapes = json_object_get(at, "shapes"), *paths = json_object_get(at, "paths");
    void *memory;
    MB_TRY(mb_optimizer_create(json_object_get(at, "config"), NULL, "case", run->arena,
                               &run->optimizer));
    run->n = (int)json_array_size(shapes);
    for (int p = 0; p < run->n; p++)
        MB_TRY(open_param(run, p, json_array_get(shapes, (size_t)p),
                          json_string_value(json_array_get(paths, (size_t)p))));
    MB_TRY(mb_device_alloc(run->device, MOST * sizeof(double), &memory));
    run->squares = memory;
    MB_TRY(take(run, MOST, 0.0f, &run->scale));
    run->exec.planning = false; /* tables are made at once */
    return mb_stepper_create(run->optimizer, &run->exec, run->trained, run->n, run->n,
                             &run->stepper);
}

static mb_status_t step_all(run_t *run)
{
    const mb_optimizer_t *optimizer = run->optimizer;
    mb_norms_args_t norms = {*mb_stepper_table(run->stepper), run->squares};
    int64_t updates = mb_optimizer_updates(optimizer, run->iterations);
    bool clips = mb_optimizer_needs_norms(optimizer);
    if (clips) {
        MB_TRY(mb_run_norms(&run->exec, &norms));
        MB_TRY(mb_optimizer_clip(optimizer, &run->exec, run->n, run->squares, run->scale));
    }
    return mb_stepper_step(run->stepper, updates, mb_optimizer_lr(optimizer, run->iterations),
                           clips ? run->scale : NULL);
}

/* As train/update.c does it. */
static mb_status_t step(run_t *run)
{
    const mb_optimizer_t *optimizer = run->optimizer;
    bool applies = mb_optimizer_applies(optimizer, run->iterations);
    if (optimizer->accumulated_steps > 1)
        MB_TRY(mb_stepper_accumulate(run->stepper, applies));
    if (applies || run->exec.planning)
        MB_TRY(step_all(run));
    if (optimizer->averages)
        MB_TRY(mb_stepper_average(run->stepper, mb_optimizer_updates(optimizer, run->iterations)));
    return MB_OK;
}

static mb_status_t read_all(const run_t *run, bool gradients, FILE *values)
{
    for (int p = 0; p < run->n; p++) {
        size_t count = (size_t)run->params[p].elements;
        float *to = gradients ? run->trained[p].g : run->trained[p].w;
        if (fread(to, sizeof(float), count, values) != count)
            return failed("read the values");
    }
    return MB_OK;
}

static mb_status_t write_all(const run_t *run, int slot, FILE *out)
{
    for (int p = 0; p < run->n; p++) {
        size_t count = (size_t)run->params[p].elements;
        const float *from = slot < 0 ? run->trained[p].w : run->trained[p].slots[slot];
        if (fwrite(from, sizeof(float), count, out) != count)
            return failed("write the results");
    }
    return MB_OK;
}

static mb_status_t plan(run_t *run)
{
    run->exec.planning = true;
    MB_TRY(step(run));
    return mb_exec_allocate(&run->exec);
}

static mb_status_t run_steps(run_t *run, int64_t steps, FILE *values, FILE *out)
{
    MB_TRY(read_all(run, false, values));
    copy_weights(run);
    for (; run->iterations < steps; run->iterations++) {
        float rate = mb_optimizer_lr(run->optimizer, run->iterations);
        MB_TRY(read_all(run, true, values));
        MB_TRY(step(run));
        MB_TRY(mb_exec_sync(&run->exec));
        if (fwrite(&rate, sizeof rate, 1, out) != 1)
            return failed("write the results");
        MB_TRY(write_all(run, -1, out));
    }
    int average = mb_optimizer_average_slot(run->optimizer);
    return average < 0 ? MB_OK : write_all(run, average, out);
}

static void close_run(run_t *run)
{
    mb_stepper_destroy(run->stepper);
    for (int p = 0; p < run->n; p++) {
        mb_device_free(run->device, run->trained[p].w);
        mb_device_free(run->device, run->trained[p].g);
        for (int s = 0; s < MB_MAX_SLOTS; s++)
            mb_device_free(run->device, run->trained[p].slots[s]);
    }
    mb_device_free(run->device, run->squares);
    mb_device_free(run->device, run->scale);
    mb_optimizer_destroy(run->optimizer);
    mb_exec_destroy(&run->exec);
    mb_arena_destroy(run->arena);
}

static mb_status_t run_case(mb_device_t *device, const json_t *at, FILE *values, FILE *out)
{
    run_t run = {.device = device, .arena = mb_arena_create()};
    mb_status_t status = mb_exec_create(device, &run.exec);
    if (status == MB_OK)
        status = open_run(&run, at);
    if (status == MB_OK)
        status = plan(&run);
    if (status == MB_OK)
        status = run_steps(&run, json_integer_value(json_object_get(at, "steps")), values, out);
    close_run(&run);
    return status;
}

int main(int argc, char **argv)
{
    json_t *cases = argc == 4 ? json_load_file(argv[1], 0, NULL) : NULL;
    FILE *values = argc == 4 ? fopen(argv[2], "rb") : NULL;
    FILE *out = argc == 4 ? fopen(argv[3], "wb") : NULL;
    mb_device_options_t options = {.size = sizeof options, .threads = 1};
    mb_device_t *device = NULL;
    if (cases == NULL || values == NULL || out == NULL) {
        fprintf(stderr, "usage: optimize CASES.json VALUES OUT\n");
        return 2;
    }
    mb_status_t status = mb_device_open("cpu", &options, &device);
    for (size_t i = 0; i < json_array_size(cases) && status == MB_OK; i++) {
        status = run_case(device, json_array_get(cases, i), values, out);
        if (status != MB_OK)
            fprintf(stderr, "case %zu: %s\n", i, mb_error_get());
    }
    mb_device_close(device);
    json_decref(cases);
    fclose(values);
    return fclose(out) != 0 || status != MB_OK;
}
