/* What the public library refuses, with which status and which words. */
#include "unit/api_ring.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static mb_status_t before_mpi, before_mpi_fortran;
static char before_mpi_message[256];

START_TEST(a_context_before_mpi_is_refused)
{
    ck_assert_int_eq(before_mpi, MB_ERR_ARGUMENT);
    ck_assert_int_eq(before_mpi_fortran, MB_ERR_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(before_mpi_message, "MPI_Init_thread"));
}
END_TEST

START_TEST(a_context_wants_a_communicator_within_one_group)
{
    mb_context_t *context = NULL;
    REFUSED(mb_context_create(MPI_COMM_NULL, &context), MB_ERR_ARGUMENT, "MPI_COMM_NULL");
    REFUSED(mb_context_create(MPI_COMM_SELF, NULL), MB_ERR_ARGUMENT, "context is NULL");
    REFUSED(mb_context_create_f(MPI_Comm_c2f(MPI_COMM_NULL), &context), MB_ERR_ARGUMENT,
            "MPI_COMM_NULL");
    ck_assert_ptr_null(context);
    OK(mb_context_create_f(MPI_Comm_c2f(MPI_COMM_SELF), &context));
    OK(mb_context_destroy(context));
}
END_TEST

START_TEST(null_arguments_are_refused_by_name)
{
    mb_trainer_t *trainer = NULL;
    mb_predictor_t *predictor = NULL;
    mb_model_t *model = NULL;
    uint64_t digest;
    int64_t value;
    int sealed;
    REFUSED(mb_context_set_log(NULL, NULL, NULL, MB_LEVEL_INFO), MB_ERR_ARGUMENT,
            "context is NULL");
    REFUSED(mb_trainer_create(NULL, "ring.h5", &trainer), MB_ERR_ARGUMENT, "context is NULL");
    REFUSED(mb_trainer_create(ring_context, NULL, &trainer), MB_ERR_ARGUMENT, "path is NULL");
    REFUSED(mb_trainer_create(ring_context, "ring.h5", NULL), MB_ERR_ARGUMENT, "trainer is NULL");
    REFUSED(mb_predictor_create(NULL, "ring.h5", &predictor), MB_ERR_ARGUMENT, "context is NULL");
    REFUSED(mb_predictor_create(ring_context, NULL, &predictor), MB_ERR_ARGUMENT, "path is NULL");
    REFUSED(mb_predictor_create(ring_context, "a", NULL), MB_ERR_ARGUMENT, "predictor is NULL");
    REFUSED(mb_model_load(NULL, &model), MB_ERR_ARGUMENT, "path is NULL");
    REFUSED(mb_model_load("ring.h5", NULL), MB_ERR_ARGUMENT, "model is NULL");
    REFUSED(mb_model_create_preset(ring_context, NULL, "", "a.h5"), MB_ERR_ARGUMENT,
            "preset is NULL");
    REFUSED(mb_model_create_preset(NULL, "mlp", "", NULL), MB_ERR_ARGUMENT, "path is NULL");
    REFUSED(mb_checkpoint_digest(NULL, &digest, &digest), MB_ERR_ARGUMENT, "path is NULL");
    REFUSED(mb_checkpoint_digest("ring.h5", NULL, &digest), MB_ERR_ARGUMENT, "weights is NULL");
    REFUSED(mb_checkpoint_digest("ring.h5", &digest, NULL), MB_ERR_ARGUMENT, "full is NULL");
    REFUSED(mb_checkpoint_verify(NULL, &sealed), MB_ERR_ARGUMENT, "path is NULL");
    REFUSED(mb_checkpoint_verify("ring.h5", NULL), MB_ERR_ARGUMENT, "sealed is NULL");
    REFUSED(mb_checkpoint_get(NULL, "step", &value), MB_ERR_ARGUMENT, "path is NULL");
    REFUSED(mb_checkpoint_get("ring.h5", NULL, &value), MB_ERR_ARGUMENT, "name is NULL");
    REFUSED(mb_checkpoint_get("ring.h5", "step", NULL), MB_ERR_ARGUMENT, "value is NULL");
    ck_assert_ptr_null(trainer);
    ck_assert_ptr_null(predictor);
    ck_assert_ptr_null(model);
}
END_TEST

