/* Convolution with weights as they are stored. */
#include "device/cpu/cpu.h"

mb_status_t mb_cpu_stored_conv(mb_exec_t *exec, const mb_stored_conv_args_t *args)
{
    (void)exec;
    (void)args;
    return mb_cpu_refuse(MB_OP_STORED_CONV, "being written");
}
