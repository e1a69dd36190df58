/* Learning rate schedules against Keras' own values, and the command line's way of naming them. */
#include "model/optimizers/lr_schedule.h"
#include "unit/optim_refs.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const mb_lr_schedule_t *parse(const json_t *json, mb_arena_t *arena)
{
    const mb_lr_schedule_t *schedule = NULL;
    ck_assert_msg(mb_lr_schedule_parse(json, "file.h5", arena, &schedule) == MB_OK, "%s",
                  mb_error_get());
    return schedule;
}

/* Each value is a chain of at most ten float operations, each within 1.5 units in the last place,
 * on terms no larger than the highest rate; the cosine's argument adds pi units at most. Powers of
 * the step's fraction multiply its relative error by log(rate) * fraction, below 1 where the value
 * is not negligible. */
static void check_values(hid_t file, const char *name)
{
    size_t count;
    size_t n_steps;
    if (strcmp(name, "steps") == 0)
        return;
    mb_arena_t *arena = mb_arena_create();
    int32_t *steps = refs_ints(file, "steps", &n_steps);
    float *wanted = refs_floats(file, name, &count);
    json_t *json = refs_json(file, name, "config");
    const mb_lr_schedule_t *schedule = parse(json, arena);
    double peak = mb_lr_schedule_peak(schedule);
    ck_assert_uint_eq(count, n_steps);
    for (size_t i = 0; i < count; i++) {
        double found = (double)mb_lr_schedule_value(schedule, steps[i]);
        double off = fabs(found - (double)wanted[i]);
        ck_assert_msg(off <= 16 * EPS * peak, "%s at step %d: %.9g, Keras %.9g", name, steps[i],
                      found, (double)wanted[i]);
    }
    json_decref(json);
    free(wanted);
    free(steps);
    mb_arena_destroy(arena);
}

START_TEST(every_schedule_gives_keras_values)
{
    hid_t file = refs_open("schedules.h5");
    refs_each(file, true, check_values);
    H5Fclose(file);
}
END_TEST

static void check_shift(hid_t file, const char *name)
{
    size_t count;
    size_t n_steps;
    double largest = 0.0;
    if (strcmp(name, "steps") == 0)
        return;
    mb_arena_t *arena = mb_arena_create();
    int32_t *steps = refs_ints(file, "steps", &n_steps);
    float *wanted = refs_floats(file, name, &count);
    json_t *json = refs_json(file, name, "config");
    const mb_lr_schedule_t *schedule = parse(json, arena);
    for (size_t i = 0; i < count; i++) {
        double off = fabs((double)mb_lr_schedule_value(schedule, steps[i] + 1) - (double)wanted[i]);
        largest = fmax(largest, off / mb_lr_schedule_peak(schedule));
    }
    ck_assert_msg(largest > 100 * EPS, "%s: one step later is only %g off", name, largest);
    json_decref(json);
    free(wanted);
    free(steps);
    mb_arena_destroy(arena);
}

START_TEST(a_step_counted_too_many_is_seen_in_every_schedule)
{
    hid_t file = refs_open("schedules.h5");
    refs_each(file, true, check_shift);
    H5Fclose(file);
}
END_TEST

static void check_refused(const char *text, mb_status_t status, const char *words)
{
    const mb_lr_schedule_t *schedule = NULL;
    mb_arena_t *arena = mb_arena_create();
    json_t *json = json_of(text);
    ck_assert_int_eq(mb_lr_schedule_parse(json, "file.h5", arena, &schedule), status);
    ck_assert_msg(strstr(mb_error_get(), words) != NULL, "'%s' does not say '%s'", mb_error_get(),
                  words);
    json_decref(json);
    mb_arena_destroy(arena);
}

START_TEST(what_cannot_be_obeyed_is_refused_by_name)
{
    check_refused("{'class_name': 'Mine', 'config': {}}", MB_ERR_UNSUPPORTED, "schedule 'Mine'");
    check_refused("{'class_name': 'ExponentialDecay', 'config': {'initial_learning_rate': 1, "
                  "'decay_steps': 2, 'decay_rate': 0.5}}",
                  MB_ERR_UNSUPPORTED, "decimal point");
    check_refused("{'class_name': 'ExponentialDecay', 'config': {'initial_learning_rate': 1.0, "
                  "'decay_steps': 0, 'decay_rate': 0.5}}",
                  MB_ERR_ARGUMENT, "'decay_steps' is 0");
    check_refused("{'class_name': 'CosineDecay', 'config': {'initial_learning_rate': 1.0, "
                  "'decay_steps': 5, 'beta': 3}}",
                  MB_ERR_UNSUPPORTED, "'beta' is not known");
    check_refused("{'class_name': 'CosineDecayRestarts', 'config': {'initial_learning_rate': 1.0, "
                  "'first_decay_steps': 5, 't_mul': 0.5}}",
                  MB_ERR_ARGUMENT, "'t_mul' is 0.5");
    check_refused("{'class_name': 'PiecewiseConstantDecay', 'config': {'boundaries': [5, 3], "
                  "'values': [1.0, 0.5, 0.1]}}",
                  MB_ERR_ARGUMENT, "integers that rise");
    check_refused("{'class_name': 'PiecewiseConstantDecay', 'config': {'boundaries': [5], "
                  "'values': [1, 2]}}",
                  MB_ERR_ARGUMENT, "decimal point");
    check_refused("{'class_name': 'PiecewiseConstantDecay', 'config': {'boundaries': [], "
                  "'values': [1.0]}}",
                  MB_ERR_FORMAT, "found 0 and 1");
    check_refused("{'class_name': 'PiecewiseConstantDecay', 'config': {'boundaries': [5]}}",
                  MB_ERR_FORMAT, "found 1 and 0");
}
END_TEST

