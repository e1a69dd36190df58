/* The public library does what its header says, on one rank. */
#include "unit/api_ring.h"

#include <hdf5.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

START_TEST(the_library_tells_its_version_and_names_every_status)
{
    const char *version = mb_version();
    ck_assert_ptr_nonnull(strchr(version, '.'));
    ck_assert_str_eq(mb_status_name(MB_OK), "success");
    ck_assert_str_ne(mb_status_name(MB_ERR_PEER), mb_status_name(MB_ERR_IO));
    ck_assert_str_ne(mb_status_name((mb_status_t)-1000), "");
}
END_TEST

START_TEST(steps_lower_the_loss_until_the_total_is_reached)
{
    double first = NAN, loss = NAN, last;
    int done = 0, steps = 0;
    mb_trainer_t *trainer = ring_trainer("30");
    while (!done) {
        OK(mb_trainer_step(trainer, &loss, &done));
        if (steps++ == 0)
            first = loss;
    }
    ck_assert_int_eq(steps, 30 * RING_SAMPLES / 16);
    ck_assert_double_lt(loss, 0.85 * first);
    last = loss;
    OK(mb_trainer_step(trainer, &loss, &done));
    ck_assert_int_eq(done, 1);
    ck_assert(loss == last);
    ck_assert(ring_number(trainer, "step") == steps);
    ck_assert(ring_number(trainer, "samples") == RING_SAMPLES);
    ck_assert(ring_number(trainer, "parameters") == 2 * 8 + 8 + 8 * 2 + 2);
    OK(mb_trainer_destroy(trainer));
}
END_TEST

START_TEST(outputs_of_a_step_may_be_left_out)
{
    mb_trainer_t *trainer = ring_trainer("1");
    OK(mb_trainer_step(trainer, NULL, NULL));
    ck_assert(ring_number(trainer, "step") == 1);
    OK(mb_trainer_destroy(trainer));
}
END_TEST

static void count_calls(void *user, const mb_trainer_t *trainer)
{
    int *calls = user;
    ++*calls;
    ck_assert(ring_number(trainer, "step") == *calls);
}

START_TEST(run_and_steps_come_to_the_same_bits)
{
    int done = 0, calls = 0;
    mb_trainer_t *a = ring_trainer("2"), *b = ring_trainer("2");
    OK(mb_trainer_set_callback(a, count_calls, &calls));
    OK(mb_trainer_run(a));
    ck_assert_int_eq(calls, 2 * RING_SAMPLES / 16);
    while (!done)
        OK(mb_trainer_step(b, NULL, &done));
    ck_assert(ring_number(a, "loss") == ring_number(b, "loss"));
    OK(mb_trainer_save(a, "a.h5", 1));
    OK(mb_trainer_save(b, "b.h5", 1));
    ck_assert_uint_eq(ring_digest("a.h5"), ring_digest("b.h5"));
    OK(mb_trainer_destroy(a));
    OK(mb_trainer_destroy(b));
}
END_TEST

static void stop_at_five(void *user, const mb_trainer_t *trainer)
{
    if (ring_number(trainer, "step") == 5)
        OK(mb_trainer_stop(user));
}

START_TEST(a_run_that_was_stopped_goes_on_to_the_same_bits)
{
    mb_trainer_t *stopped = ring_trainer("2"), *whole = ring_trainer("2");
    OK(mb_trainer_set_callback(stopped, stop_at_five, stopped));
    ck_assert_int_eq(mb_trainer_run(stopped), MB_ERR_STOPPED);
    ck_assert_double_lt(ring_number(stopped, "step"), 12);
    OK(mb_trainer_run(stopped));
    OK(mb_trainer_run(whole));
    OK(mb_trainer_save(stopped, "a.h5", 1));
    OK(mb_trainer_save(whole, "b.h5", 1));
    ck_assert_uint_eq(ring_digest("a.h5"), ring_digest("b.h5"));
    OK(mb_trainer_destroy(stopped));
    OK(mb_trainer_destroy(whole));
}
END_TEST

START_TEST(a_saved_state_counts_and_is_sealed)
{
    int64_t step = 0, iterations = 0;
    int sealed = 0;
    mb_trainer_t *trainer = ring_trainer("1");
    OK(mb_trainer_run(trainer));
    OK(mb_trainer_save(trainer, "with.h5", 1));
    OK(mb_trainer_save(trainer, "without.h5", 0));
    OK(mb_trainer_destroy(trainer));
    OK(mb_checkpoint_get("with.h5", "step", &step));
    OK(mb_checkpoint_get("with.h5", "iterations", &iterations));
    ck_assert_int_eq(step, 6);
    ck_assert_int_eq(iterations, 6);
    OK(mb_checkpoint_verify("with.h5", &sealed));
    ck_assert_int_eq(sealed, 1);
    REFUSED(mb_checkpoint_get("without.h5", "step", &step), MB_ERR_FORMAT, "state");
    REFUSED(mb_checkpoint_get("with.h5", "stop", &step), MB_ERR_ARGUMENT, "iterations");
}
END_TEST

