/* The devices that tests of messages run on: "cpu", whose memory MPI may be given, and "deferred",
 * which keeps its memory apart and does everything later. */
#ifndef TESTS_MPI_DEVICES_H
#define TESTS_MPI_DEVICES_H

#include "device/device.h"

typedef struct {
    mb_device_t *device;
    mb_exec_t exec; /* planning has ended */
} test_device_t;

extern const char *const devices_names[2];

void devices_open(const char *name, test_device_t *out);
void devices_close(test_device_t *device);
void *devices_alloc(test_device_t *device, size_t bytes);
/* In stream order, waiting for the end. */
void devices_write(test_device_t *device, void *to, const void *from, size_t bytes);
void devices_read(test_device_t *device, void *to, const void *from, size_t bytes);

#endif
