/* Operations of single elements on bfloat16 and float16. */
#ifndef MB_DEVICE_CPU_NARROW_ELEMENTS_H
#define MB_DEVICE_CPU_NARROW_ELEMENTS_H

#include "device/cpu/cpu.h"

/* Whether OP, with ARGS, is one of them; all others go through narrow.c's float32 arrays. */
bool mb_cpu_has_narrow_elements(mb_op_t op, const void *args);
mb_status_t mb_cpu_narrow_elements(mb_exec_t *exec, mb_op_t op, const void *args);

#endif
