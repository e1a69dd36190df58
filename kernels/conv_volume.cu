/* Convolution of volumes as one of images: the planes that the kernel's planes meet stand side by
 * side as channels,
 *     x'[(n, od), h, w, (g, kd, c)] = x[n, od stride + kd dilation - pad, h, w, (g, c)]
 * with zeros outside, and the weights in that order, so that the sums over kd are within the
 * product. The gradient of the input gathers planes of dy likewise, where the stride divides. What
 * stands side by side is written to the workspace, a few samples at a time: `kernel` times the
 * input's bytes are written and read once more, against products of kernel positions times
 * channels. */
#include "conv_volume.h"

#include "conv.h"

namespace
{

constexpr int THREADS = 256;
constexpr int64_t MOST_BYTES = INT64_C(64) << 20; /* of planes side by side, if a sample has less */

/* ---- planes side by side */

struct gather_t {
    int64_t planes_from, planes_to, positions, groups, depth, channels; /* channels: of a group */
    int64_t step, dilation, offset; /* plane = (to step + offset + kd dilation) / divisor */
    int64_t divisor;
};

template <typename T>
__global__ void __launch_bounds__(THREADS)
    gather_kernel(gather_t g, int64_t count, const T *x, T *y)
{
    for (int64_t i = mb_first(); i < count; i += mb_stride()) {
        int64_t c = i % g.channels, rest = i / g.channels;
        int64_t kd = rest % g.depth, group = (rest /= g.depth) % g.groups;
        int64_t position = (rest /= g.groups) % g.positions;
        int64_t to = (rest /= g.positions) % g.planes_to, sample = rest / g.planes_to;
        int64_t at = to * g.step + g.offset + kd * g.dilation, plane = at / g.divisor;
        bool there = at >= 0 && plane * g.divisor == at && plane < g.planes_from;
        int64_t from = (sample * g.planes_from + plane) * g.positions + position;
        mb_store(y, i, there ? mb_load(x, (from * g.groups + group) * g.channels + c) : 0.0f);
    }
}

template <typename T>
mb_status_t gather(mb_exec_t *exec, mb_op_t op, const gather_t &g, int64_t samples, const void *x,
                   void *y)
{
    int64_t count = samples * g.planes_to * g.positions * g.groups * g.depth * g.channels;
    MB_LAUNCH((gather_kernel<T>), mb_cuda_blocks(count, THREADS), THREADS, 0, mb_cuda_stream(exec),
              g, count, (const T *)x, (T *)y);
    return mb_cuda_launched(op);
}

gather_t gather_inputs(const mb_window_t &w)
{
    const mb_window_axis_t &d = w.depth;
    return {d.in,     d.out,      w.in[0] * w.in[1], w.groups, d.kernel, w.channels_in / w.groups,
            d.stride, d.dilation, -d.pad_before,     1};
}

gather_t gather_outputs(const mb_window_t &w)
{
    const mb_window_axis_t &d = w.depth;
    return {d.out, d.in,        w.out[0] * w.out[1], w.groups, d.kernel, w.channels_out / w.groups,
            1,     -d.dilation, d.pad_before,        d.stride};
}

/* ---- the kernel [kd, taps, ci, (g, co)] in the order of the planes: [taps, kd, ci, (g, co)] for
 * those of the input, [taps, ci, (g, kd, co)] for those of dy */

struct kernel_t {
    int64_t depth, taps, inputs, groups, outputs; /* of a group */
    bool of_outputs;

