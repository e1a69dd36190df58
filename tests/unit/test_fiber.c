/* Fibers: turns, nesting, messages, and thousands at once. */
#include "base/fiber.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STACK = 1 << 16, TURNS = 5, MANY = 5000 };

typedef struct {
    char *text; /* what all have written so far */
    char letter;
    int turns;
} writer_t;

static void write_letters(void *user)
{
    writer_t *writer = user;
    for (int i = 0; i < writer->turns; i++) {
        strncat(writer->text, &writer->letter, 1);
        mb_fiber_yield();
    }
}

static mb_fiber_t *fiber_of(void (*entry)(void *user), void *user)
{
    mb_fiber_t *fiber;
    ck_assert_int_eq(mb_fiber_create(entry, user, STACK, &fiber), MB_OK);
    return fiber;
}

START_TEST(fibers_go_on_where_they_yielded)
{
    char text[64] = "";
    writer_t a = {text, 'a', 3}, b = {text, 'b', 2};
    mb_fiber_t *first = fiber_of(write_letters, &a), *second = fiber_of(write_letters, &b);
    while (!mb_fiber_ended(first) || !mb_fiber_ended(second)) {
        if (!mb_fiber_ended(first))
            mb_fiber_run(first);
        if (!mb_fiber_ended(second))
            mb_fiber_run(second);
    }
    ck_assert_str_eq(text, "ababa");
    ck_assert_ptr_null(mb_fiber_current());
    mb_fiber_destroy(first);
    mb_fiber_destroy(second);
}
END_TEST

static void run_inner(void *user)
{
    writer_t *writer = user;
    mb_fiber_t *self = mb_fiber_current(), *inner = fiber_of(write_letters, writer);
    while (!mb_fiber_ended(inner)) {
        mb_fiber_run(inner);
        ck_assert_ptr_eq(mb_fiber_current(), self);
        strcat(writer->text, "|");
        mb_fiber_yield();
    }
    mb_fiber_destroy(inner);
}

START_TEST(a_fiber_runs_another)
{
    char text[64] = "";
    writer_t writer = {text, 'x', 2};
    mb_fiber_t *outer = fiber_of(run_inner, &writer);
    while (!mb_fiber_ended(outer))
        mb_fiber_run(outer);
    ck_assert_str_eq(text, "x|x||");
    mb_fiber_destroy(outer);
}
END_TEST

static void fail_by_name(void *user)
{
    mb_error_set(MB_ERR_DATA, "failed: %s", (const char *)user);
    mb_fiber_yield();
    ck_assert_str_eq(mb_error_get() + strlen("failed: "), user);
}

START_TEST(each_has_its_own_last_error)
{
    char *names[] = {"one", "two"};
    mb_fiber_t *first = fiber_of(fail_by_name, names[0]),
               *second = fiber_of(fail_by_name, names[1]);
    mb_error_set(MB_ERR_DATA, "the owner's");
    mb_fiber_run(first);
    mb_fiber_run(second);
    ck_assert_str_eq(mb_error_get(), "the owner's");
    mb_fiber_run(first);
    mb_fiber_run(second);
    ck_assert(mb_fiber_ended(first) && mb_fiber_ended(second));
    mb_fiber_destroy(first);
    mb_fiber_destroy(second);
}
END_TEST

static void count(void *user)
{
    char deep[STACK / 4]; /* stays across yields */
    memset(deep, 1, sizeof deep);
    for (int i = 0; i < TURNS; i++) {
        *(int *)user += deep[i * 100];
        mb_fiber_yield();
    }
}

START_TEST(thousands_take_turns)
{
    int *counts = calloc(MANY, sizeof *counts);
    mb_fiber_t **fibers = calloc(MANY, sizeof *fibers);
    for (int i = 0; i < MANY; i++)
        fibers[i] = fiber_of(count, &counts[i]);
    for (int turn = 0; turn <= TURNS; turn++) {
        for (int i = 0; i < MANY; i++)
            mb_fiber_run(fibers[i]);
    }
    for (int i = 0; i < MANY; i++) {
        ck_assert(mb_fiber_ended(fibers[i]));
        ck_assert_int_eq(counts[i], TURNS);
        mb_fiber_destroy(fibers[i]);
    }
    free(fibers);
    free(counts);
}
END_TEST

START_TEST(an_unfinished_one_is_given_up)
{
    char text[64] = "";
    writer_t a = {text, 'a', 3};
    mb_fiber_t *fiber = fiber_of(write_letters, &a);
    mb_fiber_run(fiber);
    mb_fiber_destroy(fiber);
    ck_assert_str_eq(text, "a");
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("fiber");
    TCase *t = tcase_create("fiber");
    tcase_add_test(t, fibers_go_on_where_they_yielded);
    tcase_add_test(t, a_fiber_runs_another);
    tcase_add_test(t, each_has_its_own_last_error);
    tcase_add_test(t, thousands_take_turns);
    tcase_add_test(t, an_unfinished_one_is_given_up);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    SRunner *runner = srunner_create(suite());
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