START_TEST(a_plugin_that_cannot_be_loaded_is_named)
{
    REFUSED(mb_context_load_plugin(NULL, "own.so"), MB_ERR_ARGUMENT, "context is NULL");
    REFUSED(mb_context_load_plugin(ring_context, NULL), MB_ERR_ARGUMENT, "path is NULL");
    REFUSED(mb_context_load_plugin(ring_context, "./nowhere.so"), MB_ERR_IO,
            "plugin ./nowhere.so: there is no such file");
}
END_TEST

START_TEST(null_trainers_and_their_null_arguments_are_refused)
{
    double value;
    int done;
    mb_trainer_t *trainer = ring_trainer("1");
    REFUSED(mb_trainer_set(NULL, "lr", "1"), MB_ERR_ARGUMENT, "trainer is NULL");
    REFUSED(mb_trainer_set(trainer, NULL, "1"), MB_ERR_ARGUMENT, "key is NULL");
    REFUSED(mb_trainer_set(trainer, "lr", NULL), MB_ERR_ARGUMENT, "value is NULL");
    REFUSED(mb_trainer_set_array(NULL, "x", MB_FLOAT32, 2, ring_x_shape, ring_x), MB_ERR_ARGUMENT,
            "trainer is NULL");
    REFUSED(mb_trainer_set_array(trainer, NULL, MB_FLOAT32, 2, ring_x_shape, ring_x),
            MB_ERR_ARGUMENT, "name is NULL");
    REFUSED(mb_trainer_set_array(trainer, "x", MB_FLOAT32, 2, NULL, ring_x), MB_ERR_ARGUMENT,
            "shape is NULL");
    REFUSED(mb_trainer_set_array(trainer, "x", MB_FLOAT32, 2, ring_x_shape, NULL), MB_ERR_ARGUMENT,
            "data is NULL");
    REFUSED(mb_trainer_set_callback(NULL, NULL, NULL), MB_ERR_ARGUMENT, "trainer is NULL");
    REFUSED(mb_trainer_start(NULL), MB_ERR_ARGUMENT, "trainer is NULL");
    REFUSED(mb_trainer_step(NULL, &value, &done), MB_ERR_ARGUMENT, "trainer is NULL");
    REFUSED(mb_trainer_run(NULL), MB_ERR_ARGUMENT, "trainer is NULL");
    ck_assert_int_eq(mb_trainer_stop(NULL), MB_ERR_ARGUMENT);
    REFUSED(mb_trainer_save(NULL, "a.h5", 1), MB_ERR_ARGUMENT, "trainer is NULL");
    REFUSED(mb_trainer_get(NULL, "loss", &value), MB_ERR_ARGUMENT, "trainer is NULL");
    OK(mb_trainer_start(trainer));
    REFUSED(mb_trainer_get(trainer, NULL, &value), MB_ERR_ARGUMENT, "name is NULL");
    REFUSED(mb_trainer_get(trainer, "loss", NULL), MB_ERR_ARGUMENT, "value is NULL");
    REFUSED(mb_trainer_save(trainer, NULL, 1), MB_ERR_ARGUMENT, "path is NULL");
    OK(mb_trainer_destroy(trainer));
    OK(mb_trainer_destroy(NULL));
    OK(mb_predictor_destroy(NULL));
    OK(mb_model_destroy(NULL));
    OK(mb_context_destroy(NULL));
}
END_TEST

