/* Convolution with stored weights that are decoded for it. A small kernel is decoded into the
 * workspace and convolved like any other. Of a large one, blocks of rows and columns are, each for
 * a tile of positions of one sample, whose cut windows they multiply. */
#include <string.h>
#include "device/cpu/patches.h"
#include "device/cpu/stored_conv.h"

#define SMALL_BYTES (4 << 20)
#define DECODE_ROWS 64
#define TILE_POSITIONS 256
#define TILE_COLUMNS 128
#define BLOCK_K 256

static size_t floats(int64_t count)
{
    return mb_round_64(sizeof(float) * (size_t)count);
}

typedef struct {
    const mb_matrix_t *matrix;
    float *to;
} decode_t;

static void decode_tile(void *context, int64_t tile, int thread)
{
    (void)thread;
    const decode_t *d = context;
    int64_t columns = d->matrix->columns;
    mb_span_t rows = mb_span(tile, DECODE_ROWS, d->matrix->rows);
    mb_stored_decode(d->matrix, rows, (mb_span_t){0, columns}, d->to + rows.begin * columns,
                     columns);
}

/* The convolution's own workspace lies behind the weights. */
static mb_status_t convolve_decoded(mb_exec_t *exec, const mb_stored_conv_args_t *args)
{
    size_t bytes = floats(args->w.rows * args->w.columns);
    mb_conv_forward_args_t conv = {.window = args->window, .x = args->x, .bias = args->bias};
    conv.y = args->y;
    mb_exec_t rest = *exec;
    rest.workspace_needed = 0;
    if (exec->planning) {
        MB_TRY(mb_cpu_conv_forward(&rest, &conv));
        mb_workspace_t all;
        return mb_cpu_workspace(exec, MB_OP_STORED_CONV, bytes + rest.workspace_needed, 0, &all);
    }
    if (exec->workspace_bytes < bytes)
        return mb_cpu_refuse(MB_OP_STORED_CONV, "the operation was not planned");
    decode_t decode = {&args->w, exec->workspace};
    mb_cpu_tiles(exec, mb_ceil_div(args->w.rows, DECODE_ROWS), decode_tile, &decode);
    conv.w = decode.to;
    rest.workspace = (char *)exec->workspace + bytes;
    rest.workspace_bytes = exec->workspace_bytes - bytes;
    return mb_cpu_conv_forward(&rest, &conv);
}

typedef struct {
    const mb_stored_conv_args_t *args;
    int64_t depth, positions, group_out;
    int64_t tile_rows, tiles_m, tile_columns, tiles_n, block_k;
    mb_dnnl_kernel_t *kernel[2][2][2]; /* [last rows][last columns][last block of depth] */
    size_t cut_bytes, block_bytes;     /* of a thread's memory, in this order */
    mb_workspace_t workspace;
} conv_t;

static conv_t conv_of(const mb_stored_conv_args_t *args)
{
    const mb_window_t *w = &args->window;
    conv_t c = {.args = args, .depth = mb_window_depth(w), .positions = w->out[0] * w->out[1]};
    c.group_out = w->channels_out / w->groups;
    c.tile_rows = mb_min_i64(TILE_POSITIONS, c.positions);
    c.tiles_m = mb_ceil_div(c.positions, c.tile_rows);
    c.tile_columns = mb_min_i64(TILE_COLUMNS, c.group_out);
    c.tiles_n = mb_ceil_div(c.group_out, c.tile_columns);
    c.block_k = mb_min_i64(BLOCK_K, c.depth);
    return c;
}

static int64_t last_of(int64_t count, int64_t tile, bool last)
{
    return last ? count - (count - 1) / tile * tile : tile;
}

static mb_status_t find_kernel(mb_exec_t *exec, conv_t *c, int last_m, int last_n, int last_k,
                               size_t *scratch)
{
    mb_dnnl_matmul_t shape = {
        .m = last_of(c->positions, c->tile_rows, last_m),
        .n = last_of(c->group_out, c->tile_columns, last_n),
        .k = last_of(c->depth, c->block_k, last_k),
        .lda = c->depth,
        .ldb = c->tile_columns,
        .ldc = c->args->w.columns,
        .accumulate = true,
    };
    mb_dnnl_kernel_t **kernel = &c->kernel[last_m][last_n][last_k];
    MB_TRY(mb_dnnl_matmul(mb_cpu_of(exec)->dnnl, &shape, kernel));
    size_t bytes = mb_dnnl_scratch_bytes(*kernel);
    *scratch = bytes > *scratch ? bytes : *scratch;
    return MB_OK;
}

