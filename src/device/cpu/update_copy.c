/* The copy of a block that an update has just gone through: what is read stands in the cache, and
 * what is written goes past it, so that a copy of everything costs a fraction of one by itself. */
#include "device/cpu/simd.h"
#include "device/cpu/update.h"

#include <float.h>
#include <math.h>
#include <string.h>

#if defined(__SSE__) && !defined(__SANITIZE_THREAD__) /* which does not see such stores */
#include <xmmintrin.h>

/* TO lies on 16 bytes. */
static void copy(float *to, const float *from, int64_t count)
{
    int64_t whole = count - count % 16;
    for (int64_t i = 0; i < whole; i += 16) {
        __m128 a = _mm_loadu_ps(from + i), b = _mm_loadu_ps(from + i + 4);
        __m128 c = _mm_loadu_ps(from + i + 8), d = _mm_loadu_ps(from + i + 12);
        _mm_stream_ps(to + i, a);
        _mm_stream_ps(to + i + 4, b);
        _mm_stream_ps(to + i + 8, c);
        _mm_stream_ps(to + i + 12, d);
    }
    memcpy(to + whole, from + whole, (size_t)(count - whole) * sizeof *to);
    _mm_sfence();
}
#else
static void copy(float *to, const float *from, int64_t count)
{
    memcpy(to, from, (size_t)count * sizeof *to);
}
#endif

MB_MULTIVERSION
static int are_finite(const float *values, int64_t count)
{
    int good = 1;
#pragma omp simd reduction(& : good)
    for (int64_t i = 0; i < count; i++)
        good &= fabsf(values[i]) <= FLT_MAX;
    return good;
}

static void copy_part(float *to, const float *from, int64_t first, int64_t count)
{
    if (to != NULL && from != NULL)
        copy(to + first, from, count);
}

void mb_cpu_update_copy(const mb_cpu_step_t *block, int64_t first, mb_tensor_copy_t *to)
{
    if (to->w != NULL && !are_finite(block->w, block->count))
        __atomic_store_n(&to->not_finite, 1, __ATOMIC_RELAXED);
    copy_part(to->w, block->w, first, block->count);
    copy_part(to->s0, block->s0, first, block->count);
    copy_part(to->s1, block->s1, first, block->count);
    copy_part(to->s2, block->s2, first, block->count);
}