START_TEST(null_predictors_and_their_null_arguments_are_refused)
{
    static float logits[RING_SAMPLES][2];
    double value;
    mb_predictor_t *predictor = ring_predictor("ring.h5", logits);
    REFUSED(mb_predictor_set(NULL, "batch", "1"), MB_ERR_ARGUMENT, "predictor is NULL");
    REFUSED(mb_predictor_set(predictor, NULL, "1"), MB_ERR_ARGUMENT, "key is NULL");
    REFUSED(mb_predictor_set(predictor, "batch", NULL), MB_ERR_ARGUMENT, "value is NULL");
    REFUSED(mb_predictor_set_array(NULL, "x", MB_FLOAT32, 2, ring_x_shape, ring_x), MB_ERR_ARGUMENT,
            "predictor is NULL");
    REFUSED(mb_predictor_set_output(NULL, "y", 1, logits[0]), MB_ERR_ARGUMENT, "predictor is NULL");
    REFUSED(mb_predictor_set_output(predictor, NULL, 1, logits[0]), MB_ERR_ARGUMENT,
            "name is NULL");
    REFUSED(mb_predictor_set_output(predictor, "y", 1, NULL), MB_ERR_ARGUMENT, "values is NULL");
    REFUSED(mb_predictor_set_output(predictor, "y", 0, logits[0]), MB_ERR_ARGUMENT, "0 numbers");
    REFUSED(mb_predictor_run(NULL), MB_ERR_ARGUMENT, "predictor is NULL");
    REFUSED(mb_predictor_run_file(NULL, "a", "b"), MB_ERR_ARGUMENT, "predictor is NULL");
    REFUSED(mb_predictor_run_file(predictor, NULL, "b"), MB_ERR_ARGUMENT, "data is NULL");
    REFUSED(mb_predictor_run_file(predictor, "a", NULL), MB_ERR_ARGUMENT, "output is NULL");
    REFUSED(mb_predictor_evaluate(NULL), MB_ERR_ARGUMENT, "predictor is NULL");
    REFUSED(mb_predictor_evaluate_file(NULL, "a"), MB_ERR_ARGUMENT, "predictor is NULL");
    REFUSED(mb_predictor_evaluate_file(predictor, NULL), MB_ERR_ARGUMENT, "data is NULL");
    REFUSED(mb_predictor_get(NULL, "loss", &value), MB_ERR_ARGUMENT, "predictor is NULL");
    REFUSED(mb_predictor_get(predictor, "loss", NULL), MB_ERR_ARGUMENT, "value is NULL");
    OK(mb_predictor_destroy(predictor));
}
END_TEST

START_TEST(null_models_and_places_beyond_the_end_are_refused)
{
    mb_model_t *model = NULL;
    const char *name;
    int count, rank;
    int64_t shape[MB_MAX_DIMS], parameters;
    REFUSED(mb_model_count_inputs(NULL, &count), MB_ERR_ARGUMENT, "model is NULL");
    REFUSED(mb_model_count_outputs(NULL, &count), MB_ERR_ARGUMENT, "model is NULL");
    REFUSED(mb_model_count_parameters(NULL, &parameters), MB_ERR_ARGUMENT, "model is NULL");
    REFUSED(mb_model_describe_input(NULL, 0, &name, &rank, shape), MB_ERR_ARGUMENT,
            "model is NULL");
    OK(mb_model_load("ring.h5", &model));
    REFUSED(mb_model_describe_input(model, 1, &name, &rank, shape), MB_ERR_ARGUMENT, "no input 1");
    REFUSED(mb_model_describe_output(model, -1, &name, &rank, shape), MB_ERR_ARGUMENT,
            "no output -1");
    REFUSED(mb_model_describe_output(model, 0, NULL, &rank, shape), MB_ERR_ARGUMENT,
            "name is NULL");
    REFUSED(mb_model_describe_output(model, 0, &name, NULL, shape), MB_ERR_ARGUMENT,
            "rank is NULL");
    REFUSED(mb_model_describe_input(model, 0, &name, &rank, NULL), MB_ERR_ARGUMENT,
            "shape is NULL");
    OK(mb_model_destroy(model));
}
END_TEST

START_TEST(calls_in_the_wrong_order_are_refused)
{
    double value = 7;
    mb_trainer_t *trainer = ring_trainer("1");
    REFUSED(mb_trainer_get(trainer, "loss", &value), MB_ERR_ARGUMENT, "not started");
    REFUSED(mb_trainer_save(trainer, "a.h5", 1), MB_ERR_ARGUMENT, "not started");
    ck_assert_int_ne(access("a.h5", F_OK), 0);
    OK(mb_trainer_start(trainer));
    REFUSED(mb_trainer_start(trainer), MB_ERR_ARGUMENT, "has started");
    REFUSED(mb_trainer_set(trainer, "lr", "0.1"), MB_ERR_ARGUMENT, "has started");
    REFUSED(mb_trainer_set_array(trainer, "x", MB_FLOAT32, 2, ring_x_shape, ring_x),
            MB_ERR_ARGUMENT, "has started");
    REFUSED(mb_trainer_get(trainer, "los", &value), MB_ERR_ARGUMENT, "do you mean 'loss'");
    REFUSED(mb_trainer_save(trainer, "a.h5", 2), MB_ERR_ARGUMENT, "0 or 1");
    REFUSED(mb_context_destroy(ring_context), MB_ERR_ARGUMENT, "destroy them first");
    ck_assert(value == 7);
    OK(mb_trainer_run(trainer));
    OK(mb_trainer_destroy(trainer));
}
END_TEST