/* The same as this Keras schedule. */
static void check_text(const char *text, double rate, const char *keras)
{
    json_t *found = NULL;
    json_t *wanted = json_of(keras);
    ck_assert_msg(mb_lr_schedule_from_text(text, rate, &found) == MB_OK, "%s", mb_error_get());
    char *shown = json_dumps(json_object_get(found, "config"), JSON_COMPACT);
    ck_assert_msg(json_equal(json_object_get(found, "config"), json_object_get(wanted, "config")),
                  "%s: %s", text, shown);
    ck_assert(
        json_equal(json_object_get(found, "class_name"), json_object_get(wanted, "class_name")));
    mb_arena_t *arena = mb_arena_create();
    parse(found, arena);
    mb_arena_destroy(arena);
    free(shown);
    json_decref(wanted);
    json_decref(found);
}

START_TEST(a_text_names_a_keras_schedule)
{
    check_text("cosine:steps=1000,warmup=100", 0.5,
               "{'class_name': 'CosineDecay', 'config': {'initial_learning_rate': 0.0, "
               "'decay_steps': 900, 'warmup_steps': 100, 'warmup_target': 0.5, "
               "'name': 'CosineDecay'}}");
    check_text("cosine:steps=10,alpha=0.1", 0.5,
               "{'class_name': 'CosineDecay', 'config': {'initial_learning_rate': 0.5, "
               "'decay_steps': 10, 'alpha': 0.1, 'name': 'CosineDecay'}}");
    check_text("exponential:steps=7,rate=0.5,staircase=yes", 1.0,
               "{'class_name': 'ExponentialDecay', 'config': {'initial_learning_rate': 1.0, "
               "'decay_steps': 7, 'decay_rate': 0.5, 'staircase': true, "
               "'name': 'ExponentialDecay'}}");
    check_text("polynomial:steps=7,end=0,power=2", 1.0,
               "{'class_name': 'PolynomialDecay', 'config': {'initial_learning_rate': 1.0, "
               "'decay_steps': 7, 'end_learning_rate': 0.0, 'power': 2.0, "
               "'name': 'PolynomialDecay'}}");
    check_text("piecewise:at=10/20,values=1/.5/0.25", 1.0,
               "{'class_name': 'PiecewiseConstantDecay', 'config': {'boundaries': [10, 20], "
               "'values': [1.0, 0.5, 0.25], 'name': 'PiecewiseConstant'}}");
    check_text("piecewise:at=10,values=1/2", 1.0,
               "{'class_name': 'PiecewiseConstantDecay', 'config': {'boundaries': [10], "
               "'values': [1.0, 2.0], 'name': 'PiecewiseConstant'}}");
    check_text("restarts:steps=5,t_mul=2", 1.0,
               "{'class_name': 'CosineDecayRestarts', 'config': {'initial_learning_rate': 1.0, "
               "'first_decay_steps': 5, 't_mul': 2.0, 'name': 'SGDRDecay'}}");
    check_text("inverse:steps=5,rate=1", 1.0,
               "{'class_name': 'InverseTimeDecay', 'config': {'initial_learning_rate': 1.0, "
               "'decay_steps': 5, 'decay_rate': 1.0, 'name': 'InverseTimeDecay'}}");
}
END_TEST

static void check_text_refused(const char *text, const char *words)
{
    json_t *found = NULL;
    ck_assert_int_eq(mb_lr_schedule_from_text(text, 1.0, &found), MB_ERR_ARGUMENT);
    ck_assert_msg(strstr(mb_error_get(), words) != NULL, "'%s' does not say '%s'", mb_error_get(),
                  words);
}

START_TEST(a_wrong_text_is_refused_with_what_there_is)
{
    check_text_refused("cosin:steps=5", "the nearest one is 'cosine'; doc/keras.md lists");
    check_text_refused("cosine:step=5", "cosine has no key 'step'; it has steps, warmup, alpha");
    check_text_refused("cosine:steps=5,warmup=5", "more of them than of warm-up");
    check_text_refused("cosine:steps", "key=value");
    check_text_refused("cosine:steps=5,steps=6", "stands twice");
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("lr_schedule");
    TCase *t = tcase_create("lr_schedule");
    tcase_add_test(t, every_schedule_gives_keras_values);
    tcase_add_test(t, a_step_counted_too_many_is_seen_in_every_schedule);
    tcase_add_test(t, what_cannot_be_obeyed_is_refused_by_name);
    tcase_add_test(t, a_text_names_a_keras_schedule);
    tcase_add_test(t, a_wrong_text_is_refused_with_what_there_is);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    SRunner *r = srunner_create(suite());
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? 0 : 1;
}
