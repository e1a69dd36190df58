/* See gemm_pack.h. */
#include "device/cpu/gemm_pack.h"
#include <string.h>
#if defined(__SSE__)
#include <xmmintrin.h>
#endif

#define BLOCK_ROWS 128 /* at most */
#define LEAST_ROWS 16
#define SIDE 16 /* floats of a line of the cache */

/* The first cache has 64 sets of lines of 64 bytes: rows 4096 bytes apart have one set, rows 1024
 * bytes apart four. Products of 1024 x 1024 x 384 on AVX2: 48 GF/s where rows of B have one set,
 * 65 with two, 100 with four, 109 with eight or more; on AVX-512, 106 with one and 113 otherwise,
 * and 84 to 106 where B is stored transposed, which AVX2 does not mind (Zen 4, one core). */
#define SETS_BYTES 4096
#define CROWDED_BYTES 1024

bool mb_panels_pay(int64_t ld, bool transposed)
{
    int64_t bytes = ld * (int64_t)sizeof(float);
    if (mb_dnnl_has_avx512())
        return transposed || bytes % SETS_BYTES == 0;
    return bytes % (transposed ? SETS_BYTES : CROWDED_BYTES) == 0;
}

int64_t mb_panel_ld(int64_t width)
{
    return width % 128 == 0 ? width + SIDE : width;
}

size_t mb_panels_bytes(int64_t columns, int64_t width, int64_t rows)
{
    int64_t rest = columns % width;
    int64_t wide = columns / width * mb_panel_ld(width) + (rest > 0 ? mb_panel_ld(rest) : 0);
    return sizeof(float) * (size_t)(wide * rows);
}

float *mb_panel_at(const mb_panels_t *p, int64_t index, int64_t rows)
{
    return p->to + index * mb_panel_ld(p->width) * rows;
}

/* Of a panel, so that all panels have as many as a team has threads, unless they are small. */
static int64_t block_rows(const mb_panels_t *p, int64_t rows)
{
    int64_t panels = mb_ceil_div(p->columns, p->width);
    int64_t blocks = mb_ceil_div(MB_CPU_TEAM, panels);
    int64_t part = mb_max_i64(LEAST_ROWS, mb_ceil_div(rows, blocks));
    return mb_min_i64(BLOCK_ROWS, (part + 3) / 4 * 4);
}

int64_t mb_panels_blocks(const mb_panels_t *p, int64_t rows)
{
    return mb_ceil_div(p->columns, p->width) * mb_ceil_div(rows, block_rows(p, rows));
}

/* to[i][j] = from[j][i] of 4 x 4. */
static inline void transpose_square(const float *from, int64_t ld, float *to, int64_t to_ld)
{
#if defined(__SSE__)
    __m128 a = _mm_loadu_ps(from), b = _mm_loadu_ps(from + ld);
    __m128 c = _mm_loadu_ps(from + 2 * ld), d = _mm_loadu_ps(from + 3 * ld);
    _MM_TRANSPOSE4_PS(a, b, c, d);
    _mm_storeu_ps(to, a);
    _mm_storeu_ps(to + to_ld, b);
    _mm_storeu_ps(to + 2 * to_ld, c);
    _mm_storeu_ps(to + 3 * to_ld, d);
#else
    for (int64_t i = 0; i < 4; i++)
        for (int64_t j = 0; j < 4; j++)
            to[i * to_ld + j] = from[j * ld + i];
#endif
}

/* SIDE columns of HIGH rows, read a stretch at a time: lines of the cache that are apart as crowded
 * rows are would push each other out. */
static void transpose_strip(const float *from, int64_t ld, int64_t high, float *to, int64_t to_ld)
{
    float strip[SIDE][BLOCK_ROWS];
    for (int64_t j = 0; j < SIDE; j++)
        memcpy(strip[j], from + j * ld, sizeof(float) * (size_t)high);
    int64_t i = 0;
    for (; i + 4 <= high; i += 4)
        for (int64_t j = 0; j < SIDE; j += 4)
            transpose_square(&strip[j][i], BLOCK_ROWS, to + i * to_ld + j, to_ld);
    for (; i < high; i++)
        for (int64_t j = 0; j < SIDE; j++)
            to[i * to_ld + j] = strip[j][i];
}

static void transpose(const float *from, int64_t ld, int64_t high, int64_t wide, float *to,
                      int64_t to_ld)
{
    int64_t j = 0;
    for (; j + SIDE <= wide; j += SIDE)
        transpose_strip(from + j * ld, ld, high, to + j, to_ld);
    for (int64_t i = 0; i < high; i++)
        for (int64_t column = j; column < wide; column++)
            to[i * to_ld + column] = from[column * ld + i];
}

void mb_panels_copy(const mb_panels_t *p, int64_t first, int64_t rows, int64_t block)
{
    int64_t panels = mb_ceil_div(p->columns, p->width);
    mb_span_t columns = mb_span(block % panels, p->width, p->columns);
    mb_span_t part = mb_span(block / panels, block_rows(p, rows), rows);
    int64_t wide = columns.end - columns.begin, high = part.end - part.begin;
    int64_t to_ld = mb_panel_ld(wide), row = first + part.begin;
    float *to = mb_panel_at(p, block % panels, rows) + part.begin * to_ld;
    if (p->transposed) {
        transpose(p->from + columns.begin * p->ld + row, p->ld, high, wide, to, to_ld);
        return;
    }
    for (int64_t i = 0; i < high; i++)
        memcpy(to + i * to_ld, p->from + (row + i) * p->ld + columns.begin,
               sizeof(float) * (size_t)wide);
}
