/* ncclAllReduce. */
#include "cudasim/test_nccl.h"

namespace
{

constexpr int RANKS = 4;

template <typename T> struct nccl_type;
template <> struct nccl_type<float> {
    static constexpr ncclDataType_t value = ncclFloat32;
};
template <> struct nccl_type<double> {
    static constexpr ncclDataType_t value = ncclFloat64;
};

template <typename T> std::vector<T> terms(int rank, size_t n)
{
    std::vector<T> all(n);
    for (size_t i = 0; i < n; i++)
        all[i] = (T)1 / (T)(3 + rank) + (T)i;
    return all;
}

/* In the order of the ranks, so that it is exact. */
template <typename T> std::vector<T> sum_of_terms(size_t n)
{
    std::vector<T> total = terms<T>(0, n);
    for (int r = 1; r < RANKS; r++) {
        std::vector<T> more = terms<T>(r, n);
        for (size_t i = 0; i < n; i++)
            total[i] += more[i];
    }
    return total;
}

template <typename T> T *new_numbers(const std::vector<T> &values)
{
    void *p;
    CUDA(cudaMalloc(&p, values.size() * sizeof(T)));
    CUDA(cudaMemcpy(p, values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice));
    return (T *)p;
}

/* Puts it on SELF's stream; gives where the sum will be. */
template <typename T> T *sum_up(const nccl_rank &self, size_t n, bool in_place)
{
    CUDA(cudaSetDevice(self.number));
    T *from = new_numbers(terms<T>(self.number, n));
    T *to = in_place ? from : new_numbers(std::vector<T>(n));
    NCCL(ncclAllReduce(from, to, n, nccl_type<T>::value, ncclSum, self.comm, self.stream));
    return to;
}

template <typename T> bool holds(const nccl_rank &self, const T *p, const std::vector<T> &wanted)
{
    std::vector<T> found(wanted.size());
    CUDA(cudaSetDevice(self.number));
    CUDA(cudaMemcpy(found.data(), p, found.size() * sizeof(T), cudaMemcpyDeviceToHost));
    return found == wanted;
}

template <typename T> bool sums_are_right(size_t n, bool in_place)
{
    std::vector<nccl_rank> ranks = new_ranks(RANKS);
    std::vector<T *> to;
    NCCL(ncclGroupStart());
    for (const nccl_rank &self : ranks)
        to.push_back(sum_up<T>(self, n, in_place));
    NCCL(ncclGroupEnd());
    CUDA(finish(ranks));
    bool right = true;
    for (int r = 0; r < RANKS; r++)
        right = right && holds(ranks[(size_t)r], to[(size_t)r], sum_of_terms<T>(n));
    end_ranks(&ranks);
    return right;
}

/* It is no send, whatever the sizes say. */
void test_beside_pairs()
{
    std::vector<nccl_rank> ranks = new_ranks(2);
    std::vector<float *> sums, to;
    NCCL(ncclGroupStart());
    for (nccl_rank &self : ranks) {
        sums.push_back(self.floats(8, 1.0f + (float)self.number));
        to.push_back(self.floats(8, 0.0f));
        NCCL(self.receive(to.back(), 8, 1 - self.number));
        NCCL(ncclAllReduce(sums.back(), sums.back(), 8, ncclFloat32, ncclSum, self.comm,
                           self.stream));
        NCCL(self.send(self.floats(8, 9.0f), 8, 1 - self.number));
    }
    NCCL(ncclGroupEnd());
    CUDA(finish(ranks));
    check(ranks[1].read(sums[1], 8) == std::vector<float>(8, 3.0f) &&
              ranks[0].read(to[0], 8) == std::vector<float>(8, 9.0f),
          "an all-reduce and messages of one group keep apart");
    end_ranks(&ranks);
}

void test_other_reduction()
{
    std::vector<nccl_rank> ranks = new_ranks(2);
    for (nccl_rank &self : ranks) {
        float *p = self.floats(8, 1.0f);
        NCCL(ncclAllReduce(p, p, 8, ncclFloat32, self.number ? ncclMax : ncclSum, self.comm,
                           self.stream));
    }
    check(finish(ranks) == cudaErrorLaunchFailure && said("all-reduced"),
          "all ranks reduce in the same way");
    for (nccl_rank &self : ranks)
        NCCL(ncclCommAbort(self.comm));
    reset_devices(2);
}

} // namespace

void test_nccl_reduce()
{
    check(sums_are_right<float>(20001, false), "float32 is summed in the order of the ranks");
    check(sums_are_right<float>(20001, true), "in place as well");
    check(sums_are_right<double>(77, false), "and float64");
    test_beside_pairs();
    test_other_reduction();
}
