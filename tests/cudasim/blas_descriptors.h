/* What the opaque descriptors of cuBLASLt hold here. They live in the descriptors' own bytes, so
 * that those that a caller initializes in place work too. */
#ifndef MB_CUDASIM_BLAS_DESCRIPTORS_H
#define MB_CUDASIM_BLAS_DESCRIPTORS_H

#include <cublasLt.h>

#include <stdint.h>

namespace mb_cudasim
{

struct blas_layout {
    uint64_t rows, columns;
    int64_t ld;
    int64_t batch_stride;
    uint32_t type;
    int32_t order;
    int32_t batches;
};

struct blas_product {
    const void *bias;
    void *aux;
    int64_t aux_ld, bias_stride, aux_stride;
    int32_t compute_type, scale_type, pointer_mode;
    int32_t transpose_a, transpose_b;
    uint32_t epilogue;
    int32_t bias_type, aux_type; /* -1: D's */
};

struct blas_preference {
    uint64_t workspace_bytes;
    uint32_t reductions;
    uint32_t alignment[4]; /* of A, B, C, D */
};

/* An algorithm belongs to the problem that it was found for. */
struct blas_algorithm {
    uint64_t mark;
    int64_t m, n, k;
    uint32_t kinds; /* types and transpositions, packed */
    uint32_t epilogue;
    uint32_t split;
    uint32_t alignment; /* logarithms, a byte an operand */
    uint64_t workspace_bytes;
};

template <typename Inner, typename Opaque> Inner *inside(Opaque *opaque)
{
    static_assert(sizeof(Inner) <= sizeof(Opaque), "a descriptor's bytes suffice");
    return reinterpret_cast<Inner *>(opaque);
}
inline blas_layout *layout_of(cublasLtMatrixLayout_t l)
{
    return inside<blas_layout>(l);
}
inline blas_product *product_of(cublasLtMatmulDesc_t d)
{
    return inside<blas_product>(d);
}
inline blas_preference *preference_of(cublasLtMatmulPreference_t p)
{
    return inside<blas_preference>(p);
}

/* Says what is wrong and gives CODE. */
cublasStatus_t blas_refuse(cublasStatus_t code, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

} // namespace mb_cudasim

#endif
