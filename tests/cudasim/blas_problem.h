/* A product as cuBLASLt's descriptors give it, once it is known to be one that is simulated; and
 * the algorithms that are offered for it.
 *
 * For most problems there are two algorithms with different sums: all of k in order, and two halves
 * of k that go through the workspace. Which one is offered first is drawn from a seed and the
 * problem, so that whoever chooses anew each time, or passes too small a workspace, is found out.
 * For some products with an epilogue beyond the bias there is none. */
#ifndef MB_CUDASIM_BLAS_PROBLEM_H
#define MB_CUDASIM_BLAS_PROBLEM_H

#include "cudasim/blas_descriptors.h"

#define BLAS_TRY(call)                                                                             \
    do {                                                                                           \
        cublasStatus_t blas_code = (call);                                                         \
        if (blas_code != CUBLAS_STATUS_SUCCESS)                                                    \
            return blas_code;                                                                      \
    } while (0)

namespace mb_cudasim
{

/* The layouts of one call and what follows from them. */
struct problem {
    const blas_product *product;
    const blas_layout *a, *b, *c, *d;
    int64_t m, n, k;
};

inline bool is_transposed(int32_t operation)
{
    return operation != CUBLAS_OP_N;
}

/* Checks that the descriptors fit each other and that everything they ask for is simulated. */
cublasStatus_t make_problem(cublasLtMatmulDesc_t product, cublasLtMatrixLayout_t a,
                            cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c,
                            cublasLtMatrixLayout_t d, problem *out);
/* Relu's auxiliary matrix is a mask of bits. */
bool aux_is_mask(const blas_product &product);

/* Offers at most MOST algorithms, gives how many: maybe none. */
int offer_algorithms(const problem &p, const blas_preference &preference, int most,
                     cublasLtMatmulHeuristicResult_t *results);
/* Who names no algorithm gets this one. */
blas_algorithm plain_algorithm(const problem &p);
/* Was it made for this problem? */
cublasStatus_t check_algorithm(const problem &p, const blas_algorithm &chosen);

} // namespace mb_cudasim

#endif
