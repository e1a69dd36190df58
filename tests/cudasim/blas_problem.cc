/* Which products are simulated; see blas_problem.h. */
#include "cudasim/blas_problem.h"

#include "cudasim/convert.h"
#include "cudasim/epilogue.h"

namespace mb_cudasim
{

namespace
{

cublasStatus_t check_layout(const char *name, const blas_layout &l)
{
    if (type_bytes((cudaDataType)l.type) == 0)
        return blas_refuse(CUBLAS_STATUS_NOT_SUPPORTED, "matrix %s has type %u", name, l.type);
    if (l.order != CUBLASLT_ORDER_COL)
        return blas_refuse(CUBLAS_STATUS_NOT_SUPPORTED, "matrix %s is not column-major", name);
    if (l.rows == 0 || l.columns == 0 || l.ld < (int64_t)l.rows || l.batches < 1)
        return blas_refuse(CUBLAS_STATUS_INVALID_VALUE,
                           "matrix %s: %llu rows, %llu columns, leading dimension %lld, batch %d",
                           name, (unsigned long long)l.rows, (unsigned long long)l.columns,
                           (long long)l.ld, l.batches);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t check_types(const problem &p)
{
    if (p.a->type != p.b->type || p.c->type != p.d->type ||
        (p.d->type != p.a->type && p.d->type != CUDA_R_32F))
        return blas_refuse(CUBLAS_STATUS_NOT_SUPPORTED, "types %u x %u + %u -> %u", p.a->type,
                           p.b->type, p.c->type, p.d->type);
    bool compute = p.product->compute_type == CUBLAS_COMPUTE_32F ||
                   p.product->compute_type == CUBLAS_COMPUTE_32F_PEDANTIC ||
                   p.product->compute_type == CUBLAS_COMPUTE_32F_FAST_TF32;
    if (!compute || p.product->scale_type != CUDA_R_32F ||
        p.product->pointer_mode != CUBLASLT_POINTER_MODE_HOST)
        return blas_refuse(CUBLAS_STATUS_NOT_SUPPORTED,
                           "compute type %d, scale type %d, pointer mode %d",
                           p.product->compute_type, p.product->scale_type, p.product->pointer_mode);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t check_epilogue(const problem &p)
{
    const blas_product &e = *p.product;
    if (!epilogue_known(e.epilogue))
        return blas_refuse(CUBLAS_STATUS_INVALID_VALUE, "epilogue %u", e.epilogue);
    if (epilogue_wants_bias(e.epilogue) && e.bias_type >= 0 && e.bias_type != (int)p.d->type)
        return blas_refuse(CUBLAS_STATUS_NOT_SUPPORTED,
                           "a bias of type %d with a result of type %u", e.bias_type, p.d->type);
    if (!epilogue_wants_aux(e.epilogue))
        return CUBLAS_STATUS_SUCCESS;
    if (e.aux_ld < p.m || e.aux_ld % (aux_is_mask(e) ? 128 : 8) ||
        (e.aux_type >= 0 && type_bytes((cudaDataType)e.aux_type) == 0))
        return blas_refuse(CUBLAS_STATUS_INVALID_VALUE,
                           "the epilogue's auxiliary matrix: leading dimension %lld, type %d",
                           (long long)e.aux_ld, e.aux_type);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t check_batches(const problem &p)
{
    int batches = p.d->batches;
    for (const blas_layout *l : {p.a, p.b, p.c})
        if (l->batches != batches)
            return blas_refuse(CUBLAS_STATUS_INVALID_VALUE, "matrices of different batches");
    if (batches > 1 && p.product->epilogue != CUBLASLT_EPILOGUE_DEFAULT)
        return blas_refuse(CUBLAS_STATUS_NOT_SUPPORTED, "a batch with an epilogue");
    return CUBLAS_STATUS_SUCCESS;
}

} // namespace

bool aux_is_mask(const blas_product &product)
{
    return epilogue_has(product.epilogue, CUBLASLT_EPILOGUE_RELU | 8);
}

cublasStatus_t make_problem(cublasLtMatmulDesc_t product, cublasLtMatrixLayout_t a,
                            cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c,
                            cublasLtMatrixLayout_t d, problem *out)
{
    if (!product || !a || !b || !c || !d)
        return blas_refuse(CUBLAS_STATUS_INVALID_VALUE, "a descriptor is NULL");
    problem p = {
        product_of(product), layout_of(a), layout_of(b), layout_of(c), layout_of(d), 0, 0, 0};
    BLAS_TRY(check_layout("A", *p.a));
    BLAS_TRY(check_layout("B", *p.b));
    BLAS_TRY(check_layout("C", *p.c));
    BLAS_TRY(check_layout("D", *p.d));
    bool ta = is_transposed(p.product->transpose_a), tb = is_transposed(p.product->transpose_b);
    p.m = (int64_t)(ta ? p.a->columns : p.a->rows);
    p.k = (int64_t)(ta ? p.a->rows : p.a->columns);
    p.n = (int64_t)(tb ? p.b->rows : p.b->columns);
    if (p.k != (int64_t)(tb ? p.b->columns : p.b->rows) || p.m != (int64_t)p.d->rows ||
        p.n != (int64_t)p.d->columns || p.d->rows != p.c->rows || p.d->columns != p.c->columns)
        return blas_refuse(CUBLAS_STATUS_INVALID_VALUE, "the matrices' shapes do not fit");
    BLAS_TRY(check_types(p));
    BLAS_TRY(check_epilogue(p));
    BLAS_TRY(check_batches(p));
    *out = p;
    return CUBLAS_STATUS_SUCCESS;
}

} // namespace mb_cudasim
