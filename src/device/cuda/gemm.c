/* Matrix products by cuBLASLt (gemm_plan.h), with what stands behind the sums in their launch where
 * the plan has it, and otherwise by further kernels of the same operation. */
#include "device/cuda/gemm_plan.h"

#define SCRATCH_ALIGNMENT 256

/* dbias that is added to goes through scratch, since the launch only writes it. */
static size_t scratch_bytes(const mb_gemm_shape_t *shape)
{
    size_t bytes = (size_t)shape->n * sizeof(float);
    return shape->dbias && shape->accumulate
               ? (bytes + SCRATCH_ALIGNMENT - 1) / SCRATCH_ALIGNMENT * SCRATCH_ALIGNMENT
               : 0;
}

static mb_status_t take_workspace(mb_exec_t *exec, const mb_gemm_plan_t *plan, void **scratch,
                                  void **out)
{
    size_t first = scratch_bytes(&plan->shape);
    MB_TRY(mb_cuda_workspace(exec, MB_OP_GEMM, first + plan->workspace_bytes, scratch));
    *out = *scratch == NULL ? NULL : (char *)*scratch + first;
    return MB_OK;
}

static void *target_of(const mb_gemm_args_t *args)
{
    return args->pre != NULL ? args->pre : args->c;
}

/* ---- behind the launch */

static mb_status_t activate(mb_exec_t *exec, const mb_gemm_args_t *args)
{
    mb_act_forward_args_t act = {.type = args->wide ? MB_F32 : args->type,
                                 .count = args->m * args->n,
                                 .act = args->act,
                                 .p0 = args->p0,
                                 .p1 = args->p1,
                                 .p2 = args->p2,
                                 .x = target_of(args),
                                 .y = args->c};
    return args->act == MB_ACT_LINEAR ? MB_OK : mb_cuda_act_forward(exec, &act);
}

static mb_status_t sum_columns(mb_exec_t *exec, const mb_gemm_args_t *args)
{
    mb_column_sum_args_t sum = {.type = args->type,
                                .rows = args->k,
                                .columns = args->n,
                                .accumulate = args->accumulate,
                                .a = args->b,
                                .sum = args->dbias};
    return mb_cuda_column_sum(exec, &sum);
}

static mb_status_t follow(mb_exec_t *exec, const mb_gemm_args_t *args)
{
    MB_TRY(activate(exec, args));
    return args->dbias == NULL ? MB_OK : sum_columns(exec, args);
}

static mb_status_t add_scratch(mb_exec_t *exec, const mb_gemm_args_t *args, const float *scratch)
{
    mb_add_args_t add = {
        .type = MB_F32, .count = args->n, .a = args->dbias, .b = scratch, .y = args->dbias};
    return mb_cuda_add(exec, &add);
}

/* ---- planning */

static mb_status_t plan_one(mb_exec_t *exec, const mb_gemm_args_t *args)
{
    mb_gemm_shape_t shape = mb_gemm_shape(args);
    mb_gemm_plan_t *plan;
    void *scratch, *workspace;
    MB_TRY(mb_gemm_plan_make(mb_cuda_of(exec), &shape, &plan));
    MB_TRY(take_workspace(exec, plan, &scratch, &workspace));
    return follow(exec, args);
}

/* Pointers may be given where planning had none in sight, so every combination is planned. */
static mb_status_t plan_all(mb_exec_t *exec, const mb_gemm_args_t *args)
{
    float given = 0.0f;
    mb_gemm_args_t each = *args;
    for (int bias = 0; bias <= !args->accumulate; bias++) {
        for (int pre = 0; pre <= (args->act != MB_ACT_LINEAR); pre++) {
            each.bias = bias ? &given : NULL;
            each.pre = pre ? &given : NULL;
            each.dbias = NULL;
            MB_TRY(plan_one(exec, &each));
        }
    }
    each.bias = each.pre = NULL;
    each.dbias = &given;
    return mb_gemm_sums_columns(args) ? plan_one(exec, &each) : MB_OK;
}

/* ---- running */

