/* Factors of dropout compiled for several instruction sets, each in a file of its own. All give the
 * same bits: words of random numbers are whole numbers, and what follows rounds nothing. */
#ifndef MB_DEVICE_CPU_RANDOM_KERNELS_H
#define MB_DEVICE_CPU_RANDOM_KERNELS_H

#include <stdint.h>
#include "base/philox.h"

enum { MB_RANDOM_COUNTERS = 16, MB_RANDOM_RUN = 4 * MB_RANDOM_COUNTERS };

/* factor[0 ... MB_RANDOM_RUN - 1] of the elements that begin at 4 * counter (random.h). */
typedef void (*mb_keep_run_t)(const mb_random_key_t *key, uint32_t sample, uint32_t counter,
                              float rate, float scale, float *factor);

/* NULL: the processor, the build, or oneDNN's limit on instruction sets has no such instructions.
 */
mb_keep_run_t mb_keep_run_avx512(void);
mb_keep_run_t mb_keep_run_avx2(void);

#endif