static mb_status_t prepare(mb_exec_t *exec, conv_t *c)
{
    size_t scratch = 0;
    for (int i = 0; i < 8; i++)
        MB_TRY(find_kernel(exec, c, i >> 2, i >> 1 & 1, i & 1, &scratch));
    c->cut_bytes = floats(c->tile_rows * c->depth);
    c->block_bytes = floats(c->block_k * c->tile_columns);
    return mb_cpu_workspace(exec, MB_OP_STORED_CONV, 0, c->cut_bytes + c->block_bytes + scratch,
                            &c->workspace);
}

static void cut_windows(const conv_t *c, int64_t sample, int64_t group, mb_span_t positions,
                        float *cut)
{
    const mb_window_t *w = &c->args->window;
    int64_t channels = w->channels_in / w->groups;
    const float *x = mb_in(c->args->x) + sample * w->in[0] * w->in[1] * w->channels_in;
    for (int64_t p = positions.begin; p < positions.end; p++)
        mb_patch(w, x, p / w->out[1], p % w->out[1], group * channels, channels,
                 cut + (p - positions.begin) * c->depth);
}

static void begin_with_bias(const float *bias, int64_t rows, int64_t columns, int64_t ld, float *y)
{
    for (int64_t r = 0; r < rows; r++) {
        if (bias == NULL)
            memset(y + r * ld, 0, sizeof *y * (size_t)columns);
        else
            memcpy(y + r * ld, bias, sizeof *y * (size_t)columns);
    }
}

/* Columns of a tile first, then of the other tiles: neighbours share their windows' rows. */
static void compute_tile(void *context, int64_t tile, int thread)
{
    conv_t *c = context;
    const mb_matrix_t *w = &c->args->w;
    int64_t tile_n = tile % c->tiles_n, tile_m = tile / c->tiles_n % c->tiles_m;
    int64_t rest = tile / (c->tiles_n * c->tiles_m);
    int64_t group = rest % c->args->window.groups, sample = rest / c->args->window.groups;
    mb_span_t rows = mb_span(tile_m, c->tile_rows, c->positions);
    mb_span_t columns = mb_span(tile_n, c->tile_columns, c->group_out);
    columns.begin += group * c->group_out;
    columns.end += group * c->group_out;
    char *memory = mb_workspace_thread(&c->workspace, thread);
    float *cut = (float *)(void *)memory;
    float *block = (float *)(void *)(memory + c->cut_bytes);
    float *y =
        mb_out(c->args->y) + (sample * c->positions + rows.begin) * w->columns + columns.begin;
    cut_windows(c, sample, group, rows, cut);
    begin_with_bias(c->args->bias == NULL ? NULL : c->args->bias + columns.begin,
                    rows.end - rows.begin, columns.end - columns.begin, w->columns, y);
    for (int64_t k = 0; k < c->depth; k += c->block_k) {
        mb_span_t depth = {k, mb_min_i64(k + c->block_k, c->depth)};
        mb_stored_decode(w, depth, columns, block, c->tile_columns);
        const void *arguments[] = {cut + k, block, y};
        mb_dnnl_run(
            c->kernel[tile_m == c->tiles_m - 1][tile_n == c->tiles_n - 1][depth.end == c->depth],
            thread, arguments, memory + c->cut_bytes + c->block_bytes);
    }
}

mb_status_t mb_cpu_stored_conv_float(mb_exec_t *exec, const mb_stored_conv_args_t *args)
{
    if (floats(args->w.rows * args->w.columns) <= SMALL_BYTES)
        return convolve_decoded(exec, args);
    conv_t conv = conv_of(args);
    MB_TRY(prepare(exec, &conv));
    if (exec->planning)
        return MB_OK;
    int64_t tiles = args->window.samples * args->window.groups * conv.tiles_m * conv.tiles_n;
    mb_cpu_tiles(exec, tiles, compute_tile, &conv);
    return mb_dnnl_take_status(mb_cpu_of(exec)->dnnl);
}
