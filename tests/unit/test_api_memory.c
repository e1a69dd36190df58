/* A predictor keeps its model in memory, and works on arrays where they lie. */
#define _GNU_SOURCE /* MAP_ANONYMOUS */
#include "unit/api_ring.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static float logits[RING_SAMPLES][2], again[RING_SAMPLES][2];

static mb_predictor_t *predictor_of(const char *model, const char *batch)
{
    mb_predictor_t *predictor = NULL;
    OK(mb_predictor_create(ring_context, model, &predictor));
    OK(mb_predictor_set(predictor, "threads", "1"));
    OK(mb_predictor_set(predictor, "batch", batch));
    return predictor;
}

/* COUNT samples from FIRST on. */
static void predict(mb_predictor_t *predictor, int first, int count, float (*to)[2])
{
    int64_t shape[2] = {count, 2};
    OK(mb_predictor_set_array(predictor, "x", MB_FLOAT32, 2, shape, ring_x[first]));
    OK(mb_predictor_set_output(predictor, "y", 2 * (int64_t)count, to[first]));
    OK(mb_predictor_run(predictor));
}

static double copied(const mb_predictor_t *predictor)
{
    double bytes = -1;
    OK(mb_predictor_get(predictor, "copied_bytes", &bytes));
    return bytes;
}

START_TEST(a_model_is_read_once_and_anew_by_a_start)
{
    mb_predictor_t *predictor = predictor_of("ring.h5", "16");
    predict(predictor, 0, RING_SAMPLES, logits);
    ck_assert_int_eq(unlink("ring.h5"), 0);
    predict(predictor, 0, RING_SAMPLES, again);
    ck_assert_mem_eq(logits, again, sizeof logits);
    REFUSED(mb_predictor_start(predictor), MB_ERR_IO, "ring.h5");
    OK(mb_model_create_preset(ring_context, "mlp", "input=2 hidden=8 classes=2 seed=4", "ring.h5"));
    OK(mb_predictor_start(predictor));
    predict(predictor, 0, RING_SAMPLES, again);
    ck_assert_mem_ne(logits, again, sizeof logits);
    OK(mb_predictor_destroy(predictor));
}
END_TEST

START_TEST(runs_of_any_number_come_to_the_same_bits)
{
    static const int counts[] = {1, 5, 16, 17, 33, 24};
    mb_predictor_t *predictor = predictor_of("ring.h5", "16");
    predict(predictor, 0, RING_SAMPLES, logits);
    for (int i = 0, first = 0; i < 6; first += counts[i], i++)
        predict(predictor, first, counts[i], again);
    ck_assert_mem_eq(logits, again, sizeof logits);
    OK(mb_predictor_destroy(predictor));
}
END_TEST

START_TEST(float32_arrays_of_whole_batches_are_not_copied)
{
    mb_predictor_t *predictor = predictor_of("ring.h5", "16");
    predict(predictor, 0, 96, logits);
    ck_assert(copied(predictor) == 0);
    predict(predictor, 1, 16, again); /* at another address */
    ck_assert(copied(predictor) == 0);
    ck_assert_mem_eq(logits[1], again[1], 16 * sizeof *again);
    predict(predictor, 0, 20, again);
    ck_assert(copied(predictor) > 0);
    OK(mb_predictor_set(predictor, "batch", "1"));
    predict(predictor, 3, 1, again);
    ck_assert(copied(predictor) == 0);
    OK(mb_predictor_destroy(predictor));
}
END_TEST

START_TEST(other_types_are_converted)
{
    static double wide[RING_SAMPLES][2];
    mb_predictor_t *predictor = predictor_of("ring.h5", "16");
    predict(predictor, 0, RING_SAMPLES, logits);
    for (int i = 0; i < RING_SAMPLES; i++) {
        wide[i][0] = (double)ring_x[i][0];
        wide[i][1] = (double)ring_x[i][1];
    }
    OK(mb_predictor_set_array(predictor, "x", MB_FLOAT64, 2, ring_x_shape, wide));
    OK(mb_predictor_set_output(predictor, "y", 2 * (int64_t)RING_SAMPLES, again[0]));
    OK(mb_predictor_run(predictor));
    ck_assert_mem_eq(logits, again, sizeof logits);
    ck_assert(copied(predictor) >= (double)(RING_SAMPLES * 2 * sizeof(float)));
    OK(mb_predictor_destroy(predictor));
}
END_TEST

