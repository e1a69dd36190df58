/* What the device's operations reach on shapes of common models, beside what the machine allows:
 * products at the best rate of one, bytes at the best of what only moves numbers, whichever takes
 * longer. */
#ifndef MB_ENGINE_KERNELS_H
#define MB_ENGINE_KERNELS_H

#include "engine/machine.h"
#include "pipeline/hardware.h"

#define MB_MOST_KERNELS 24

typedef struct {
    const char *name, *shape;
    double seconds, allowed; /* of a call: taken, and by the limits; 0: there is none to compare */
    double flops, bytes;
    bool narrow; /* products of a type for which float32's rate is no limit */
} mb_kernel_time_t;

/* Collective: all ranks compute at once; each gets its own times, *N of them. What the device has
 * not, and types that it does not compute in, are left out. LIMITS: mb_rates_measure's. */
mb_status_t mb_kernels_measure(mb_machine_t *machine, mb_hardware_t *limits,
                               mb_kernel_time_t out[MB_MOST_KERNELS], int *n);
/* Collective: 42 MB summed over all ranks. *THERE is false, and the same on all, where they are not
 * several, on CPUs of one node. LIMITS: with the best rate of memory. */
mb_status_t mb_kernel_sum(mb_machine_t *machine, const mb_hardware_t *limits, mb_kernel_time_t *out,
                          bool *there);

#endif