    __device__ int64_t plain(int64_t i) const
    {
        int64_t co = i % outputs, rest = i / outputs, kd, ci, group;
        if (of_outputs) {
            kd = rest % depth;
            group = (rest /= depth) % groups;
            ci = (rest /= groups) % inputs;
            rest /= inputs;
        } else {
            group = rest % groups;
            ci = (rest /= groups) % inputs;
            kd = (rest /= inputs) % depth;
            rest /= depth;
        }
        return (((kd * taps + rest) * inputs + ci) * groups + group) * outputs + co;
    }
};

kernel_t kernel_of(const mb_window_t &w, bool of_outputs)
{
    return {w.depth.kernel, w.kernel[0] * w.kernel[1], w.channels_in / w.groups,
            w.groups,       w.channels_out / w.groups, of_outputs};
}

template <typename T>
__global__ void __launch_bounds__(THREADS)
    order_kernel(kernel_t k, int64_t count, const T *w, T *ordered)
{
    for (int64_t i = mb_first(); i < count; i += mb_stride())
        ordered[i] = w[k.plain(i)];
}

__global__ void __launch_bounds__(THREADS)
    put_kernel(kernel_t k, int64_t count, bool accumulate, const float *ordered, float *dw)
{
    for (int64_t i = mb_first(); i < count; i += mb_stride()) {
        int64_t at = k.plain(i);
        dw[at] = accumulate ? dw[at] + ordered[i] : ordered[i];
    }
}

/* ---- the convolution of images */

struct volume_t {
    mb_window_t window;   /* of images, for `samples` volumes */
    int64_t samples, lot; /* volumes, and how many at a time */
    int64_t weights;
    size_t weights_bytes, planes_bytes;
    mb_exec_t inner; /* what is left of the workspace */
    char *ordered, *planes;
};

size_t round_256(size_t bytes)
{
    return (bytes + 255) / 256 * 256;
}

/* The lot's part of the window: the last one may be smaller. */
mb_window_t window_of(const volume_t &v, int64_t first, const mb_window_t &w, bool of_outputs)
{
    mb_window_t part = v.window;
    int64_t samples = v.samples - first < v.lot ? v.samples - first : v.lot;
    part.samples = samples * (of_outputs ? w.depth.in : w.depth.out);
    return part;
}

mb_status_t check(mb_op_t op, const mb_window_t &w)
{
    const mb_window_axis_t &d = w.depth;
    int64_t room = d.in + d.pad_before + d.pad_after - ((d.kernel - 1) * d.dilation + 1);
    if (d.stride < 1 || d.dilation < 1)
        return mb_cuda_refuse(op, "a kernel, stride or dilation below one");
    if (room < 0 || d.out != room / d.stride + 1)
        return mb_cuda_refuse(op, "an output size that the geometry does not give");
    if (w.groups < 1 || w.channels_in % w.groups != 0 || w.channels_out % w.groups != 0)
        return mb_cuda_refuse(op, "channels that the groups do not divide");
    return MB_OK;
}

/* The workspace: ordered weights, planes, and behind them the images' own. Planned by the caller's
 * running the images' operation on `inner` and then calling leave. */
mb_status_t enter(mb_exec_t *exec, mb_op_t op, const mb_window_t &w, size_t element_bytes,
                  size_t weight_bytes, bool of_outputs, volume_t *v)
{
    void *workspace = NULL;
    MB_TRY(check(op, w));
    *v = {};
    v->window = w;
    v->window.depth = {};
    int64_t planes = of_outputs ? w.depth.in : w.depth.out;
    int64_t positions = of_outputs ? w.out[0] * w.out[1] : w.in[0] * w.in[1];
    int64_t &channels = of_outputs ? v->window.channels_out : v->window.channels_in;
    channels *= w.depth.kernel;
    v->samples = w.samples;
    int64_t sample = planes * positions * channels * (int64_t)element_bytes;
    v->lot = sample < MOST_BYTES ? MOST_BYTES / (sample < 1 ? 1 : sample) : 1;
    v->lot = v->lot < w.samples ? v->lot : w.samples;
    v->weights = mb_window_taps(&w) * (w.channels_in / w.groups) * w.channels_out;
    v->weights_bytes = round_256((size_t)v->weights * weight_bytes);
    v->planes_bytes = round_256((size_t)(v->lot * sample));
    size_t own = v->weights_bytes + v->planes_bytes;
    MB_TRY(mb_cuda_workspace(exec, op, own, &workspace));
    v->inner = *exec;
    v->inner.workspace_needed = 0;
    if (workspace != NULL) {
        v->ordered = (char *)workspace;
        v->planes = v->ordered + v->weights_bytes;
        v->inner.workspace = v->planes + v->planes_bytes;
        v->inner.workspace_bytes = exec->workspace_bytes - own;
    }
    return MB_OK;
}

void leave(mb_exec_t *exec, const volume_t &v)
{
    size_t needed = v.weights_bytes + v.planes_bytes + v.inner.workspace_needed;
    if (exec->planning && needed > exec->workspace_needed)
        exec->workspace_needed = needed;
}

template <typename T>
mb_status_t order(mb_exec_t *exec, mb_op_t op, const volume_t &v, const kernel_t &k, const void *w)
{
    MB_LAUNCH((order_kernel<T>), mb_cuda_blocks(v.weights, THREADS), THREADS, 0,
              mb_cuda_stream(exec), k, v.weights, (const T *)w, (T *)v.ordered);
    return mb_cuda_launched(op);
}

template <typename T>
mb_status_t forward(mb_exec_t *exec, const mb_conv_forward_args_t *args, volume_t &v)
{
    constexpr mb_op_t op = MB_OP_CONV_FORWARD;
    const mb_window_t &w = args->window;
    if (!exec->planning)
        MB_TRY(order<T>(exec, op, v, kernel_of(w, false), args->w));
    for (int64_t first = 0; first < v.samples; first += v.lot) {
        mb_conv_forward_args_t part = *args;
        part.window = window_of(v, first, w, false);
        part.x = v.planes;
        part.w = v.ordered;
        part.y = (T *)args->y + first * mb_window_out(&w) * w.channels_out;
        if (!exec->planning)
            MB_TRY(gather<T>(exec, op, gather_inputs(w), part.window.samples / w.depth.out,
                             (const T *)args->x + first * mb_window_in(&w) * w.channels_in,
                             v.planes));
        MB_TRY(mb_cuda_conv_forward(&v.inner, &part));
    }
    return MB_OK;
}

template <typename T>
mb_status_t backward_input(mb_exec_t *exec, const mb_conv_backward_input_args_t *args, volume_t &v)
{
    constexpr mb_op_t op = MB_OP_CONV_BACKWARD_INPUT;
    const mb_window_t &w = args->window;
    if (!exec->planning)
        MB_TRY(order<T>(exec, op, v, kernel_of(w, true), args->w));
    for (int64_t first = 0; first < v.samples; first += v.lot) {
        mb_conv_backward_input_args_t part = *args;
        part.window = window_of(v, first, w, true);
        part.dy = v.planes;
        part.w = v.ordered;
        part.dx = (T *)args->dx + first * mb_window_in(&w) * w.channels_in;
        if (!exec->planning)
            MB_TRY(gather<T>(exec, op, gather_outputs(w), part.window.samples / w.depth.in,
                             (const T *)args->dy + first * mb_window_out(&w) * w.channels_out,
                             v.planes));
        MB_TRY(mb_cuda_conv_backward_input(&v.inner, &part));
    }
    return MB_OK;
}

template <typename T>
mb_status_t backward_weights(mb_exec_t *exec, const mb_conv_backward_weights_args_t *args,
                             volume_t &v)
{
    constexpr mb_op_t op = MB_OP_CONV_BACKWARD_WEIGHTS;
    const mb_window_t &w = args->window;
    for (int64_t first = 0; first < v.samples; first += v.lot) {
        mb_conv_backward_weights_args_t part = *args;
        part.window = window_of(v, first, w, false);
        part.x = v.planes;
        part.dy = (const T *)args->dy + first * mb_window_out(&w) * w.channels_out;
        part.dw = (float *)v.ordered;
        part.accumulate = first > 0;
        part.dbias = NULL; /* the caller's */
        if (!exec->planning)
            MB_TRY(gather<T>(exec, op, gather_inputs(w), part.window.samples / w.depth.out,
                             (const T *)args->x + first * mb_window_in(&w) * w.channels_in,
                             v.planes));
        MB_TRY(mb_cuda_conv_backward_weights(&v.inner, &part));
    }
    return MB_OK;
}

mb_status_t put_weights(mb_exec_t *exec, const mb_conv_backward_weights_args_t *args,
                        const volume_t &v)
{
    MB_LAUNCH(put_kernel, mb_cuda_blocks(v.weights, THREADS), THREADS, 0, mb_cuda_stream(exec),
              kernel_of(args->window, false), v.weights, args->accumulate, (const float *)v.ordered,
              args->dw);
    return mb_cuda_launched(MB_OP_CONV_BACKWARD_WEIGHTS);
}

} // namespace