START_TEST(a_trainer_of_a_saved_state_goes_on_with_its_moments)
{
    double with = 0, without = 0;
    const char *const files[2] = {"with.h5", "without.h5"};
    double *const losses[2] = {&with, &without};
    mb_trainer_t *trainer = ring_trainer("1");
    OK(mb_trainer_run(trainer));
    for (int i = 0; i < 2; i++)
        OK(mb_trainer_save(trainer, files[i], 1 - i));
    OK(mb_trainer_destroy(trainer));
    for (int i = 0; i < 2; i++) {
        OK(mb_trainer_create(ring_context, files[i], &trainer));
        OK(mb_trainer_set_array(trainer, "x", MB_FLOAT32, 2, ring_x_shape, ring_x));
        OK(mb_trainer_set_array(trainer, "y", MB_INT32, 1, ring_y_shape, ring_y));
        OK(mb_trainer_step(trainer, losses[i], NULL));
        OK(mb_trainer_step(trainer, losses[i], NULL));
        OK(mb_trainer_destroy(trainer));
    }
    ck_assert(with != without);
}
END_TEST

/* The same numbers in other types: every value is exact in all of them. */
START_TEST(arrays_of_every_type_train_alike)
{
    static double x64[RING_SAMPLES][2];
    static int64_t y64[RING_SAMPLES];
    static uint8_t y8[RING_SAMPLES];
    double losses[3];
    for (int i = 0; i < RING_SAMPLES; i++) {
        x64[i][0] = (double)ring_x[i][0];
        x64[i][1] = (double)ring_x[i][1];
        y64[i] = y8[i] = (uint8_t)ring_y[i];
    }
    for (int i = 0; i < 3; i++) {
        mb_trainer_t *trainer = ring_trainer("1");
        if (i > 0)
            OK(mb_trainer_set_array(trainer, "x", MB_FLOAT64, 2, ring_x_shape, x64));
        if (i == 1)
            OK(mb_trainer_set_array(trainer, "y", MB_INT64, 1, ring_y_shape, y64));
        if (i == 2)
            OK(mb_trainer_set_array(trainer, "y", MB_UINT8, 1, ring_y_shape, y8));
        OK(mb_trainer_run(trainer));
        losses[i] = ring_number(trainer, "loss");
        OK(mb_trainer_destroy(trainer));
    }
    ck_assert(losses[0] == losses[1] && losses[0] == losses[2]);
}
END_TEST

START_TEST(a_file_and_arrays_of_the_same_samples_train_alike)
{
    mb_trainer_t *arrays = ring_trainer("1"), *file = NULL;
    ring_write_data("ring-data.h5");
    OK(mb_trainer_create(ring_context, "ring.h5", &file));
    OK(mb_trainer_set(file, "batch", "16"));
    OK(mb_trainer_set(file, "lr", "0.02"));
    OK(mb_trainer_set(file, "data", "ring-data.h5"));
    OK(mb_trainer_run(arrays));
    OK(mb_trainer_run(file));
    ck_assert(ring_number(arrays, "loss") == ring_number(file, "loss"));
    OK(mb_trainer_destroy(arrays));
    OK(mb_trainer_destroy(file));
}
END_TEST

START_TEST(held_out_samples_are_validated_after_each_epoch)
{
    mb_trainer_t *trainer = ring_trainer("2");
    OK(mb_trainer_set(trainer, "val-split", "25%"));
    OK(mb_trainer_start(trainer));
    ck_assert(isnan(ring_number(trainer, "val_loss")));
    OK(mb_trainer_run(trainer));
    ck_assert(ring_number(trainer, "samples") == RING_SAMPLES * 3 / 4);
    ck_assert(isfinite(ring_number(trainer, "val_loss")));
    ck_assert(isfinite(ring_number(trainer, "val_accuracy")));
    OK(mb_trainer_destroy(trainer));
}
END_TEST

START_TEST(a_directory_appears_only_where_it_is_asked_for)
{
    struct stat info;
    mb_trainer_t *trainer = ring_trainer("1");
    OK(mb_trainer_run(trainer));
    OK(mb_trainer_destroy(trainer));
    ck_assert_int_ne(stat("ring.run", &info), 0);
    trainer = ring_trainer("1");
    OK(mb_trainer_set(trainer, "run", "here"));
    OK(mb_trainer_run(trainer));
    OK(mb_trainer_destroy(trainer));
    ck_assert_int_eq(stat("here/final.h5", &info), 0);
}
END_TEST

