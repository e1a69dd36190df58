/* Writing checkpoints by one process: what is written is read, nothing is half-written, and the
 * same content gives the same file. Writing by several ranks: tests/mpi/test_checkpoint.sh. */
#include <check.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "store/checkpoint_stencil.h"
#include "support/rewrite_model.h"
#include "support/store_files.h"

static sample_t sample;

static void set_up(void)
{
    scratch_create();
    sample_create(&sample, 40, 11);
}

static void tear_down(void)
{
    sample_free(&sample);
    scratch_remove();
}

static mb_model_file_t *must_open(const char *path)
{
    mb_model_file_t *file = NULL;
    mb_status_t status = mb_model_file_open(path, true, true, &file);
    ck_assert_msg(status == MB_OK, "%s", mb_error_get());
    ck_assert_int_eq(file->seal, MB_SEAL_HOLDS);
    return file;
}

START_TEST(what_is_written_is_read_back)
{
    const char *path = scratch("a.h5");
    ck_assert_int_eq(sample_write(&sample, path), MB_OK);
    ck_assert(sample_is_in(&sample, path));
    mb_model_file_t *file = must_open(path);
    ck_assert(file->from_mbrun);
    ck_assert_str_eq(file->model_config, sample.layout.model_config);
    ck_assert_str_eq(file->training_config, sample.layout.training_config);
    ck_assert_str_eq(file->keras_version, "3.8.0");
    ck_assert_str_eq(file->backend, "torch");
    ck_assert_int_eq(file->n_settings, 2);
    ck_assert_str_eq(mb_model_file_setting(file, "data"), "train.h5");
    ck_assert_str_eq(mb_model_file_setting(file, "batch"), "32");
    ck_assert_ptr_null(mb_model_file_setting(file, "epochs"));
    ck_assert(file->state.present);
    ck_assert_int_eq(file->state.step, 7);
    ck_assert_int_eq(file->state.epoch, 2);
    ck_assert_int_eq(file->state.step_in_epoch, 1);
    ck_assert_int_eq(file->state.best_step, 6);
    ck_assert_int_eq(file->state.iterations, 12);
    ck_assert_double_eq(file->state.best_metric, 0.5);
    ck_assert_int_eq(file->n_optimizer, 0);
    ck_assert_str_eq(file->moments[3].name, "velocity/dense/bias");
    mb_model_file_close(file);
    ck_assert_int_eq(scratch_count(""), 3); /* ".", "..", a.h5 */
}
END_TEST

START_TEST(what_is_left_out_is_not_there)
{
    sample.layout.training_config = NULL;
    sample.layout.n_settings = 0;
    sample.layout.state.present = false;
    sample.layout.n_moments = 0;
    const char *path = scratch("a.h5");
    ck_assert_int_eq(mb_checkpoint_write(NULL, path, &sample.layout, sample.pieces, 4), MB_OK);
    mb_model_file_t *file = must_open(path);
    ck_assert_ptr_null(file->training_config);
    ck_assert(!file->state.present && file->n_settings == 0 && file->n_moments == 0);
    mb_model_file_close(file);
}
END_TEST

START_TEST(the_same_content_gives_the_same_bytes)
{
    ck_assert_int_eq(sample_write(&sample, scratch("a.h5")), MB_OK);
    ck_assert_int_eq(sample_write(&sample, scratch("b.h5")), MB_OK);
    ck_assert(files_equal(scratch("a.h5"), scratch("b.h5")));
}
END_TEST

START_TEST(pieces_in_any_order_and_cut_give_the_same_bytes)
{
    ck_assert_int_eq(sample_write(&sample, scratch("a.h5")), MB_OK);
    mb_piece_t pieces[64];
    int n = 0;
    for (int i = SAMPLE_TENSORS - 1; i >= 0; i--) {
        int64_t count = sample.pieces[i].count, step = count / 3 + 1;
        for (int64_t first = 0; first < count; first += step)
            pieces[n++] = (mb_piece_t){.tensor = i,
                                       .first = first,
                                       .count = count - first < step ? count - first : step,
                                       .values = sample.values[i] + first};
        pieces[n++] = (mb_piece_t){.tensor = i, .first = count};
    }
    ck_assert_int_eq(mb_checkpoint_write(NULL, scratch("b.h5"), &sample.layout, pieces, n), MB_OK);
    ck_assert(files_equal(scratch("a.h5"), scratch("b.h5")));
}
END_TEST

