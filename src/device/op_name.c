/* Names of operations: of the program, and of each plugin, which links this file too. */
#include "device/ops.h"

const char *mb_op_name(mb_op_t op)
{
    static const char *const names[] = {
#define OP_NAME(NAME, name) #name,
        MB_OP_LIST(OP_NAME)
#undef OP_NAME
    };
    return (size_t)op < MB_OP_COUNT ? names[op] : "unknown operation";
}
