/* Operations on bfloat16 and float16 through float32. */
#ifndef MB_DEVICE_CPU_NARROW_H
#define MB_DEVICE_CPU_NARROW_H

#include "device/cpu/cpu.h"

/* Whether OP itself works on what ARGS are of: products of bfloat16 that are summed into float32,
 * where the processor has them. */
bool mb_cpu_takes_narrow(const mb_exec_t *exec, mb_op_t op, const void *args);
/* Widens what OP reads into the workspace, runs it there by RUN with the type float32, and rounds
 * what it writes. MB_ERR_UNSUPPORTED where the processor does not multiply the type and the device
 * was not opened to emulate it. */
mb_status_t mb_cpu_narrow(mb_exec_t *exec, mb_op_t op, const void *args, size_t args_bytes,
                          mb_status_t (*run)(mb_exec_t *exec, const void *args));

#endif