static void must_fail_without_a_trace(const mb_piece_t *pieces, int n, const char *part)
{
    mb_status_t status = mb_checkpoint_write(NULL, scratch("a.h5"), &sample.layout, pieces, n);
    ck_assert_int_eq(status, MB_ERR_INTERNAL);
    ck_assert(message_has(part));
    ck_assert_int_eq(scratch_count(".h5"), 0);
}

START_TEST(pieces_that_do_not_cover_each_element_once_are_refused)
{
    mb_piece_t pieces[SAMPLE_TENSORS + 1];
    memcpy(pieces, sample.pieces, sizeof(sample.pieces));
    must_fail_without_a_trace(pieces + 1, SAMPLE_TENSORS - 1, "dense/kernel");
    pieces[SAMPLE_TENSORS] =
        (mb_piece_t){.tensor = 1, .first = 2, .count = 1, .values = sample.values[1]};
    must_fail_without_a_trace(pieces, SAMPLE_TENSORS + 1, "dense/bias");
    pieces[1].count--;
    must_fail_without_a_trace(pieces, SAMPLE_TENSORS, "element 6 of 'dense/bias'");
    pieces[1].count += 2;
    must_fail_without_a_trace(pieces, SAMPLE_TENSORS, "beyond");
    pieces[1] = (mb_piece_t){.tensor = SAMPLE_TENSORS, .count = 1, .values = sample.values[1]};
    must_fail_without_a_trace(pieces, SAMPLE_TENSORS, "tensor 8 of 8");
}
END_TEST

START_TEST(small_files_stay_small)
{
    const char *path = scratch("a.h5");
    ck_assert_int_eq(sample_write(&sample, path), MB_OK);
    ck_assert_int_lt(file_size(path), 4 * (3 * 280 + 40) + 10000);
}
END_TEST

START_TEST(large_tensors_begin_on_pages)
{
    sample_t large;
    sample_create(&large, 5000, 2);
    ck_assert_int_eq(sample_write(&large, scratch("a.h5")), MB_OK);
    mb_model_file_t *file = must_open(scratch("a.h5"));
    ck_assert_int_eq(file->layers[0].weights[0].offset % 4096, 0);
    ck_assert_int_eq(file->moments[0].offset % 4096, 0);
    mb_model_file_close(file);
    sample_free(&large);
}
END_TEST

START_TEST(an_old_file_is_replaced_only_by_a_complete_one)
{
    const char *path = scratch("a.h5");
    ck_assert_int_eq(sample_write(&sample, path), MB_OK);
    sample_t other;
    sample_create(&other, 41, 12);
    mb_piece_t *pieces = other.pieces;
    ck_assert_int_ne(mb_checkpoint_write(NULL, path, &other.layout, pieces, 3), MB_OK);
    ck_assert(sample_is_in(&sample, path));
    ck_assert_int_eq(sample_write(&other, path), MB_OK);
    ck_assert(sample_is_in(&other, path));
    sample_free(&other);
}
END_TEST

static mb_status_t say_no(void *user)
{
    (void)user;
    return mb_error_set(MB_ERR_BUSY, "taken over");
}

START_TEST(a_commit_that_is_vetoed_leaves_the_old_file)
{
    const char *path = scratch("a.h5");
    ck_assert_int_eq(sample_write(&sample, path), MB_OK);
    sample.layout.may_commit = say_no;
    sample.values[0][0] += 1.0f;
    ck_assert_int_eq(sample_write(&sample, path), MB_ERR_BUSY);
    ck_assert(message_has("taken over"));
    sample.values[0][0] -= 1.0f;
    ck_assert(sample_is_in(&sample, path));
    ck_assert_int_eq(scratch_count(".tmp-"), 0);
}
END_TEST

START_TEST(places_that_cannot_be_written_are_refused_in_one_message)
{
    ck_assert_int_eq(sample_write(&sample, scratch("no/such/a.h5")), MB_ERR_IO);
    ck_assert(message_has("check the path"));
    ck_assert_int_eq(mkdir(scratch("folder.h5"), 0700), 0);
    ck_assert_int_eq(sample_write(&sample, scratch("folder.h5")), MB_ERR_IO);
    ck_assert(message_has("directory"));
    ck_assert_int_eq(scratch_count(".tmp-"), 0);
}
END_TEST

START_TEST(names_that_hdf5_cannot_hold_are_refused)
{
    const char *path = scratch("a.h5");
    static const char *const bad[] = {"dense//kernel", "", "a/./b", "dense/bias"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        sample.tensors[0].name = bad[i];
        ck_assert_int_ne(sample_write(&sample, path), MB_OK);
        ck_assert(message_has(path));
        ck_assert_int_eq(scratch_count(".h5"), 0);
    }
}
END_TEST