START_TEST(an_input_may_be_memory_that_cannot_be_written)
{
    size_t bytes = sizeof ring_x;
    float *x = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mb_predictor_t *predictor = predictor_of("ring.h5", "16");
    predict(predictor, 0, RING_SAMPLES, logits);
    memcpy(x, ring_x, bytes);
    ck_assert_int_eq(mprotect(x, bytes, PROT_READ), 0);
    OK(mb_predictor_set_array(predictor, "x", MB_FLOAT32, 2, ring_x_shape, x));
    OK(mb_predictor_set_output(predictor, "y", 2 * (int64_t)RING_SAMPLES, again[0]));
    OK(mb_predictor_run(predictor));
    ck_assert_mem_eq(logits, again, sizeof logits);
    OK(mb_predictor_destroy(predictor));
    munmap(x, bytes);
}
END_TEST

START_TEST(a_sample_that_is_no_number_is_refused_and_the_next_run_is_fine)
{
    int64_t shape[2] = {20, 2};
    float bad[20][2];
    mb_predictor_t *predictor = predictor_of("ring.h5", "16");
    predict(predictor, 0, 20, logits);
    memcpy(bad, ring_x, sizeof bad);
    bad[3][1] = NAN;
    OK(mb_predictor_set_array(predictor, "x", MB_FLOAT32, 2, shape, bad));
    OK(mb_predictor_set_output(predictor, "y", 40, again[0]));
    REFUSED(mb_predictor_run(predictor), MB_ERR_DATA, "sample 3");
    bad[3][1] = 0;
    bad[19][0] = INFINITY; /* in the batch that is not whole */
    REFUSED(mb_predictor_run(predictor), MB_ERR_DATA, "sample 19");
    predict(predictor, 0, 20, again);
    ck_assert_mem_eq(logits, again, 20 * sizeof *again);
    OK(mb_predictor_destroy(predictor));
}
END_TEST

START_TEST(an_array_of_another_shape_is_refused_and_the_right_one_starts_anew)
{
    int64_t shape[2] = {RING_SAMPLES / 2, 4};
    mb_predictor_t *predictor = predictor_of("ring.h5", "16");
    predict(predictor, 0, RING_SAMPLES, logits);
    OK(mb_predictor_set_array(predictor, "x", MB_FLOAT32, 2, shape, ring_x));
    REFUSED(mb_predictor_run(predictor), MB_ERR_SHAPE, "4");
    predict(predictor, 0, RING_SAMPLES, again);
    ck_assert_mem_eq(logits, again, sizeof logits);
    OK(mb_predictor_destroy(predictor));
}
END_TEST

START_TEST(the_memory_of_the_cpu_as_a_device_is_the_hosts)
{
    mb_predictor_t *predictor = predictor_of("ring.h5", "16");
    predict(predictor, 0, RING_SAMPLES, logits);
    OK(mb_predictor_set_device_array(predictor, "x", 2, ring_x_shape, ring_x[0]));
    OK(mb_predictor_set_device_output(predictor, "y", 2 * (int64_t)RING_SAMPLES, again[0]));
    OK(mb_predictor_run(predictor));
    ck_assert_mem_eq(logits, again, sizeof logits);
    REFUSED(mb_predictor_evaluate(predictor), MB_ERR_UNSUPPORTED, "mb_predictor_set_array");
    OK(mb_predictor_destroy(predictor));
}
END_TEST

static void train(mb_trainer_t *trainer, int steps)
{
    for (int i = 0; i < steps; i++)
        OK(mb_trainer_step(trainer, NULL, NULL));
}

/* As from a file that the trainer has saved. */
static void expect_weights_of(mb_predictor_t *predictor, mb_trainer_t *trainer, const char *batch)
{
    OK(mb_trainer_save(trainer, "trained.h5", 1));
    mb_predictor_t *other = predictor_of("trained.h5", batch);
    predict(other, 0, RING_SAMPLES, again);
    OK(mb_predictor_destroy(other));
    predict(predictor, 0, RING_SAMPLES, logits);
    ck_assert_mem_eq(logits, again, sizeof logits);
}

START_TEST(a_trainers_weights_come_from_memory_to_memory)
{
    static float at_first[RING_SAMPLES][2];
    mb_trainer_t *trainer = ring_trainer("3");
    mb_predictor_t *predictor = predictor_of("ring.h5", "16");
    predict(predictor, 0, RING_SAMPLES, at_first);
    train(trainer, 5);
    OK(mb_predictor_load_trainer(predictor, trainer));
    expect_weights_of(predictor, trainer, "16");
    ck_assert_mem_ne(logits, at_first, sizeof logits);
    train(trainer, 5);
    OK(mb_predictor_load_trainer(predictor, trainer));
    expect_weights_of(predictor, trainer, "16");
    OK(mb_trainer_destroy(trainer));
    predict(predictor, 0, RING_SAMPLES, again);
    ck_assert_mem_eq(logits, again, sizeof logits);
    OK(mb_predictor_start(predictor));
    predict(predictor, 0, RING_SAMPLES, again);
    ck_assert_mem_eq(at_first, again, sizeof again);
    OK(mb_predictor_destroy(predictor));
}
END_TEST

