/* Copies between views of arrays, in tiles of rows. A row is the innermost axis of what is written:
 * one piece where its elements lie together in both arrays. Otherwise the axis whose elements lie
 * together in what is read is taken in blocks, so that a piece of it that was fetched into the
 * cache is used before it is dropped (a transpose). */
#include <string.h>
#include "device/cpu/cpu.h"

enum { LAST = MB_VIEW_AXES - 1, SIDE = 32 };

typedef struct {
    const mb_copy_view_args_t *args;
    int plane;      /* the axis that is taken in blocks */
    int64_t block;  /* of it */
    int64_t blocks; /* along it */
    int64_t bytes;  /* of an element */
} copy_t;

static int64_t steps(const mb_copy_view_args_t *a, int axis, const int64_t *stride)
{
    return a->size[axis] == 1 ? 0 : stride[axis];
}

/* The axis along which neighbours are read, or the last but one. */
static int plane_of(const mb_copy_view_args_t *a)
{
    int plane = LAST - 1;
    for (int i = 0; i < LAST; i++)
        if (a->size[i] > 1 && a->from_stride[i] == 1)
            plane = i;
    return plane;
}

/* Where a tile's part begins in both arrays, in elements. */
typedef struct {
    int64_t from, to;
} place_t;

static place_t place_of(const copy_t *c, int64_t tile)
{
    const mb_copy_view_args_t *a = c->args;
    place_t at = {0, 0};
    for (int i = LAST - 1; i >= 0; i--) {
        if (i == c->plane)
            continue;
        at.from += tile % a->size[i] * a->from_stride[i];
        at.to += tile % a->size[i] * a->to_stride[i];
        tile /= a->size[i];
    }
    return at;
}

static void copy_rows(const copy_t *c, place_t at, mb_span_t rows)
{
    const mb_copy_view_args_t *a = c->args;
    int64_t from_step = steps(a, c->plane, a->from_stride) * c->bytes;
    int64_t to_step = steps(a, c->plane, a->to_stride) * c->bytes;
    const char *from = (const char *)a->from + at.from * c->bytes;
    char *to = (char *)a->to + at.to * c->bytes;
    for (int64_t i = rows.begin; i < rows.end; i++)
        memcpy(to + i * to_step, from + i * from_step, (size_t)(a->size[LAST] * c->bytes));
}

/* A square of the plane, element by element. */
#define DEFINE_SQUARE(bits)                                                                        \
    static void square_##bits(const mb_copy_view_args_t *a, int plane, place_t at, mb_span_t rows, \
                              mb_span_t columns)                                                   \
    {                                                                                              \
        const uint##bits##_t *from = (const uint##bits##_t *)a->from + at.from;                    \
        uint##bits##_t *to = (uint##bits##_t *)a->to + at.to;                                      \
        for (int64_t i = rows.begin; i < rows.end; i++)                                            \
            for (int64_t j = columns.begin; j < columns.end; j++)                                  \
                to[i * a->to_stride[plane] + j * a->to_stride[LAST]] =                             \
                    from[i * a->from_stride[plane] + j * a->from_stride[LAST]];                    \
    }
DEFINE_SQUARE(16)
DEFINE_SQUARE(32)
DEFINE_SQUARE(64)
#undef DEFINE_SQUARE

static void copy_square(const copy_t *c, place_t at, mb_span_t rows, mb_span_t columns)
{
    if (c->bytes == 2)
        square_16(c->args, c->plane, at, rows, columns);
    else if (c->bytes == 4)
        square_32(c->args, c->plane, at, rows, columns);
    else
        square_64(c->args, c->plane, at, rows, columns);
}

static void copy_plane(const copy_t *c, place_t at, mb_span_t rows)
{
    int64_t columns = c->args->size[LAST];
    for (int64_t i = rows.begin; i < rows.end; i += SIDE)
        for (int64_t j = 0; j < columns; j += SIDE)
            copy_square(c, at, (mb_span_t){i, mb_min_i64(i + SIDE, rows.end)},
                        (mb_span_t){j, mb_min_i64(j + SIDE, columns)});
}

static void copy_tile(void *context, int64_t tile, int thread)
{
    (void)thread;
    const copy_t *c = context;
    const mb_copy_view_args_t *a = c->args;
    place_t at = place_of(c, tile / c->blocks);
    mb_span_t rows = mb_span(tile % c->blocks, c->block, a->size[c->plane]);
    bool together = a->size[LAST] == 1 || (a->from_stride[LAST] == 1 && a->to_stride[LAST] == 1);
    if (together)
        copy_rows(c, at, rows);
    else
        copy_plane(c, at, rows);
}

mb_status_t mb_cpu_copy_view(mb_exec_t *exec, const mb_copy_view_args_t *args)
{
    int64_t count = 1;
    for (int i = 0; i < MB_VIEW_AXES; i++) {
        MB_CPU_CHECK(MB_OP_COPY_VIEW, args->size[i] >= 0, "negative size");
        count *= args->size[i];
    }
    if (exec->planning || count == 0)
        return MB_OK;
    copy_t c = {.args = args, .plane = plane_of(args)};
    c.bytes = (int64_t)mb_dtype_bytes(args->type);
    c.block = mb_min_i64(mb_rows_block(args->size[LAST], MB_CPU_BLOCK), args->size[c.plane]);
    c.blocks = mb_ceil_div(args->size[c.plane], c.block);
    int64_t planes = count / (args->size[LAST] * args->size[c.plane]);
    mb_cpu_tiles(exec, planes * c.blocks, copy_tile, &c);
    return MB_OK;
}
