/* The operands of an operation whose elements are of the operation's own type (ops.h: what is
 * declared void *): where their pointers stand among the arguments, how many elements they have,
 * and whether they are read, written or both. For what treats all operations alike: a device that
 * computes narrow types through float32, and tests. */
#ifndef MB_DEVICE_OPERANDS_H
#define MB_DEVICE_OPERANDS_H

#include "device/ops.h"

#define MB_MOST_OPERANDS 12

typedef enum { MB_OPERAND_READ = 1, MB_OPERAND_WRITTEN = 2, MB_OPERAND_BOTH = 3 } mb_operand_use_t;

typedef struct {
    size_t at; /* offset in the arguments */
    mb_operand_use_t use;
    int64_t count;
} mb_operand_t;

/* float32 of operations without a type. */
mb_dtype_t mb_op_type(mb_op_t op, const void *args);
void mb_op_set_type(mb_op_t op, void *args, mb_dtype_t type);
/* Whether its result depends on its random key: it drops elements out, or adds noise. */
bool mb_op_draws(mb_op_t op, const void *args);
/* Their number. Rows of copies are of any type and moved as bytes: none. */
int mb_op_operands(mb_op_t op, const void *args, mb_operand_t operands[MB_MOST_OPERANDS]);

#endif
