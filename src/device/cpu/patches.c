/* What each position of a window sees, as rows of a matrix. */
#include "device/cpu/cpu.h"

mb_status_t mb_cpu_patches(mb_exec_t *exec, const mb_patches_args_t *args)
{
    (void)exec;
    (void)args;
    return mb_cpu_refuse(MB_OP_PATCHES, "being written");
}
