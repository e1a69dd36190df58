/* See packed.h. */
#include "model/layers/packed.h"

void mb_packed_add(mb_packed_t *packed, const mb_shape_t *shape)
{
    packed->shapes[packed->n++] = *shape;
}

mb_status_t mb_packed_infer(const mb_packed_t *packed, mb_call_t *call)
{
    int64_t total = 0;
    call->output = packed->shapes[0];
    for (int i = 0; i < packed->n && packed->n > 1; i++) {
        int64_t elements;
        MB_TRY(mb_call_product(call, &packed->shapes[i], 0, packed->shapes[i].rank, &elements));
        total = total == MB_OPEN || elements == MB_OPEN ? MB_OPEN : total + elements;
        call->output = (mb_shape_t){1, {total}};
    }
    return MB_OK;
}

int64_t mb_packed_first(const mb_packed_t *packed, int index)
{
    int64_t first = 0;
    for (int i = 0; i < index; i++)
        first += mb_shape_elements(&packed->shapes[i]);
    return first;
}

void mb_packed_memory(mb_packed_t *packed, mb_dtype_t type, int64_t samples, size_t *saved,
                      size_t *carry)
{
    for (int i = 0; i < packed->n && packed->n > 1; i++) {
        int64_t elements = samples * mb_shape_elements(&packed->shapes[i]);
        packed->saved[i] = mb_block_add(saved, elements, type);
        packed->carry[i] = mb_block_add(carry, elements, type);
    }
}

void *mb_packed_output(const mb_run_t *run, const mb_packed_t *packed, int index)
{
    return packed->n == 1 ? run->output : mb_bytes_at(run->saved, packed->saved[index]);
}

const void *mb_packed_gradient(const mb_run_t *run, const mb_packed_t *packed, int index)
{
    return packed->n == 1 ? run->grad_output : mb_bytes_at(run->carry, packed->carry[index]);
}

/* Of one output: its elements, and those of the whole from sample to sample. */
static mb_copy_rows_args_t rows_of(const mb_run_t *run, const mb_packed_t *packed, int index)
{
    return (mb_copy_rows_args_t){.type = mb_run_type(run),
                                 .rows = run->samples,
                                 .columns = mb_shape_elements(&packed->shapes[index])};
}

mb_status_t mb_packed_join(const mb_run_t *run, const mb_packed_t *packed)
{
    for (int i = 0; i < packed->n && packed->n > 1; i++) {
        mb_copy_rows_args_t args = rows_of(run, packed, i);
        size_t first = (size_t)mb_packed_first(packed, i) * mb_dtype_bytes(args.type);
        args.ld_from = args.columns;
        args.ld_to = mb_packed_first(packed, packed->n);
        args.from = mb_packed_output(run, packed, i);
        args.to = mb_bytes_at(run->output, first);
        MB_TRY(mb_run_copy_rows(run->exec, &args));
    }
    return MB_OK;
}

mb_status_t mb_packed_part(const mb_run_t *run, const mb_packed_t *packed)
{
    for (int i = 0; i < packed->n && packed->n > 1; i++) {
        mb_copy_rows_args_t args = rows_of(run, packed, i);
        args.ld_from = mb_packed_first(packed, packed->n);
        args.ld_to = args.columns;
        args.from = mb_elements_at(run->grad_output, args.type, mb_packed_first(packed, i));
        args.to = mb_bytes_at(run->carry, packed->carry[i]);
        MB_TRY(mb_run_copy_rows(run->exec, &args));
    }
    return MB_OK;
}
