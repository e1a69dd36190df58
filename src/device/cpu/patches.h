/* What positions of a window see, as rows of a matrix. */
#ifndef MB_DEVICE_CPU_PATCHES_H
#define MB_DEVICE_CPU_PATCHES_H

#include "device/cpu/cpu.h"

/* OUT[kh,kw,channels]: of one sample X, what position (oh, ow) sees of CHANNELS from FIRST on; zero
 * in the padding. */
void mb_patch(const mb_window_t *window, const float *x, int64_t oh, int64_t ow, int64_t first,
              int64_t channels, float *out);

/* A window whose sizes do not fit together is refused. */
mb_status_t mb_window_check(mb_op_t op, const mb_window_t *window);

#endif
