/* Convolution in tiles of a few samples, each by a one-thread kernel of oneDNN. What stands behind
 * a kernel works on what it has just written: activations, the slope of the relu in front, biases.
 *
 * The gradients of the weights are partial sums of the tiles, in the order of elements that the
 * kernel likes, added in tile order; then they are brought into Keras' order once. */
#include <string.h>
#include "device/cpu/activation.h"
#include "device/cpu/column_sum.h"
#include "device/cpu/cpu.h"
#include "device/cpu/simd.h"

/* A sixteenth of the samples a tile, as many as cores are likely to share one convolution, but not
 * so few that starting a kernel shows, nor so many that long ones hold up the rest (multiply-adds),
 * or that what a kernel writes leaves the second cache (elements). */
#define MANY 16
#define LEAST_WORK 4000000
#define MOST_WORK 64000000
#define MOST_ELEMENTS (1 << 17)
#define FEW_WEIGHTS (1 << 12) /* whose partial sums of any number of tiles are small */

typedef struct {
    const mb_window_t *window;
    const float *in, *other, *bias;
    float *out;
    float *pre;        /* forward: what act is applied to; NULL: it runs in place */
    const float *cut;  /* backward input; NULL: no relu in front */
    mb_function_t act; /* forward */
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

/* The weights' gradient has a partial sum for each tile, so their number is held down, unless they
 * are few. */
static int64_t choose_samples(const mb_window_t *w, bool weights)
{
    int64_t work = mb_max_i64(1, mb_window_out(w) * elements_weights(w));
    int64_t most = MOST_ELEMENTS / mb_max_i64(1, mb_max_i64(elements_in(w), elements_out(w)));
    int64_t samples = mb_max_i64(mb_ceil_div(w->samples, MANY), LEAST_WORK / work);
    if (!weights)
        samples = mb_min_i64(samples, mb_max_i64(1, MOST_WORK / work));
    if (!weights || elements_weights(w) <= FEW_WEIGHTS)
        samples = mb_min_i64(samples, mb_max_i64(1, most));
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

/* Forward: packed weights for the tiles and for the last tile, which may want another order. */
static mb_status_t take_workspace(mb_exec_t *exec, mb_op_t op, conv_t *c)
{
    return mb_cpu_workspace(exec, op, 2 * c->packed_bytes, scratch_bytes(c), &c->workspace);
}

static mb_status_t prepare(mb_exec_t *exec, conv_t *c, mb_dnnl_conv_kind_t kind)
{
    bool weights = kind == MB_DNNL_CONV_BACKWARD_WEIGHTS;
    c->tile_samples = choose_samples(c->window, weights);
    c->tiles = mb_ceil_div(c->window->samples, c->tile_samples);
    c->in_elements = elements_in(c->window);
    c->out_elements = elements_out(c->window);
    MB_TRY(find_kernels(exec, c, kind));
    size_t a = c->kernels[0].packed_bytes, b = c->kernels[1].packed_bytes;
    c->packed_bytes = mb_round_64(a > b ? a : b);
    return MB_OK;
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
    mb_span_t samples = mb_span(tile, c->tile_samples, c->window->samples);
    float *y = c->out + samples.begin * c->out_elements;
    float *z = c->pre == NULL ? y : c->pre + samples.begin * c->out_elements;
    const void *arguments[] = {
        c->in + samples.begin * c->in_elements,
        c->workspace.shared + (tile == c->tiles - 1 ? c->packed_bytes : 0),
        z,
        c->bias,
    };
    mb_dnnl_run(kernels_of(c, tile)->kernel, thread, arguments,
                mb_workspace_thread(&c->workspace, thread));
    mb_cpu_act_run(&c->act, z, y, (samples.end - samples.begin) * c->out_elements);
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
                   .out = args->y,
                   .pre = args->pre,
                   .act = args->act};
    MB_CPU_CHECK(MB_OP_CONV_FORWARD, (unsigned)args->act.act < MB_ACT_COUNT, "unknown function");
    MB_TRY(prepare(exec, &conv, MB_DNNL_CONV_FORWARD));
    MB_TRY(take_workspace(exec, MB_OP_CONV_FORWARD, &conv));
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
    const mb_function_t relu = {.act = MB_ACT_RELU};
    mb_span_t samples = mb_span(tile, c->tile_samples, c->window->samples);
    int64_t count = samples.end - samples.begin, first = samples.begin * c->out_elements;
    const void *arguments[] = {
        c->in + samples.begin * c->in_elements,
        c->workspace.shared + (tile == c->tiles - 1 ? c->packed_bytes : 0),
        c->out + first,
    };
    mb_dnnl_run(kernels_of(c, tile)->kernel, thread, arguments,
                mb_workspace_thread(&c->workspace, thread));
    if (c->bias != NULL)
        add_bias(c->out + first, c->bias, count * mb_window_in(c->window), c->window->channels_in);
    if (c->cut != NULL)
        mb_cpu_act_run_back(&relu, c->cut + first, c->out + first, count * c->out_elements);
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
                   .cut = args->cut,
                   .out = args->dx};
    MB_TRY(prepare(exec, &conv, MB_DNNL_CONV_BACKWARD_INPUT));
    MB_TRY(take_workspace(exec, MB_OP_CONV_BACKWARD_INPUT, &conv));
    if (exec->planning)
        return MB_OK;
    conv.in_elements = elements_out(&args->window);
    conv.out_elements = elements_in(&args->window);
    return run_packed(exec, &conv, backward_input_tile);
}

