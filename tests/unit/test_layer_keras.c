/* Single layers against Keras' own numbers: tests/data/layers.h5, made by
 * tests/tools/make_layer_refs.py, and likewise layers_images.h5, layers_input.h5, layers_lookup.h5
 * by make_image_refs.py, make_input_refs.py, make_lookup_refs.py. */
#include <check.h>
#include <hdf5.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/known.h"
#include "unit/layer_fixture.h"

#define MAX_CASES 256
#define NAME 64

static const char *const files[] = {"layers.h5", "layers_images.h5", "layers_input.h5",
                                    "layers_lookup.h5"};
enum { N_FILES = sizeof files / sizeof files[0] };

typedef struct {
    int n;
    char names[MAX_CASES][NAME];
    int file[MAX_CASES]; /* that the case is in */
    int reading;         /* the file being listed */
} case_list_t;

static case_list_t list;

static hid_t open_file(int index)
{
    char path[4096];
    const char *folder = getenv("MB_TEST_DATA");
    snprintf(path, sizeof(path), "%s/%s", folder == NULL ? "tests/data" : folder, files[index]);
    return H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
}

static herr_t collect(hid_t group, const char *name, const H5L_info_t *info, void *user)
{
    (void)group;
    (void)info;
    case_list_t *found = user;
    if (found->n == MAX_CASES)
        return -1;
    found->file[found->n] = found->reading;
    snprintf(found->names[found->n++], NAME, "%s", name);
    return 0;
}

static char *read_model(hid_t group)
{
    hid_t attribute = H5Aopen(group, "model", H5P_DEFAULT);
    ck_assert_int_ge(attribute, 0);
    hid_t type = H5Aget_type(attribute);
    char *text = calloc(H5Tget_size(type) + 1, 1);
    ck_assert_int_ge(H5Aread(attribute, type, text), 0);
    H5Tclose(type);
    H5Aclose(attribute);
    return text;
}

/* The dataset's values, as int32 where INTEGER; NULL when there is none. */
static void *read_array(hid_t group, const char *kind, int index, bool integer, int64_t *count)
{
    char name[NAME];
    snprintf(name, sizeof(name), index < 0 ? "%s" : "%s%d", kind, index);
    if (H5Lexists(group, name, H5P_DEFAULT) <= 0)
        return NULL;
    hid_t dataset = H5Dopen2(group, name, H5P_DEFAULT);
    hid_t space = H5Dget_space(dataset);
    *count = H5Sget_simple_extent_npoints(space);
    void *values = calloc((size_t)*count + 1, sizeof(float));
    ck_assert_int_ge(H5Dread(dataset, integer ? H5T_NATIVE_INT32 : H5T_NATIVE_FLOAT, H5S_ALL,
                             H5S_ALL, H5P_DEFAULT, values),
                     0);
    H5Sclose(space);
    H5Dclose(dataset);
    return values;
}

/* Copies a dataset that must be there and have COUNT values. */
static void fetch(hid_t group, const char *kind, int index, bool integer, int64_t count, void *to)
{
    int64_t found = 0;
    void *values = read_array(group, kind, index, integer, &found);
    ck_assert_msg(values != NULL, "%s%d is missing", kind, index);
    ck_assert_int_eq(found, count);
    memcpy(to, values, (size_t)count * sizeof(float));
    free(values);
}

/* Both sides round after each operation; with independent roundings of half a unit (2^-24), n of
 * them make sqrt(n) 2^-24, and sums here have up to 200 terms in up to three layers of arithmetic.
 * Five deviations of that on both sides: 2 * 5 * sqrt(600) 2^-24 of the largest magnitude. */
static void expect_equal(const char *name, const char *what, int index, const float *found,
                         const float *wanted, int64_t count)
{
    double largest = 1.0;
    for (int64_t i = 0; i < count; i++)
        largest = fmax(largest, fabs((double)wanted[i]));
    double tolerance = 10.0 * sqrt(600.0) * 0x1p-24 * largest;
    for (int64_t i = 0; i < count; i++)
        ck_assert_msg(fabs((double)found[i] - (double)wanted[i]) <= tolerance,
                      "%s: %s %d [%d] is %.9g, Keras has %.9g (tolerance %g)", name, what, index,
                      (int)i, (double)found[i], (double)wanted[i], tolerance);
}

static void compare(const char *name, hid_t group, const char *kind, int index, const float *found,
                    int64_t count)
{
    int64_t n = 0;
    float *wanted = read_array(group, kind, index, false, &n);
    if (wanted == NULL)
        return;
    ck_assert_int_eq(n, count);
    expect_equal(name, kind, index, found, wanted, count);
    free(wanted);
}

/* Which input of the model feeds slot SLOT of the call. */
static int source_of(const layer_fixture_t *f, int slot)
{
    const mb_node_t *node = NULL;
    for (int i = 0; i < f->graph->n_nodes; i++) {
        if (&f->graph->nodes[i].call == f->call)
            node = &f->graph->nodes[i];
    }
    ck_assert_ptr_nonnull(node);
    for (int i = 0; i < f->graph->n_inputs; i++) {
        if (f->graph->inputs[i] == node->inputs[slot])
            return i;
    }
    return -1;
}

static void compare_input_gradient(const char *name, hid_t group, layer_fixture_t *f, int input)
{
    float *sum = NULL;
    int64_t count = 0;
    for (int slot = 0; slot < f->call->n_inputs; slot++) {
        if (source_of(f, slot) != input)
            continue;
        count = layer_input_elements(f, slot);
        if (sum == NULL)
            sum = calloc((size_t)count, sizeof(*sum));
        for (int64_t i = 0; i < count; i++)
            sum[i] += f->host_grad_inputs[slot][i];
    }
    if (f->layer->class_->differentiable == NULL || f->layer->class_->differentiable(f->call, 0))
        compare(name, group, "grad_input", input, sum, count);
    free(sum);
}

