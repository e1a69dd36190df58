/* Callbacks decide as Keras' do on random metrics. tests/data/callbacks.txt is what
 * tests/tools/keras_callbacks.py prints. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "train/callbacks.h"

enum { LONGEST_LINE = 4096, LEAST_CASES = 30 };

static FILE *open_cases(void)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/callbacks.txt", getenv("MB_TEST_DATA"));
    FILE *file = fopen(path, "r");
    ck_assert_msg(file != NULL, "%s", path);
    return file;
}

typedef struct {
    mb_watch_t watch;
    mb_monitor_t monitor;
    mb_callback_state_t state;
    double rate;
} watcher_t;

static void check_decision(watcher_t *w, int64_t epoch, double value, const char *expected)
{
    bool keep = false, stop = false;
    char found[32] = "-";
    switch (w->watch) {
    case MB_WATCH_STOP:
        mb_stop_decide(&w->monitor, value, epoch, &w->state, &keep, &stop);
        snprintf(found, sizeof found, "%s", stop ? "s" : keep ? "k" : "-");
        break;
    case MB_WATCH_PLATEAU:
        mb_plateau_decide(&w->monitor, value, &w->rate, &w->state);
        snprintf(found, sizeof found, "%.9g", w->rate);
        break;
    case MB_WATCH_BEST:
        snprintf(found, sizeof found, "%s",
                 mb_best_decide(&w->monitor, value, &w->state) ? "b" : "-");
        break;
    }
    ck_assert_str_eq(found, expected);
}

/* ONE_BY_ONE: each decision by a watcher that knows only what a checkpoint keeps. */
static void check_line(char *line, mb_watch_t watch, bool one_by_one)
{
    char *rest = NULL;
    watcher_t w = {.watch = watch, .rate = (double)0.1f};
    strtok_r(line, " \n", &rest);
    char *options = strtok_r(NULL, " \n", &rest);
    ck_assert_int_eq(mb_monitor_parse(watch, "watch", options, &w.monitor), MB_OK);
    int64_t epoch = 0;
    for (char *entry; (entry = strtok_r(NULL, " \n", &rest)) != NULL; epoch++) {
        char *decision = strchr(entry, '=');
        *decision++ = '\0';
        if (one_by_one) {
            watcher_t next = {.watch = watch, .monitor = w.monitor, .state = w.state};
            next.rate = w.rate;
            w = next;
        }
        check_decision(&w, epoch, strtod(entry, NULL), decision);
    }
    ck_assert_int_gt(epoch, 0);
}

static void check_cases(const char *name, mb_watch_t watch)
{
    static char line[LONGEST_LINE];
    int cases = 0;
    FILE *file = open_cases();
    while (fgets(line, sizeof line, file) != NULL) {
        size_t length = strlen(name);
        if (strncmp(line, name, length) != 0 || line[length] != ' ')
            continue;
        check_line(line, watch, cases % 2 == 1);
        cases++;
    }
    fclose(file);
    ck_assert_int_ge(cases, LEAST_CASES);
}

START_TEST(early_stops_are_those_of_keras)
{
    check_cases("stop", MB_WATCH_STOP);
}
END_TEST

START_TEST(rates_are_lowered_where_keras_lowers_them)
{
    check_cases("plateau", MB_WATCH_PLATEAU);
}
END_TEST

START_TEST(the_best_is_what_keras_saves)
{
    check_cases("best", MB_WATCH_BEST);
}
END_TEST

START_TEST(what_is_not_said_is_as_in_keras)
{
    mb_monitor_t m;
    ck_assert_int_eq(mb_monitor_parse(MB_WATCH_STOP, "k", "val_loss", &m), MB_OK);
    ck_assert(m.on && !m.rises && m.patience == 0 && m.min_delta == 0 && !m.restore_best);
    ck_assert_int_eq(mb_monitor_parse(MB_WATCH_PLATEAU, "k", "val_accuracy", &m), MB_OK);
    ck_assert(m.rises && m.patience == 10 && m.cooldown == 0 && m.min_lr == 0);
    ck_assert_double_eq(m.min_delta, 1e-4);
    ck_assert_double_eq(m.factor, 0.1);
    ck_assert_int_eq(mb_monitor_parse(MB_WATCH_BEST, "k", NULL, &m), MB_OK);
    ck_assert(!m.on);
}
END_TEST

START_TEST(what_cannot_be_obeyed_is_refused_by_name)
{
    static const struct {
        mb_watch_t watch;
        const char *text, *message;
    } cases[] = {{MB_WATCH_STOP, "", "wants a metric first"},
                 {MB_WATCH_STOP, ":patience=3", "wants a metric first"},
                 {MB_WATCH_STOP, "val_loss:patience=-1", "patience=-1"},
                 {MB_WATCH_STOP, "val_loss:patience", "patience takes a value"},
                 {MB_WATCH_STOP, "val_loss:restore-best=yes", "restore-best takes no value"},
                 {MB_WATCH_STOP, "val_loss:factor=0.5", "no 'factor'; there are mode, min-delta"},
                 {MB_WATCH_PLATEAU, "val_loss:factor=1", "factor=1 is not below 1"},
                 {MB_WATCH_PLATEAU, "val_loss:min-lr=x", "min-lr=x"},
                 {MB_WATCH_BEST, "val_loss:mode=most", "mode=most"},
                 {MB_WATCH_BEST, "val_novelty", "'val_novelty' is better does not follow"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        mb_monitor_t m;
        ck_assert_int_eq(mb_monitor_parse(cases[i].watch, "watch", cases[i].text, &m),
                         MB_ERR_ARGUMENT);
        ck_assert_msg(strstr(mb_error_get(), cases[i].message) != NULL, "%s", mb_error_get());
        ck_assert_ptr_nonnull(strstr(mb_error_get(), "--watch"));
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *suite = suite_create("callbacks");
    TCase *cases = tcase_create("callbacks");
    tcase_add_test(cases, early_stops_are_those_of_keras);
    tcase_add_test(cases, rates_are_lowered_where_keras_lowers_them);
    tcase_add_test(cases, the_best_is_what_keras_saves);
    tcase_add_test(cases, what_is_not_said_is_as_in_keras);
    tcase_add_test(cases, what_cannot_be_obeyed_is_refused_by_name);
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