/* ---- gradients of weights and bias
 *
 * Workspace: partial sums of the tiles, the last tile's behind them where it has another order than
 * they, the sums in Keras' order, and partial sums of the bias. */

typedef struct {
    conv_t conv;
    int64_t packed; /* tiles whose sums stand in the order of kernels[0] */
    bool accumulate;
    float *plain, *dw;
    mb_column_blocks_t bias;
} weights_t;

static float *partial_sum(const weights_t *w, int64_t tile)
{
    return (float *)(void *)(w->conv.workspace.shared + w->conv.packed_bytes * (size_t)tile);
}

static void weights_tile(void *context, int64_t tile, int thread)
{
    weights_t *w = context;
    conv_t *c = &w->conv;
    int64_t sample = tile * c->tile_samples;
    if (w->bias.partial != NULL)
        mb_column_blocks_sum(&w->bias, tile);
    const void *arguments[] = {c->in + sample * c->in_elements, c->other + sample * c->out_elements,
                               partial_sum(w, tile)};
    mb_dnnl_run(kernels_of(c, tile)->kernel, thread, arguments,
                mb_workspace_thread(&c->workspace, thread));
}

/* Into the first partial sum. */
static void combine_tile(void *context, int64_t tile, int thread)
{
    (void)thread;
    weights_t *w = context;
    int64_t count = (int64_t)(w->conv.kernels[0].packed_bytes / sizeof(float));
    mb_span_t s = mb_span(tile, MB_CPU_BLOCK, count);
    float *all = partial_sum(w, 0);
    for (int64_t part = 1; part < w->packed; part++) {
        const float *restrict sum = partial_sum(w, part);
        for (int64_t i = s.begin; i < s.end; i++)
            all[i] += sum[i];
    }
}

static void unpack(weights_t *w, int which, const float *packed, float *plain)
{
    const void *arguments[] = {packed, plain};
    mb_dnnl_run(w->conv.kernels[which].repack, 0, arguments,
                mb_workspace_thread(&w->conv.workspace, 0));
}

MB_MULTIVERSION
static void add_to(float *restrict sum, const float *restrict x, int64_t count)
{
#pragma omp simd
    for (int64_t i = 0; i < count; i++)
        sum[i] += x[i];
}

static void finish_tile(void *context, int64_t tile, int thread)
{
    (void)tile;
    (void)thread;
    weights_t *w = context;
    int64_t count = elements_weights(w->conv.window);
    unpack(w, 0, partial_sum(w, 0), w->accumulate ? w->plain : w->dw);
    if (w->accumulate)
        add_to(w->dw, w->plain, count);
    if (w->packed == w->conv.tiles)
        return;
    unpack(w, 1, partial_sum(w, w->packed), w->plain);
    add_to(w->dw, w->plain, count);
}

static mb_status_t plan_weights(mb_exec_t *exec, const mb_conv_backward_weights_args_t *args,
                                weights_t *w)
{
    conv_t *c = &w->conv;
    MB_TRY(prepare(exec, c, MB_DNNL_CONV_BACKWARD_WEIGHTS));
    w->packed = c->tiles - (mb_dnnl_same_order(&c->kernels[0], &c->kernels[1]) ? 0 : 1);
    w->packed = mb_max_i64(1, w->packed);
    size_t sums = c->packed_bytes * (size_t)c->tiles;
    size_t plain = mb_round_64(sizeof(float) * (size_t)elements_weights(c->window));
    w->bias = (mb_column_blocks_t){.type = MB_F32,
                                   .a = args->dy,
                                   .rows = c->window->samples * mb_window_out(c->window),
                                   .columns = c->window->channels_out,
                                   .block = c->tile_samples * mb_window_out(c->window),
                                   .blocks = c->tiles};
    MB_TRY(mb_cpu_workspace(exec, MB_OP_CONV_BACKWARD_WEIGHTS,
                            sums + plain + mb_column_blocks_bytes(&w->bias), scratch_bytes(c),
                            &c->workspace));
    if (exec->planning)
        return MB_OK;
    w->plain = (float *)(void *)(c->workspace.shared + sums);
    if (args->dbias != NULL)
        w->bias.partial = (double *)(void *)(c->workspace.shared + sums + plain);
    return MB_OK;
}

mb_status_t mb_cpu_conv_backward_weights(mb_exec_t *exec,
                                         const mb_conv_backward_weights_args_t *args)
{
    MB_TRY(check(MB_OP_CONV_BACKWARD_WEIGHTS, &args->window));
    MB_CPU_CHECK(MB_OP_CONV_BACKWARD_WEIGHTS, args->window.samples > 0, "no samples");
    weights_t w = {.conv = {.window = &args->window, .in = args->x, .other = args->dy},
                   .accumulate = args->accumulate,
                   .dw = args->dw};
    MB_TRY(plan_weights(exec, args, &w));
    if (exec->planning)
        return MB_OK;
    mb_cpu_tiles(exec, w.conv.tiles, weights_tile, &w);
    size_t packed = w.conv.kernels[0].packed_bytes / sizeof(float);
    mb_cpu_tiles(exec, mb_ceil_div((int64_t)packed, MB_CPU_BLOCK), combine_tile, &w);
    mb_cpu_tiles(exec, 1, finish_tile, &w);
    if (args->dbias != NULL)
        mb_column_blocks_finish(&w.bias, args->accumulate, args->dbias);
    return mb_dnnl_take_status(mb_cpu_of(exec)->dnnl);
}
