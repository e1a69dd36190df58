/* The program that uses the library finds everything as it left it. */
#define _GNU_SOURCE /* sched_getaffinity */
#include "unit/api_ring.h"

#include <fenv.h>
#include <float.h>
#include <hdf5.h>
#include <locale.h>
#include <omp.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

static void use_everything(void)
{
    static float logits[RING_SAMPLES][2];
    mb_trainer_t *trainer = ring_trainer("1");
    mb_predictor_t *predictor = ring_predictor("ring.h5", logits);
    mb_model_t *model = NULL;
    ring_write_data("ring-data.h5");
    OK(mb_trainer_run(trainer));
    OK(mb_trainer_save(trainer, "a.h5", 1));
    OK(mb_trainer_destroy(trainer));
    OK(mb_predictor_run(predictor));
    OK(mb_predictor_run_file(predictor, "ring-data.h5", "out.h5"));
    OK(mb_predictor_evaluate_file(predictor, "ring-data.h5"));
    ck_assert_int_ne(mb_predictor_run_file(predictor, "nowhere.h5", "out.h5"), MB_OK);
    OK(mb_predictor_destroy(predictor));
    ck_assert_int_ne(mb_model_load("nowhere.h5", &model), MB_OK);
}

START_TEST(openmp_keeps_its_number_of_threads)
{
    omp_set_num_threads(3);
    omp_set_dynamic(0);
    use_everything();
    ck_assert_int_eq(omp_get_max_threads(), 3);
    ck_assert_int_eq(omp_get_dynamic(), 0);
}
END_TEST

START_TEST(the_process_keeps_its_cores)
{
    cpu_set_t before, after;
    ck_assert_int_eq(sched_getaffinity(0, sizeof before, &before), 0);
    use_everything();
    ck_assert_int_eq(sched_getaffinity(0, sizeof after, &after), 0);
    ck_assert(CPU_EQUAL(&before, &after));
}
END_TEST

static void on_signal(int number)
{
    (void)number;
}

START_TEST(signal_handlers_stay)
{
    static const int numbers[] = {SIGUSR1, SIGUSR2, SIGTERM, SIGINT, SIGPIPE, SIGFPE};
    struct sigaction before[6], after;
    for (int i = 0; i < 6; i++) {
        signal(numbers[i], on_signal);
        sigaction(numbers[i], NULL, &before[i]);
    }
    use_everything();
    for (int i = 0; i < 6; i++) {
        sigaction(numbers[i], NULL, &after);
        ck_assert(after.sa_handler == before[i].sa_handler);
        ck_assert_int_eq(after.sa_flags, before[i].sa_flags);
        signal(numbers[i], SIG_DFL);
    }
}
END_TEST

static herr_t print_nothing(hid_t stack, void *user)
{
    (void)stack;
    (void)user;
    return 0;
}

START_TEST(hdf5_keeps_its_error_handler_and_no_object_is_left_open)
{
    H5E_auto2_t before, after;
    void *user, *kept;
    int word = 0;
    H5Eget_auto2(H5E_DEFAULT, &before, &kept);
    H5Eset_auto2(H5E_DEFAULT, print_nothing, &word);
    ssize_t open = H5Fget_obj_count((hid_t)H5F_OBJ_ALL, H5F_OBJ_ALL);
    use_everything();
    H5Eget_auto2(H5E_DEFAULT, &after, &user);
    ck_assert(after == print_nothing && user == &word);
    ck_assert_int_eq(H5Fget_obj_count((hid_t)H5F_OBJ_ALL, H5F_OBJ_ALL), open);
    H5Eset_auto2(H5E_DEFAULT, before, kept);
}
END_TEST

START_TEST(communicators_keep_their_error_handlers)
{
    MPI_Comm comm;
    MPI_Errhandler before, after;
    MPI_Comm_dup(MPI_COMM_SELF, &comm);
    MPI_Comm_set_errhandler(comm, MPI_ERRORS_ARE_FATAL);
    MPI_Comm_get_errhandler(comm, &before);
    mb_context_t *kept = ring_context;
    OK(mb_context_create(comm, &ring_context));
    use_everything();
    OK(mb_context_destroy(ring_context));
    ring_context = kept;
    MPI_Comm_get_errhandler(comm, &after);
    ck_assert(before == after);
    MPI_Errhandler_free(&before);
    MPI_Errhandler_free(&after);
    MPI_Comm_free(&comm);
}
END_TEST

START_TEST(nothing_is_printed)
{
    char text[256] = "";
    fflush(NULL);
    int out = dup(STDOUT_FILENO), err = dup(STDERR_FILENO);
    FILE *file = fopen("printed", "w+");
    dup2(fileno(file), STDOUT_FILENO);
    dup2(fileno(file), STDERR_FILENO);
    use_everything();
    fflush(NULL);
    dup2(out, STDOUT_FILENO);
    dup2(err, STDERR_FILENO);
    close(out);
    close(err);
    rewind(file);
    size_t length = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    ck_assert_msg(length == 0, "printed: %s", text);
}
END_TEST

static void keep_line(void *user, mb_level_t level, const char *line)
{
    ck_assert_int_ge(level, MB_LEVEL_DEBUG);
    snprintf(user, 256, "%s", line);
}

