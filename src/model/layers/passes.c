/* See passes.h. */
#include "model/layers/passes.h"

typedef struct {
    int n;
    mb_pass_t pass[MB_MAX_SPATIAL];
    size_t at[MB_MAX_SPATIAL]; /* of what pass i gives, unless it is the last */
    size_t bytes;
} plan_t;

static plan_t plan_of(const mb_call_t *call, int64_t samples)
{
    plan_t plan = {0};
    int spatial = call->output.rank - 1;
    int64_t outer = samples, inner = mb_shape_elements(&call->inputs[0]);
    for (int i = 0; i < spatial; i++) {
        int64_t in = call->inputs[0].dim[i], out = call->output.dim[i];
        inner /= in;
        if (in != out) {
            if (plan.n > 0)
                plan.at[plan.n - 1] =
                    mb_block_add(&plan.bytes, outer * in * inner, call->output_type);
            plan.pass[plan.n++] = (mb_pass_t){outer, in, out, inner};
        }
        outer *= out;
    }
    return plan;
}

void mb_passes_memory(const mb_call_t *call, int64_t samples, mb_memory_t *out)
{
    size_t bytes = plan_of(call, samples).bytes;
    out->saved_bytes += bytes;
    out->carry_bytes += bytes;
}

mb_status_t mb_passes_forward(const mb_run_t *run, const mb_pass_work_t *work)
{
    plan_t plan = plan_of(run->call, run->samples);
    const void *x = mb_run_input(run, 0);
    if (plan.n == 0)
        return mb_run_copy(run, mb_shape_elements(&run->call->output), x, run->output);
    for (int i = 0; i < plan.n; i++) {
        void *y = i + 1 < plan.n ? mb_bytes_at(run->saved, plan.at[i]) : run->output;
        MB_TRY(work->forward(run, &plan.pass[i], x, y));
        x = y;
    }
    return MB_OK;
}

mb_status_t mb_passes_backward(const mb_run_t *run, const mb_pass_work_t *work)
{
    plan_t plan = plan_of(run->call, run->samples);
    const void *y = run->output, *dy = run->grad_output;
    if (!mb_run_wants_input(run, 0))
        return MB_OK;
    if (plan.n == 0)
        return mb_run_pass_gradient(run);
    for (int i = plan.n - 1; i >= 0; i--) {
        const void *x = i > 0 ? mb_bytes_at(run->saved, plan.at[i - 1]) : mb_run_input(run, 0);
        void *dx = i > 0 ? mb_bytes_at(run->carry, plan.at[i - 1]) : mb_run_grad_input(run, 0);
        MB_TRY(work->backward(run, &plan.pass[i], x, y, dy, dx));
        y = x;
        dy = dx;
    }
    return MB_OK;
}
