/* Matrix products by cuBLASLt. Row-major C = A B is column-major C^T = B^T A^T, so the operands
 * trade places and nothing is transposed.
 *
 * What cuBLASLt needs for a shape is made at plan time and kept: descriptors, layouts, and the
 * first algorithm that its heuristic offers within the workspace's limit. The choice is never made
 * again, so the bits of a shape repeat from step to step and, on one kind of device and library,
 * from run to run. (Split-K algorithms that add with atomics are not asked for: the reduction
 * scheme is fixed to those that combine partial sums in the workspace.) */
#include "device/cuda/internal.h"

#include <stdlib.h>
#include <string.h>

#define WORKSPACE_LIMIT                                                                            \
    ((size_t)32 << 20)     /* what NVIDIA advises for Hopper; smaller ones need less */
#define LEAST_ALIGNMENT 16 /* of operands: places in a slot are multiples of 64 */

typedef struct {
    mb_dtype_t type;
    bool wide, transpose_a, transpose_b, accumulate, bias;
    int64_t m, n, k, lda, ldb, ldc;
} shape_t;

typedef struct plan {
    struct plan *next;
    shape_t shape;
    cublasLtMatmulDesc_t product;
    cublasLtMatrixLayout_t a, b, c;
    cublasLtMatmulAlgo_t algorithm;
    size_t workspace_bytes;
} plan_t;

enum { BUCKETS = 256 };

struct mb_gemm_plans {
    plan_t *bucket[BUCKETS];
};

static mb_status_t check(cublasStatus_t code, const char *what)
{
    if (code == CUBLAS_STATUS_SUCCESS)
        return MB_OK;
    return mb_error_set(code == CUBLAS_STATUS_ALLOC_FAILED ? MB_ERR_MEMORY : MB_ERR_DEVICE,
                        "cuBLASLt, %s: %s", what, cublasLtGetStatusString(code));
}

mb_status_t mb_gemm_plans_create(mb_cuda_t *cuda)
{
    cuda->plans = calloc(1, sizeof *cuda->plans);
    return cuda->plans != NULL ? MB_OK : mb_error_memory("products", sizeof *cuda->plans);
}

static void destroy_plan(plan_t *plan)
{
    if (plan->product != NULL)
        cublasLtMatmulDescDestroy(plan->product);
    if (plan->a != NULL)
        cublasLtMatrixLayoutDestroy(plan->a);
    if (plan->b != NULL)
        cublasLtMatrixLayoutDestroy(plan->b);
    if (plan->c != NULL)
        cublasLtMatrixLayoutDestroy(plan->c);
    free(plan);
}

void mb_gemm_plans_destroy(mb_cuda_t *cuda)
{
    for (int i = 0; cuda->plans != NULL && i < BUCKETS; i++) {
        for (plan_t *next, *plan = cuda->plans->bucket[i]; plan != NULL; plan = next) {
            next = plan->next;
            destroy_plan(plan);
        }
    }
    free(cuda->plans);
}

/* Field by field: a struct's padding has no value. */
static bool same(const shape_t *a, const shape_t *b)
{
    return a->type == b->type && a->wide == b->wide && a->transpose_a == b->transpose_a &&
           a->transpose_b == b->transpose_b && a->accumulate == b->accumulate &&
           a->bias == b->bias && a->m == b->m && a->n == b->n && a->k == b->k && a->lda == b->lda &&
           a->ldb == b->ldb && a->ldc == b->ldc;
}

static plan_t **bucket_of(mb_gemm_plans_t *plans, const shape_t *shape)
{
    uint64_t hash = (uint64_t)shape->m;
    hash = hash * 0x9E3779B97F4A7C15u + (uint64_t)shape->n;
    hash = hash * 0x9E3779B97F4A7C15u + (uint64_t)shape->k;
    hash = hash * 0x9E3779B97F4A7C15u + (uint64_t)(shape->transpose_a * 2 + shape->transpose_b);
    return &plans->bucket[hash >> 56];
}

static plan_t *find(mb_gemm_plans_t *plans, const shape_t *shape)
{
    plan_t *plan = *bucket_of(plans, shape);
    while (plan != NULL && !same(&plan->shape, shape))
        plan = plan->next;
    return plan;
}

