/* What a rank takes and sends, counted where it happens: a device named "counted", which is the CPU
 * with an eye on its memory, and MPI_Isend. */
#ifndef TESTS_MPI_COUNTED_H
#define TESTS_MPI_COUNTED_H

#include <mpi.h>
#include "device/device.h"

extern const mb_device_class_t *counted_device(void);
/* Bytes of device memory that are taken now. */
int64_t counted_memory(void);

/* Starts counting what is sent on COMM: by the plan's messages, and by reductions. */
void counted_start(MPI_Comm comm);
void counted_sent(int64_t *messages, int64_t *reductions);

#endif
