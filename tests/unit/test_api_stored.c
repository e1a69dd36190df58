/* What a program's trainer stores: smaller weights, moments in 8 bits, weights trained rounded. */
#include "unit/api_ring.h"

static mb_trainer_t *trainer_with(const char *key, const char *value)
{
    mb_trainer_t *trainer = ring_trainer("1");
    OK(mb_trainer_set(trainer, key, value));
    return trainer;
}

static mb_trainer_t *trainer_of(const char *path)
{
    mb_trainer_t *trainer;
    OK(mb_trainer_create(ring_context, path, &trainer));
    OK(mb_trainer_set_array(trainer, "x", MB_FLOAT32, 2, ring_x_shape, ring_x));
    OK(mb_trainer_set_array(trainer, "y", MB_INT32, 1, ring_y_shape, ring_y));
    return trainer;
}

START_TEST(an_export_is_rounded_and_a_saved_state_exact)
{
    mb_trainer_t *plain = ring_trainer("1"), *small = trainer_with("checkpoint-dtype", "int8");
    OK(mb_trainer_run(plain));
    OK(mb_trainer_save(plain, "plain.h5", 1));
    OK(mb_trainer_save(plain, "float.h5", 0));
    OK(mb_trainer_run(small));
    OK(mb_trainer_save(small, "state.h5", 1));
    OK(mb_trainer_save(small, "export.h5", 0));
    OK(mb_trainer_destroy(plain));
    OK(mb_trainer_destroy(small));
    ck_assert_uint_eq(ring_digest("state.h5"), ring_digest("plain.h5"));
    ck_assert_uint_ne(ring_digest("export.h5"), ring_digest("float.h5"));
}
END_TEST

START_TEST(an_export_predicts_and_is_not_trained_on)
{
    static float logits[RING_SAMPLES][2];
    mb_trainer_t *trainer = trainer_with("checkpoint-dtype", "int4");
    OK(mb_trainer_run(trainer));
    OK(mb_trainer_save(trainer, "export.h5", 0));
    OK(mb_trainer_destroy(trainer));
    mb_predictor_t *predictor = ring_predictor("export.h5", logits);
    OK(mb_predictor_run(predictor));
    OK(mb_predictor_destroy(predictor));
    trainer = trainer_of("export.h5");
    REFUSED(mb_trainer_start(trainer), MB_ERR_ARGUMENT, "quantized (int4)");
    OK(mb_trainer_destroy(trainer));
}
END_TEST

START_TEST(a_state_with_moments_in_8_bits_is_gone_on_with)
{
    double loss = 0, near = 0;
    static const char *const moments[2] = {"fp32", "int8"};
    static const char *const files[2] = {"exact.h5", "small.h5"};
    double *const losses[2] = {&loss, &near};
    for (int i = 0; i < 2; i++) {
        mb_trainer_t *trainer = trainer_with("moments", moments[i]);
        OK(mb_trainer_run(trainer));
        OK(mb_trainer_save(trainer, files[i], 1));
        OK(mb_trainer_destroy(trainer));
        trainer = trainer_of(files[i]);
        OK(mb_trainer_step(trainer, losses[i], NULL));
        OK(mb_trainer_step(trainer, losses[i], NULL));
        OK(mb_trainer_destroy(trainer));
    }
    ck_assert(loss != near);
    /* one step was made with moments that are off by up to 1/254 of their block's largest */
    ck_assert_double_le(near, loss * 1.02);
    ck_assert_double_ge(near, loss * 0.98);
}
END_TEST

START_TEST(weights_trained_rounded_differ_and_go_on_to_the_same_bits)
{
    mb_trainer_t *plain = ring_trainer("1"), *first = trainer_with("qat", "int4");
    OK(mb_trainer_run(plain));
    OK(mb_trainer_save(plain, "plain.h5", 1));
    OK(mb_trainer_destroy(plain));
    OK(mb_trainer_set(first, "run", "rounded"));
    OK(mb_trainer_run(first));
    OK(mb_trainer_save(first, "first.h5", 1));
    OK(mb_trainer_destroy(first));
    ck_assert_uint_ne(ring_digest("plain.h5"), ring_digest("first.h5"));
    mb_trainer_t *parts = ring_trainer("2"), *whole = ring_trainer("2");
    OK(mb_trainer_set(parts, "run", "rounded"));
    OK(mb_trainer_set(whole, "qat", "int4"));
    OK(mb_trainer_run(parts));
    OK(mb_trainer_run(whole));
    OK(mb_trainer_save(parts, "parts.h5", 1));
    OK(mb_trainer_save(whole, "whole.h5", 1));
    OK(mb_trainer_destroy(parts));
    OK(mb_trainer_destroy(whole));
    ck_assert_uint_eq(ring_digest("parts.h5"), ring_digest("whole.h5"));
}
END_TEST

START_TEST(settings_that_training_cannot_hold_to_are_refused_at_the_start)
{
    static const char *const settings[][3] = {{"checkpoint-dtype", "int9", "int8"},
                                              {"moments", "fp16", "fp32 or int8"},
                                              {"qat", "e3m4", "not to e3m4"},
                                              {"activations", "float", "for predictions"}};
    const char *const *setting = settings[_i];
    mb_trainer_t *trainer = trainer_with(setting[0], setting[1]);
    REFUSED(mb_trainer_start(trainer), MB_ERR_ARGUMENT, setting[2]);
    OK(mb_trainer_destroy(trainer));
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("api, stored");
    TCase *cases = tcase_create("stored");
    tcase_add_checked_fixture(cases, ring_begin, ring_end);
    tcase_add_test(cases, an_export_is_rounded_and_a_saved_state_exact);
    tcase_add_test(cases, an_export_predicts_and_is_not_trained_on);
    tcase_add_test(cases, a_state_with_moments_in_8_bits_is_gone_on_with);
    tcase_add_test(cases, weights_trained_rounded_differ_and_go_on_to_the_same_bits);
    tcase_add_loop_test(cases, settings_that_training_cannot_hold_to_are_refused_at_the_start, 0,
                        4);
    suite_add_tcase(suite, cases);
    return suite;
}

int main(int argc, char **argv)
{
    return ring_main(argc, argv, make_suite());
}