START_TEST(a_predictor_without_arrays_or_results_is_refused)
{
    mb_predictor_t *predictor;
    double value;
    OK(mb_predictor_create(ring_context, "ring.h5", &predictor));
    REFUSED(mb_predictor_get(predictor, "loss", &value), MB_ERR_ARGUMENT, "nothing was computed");
    REFUSED(mb_predictor_run(predictor), MB_ERR_ARGUMENT, "no arrays");
    REFUSED(mb_predictor_evaluate(predictor), MB_ERR_ARGUMENT, "no arrays");
    OK(mb_predictor_set_array(predictor, "x", MB_FLOAT32, 2, ring_x_shape, ring_x));
    REFUSED(mb_predictor_run(predictor), MB_ERR_ARGUMENT, "no memory for an output");
    OK(mb_predictor_destroy(predictor));
}
END_TEST

START_TEST(unknown_settings_get_the_nearest_right_one)
{
    mb_trainer_t *trainer = ring_trainer("1");
    mb_predictor_t *predictor;
    REFUSED(mb_trainer_set(trainer, "epoch", "1"), MB_ERR_ARGUMENT, "'epochs'");
    REFUSED(mb_trainer_set(trainer, "batch", "many"), MB_ERR_ARGUMENT, "whole number");
    OK(mb_predictor_create(ring_context, "ring.h5", &predictor));
    REFUSED(mb_predictor_set(predictor, "epochs", "1"), MB_ERR_ARGUMENT, "no setting 'epochs'");
    REFUSED(mb_model_create_preset(NULL, "mpl", NULL, "a.h5"), MB_ERR_ARGUMENT, "mlp");
    REFUSED(mb_model_create_preset(NULL, "mlp", "hiden=2", "a.h5"), MB_ERR_ARGUMENT, "hidden");
    REFUSED(mb_model_create_preset(NULL, "mlp", "hidden", "a.h5"), MB_ERR_ARGUMENT, "key=value");
    REFUSED(mb_model_create_preset(NULL, "mlp", "seed=-1", "a.h5"), MB_ERR_ARGUMENT, "seed=-1");
    ck_assert_int_ne(access("a.h5", F_OK), 0);
    OK(mb_predictor_destroy(predictor));
    OK(mb_trainer_destroy(trainer));
}
END_TEST

START_TEST(arrays_that_fit_nothing_are_refused_and_another_start_may_follow)
{
    const int64_t none[2] = {RING_SAMPLES, 0}, wide[2] = {RING_SAMPLES / 2, 4},
                  half[1] = {RING_SAMPLES / 2};
    mb_trainer_t *trainer = ring_trainer("1");
    REFUSED(mb_trainer_set_array(trainer, "x", (mb_type_t)9, 2, ring_x_shape, ring_x),
            MB_ERR_ARGUMENT, "mb_type_t");
    REFUSED(mb_trainer_set_array(trainer, "x", MB_FLOAT32, 0, ring_x_shape, ring_x),
            MB_ERR_ARGUMENT, "0 dimensions");
    REFUSED(mb_trainer_set_array(trainer, "x", MB_FLOAT32, 10, ring_x_shape, ring_x),
            MB_ERR_ARGUMENT, "10 dimensions");
    REFUSED(mb_trainer_set_array(trainer, "x", MB_FLOAT32, 2, none, ring_x), MB_ERR_ARGUMENT,
            "shape[1] is 0");
    OK(mb_trainer_set_array(trainer, "y", MB_INT32, 1, half, ring_y));
    REFUSED(mb_trainer_start(trainer), MB_ERR_SHAPE, "samples");
    OK(mb_trainer_set_array(trainer, "x", MB_FLOAT32, 2, wide, ring_x));
    REFUSED(mb_trainer_step(trainer, NULL, NULL), MB_ERR_SHAPE, "4");
    OK(mb_trainer_set_array(trainer, "x", MB_FLOAT32, 2, ring_x_shape, ring_x));
    OK(mb_trainer_set_array(trainer, "y", MB_INT32, 1, ring_y_shape, ring_y));
    OK(mb_trainer_set(trainer, "data", "nowhere.h5"));
    REFUSED(mb_trainer_start(trainer), MB_ERR_ARGUMENT, "together");
    OK(mb_trainer_destroy(trainer));
    trainer = ring_trainer("1");
    OK(mb_trainer_run(trainer));
    OK(mb_trainer_destroy(trainer));
}
END_TEST