/* Samples of the case: the first axis of its output. */
static int64_t samples_of(hid_t group)
{
    hsize_t dims[H5S_MAX_RANK];
    hid_t dataset = H5Dopen2(group, "output", H5P_DEFAULT);
    hid_t space = H5Dget_space(dataset);
    H5Sget_simple_extent_dims(space, dims, NULL);
    H5Sclose(space);
    H5Dclose(dataset);
    return (int64_t)dims[0];
}

/* update_statistics writes into host_params, which held the weights before the call. */
static void compare_statistics(const char *name, hid_t group, layer_fixture_t *f)
{
    if (!mb_call_has_statistics(f->call))
        return;
    layer_update_statistics(f, (double)f->samples);
    for (int i = 0; i < f->layer->n_params; i++)
        compare(name, group, "after_weight", i, f->host_params[i], layer_param_elements(f, i));
}

/* Whole numbers as floats. */
static void widen_places(layer_fixture_t *f)
{
    for (int64_t i = 0; f->call->output_type == MB_I32 && i < layer_output_elements(f); i++) {
        int32_t place;
        memcpy(&place, &f->host_output[i], sizeof place);
        f->host_output[i] = (float)place;
    }
}

static void check_group(const char *name, hid_t group, const char *device)
{
    char *model = read_model(group);
    layer_fixture_t *f = layer_open(device, model, samples_of(group));
    free(model);
    for (int i = 0; i < f->call->n_inputs; i++)
        fetch(group, "input", source_of(f, i), f->call->input_types[i] == MB_I32,
              layer_input_elements(f, i), f->host_inputs[i]);
    for (int i = 0; i < f->layer->n_params; i++)
        fetch(group, "weight", i, false, layer_param_elements(f, i), f->host_params[i]);
    fetch(group, "grad_output", -1, false, layer_output_elements(f), f->host_grad_output);
    layer_forward(f);
    widen_places(f);
    compare(name, group, "output", -1, f->host_output, layer_output_elements(f));
    layer_backward_input(f, true);
    for (int i = 0; i < f->graph->n_inputs; i++)
        compare_input_gradient(name, group, f, i);
    layer_backward_weights(f, false);
    for (int i = 0; i < f->layer->n_params; i++)
        compare(name, group, "grad_weight", i, f->host_grad_params[i], layer_param_elements(f, i));
    compare_statistics(name, group, f);
    layer_close(f);
}

START_TEST(layer_gives_the_numbers_that_keras_gives)
{
    hid_t file = open_file(list.file[_i]);
    ck_assert_int_ge(file, 0);
    hid_t group = H5Gopen2(file, list.names[_i], H5P_DEFAULT);
    for (int d = 0; d < layer_n_devices(); d++)
        check_group(list.names[_i], group, layer_device(d));
    H5Gclose(group);
    H5Fclose(file);
}
END_TEST

/* Random numbers cannot be Keras', and random configurations beside Keras itself (operators.py and
 * recurrent.py in tests/keras) say more than a case. */
static bool is_compared_elsewhere(const char *name)
{
    static const char *const others[] = {"Dropout",
                                         "RandomFlip",
                                         "Subtract",
                                         "Average",
                                         "Maximum",
                                         "Minimum",
                                         "Permute",
                                         "RepeatVector",
                                         "Rescaling",
                                         "Dot",
                                         "SpatialDropout1D",
                                         "SpatialDropout2D",
                                         "SpatialDropout3D",
                                         "AlphaDropout",
                                         "GaussianDropout",
                                         "GaussianNoise",
                                         "ActivityRegularization",
                                         "SimpleRNN",
                                         "LSTM",
                                         "GRU",
                                         "RNN",
                                         "Bidirectional",
                                         "PReLU",
                                         "RMSNormalization",
                                         "GroupNormalization",
                                         "UnitNormalization",
                                         "ThresholdedReLU"};
    bool so = false;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        so = so || strcmp(others[i], name) == 0;
    return so;
}

static bool is_of_class(int index, const char *quoted)
{
    hid_t file = open_file(list.file[index]);
    hid_t group = H5Gopen2(file, list.names[index], H5P_DEFAULT);
    char *model = read_model(group);
    bool found = strstr(model, quoted) != NULL;
    free(model);
    H5Gclose(group);
    H5Fclose(file);
    return found;
}

START_TEST(every_layer_class_has_a_case_from_keras)
{
    for (size_t k = 0; mb_known_layers.name(k) != NULL; k++) {
        const char *name = mb_known_layers.name(k);
        char quoted[NAME];
        bool found = false;
        snprintf(quoted, sizeof(quoted), "\"class_name\": \"%s\", \"config\": {", name);
        for (int i = 0; i < list.n && !found; i++)
            found = is_of_class(i, quoted);
        ck_assert_msg(found || is_compared_elsewhere(name), "no case for %s", name);
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("layers as in Keras");
    TCase *t = tcase_create("cases");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, layer_gives_the_numbers_that_keras_gives, 0, list.n);
    tcase_add_test(t, every_layer_class_has_a_case_from_keras);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    bool all = true;
    for (list.reading = 0; list.reading < N_FILES; list.reading++) {
        hid_t file = open_file(list.reading);
        all = all && file >= 0;
        if (file < 0)
            continue;
        H5Literate(file, H5_INDEX_NAME, H5_ITER_INC, NULL, collect, &list);
        H5Fclose(file);
    }
    SRunner *r = srunner_create(suite());
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 && all ? 0 : 1;
}
