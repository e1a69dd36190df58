/* What cuBLASLt needs for a kind of product, made at plan time and kept: descriptors, layouts, and
 * the first algorithm that its heuristic offers within the workspace's limit. The choice is never
 * made again, so the bits of a shape repeat from step to step and, on one kind of device and
 * library, from run to run. (Split-K algorithms that add with atomics are not asked for: the
 * reduction scheme is fixed to those that combine partial sums in the workspace.) */
#ifndef MB_DEVICE_CUDA_GEMM_PLAN_H
#define MB_DEVICE_CUDA_GEMM_PLAN_H

#include "device/cuda/internal.h"

/* What plans are told apart by. act, pre and dbias: what is asked of the product's own launch. */
typedef struct {
    mb_dtype_t type;
    bool wide, transpose_a, transpose_b, accumulate, inside, bias, pre, dbias;
    mb_act_t act;
    int64_t m, n, k, lda, ldb, ldc;
} mb_gemm_shape_t;

typedef struct mb_gemm_plan {
    struct mb_gemm_plan *next;
    mb_gemm_shape_t shape;
    bool fused; /* the launch does act, pre and dbias; false also where none is asked for */
    cublasLtMatmulDesc_t product;
    cublasLtMatrixLayout_t a, b, c;
    cublasLtMatmulAlgo_t algorithm;
    size_t workspace_bytes;
} mb_gemm_plan_t;

/* Of ARGS: with the activation only where cuBLASLt may have it for such a product. */
mb_gemm_shape_t mb_gemm_shape(const mb_gemm_args_t *args);
/* NULL: not planned. */
mb_gemm_plan_t *mb_gemm_plan_find(const mb_gemm_plans_t *plans, const mb_gemm_shape_t *shape);
/* The plan there is, or a new one. Where cuBLASLt has no algorithm for what is fused, one for the
 * product and its bias. */
mb_status_t mb_gemm_plan_make(mb_cuda_t *cuda, const mb_gemm_shape_t *shape, mb_gemm_plan_t **out);

/* What cuBLASLt said while doing WHAT. */
mb_status_t mb_gemm_check(cublasStatus_t code, const char *what);
#define MB_GEMM_SET(product, attribute, value)                                                     \
    mb_gemm_check(cublasLtMatmulDescSetAttribute((product), (attribute), &(value), sizeof(value)), \
                  "describing a product")

#endif
