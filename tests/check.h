/* Check, whose assertions write where they are to a file whenever they hold, so that a crash can
 * say what it came after. Of the millions that look at single elements that is nearly all the time
 * of a test, in system calls. These say something when they do not hold; a crash still names its
 * test. */
#ifndef TESTS_CHECK_H
#define TESTS_CHECK_H

#include_next <check.h>

#undef ck_assert_msg
#define ck_assert_msg(expression, ...)                                                             \
    do {                                                                                           \
        if (!(expression))                                                                         \
            ck_abort_msg(__VA_ARGS__);                                                             \
    } while (0)
#undef ck_assert
#define ck_assert(expression) ck_assert_msg(expression, "Assertion '%s' failed", #expression)

#endif
