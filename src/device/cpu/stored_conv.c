/* Convolution with int8 weights in whole numbers. Each sample is quantized by itself, into an image
 * with the padding around it, where the number that stands for zero is; rows of a matrix are cut
 * from such images for a tile of positions, which may belong to several samples, and multiplied by
 * a tile of columns of the weights. A window of one position needs no cutting, and narrow kernels
 * (a grayscale image's first, depthwise ones) are left to floats. */
#include "device/cpu/stored_conv.h"
#include <string.h>
#include "device/cpu/patches.h"

#define TILE_BYTES (1 << 20) /* of the cut rows and their sums: they stay in the second cache */
#define LEAST_TILE 64
#define MOST_TILE 1024
#define FEW_TILES 4
#define TILE_COLUMNS 256
#define LEAST_DEPTH 32 /* below these a product of floats is faster, and as good or better */
#define LEAST_COLUMNS 16
#define COPY 16 /* bytes copied at a time; images and cut rows have room for so many more */

typedef struct {
    const mb_stored_conv_args_t *args;
    const mb_window_t *window;
    bool direct;           /* an image is the matrix */
    int64_t height, width; /* of an image */
    int64_t image_bytes;
    int64_t group_in, group_out; /* channels */
    int64_t depth, positions, rows;
    int64_t tile_rows, tiles_m, tile_columns, tiles_n;
    mb_integer_product_t product[2][2]; /* [last tile of rows][last tile of columns] */
    size_t cut_bytes, sums_bytes;       /* of a thread's memory, in this order */
    mb_workspace_t workspace;
    mb_row_code_t *codes; /* [samples] */
    uint8_t *images;
} conv_t;

static bool is_direct(const mb_window_t *w)
{
    bool direct = true;
    for (int i = 0; i < 2; i++)
        direct = direct && w->kernel[i] == 1 && w->stride[i] == 1 && w->pad_before[i] == 0 &&
                 w->pad_after[i] == 0;
    return direct;
}

static void choose_tiles(conv_t *c)
{
    c->tile_columns = mb_min_i64(TILE_COLUMNS, c->group_out);
    c->tiles_n = mb_ceil_div(c->group_out, c->tile_columns);
    int64_t row_bytes = 4 * c->tile_columns + (c->direct ? 0 : c->depth);
    int64_t most = mb_min_i64(MOST_TILE, mb_max_i64(LEAST_TILE, TILE_BYTES / row_bytes));
    int64_t tiles = mb_max_i64(mb_ceil_div(c->rows, most),
                               mb_min_i64(FEW_TILES, mb_ceil_div(c->rows, LEAST_TILE)));
    c->tile_rows = mb_min_i64(c->rows, (mb_ceil_div(c->rows, tiles) + 15) / 16 * 16);
    c->tiles_m = mb_ceil_div(c->rows, c->tile_rows);
}

static conv_t conv_of(const mb_stored_conv_args_t *args)
{
    const mb_window_t *w = &args->window;
    conv_t c = {.args = args, .window = w, .direct = is_direct(w)};
    c.height = w->in[0] + w->pad_before[0] + w->pad_after[0];
    c.width = w->in[1] + w->pad_before[1] + w->pad_after[1];
    c.image_bytes = c.height * c.width * w->channels_in;
    c.group_in = w->channels_in / w->groups;
    c.group_out = w->channels_out / w->groups;
    c.depth = mb_window_depth(w);
    c.positions = w->out[0] * w->out[1];
    c.rows = w->samples * c.positions;
    choose_tiles(&c);
    return c;
}

static int64_t last_of(int64_t count, int64_t tile, int64_t tiles, bool last)
{
    return last ? count - (tiles - 1) * tile : tile;
}

