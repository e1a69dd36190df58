/* cuBLASLt's calls: a product as an operation of a stream, behind the checks of its pointers. */
#include "cudasim/blas_problem.h"
#include "cudasim/call.h"
#include "cudasim/convert.h"
#include "cudasim/epilogue.h"
#include "cudasim/memory.h"
#include "cudasim/queue.h"

#include <algorithm>

struct cublasLtContext {
    int device;
};

namespace mb_cudasim
{

namespace
{

struct pointers {
    const void *a, *b, *c;
    void *d, *workspace;
    size_t workspace_bytes;
};

size_t extent(const blas_layout &l)
{
    int64_t elements =
        (l.batches - 1) * l.batch_stride + ((int64_t)l.columns - 1) * l.ld + (int64_t)l.rows;
    return (size_t)elements * type_bytes((cudaDataType)l.type);
}

cublasStatus_t check_memory(const char *name, const void *p, size_t bytes, int device)
{
    if (memory_is_device(p, bytes, device))
        return CUBLAS_STATUS_SUCCESS;
    char what[160];
    memory_describe(p, what, sizeof what);
    return blas_refuse(CUBLAS_STATUS_INVALID_VALUE, "%s, %zu bytes on device %d, is at %s", name,
                       bytes, device, what);
}

cublasStatus_t check_alignment(const char *name, const void *p, uint32_t alignments, int which)
{
    uint32_t wanted = 1u << (alignments >> 8 * which & 0xff);
    if ((uintptr_t)p % wanted == 0)
        return CUBLAS_STATUS_SUCCESS;
    return blas_refuse(CUBLAS_STATUS_INVALID_VALUE,
                       "%s is at %p, and the algorithm was chosen for an alignment of %u bytes",
                       name, p, wanted);
}

cublasStatus_t check_operands(const problem &p, const pointers &at, const blas_algorithm &chosen,
                              bool reads_c, int device)
{
    BLAS_TRY(check_memory("matrix A", at.a, extent(*p.a), device));
    BLAS_TRY(check_memory("matrix B", at.b, extent(*p.b), device));
    BLAS_TRY(check_memory("matrix D", at.d, extent(*p.d), device));
    BLAS_TRY(check_alignment("matrix A", at.a, chosen.alignment, 0));
    BLAS_TRY(check_alignment("matrix B", at.b, chosen.alignment, 1));
    BLAS_TRY(check_alignment("matrix D", at.d, chosen.alignment, 3));
    if (!reads_c)
        return CUBLAS_STATUS_SUCCESS;
    BLAS_TRY(check_memory("matrix C", at.c, extent(*p.c), device));
    if (at.c == at.d && (p.c->ld != p.d->ld || p.c->batch_stride != p.d->batch_stride))
        return blas_refuse(CUBLAS_STATUS_INVALID_VALUE, "C is D in place with another layout");
    return check_alignment("matrix C", at.c, chosen.alignment, 2);
}

cublasStatus_t check_epilogue_memory(const problem &p, int device)
{
    const blas_product &e = *p.product;
    size_t d_bytes = type_bytes((cudaDataType)p.d->type);
    int64_t length = e.epilogue == CUBLASLT_EPILOGUE_BGRADB ? p.n : p.m;
    if (epilogue_wants_bias(e.epilogue))
        BLAS_TRY(check_memory("the bias", e.bias, (size_t)length * d_bytes, device));
    if (!epilogue_wants_aux(e.epilogue))
        return CUBLAS_STATUS_SUCCESS;
    bool mask = aux_is_mask(e);
    size_t elements = (size_t)(e.aux_ld * (p.n - 1) + p.m);
    size_t bytes = e.aux_type < 0 ? d_bytes : type_bytes((cudaDataType)e.aux_type);
    return check_memory("the auxiliary matrix", e.aux, mask ? (elements + 7) / 8 : elements * bytes,
                        device);
}

cublasStatus_t check_workspace(const pointers &at, const blas_algorithm &chosen, int device)
{
    if (at.workspace_bytes < chosen.workspace_bytes)
        return blas_refuse(CUBLAS_STATUS_INVALID_VALUE,
                           "a workspace of %zu bytes, and the algorithm needs %zu",
                           at.workspace_bytes, (size_t)chosen.workspace_bytes);
    if (at.workspace_bytes && (uintptr_t)at.workspace % 16)
        return blas_refuse(CUBLAS_STATUS_INVALID_VALUE, "the workspace is not aligned to 16 bytes");
    return check_memory("the workspace", at.workspace, chosen.workspace_bytes, device);
}

operand make_operand(const problem &p, const blas_layout &l, const void *data, int32_t operation)
{
    bool tf32 = p.product->compute_type == CUBLAS_COMPUTE_32F_FAST_TF32 && l.type == CUDA_R_32F;
    return {data, (cudaDataType)l.type, l.ld, is_transposed(operation), tf32};
}

matmul make_matmul(const problem &p, const pointers &at, float alpha, float beta, uint32_t split)
{
    const blas_product &e = *p.product;
    matmul m = {};
    m.m = p.m;
    m.n = p.n;
    m.k = p.k;
    m.a = make_operand(p, *p.a, at.a, e.transpose_a);
    m.b = make_operand(p, *p.b, at.b, e.transpose_b);
    m.alpha = alpha;
    m.beta = beta;
    m.c = at.c;
    m.d = at.d;
    m.c_type = (cudaDataType)p.c->type;
    m.d_type = (cudaDataType)p.d->type;
    m.c_ld = p.c->ld;
    m.d_ld = p.d->ld;
    m.epilogue = e.epilogue;
    m.bias = const_cast<void *>(e.bias);
    m.aux = e.aux;
    m.aux_type = e.aux_type < 0 ? m.d_type : (cudaDataType)e.aux_type;
    m.aux_ld = e.aux_ld;
    m.split = (int)split;
    m.workspace = (float *)at.workspace;
    return m;
}

const char *batch_at(const void *data, const blas_layout &l, int64_t batch)
{
    return (const char *)data + batch * l.batch_stride * (int64_t)type_bytes((cudaDataType)l.type);
}

/* Descriptors may be gone when the product runs, so it has copies. */
struct product_call {
    blas_product product;
    blas_layout a, b, c, d;
    problem p;
    pointers at;
    float alpha, beta;
    blas_algorithm chosen;
    int device;
};

/* Memory may have been freed since the call. */
bool still_there(const problem &p, const product_call &call)
{
    return check_operands(p, call.at, call.chosen, call.beta != 0.0f, call.device) ==
               CUBLAS_STATUS_SUCCESS &&
           check_epilogue_memory(p, call.device) == CUBLAS_STATUS_SUCCESS &&
           check_workspace(call.at, call.chosen, call.device) == CUBLAS_STATUS_SUCCESS;
}

cudaError_t run_product(const product_call &call)
{
    problem p = call.p;
    p.product = &call.product;
    p.a = &call.a;
    p.b = &call.b;
    p.c = &call.c;
    p.d = &call.d;
    if (!still_there(p, call))
        return refuse(cudaErrorIllegalAddress,
                      "cublasLtMatmul: memory was freed before the product ran");
    for (int64_t i = 0; i < call.d.batches; i++) {
        pointers at = call.at;
        at.a = batch_at(at.a, call.a, i);
        at.b = batch_at(at.b, call.b, i);
        at.c = batch_at(at.c, call.c, i);
        at.d = const_cast<char *>(batch_at(at.d, call.d, i));
        matmul_run(make_matmul(p, at, call.alpha, call.beta, call.chosen.split));
    }
    return cudaSuccess;
}

cublasStatus_t submit(const problem &p, const pointers &at, const blas_algorithm &chosen,
                      float alpha, float beta, cudaStream_t stream)
{
    product_call call = {*p.product, *p.a,  *p.b, *p.c,   *p.d,          p,
                         at,         alpha, beta, chosen, stream->device};
    cudaError_t code =
        stream_submit(stream, make_operation(stream->device, [call] { return run_product(call); }));
    return code == cudaSuccess ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_EXECUTION_FAILED;
}

cublasStatus_t check_stream(cublasLtHandle_t handle, cudaStream_t stream)
{
    if (!handle)
        return blas_refuse(CUBLAS_STATUS_NOT_INITIALIZED, "the handle is NULL");
    if (stream_check(stream, "cublasLtMatmul") != cudaSuccess)
        return CUBLAS_STATUS_INVALID_VALUE;
    if (handle->device != stream->device || current_device() != stream->device)
        return blas_refuse(CUBLAS_STATUS_INVALID_VALUE,
                           "a handle of device %d, a stream of device %d, and device %d is current",
                           handle->device, stream->device, current_device());
    return CUBLAS_STATUS_SUCCESS;
}

template <typename F> cublasStatus_t blas_call(F body, const char *function = __builtin_FUNCTION())
{
    call_prepare();
    std::lock_guard<std::mutex> hold(call_lock());
    if (device_error(current_device()) != cudaSuccess)
        return CUBLAS_STATUS_EXECUTION_FAILED;
    if (must_fail(function))
        return CUBLAS_STATUS_EXECUTION_FAILED;
    return body();
}

struct status_text {
    cublasStatus_t code;
    const char *name, *text;
};

const status_text STATUSES[] = {
    {CUBLAS_STATUS_SUCCESS, "CUBLAS_STATUS_SUCCESS", "success"},
    {CUBLAS_STATUS_NOT_INITIALIZED, "CUBLAS_STATUS_NOT_INITIALIZED",
     "the library was not initialized"},
    {CUBLAS_STATUS_ALLOC_FAILED, "CUBLAS_STATUS_ALLOC_FAILED", "the resource allocation failed"},
    {CUBLAS_STATUS_INVALID_VALUE, "CUBLAS_STATUS_INVALID_VALUE",
     "an unsupported value or parameter was passed to the function"},
    {CUBLAS_STATUS_EXECUTION_FAILED, "CUBLAS_STATUS_EXECUTION_FAILED",
     "the GPU program failed to execute"},
    {CUBLAS_STATUS_NOT_SUPPORTED, "CUBLAS_STATUS_NOT_SUPPORTED",
     "the functionality requested is not supported"},
};

const status_text *find_status(cublasStatus_t code)
{
    for (const status_text &s : STATUSES)
        if (s.code == code)
            return &s;
    return nullptr;
}

} // namespace

} // namespace mb_cudasim

