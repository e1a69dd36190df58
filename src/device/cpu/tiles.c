/* Tiles over the device's threads, and the workspace they work in. Which thread computes a tile
 * varies from run to run; what a tile computes does not. */
#include "device/cpu/cpu.h"

void mb_cpu_tiles(mb_exec_t *exec, int64_t tiles, mb_tile_fn_t compute, void *context)
{
    mb_cpu_t *cpu = mb_cpu_of(exec);
    mb_team_job_t job = {tiles, compute, context, cpu->progress, cpu->progress_user};
    mb_team_run(cpu->team, &job);
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