mb_status_t mb_cuda_volume_forward(mb_exec_t *exec, const mb_conv_forward_args_t *args)
{
    volume_t v;
    size_t bytes = mb_dtype_bytes(args->type);
    MB_TRY(enter(exec, MB_OP_CONV_FORWARD, args->window, bytes, bytes, false, &v));
    auto run = [&]() -> mb_status_t {
        MB_CUDA_TYPED(MB_OP_CONV_FORWARD, args->type, return forward<T>(exec, args, v));
    };
    MB_TRY(run());
    leave(exec, v);
    return MB_OK;
}

mb_status_t mb_cuda_volume_backward_input(mb_exec_t *exec,
                                          const mb_conv_backward_input_args_t *args)
{
    volume_t v;
    size_t bytes = mb_dtype_bytes(args->type);
    MB_TRY(enter(exec, MB_OP_CONV_BACKWARD_INPUT, args->window, bytes, bytes, true, &v));
    auto run = [&]() -> mb_status_t {
        MB_CUDA_TYPED(MB_OP_CONV_BACKWARD_INPUT, args->type,
                      return backward_input<T>(exec, args, v));
    };
    MB_TRY(run());
    leave(exec, v);
    return MB_OK;
}

mb_status_t mb_cuda_volume_backward_weights(mb_exec_t *exec,
                                            const mb_conv_backward_weights_args_t *args)
{
    volume_t v;
    MB_TRY(enter(exec, MB_OP_CONV_BACKWARD_WEIGHTS, args->window, mb_dtype_bytes(args->type),
                 sizeof(float), false, &v));
    auto run = [&]() -> mb_status_t {
        MB_CUDA_TYPED(MB_OP_CONV_BACKWARD_WEIGHTS, args->type,
                      return backward_weights<T>(exec, args, v));
    };
    MB_TRY(run());
    leave(exec, v);
    return exec->planning ? MB_OK : put_weights(exec, args, v);
}
