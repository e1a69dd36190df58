/* Random numbers for a run of elements of one sample. */
#ifndef MB_DEVICE_CPU_RANDOM_H
#define MB_DEVICE_CPU_RANDOM_H

#include <stdint.h>
#include "device/cpu/random_kernels.h"

/* The best for this processor. */
mb_keep_run_t mb_cpu_keep_run(void);
/* factor[i] = uniform number of element first + i >= rate ? scale : 0; the same numbers as
 * mb_random_word's. */
void mb_cpu_keep_factors(mb_keep_run_t keep, const mb_random_key_t *key, uint32_t sample,
                         int64_t first, int64_t count, float rate, float scale, float *factor);
/* values[i] = mean + deviation times the normal number of element first + i. */
void mb_cpu_normals(const mb_random_key_t *key, uint32_t sample, int64_t first, int64_t count,
                    float mean, float deviation, float *values);

#endif
