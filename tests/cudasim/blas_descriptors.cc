/* Making descriptors, setting and reading their attributes. An attribute that the simulation would
 * have to ignore is refused. */
#include "cudasim/blas_descriptors.h"

#include "cudasim/convert.h"
#include "cudasim/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

namespace mb_cudasim
{

namespace
{

/* Where an attribute is kept. */
struct attribute {
    void *at;
    size_t bytes;
};

template <typename T> attribute kept(T &field)
{
    return {&field, sizeof field};
}

attribute find(blas_layout *l, int which)
{
    switch (which) {
    case CUBLASLT_MATRIX_LAYOUT_TYPE:
        return kept(l->type);
    case CUBLASLT_MATRIX_LAYOUT_ORDER:
        return kept(l->order);
    case CUBLASLT_MATRIX_LAYOUT_ROWS:
        return kept(l->rows);
    case CUBLASLT_MATRIX_LAYOUT_COLS:
        return kept(l->columns);
    case CUBLASLT_MATRIX_LAYOUT_LD:
        return kept(l->ld);
    case CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT:
        return kept(l->batches);
    case CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET:
        return kept(l->batch_stride);
    default:
        return {};
    }
}

attribute find_epilogue(blas_product *p, int which)
{
    switch (which) {
    case CUBLASLT_MATMUL_DESC_EPILOGUE:
        return kept(p->epilogue);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
        return kept(p->bias);
    case CUBLASLT_MATMUL_DESC_BIAS_BATCH_STRIDE:
        return kept(p->bias_stride);
    case CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE:
        return kept(p->bias_type);
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER:
        return kept(p->aux);
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD:
        return kept(p->aux_ld);
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_BATCH_STRIDE:
        return kept(p->aux_stride);
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_DATA_TYPE:
        return kept(p->aux_type);
    default:
        return {};
    }
}

attribute find(blas_product *p, int which)
{
    switch (which) {
    case CUBLASLT_MATMUL_DESC_COMPUTE_TYPE:
        return kept(p->compute_type);
    case CUBLASLT_MATMUL_DESC_SCALE_TYPE:
        return kept(p->scale_type);
    case CUBLASLT_MATMUL_DESC_POINTER_MODE:
        return kept(p->pointer_mode);
    case CUBLASLT_MATMUL_DESC_TRANSA:
        return kept(p->transpose_a);
    case CUBLASLT_MATMUL_DESC_TRANSB:
        return kept(p->transpose_b);
    default:
        return find_epilogue(p, which);
    }
}

attribute find(blas_preference *p, int which)
{
    switch (which) {
    case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES:
        return kept(p->workspace_bytes);
    case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK:
        return kept(p->reductions);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES:
        return kept(p->alignment[0]);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES:
        return kept(p->alignment[1]);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES:
        return kept(p->alignment[2]);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES:
        return kept(p->alignment[3]);
    default:
        return {};
    }
}

cublasStatus_t set(attribute a, int which, const void *value, size_t bytes)
{
    if (!a.at)
        return blas_refuse(CUBLAS_STATUS_NOT_SUPPORTED, "attribute %d is not simulated", which);
    if (!value || bytes != a.bytes)
        return blas_refuse(CUBLAS_STATUS_INVALID_VALUE, "attribute %d has %zu bytes, %zu are given",
                           which, a.bytes, bytes);
    memcpy(a.at, value, bytes);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t get(attribute a, int which, void *value, size_t bytes, size_t *written)
{
    if (!a.at)
        return blas_refuse(CUBLAS_STATUS_NOT_SUPPORTED, "attribute %d is not simulated", which);
    if (written)
        *written = a.bytes;
    if (bytes == 0)
        return written ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE;
    if (!value || bytes < a.bytes)
        return CUBLAS_STATUS_INVALID_VALUE;
    memcpy(value, a.at, a.bytes);
    return CUBLAS_STATUS_SUCCESS;
}

template <typename Opaque> cublasStatus_t destroy(Opaque *opaque)
{
    delete opaque;
    return CUBLAS_STATUS_SUCCESS;
}

} // namespace

cublasStatus_t blas_refuse(cublasStatus_t code, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    say("cuBLASLt: %s", text);
    return code;
}

} // namespace mb_cudasim

using namespace mb_cudasim;

/* ---- layouts */

cublasStatus_t cublasLtMatrixLayoutInit_internal(cublasLtMatrixLayout_t layout, size_t size,
                                                 cudaDataType type, uint64_t rows, uint64_t cols,
                                                 int64_t ld)
{
    if (size < sizeof *layout)
        return CUBLAS_STATUS_ALLOC_FAILED;
    memset(layout, 0, sizeof *layout);
    blas_layout *l = layout_of(layout);
    *l = {rows, cols, ld, 0, (uint32_t)type, CUBLASLT_ORDER_COL, 1};
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *out, cudaDataType type,
                                          uint64_t rows, uint64_t cols, int64_t ld)
{
    *out = new cublasLtMatrixLayoutOpaque_t;
    return cublasLtMatrixLayoutInit(*out, type, rows, cols, ld);
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout)
{
    return destroy(layout);
}

cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t layout,
                                                cublasLtMatrixLayoutAttribute_t which,
                                                const void *value, size_t bytes)
{
    return set(find(layout_of(layout), which), which, value, bytes);
}