static mb_status_t prepare(mb_exec_t *exec, conv_t *c)
{
    size_t scratch = 0;
    for (int last_m = 0; last_m < 2; last_m++) {
        for (int last_n = 0; last_n < 2; last_n++) {
            mb_integer_shape_t shape = {
                .m = last_of(c->rows, c->tile_rows, c->tiles_m, last_m),
                .n = last_of(c->group_out, c->tile_columns, c->tiles_n, last_n),
                .k = c->depth,
                .lda = c->direct ? c->window->channels_in : c->depth,
                .ldb = c->window->channels_out,
            };
            shape.ldc = shape.n;
            mb_integer_product_t *product = &c->product[last_m][last_n];
            MB_TRY(mb_stored_integer_prepare(exec, &shape, product));
            scratch = product->scratch_bytes > scratch ? product->scratch_bytes : scratch;
        }
    }
    size_t codes = mb_round_64(sizeof *c->codes * (size_t)c->window->samples);
    size_t images = (size_t)(c->window->samples * c->image_bytes) + COPY;
    c->cut_bytes = c->direct ? 0 : mb_round_64((size_t)(c->tile_rows * c->depth) + COPY);
    c->sums_bytes = mb_round_64(sizeof(int32_t) * (size_t)(c->tile_rows * c->tile_columns));
    MB_TRY(mb_cpu_workspace(exec, MB_OP_STORED_CONV, codes + images,
                            c->cut_bytes + c->sums_bytes + scratch, &c->workspace));
    if (exec->planning)
        return MB_OK;
    c->codes = (mb_row_code_t *)(void *)c->workspace.shared;
    c->images = (uint8_t *)c->workspace.shared + codes;
    return MB_OK;
}

static void encode_tile(void *context, int64_t sample, int thread)
{
    (void)thread;
    const conv_t *c = context;
    const mb_window_t *w = c->window;
    int64_t line = w->in[1] * w->channels_in;
    const float *x = mb_in(c->args->x) + sample * w->in[0] * line;
    uint8_t *image = c->images + sample * c->image_bytes;
    mb_row_code_t code = mb_stored_row_code(x, NULL, w->in[0] * line);
    c->codes[sample] = code;
    if (c->image_bytes == w->in[0] * line) {
        mb_stored_row_encode(x, NULL, c->image_bytes, code, image);
        return;
    }
    memset(image, code.zero, (size_t)c->image_bytes);
    image += (w->pad_before[0] * c->width + w->pad_before[1]) * w->channels_in;
    for (int64_t h = 0; h < w->in[0]; h++)
        mb_stored_row_encode(x + h * line, NULL, line, code, image + h * c->width * w->channels_in);
}

/* Copies more than BYTES; what comes next is copied over it. */
static inline void copy(uint8_t *to, const uint8_t *from, int64_t bytes)
{
    for (int64_t i = 0; i < bytes; i += COPY)
        memcpy(to + i, from + i, COPY);
}

/* What one position sees, from the upper left of its window on. */
static inline uint8_t *cut_window(const conv_t *c, const uint8_t *corner, uint8_t *to)
{
    const mb_window_t *w = c->window;
    int64_t line = w->dilation[0] * c->width * w->channels_in;
    bool whole = w->dilation[1] == 1 && w->groups == 1;
    int64_t runs = whole ? 1 : w->kernel[1];
    int64_t bytes = whole ? w->kernel[1] * c->group_in : c->group_in;
    for (int64_t i = 0; i < w->kernel[0]; i++, corner += line) {
        for (int64_t j = 0; j < runs; j++, to += bytes)
            copy(to, corner + j * w->dilation[1] * w->channels_in, bytes);
    }
    return to;
}

