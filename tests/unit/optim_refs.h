/* What the tests of losses, optimizers and schedules share: reference values in HDF5 files of
 * tests/data, and a CPU device. A failure ends the test. */
#ifndef MB_TESTS_UNIT_OPTIM_REFS_H
#define MB_TESTS_UNIT_OPTIM_REFS_H

#include <hdf5.h>
#include <jansson.h>
#include "base/arena.h"
#include "device/device.h"

#define EPS 0x1p-23 /* of float32 */

hid_t refs_open(const char *name); /* a file of tests/data */
/* malloc'ed; COUNT elements. */
float *refs_floats(hid_t at, const char *path, size_t *count);
int32_t *refs_ints(hid_t at, const char *path, size_t *count);
double refs_number(hid_t at, const char *object, const char *attribute);
json_t *refs_json(hid_t at, const char *object, const char *attribute);
int refs_shape(hid_t at, const char *path, int64_t shape[8]); /* its rank */
/* Calls VISIT with the name of each group (or, with DATASETS, dataset) of the file. */
void refs_each(hid_t file, bool datasets, void (*visit)(hid_t file, const char *name));

/* A device and an exec that has been planned for LARGEST bytes of workspace. */
typedef struct {
    mb_device_t *device;
    mb_exec_t exec;
} bench_t;
void bench_open(bench_t *bench);
void bench_close(bench_t *bench);
void *bench_put(bench_t *bench, const void *values, size_t bytes); /* NULL values: zeros */
void bench_get(bench_t *bench, void *values, const void *from, size_t bytes);
/* Runs CALL while planning and then in earnest. */
#define BENCH_RUN(bench, call)                                                                     \
    do {                                                                                           \
        (bench)->exec.planning = true;                                                             \
        ck_assert_msg((call) == MB_OK, "%s", mb_error_get());                                      \
        ck_assert_int_eq(mb_exec_allocate(&(bench)->exec), MB_OK);                                 \
        ck_assert_msg((call) == MB_OK, "%s", mb_error_get());                                      \
        ck_assert_msg(mb_exec_sync(&(bench)->exec) == MB_OK, "%s", mb_error_get());                \
    } while (0)

json_t *json_of(const char *text); /* JSON text with ' for ", a new reference */

#endif
