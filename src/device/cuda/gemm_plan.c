/* See gemm_plan.h. Row-major C = A B is column-major C^T = B^T A^T, so the operands trade places
 * and nothing is transposed: what is B here is cuBLASLt's A, and the sums of its columns BGRADA. */
#include "device/cuda/gemm_plan.h"

#include <stdlib.h>
#include <string.h>

#define WORKSPACE_LIMIT                                                                            \
    ((size_t)32 << 20)     /* what NVIDIA advises for Hopper; smaller ones need less */
#define LEAST_ALIGNMENT 16 /* of whole operands: places in a slot are multiples of 64 */
#define AUX_MULTIPLE 8     /* of the leading dimension of what GELU is applied to */

enum { BUCKETS = 256 };

struct mb_gemm_plans {
    mb_gemm_plan_t *bucket[BUCKETS];
};

mb_status_t mb_gemm_check(cublasStatus_t code, const char *what)
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

static void clear(mb_gemm_plan_t *plan)
{
    if (plan->product != NULL)
        cublasLtMatmulDescDestroy(plan->product);
    if (plan->a != NULL)
        cublasLtMatrixLayoutDestroy(plan->a);
    if (plan->b != NULL)
        cublasLtMatrixLayoutDestroy(plan->b);
    if (plan->c != NULL)
        cublasLtMatrixLayoutDestroy(plan->c);
    *plan = (mb_gemm_plan_t){0};
}

void mb_gemm_plans_destroy(mb_cuda_t *cuda)
{
    for (int i = 0; cuda->plans != NULL && i < BUCKETS; i++) {
        for (mb_gemm_plan_t *plan = cuda->plans->bucket[i], *next; plan != NULL; plan = next) {
            next = plan->next;
            clear(plan);
            free(plan);
        }
    }
    free(cuda->plans);
    cuda->plans = NULL;
}

/* ---- shapes */

static bool launch_has(const mb_gemm_args_t *args, bool pre)
{
    if (args->wide)
        return false;
    return args->act == MB_ACT_RELU
               ? !pre
               : args->act == MB_ACT_GELU_TANH && (!pre || args->n % AUX_MULTIPLE == 0);
}

mb_gemm_shape_t mb_gemm_shape(const mb_gemm_args_t *args)
{
    bool pre = args->pre != NULL, activates = launch_has(args, pre);
    return (mb_gemm_shape_t){.type = args->type,
                             .wide = args->wide,
                             .transpose_a = args->transpose_a,
                             .transpose_b = args->transpose_b,
                             .accumulate = args->accumulate,
                             .inside = args->inside,
                             .bias = args->bias != NULL,
                             .pre = activates && pre,
                             .dbias = args->dbias != NULL,
                             .act = activates ? args->act : MB_ACT_LINEAR,
                             .m = args->m,
                             .n = args->n,
                             .k = args->k,
                             .lda = args->lda,
                             .ldb = args->ldb,
                             .ldc = args->ldc};
}

static bool same(const mb_gemm_shape_t *a, const mb_gemm_shape_t *b)
{
    return a->type == b->type && a->wide == b->wide && a->transpose_a == b->transpose_a &&
           a->transpose_b == b->transpose_b && a->accumulate == b->accumulate &&
           a->inside == b->inside && a->bias == b->bias && a->pre == b->pre &&
           a->dbias == b->dbias && a->act == b->act && a->m == b->m && a->n == b->n &&
           a->k == b->k && a->lda == b->lda && a->ldb == b->ldb && a->ldc == b->ldc;
}

static int bucket_of(const mb_gemm_shape_t *shape)
{
    uint64_t hash = (uint64_t)shape->m;
    hash = hash * 0x9E3779B97F4A7C15u + (uint64_t)shape->n;
    hash = hash * 0x9E3779B97F4A7C15u + (uint64_t)shape->k;
    hash = hash * 0x9E3779B97F4A7C15u + (uint64_t)(shape->transpose_a * 2 + shape->transpose_b);
    return (int)(hash >> 56);
}

