/* Tiles over threads, and the workspace they work in.
 *
 * Which thread computes a tile varies from run to run; what a tile computes does not. oneDNN asks
 * OpenMP how many threads it may use: inside a parallel region the answer is one, and where the
 * region has a single thread the answer is made to be one, so that a tile runs the same code for
 * any number of threads. The host's setting is put back. */
#include "device/cpu/cpu.h"
#include <omp.h>

static void run_alone(mb_cpu_t *cpu, int64_t tiles, mb_tile_fn_t compute, void *context)
{
    int threads = omp_get_max_threads();
    if (threads != 1)
        omp_set_num_threads(1);
    for (int64_t tile = 0; tile < tiles; tile++) {
        compute(context, tile, 0);
        if (cpu->progress != NULL)
            cpu->progress(cpu->progress_user);
    }
    if (threads != 1)
        omp_set_num_threads(threads);
}

static void run_together(mb_cpu_t *cpu, int64_t tiles, mb_tile_fn_t compute, void *context)
{
    int threads = (int)mb_min_i64(cpu->threads, tiles);
#pragma omp parallel num_threads(threads)
    {
        int thread = omp_get_thread_num();
#pragma omp for schedule(dynamic, 1)
        for (int64_t tile = 0; tile < tiles; tile++) {
            compute(context, tile, thread);
            if (thread == 0 && cpu->progress != NULL)
                cpu->progress(cpu->progress_user);
        }
    }
}

void mb_cpu_tiles(mb_exec_t *exec, int64_t tiles, mb_tile_fn_t compute, void *context)
{
    mb_cpu_t *cpu = mb_cpu_of(exec);
    if (tiles <= 0)
        return;
    if (tiles == 1 || cpu->threads == 1 || omp_in_parallel())
        run_alone(cpu, tiles, compute, context);
    else
        run_together(cpu, tiles, compute, context);
}

mb_status_t mb_cpu_workspace(mb_exec_t *exec, mb_op_t op, size_t shared_bytes, size_t thread_bytes,
                             mb_workspace_t *out)
{
    *out = (mb_workspace_t){0};
    size_t shared = mb_round_64(shared_bytes);
    out->thread_bytes = mb_round_64(thread_bytes);
    size_t needed = shared + out->thread_bytes * (size_t)mb_cpu_of(exec)->threads;
    if (exec->planning) {
        if (needed > exec->workspace_needed)
            exec->workspace_needed = needed;
        return MB_OK;
    }
    if (needed > exec->workspace_bytes)
        return mb_error_set(MB_ERR_INTERNAL,
                            "%s needs a workspace of %zu bytes, the stream has %zu: the operation "
                            "was not planned",
                            mb_op_name(op), needed, exec->workspace_bytes);
    out->shared = exec->workspace;
    out->threads = out->shared == NULL ? NULL : out->shared + shared;
    return MB_OK;
}

mb_status_t mb_cpu_refuse(mb_op_t op, const char *what)
{
    return mb_error_set(MB_ERR_INTERNAL, "operation %s: %s", mb_op_name(op), what);
}
