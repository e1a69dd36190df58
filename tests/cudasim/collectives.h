/* Barriers, shuffles and votes as kernels spell them. The place of a call travels along, so that
 * the runtime can say which threads wait where, and that threads met different barriers. */
#ifndef MB_CUDASIM_COLLECTIVES_H
#define MB_CUDASIM_COLLECTIVES_H

#include <stdint.h>
#include <string.h>

#include <type_traits>

namespace mb_cudasim
{

struct place {
    const char *file;
    int line;
};

enum class warp_op { sync, shuffle, shuffle_up, shuffle_down, shuffle_xor, ballot };

/* All live threads of the block; gives the sum of their values (__syncthreads_count). */
int block_barrier(int value, place at);

/* All live lanes of MASK. VALUE is what this lane brings; ARGUMENT and WIDTH are the shuffle's. A
 * lane that is not there gives all bits set. */
uint64_t warp_collective(warp_op op, unsigned mask, uint64_t value, int argument, int width,
                         place at);

[[noreturn]] void trap(place at);

template <typename T>
T shuffle(warp_op op, unsigned mask, T value, int argument, int width, place at)
{
    static_assert(sizeof(T) <= 8 && std::is_trivially_copyable<T>::value,
                  "shuffles move up to 8 bytes");
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof value);
    bits = warp_collective(op, mask, bits, argument, width, at);
    T result;
    memcpy(static_cast<void *>(&result), &bits, sizeof result);
    return result;
}

} // namespace mb_cudasim

/* Default arguments are evaluated where the kernel calls. */
#define MB_CUDASIM_AT const char *file = __builtin_FILE(), int line = __builtin_LINE()

inline void __syncthreads(MB_CUDASIM_AT)
{
    mb_cudasim::block_barrier(0, {file, line});
}
inline int __syncthreads_count(int predicate, MB_CUDASIM_AT)
{
    return mb_cudasim::block_barrier(predicate != 0, {file, line});
}
inline int __syncthreads_or(int predicate, MB_CUDASIM_AT)
{
    return mb_cudasim::block_barrier(predicate != 0, {file, line}) != 0;
}
inline int __syncthreads_and(int predicate, MB_CUDASIM_AT)
{
    return mb_cudasim::block_barrier(predicate == 0, {file, line}) == 0;
}
inline void __syncwarp(unsigned mask = 0xffffffffu, MB_CUDASIM_AT)
{
    mb_cudasim::warp_collective(mb_cudasim::warp_op::sync, mask, 0, 0, 32, {file, line});
}

template <typename T> T __shfl_sync(unsigned mask, T value, int lane, int width = 32, MB_CUDASIM_AT)
{
    return mb_cudasim::shuffle(mb_cudasim::warp_op::shuffle, mask, value, lane, width,
                               {file, line});
}
template <typename T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32, MB_CUDASIM_AT)
{
    return mb_cudasim::shuffle(mb_cudasim::warp_op::shuffle_up, mask, value, (int)delta, width,
                               {file, line});
}
template <typename T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32, MB_CUDASIM_AT)
{
    return mb_cudasim::shuffle(mb_cudasim::warp_op::shuffle_down, mask, value, (int)delta, width,
                               {file, line});
}
template <typename T>
T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = 32, MB_CUDASIM_AT)
{
    return mb_cudasim::shuffle(mb_cudasim::warp_op::shuffle_xor, mask, value, lanes, width,
                               {file, line});
}

inline unsigned __ballot_sync(unsigned mask, int predicate, MB_CUDASIM_AT)
{
    return (unsigned)mb_cudasim::warp_collective(mb_cudasim::warp_op::ballot, mask, predicate != 0,
                                                 0, 32, {file, line});
}
inline int __any_sync(unsigned mask, int predicate, MB_CUDASIM_AT)
{
    return __ballot_sync(mask, predicate != 0, file, line) != 0;
}
inline int __all_sync(unsigned mask, int predicate, MB_CUDASIM_AT)
{
    return __ballot_sync(mask, predicate == 0, file, line) == 0;
}

inline void __trap(MB_CUDASIM_AT)
{
    mb_cudasim::trap({file, line});
}

/* Memory is in order: one thread runs at a time. */
inline void __threadfence_block()
{
}
inline void __threadfence()
{
}
inline void __threadfence_system()
{
}

#endif