START_TEST(notes_reach_the_programs_own_log)
{
    char line[256] = "";
    OK(mb_model_create_preset(NULL, "cnn", "input=2x2x1 filters=2 dense=2 classes=2 batchnorm=yes",
                              "cnn.h5"));
    mb_trainer_t *trainer;
    OK(mb_context_set_log(ring_context, keep_line, line, MB_LEVEL_INFO));
    OK(mb_trainer_create(ring_context, "cnn.h5", &trainer));
    OK(mb_trainer_set(trainer, "micro-batch", "4"));
    const int64_t shape[4] = {RING_SAMPLES / 2, 2, 2, 1}, half[1] = {RING_SAMPLES / 2};
    OK(mb_trainer_set_array(trainer, "x", MB_FLOAT32, 4, shape, ring_x));
    OK(mb_trainer_set_array(trainer, "y", MB_INT32, 1, half, ring_y));
    OK(mb_trainer_start(trainer));
    ck_assert_ptr_nonnull(strstr(line, "batch normalization"));
    OK(mb_trainer_destroy(trainer));
    OK(mb_context_set_log(ring_context, NULL, NULL, MB_LEVEL_INFO));
}
END_TEST

/* A locale with a decimal comma, made here where the system has its sources; skipped in silence
 * elsewhere. */
START_TEST(a_decimal_comma_is_no_matter)
{
    int64_t step = 0;
    if (system("localedef -i de_DE -f UTF-8 ./comma >/dev/null 2>&1") > 1 ||
        setenv("LOCPATH", ".", 1) != 0 || setlocale(LC_ALL, "comma") == NULL)
        return;
    ck_assert_str_eq(localeconv()->decimal_point, ",");
    mb_trainer_t *trainer = ring_trainer("1");
    OK(mb_trainer_set(trainer, "optimizer", "adam:beta_1=0.8"));
    OK(mb_trainer_run(trainer));
    OK(mb_trainer_save(trainer, "comma.h5", 1));
    OK(mb_trainer_destroy(trainer));
    ck_assert_str_eq(localeconv()->decimal_point, ",");
    setlocale(LC_ALL, "C");
    trainer = ring_trainer("1");
    OK(mb_trainer_set(trainer, "optimizer", "adam:beta_1=0.8"));
    OK(mb_trainer_run(trainer));
    OK(mb_trainer_save(trainer, "point.h5", 1));
    OK(mb_trainer_destroy(trainer));
    ck_assert_uint_eq(ring_digest("comma.h5"), ring_digest("point.h5"));
    OK(mb_checkpoint_get("comma.h5", "step", &step));
    ck_assert_int_eq(step, 6);
}
END_TEST

static void train_to(const char *path)
{
    mb_trainer_t *trainer = ring_trainer("2");
    OK(mb_trainer_set(trainer, "threads", "2"));
    OK(mb_trainer_run(trainer));
    OK(mb_trainer_save(trainer, path, 1));
    OK(mb_trainer_destroy(trainer));
}

static void turn_subnormals_off(void)
{
#if defined(__SSE2__)
    _mm_setcsr(_mm_getcsr() | 0x8040);
#endif
}

static bool has_subnormals(void)
{
    volatile float smallest = FLT_MIN;
    return smallest / 2.0f > 0.0f;
}

START_TEST(rounding_and_subnormals_of_the_program_are_its_own)
{
    train_to("standard.h5");
    turn_subnormals_off();
    fesetround(FE_UPWARD);
    bool before = has_subnormals();
    train_to("own.h5");
    int rounding = fegetround();
    bool after = has_subnormals();
    uint64_t digest = ring_digest("own.h5");
    fesetenv(FE_DFL_ENV);
    ck_assert_int_eq(rounding, FE_UPWARD);
    ck_assert(after == before);
    ck_assert_uint_eq(digest, ring_digest("standard.h5"));
}
END_TEST

START_TEST(the_arrays_are_not_written_to)
{
    static float kept[RING_SAMPLES][2];
    memcpy(kept, ring_x, sizeof kept);
    use_everything();
    ck_assert_mem_eq(kept, ring_x, sizeof kept);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("api host");
    TCase *cases = tcase_create("api host");
    tcase_add_checked_fixture(cases, ring_begin, ring_end);
    tcase_add_test(cases, openmp_keeps_its_number_of_threads);
    tcase_add_test(cases, the_process_keeps_its_cores);
    tcase_add_test(cases, signal_handlers_stay);
    tcase_add_test(cases, hdf5_keeps_its_error_handler_and_no_object_is_left_open);
    tcase_add_test(cases, communicators_keep_their_error_handlers);
    tcase_add_test(cases, nothing_is_printed);
    tcase_add_test(cases, notes_reach_the_programs_own_log);
    tcase_add_test(cases, a_decimal_comma_is_no_matter);
    tcase_add_test(cases, rounding_and_subnormals_of_the_program_are_its_own);
    tcase_add_test(cases, the_arrays_are_not_written_to);
    suite_add_tcase(suite, cases);
    return suite;
}

int main(int argc, char **argv)
{
    return ring_main(argc, argv, make_suite());
}