START_TEST(missing_data_and_missing_labels_are_named)
{
    mb_trainer_t *trainer;
    OK(mb_trainer_create(ring_context, "ring.h5", &trainer));
    REFUSED(mb_trainer_start(trainer), MB_ERR_ARGUMENT, "data");
    OK(mb_trainer_set_array(trainer, "x", MB_FLOAT32, 2, ring_x_shape, ring_x));
    ck_assert_int_ne(mb_trainer_start(trainer), MB_OK);
    ck_assert_str_ne(mb_error_message(), "");
    OK(mb_trainer_set_array(trainer, "y", MB_INT32, 1, ring_y_shape, ring_y));
    OK(mb_trainer_run(trainer));
    OK(mb_trainer_destroy(trainer));
}
END_TEST

START_TEST(files_that_are_missing_or_no_models_are_named)
{
    mb_trainer_t *trainer;
    mb_model_t *model;
    uint64_t digest;
    FILE *file = fopen("text.h5", "w");
    fputs("no model\n", file);
    fclose(file);
    REFUSED(mb_model_load("nowhere.h5", &model), MB_ERR_IO, "nowhere.h5");
    REFUSED(mb_model_load("text.h5", &model), MB_ERR_FORMAT, "text.h5");
    REFUSED(mb_checkpoint_digest("nowhere.h5", &digest, &digest), MB_ERR_IO, "nowhere.h5");
    OK(mb_trainer_create(ring_context, "nowhere.h5", &trainer));
    REFUSED(mb_trainer_start(trainer), MB_ERR_IO, "nowhere.h5");
    OK(mb_trainer_destroy(trainer));
    REFUSED(mb_model_create_preset(ring_context, "mlp", NULL, "no/folder/a.h5"), MB_ERR_IO,
            "no/folder");
}
END_TEST

START_TEST(a_damaged_file_is_refused)
{
    int sealed;
    FILE *file = fopen("ring.h5", "r+b");
    fseek(file, -40, SEEK_END);
    int byte = fgetc(file);
    fseek(file, -40, SEEK_END);
    fputc(byte ^ 1, file);
    fclose(file);
    REFUSED(mb_checkpoint_verify("ring.h5", &sealed), MB_ERR_FORMAT, "ring.h5");
}
END_TEST

static void with_new_context(void (*body)(mb_context_t *))
{
    mb_context_t *kept = ring_context;
    OK(mb_context_create(MPI_COMM_SELF, &ring_context));
    body(ring_context);
    OK(mb_context_destroy(ring_context));
    ring_context = kept;
}

static void train_on_nan(mb_context_t *context)
{
    (void)context;
    ring_x[17][1] = NAN;
    mb_trainer_t *trainer = ring_trainer("1");
    ck_assert_int_eq(mb_trainer_run(trainer), MB_ERR_DATA);
    ck_assert_ptr_nonnull(strstr(mb_error_message(), "17"));
    OK(mb_trainer_destroy(trainer));
}

START_TEST(a_nan_in_an_array_is_found_and_its_sample_named)
{
    with_new_context(train_on_nan);
}
END_TEST

