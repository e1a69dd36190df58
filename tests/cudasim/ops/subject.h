/* Which device is compared with the CPU's: the CUDA device over the simulation, whose files are
 * linked into the program (subject.cc), or the real one, as its plugin (tests/gpu/subject.cc). */
#ifndef MB_CUDASIM_OPS_SUBJECT_H
#define MB_CUDASIM_OPS_SUBJECT_H

extern "C" {
#include "device/device.h"
}

/* NULL: it cannot be had; mb_error_get says why. */
const mb_device_class_t *subject_class();

/* The order of threads and streams of what comes next, where it can be chosen. */
void subject_reorder(uint64_t seed);

#endif
