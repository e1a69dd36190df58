/* The instructions that kernels need beyond CUDA's language: products of small matrices on tensor
 * cores, what loads their operands, copies into shared memory that run behind computation. Each has
 * a twin in plain C++ for the host's compiler that follows the instruction's definition (PTX ISA,
 * "Matrix Fragments for mma.m16n8k16" and following), so that what is computed around it is tested
 * without a GPU.
 *
 * A warp holds C[16,8] += A[16,16] B[16,8] in fragments; with g = lane / 4, t = lane % 4:
 *
 *     a[0] A[g, 2t..2t+1]       a[1] A[g+8, 2t..2t+1]       c[0..1] C[g, 2t..2t+1]
 *     a[2] A[g, 2t+8..2t+9]     a[3] A[g+8, 2t+8..2t+9]     c[2..3] C[g+8, 2t..2t+1]
 *     b[0] B[2t..2t+1, g]       b[1] B[2t+8..2t+9, g]
 *
 * Of bytes A is [16,32] and B [32,8], and four stand where two stood: 4t..4t+3, from 16 on in place
 * of 8. */
#ifndef MB_KERNELS_MMA_H
#define MB_KERNELS_MMA_H

#include "kernel.h"
#include <string.h>

namespace
{

/* Two neighbours in one word, the first in its lower half. */
__device__ inline uint32_t mb_pair(const __nv_bfloat16 *, float low, float high)
{
    __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
    uint32_t word;
    memcpy(&word, &pair, sizeof word);
    return word;
}

__device__ inline uint32_t mb_pair(const __half *, float low, float high)
{
    __half2 pair = __floats2half2_rn(low, high);
    uint32_t word;
    memcpy(&word, &pair, sizeof word);
    return word;
}

template <typename T> __device__ inline uint32_t mb_pair_of(float low, float high)
{
    return mb_pair(static_cast<const T *>(nullptr), low, high);
}

#ifndef MB_CUDASIM

__device__ inline uint32_t mb_shared_address(const void *p)
{
    return static_cast<uint32_t>(__cvta_generic_to_shared(p));
}

/* Four matrices of 8 x 8 numbers of 16 bits: ROW is where a row of 16 bytes begins, lanes 8i to
 * 8i + 7 give the rows of matrix i, and r[i] becomes its numbers [g, 2t..2t+1]. */
__device__ inline void mb_load_matrices(uint32_t (&r)[4], const void *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(mb_shared_address(row))
                 : "memory");
}

/* Each of them transposed: r[i] becomes [2t..2t+1, g]. */
__device__ inline void mb_load_matrices_transposed(uint32_t (&r)[4], const void *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(mb_shared_address(row))
                 : "memory");
}

#define MB_MMA(kind, letter, c, a, b)                                                              \
    asm("mma.sync.aligned." kind " {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "                 \
        "{%0, %1, %2, %3};"                                                                        \
        : letter((c)[0]), letter((c)[1]), letter((c)[2]), letter((c)[3])                           \
        : "r"((a)[0]), "r"((a)[1]), "r"((a)[2]), "r"((a)[3]), "r"((b)[0]), "r"((b)[1]))

template <typename T>
__device__ inline void mb_mma(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]);

template <>
__device__ inline void mb_mma<__nv_bfloat16>(float (&c)[4], const uint32_t (&a)[4],
                                             const uint32_t (&b)[2])
{
    MB_MMA("m16n8k16.row.col.f32.bf16.bf16.f32", "+f", c, a, b);
}

template <>
__device__ inline void mb_mma<__half>(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2])
{
    MB_MMA("m16n8k16.row.col.f32.f16.f16.f32", "+f", c, a, b);
}

/* A without signs, B with; sums wrap. */
__device__ inline void mb_mma_bytes(int32_t (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2])
{
    MB_MMA("m16n8k32.row.col.s32.u8.s8.s32", "+r", c, a, b);
}

/* Copies of 16 bytes from global into shared memory that a thread starts, gathers into groups, and
 * waits for; others see them behind a barrier that follows the wait. */