/* A file system too small for the file: files may not grow over LIMIT bytes. */
static mb_status_t write_limited(const char *path, size_t limit)
{
    struct rlimit old, small;
    getrlimit(RLIMIT_FSIZE, &old);
    small = old;
    small.rlim_cur = limit;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    mb_status_t status = sample_write(&sample, path);
    setrlimit(RLIMIT_FSIZE, &old);
    return status;
}

START_TEST(a_disk_that_is_too_small_at_any_size_leaves_the_old_file)
{
    const char *path = scratch("a.h5");
    ck_assert_int_eq(sample_write(&sample, path), MB_OK);
    size_t bytes = (size_t)file_size(path);
    for (size_t limit = 0; limit < bytes; limit += limit < 200 ? 40 : 499) {
        ck_assert_int_eq(write_limited(path, limit), MB_ERR_IO);
        ck_assert(message_has("raise the limit"));
        ck_assert(message_has(path));
        ck_assert_int_eq(scratch_count(".tmp-"), 0);
    }
    ck_assert(sample_is_in(&sample, path));
}
END_TEST

/* A parent that kills its child at a random instant while it writes files one after the other. */
static void kill_a_writer(const char *path, int microseconds)
{
    pid_t child = fork();
    if (child == 0) {
        for (int i = 0;; i++) {
            sample.layout.state.step = i;
            sample.values[0][0] = (float)i;
            if (sample_write(&sample, path) != MB_OK)
                _exit(1);
        }
    }
    usleep((useconds_t)microseconds);
    kill(child, SIGKILL);
    int result = 0;
    waitpid(child, &result, 0);
    ck_assert(WIFSIGNALED(result));
}

START_TEST(a_writer_killed_at_any_instant_leaves_a_complete_file)
{
    const char *path = scratch("a.h5");
    ck_assert_int_eq(sample_write(&sample, path), MB_OK);
    srand(4711);
    for (int trial = 0; trial < 40; trial++) {
        kill_a_writer(path, rand() % 30000);
        mb_model_file_t *file = must_open(path);
        float first = -1;
        float *values = malloc(280 * sizeof(float));
        ck_assert_int_eq(mb_stored_tensor_read(file, &file->layers[0].weights[0], values), MB_OK);
        first = values[0];
        free(values);
        if (file->state.step != 7)
            ck_assert_float_eq(first, (float)file->state.step);
        mb_model_file_close(file);
    }
}
END_TEST

START_TEST(moments_go_to_keras_place_in_its_names_and_order)
{
    sample.layout.keras_optimizer = true;
    const char *path = scratch("a.h5");
    ck_assert_int_eq(sample_write(&sample, path), MB_OK);
    mb_model_file_t *file = must_open(path);
    static const char *const expected[] = {
        "adam/iteration",
        "adam/learning_rate",
        "adam/dense_kernel_momentum",
        "adam/dense_kernel_velocity",
        "adam/dense_bias_momentum",
        "adam/dense_bias_velocity",
    };
    ck_assert_int_eq(file->n_optimizer, 6);
    ck_assert_int_eq(file->n_moments, 0);
    for (int i = 0; i < 6; i++)
        ck_assert_str_eq(file->optimizer[i].name, expected[i]);
    int64_t iteration = 0;
    float rate = 0, bias[7];
    ck_assert_int_eq(mb_stored_tensor_read_int(file, &file->optimizer[0], &iteration), MB_OK);
    ck_assert_int_eq(iteration, 12);
    ck_assert_int_eq(mb_stored_tensor_read(file, &file->optimizer[1], &rate), MB_OK);
    ck_assert_float_eq(rate, 0.25f);
    ck_assert_int_eq(mb_stored_tensor_read(file, &file->optimizer[5], bias), MB_OK);
    ck_assert_mem_eq(bias, sample.values[7], sizeof(bias));
    mb_model_file_close(file);
}
END_TEST

START_TEST(a_schedule_has_no_learning_rate_in_keras_place)
{
    sample.layout.keras_optimizer = true;
    sample.layout.learning_rate = NAN;
    ck_assert_int_eq(sample_write(&sample, scratch("a.h5")), MB_OK);
    mb_model_file_t *file = must_open(scratch("a.h5"));
    ck_assert_int_eq(file->n_optimizer, 5);
    ck_assert_str_eq(file->optimizer[1].name, "adam/dense_kernel_momentum");
    mb_model_file_close(file);
}
END_TEST

