/* B in the order that kernels for small numbers want: 64 columns side by side, and of each column
 * four int8 (two bf16) below each other in one word. oneDNN's own reordering takes several times as
 * long as the product that follows. */
#include <string.h>
#include "device/cpu/simd.h"
#include "device/cpu/stored.h"

#define WIDTH MB_DNNL_PACKED_COLUMNS
#define DEEPEST 4

/* From rows LD numbers apart. */
MB_MULTIVERSION
static void interleave_8(const uint8_t *from, int64_t ld, uint32_t *to)
{
    const uint8_t *first = from, *second = from + ld, *third = from + 2 * ld,
                  *fourth = from + 3 * ld;
#pragma omp simd
    for (int i = 0; i < WIDTH; i++)
        to[i] = (uint32_t)first[i] | (uint32_t)second[i] << 8 | (uint32_t)third[i] << 16 |
                (uint32_t)fourth[i] << 24;
}

MB_MULTIVERSION
static void interleave_16(const uint16_t *from, int64_t ld, uint32_t *to)
{
    const uint16_t *first = from, *second = from + ld;
#pragma omp simd
    for (int i = 0; i < WIDTH; i++)
        to[i] = (uint32_t)first[i] | (uint32_t)second[i] << 16;
}

static void interleave(int64_t depth, const char *from, int64_t ld, uint32_t *to)
{
    if (depth == 4)
        interleave_8((const uint8_t *)from, ld, to);
    else
        interleave_16((const uint16_t *)(const void *)from, ld, to);
}

typedef struct {
    const mb_dnnl_packed_t *packed;
    const char *b;
    int64_t bytes; /* of a number */
} pack_t;

/* A word of each of COLUMNS columns, where the matrix ends within it. */
static void pack_edge(const pack_t *p, int64_t row, int64_t column, int64_t columns, uint32_t *to)
{
    const mb_dnnl_packed_t *d = p->packed;
    char whole[DEEPEST * WIDTH];
    memset(whole, 0, sizeof whole);
    for (int64_t r = 0; r < d->depth && row + r < d->k; r++)
        memcpy(whole + r * WIDTH * p->bytes, p->b + ((row + r) * d->ldb + column) * p->bytes,
               (size_t)(columns * p->bytes));
    interleave(d->depth, whole, WIDTH, to);
}

void mb_stored_pack(const mb_dnnl_packed_t *packed, const void *b, void *out)
{
    const pack_t p = {packed, b, 4 / packed->depth};
    for (int64_t row = 0; row < packed->padded_k; row += packed->depth) {
        uint32_t *to = (uint32_t *)out + row / packed->depth * WIDTH;
        for (int64_t column = 0; column < packed->n; column += WIDTH) {
            int64_t columns = mb_min_i64(WIDTH, packed->n - column);
            if (columns == WIDTH && row + packed->depth <= packed->k)
                interleave(packed->depth, p.b + (row * packed->ldb + column) * p.bytes, packed->ldb,
                           to);
            else
                pack_edge(&p, row, column, columns, to);
            to += packed->padded_k / packed->depth * WIDTH;
        }
    }
}