static mb_status_t point(const mb_gemm_plan_t *plan, const mb_gemm_args_t *args, float *scratch)
{
    const void *bias = args->bias;
    if (plan->fused && args->dbias != NULL)
        bias = args->accumulate ? scratch : args->dbias;
    if (bias != NULL)
        MB_TRY(MB_GEMM_SET(plan->product, CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias));
    return plan->fused && args->pre != NULL
               ? MB_GEMM_SET(plan->product, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, args->pre)
               : MB_OK;
}

static mb_status_t multiply(mb_exec_t *exec, const mb_gemm_plan_t *plan, const mb_gemm_args_t *args,
                            void *workspace)
{
    const float one = 1.0f, zero = 0.0f;
    void *c = plan->fused ? args->c : target_of(args);
    return mb_gemm_check(cublasLtMatmul(mb_cuda_of(exec)->blas, plan->product, &one, args->b,
                                        plan->b, args->a, plan->a, args->accumulate ? &one : &zero,
                                        c, plan->c, c, plan->c, &plan->algorithm, workspace,
                                        plan->workspace_bytes, mb_cuda_stream(exec)),
                         "a product");
}

static mb_status_t run_product(mb_exec_t *exec, const mb_gemm_plan_t *plan,
                               const mb_gemm_args_t *args)
{
    void *scratch, *workspace;
    MB_TRY(take_workspace(exec, plan, &scratch, &workspace));
    MB_TRY(point(plan, args, scratch));
    MB_TRY(multiply(exec, plan, args, workspace));
    if (!plan->fused)
        return follow(exec, args);
    return args->dbias != NULL && args->accumulate ? add_scratch(exec, args, scratch) : MB_OK;
}

/* Without anything to sum C is the bias, or nothing. */
static mb_status_t fill_c(mb_exec_t *exec, const mb_gemm_args_t *args)
{
    mb_dtype_t type = args->wide ? MB_F32 : args->type;
    int64_t bytes = (int64_t)mb_dtype_bytes(type);
    char *c = target_of(args);
    mb_copy_rows_args_t bias = {.type = type,
                                .rows = args->m,
                                .columns = args->n,
                                .ld_to = args->ldc,
                                .from = args->bias,
                                .to = c};
    if (args->bias != NULL)
        return mb_cuda_copy_rows(exec, &bias);
    for (int64_t i = 0; i < args->m && !args->accumulate; i++) {
        mb_zero_args_t zero = {.bytes = args->n * bytes, .y = c + i * args->ldc * bytes};
        MB_TRY(mb_cuda_zero(exec, &zero));
    }
    return MB_OK;
}

static mb_status_t check(const mb_gemm_args_t *args)
{
    if (args->m < 0 || args->n < 0 || args->k < 0)
        return mb_cuda_refuse(MB_OP_GEMM, "negative size");
    if (args->accumulate && args->bias != NULL)
        return mb_cuda_refuse(MB_OP_GEMM, "accumulate with bias");
    if ((unsigned)args->act >= MB_ACT_COUNT)
        return mb_cuda_refuse(MB_OP_GEMM, "unknown function");
    if (args->act != MB_ACT_LINEAR && (args->accumulate || args->ldc != args->n))
        return mb_cuda_refuse(MB_OP_GEMM, "an activation of what is accumulated, or of rows apart");
    if (args->act == MB_ACT_LINEAR && args->pre != NULL)
        return mb_cuda_refuse(MB_OP_GEMM, "the input of no activation");
    if (args->dbias != NULL && (!mb_gemm_sums_columns(args) || args->bias != NULL))
        return mb_cuda_refuse(MB_OP_GEMM, "the gradient of a bias of this shape");
    return MB_OK;
}

mb_status_t mb_cuda_gemm(mb_exec_t *exec, const mb_gemm_args_t *args)
{
    MB_TRY(check(args));
    if (args->m == 0 || args->n == 0)
        return MB_OK;
    if (args->k == 0) {
        MB_TRY(exec->planning ? MB_OK : fill_c(exec, args));
        return follow(exec, args);
    }
    if (exec->planning)
        return plan_all(exec, args);
    mb_gemm_shape_t shape = mb_gemm_shape(args);
    const mb_gemm_plan_t *plan = mb_gemm_plan_find(mb_cuda_of(exec)->plans, &shape);
    if (plan == NULL)
        return mb_cuda_refuse(MB_OP_GEMM, "a shape that was not planned");
    return run_product(exec, plan, args);
}