START_TEST(other_slots_follow_one_after_the_other_in_keras_place)
{
    static const char *const names[] = {"velocity/a/b", "velocity/a_b", "momentum/a/b",
                                        "momentum/a_b"};
    for (int i = 0; i < 4; i++)
        sample.tensors[4 + i].name = names[i];
    sample.layout.keras_optimizer = true;
    sample.layout.optimizer_name = "rmsprop";
    ck_assert_int_eq(sample_write(&sample, scratch("a.h5")), MB_OK);
    mb_model_file_t *file = must_open(scratch("a.h5"));
    ck_assert_int_eq(file->n_optimizer, 6);
    ck_assert_ptr_nonnull(strstr(file->optimizer[2].name, "a_b_velocity"));
    ck_assert_ptr_nonnull(strstr(file->optimizer[3].name, "a_b_velocity"));
    ck_assert_ptr_nonnull(strstr(file->optimizer[5].name, "a_b_momentum"));
    ck_assert_str_ne(file->optimizer[2].name, file->optimizer[3].name);
    float bias[7];
    ck_assert_int_eq(mb_stored_tensor_read(file, &file->optimizer[3], bias), MB_OK);
    ck_assert_mem_eq(bias, sample.values[5], sizeof(bias));
    mb_model_file_close(file);
}
END_TEST

START_TEST(every_fixture_is_written_with_the_digest_it_was_read_with)
{
    static const char *const names[] = {"mlp",         "mlp_softmax_sgd", "cnn",    "conv1d",
                                        "regress",     "mlp_warm",        "resnet", "gpt",
                                        "rules_adamw", "rules_amsgrad",   "shared", "regularized"};
    char name[64];
    snprintf(name, sizeof(name), "%s.h5", names[_i]);
    rewrite_t rewrite;
    mb_status_t status = rewrite_read(fixture(name), &rewrite);
    ck_assert_msg(status == MB_OK, "%s", mb_error_get());
    ck_assert_int_eq(rewrite_write(&rewrite, scratch("out.h5")), MB_OK);
    mb_model_file_t *written = must_open(scratch("out.h5"));
    mb_digest_t before, after;
    ck_assert_int_eq(mb_model_file_digest(rewrite.file, &before), MB_OK);
    ck_assert_int_eq(mb_model_file_digest(written, &after), MB_OK);
    ck_assert_uint_eq(before.weights, after.weights);
    ck_assert_str_eq(written->model_config, rewrite.file->model_config);
    ck_assert_str_eq(written->training_config, rewrite.file->training_config);
    mb_model_file_close(written);
    rewrite_free(&rewrite);
}
END_TEST

/* COUNT layers of one weight each, with long names, so that layer_names must be split. */
START_TEST(thousands_of_layers_and_long_texts_are_written_and_read)
{
    enum { COUNT = 3000, CONFIG = 1 << 20 };
    mb_layer_spec_t *layers = calloc(COUNT, sizeof(*layers));
    mb_tensor_spec_t *tensors = calloc(COUNT, sizeof(*tensors));
    mb_piece_t *pieces = calloc(COUNT, sizeof(*pieces));
    int *indices = calloc(COUNT, sizeof(*indices));
    char(*names)[64] = calloc(COUNT, sizeof(*names));
    char *config = malloc(CONFIG + 1);
    memset(config, '{', CONFIG);
    config[CONFIG] = '\0';
    const float value = 3.5f;
    for (int i = 0; i < COUNT; i++) {
        snprintf(names[i], sizeof(names[i]), "a_layer_with_quite_a_long_name_%d", i);
        indices[i] = i;
        layers[i] = (mb_layer_spec_t){names[i], 1, &indices[i]};
        tensors[i] = (mb_tensor_spec_t){.name = names[i], .shape = {1, {1}}};
        pieces[i] = (mb_piece_t){.tensor = i, .count = 1, .values = &value};
    }
    const mb_checkpoint_layout_t layout = {.model_config = config,
                                           .n_layers = COUNT,
                                           .layers = layers,
                                           .n_weights = COUNT,
                                           .tensors = tensors};
    mb_status_t status = mb_checkpoint_write(NULL, scratch("a.h5"), &layout, pieces, COUNT);
    ck_assert_msg(status == MB_OK, "%s", mb_error_get());
    mb_model_file_t *file = must_open(scratch("a.h5"));
    ck_assert_int_eq(file->n_layers, COUNT);
    ck_assert_str_eq(file->layers[2999].name, names[2999]);
    ck_assert_str_eq(file->layers[2999].weights[0].name, names[2999]);
    ck_assert_str_eq(file->model_config, config);
    mb_model_file_close(file);
    free(config);
    free(names);
    free(indices);
    free(pieces);
    free(tensors);
    free(layers);
}
END_TEST

