/* A predictor on a device that keeps its memory apart: arrays of the host's and of the device's.
 * The device is that of MB_TEST_DEVICE, or the one that does everything later. */
#include "unit/api_ring.h"

#include <stdlib.h>
#include <string.h>

#include "api/predictor_private.h"

static float logits[RING_SAMPLES][2], again[RING_SAMPLES][2];

static mb_predictor_t *predictor_on_device(void)
{
    const char *device = getenv("MB_TEST_DEVICE");
    mb_predictor_t *predictor = NULL;
    OK(mb_predictor_create(ring_context, "ring.h5", &predictor));
    OK(mb_predictor_set(predictor, "device", device == NULL ? "deferred" : device));
    OK(mb_predictor_set(predictor, "threads", "1"));
    OK(mb_predictor_set(predictor, "batch", "16"));
    return predictor;
}

static void predict_on_host(mb_predictor_t *predictor, int count, float (*to)[2])
{
    int64_t shape[2] = {count, 2};
    OK(mb_predictor_set_array(predictor, "x", MB_FLOAT32, 2, shape, ring_x));
    OK(mb_predictor_set_output(predictor, "y", 2 * (int64_t)count, to[0]));
    OK(mb_predictor_run(predictor));
}

static mb_exec_t *exec_of(mb_predictor_t *predictor)
{
    return &predictor->session->engine->exec;
}

static float *on_device(mb_predictor_t *predictor, const void *from, size_t bytes)
{
    void *memory = NULL;
    OK(mb_device_alloc(exec_of(predictor)->device, bytes, &memory));
    OK(mb_exec_copy(exec_of(predictor), memory, from, bytes, MB_COPY_TO_DEVICE));
    OK(mb_exec_sync(exec_of(predictor)));
    return memory;
}

/* COUNT samples of X into Y, which are the device's. */
static void predict_there(mb_predictor_t *predictor, int count, float *x, float *y)
{
    int64_t shape[2] = {count, 2};
    memset(again, 0, sizeof again);
    OK(mb_predictor_set_device_array(predictor, "x", 2, shape, x));
    OK(mb_predictor_set_device_output(predictor, "y", 2 * (int64_t)count, y));
    OK(mb_predictor_run(predictor));
    size_t bytes = (size_t)count * sizeof *again;
    OK(mb_exec_copy(exec_of(predictor), again, y, bytes, MB_COPY_TO_HOST));
    OK(mb_exec_sync(exec_of(predictor)));
    ck_assert_mem_eq(logits, again, bytes);
}

static double copied(const mb_predictor_t *predictor)
{
    double bytes = -1;
    OK(mb_predictor_get(predictor, "copied_bytes", &bytes));
    return bytes;
}

START_TEST(runs_of_any_number_come_to_the_same_bits)
{
    mb_predictor_t *predictor = predictor_on_device();
    predict_on_host(predictor, RING_SAMPLES, logits);
    for (int count = 1; count < 40; count += 7) {
        predict_on_host(predictor, count, again);
        ck_assert_mem_eq(logits, again, (size_t)count * sizeof *again);
    }
    OK(mb_predictor_destroy(predictor));
}
END_TEST

START_TEST(arrays_of_the_device_are_used_where_they_lie)
{
    mb_predictor_t *predictor = predictor_on_device();
    predict_on_host(predictor, RING_SAMPLES, logits);
    for (int time = 0; time < 3; time++) { /* at other addresses each time */
        float *x = on_device(predictor, ring_x, sizeof ring_x);
        float *y = on_device(predictor, again, sizeof again);
        predict_there(predictor, RING_SAMPLES, x, y);
        ck_assert(copied(predictor) == 0);
        predict_there(predictor, 32, x, y);
        ck_assert(copied(predictor) == 0);
        predict_there(predictor, 20, x, y); /* the last batch is not whole */
        ck_assert(copied(predictor) == 2 * 4 * sizeof *ring_x);
        mb_device_free(exec_of(predictor)->device, x);
        mb_device_free(exec_of(predictor)->device, y);
    }
    predict_on_host(predictor, RING_SAMPLES, again);
    ck_assert_mem_eq(logits, again, sizeof logits);
    OK(mb_predictor_destroy(predictor));
}
END_TEST

START_TEST(an_array_that_begins_anywhere_is_copied_on_the_device)
{
    static float shifted[2 * RING_SAMPLES + 1];
    mb_predictor_t *predictor = predictor_on_device();
    predict_on_host(predictor, RING_SAMPLES, logits);
    memcpy(shifted + 1, ring_x, sizeof ring_x);
    float *x = on_device(predictor, shifted, sizeof shifted);
    float *y = on_device(predictor, again, sizeof again);
    predict_there(predictor, RING_SAMPLES, x + 1, y);
    ck_assert(copied(predictor) == sizeof ring_x);
    mb_device_free(exec_of(predictor)->device, x);
    mb_device_free(exec_of(predictor)->device, y);
    OK(mb_predictor_destroy(predictor));
}
END_TEST

int main(int argc, char **argv)
{
    Suite *suite = suite_create("predictors on a device");
    TCase *cases = tcase_create("device");
    tcase_add_checked_fixture(cases, ring_begin, ring_end);
    tcase_add_test(cases, runs_of_any_number_come_to_the_same_bits);
    tcase_add_test(cases, arrays_of_the_device_are_used_where_they_lie);
    tcase_add_test(cases, an_array_that_begins_anywhere_is_copied_on_the_device);
    suite_add_tcase(suite, cases);
    return ring_main(argc, argv, suite);
}