START_TEST(weights_that_are_in_no_file_are_not_lost_in_silence)
{
    mb_trainer_t *trainer = ring_trainer("1");
    mb_predictor_t *predictor = predictor_of("ring.h5", "16");
    predict(predictor, 0, RING_SAMPLES, logits);
    REFUSED(mb_predictor_load_trainer(predictor, trainer), MB_ERR_ARGUMENT, "not started");
    train(trainer, 1);
    OK(mb_predictor_load_trainer(predictor, trainer));
    REFUSED(mb_predictor_evaluate_file(predictor, "data.h5"), MB_ERR_UNSUPPORTED,
            "mb_trainer_save");
    REFUSED(mb_predictor_run_file(predictor, "data.h5", "out.h5"), MB_ERR_UNSUPPORTED,
            "mb_trainer_save");
    OK(mb_predictor_set(predictor, "batch", "8"));
    REFUSED(mb_predictor_run(predictor), MB_ERR_ARGUMENT, "mb_predictor_load_trainer again");
    OK(mb_predictor_load_trainer(predictor, trainer));
    expect_weights_of(predictor, trainer, "8");
    OK(mb_predictor_destroy(predictor));
    OK(mb_trainer_destroy(trainer));
}
END_TEST

START_TEST(another_models_trainer_is_refused_by_name)
{
    mb_trainer_t *trainer = ring_trainer("1");
    OK(mb_trainer_start(trainer));
    OK(mb_model_create_preset(ring_context, "mlp", "input=2 hidden=9 classes=2", "other.h5"));
    mb_predictor_t *predictor = predictor_of("other.h5", "16");
    predict(predictor, 0, RING_SAMPLES, logits);
    REFUSED(mb_predictor_load_trainer(predictor, trainer), MB_ERR_SHAPE, "other.h5");
    OK(mb_predictor_destroy(predictor));
    OK(mb_trainer_destroy(trainer));
}
END_TEST

START_TEST(a_setting_that_is_no_yes_or_no_and_one_too_late_are_refused)
{
    mb_predictor_t *predictor = predictor_of("ring.h5", "16");
    REFUSED(mb_predictor_set(predictor, "independent", "maybe"), MB_ERR_ARGUMENT, "yes or no");
    REFUSED(mb_predictor_start(predictor), MB_ERR_ARGUMENT, "mb_predictor_set_array");
    predict(predictor, 0, RING_SAMPLES, logits);
    REFUSED(mb_predictor_set(predictor, "independent", "yes"), MB_ERR_ARGUMENT, "before");
    OK(mb_predictor_destroy(predictor));
}
END_TEST

int main(int argc, char **argv)
{
    Suite *suite = suite_create("predictors in memory");
    TCase *cases = tcase_create("memory");
    tcase_add_checked_fixture(cases, ring_begin, ring_end);
    tcase_add_test(cases, a_model_is_read_once_and_anew_by_a_start);
    tcase_add_test(cases, runs_of_any_number_come_to_the_same_bits);
    tcase_add_test(cases, float32_arrays_of_whole_batches_are_not_copied);
    tcase_add_test(cases, other_types_are_converted);
    tcase_add_test(cases, an_input_may_be_memory_that_cannot_be_written);
    tcase_add_test(cases, a_sample_that_is_no_number_is_refused_and_the_next_run_is_fine);
    tcase_add_test(cases, an_array_of_another_shape_is_refused_and_the_right_one_starts_anew);
    tcase_add_test(cases, the_memory_of_the_cpu_as_a_device_is_the_hosts);
    tcase_add_test(cases, a_trainers_weights_come_from_memory_to_memory);
    tcase_add_test(cases, weights_that_are_in_no_file_are_not_lost_in_silence);
    tcase_add_test(cases, another_models_trainer_is_refused_by_name);
    tcase_add_test(cases, a_setting_that_is_no_yes_or_no_and_one_too_late_are_refused);
    suite_add_tcase(suite, cases);
    return ring_main(argc, argv, suite);
}