static void cut_rows(const conv_t *c, mb_span_t rows, int64_t group, uint8_t *to)
{
    const mb_window_t *w = c->window;
    int64_t sample = rows.begin / c->positions, position = rows.begin % c->positions;
    int64_t oh = position / w->out[1], ow = position % w->out[1];
    for (int64_t r = rows.begin; r < rows.end; r++) {
        int64_t at = (oh * w->stride[0] * c->width + ow * w->stride[1]) * w->channels_in;
        to = cut_window(c, c->images + sample * c->image_bytes + at + group * c->group_in, to);
        ow++;
        oh += ow == w->out[1];
        ow = ow == w->out[1] ? 0 : ow;
        sample += oh == w->out[0];
        oh = oh == w->out[0] ? 0 : oh;
    }
}

/* Each sample of the tile has a scale of its own. */
static void scale_rows(const conv_t *c, mb_span_t rows, int64_t column, int64_t columns,
                       const int32_t *sums)
{
    const mb_stored_conv_args_t *a = c->args;
    for (int64_t r = rows.begin; r < rows.end;) {
        int64_t sample = r / c->positions, end = mb_min_i64(rows.end, (sample + 1) * c->positions);
        mb_integer_scale_t scale = {
            .matrix = &a->w,
            .first = column,
            .rows = end - r,
            .columns = columns,
            .ld_sums = columns,
            .ldc = a->w.columns,
            .sums = sums + (r - rows.begin) * columns,
            .codes = c->codes + sample,
            .bias = a->bias == NULL ? NULL : a->bias + column,
            .c = mb_out(a->y) + r * a->w.columns + column,
        };
        mb_stored_integer_scale(&scale);
        r = end;
    }
}

static void compute_tile(void *context, int64_t tile, int thread)
{
    conv_t *c = context;
    int64_t tile_m = tile / c->tiles_n % c->tiles_m, tile_n = tile % c->tiles_n;
    int64_t group = tile / (c->tiles_n * c->tiles_m);
    mb_span_t rows = mb_span(tile_m, c->tile_rows, c->rows);
    mb_span_t columns = mb_span(tile_n, c->tile_columns, c->group_out);
    uint8_t *cut = mb_workspace_thread(&c->workspace, thread);
    int32_t *sums = (int32_t *)(void *)(cut + c->cut_bytes);
    void *scratch = cut + c->cut_bytes + c->sums_bytes;
    int64_t column = group * c->group_out + columns.begin;
    const uint8_t *a = cut;
    if (c->direct)
        a = c->images + rows.begin * c->window->channels_in + group * c->group_in;
    else
        cut_rows(c, rows, group, cut);
    mb_stored_integer_run(&c->product[tile_m == c->tiles_m - 1][tile_n == c->tiles_n - 1], thread,
                          a, (const int8_t *)c->args->w.values + column, sums, scratch);
    scale_rows(c, rows, column, columns.end - columns.begin, sums);
}

static bool runs_in_integers(const mb_stored_conv_args_t *a)
{
    return a->integer && mb_stored_is_integer(&a->w) && !a->w.has_row_scales &&
           a->w.rows >= LEAST_DEPTH && a->window.channels_out / a->window.groups >= LEAST_COLUMNS;
}

mb_status_t mb_cpu_stored_conv(mb_exec_t *exec, const mb_stored_conv_args_t *args)
{
    const mb_window_t *w = &args->window;
    MB_TRY(mb_window_check(MB_OP_STORED_CONV, w));
    MB_CPU_CHECK(MB_OP_STORED_CONV,
                 args->w.rows == mb_window_depth(w) && args->w.columns == w->channels_out &&
                     !args->w.squared,
                 "a matrix that is not the window's");
    if (w->samples == 0)
        return MB_OK;
    if (!runs_in_integers(args))
        return mb_cpu_stored_conv_float(exec, args);
    conv_t conv = conv_of(args);
    MB_TRY(prepare(exec, &conv));
    if (exec->planning)
        return MB_OK;
    mb_cpu_tiles(exec, w->samples, encode_tile, &conv);
    mb_cpu_tiles(exec, w->groups * conv.tiles_m * conv.tiles_n, compute_tile, &conv);
    return mb_dnnl_take_status(mb_cpu_of(exec)->dnnl);
}
