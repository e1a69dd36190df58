/* What cuBLASLt does with a product's sums on the way out: scale, add C, bias, activation or its
 * gradient, bias gradients (cublasLtEpilogue_t in cublasLt.h). */
#ifndef MB_CUDASIM_EPILOGUE_H
#define MB_CUDASIM_EPILOGUE_H

#include "cudasim/product.h"

#include <cublasLt.h>

namespace mb_cudasim
{

/* A product with everything that it needs; pointers are device memory. */
struct matmul {
    int64_t m, n, k;
    operand a, b;
    float alpha, beta;
    const void *c;
    void *d;
    cudaDataType c_type, d_type;
    int64_t c_ld, d_ld;
    unsigned epilogue;
    void *bias; /* or where a bias gradient goes; of D's type */
    void *aux;
    cudaDataType aux_type;
    int64_t aux_ld;
    int split; /* parts of k that are summed apart */
    float *workspace;
};

inline bool epilogue_has(unsigned epilogue, unsigned part)
{
    return (epilogue & part) != 0;
}
constexpr unsigned EPILOGUE_BGRAD = 16, EPILOGUE_AUX = 128; /* bits without a name of their own */

/* Does it read or write the bias pointer; the aux pointer? */
bool epilogue_wants_bias(unsigned epilogue);
bool epilogue_wants_aux(unsigned epilogue);
bool epilogue_known(unsigned epilogue);

/* The whole product, now. */
void matmul_run(const matmul &m);

} // namespace mb_cudasim

#endif
