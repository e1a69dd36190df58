/* See fixture.h. */
#include "mpi/fixture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/model.h"
#include "infer/predictor.h"

static mb_status_t broken(const char *path, const char *what)
{
    return mb_error_set(MB_ERR_FORMAT, "%s: %s cannot be read", path, what);
}

static mb_status_t read_integer(const fixture_t *fixture, const char *name, int64_t *out)
{
    hid_t attribute = H5Aopen(fixture->file, name, H5P_DEFAULT);
    herr_t got = attribute < 0 ? -1 : H5Aread(attribute, H5T_NATIVE_INT64, out);
    if (attribute >= 0)
        H5Aclose(attribute);
    return got < 0 ? broken(fixture->data, name) : MB_OK;
}

static mb_status_t read_losses(fixture_t *fixture)
{
    hid_t dataset = H5Dopen2(fixture->file, "loss", H5P_DEFAULT);
    hid_t space = dataset < 0 ? -1 : H5Dget_space(dataset);
    hssize_t count = space < 0 ? -1 : H5Sget_simple_extent_npoints(space);
    herr_t got = -1;
    if (count > 0 && count <= FIXTURE_MAX_STEPS)
        got = H5Dread(dataset, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, fixture->loss);
    fixture->steps = (int)count;
    if (space >= 0)
        H5Sclose(space);
    if (dataset >= 0)
        H5Dclose(dataset);
    return got < 0 ? broken(fixture->data, "loss") : MB_OK;
}

mb_status_t fixture_open(const char *name, fixture_t *out)
{
    const char *source = getenv("MB_SRCDIR");
    source = source == NULL ? "." : source;
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL); /* errors are told here */
    snprintf(out->model, sizeof out->model, "%s/tests/fixtures/%s.h5", source, name);
    snprintf(out->data, sizeof out->data, "%s/tests/fixtures/%s.ref.h5", source, name);
    out->file = H5Fopen(out->data, H5F_ACC_RDONLY, H5P_DEFAULT);
    if (out->file < 0)
        return broken(out->data, "the file");
    MB_TRY(read_integer(out, "batch", &out->batch));
    MB_TRY(read_integer(out, "first_batch", &out->first_batch));
    return read_losses(out);
}

void fixture_close(fixture_t *fixture)
{
    if (fixture->file >= 0)
        H5Fclose(fixture->file);
}

