/* The algorithms of a product; see blas_problem.h. */
#include "cudasim/blas_problem.h"

#include "cudasim/epilogue.h"
#include "cudasim/random.h"
#include "cudasim/settings.h"

namespace mb_cudasim
{

namespace
{

constexpr uint64_t MARK = 0x6375646173696d21u;

uint32_t kinds_of(const problem &p)
{
    return p.a->type | p.d->type << 8 | (uint32_t)is_transposed(p.product->transpose_a) << 16 |
           (uint32_t)is_transposed(p.product->transpose_b) << 17 |
           (uint32_t)(p.product->compute_type == CUBLAS_COMPUTE_32F_FAST_TF32) << 18;
}

uint32_t log_alignment(uint32_t bytes)
{
    return bytes ? (uint32_t)(31 - __builtin_clz(bytes)) : 0;
}

blas_algorithm make_algorithm(const problem &p, const blas_preference &preference, bool split)
{
    blas_algorithm a = {MARK, p.m, p.n, p.k, kinds_of(p), p.product->epilogue, 1, 0, 0};
    for (int i = 0; i < 4; i++)
        a.alignment |= log_alignment(preference.alignment[i]) << 8 * i;
    if (split) {
        a.split = 2;
        a.workspace_bytes = (uint64_t)(p.m * p.n) * sizeof(float);
    }
    return a;
}

bool may_split(const problem &p, const blas_preference &preference)
{
    return p.k >= 2 && p.d->batches == 1 &&
           (preference.reductions & CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE) &&
           (uint64_t)(p.m * p.n) * sizeof(float) <= preference.workspace_bytes;
}

/* The same for every rank, and each time. */
bool split_first(const problem &p)
{
    random_numbers drawn(get_settings().algorithms ^ (uint64_t)p.m << 40 ^ (uint64_t)p.n << 20 ^
                         (uint64_t)p.k ^ (uint64_t)kinds_of(p) << 44);
    return drawn.below(2) != 0;
}

/* One product in eight with more behind it than a bias, whatever the seed. */
bool has_none(const problem &p)
{
    if ((p.product->epilogue & ~(unsigned)CUBLASLT_EPILOGUE_BIAS) <= CUBLASLT_EPILOGUE_DEFAULT)
        return false;
    random_numbers drawn((uint64_t)p.m << 40 ^ (uint64_t)p.n << 20 ^ (uint64_t)p.k ^
                         (uint64_t)p.product->epilogue << 52);
    return drawn.below(8) == 0;
}

void offer(const blas_algorithm &a, cublasLtMatmulHeuristicResult_t *result)
{
    *result = {};
    *inside<blas_algorithm>(&result->algo) = a;
    result->workspaceSize = a.workspace_bytes;
    result->state = CUBLAS_STATUS_SUCCESS;
    result->wavesCount = 1.0f;
}

} // namespace

int offer_algorithms(const problem &p, const blas_preference &preference, int most,
                     cublasLtMatmulHeuristicResult_t *results)
{
    if (has_none(p))
        return 0;
    bool both = may_split(p, preference), first = both && split_first(p);
    offer(make_algorithm(p, preference, first), &results[0]);
    if (!both || most < 2)
        return 1;
    offer(make_algorithm(p, preference, !first), &results[1]);
    return 2;
}

blas_algorithm plain_algorithm(const problem &p)
{
    return make_algorithm(p, {0, 0, {1, 1, 1, 1}}, false);
}

cublasStatus_t check_algorithm(const problem &p, const blas_algorithm &chosen)
{
    if (chosen.mark != MARK)
        return blas_refuse(CUBLAS_STATUS_INVALID_VALUE, "the algorithm comes from no heuristic");
    if (chosen.m != p.m || chosen.n != p.n || chosen.k != p.k || chosen.kinds != kinds_of(p) ||
        chosen.epilogue != p.product->epilogue)
        return blas_refuse(CUBLAS_STATUS_INVALID_VALUE,
                           "the algorithm was chosen for another problem (%lld x %lld x %lld, here "
                           "%lld x %lld x %lld)",
                           (long long)chosen.m, (long long)chosen.n, (long long)chosen.k,
                           (long long)p.m, (long long)p.n, (long long)p.k);
    return CUBLAS_STATUS_SUCCESS;
}

} // namespace mb_cudasim