mb_gemm_plan_t *mb_gemm_plan_find(const mb_gemm_plans_t *plans, const mb_gemm_shape_t *shape)
{
    mb_gemm_plan_t *plan = plans->bucket[bucket_of(shape)];
    while (plan != NULL && !same(&plan->shape, shape))
        plan = plan->next;
    return plan;
}

/* ---- descriptors */

static cudaDataType_t data_type(mb_dtype_t type)
{
    return type == MB_BF16 ? CUDA_R_16BF : type == MB_F16 ? CUDA_R_16F : CUDA_R_32F;
}

static uint32_t alignment_of(const mb_gemm_shape_t *shape)
{
    return shape->inside ? (uint32_t)mb_dtype_bytes(shape->type) : LEAST_ALIGNMENT;
}

/* ROWS x COLUMNS row-major, seen column-major. */
static mb_status_t make_layout(mb_dtype_t type, int64_t rows, int64_t columns, int64_t ld,
                               cublasLtMatrixLayout_t *out)
{
    return mb_gemm_check(
        cublasLtMatrixLayoutCreate(out, data_type(type), (uint64_t)columns, (uint64_t)rows, ld),
        "describing a matrix");
}

static cublasLtEpilogue_t epilogue_of(const mb_gemm_shape_t *shape, bool fused)
{
    static const cublasLtEpilogue_t plain[] = {CUBLASLT_EPILOGUE_DEFAULT, CUBLASLT_EPILOGUE_BIAS};
    static const cublasLtEpilogue_t relu[] = {CUBLASLT_EPILOGUE_RELU, CUBLASLT_EPILOGUE_RELU_BIAS};
    static const cublasLtEpilogue_t gelu[2][2] = {
        {CUBLASLT_EPILOGUE_GELU, CUBLASLT_EPILOGUE_GELU_BIAS},
        {CUBLASLT_EPILOGUE_GELU_AUX, CUBLASLT_EPILOGUE_GELU_AUX_BIAS}};
    if (fused && shape->dbias)
        return CUBLASLT_EPILOGUE_BGRADA;
    if (fused && shape->act == MB_ACT_RELU)
        return relu[shape->bias];
    if (fused && shape->act == MB_ACT_GELU_TANH)
        return gelu[shape->pre][shape->bias];
    return plain[shape->bias];
}

/* The heuristic reads from addresses how far they are aligned, so it is shown one that is as far
 * as all are. */
static mb_status_t describe_epilogue(const mb_gemm_shape_t *shape, bool fused,
                                     cublasLtMatmulDesc_t product)
{
    cublasLtEpilogue_t epilogue = epilogue_of(shape, fused);
    cudaDataType_t type = data_type(shape->wide ? MB_F32 : shape->type);
    const void *address = (const void *)(uintptr_t)alignment_of(shape);
    MB_TRY(MB_GEMM_SET(product, CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue));
    if (shape->bias || (fused && shape->dbias)) {
        MB_TRY(MB_GEMM_SET(product, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, type));
        MB_TRY(MB_GEMM_SET(product, CUBLASLT_MATMUL_DESC_BIAS_POINTER, address));
    }
    if (!fused || !shape->pre)
        return MB_OK;
    MB_TRY(MB_GEMM_SET(product, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_DATA_TYPE, type));
    MB_TRY(MB_GEMM_SET(product, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, shape->n));
    return MB_GEMM_SET(product, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, address);
}

static mb_status_t make_product(const mb_cuda_t *cuda, const mb_gemm_shape_t *shape, bool fused,
                                cublasLtMatmulDesc_t *out)
{
    bool tf32 = shape->type == MB_F32 && cuda->tf32;
    cublasOperation_t first = shape->transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N;
    cublasOperation_t second = shape->transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N;
    MB_TRY(mb_gemm_check(
        cublasLtMatmulDescCreate(out, tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F,
                                 CUDA_R_32F),
        "describing a product"));
    MB_TRY(MB_GEMM_SET(*out, CUBLASLT_MATMUL_DESC_TRANSA, first));
    MB_TRY(MB_GEMM_SET(*out, CUBLASLT_MATMUL_DESC_TRANSB, second));
    return describe_epilogue(shape, fused, *out);
}

