/* What each position of a window sees, as rows of a matrix: a thread writes 16 bytes of a row at a
 * time, or one number where channels are no whole 16 bytes. Bound by memory. */
#include "conv.h"

namespace
{

constexpr int THREADS = 256;

struct patches_t {
    int64_t count; /* of packs */
    divider_t packs, depth, out_w, kernel_w;
    int stride_h, stride_w, step_h, step_w, pad_h, pad_w, in_h, in_w, channels;
};

patches_t patches_of(const mb_window_t &w, int width)
{
    int64_t packs = w.channels_in / width, taps = w.kernel[0] * w.kernel[1];
    patches_t p = {};
    p.count = w.out[0] * w.out[1] * taps * packs;
    p.packs = divider_of(packs);
    p.depth = divider_of(taps);
    p.out_w = divider_of(w.out[1]);
    p.kernel_w = divider_of(w.kernel[1]);
    p.stride_h = (int)w.stride[0];
    p.stride_w = (int)w.stride[1];
    p.step_h = (int)w.dilation[0];
    p.step_w = (int)w.dilation[1];
    p.pad_h = (int)w.pad_before[0];
    p.pad_w = (int)w.pad_before[1];
    p.in_h = (int)w.in[0];
    p.in_w = (int)w.in[1];
    p.channels = (int)w.channels_in;
    return p;
}

__device__ inline int rest_of(int n, int quotient, const divider_t &d)
{
    return n - quotient * (int)d.divisor;
}

template <int W>
__global__ void __launch_bounds__(THREADS) patches_kernel(patches_t p, const float *x, float *y)
{
    for (int64_t i = mb_first(); i < p.count; i += mb_stride()) {
        int row = divide((int)i, p.packs), pack = rest_of((int)i, row, p.packs);
        int position = divide(row, p.depth), tap = rest_of(row, position, p.depth);
        int oh = divide(position, p.out_w), ow = rest_of(position, oh, p.out_w);
        int kh = divide(tap, p.kernel_w), kw = rest_of(tap, kh, p.kernel_w);
        int h = oh * p.stride_h - p.pad_h + kh * p.step_h;
        int w = ow * p.stride_w - p.pad_w + kw * p.step_w;
        float value[W] = {};
        if ((unsigned)h < (unsigned)p.in_h && (unsigned)w < (unsigned)p.in_w)
            mb_load_pack(x + (int64_t)(h * p.in_w + w) * p.channels + pack * W, value);
        mb_store_pack(y + i * W, value);
    }
}

} // namespace

extern "C" mb_status_t mb_cuda_patches(mb_exec_t *exec, const mb_patches_args_t *args)
{
    const mb_window_t &w = args->window;
    MB_TRY(window_check(MB_OP_PATCHES, w));
    if (w.samples != 1 || w.groups != 1)
        return mb_cuda_refuse(MB_OP_PATCHES, "more than one sample or group");
    bool wide = w.channels_in % 4 == 0;
    patches_t p = patches_of(w, wide ? 4 : 1);
    if (p.count >= (INT64_C(1) << 31) - 256)
        return mb_cuda_refuse(MB_OP_PATCHES, "2^31 numbers");
    if (exec->planning || p.count == 0)
        return MB_OK;
    unsigned blocks = mb_cuda_blocks(p.count, THREADS);
    if (wide)
        MB_LAUNCH(patches_kernel<4>, blocks, THREADS, 0, mb_cuda_stream(exec), p, args->x, args->y);
    else
        MB_LAUNCH(patches_kernel<1>, blocks, THREADS, 0, mb_cuda_stream(exec), p, args->x, args->y);
    return mb_cuda_launched(MB_OP_PATCHES);
}
