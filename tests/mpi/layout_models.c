/* The models of the layout tests: their files, and data to train them on. */
#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/model.h"
#include "mpi/layout.h"

static hid_t create(hid_t file, const char *name, hid_t type, const mb_shape_t *sample,
                    int64_t samples)
{
    hsize_t dims[MB_MAX_RANK + 1] = {(hsize_t)samples};
    for (int d = 0; d < sample->rank; d++)
        dims[d + 1] = (hsize_t)sample->dim[d];
    hid_t space = H5Screate_simple(sample->rank + 1, dims, NULL);
    hid_t dataset = H5Dcreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    H5Sclose(space);
    return dataset;
}

static herr_t write_all(hid_t file, const char *name, hid_t type, hid_t memory,
                        const mb_shape_t *sample, int64_t samples, const void *values)
{
    hid_t dataset = create(file, name, type, sample, samples);
    herr_t put =
        dataset < 0 ? -1 : H5Dwrite(dataset, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
    if (dataset >= 0)
        H5Dclose(dataset);
    return put;
}

/* Weights that are no powers of two, some of them zero: how they are summed shows in the bits. */
static herr_t write_weights(hid_t file, int64_t samples)
{
    mb_shape_t scalar = {.rank = 0};
    float *weights = malloc((size_t)samples * sizeof(float));
    for (int64_t i = 0; i < samples && weights != NULL; i++)
        weights[i] = (float)(i % 7) / 3.0F;
    herr_t put = weights == NULL ? -1
                                 : write_all(file, "sample_weight", H5T_IEEE_F32LE,
                                             H5T_NATIVE_FLOAT, &scalar, samples, weights);
    free(weights);
    return put;
}

/* Noise in [-1, 1), and the class that the first of a sample's numbers falls into. */
static mb_status_t write_noise(hid_t file, const mb_shape_t *sample, int classes, int64_t samples,
                               bool is_weighed)
{
    int64_t elements = mb_shape_elements(sample);
    mb_shape_t scalar = {.rank = 0};
    float *x = malloc((size_t)(elements * samples) * sizeof(float));
    int32_t *y = malloc((size_t)samples * sizeof(int32_t));
    herr_t put = -1;
    if (x != NULL && y != NULL) {
        unsigned state = 12345;
        for (int64_t i = 0; i < elements * samples; i++) {
            state = state * 1664525U + 1013904223U;
            x[i] = (float)(state >> 8) / 8388608.0F - 1;
        }
        for (int64_t i = 0; i < samples; i++)
            y[i] = (int32_t)((x[i * elements] + 1) * 0.4999F * (float)classes);
        put = write_all(file, "x", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, sample, samples, x);
        if (put >= 0)
            put = write_all(file, "y", H5T_STD_I32LE, H5T_NATIVE_INT32, &scalar, samples, y);
        if (put >= 0 && is_weighed)
            put = write_weights(file, samples);
    }
    free(x);
    free(y);
    return put < 0 ? mb_error_set(MB_ERR_IO, "the data of a test cannot be written") : MB_OK;
}

/* Ids, of which a sixth are 0, and a class for each. */
static mb_status_t write_ids(hid_t file, const mb_shape_t *sample, int64_t samples)
{
    int64_t count = mb_shape_elements(sample) * samples;
    int32_t *x = malloc((size_t)count * sizeof(int32_t)),
            *y = malloc((size_t)count * sizeof(int32_t));
    herr_t put = -1;
    unsigned state = 12345;
    for (int64_t i = 0; i < count && x != NULL && y != NULL; i++) {
        state = state * 1664525U + 1013904223U;
        x[i] = (int32_t)((state >> 8) % 6);
        y[i] = (int32_t)((state >> 16) % 5);
    }
    if (x != NULL && y != NULL)
        put = write_all(file, "x", H5T_STD_I32LE, H5T_NATIVE_INT32, sample, samples, x);
    if (put >= 0)
        put = write_all(file, "y", H5T_STD_I32LE, H5T_NATIVE_INT32, sample, samples, y);
    free(x);
    free(y);
    return put < 0 ? mb_error_set(MB_ERR_IO, "the data of a test cannot be written") : MB_OK;
}

static bool takes_ids(const layout_model_t *model)
{
    return strcmp(model->name, "masks") == 0;
}

/* NULL: the model has Keras' own data. */
static const mb_shape_t *sample_of(const layout_model_t *model)
{
    static const mb_shape_t vector = {.rank = 1, .dim = {12}};
    static const mb_shape_t image = {.rank = 3, .dim = {8, 8, 2}};
    static const mb_shape_t sequence = {.rank = 2, .dim = {9, 4}}, ids = {.rank = 1, .dim = {9}};
    if (takes_ids(model))
        return &ids;
    if (strncmp(model->name, "mlp", 3) == 0 || strcmp(model->name, "branches") == 0)
        return &vector;
    if (strncmp(model->name, "recurrent", 9) == 0)
        return &sequence;
    return strncmp(model->name, "cnn", 3) == 0 ? &image : NULL;
}

mb_status_t layout_write_data(const char *directory, const layout_model_t *model)
{
    char path[LAYOUT_PATH];
    const mb_shape_t *sample = sample_of(model);
    if (sample == NULL)
        return MB_OK;
    snprintf(path, sizeof path, "%s/%s.data.h5", directory, model->name);
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    if (file < 0)
        return mb_error_set(MB_ERR_IO, "%s: cannot be created", path);
    mb_status_t status = takes_ids(model)
                             ? write_ids(file, sample, model->samples)
                             : write_noise(file, sample, 5, model->samples, model->is_weighed);
    return H5Fclose(file) < 0 ? mb_error_set(MB_ERR_IO, "%s: cannot be written", path) : status;
}

static void find_files(const char *directory, layout_model_t *model)
{
    const char *source = getenv("MB_SRCDIR");
    if (model->path[0] != '\0')
        return;
    snprintf(model->path, sizeof model->path, "%s/%s.h5", directory, model->name);
    snprintf(model->data, sizeof model->data, "%s/%s.data.h5", directory, model->name);
    FILE *own = fopen(model->data, "rb");
    if (own != NULL) {
        fclose(own);
        return;
    }
    source = source == NULL ? "." : source;
    snprintf(model->path, sizeof model->path, "%s/tests/fixtures/%s.h5", source, model->name);
    snprintf(model->data, sizeof model->data, "%s/tests/fixtures/%s.ref.h5", source, model->name);
}

mb_status_t layout_open(const char *directory, layout_model_t *model)
{
    mb_model_t *opened = NULL;
    mb_shape_t shapes[MB_MAX_INPUTS];
    const char *names[MB_MAX_INPUTS];
    find_files(directory, model);
    MB_TRY(mb_model_open(model->path, &opened));
    mb_source_wants_t wants = mb_model_wants(opened, shapes);
    for (int o = 0; o < opened->graph->n_outputs; o++)
        names[o] = opened->graph->outputs[o].name;
    wants.output_names = names;
    wants.n_outputs = opened->graph->n_outputs;
    mb_status_t status = mb_source_open(model->data, &wants, &model->whole);
    if (status == MB_OK)
        status = mb_source_slice(model->whole, 0, model->samples, &model->source);
    if (status == MB_OK)
        status = mb_model_bind(opened, model->source);
    if (status == MB_OK)
        model->most_stages = mb_plan_max_stages(opened->graph);
    mb_model_close(opened);
    return status;
}

void layout_close(layout_model_t *model)
{
    if (model->source != NULL)
        mb_source_close(model->source);
    if (model->whole != NULL)
        mb_source_close(model->whole);
    model->source = model->whole = NULL;
}
