/* See float_mode.h. FE_DFL_ENV clears flush-to-zero and denormals-are-zero as well: x86-64's MXCSR
 * (glibc, musl), Arm's FPCR. */
#include "base/float_mode.h"

mb_float_mode_t mb_float_mode_enter(void)
{
    mb_float_mode_t mode;
    fegetenv(&mode.kept);
    fesetenv(FE_DFL_ENV);
    return mode;
}

void mb_float_mode_leave(const mb_float_mode_t *mode)
{
    fesetenv(&mode->kept);
}
