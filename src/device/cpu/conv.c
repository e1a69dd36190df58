/* Convolution in tiles of a few samples, each by a one-thread kernel of oneDNN. The gradient of the
 * weights is a partial sum for each tile, and the partial sums are added in tile order. */
#include <string.h>
#include "device/cpu/cpu.h"
#include "device/cpu/simd.h"

/* A sixteenth of the samples a tile, as many as cores are likely to share one convolution, but not
 * so few that starting a kernel shows, nor so many that long ones hold up the rest (multiply-adds).
 */
#define MANY 16
#define LEAST_WORK 4000000
#define MOST_WORK 64000000

typedef struct {
    const mb_window_t *window;
    const float *in, *other, *bias;
    float *out;
    int64_t tile_samples, tiles;
    int64_t in_elements, out_elements; /* a sample's */
    mb_dnnl_packed_t kernels[2];       /* of a tile, of the last one */
    mb_workspace_t workspace;
    size_t packed_bytes;
} conv_t;

static int64_t elements_in(const mb_window_t *w)
{
    return mb_window_in(w) * w->channels_in;
}

static int64_t elements_out(const mb_window_t *w)
{
    return mb_window_out(w) * w->channels_out;
}

static int64_t elements_weights(const mb_window_t *w)
{
    return mb_window_taps(w) * (w->channels_in / w->groups) * w->channels_out;
}

static mb_status_t check_axis(mb_op_t op, const mb_window_axis_t *a)
{
    int64_t reach = (a->kernel - 1) * a->dilation + 1;
    int64_t room = a->in + a->pad_before + a->pad_after - reach;
    MB_CPU_CHECK(op, a->kernel >= 1 && a->stride >= 1 && a->dilation >= 1,
                 "a kernel, stride or dilation below one");
    MB_CPU_CHECK(op, room >= 0 && a->out == room / a->stride + 1,
                 "an output size that the geometry does not give");
    return MB_OK;
}

static mb_status_t check(mb_op_t op, const mb_window_t *w)
{
    MB_CPU_CHECK(op, w->samples >= 0, "negative number of samples");
    MB_CPU_CHECK(
        op, w->groups >= 1 && w->channels_in % w->groups == 0 && w->channels_out % w->groups == 0,
        "channels that the groups do not divide");
    for (int i = 0; i < 2; i++) {
        mb_window_axis_t axis = {w->in[i],       w->out[i],        w->kernel[i],   w->stride[i],
                                 w->dilation[i], w->pad_before[i], w->pad_after[i]};
        MB_TRY(check_axis(op, &axis));
    }
    return mb_window_is_volume(w) ? check_axis(op, &w->depth) : MB_OK;
}

/* The weights' gradient has a partial sum for each tile, so their number is held down. */
static int64_t choose_samples(const mb_window_t *w, bool weights)
{
    int64_t work = mb_max_i64(1, mb_window_out(w) * elements_weights(w));
    int64_t samples = mb_max_i64(mb_ceil_div(w->samples, MANY), LEAST_WORK / work);
    if (!weights)
        samples = mb_min_i64(samples, mb_max_i64(1, MOST_WORK / work));
    return mb_min_i64(samples, w->samples);
}

static mb_status_t find_kernels(mb_exec_t *exec, conv_t *c, mb_dnnl_conv_kind_t kind)
{
    const mb_window_t *w = c->window;
    mb_dnnl_conv_t shape = {
        .kind = kind,
        .bias = c->bias != NULL && kind == MB_DNNL_CONV_FORWARD,
        .channels_in = w->channels_in,
        .channels_out = w->channels_out,
        .groups = w->groups,
        .depth = {w->depth.in, w->depth.out, w->depth.kernel, w->depth.stride, w->depth.dilation,
                  w->depth.pad_before, w->depth.pad_after},
    };
    memcpy(shape.in, w->in, sizeof shape.in);
    memcpy(shape.out, w->out, sizeof shape.out);
    memcpy(shape.kernel, w->kernel, sizeof shape.kernel);
    memcpy(shape.stride, w->stride, sizeof shape.stride);
    memcpy(shape.dilation, w->dilation, sizeof shape.dilation);
    memcpy(shape.pad_before, w->pad_before, sizeof shape.pad_before);
    memcpy(shape.pad_after, w->pad_after, sizeof shape.pad_after);
    shape.samples = c->tile_samples;
    MB_TRY(mb_dnnl_conv(mb_cpu_of(exec)->dnnl, &shape, &c->kernels[0]));
    shape.samples = w->samples - (c->tiles - 1) * c->tile_samples;
    return mb_dnnl_conv(mb_cpu_of(exec)->dnnl, &shape, &c->kernels[1]);
}

