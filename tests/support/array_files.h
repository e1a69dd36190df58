/* NumPy arrays and archives made by the tests themselves, byte by byte. */
#ifndef MB_TESTS_ARRAY_FILES_H
#define MB_TESTS_ARRAY_FILES_H

#include <stdbool.h>
#include <stddef.h>

/* HEAD is the dictionary of an NPY header, "{'descr': '<f4', ...}". Returns the bytes, malloc'ed.
 */
unsigned char *test_npy_make(const char *head, const void *data, size_t bytes, size_t *size);
void test_npy_write(const char *path, const char *head, const void *data, size_t bytes);

typedef struct {
    const char *name; /* "x.npy" */
    const void *data; /* the member's bytes */
    size_t bytes;
    bool deflated;
} test_member_t;

/* An archive as numpy.savez writes it: local headers that tell sizes of 64 bits. LARGE: the
 * directory does too, as in archives of over 4 GiB. */
void test_npz_write(const char *path, const test_member_t *members, int n, bool large);

#endif
