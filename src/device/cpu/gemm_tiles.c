/* See gemm_tiles.h. Of some heights and widths that kernels like, those that cost least over 2, 16
 * and 64 threads (of bfloat16 2, 4 and 16): small tiles leave no thread waiting for the last one,
 * large ones use more often what a kernel has loaded. */
#include "device/cpu/gemm_tiles.h"

#define TILE_WORK 3e6 /* least floating-point operations of a tile, about 20 us */
/* What a tile takes beside its rows and columns, in rows and in columns: kernels compute 48 columns
 * at a time, and one of 16 at the end is slow. */
#define SIDE_COST 1.2
#define REST_COST 6.0
/* Kernels of bfloat16 bring a tile's rows and columns into their order each time. */
#define NARROW_SIDE_COST 10.0

static const int64_t heights[] = {96, 128, 64, 48, 32, 24, 16, 256};
static const int64_t widths[] = {96, 192, 48, 128, 64, 32, 256, 384};
enum { HEIGHTS = sizeof heights / sizeof *heights, WIDTHS = sizeof widths / sizeof *widths };

/* About that much of a side, in equal parts that are multiples of UNIT. */
static int64_t part_of(int64_t side, int64_t about, int64_t unit)
{
    int64_t part = mb_ceil_div(side, mb_ceil_div(side, about));
    return mb_min_i64(side, mb_ceil_div(part, unit) * unit);
}

static mb_gemm_tiles_t cut(int64_t m, int64_t n, int64_t tile_m, int64_t tile_n)
{
    return (mb_gemm_tiles_t){tile_m, tile_n, mb_ceil_div(m, tile_m), mb_ceil_div(n, tile_n)};
}

/* How much longer THREADS take than if all had the same work. */
static double imbalance(int64_t tiles, int64_t threads)
{
    return (double)(threads * mb_ceil_div(tiles, threads)) / (double)tiles;
}

typedef struct {
    double side_cost, rest_cost;
    int64_t threads; /* the most that are to find a tile each */
} aim_t;

static const aim_t floats = {SIDE_COST, REST_COST, 64};
static const aim_t narrow = {NARROW_SIDE_COST, NARROW_SIDE_COST, 16};

/* In what the product would take if it were cut into any number of tiles at no cost. */
static double cost_of(const mb_gemm_tiles_t *t, int64_t m, int64_t n, const aim_t *aim)
{
    int64_t tiles = t->tiles_m * t->tiles_n;
    double column_cost = t->n % 48 == 16 ? aim->rest_cost : aim->side_cost;
    double rate = 1.0 + aim->side_cost / (double)t->m + column_cost / (double)t->n;
    double fill = (double)(tiles * t->m * t->n) / ((double)m * (double)n);
    return rate * fill *
           (2.0 * imbalance(tiles, 2) + imbalance(tiles, aim->threads / 4) +
            imbalance(tiles, aim->threads));
}

mb_gemm_tiles_t mb_gemm_tiles(mb_dtype_t type, int64_t m, int64_t n, int64_t k)
{
    const aim_t *aim = type == MB_BF16 ? &narrow : &floats;
    mb_gemm_tiles_t best = cut(m, n, m, n);
    double least = cost_of(&best, m, n, aim), depth = 2.0 * (double)k;
    if (depth * (double)m * (double)n < 2.0 * TILE_WORK)
        return best;
    for (int i = 0; i < HEIGHTS; i++) {
        for (int j = 0; j < WIDTHS; j++) {
            mb_gemm_tiles_t t = cut(m, n, part_of(m, heights[i], 8), part_of(n, widths[j], 16));
            double cost = cost_of(&t, m, n, aim);
            if (depth * (double)t.m * (double)t.n < TILE_WORK || cost >= least)
                continue;
            best = t;
            least = cost;
        }
    }
    return best;
}