static size_t scratch_bytes(const conv_t *c)
{
    size_t most = 0;
    for (int i = 0; i < 2; i++) {
        size_t run = mb_dnnl_scratch_bytes(c->kernels[i].kernel);
        size_t repack = mb_dnnl_scratch_bytes(c->kernels[i].repack);
        most = run > most ? run : most;
        most = repack > most ? repack : most;
    }
    return most;
}

static mb_status_t prepare(mb_exec_t *exec, mb_op_t op, conv_t *c, mb_dnnl_conv_kind_t kind)
{
    bool weights = kind == MB_DNNL_CONV_BACKWARD_WEIGHTS;
    c->tile_samples = choose_samples(c->window, weights);
    c->tiles = mb_ceil_div(c->window->samples, c->tile_samples);
    c->in_elements = elements_in(c->window);
    c->out_elements = elements_out(c->window);
    MB_TRY(find_kernels(exec, c, kind));
    size_t a = c->kernels[0].packed_bytes, b = c->kernels[1].packed_bytes;
    c->packed_bytes = mb_round_64(a > b ? a : b);
    size_t plain = sizeof(float) * (size_t)elements_weights(c->window);
    /* forward: packed weights for the tiles and for the last tile, which may want another order;
     * weights: a plain partial sum for each tile, with room for a packed one behind the scratch */
    size_t shared = weights ? mb_round_64(plain) * (size_t)c->tiles : 2 * c->packed_bytes;
    size_t thread = mb_round_64(scratch_bytes(c)) + (weights ? c->packed_bytes : 0);
    return mb_cpu_workspace(exec, op, shared, thread, &c->workspace);
}

static const mb_dnnl_packed_t *kernels_of(const conv_t *c, int64_t tile)
{
    return &c->kernels[tile == c->tiles - 1];
}

static void pack_tile(void *context, int64_t tile, int thread)
{
    conv_t *c = context;
    const void *arguments[] = {c->other, c->workspace.shared + (size_t)tile * c->packed_bytes};
    mb_dnnl_run(c->kernels[tile].repack, thread, arguments,
                mb_workspace_thread(&c->workspace, thread));
}

static void forward_tile(void *context, int64_t tile, int thread)
{
    conv_t *c = context;
    bool last = tile == c->tiles - 1;
    int64_t sample = tile * c->tile_samples;
    const void *arguments[] = {
        c->in + sample * c->in_elements,
        c->workspace.shared + (last ? c->packed_bytes : 0),
        c->out + sample * c->out_elements,
        c->bias,
    };
    mb_dnnl_run(kernels_of(c, tile)->kernel, thread, arguments,
                mb_workspace_thread(&c->workspace, thread));
}

static mb_status_t run_packed(mb_exec_t *exec, conv_t *c, mb_tile_fn_t compute)
{
    mb_cpu_tiles(exec, 2, pack_tile, c);
    mb_cpu_tiles(exec, c->tiles, compute, c);
    return mb_dnnl_take_status(mb_cpu_of(exec)->dnnl);
}

mb_status_t mb_cpu_conv_forward(mb_exec_t *exec, const mb_conv_forward_args_t *args)
{
    MB_TRY(check(MB_OP_CONV_FORWARD, &args->window));
    if (args->window.samples == 0)
        return MB_OK;
    conv_t conv = {.window = &args->window,
                   .in = args->x,
                   .other = args->w,
                   .bias = args->bias,
                   .out = args->y};
    MB_TRY(prepare(exec, MB_OP_CONV_FORWARD, &conv, MB_DNNL_CONV_FORWARD));
    return exec->planning ? MB_OK : run_packed(exec, &conv, forward_tile);
}

MB_MULTIVERSION
static void add_bias(float *x, const float *restrict bias, int64_t rows, int64_t channels)
{
    for (int64_t row = 0; row < rows; row++, x += channels)
#pragma omp simd
        for (int64_t c = 0; c < channels; c++)
            x[c] += bias[c];
}

static void backward_input_tile(void *context, int64_t tile, int thread)
{
    conv_t *c = context;
    mb_span_t samples = mb_span(tile, c->tile_samples, c->window->samples);
    const void *arguments[] = {
        c->in + samples.begin * c->in_elements,
        c->workspace.shared + (tile == c->tiles - 1 ? c->packed_bytes : 0),
        c->out + samples.begin * c->out_elements,
    };
    mb_dnnl_run(kernels_of(c, tile)->kernel, thread, arguments,
                mb_workspace_thread(&c->workspace, thread));
    if (c->bias != NULL)
        add_bias(c->out + samples.begin * c->out_elements, c->bias,
                 (samples.end - samples.begin) * mb_window_in(c->window), c->window->channels_in);
}