START_TEST(predictions_give_the_loss_of_the_evaluation)
{
    static float logits[RING_SAMPLES][2];
    double sum = 0, right = 0, loss = 0, accuracy = 0, samples = 0;
    mb_predictor_t *predictor = ring_predictor("ring.h5", logits);
    OK(mb_predictor_run(predictor));
    OK(mb_predictor_get(predictor, "loss", &loss));
    ck_assert(isnan(loss));
    for (int i = 0; i < RING_SAMPLES; i++) {
        double a = (double)logits[i][0], b = (double)logits[i][1];
        double most = a > b ? a : b, wanted = ring_y[i] == 1 ? b : a;
        sum += most + log(exp(a - most) + exp(b - most)) - wanted;
        right += (b > a) == (ring_y[i] == 1);
    }
    OK(mb_predictor_evaluate(predictor));
    OK(mb_predictor_get(predictor, "loss", &loss));
    OK(mb_predictor_get(predictor, "accuracy", &accuracy));
    OK(mb_predictor_get(predictor, "samples", &samples));
    /* A float32 loss of about 1 a sample has an error of a few 2^-24. */
    ck_assert_double_eq_tol(loss, sum / RING_SAMPLES, 1e-6);
    ck_assert_double_eq_tol(accuracy, right / RING_SAMPLES, 1e-12);
    ck_assert(samples == RING_SAMPLES);
    OK(mb_predictor_destroy(predictor));
}
END_TEST

START_TEST(files_and_arrays_predict_and_evaluate_alike)
{
    static float logits[RING_SAMPLES][2], stored[RING_SAMPLES][2];
    double a = 0, b = 0;
    mb_model_t *model;
    const char *name;
    int rank;
    int64_t shape[MB_MAX_DIMS];
    mb_predictor_t *predictor = ring_predictor("ring.h5", logits);
    ring_write_data("ring-data.h5");
    OK(mb_predictor_run(predictor));
    OK(mb_predictor_run_file(predictor, "ring-data.h5", "out.h5"));
    OK(mb_model_load("ring.h5", &model));
    OK(mb_model_describe_output(model, 0, &name, &rank, shape));
    hid_t file = H5Fopen("out.h5", H5F_ACC_RDONLY, H5P_DEFAULT);
    hid_t set = H5Dopen2(file, name, H5P_DEFAULT);
    ck_assert_int_ge(H5Dread(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, stored), 0);
    H5Dclose(set);
    H5Fclose(file);
    ck_assert_mem_eq(logits, stored, sizeof stored);
    OK(mb_predictor_evaluate(predictor));
    OK(mb_predictor_get(predictor, "loss", &a));
    OK(mb_predictor_evaluate_file(predictor, "ring-data.h5"));
    OK(mb_predictor_get(predictor, "loss", &b));
    ck_assert(a == b);
    OK(mb_model_destroy(model));
    OK(mb_predictor_destroy(predictor));
}
END_TEST

START_TEST(predictions_depend_on_how_many_flow_together_by_rounding_at_most)
{
    static float one[RING_SAMPLES][2], other[RING_SAMPLES][2];
    mb_predictor_t *predictor = ring_predictor("ring.h5", one);
    OK(mb_predictor_run(predictor));
    OK(mb_predictor_set(predictor, "batch", "7"));
    OK(mb_predictor_set_output(predictor, "y", 2 * (int64_t)RING_SAMPLES, &other[0][0]));
    OK(mb_predictor_run(predictor));
    /* Kernels may sum in another order for another shape: 8 products of size 1, 2^-24 each. */
    for (int i = 0; i < 2 * RING_SAMPLES; i++)
        ck_assert_float_eq_tol(one[i / 2][i % 2], other[i / 2][i % 2], 1e-6f);
    OK(mb_predictor_destroy(predictor));
}
END_TEST

START_TEST(a_model_tells_its_inputs_outputs_and_size)
{
    mb_model_t *model;
    const char *name;
    int count, rank;
    int64_t shape[MB_MAX_DIMS], parameters;
    OK(mb_model_create_preset(NULL, "cnn", "input=8x8x3 filters=4 dense=5 classes=7", "cnn.h5"));
    OK(mb_model_load("cnn.h5", &model));
    OK(mb_model_count_inputs(model, &count));
    ck_assert_int_eq(count, 1);
    OK(mb_model_count_outputs(model, &count));
    ck_assert_int_eq(count, 1);
    OK(mb_model_describe_input(model, 0, &name, &rank, shape));
    ck_assert_int_eq(rank, 3);
    ck_assert(shape[0] == 8 && shape[1] == 8 && shape[2] == 3);
    OK(mb_model_describe_output(model, 0, &name, &rank, shape));
    ck_assert_int_eq(rank, 1);
    ck_assert_int_eq(shape[0], 7);
    OK(mb_model_count_parameters(model, &parameters));
    ck_assert_int_gt(parameters, 3 * 3 * 3 * 4);
    OK(mb_model_destroy(model));
}
END_TEST

