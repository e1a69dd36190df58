/* The blocked product; see product.h. */
#include "cudasim/product.h"

#include "cudasim/convert.h"

#include <algorithm>
#include <vector>

namespace mb_cudasim
{

namespace
{

constexpr int ROWS = 16, COLUMNS = 6;    /* of sums that the innermost loop holds */
constexpr int64_t BLOCK_K = 256;         /* strips of this depth stay in the first cache */
constexpr int64_t BLOCK_ROWS = 8 * ROWS; /* a block of A stays in the second one */
constexpr int64_t BLOCK_COLUMNS = 32 * COLUMNS;

typedef float vector16 __attribute__((vector_size(4 * ROWS), aligned(4)));

/* The clones differ in the width of their instructions, not in a single rounding: no clone may fuse
 * a product with a sum (-ffp-contract=off, and fma is in none of the names). */
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__)
#define EVERY_WIDTH __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define EVERY_WIDTH
#endif

/* sums[16, COLUMNS] += a[16, k] b[k, COLUMNS]; LD apart in SUMS. */
EVERY_WIDTH __attribute__((optimize("fp-contract=off"))) void
strip(int64_t k, const float *a, const float *b, float *sums, int64_t ld)
{
    vector16 s[COLUMNS];
    for (int j = 0; j < COLUMNS; j++)
        s[j] = *(const vector16 *)(sums + j * ld);
    for (int64_t p = 0; p < k; p++) {
        vector16 left = *(const vector16 *)(a + p * ROWS);
        for (int j = 0; j < COLUMNS; j++)
            s[j] += left * b[p * COLUMNS + j];
    }
    for (int j = 0; j < COLUMNS; j++)
        *(vector16 *)(sums + j * ld) = s[j];
}

/* One strip: WIDTH rows (or columns) of an operand side by side for each p, missing ones zero.
 * STEP_LINE is from one of them to the next, STEP_K from one p to the next. */
template <int WIDTH, typename T>
void pack_strip(const T *from, int64_t step_line, int64_t step_k, int64_t lines, int64_t k,
                bool tf32, float *to)
{
    for (int64_t p = 0; p < k; p++)
        for (int64_t i = 0; i < WIDTH; i++) {
            float x = i < lines ? as_float(from[i * step_line + p * step_k]) : 0.0f;
            to[p * WIDTH + i] = tf32 ? as_tf32(x) : x;
        }
}

struct piece {
    int64_t line, lines, k, k_count;
};

/* Strips of lines (rows of A, columns of B) [line, line + lines) by p in [k, k + k_count). */
template <int WIDTH> void pack(const operand &x, bool lines_are_rows, piece at, float *to)
{
    bool along = lines_are_rows != x.transposed; /* lines lie side by side in memory */
    int64_t step_line = along ? 1 : x.ld, step_k = along ? x.ld : 1;
    with_type(x.type, x.data, [&](const auto *data) {
        const auto *from = data + at.line * step_line + at.k * step_k;
        for (int64_t i = 0; i < at.lines; i += WIDTH)
            pack_strip<WIDTH>(from + i * step_line, step_line, step_k, at.lines - i, at.k_count,
                              x.tf32, to + i * at.k_count);
    });
}

/* At the right and lower edges the sums go through a full tile. */
void strip_at_edge(int64_t k, const float *a, const float *b, float *sums, int64_t ld, int64_t rows,
                   int64_t columns)
{
    float tile[ROWS * COLUMNS] = {};
    for (int64_t j = 0; j < columns; j++)
        std::copy(sums + j * ld, sums + j * ld + rows, tile + j * ROWS);
    strip(k, a, b, tile, ROWS);
    for (int64_t j = 0; j < columns; j++)
        std::copy(tile + j * ROWS, tile + j * ROWS + rows, sums + j * ld);
}

void multiply_block(const float *a, const float *b, int64_t k, float *sums, int64_t ld,
                    int64_t rows, int64_t columns)
{
    for (int64_t j = 0; j < columns; j += COLUMNS)
        for (int64_t i = 0; i < rows; i += ROWS) {
            float *to = sums + i + j * ld;
            if (i + ROWS <= rows && j + COLUMNS <= columns)
                strip(k, a + i * k, b + j * k, to, ld);
            else
                strip_at_edge(k, a + i * k, b + j * k, to, ld, std::min<int64_t>(ROWS, rows - i),
                              std::min<int64_t>(COLUMNS, columns - j));
        }
}

} // namespace

void product_add(const operand &a, const operand &b, int64_t rows, int64_t first_column,
                 int64_t columns, int64_t k_begin, int64_t k_end, float *sums)
{
    static thread_local std::vector<float> a_packed(BLOCK_ROWS * BLOCK_K);
    static thread_local std::vector<float> b_packed(BLOCK_COLUMNS * BLOCK_K);
    for (int64_t j = 0; j < columns; j += BLOCK_COLUMNS)
        for (int64_t k = k_begin; k < k_end; k += BLOCK_K) {
            int64_t n = std::min(BLOCK_COLUMNS, columns - j), depth = std::min(BLOCK_K, k_end - k);
            pack<COLUMNS>(b, false, {first_column + j, n, k, depth}, b_packed.data());
            for (int64_t i = 0; i < rows; i += BLOCK_ROWS) {
                int64_t m = std::min(BLOCK_ROWS, rows - i);
                pack<ROWS>(a, true, {i, m, k, depth}, a_packed.data());
                multiply_block(a_packed.data(), b_packed.data(), depth, sums + i + j * rows, rows,
                               m, n);
            }
        }
}

} // namespace mb_cudasim