mb_status_t mb_cpu_conv_backward_input(mb_exec_t *exec, const mb_conv_backward_input_args_t *args)
{
    MB_TRY(check(MB_OP_CONV_BACKWARD_INPUT, &args->window));
    if (args->window.samples == 0)
        return MB_OK;
    conv_t conv = {.window = &args->window,
                   .in = args->dy,
                   .other = args->w,
                   .bias = args->bias,
                   .out = args->dx};
    MB_TRY(prepare(exec, MB_OP_CONV_BACKWARD_INPUT, &conv, MB_DNNL_CONV_BACKWARD_INPUT));
    if (exec->planning)
        return MB_OK;
    conv.in_elements = elements_out(&args->window);
    conv.out_elements = elements_in(&args->window);
    return run_packed(exec, &conv, backward_input_tile);
}

static char *partial_sum(const conv_t *c, int64_t tile)
{
    size_t bytes = mb_round_64(sizeof(float) * (size_t)elements_weights(c->window));
    return c->workspace.shared + bytes * (size_t)tile;
}

static void weights_tile(void *context, int64_t tile, int thread)
{
    conv_t *c = context;
    const mb_dnnl_packed_t *kernels = kernels_of(c, tile);
    char *scratch = mb_workspace_thread(&c->workspace, thread);
    char *packed = scratch + c->workspace.thread_bytes - c->packed_bytes;
    int64_t sample = tile * c->tile_samples;
    const void *arguments[] = {c->in + sample * c->in_elements, c->other + sample * c->out_elements,
                               packed};
    mb_dnnl_run(kernels->kernel, thread, arguments, scratch);
    const void *order[] = {packed, partial_sum(c, tile)};
    mb_dnnl_run(kernels->repack, thread, order, scratch);
}

typedef struct {
    const conv_t *conv;
    bool accumulate;
    float *dw;
} combine_t;

static void combine_tile(void *context, int64_t tile, int thread)
{
    (void)thread;
    combine_t *c = context;
    mb_span_t s = mb_span(tile, MB_CPU_BLOCK, elements_weights(c->conv->window));
    size_t count = (size_t)(s.end - s.begin);
    const float *first = (const float *)partial_sum(c->conv, 0);
    if (!c->accumulate) {
        memcpy(c->dw + s.begin, first + s.begin, count * sizeof(float));
    }
    for (int64_t part = c->accumulate ? 0 : 1; part < c->conv->tiles; part++) {
        const float *sum = (const float *)partial_sum(c->conv, part);
        for (int64_t i = s.begin; i < s.end; i++)
            c->dw[i] += sum[i];
    }
}

static mb_status_t bias_gradient(mb_exec_t *exec, const mb_conv_backward_weights_args_t *args)
{
    const mb_window_t *w = &args->window;
    mb_column_sum_args_t sum = {
        .rows = w->samples * mb_window_out(w),
        .columns = w->channels_out,
        .accumulate = args->accumulate,
        .a = args->dy,
        .sum = args->dbias,
    };
    return mb_cpu_column_sum(exec, &sum);
}

mb_status_t mb_cpu_conv_backward_weights(mb_exec_t *exec,
                                         const mb_conv_backward_weights_args_t *args)
{
    MB_TRY(check(MB_OP_CONV_BACKWARD_WEIGHTS, &args->window));
    MB_CPU_CHECK(MB_OP_CONV_BACKWARD_WEIGHTS, args->window.samples > 0, "no samples");
    conv_t conv = {.window = &args->window, .in = args->x, .other = args->dy};
    MB_TRY(prepare(exec, MB_OP_CONV_BACKWARD_WEIGHTS, &conv, MB_DNNL_CONV_BACKWARD_WEIGHTS));
    if (!exec->planning) {
        mb_cpu_tiles(exec, conv.tiles, weights_tile, &conv);
        MB_TRY(mb_dnnl_take_status(mb_cpu_of(exec)->dnnl));
        combine_t combine = {&conv, args->accumulate, args->dw};
        int64_t blocks = mb_ceil_div(elements_weights(&args->window), MB_CPU_BLOCK);
        mb_cpu_tiles(exec, blocks, combine_tile, &combine);
    }
    /* While planning dbias may be NULL although it is wanted: its need is counted in any case. */
    return args->dbias != NULL || exec->planning ? bias_gradient(exec, args) : MB_OK;
}
