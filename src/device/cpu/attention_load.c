/* The memory of a block, and rows of queries, keys and values on their way into it. */
#include <string.h>
#include "device/cpu/attention.h"
#if defined(__SSE__)
#include <immintrin.h>
#endif

#define SQUARE 4

size_t mb_attention_cut(const mb_attention_part_t *parts, size_t n, float *memory)
{
    size_t floats = 0;
    for (size_t i = 0; i < n; i++) {
        *parts[i].part = memory == NULL ? NULL : memory + floats;
        floats += (size_t)parts[i].floats;
    }
    return floats;
}

static void turn_elements(const float *rows, int64_t count, int64_t columns, int64_t ld,
                          float factor, float *out)
{
    for (int64_t c = 0; c < columns; c++) {
        for (int64_t r = 0; r < count; r++)
            out[c * MB_ATTENTION_QUERIES + r] = rows[r * ld + c] * factor;
    }
}

#if defined(__SSE__)
static void turn_square(const float *rows, int64_t ld, float factor, float *out)
{
    __m128 times = _mm_set1_ps(factor);
    __m128 a = _mm_mul_ps(_mm_loadu_ps(rows), times);
    __m128 b = _mm_mul_ps(_mm_loadu_ps(rows + ld), times);
    __m128 c = _mm_mul_ps(_mm_loadu_ps(rows + 2 * ld), times);
    __m128 d = _mm_mul_ps(_mm_loadu_ps(rows + 3 * ld), times);
    _MM_TRANSPOSE4_PS(a, b, c, d);
    _mm_storeu_ps(out, a);
    _mm_storeu_ps(out + MB_ATTENTION_QUERIES, b);
    _mm_storeu_ps(out + 2 * MB_ATTENTION_QUERIES, c);
    _mm_storeu_ps(out + 3 * MB_ATTENTION_QUERIES, d);
}
#else
static void turn_square(const float *rows, int64_t ld, float factor, float *out)
{
    turn_elements(rows, SQUARE, SQUARE, ld, factor, out);
}
#endif

static void clear_lanes(int64_t first, int64_t columns, float *out)
{
    int64_t end = mb_attention_padded(first);
    for (int64_t c = 0; c < columns && first < end; c++)
        memset(out + c * MB_ATTENTION_QUERIES + first, 0, sizeof(float) * (size_t)(end - first));
}

void mb_attention_transpose(const mb_attention_rows_t *rows, float factor, float *out)
{
    int64_t ld = rows->ld, columns = rows->columns;
    int64_t whole = rows->count / SQUARE * SQUARE, across = columns / SQUARE * SQUARE;
    for (int64_t r = 0; r < whole; r += SQUARE) {
        const float *from = rows->at + r * ld;
        for (int64_t c = 0; c < across; c += SQUARE)
            turn_square(from + c, ld, factor, out + c * MB_ATTENTION_QUERIES + r);
        turn_elements(from + across, SQUARE, columns - across, ld, factor,
                      out + across * MB_ATTENTION_QUERIES + r);
    }
    turn_elements(rows->at + whole * ld, rows->count - whole, columns, ld, factor, out + whole);
    clear_lanes(rows->count, columns, out);
}

mb_attention_rows_t mb_attention_pad(const mb_attention_rows_t *rows, float *room)
{
    int64_t columns = rows->columns, padded = mb_attention_padded(columns);
    if (padded == columns)
        return *rows;
    for (int64_t r = 0; r < rows->count; r++) {
        memcpy(room + r * padded, rows->at + r * rows->ld, sizeof(float) * (size_t)columns);
        memset(room + r * padded + columns, 0, sizeof(float) * (size_t)(padded - columns));
    }
    return (mb_attention_rows_t){room, rows->count, padded, padded};
}