cublasStatus_t cublasLtMatrixLayoutGetAttribute(cublasLtMatrixLayout_t layout,
                                                cublasLtMatrixLayoutAttribute_t which, void *value,
                                                size_t bytes, size_t *written)
{
    return get(find(layout_of(layout), which), which, value, bytes, written);
}

/* ---- products */

cublasStatus_t cublasLtMatmulDescInit_internal(cublasLtMatmulDesc_t product, size_t size,
                                               cublasComputeType_t compute, cudaDataType scale)
{
    if (size < sizeof *product)
        return CUBLAS_STATUS_ALLOC_FAILED;
    memset(product, 0, sizeof *product);
    blas_product *p = product_of(product);
    p->compute_type = compute;
    p->scale_type = scale;
    p->pointer_mode = CUBLASLT_POINTER_MODE_HOST;
    p->transpose_a = p->transpose_b = CUBLAS_OP_N;
    p->epilogue = CUBLASLT_EPILOGUE_DEFAULT;
    p->bias_type = p->aux_type = -1;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *out, cublasComputeType_t compute,
                                        cudaDataType scale)
{
    *out = new cublasLtMatmulDescOpaque_t;
    return cublasLtMatmulDescInit(*out, compute, scale);
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t product)
{
    return destroy(product);
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t product,
                                              cublasLtMatmulDescAttributes_t which,
                                              const void *value, size_t bytes)
{
    return set(find(product_of(product), which), which, value, bytes);
}

cublasStatus_t cublasLtMatmulDescGetAttribute(cublasLtMatmulDesc_t product,
                                              cublasLtMatmulDescAttributes_t which, void *value,
                                              size_t bytes, size_t *written)
{
    return get(find(product_of(product), which), which, value, bytes, written);
}

/* ---- preferences */

cublasStatus_t cublasLtMatmulPreferenceInit_internal(cublasLtMatmulPreference_t preference,
                                                     size_t size)
{
    if (size < sizeof *preference)
        return CUBLAS_STATUS_ALLOC_FAILED;
    memset(preference, 0, sizeof *preference);
    *preference_of(preference) = {0, CUBLASLT_REDUCTION_SCHEME_MASK, {256, 256, 256, 256}};
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *out)
{
    *out = new cublasLtMatmulPreferenceOpaque_t;
    return cublasLtMatmulPreferenceInit(*out);
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference)
{
    return destroy(preference);
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t which,
                                                    const void *value, size_t bytes)
{
    return set(find(preference_of(preference), which), which, value, bytes);
}

cublasStatus_t cublasLtMatmulPreferenceGetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t which,
                                                    void *value, size_t bytes, size_t *written)
{
    return get(find(preference_of(preference), which), which, value, bytes, written);
}