/* Replaces a text of the same length in the model's configuration. */
static void edit_config(const char *path, const char *from, const char *to)
{
    hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    hid_t attribute = H5Aopen(file, "model_config", H5P_DEFAULT);
    hid_t type = H5Aget_type(attribute);
    size_t bytes = H5Tget_size(type);
    char *text = calloc(bytes + 1, 1);
    ck_assert(H5Tis_variable_str(type) == 0);
    ck_assert_int_ge(H5Aread(attribute, type, text), 0);
    ck_assert_uint_eq(strlen(from), strlen(to));
    for (char *at = strstr(text, from); at != NULL; at = strstr(at, from))
        memcpy(at, to, strlen(to));
    ck_assert_int_ge(H5Awrite(attribute, type, text), 0);
    free(text);
    H5Tclose(type);
    H5Aclose(attribute);
    H5Fclose(file);
}

START_TEST(an_open_size_is_told_as_such_and_is_taken_from_the_data)
{
    static float tokens[4][6], logits[4][6][5];
    const int64_t data_shape[2] = {4, 6};
    mb_model_t *model;
    mb_predictor_t *predictor;
    const char *name;
    int rank;
    int64_t shape[MB_MAX_DIMS];
    OK(mb_model_create_preset(NULL, "gpt", "layers=1 width=8 heads=2 length=1111 vocabulary=5",
                              "gpt.h5"));
    edit_config("gpt.h5", "[null, 1111]", "[null, null]");
    OK(mb_model_load("gpt.h5", &model));
    OK(mb_model_describe_input(model, 0, &name, &rank, shape));
    ck_assert_int_eq(rank, 1);
    ck_assert_int_eq(shape[0], -1);
    OK(mb_predictor_create(ring_context, "gpt.h5", &predictor));
    OK(mb_predictor_set_array(predictor, name, MB_FLOAT32, 2, data_shape, tokens));
    REFUSED(mb_model_describe_output(model, 0, &name, &rank, shape), MB_ERR_SHAPE, "open");
    OK(mb_predictor_set_output(predictor, "y", 4 * 6 * 5, &logits[0][0][0]));
    OK(mb_predictor_run(predictor));
    ck_assert(logits[3][5][4] != 0);
    OK(mb_model_destroy(model));
    OK(mb_predictor_destroy(predictor));
}
END_TEST

START_TEST(a_seed_decides_the_initial_values)
{
    OK(mb_model_create_preset(ring_context, "mlp", "input=2 hidden=8 classes=2 seed=3", "a.h5"));
    OK(mb_model_create_preset(ring_context, "mlp", "input=2 hidden=8 classes=2 seed=4", "b.h5"));
    ck_assert_uint_eq(ring_digest("ring.h5"), ring_digest("a.h5"));
    ck_assert_uint_ne(ring_digest("ring.h5"), ring_digest("b.h5"));
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("api");
    TCase *cases = tcase_create("api");
    tcase_add_checked_fixture(cases, ring_begin, ring_end);
    tcase_add_test(cases, the_library_tells_its_version_and_names_every_status);
    tcase_add_test(cases, steps_lower_the_loss_until_the_total_is_reached);
    tcase_add_test(cases, outputs_of_a_step_may_be_left_out);
    tcase_add_test(cases, run_and_steps_come_to_the_same_bits);
    tcase_add_test(cases, a_run_that_was_stopped_goes_on_to_the_same_bits);
    tcase_add_test(cases, a_saved_state_counts_and_is_sealed);
    tcase_add_test(cases, a_trainer_of_a_saved_state_goes_on_with_its_moments);
    tcase_add_test(cases, arrays_of_every_type_train_alike);
    tcase_add_test(cases, a_file_and_arrays_of_the_same_samples_train_alike);
    tcase_add_test(cases, held_out_samples_are_validated_after_each_epoch);
    tcase_add_test(cases, a_directory_appears_only_where_it_is_asked_for);
    tcase_add_test(cases, predictions_give_the_loss_of_the_evaluation);
    tcase_add_test(cases, files_and_arrays_predict_and_evaluate_alike);
    tcase_add_test(cases, predictions_depend_on_how_many_flow_together_by_rounding_at_most);
    tcase_add_test(cases, a_model_tells_its_inputs_outputs_and_size);
    tcase_add_test(cases, an_open_size_is_told_as_such_and_is_taken_from_the_data);
    tcase_add_test(cases, a_seed_decides_the_initial_values);
    suite_add_tcase(suite, cases);
    return suite;
}

int main(int argc, char **argv)
{
    return ring_main(argc, argv, make_suite());
}