/* ---- algorithms */

static mb_status_t limit(const mb_gemm_shape_t *shape, cublasLtMatmulPreference_t preference)
{
    static const cublasLtMatmulPreferenceAttributes_t alignments[] = {
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES};
    size_t most = WORKSPACE_LIMIT;
    uint32_t least = alignment_of(shape);
    uint32_t reductions = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
    MB_TRY(
        mb_gemm_check(cublasLtMatmulPreferenceSetAttribute(
                          preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &most, sizeof most),
                      "limiting the workspace"));
    MB_TRY(mb_gemm_check(
        cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
                                             &reductions, sizeof reductions),
        "fixing the order of sums"));
    for (int i = 0; i < 4; i++)
        MB_TRY(mb_gemm_check(
            cublasLtMatmulPreferenceSetAttribute(preference, alignments[i], &least, sizeof least),
            "stating alignments"));
    return MB_OK;
}

static mb_status_t ask(const mb_cuda_t *cuda, mb_gemm_plan_t *plan,
                       cublasLtMatmulPreference_t preference)
{
    cublasLtMatmulHeuristicResult_t result;
    int found = 0;
    MB_TRY(limit(&plan->shape, preference));
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

static mb_status_t choose_algorithm(const mb_cuda_t *cuda, mb_gemm_plan_t *plan)
{
    cublasLtMatmulPreference_t preference;
    MB_TRY(mb_gemm_check(cublasLtMatmulPreferenceCreate(&preference), "choosing an algorithm"));
    mb_status_t status = ask(cuda, plan, preference);
    cublasLtMatmulPreferenceDestroy(preference);
    return status;
}

/* ---- plans */

static mb_status_t fill(const mb_cuda_t *cuda, const mb_gemm_shape_t *shape, bool fused,
                        mb_gemm_plan_t *plan)
{
    mb_dtype_t c_type = shape->wide ? MB_F32 : shape->type;
    plan->shape = *shape;
    plan->fused = fused;
    MB_TRY(make_product(cuda, shape, fused, &plan->product));
    MB_TRY(make_layout(shape->type, shape->transpose_a ? shape->k : shape->m,
                       shape->transpose_a ? shape->m : shape->k, shape->lda, &plan->a));
    MB_TRY(make_layout(shape->type, shape->transpose_b ? shape->n : shape->k,
                       shape->transpose_b ? shape->k : shape->n, shape->ldb, &plan->b));
    MB_TRY(make_layout(c_type, shape->m, shape->n, shape->ldc, &plan->c));
    return choose_algorithm(cuda, plan);
}

static mb_status_t fill_fused_or_plain(const mb_cuda_t *cuda, const mb_gemm_shape_t *shape,
                                       mb_gemm_plan_t *plan)
{
    bool fused = shape->act != MB_ACT_LINEAR || shape->dbias;
    mb_status_t status = fill(cuda, shape, fused, plan);
    if (status != MB_ERR_UNSUPPORTED || !fused)
        return status;
    clear(plan);
    return fill(cuda, shape, false, plan);
}

mb_status_t mb_gemm_plan_make(mb_cuda_t *cuda, const mb_gemm_shape_t *shape, mb_gemm_plan_t **out)
{
    *out = mb_gemm_plan_find(cuda->plans, shape);
    if (*out != NULL)
        return MB_OK;
    mb_gemm_plan_t *plan = calloc(1, sizeof *plan);
    if (plan == NULL)
        return mb_error_memory("a product", sizeof *plan);
    mb_status_t status = fill_fused_or_plain(cuda, shape, plan);
    if (status != MB_OK) {
        clear(plan);
        free(plan);
        return status;
    }
    mb_gemm_plan_t **bucket = &cuda->plans->bucket[bucket_of(shape)];
    plan->next = *bucket;
    *out = *bucket = plan;
    return MB_OK;
}