static shape_t shape_of(const mb_gemm_args_t *args)
{
    return (shape_t){.type = args->type,
                     .wide = args->wide,
                     .transpose_a = args->transpose_a,
                     .transpose_b = args->transpose_b,
                     .accumulate = args->accumulate,
                     .bias = args->bias != NULL,
                     .m = args->m,
                     .n = args->n,
                     .k = args->k,
                     .lda = args->lda,
                     .ldb = args->ldb,
                     .ldc = args->ldc};
}

static cudaDataType_t data_type(mb_dtype_t type)
{
    return type == MB_BF16 ? CUDA_R_16BF : type == MB_F16 ? CUDA_R_16F : CUDA_R_32F;
}

/* ROWS x COLUMNS row-major, seen column-major. */
static mb_status_t make_layout(mb_dtype_t type, int64_t rows, int64_t columns, int64_t ld,
                               cublasLtMatrixLayout_t *out)
{
    return check(
        cublasLtMatrixLayoutCreate(out, data_type(type), (uint64_t)columns, (uint64_t)rows, ld),
        "describing a matrix");
}

#define SET(product, attribute, value)                                                             \
    check(cublasLtMatmulDescSetAttribute((product), (attribute), &(value), sizeof(value)),         \
          "describing a product")

static mb_status_t make_product(const mb_cuda_t *cuda, const shape_t *shape,
                                cublasLtMatmulDesc_t *out)
{
    bool tf32 = shape->type == MB_F32 && cuda->tf32;
    cublasOperation_t first = shape->transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N;
    cublasOperation_t second = shape->transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N;
    cublasLtEpilogue_t epilogue = shape->bias ? CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_DEFAULT;
    cudaDataType_t bias = data_type(shape->wide ? MB_F32 : shape->type);
    MB_TRY(check(cublasLtMatmulDescCreate(
                     out, tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F, CUDA_R_32F),
                 "describing a product"));
    MB_TRY(SET(*out, CUBLASLT_MATMUL_DESC_TRANSA, first));
    MB_TRY(SET(*out, CUBLASLT_MATMUL_DESC_TRANSB, second));
    MB_TRY(SET(*out, CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue));
    return shape->bias ? SET(*out, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, bias) : MB_OK;
}

static mb_status_t limit(cublasLtMatmulPreference_t preference)
{
    static const cublasLtMatmulPreferenceAttributes_t alignments[] = {
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES};
    size_t most = WORKSPACE_LIMIT;
    uint32_t least = LEAST_ALIGNMENT;
    uint32_t reductions = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
    MB_TRY(check(cublasLtMatmulPreferenceSetAttribute(
                     preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &most, sizeof most),
                 "limiting the workspace"));
    MB_TRY(check(cublasLtMatmulPreferenceSetAttribute(preference,
                                                      CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
                                                      &reductions, sizeof reductions),
                 "fixing the order of sums"));
    for (int i = 0; i < 4; i++)
        MB_TRY(check(
            cublasLtMatmulPreferenceSetAttribute(preference, alignments[i], &least, sizeof least),
            "stating alignments"));
    return MB_OK;
}

static mb_status_t ask(const mb_cuda_t *cuda, plan_t *plan, cublasLtMatmulPreference_t preference)
{
    cublasLtMatmulHeuristicResult_t result;
    int found = 0;
    MB_TRY(limit(preference));
    cublasStatus_t code =
        cublasLtMatmulAlgoGetHeuristic(cuda->blas, plan->product, plan->b, plan->a, plan->c,
                                       plan->c, preference, 1, &result, &found);
    if (code != CUBLAS_STATUS_SUCCESS || found == 0)
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "cuBLASLt has no algorithm for a product of %lld x %lld x %lld: %s",
                            (long long)plan->shape.m, (long long)plan->shape.n,
                            (long long)plan->shape.k, cublasLtGetStatusString(code));
    plan->algorithm = result.algo;
    plan->workspace_bytes = result.workspaceSize;
    return MB_OK;
}

static mb_status_t choose_algorithm(const mb_cuda_t *cuda, plan_t *plan)
{
    cublasLtMatmulPreference_t preference;
    MB_TRY(check(cublasLtMatmulPreferenceCreate(&preference), "choosing an algorithm"));
    mb_status_t status = ask(cuda, plan, preference);
    cublasLtMatmulPreferenceDestroy(preference);
    return status;
}

