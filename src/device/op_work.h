/* What an operation has to do, from its arguments: multiplications and additions of products, and
 * bytes that must come from memory and go there if each operand moves once. 0: not known. For
 * rates; nothing is decided by it. */
#ifndef MB_DEVICE_OP_WORK_H
#define MB_DEVICE_OP_WORK_H

#include "device/ops.h"

typedef struct {
    double flops, bytes;
} mb_work_t;

/* VISIBLE: the host may read device memory, where tables of tensors stand. */
mb_work_t mb_op_work(mb_op_t op, const void *args, bool visible);

#endif