using namespace mb_cudasim;

cublasStatus_t cublasLtCreate(cublasLtHandle_t *out)
{
    return blas_call([&] {
        *out = new cublasLtContext{current_device()};
        return CUBLAS_STATUS_SUCCESS;
    });
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle)
{
    delete handle;
    return CUBLAS_STATUS_SUCCESS;
}

size_t cublasLtGetVersion(void)
{
    return CUBLAS_VERSION;
}

size_t cublasLtGetCudartVersion(void)
{
    return CUDART_VERSION;
}

const char *cublasLtGetStatusString(cublasStatus_t code)
{
    const status_text *s = find_status(code);
    return s ? s->text : "unknown error";
}

const char *cublasLtGetStatusName(cublasStatus_t code)
{
    const status_text *s = find_status(code);
    return s ? s->name : "unknown";
}

const char *cublasGetStatusString(cublasStatus_t code)
{
    return cublasLtGetStatusString(code);
}

const char *cublasGetStatusName(cublasStatus_t code)
{
    return cublasLtGetStatusName(code);
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t product,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int most,
                                              cublasLtMatmulHeuristicResult_t *results, int *found)
{
    return blas_call([&] {
        problem p;
        *found = 0;
        if (!handle || !preference || most < 1)
            return blas_refuse(CUBLAS_STATUS_INVALID_VALUE, "a heuristic for nothing");
        BLAS_TRY(make_problem(product, a, b, c, d, &p));
        *found = offer_algorithms(p, *preference_of(preference), most, results);
        return *found > 0 ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_SUPPORTED;
    });
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t product,
                              const void *alpha, const void *a, cublasLtMatrixLayout_t a_layout,
                              const void *b, cublasLtMatrixLayout_t b_layout, const void *beta,
                              const void *c, cublasLtMatrixLayout_t c_layout, void *d,
                              cublasLtMatrixLayout_t d_layout,
                              const cublasLtMatmulAlgo_t *algorithm, void *workspace,
                              size_t workspace_bytes, cudaStream_t stream)
{
    return blas_call([&] {
        problem p;
        pointers at = {a, b, c, d, workspace, workspace_bytes};
        BLAS_TRY(check_stream(handle, stream));
        BLAS_TRY(make_problem(product, a_layout, b_layout, c_layout, d_layout, &p));
        float scale = *static_cast<const float *>(alpha), add = *static_cast<const float *>(beta);
        blas_algorithm chosen =
            algorithm ? *inside<const blas_algorithm>(algorithm) : plain_algorithm(p);
        BLAS_TRY(check_algorithm(p, chosen));
        BLAS_TRY(check_workspace(at, chosen, stream->device));
        BLAS_TRY(check_operands(p, at, chosen, add != 0.0f, stream->device));
        BLAS_TRY(check_epilogue_memory(p, stream->device));
        return submit(p, at, chosen, scale, add, stream);
    });
}