static void train_on_wrong_labels(mb_context_t *context)
{
    (void)context;
    ring_y[21] = 2;
    mb_trainer_t *trainer = ring_trainer("1");
    ck_assert_int_eq(mb_trainer_run(trainer), MB_ERR_DATA);
    ck_assert_ptr_nonnull(strstr(mb_error_message(), "21"));
    OK(mb_trainer_destroy(trainer));
}

START_TEST(a_label_outside_the_classes_is_found_and_its_sample_named)
{
    with_new_context(train_on_wrong_labels);
}
END_TEST

static void train_too_fast(mb_context_t *context)
{
    double loss = 7;
    int done = 0;
    mb_status_t status = MB_OK;
    (void)context;
    mb_trainer_t *trainer = ring_trainer("100");
    OK(mb_trainer_set(trainer, "optimizer", "sgd"));
    OK(mb_trainer_set(trainer, "lr", "1e30"));
    while (status == MB_OK && !done)
        status = mb_trainer_step(trainer, &loss, &done);
    ck_assert_int_eq(status, MB_ERR_NUMERIC);
    ck_assert_ptr_nonnull(strstr(mb_error_message(), "step"));
    OK(mb_trainer_destroy(trainer));
}

START_TEST(a_loss_that_is_not_finite_ends_the_training_with_its_step)
{
    with_new_context(train_too_fast);
}
END_TEST

START_TEST(an_output_needs_enough_room_and_a_name_of_the_model)
{
    static float logits[RING_SAMPLES][2];
    mb_predictor_t *predictor = ring_predictor("ring.h5", logits);
    OK(mb_predictor_set_output(predictor, "y", 2 * (int64_t)RING_SAMPLES - 1, logits[0]));
    REFUSED(mb_predictor_run(predictor), MB_ERR_SHAPE, "room");
    OK(mb_predictor_set_output(predictor, "y", 2 * (int64_t)RING_SAMPLES, logits[0]));
    OK(mb_predictor_set_output(predictor, "z", 2 * (int64_t)RING_SAMPLES, logits[0]));
    REFUSED(mb_predictor_run(predictor), MB_ERR_ARGUMENT, "no output 'z'");
    OK(mb_predictor_destroy(predictor));
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("api misuse");
    TCase *cases = tcase_create("api misuse");
    tcase_add_checked_fixture(cases, ring_begin, ring_end);
    tcase_add_test(cases, a_context_before_mpi_is_refused);
    tcase_add_test(cases, a_context_wants_a_communicator_within_one_group);
    tcase_add_test(cases, null_arguments_are_refused_by_name);
    tcase_add_test(cases, a_plugin_that_cannot_be_loaded_is_named);
    tcase_add_test(cases, null_trainers_and_their_null_arguments_are_refused);
    tcase_add_test(cases, null_predictors_and_their_null_arguments_are_refused);
    tcase_add_test(cases, null_models_and_places_beyond_the_end_are_refused);
    tcase_add_test(cases, calls_in_the_wrong_order_are_refused);
    tcase_add_test(cases, a_predictor_without_arrays_or_results_is_refused);
    tcase_add_test(cases, unknown_settings_get_the_nearest_right_one);
    tcase_add_test(cases, arrays_that_fit_nothing_are_refused_and_another_start_may_follow);
    tcase_add_test(cases, missing_data_and_missing_labels_are_named);
    tcase_add_test(cases, files_that_are_missing_or_no_models_are_named);
    tcase_add_test(cases, a_damaged_file_is_refused);
    tcase_add_test(cases, a_nan_in_an_array_is_found_and_its_sample_named);
    tcase_add_test(cases, a_label_outside_the_classes_is_found_and_its_sample_named);
    tcase_add_test(cases, a_loss_that_is_not_finite_ends_the_training_with_its_step);
    tcase_add_test(cases, an_output_needs_enough_room_and_a_name_of_the_model);
    suite_add_tcase(suite, cases);
    return suite;
}

int main(int argc, char **argv)
{
    mb_context_t *context = NULL;
    before_mpi = mb_context_create(MPI_COMM_SELF, &context);
    snprintf(before_mpi_message, sizeof before_mpi_message, "%s", mb_error_message());
    before_mpi_fortran = mb_context_create_f(0, &context);
    return ring_main(argc, argv, make_suite());
}