static mb_status_t fill_plan(const mb_cuda_t *cuda, const shape_t *shape, plan_t *plan)
{
    mb_dtype_t c_type = shape->wide ? MB_F32 : shape->type;
    plan->shape = *shape;
    MB_TRY(make_product(cuda, shape, &plan->product));
    MB_TRY(make_layout(shape->type, shape->transpose_a ? shape->k : shape->m,
                       shape->transpose_a ? shape->m : shape->k, shape->lda, &plan->a));
    MB_TRY(make_layout(shape->type, shape->transpose_b ? shape->n : shape->k,
                       shape->transpose_b ? shape->k : shape->n, shape->ldb, &plan->b));
    MB_TRY(make_layout(c_type, shape->m, shape->n, shape->ldc, &plan->c));
    return choose_algorithm(cuda, plan);
}

static mb_status_t make_plan(mb_cuda_t *cuda, const shape_t *shape, plan_t **out)
{
    plan_t *plan = calloc(1, sizeof *plan);
    if (plan == NULL)
        return mb_error_memory("a product", sizeof *plan);
    mb_status_t status = fill_plan(cuda, shape, plan);
    if (status != MB_OK) {
        destroy_plan(plan);
        return status;
    }
    plan_t **bucket = bucket_of(cuda->plans, shape);
    plan->next = *bucket;
    *out = *bucket = plan;
    return MB_OK;
}

/* The bias may be given where planning had none in sight, so both are planned. */
static mb_status_t plan_product(mb_exec_t *exec, shape_t shape)
{
    mb_cuda_t *cuda = mb_cuda_of(exec);
    void *none;
    for (int bias = 0; bias <= !shape.accumulate; bias++) {
        shape.bias = bias != 0;
        plan_t *plan = find(cuda->plans, &shape);
        if (plan == NULL)
            MB_TRY(make_plan(cuda, &shape, &plan));
        MB_TRY(mb_cuda_workspace(exec, MB_OP_GEMM, plan->workspace_bytes, &none));
    }
    return MB_OK;
}

static mb_status_t run_product(mb_exec_t *exec, const plan_t *plan, const mb_gemm_args_t *args)
{
    const float one = 1.0f, zero = 0.0f;
    void *workspace;
    MB_TRY(mb_cuda_workspace(exec, MB_OP_GEMM, plan->workspace_bytes, &workspace));
    if (args->bias != NULL)
        MB_TRY(SET(plan->product, CUBLASLT_MATMUL_DESC_BIAS_POINTER, args->bias));
    return check(cublasLtMatmul(mb_cuda_of(exec)->blas, plan->product, &one, args->b, plan->b,
                                args->a, plan->a, args->accumulate ? &one : &zero, args->c, plan->c,
                                args->c, plan->c, &plan->algorithm, workspace,
                                plan->workspace_bytes, mb_cuda_stream(exec)),
                 "a product");
}

/* Without anything to sum C is the bias, or nothing. */
static mb_status_t fill_c(mb_exec_t *exec, const mb_gemm_args_t *args)
{
    mb_dtype_t type = args->wide ? MB_F32 : args->type;
    int64_t bytes = (int64_t)mb_dtype_bytes(type);
    mb_copy_rows_args_t bias = {.type = type,
                                .rows = args->m,
                                .columns = args->n,
                                .ld_to = args->ldc,
                                .from = args->bias,
                                .to = args->c};
    if (args->bias != NULL)
        return mb_cuda_copy_rows(exec, &bias);
    for (int64_t i = 0; i < args->m && !args->accumulate; i++) {
        mb_zero_args_t zero = {.bytes = args->n * bytes,
                               .y = (char *)args->c + i * args->ldc * bytes};
        MB_TRY(mb_cuda_zero(exec, &zero));
    }
    return MB_OK;
}

mb_status_t mb_cuda_gemm(mb_exec_t *exec, const mb_gemm_args_t *args)
{
    shape_t shape = shape_of(args);
    if (args->m < 0 || args->n < 0 || args->k < 0)
        return mb_cuda_refuse(MB_OP_GEMM, "negative size");
    if (args->accumulate && args->bias != NULL)
        return mb_cuda_refuse(MB_OP_GEMM, "accumulate with bias");
    if (args->m == 0 || args->n == 0)
        return MB_OK;
    if (args->k == 0)
        return exec->planning ? MB_OK : fill_c(exec, args);
    if (exec->planning)
        return plan_product(exec, shape);
    const plan_t *plan = find(mb_cuda_of(exec)->plans, &shape);
    if (plan == NULL)
        return mb_cuda_refuse(MB_OP_GEMM, "a shape that was not planned");
    return run_product(exec, plan, args);
}
