/* Rows of a table as it is stored, by number: decoded as they are read. */
#include "stored_decode.h"

extern "C" mb_status_t mb_cuda_stored_lookup(mb_exec_t *exec, const mb_stored_lookup_args_t *args)
{
    if (args->count < 0 || args->table.columns < 1)
        return mb_cuda_refuse(MB_OP_STORED_LOOKUP, "rows without width");
    if (exec->planning || args->count == 0)
        return MB_OK;
    MB_CUDA_TYPED(MB_OP_STORED_LOOKUP, args->type,
                  return decode_rows(exec, MB_OP_STORED_LOOKUP, args->table, args->count, args->ids,
                                     (T *)args->y));
}