struct mb_copies {
    /* Where not REAL, zeros; FROM must be an address of global memory even so. */
    __device__ inline void start(void *to, const void *from, bool real)
    {
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(mb_shared_address(to)),
                     "l"(__cvta_generic_to_global(from)), "r"(real ? 16 : 0)
                     : "memory");
    }
    __device__ inline void end_group()
    {
        asm volatile("cp.async.commit_group;" ::: "memory");
    }
    /* Until at most PENDING of the latest groups are under way. */
    template <int PENDING> __device__ inline void wait()
    {
        asm volatile("cp.async.wait_group %0;" ::"n"(PENDING) : "memory");
    }
};

/* The four bytes of LOW and HIGH, numbered 0 to 7, that the digits of CHOICE name, the first in its
 * lowest digit. */
__device__ inline uint32_t mb_choose_bytes(uint32_t low, uint32_t high, uint32_t choice)
{
    return __byte_perm(low, high, choice);
}

/* 2^x; the smallest results are zero. */
__device__ inline float mb_exp2(float x)
{
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

#else

/* What the lanes of a warp show each other. */
struct mb_lane_words {
    const void *row;
    uint32_t a[4], b[2];
};

__device__ inline mb_lane_words *mb_warp_words()
{
    __shared__ mb_lane_words words[1024];
    return words + threadIdx.x / MB_WARP * MB_WARP;
}

__device__ inline uint16_t mb_matrix_number(const mb_lane_words *warp, int matrix, int row, int col)
{
    return static_cast<const uint16_t *>(warp[8 * matrix + row].row)[col];
}

__device__ inline void mb_load_matrices(uint32_t (&r)[4], const void *row)
{
    mb_lane_words *warp = mb_warp_words();
    int lane = threadIdx.x % MB_WARP, g = lane / 4, t = lane % 4;
    warp[lane].row = row;
    __syncwarp();
    for (int i = 0; i < 4; i++)
        r[i] = mb_matrix_number(warp, i, g, 2 * t) |
               (uint32_t)mb_matrix_number(warp, i, g, 2 * t + 1) << 16;
    __syncwarp();
}

__device__ inline void mb_load_matrices_transposed(uint32_t (&r)[4], const void *row)
{
    mb_lane_words *warp = mb_warp_words();
    int lane = threadIdx.x % MB_WARP, g = lane / 4, t = lane % 4;
    warp[lane].row = row;
    __syncwarp();
    for (int i = 0; i < 4; i++)
        r[i] = mb_matrix_number(warp, i, 2 * t, g) |
               (uint32_t)mb_matrix_number(warp, i, 2 * t + 1, g) << 16;
    __syncwarp();
}

__device__ inline float mb_float_of(const __nv_bfloat16 *, uint16_t bits)
{
    return __bfloat162float(__nv_bfloat16_raw{bits});
}

__device__ inline float mb_float_of(const __half *, uint16_t bits)
{
    return __half2float(__half_raw{bits});
}

template <typename T> __device__ inline float mb_half_of(uint32_t word, int which)
{
    return mb_float_of(static_cast<const T *>(nullptr), (uint16_t)(word >> 16 * which));
}

/* C[row, column] of what the warp shows. */
template <typename T> __device__ inline float mb_dot(const mb_lane_words *warp, int row, int column)
{
    float sum = 0.0f;
    for (int k = 0; k < 16; k++) {
        int t = k % 8 / 2;
        uint32_t a = warp[row % 8 * 4 + t].a[row / 8 + k / 8 * 2];
        uint32_t b = warp[column * 4 + t].b[k / 8];
        sum += mb_half_of<T>(a, k % 2) * mb_half_of<T>(b, k % 2);
    }
    return sum;
}

__device__ inline int32_t mb_dot_bytes(const mb_lane_words *warp, int row, int column)
{
    int32_t sum = 0;
    for (int k = 0; k < 32; k++) {
        int t = k % 16 / 4;
        uint32_t a = warp[row % 8 * 4 + t].a[row / 8 + k / 16 * 2];
        uint32_t b = warp[column * 4 + t].b[k / 16];
        sum += (int32_t)(uint8_t)(a >> k % 4 * 8) * (int32_t)(int8_t)(uint8_t)(b >> k % 4 * 8);
    }
    return sum;
}

__device__ inline mb_lane_words *mb_show(const uint32_t (&a)[4], const uint32_t (&b)[2])
{
    mb_lane_words *warp = mb_warp_words();
    int lane = threadIdx.x % MB_WARP;
    memcpy(warp[lane].a, a, sizeof a);
    memcpy(warp[lane].b, b, sizeof b);
    __syncwarp();
    return warp;
}

template <typename T>
__device__ inline void mb_mma(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2])
{
    const mb_lane_words *warp = mb_show(a, b);
    int g = threadIdx.x % MB_WARP / 4, t = threadIdx.x % 4;
    for (int i = 0; i < 4; i++)
        c[i] += mb_dot<T>(warp, g + i / 2 * 8, 2 * t + i % 2);
    __syncwarp();
}

