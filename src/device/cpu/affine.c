/* Images seen through transforms. A tile is some rows of a result, or, the other way round, one
 * image: its gradient adds up in the order of the result's elements. */
#include "device/affine.h"
#include <string.h>
#include "device/cpu/cpu.h"
#include "device/cpu/simd.h"

#define TILE_ELEMENTS 16384

typedef struct {
    const mb_affine_args_t *args;
    int64_t tile_rows, tiles_an_image;
} affine_t;

MB_MULTIVERSION
static void add_row(float *restrict y, const float *restrict x, float weight, int64_t n)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        y[i] += x[i] * weight;
}

static void add_value(float *y, float value, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] += value;
}

/* The first of the image's elements at a place; NULL: outside. */
static int64_t element_of(const mb_affine_args_t *a, int64_t row, int64_t column)
{
    return row < 0 || column < 0 ? -1 : (row * a->in[1] + column) * a->inner;
}

/* Of the places around one, as many as there are. */
static int places_of(const mb_affine_args_t *a)
{
    return a->nearest ? 1 : 2;
}

static void look(const mb_affine_args_t *a, const mb_affine_axis_t at[2], const float *image,
                 float *y)
{
    memset(y, 0, sizeof *y * (size_t)a->inner);
    for (int r = 0; r < places_of(a); r++) {
        for (int c = 0; c < places_of(a); c++) {
            float weight = at[0].weight[r] * at[1].weight[c];
            int64_t element = element_of(a, at[0].index[r], at[1].index[c]);
            if (element >= 0)
                add_row(y, image + element, weight, a->inner);
            else
                add_value(y, weight * a->value, a->inner);
        }
    }
}

static void give(const mb_affine_args_t *a, const mb_affine_axis_t at[2], const float *dy,
                 float *image)
{
    for (int r = 0; r < places_of(a); r++) {
        for (int c = 0; c < places_of(a); c++) {
            int64_t element = element_of(a, at[0].index[r], at[1].index[c]);
            if (element >= 0)
                add_row(image + element, dy, at[0].weight[r] * at[1].weight[c], a->inner);
        }
    }
}

/* Rows FROM to TO of a result; IMAGE counts planes of samples. */
static void walk(const mb_affine_args_t *a, int64_t image, int64_t from, int64_t to)
{
    const float *t = a->transforms + image / a->planes * MB_TRANSFORM;
    int64_t in = image * a->in[0] * a->in[1] * a->inner;
    int64_t out = image * a->out[0] * a->out[1] * a->inner;
    mb_affine_axis_t at[2];
    for (int64_t y = from; y < to; y++) {
        for (int64_t x = 0; x < a->out[1]; x++) {
            int64_t element = out + (y * a->out[1] + x) * a->inner;
            mb_affine_places(a, t, y, x, at);
            if (a->transposed)
                give(a, at, mb_in(a->x) + element, mb_out(a->y) + in);
            else
                look(a, at, mb_in(a->x) + in, mb_out(a->y) + element);
        }
    }
}

static void forward_tile(void *context, int64_t tile, int thread)
{
    (void)thread;
    const affine_t *f = context;
    mb_span_t rows = mb_span(tile % f->tiles_an_image, f->tile_rows, f->args->out[0]);
    walk(f->args, tile / f->tiles_an_image, rows.begin, rows.end);
}

static void transposed_tile(void *context, int64_t tile, int thread)
{
    (void)thread;
    const mb_affine_args_t *a = ((const affine_t *)context)->args;
    int64_t elements = a->in[0] * a->in[1] * a->inner;
    memset(mb_out(a->y) + tile * elements, 0, sizeof(float) * (size_t)elements);
    walk(a, tile, 0, a->out[0]);
}

mb_status_t mb_cpu_affine(mb_exec_t *exec, const mb_affine_args_t *args)
{
    const char *fault = mb_affine_fault(args);
    MB_CPU_CHECK(MB_OP_AFFINE, fault == NULL, fault);
    if (exec->planning)
        return MB_OK;
    affine_t f = {.args = args,
                  .tile_rows = mb_rows_block(args->out[1] * args->inner, TILE_ELEMENTS)};
    int64_t images = args->samples * args->planes;
    f.tiles_an_image = mb_ceil_div(args->out[0], f.tile_rows);
    if (args->transposed)
        mb_cpu_tiles(exec, images, transposed_tile, &f);
    else
        mb_cpu_tiles(exec, images * f.tiles_an_image, forward_tile, &f);
    return MB_OK;
}
