/* A matrix rounded to what a format would store. */
#include "device/cpu/cpu.h"

mb_status_t mb_cpu_fake_quantize(mb_exec_t *exec, const mb_fake_quantize_args_t *args)
{
    (void)exec;
    (void)args;
    return mb_cpu_refuse(MB_OP_FAKE_QUANTIZE, "being written");
}
