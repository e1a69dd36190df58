/* Rows of a table as it is stored, by number. */
#include "device/cpu/cpu.h"

mb_status_t mb_cpu_stored_lookup(mb_exec_t *exec, const mb_stored_lookup_args_t *args)
{
    for (int64_t i = 0; i < args->count && !exec->planning; i++)
        for (int64_t c = 0; c < args->table.columns; c++)
            args->y[i * args->table.columns + c] = mb_matrix_value(&args->table, args->ids[i], c);
    return MB_OK;
}