__device__ inline void mb_mma_bytes(int32_t (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2])
{
    const mb_lane_words *warp = mb_show(a, b);
    int g = threadIdx.x % MB_WARP / 4, t = threadIdx.x % 4;
    for (int i = 0; i < 4; i++)
        c[i] += mb_dot_bytes(warp, g + i / 2 * 8, 2 * t + i % 2);
    __syncwarp();
}

/* Copies as late as the instruction may, so that a wait that is missing shows. */
struct mb_copies {
    static constexpr int MOST = 128;
    struct copy {
        void *to;
        const void *from;
        bool real;
        int group;
    };
    copy queue[MOST];
    int first = 0, count = 0, group = 0;

    __device__ inline void start(void *to, const void *from, bool real)
    {
        if (count == MOST)
            __builtin_trap();
        queue[(first + count++) % MOST] = {to, from, real, group};
    }
    __device__ inline void end_group()
    {
        group++;
    }
    template <int PENDING> __device__ inline void wait()
    {
        for (; count > 0 && queue[first].group < group - PENDING; count--) {
            const copy &c = queue[first];
            if (c.real)
                memcpy(c.to, c.from, 16);
            else
                memset(c.to, 0, 16);
            first = (first + 1) % MOST;
        }
    }
};

__device__ inline uint32_t mb_choose_bytes(uint32_t low, uint32_t high, uint32_t choice)
{
    uint64_t all = (uint64_t)high << 32 | low;
    uint32_t chosen = 0;
    for (int i = 0; i < 4; i++)
        chosen |= (uint32_t)(all >> (choice >> 4 * i & 7u) * 8 & 0xFFu) << 8 * i;
    return chosen;
}

__device__ inline float mb_exp2(float x)
{
    return exp2f(x);
}

#endif

/* Operands from matrices in shared memory whose rows lie LD numbers apart (a multiple of 8, and
 * best one that leaves 8 rows in different banks). */

/* A[16,16], as it is. */
template <typename T> __device__ inline void mb_load_a(uint32_t (&a)[4], const T *p, int ld)
{
    int lane = threadIdx.x % MB_WARP;
    mb_load_matrices(a, p + lane % 16 * ld + lane / 16 * 8);
}

/* A[16,16], stored [k, m]. */
template <typename T>
__device__ inline void mb_load_a_transposed(uint32_t (&a)[4], const T *p, int ld)
{
    int lane = threadIdx.x % MB_WARP;
    mb_load_matrices_transposed(a, p + (lane % 8 + lane / 16 * 8) * ld + lane / 8 % 2 * 8);
}

/* Two operands B[16,8] side by side, as they are. */
template <typename T>
__device__ inline void mb_load_b(uint32_t (&b0)[2], uint32_t (&b1)[2], const T *p, int ld)
{
    int lane = threadIdx.x % MB_WARP;
    uint32_t r[4];
    mb_load_matrices_transposed(r, p + lane % 16 * ld + lane / 16 * 8);
    b0[0] = r[0], b0[1] = r[1], b1[0] = r[2], b1[1] = r[3];
}

/* Two operands side by side, stored [n, k]. */
template <typename T>
__device__ inline void mb_load_b_transposed(uint32_t (&b0)[2], uint32_t (&b1)[2], const T *p,
                                            int ld)
{
    int lane = threadIdx.x % MB_WARP;
    uint32_t r[4];
    mb_load_matrices(r, p + (lane % 8 + lane / 16 * 8) * ld + lane / 8 % 2 * 8);
    b0[0] = r[0], b0[1] = r[1], b1[0] = r[2], b1[1] = r[3];
}

} // namespace

#endif