/* Whether a file of the sample is made from the one before, and then is as any other. */
static bool is_reused(void)
{
    int64_t numbers[SAMPLE_TENSORS * MB_PART_COUNT + 1];
    mb_stencil_t *stencil = sample.layout.stencil;
    mb_h5_image_t *image = mb_stencil_take(&sample.layout, numbers);
    if (image != NULL)
        mb_stencil_put(&sample.layout, numbers, image);
    ck_assert_int_eq(sample_write(&sample, scratch("stencil.h5")), MB_OK);
    sample.layout.stencil = NULL;
    ck_assert_int_eq(sample_write(&sample, scratch("anew.h5")), MB_OK);
    sample.layout.stencil = stencil;
    ck_assert(files_equal(scratch("stencil.h5"), scratch("anew.h5")));
    return image != NULL;
}

START_TEST(a_file_like_the_one_before_is_not_laid_out_anew)
{
    const double metrics[] = {0.25, 1e9, -3};
    mb_run_state_t *state = &sample.layout.state;
    sample.layout.stencil = mb_stencil_create();
    ck_assert(!is_reused());
    state->step = state->iterations = (int64_t)1 << 40;
    state->epoch = 9;
    state->best_metric = NAN;
    ck_assert(is_reused());
    state->metrics = metrics;
    state->n_metrics = 2;
    ck_assert(!is_reused());
    state->metrics = metrics + 1;
    ck_assert(is_reused());
    state->loss_scale = 1024;
    state->callbacks.present = true;
    ck_assert(!is_reused());
    state->loss_scale = 2048;
    state->skipped_steps = 3;
    ck_assert(!is_reused());
    state->skipped_steps = 4;
    state->callbacks.plateau_best = 0.125;
    ck_assert(is_reused());
    state->averaged = 1;
    ck_assert(!is_reused());
    mb_stencil_destroy(sample.layout.stencil);
}
END_TEST

START_TEST(a_file_with_other_texts_or_tensors_is_laid_out_anew)
{
    sample.layout.stencil = mb_stencil_create();
    mb_checkpoint_foresee(&sample.layout);
    ck_assert(is_reused());
    sample.settings[1].value = "33";
    ck_assert(!is_reused());
    sample.layout.training_config = NULL;
    ck_assert(!is_reused());
    sample.tensors[6].name = "velocity/dense/other";
    ck_assert(!is_reused());
    ck_assert(is_reused());
    sample.layout.keras_optimizer = true;
    sample.tensors[6].name = "velocity/dense/kernel";
    ck_assert(!is_reused());
    ck_assert(!is_reused());
    mb_stencil_destroy(sample.layout.stencil);
}
END_TEST

static Suite *suite(void)
{
    Suite *suite = suite_create("checkpoint");
    TCase *cases = tcase_create("writing");
    tcase_add_checked_fixture(cases, set_up, tear_down);
    tcase_set_timeout(cases, 240);
    tcase_add_test(cases, what_is_written_is_read_back);
    tcase_add_test(cases, what_is_left_out_is_not_there);
    tcase_add_test(cases, the_same_content_gives_the_same_bytes);
    tcase_add_test(cases, a_file_like_the_one_before_is_not_laid_out_anew);
    tcase_add_test(cases, a_file_with_other_texts_or_tensors_is_laid_out_anew);
    tcase_add_test(cases, pieces_in_any_order_and_cut_give_the_same_bytes);
    tcase_add_test(cases, pieces_that_do_not_cover_each_element_once_are_refused);
    tcase_add_test(cases, small_files_stay_small);
    tcase_add_test(cases, large_tensors_begin_on_pages);
    tcase_add_test(cases, an_old_file_is_replaced_only_by_a_complete_one);
    tcase_add_test(cases, a_commit_that_is_vetoed_leaves_the_old_file);
    tcase_add_test(cases, places_that_cannot_be_written_are_refused_in_one_message);
    tcase_add_test(cases, names_that_hdf5_cannot_hold_are_refused);
    tcase_add_test(cases, a_disk_that_is_too_small_at_any_size_leaves_the_old_file);
    tcase_add_test(cases, a_writer_killed_at_any_instant_leaves_a_complete_file);
    tcase_add_test(cases, moments_go_to_keras_place_in_its_names_and_order);
    tcase_add_test(cases, a_schedule_has_no_learning_rate_in_keras_place);
    tcase_add_test(cases, other_slots_follow_one_after_the_other_in_keras_place);
    tcase_add_loop_test(cases, every_fixture_is_written_with_the_digest_it_was_read_with, 0, 12);
    tcase_add_test(cases, thousands_of_layers_and_long_texts_are_written_and_read);
    suite_add_tcase(suite, cases);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(suite());
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
