/* A device for tests that has no habits of the CPU's: its memory is closed to the host, and
 * everything put on a stream happens later, on a worker of the stream, in stream order. Operations
 * are the CPU's own, so that results have the same bits.
 *
 *     host:    copy  gemm  record           query: not yet     query: done
 *     worker:           ...  copy  (delay)  gemm  (delay)  record
 *
 * Code fails on it that reads device memory through its pointer, that reuses host memory before its
 * copy is done, that takes a result before its event, or that counts on zeros in new memory (it
 * holds NaN). Delays follow from MB_DEFERRED_SEED (default 1) and are at most MB_DEFERRED_DELAY
 * microseconds (default 100). */
#ifndef MB_TESTS_SUPPORT_DEFERRED_DEVICE_H
#define MB_TESTS_SUPPORT_DEFERRED_DEVICE_H

#include "device/device.h"

/* Named "deferred". Linking test_devices.c makes it known to mb_device_open. */
extern const mb_device_class_t mb_device_deferred;

#endif
