/* See recurrent.h. Blocks are few enough samples that some threads find work in one micro-batch,
 * and many enough that U, which every step of a block reads whole, comes from the cache no slower
 * than it is used. The last block multiplies rows that belong to no sample along. */
#include "device/cpu/recurrent.h"

#define LEAST_BLOCK 4
#define MOST_BLOCK 32
#define MANY 4 /* blocks */

static int64_t block_of(int64_t samples)
{
    int64_t block = mb_min_i64(MOST_BLOCK, mb_ceil_div(samples, MANY));
    return mb_max_i64(1, mb_min_i64(samples, mb_max_i64(block, LEAST_BLOCK)));
}

static mb_status_t check(const mb_rnn_work_t *work)
{
    const mb_rnn_t *r = work->rnn;
    MB_CPU_CHECK(work->op, (unsigned)r->cell <= MB_CELL_GRU_BEFORE, "unknown cell");
    MB_CPU_CHECK(work->op, r->samples >= 0 && r->steps >= 1 && r->units >= 1, "no steps or units");
    MB_CPU_CHECK(work->op, r->ldy >= r->units, "leading dimension of y below its row");
    MB_CPU_CHECK(work->op,
                 (unsigned)r->act.act < MB_ACT_COUNT && (unsigned)r->gate.act < MB_ACT_COUNT,
                 "unknown function");
    return MB_OK;
}

int64_t mb_rnn_reserve(mb_rnn_work_t *work, int64_t count)
{
    int64_t offset = work->floats;
    work->floats += (count + 15) / 16 * 16;
    return offset;
}

mb_status_t mb_rnn_divide(mb_rnn_work_t *work)
{
    const mb_rnn_t *r = work->rnn;
    MB_TRY(check(work));
    work->block = block_of(r->samples);
    work->n_parts = (int)mb_rnn_parts(r);
    for (int i = 0; i < work->n_parts; i++) {
        mb_rnn_part_t *part = &work->parts[i];
        part->first = mb_rnn_part_first(r, i);
        part->gates = mb_rnn_part_gates(r, i);
        int64_t whole = work->block * part->gates * r->units, one = work->block * r->units;
        part->a = mb_rnn_reserve(work, work->transposed ? whole : one);
        part->c = mb_rnn_reserve(work, work->transposed ? one : whole);
    }
    return MB_OK;
}

static mb_dnnl_matmul_t shape_of(const mb_rnn_work_t *work, const mb_rnn_part_t *part)
{
    int64_t units = work->rnn->units, wide = part->gates * units;
    return (mb_dnnl_matmul_t){.m = work->block,
                              .n = work->transposed ? units : wide,
                              .k = work->transposed ? wide : units,
                              .lda = work->transposed ? wide : units,
                              .ldb = mb_rnn_gates(work->rnn->cell) * units,
                              .ldc = work->transposed ? units : wide,
                              .transpose_b = work->transposed};
}

mb_status_t mb_rnn_prepare(mb_exec_t *exec, mb_rnn_work_t *work)
{
    size_t shared = 0, scratch = 0;
    for (int i = 0; i < work->n_parts; i++) {
        mb_rnn_part_t *part = &work->parts[i];
        mb_dnnl_matmul_t shape = shape_of(work, part);
        MB_TRY(mb_dnnl_packed_matmul(mb_cpu_of(exec)->dnnl, &shape, &part->product));
        part->packed = shared;
        shared += mb_round_64(part->product.packed_bytes);
        size_t multiply = mb_dnnl_scratch_bytes(part->product.kernel);
        size_t pack = mb_dnnl_scratch_bytes(part->product.repack);
        scratch = multiply > scratch ? multiply : scratch;
        scratch = pack > scratch ? pack : scratch;
    }
    size_t arrays = sizeof(float) * (size_t)work->floats;
    return mb_cpu_workspace(exec, work->op, shared, arrays + scratch, &work->workspace);
}

static void *scratch_of(const mb_rnn_work_t *work, int thread)
{
    return (float *)mb_workspace_thread(&work->workspace, thread) + work->floats;
}

mb_rnn_tile_t mb_rnn_tile(const mb_rnn_work_t *work, int64_t tile, int thread)
{
    return (mb_rnn_tile_t){work, thread, mb_span(tile, work->block, work->rnn->samples),
                           mb_workspace_thread(&work->workspace, thread)};
}

void mb_rnn_multiply(const mb_rnn_tile_t *tile, int index)
{
    const mb_rnn_work_t *work = tile->work;
    const mb_rnn_part_t *part = &work->parts[index];
    const void *arguments[] = {tile->arrays + part->a, work->workspace.shared + part->packed,
                               tile->arrays + part->c, NULL};
    mb_dnnl_run(part->product.kernel, tile->thread, arguments, scratch_of(work, tile->thread));
}

mb_status_t mb_rnn_run(mb_exec_t *exec, mb_rnn_work_t *work, mb_tile_fn_t compute)
{
    for (int i = 0; i < work->n_parts; i++) {
        const mb_rnn_part_t *part = &work->parts[i];
        const void *arguments[] = {work->u + part->first * work->rnn->units,
                                   work->workspace.shared + part->packed};
        mb_dnnl_run(part->product.repack, 0, arguments, scratch_of(work, 0));
    }
    mb_cpu_tiles(exec, mb_ceil_div(work->rnn->samples, work->block), compute, work);
    return mb_dnnl_take_status(mb_cpu_of(exec)->dnnl);
}