mb_status_t fixture_floats(hid_t file, const char *dataset, int64_t *count, float **out)
{
    hid_t opened = H5Dopen2(file, dataset, H5P_DEFAULT);
    hid_t space = opened < 0 ? -1 : H5Dget_space(opened);
    hssize_t points = space < 0 ? -1 : H5Sget_simple_extent_npoints(space);
    float *values = points < 0 ? NULL : malloc((size_t)points * sizeof(float) + 1);
    herr_t got = -1;
    if (values != NULL)
        got = H5Dread(opened, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
    if (space >= 0)
        H5Sclose(space);
    if (opened >= 0)
        H5Dclose(opened);
    if (got < 0) {
        free(values);
        return broken("the reference", dataset);
    }
    *count = points;
    *out = values;
    return MB_OK;
}

/* Over the largest magnitude of the reference. */
static double difference_of(const float *found, const float *wanted, int64_t count)
{
    double difference = 0, magnitude = 1e-30;
    for (int64_t i = 0; i < count; i++) {
        double apart = fabs((double)found[i] - (double)wanted[i]);
        difference = apart <= difference ? difference : apart; /* keeps a NaN */
        magnitude = fmax(magnitude, fabs((double)wanted[i]));
    }
    return difference / magnitude;
}

static bool skipped(const char *name, const char *const *ends)
{
    for (; ends != NULL && *ends != NULL; ends++) {
        size_t length = strlen(name), end = strlen(*ends);
        if (length >= end && strcmp(name + length - end, *ends) == 0)
            return true;
    }
    return false;
}

/* "NAME[i]" leaves out one element. */
static void leave_out(const char *name, const char *const *skip, const float *wanted, float *found)
{
    for (; skip != NULL && *skip != NULL; skip++) {
        const char *bracket = strchr(*skip, '[');
        size_t length = strlen(name);
        if (bracket == NULL || length != (size_t)(bracket - *skip) ||
            strncmp(name, *skip, length) != 0)
            continue;
        long i = strtol(bracket + 1, NULL, 10);
        found[i] = wanted[i];
    }
}

static mb_status_t compare_weight(const fixture_t *fixture, const mb_model_file_t *file,
                                  const mb_stored_tensor_t *tensor, const char *const *skip,
                                  fixture_distance_t *out)
{
    char name[256];
    float *wanted = NULL;
    int64_t count = 0;
    snprintf(name, sizeof name, "after/%s", tensor->name);
    MB_TRY(fixture_floats(fixture->file, name, &count, &wanted));
    float *found = malloc((size_t)tensor->elements * sizeof(float) + 1);
    mb_status_t status = found == NULL || count != tensor->elements
                             ? broken(fixture->data, name)
                             : mb_stored_tensor_read(file, tensor, found);
    if (status == MB_OK)
        leave_out(tensor->name, skip, wanted, found);
    double apart = status == MB_OK ? difference_of(found, wanted, count) : 0;
    if (!(apart <= out->weight)) {
        out->weight = apart;
        snprintf(out->weight_name, sizeof out->weight_name, "%s", tensor->name);
    }
    out->weights++;
    free(found);
    free(wanted);
    return status;
}

static mb_status_t compare_weights(const fixture_t *fixture, const char *path,
                                   const char *const *skip, fixture_distance_t *out)
{
    mb_model_file_t *file;
    mb_status_t status = MB_OK;
    MB_TRY(mb_model_file_open(path, true, true, &file));
    for (int l = 0; l < file->n_layers; l++) {
        for (int w = 0; w < file->layers[l].n_weights && status == MB_OK; w++) {
            const mb_stored_tensor_t *tensor = &file->layers[l].weights[w];
            if (!skipped(tensor->name, skip))
                status = compare_weight(fixture, file, tensor, skip, out);
        }
    }
    mb_model_file_close(file);
    return status;
}

static mb_status_t steps(mb_training_t *trainer, const fixture_t *fixture,
                         fixture_hook_t before_step, fixture_distance_t *out)
{
    mb_step_report_t report;
    bool done = false;
    for (int s = 0; s < fixture->steps; s++) {
        if (before_step != NULL)
            before_step(trainer, s);
        MB_TRY(mb_training_step(trainer, &report, &done));
        double apart = fabs(report.loss - fixture->loss[s]) / fabs(fixture->loss[s]);
        if (!(apart <= out->loss)) {
            out->loss = apart;
            out->loss_step = s + 1;
        }
    }
    return done ? MB_OK : mb_error_set(MB_ERR_INTERNAL, "the steps go on after the last");
}

static mb_status_t train(mb_comm_t *comm, const fixture_t *fixture, const char *model,
                         mb_source_t *source, const char *saved, fixture_hook_t before_step,
                         fixture_distance_t *out)
{
    mb_settings_t *settings = NULL;
    mb_training_t *trainer = NULL;
    char batch[32], total[32];
    snprintf(batch, sizeof batch, "%lld", (long long)fixture->batch);
    snprintf(total, sizeof total, "%d", fixture->steps);
    mb_status_t status = mb_settings_create(&settings);
    MB_TRY_GOTO(status, status, out);
    MB_TRY_GOTO(mb_settings_set(settings, "batch", batch, MB_FROM_USER), status, out);
    MB_TRY_GOTO(mb_settings_set(settings, "steps", total, MB_FROM_USER), status, out);
    MB_TRY_GOTO(mb_settings_set(settings, "shuffle", "none", MB_FROM_USER), status, out);
    MB_TRY_GOTO(mb_settings_set(settings, "emulate", "yes", MB_FROM_USER), status, out);
    mb_training_options_t options = {
        .comm = comm, .model = model, .settings = settings, .source = source, .no_directory = true};
    MB_TRY_GOTO(mb_training_create(&options, &trainer), status, out);
    MB_TRY_GOTO(steps(trainer, fixture, before_step, out), status, out);
    status = mb_training_save(trainer, saved, true);

out:
    mb_training_destroy(trainer);
    mb_settings_destroy(settings);
    return status;
}

/* The samples from the fixture's first batch on. */
static mb_status_t open_samples(const fixture_t *fixture, const char *model, mb_source_t **whole,
                                mb_source_t **part)
{
    mb_model_t *opened = NULL;
    mb_shape_t shapes[MB_MAX_INPUTS];
    const char *names[MB_MAX_INPUTS];
    MB_TRY(mb_model_open(model, &opened));
    mb_source_wants_t wants = mb_model_wants(opened, shapes);
    for (int o = 0; o < opened->graph->n_outputs; o++)
        names[o] = opened->graph->outputs[o].name;
    wants.output_names = names;
    wants.n_outputs = opened->graph->n_outputs;
    mb_status_t status = mb_source_open(fixture->data, &wants, whole);
    mb_model_close(opened);
    MB_TRY(status);
    int64_t first = fixture->first_batch * fixture->batch;
    return mb_source_slice(*whole, first, (*whole)->samples - first, part);
}

mb_status_t fixture_train(mb_comm_t *comm, const fixture_t *fixture, const char *model,
                          const char *scratch, const char *const *skip, fixture_hook_t before_step,
                          fixture_distance_t *out)
{
    mb_source_t *whole = NULL, *part = NULL;
    char saved[FIXTURE_PATH];
    snprintf(saved, sizeof saved, "%s/after.h5", scratch);
    *out = (fixture_distance_t){.loss = 0};
    mb_status_t status = open_samples(fixture, model, &whole, &part);
    if (status == MB_OK)
        status = train(comm, fixture, model, part, saved, before_step, out);
    if (status == MB_OK)
        status = compare_weights(fixture, saved, skip, out);
    if (part != NULL)
        mb_source_close(part);
    if (whole != NULL)
        mb_source_close(whole);
    remove(saved);
    return status;
}

typedef struct {
    const fixture_t *fixture;
    hid_t reference;
    double worst;
    mb_status_t status;
} comparison_t;

/* Each output's predictions: "pred0" of the only one, "pred0_NAME" of several. */
static herr_t compare_output(hid_t predicted, const char *name, const H5L_info_t *info, void *user)
{
    comparison_t *comparison = user;
    char wanted_name[256];
    float *found = NULL, *wanted = NULL;
    int64_t n_found = 0, n_wanted = 0;
    (void)info;
    snprintf(wanted_name, sizeof wanted_name, "pred0_%s", name);
    if (H5Lexists(comparison->reference, wanted_name, H5P_DEFAULT) <= 0)
        snprintf(wanted_name, sizeof wanted_name, "pred0");
    comparison->status = fixture_floats(comparison->reference, wanted_name, &n_wanted, &wanted);
    if (comparison->status == MB_OK)
        comparison->status = fixture_floats(predicted, name, &n_found, &found);
    if (comparison->status == MB_OK && n_found < n_wanted)
        comparison->status = broken(name, "as many predictions as Keras made");
    if (comparison->status == MB_OK) {
        double apart = difference_of(found, wanted, n_wanted);
        comparison->worst = apart <= comparison->worst ? comparison->worst : apart;
    }
    free(found);
    free(wanted);
    return comparison->status == MB_OK ? 0 : -1;
}

mb_status_t fixture_predict(mb_comm_t *comm, const fixture_t *fixture, const char *scratch,
                            double *out)
{
    char path[FIXTURE_PATH];
    snprintf(path, sizeof path, "%s/predictions.h5", scratch);
    mb_predict_report_t report;
    mb_predict_options_t options = {.comm = comm,
                                    .model = fixture->model,
                                    .data = fixture->data,
                                    .output = path,
                                    .batch = fixture->batch,
                                    .machine = {.emulate = true}};
    MB_TRY(mb_predict(&options, &report));
    comparison_t comparison = {.fixture = fixture, .reference = fixture->file};
    hid_t predicted = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    if (predicted < 0)
        return broken(path, "the file");
    H5Literate(predicted, H5_INDEX_NAME, H5_ITER_INC, NULL, compare_output, &comparison);
    H5Fclose(predicted);
    remove(path);
    *out = comparison.worst;
    return comparison.status;
}
