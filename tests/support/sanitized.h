/* The sanitizers make a look at a damaged file, or an operation, five times as long: there, long
 * tests try every TEST_EVERY-th case, the plain build all of them. */
#ifndef MB_TESTS_SANITIZED_H
#define MB_TESTS_SANITIZED_H

#ifdef __SANITIZE_ADDRESS__
enum { TEST_EVERY = 5 };
#else
enum { TEST_EVERY = 1 };
#endif

#endif
