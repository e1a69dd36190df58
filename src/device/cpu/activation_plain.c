/* Activation functions with what every processor of the kind has. */
#include <math.h>
#include "device/cpu/activation_kernels.h"
#include "device/cpu/simd.h"

#if defined(__FP_FAST_FMAF)
#define MB_V_FMA
#endif
#include "device/cpu/activation_body.h"

const mb_activation_kernels_t *mb_activation_kernels_plain(void)
{
    return functions;
}
