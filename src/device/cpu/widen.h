/* Numbers of 16 bits to float32 and back, for the instruction sets that the CPU's operations are
 * compiled for; to the bits of base/number.h. */
#ifndef MB_DEVICE_CPU_WIDEN_H
#define MB_DEVICE_CPU_WIDEN_H

#include <stdint.h>
#include "base/number.h"

void mb_cpu_widen(mb_number_t number, const uint16_t *codes, int64_t count, float *values);
void mb_cpu_round(mb_number_t number, const float *values, int64_t count, uint16_t *codes);

#endif
