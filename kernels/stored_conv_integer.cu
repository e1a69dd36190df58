/* Convolution with int8 weights in whole numbers (stored_integer.h). Each sample is quantized by
 * itself: blocks find ranges of its parts, the parts are united, and it is encoded into an image
 * with the padding around it, where the number that stands for zero is. What positions see in those
 * images is one operand of a product by tiles, as in conv_forward.cu. Bound by the products. */
#include "conv.h"
#include "stored_conv.h"
#include "stored_integer.h"

namespace
{

/* An image with its padding, in bytes; images begin at multiples of 16. */
struct image_t {
    int64_t samples, elements, stride; /* elements: of a sample of x; stride: of an image */
    int bytes, in_h, in_w, pad_h, pad_w;
    divider_t channels, width;
};

image_t image_of(const mb_window_t &w)
{
    int64_t height = w.in[0] + w.pad_before[0] + w.pad_after[0];
    int64_t width = w.in[1] + w.pad_before[1] + w.pad_after[1];
    image_t i = {};
    i.samples = w.samples;
    i.elements = w.in[0] * w.in[1] * w.channels_in;
    i.stride = mb_ceil_div(height * width * w.channels_in, 16) * 16;
    i.bytes = (int)(height * width * w.channels_in);
    i.in_h = (int)w.in[0];
    i.in_w = (int)w.in[1];
    i.pad_h = (int)w.pad_before[0];
    i.pad_w = (int)w.pad_before[1];
    i.channels = divider_of(w.channels_in);
    i.width = divider_of(width);
    return i;
}

/* The same convolution over images that have their padding already. */
mb_window_t padded_window(const mb_window_t &w)
{
    mb_window_t p = w;
    for (int i = 0; i < 2; i++) {
        p.in[i] += w.pad_before[i] + w.pad_after[i];
        p.pad_before[i] = p.pad_after[i] = 0;
    }
    return p;
}

struct conv_plan_t {
    int64_t parts;                /* of a sample */
    size_t images, ranges, codes; /* bytes */
};

size_t round_256(int64_t bytes)
{
    return ((size_t)bytes + 255) / 256 * 256;
}

conv_plan_t plan_of(const image_t &i)
{
    constexpr int64_t PART = 32768, MOST = 256;
    int64_t parts = mb_ceil_div(i.elements, PART);
    conv_plan_t p = {};
    p.parts = parts > MOST ? MOST : parts;
    p.images = round_256(i.samples * i.stride);
    p.ranges = round_256(i.samples * p.parts * (int64_t)sizeof(range_t));
    p.codes = round_256(i.samples * (int64_t)sizeof(row_code_t));
    return p;
}

/* ---- encoding */

template <typename T>
__global__ void __launch_bounds__(RANGE_THREADS)
    range_kernel(int64_t elements, int64_t parts, const T *x, range_t *ranges)
{
    int64_t sample = blockIdx.x / parts, part = blockIdx.x % parts;
    const T *from = x + sample * elements;
    range_t range = empty_range();
    for (int64_t i = part * RANGE_THREADS + threadIdx.x; i < elements; i += parts * RANGE_THREADS)
        widen_by(range, mb_load(from, i));
    range = range_of_block(range);
    if (threadIdx.x == 0)
        ranges[blockIdx.x] = range;
}

__global__ void __launch_bounds__(RANGE_THREADS)
    code_kernel(int64_t parts, const range_t *ranges, row_code_t *codes)
{
    range_t range = empty_range();
    for (int64_t i = threadIdx.x; i < parts; i += RANGE_THREADS)
        range = united(range, ranges[blockIdx.x * parts + i]);
    range = range_of_block(range);
    if (threadIdx.x == 0)
        codes[blockIdx.x] = code_of(range);
}

/* One byte of an image of which X is the sample. */
template <typename T>
__device__ inline uint32_t encode_byte(const image_t &image, const T *x, const row_code_t &code,
                                       float inverse, int at)
{
    int pixel = divide(at, image.channels), line = divide(pixel, image.width);
    int h = line - image.pad_h, w = pixel - line * (int)image.width.divisor - image.pad_w;
    if ((unsigned)h >= (unsigned)image.in_h || (unsigned)w >= (unsigned)image.in_w)
        return (uint32_t)code.zero & 0xFFu;
    if (!(code.scale > 0.0f))
        return 0;
    int channel = at - pixel * (int)image.channels.divisor;
    int64_t from = (int64_t)(h * image.in_w + w) * (int)image.channels.divisor + channel;
    return encode(mb_load(x, from), inverse, code.zero);
}

/* Four bytes a thread at a time; BLOCKS of them for a sample. */
template <typename T>
__global__ void __launch_bounds__(RANGE_THREADS)
    encode_kernel(image_t image, unsigned blocks, const T *x, const row_code_t *codes,
                  uint8_t *images)
{
    int64_t sample = blockIdx.x / blocks;
    row_code_t code = codes[sample];
    float inverse = code.scale > 0.0f ? __fdiv_rn(1.0f, code.scale) : 0.0f;
    uint32_t *to = reinterpret_cast<uint32_t *>(images + sample * image.stride);
    x += sample * image.elements;
    int first = (int)(blockIdx.x % blocks * RANGE_THREADS + threadIdx.x);
    for (int i = first; 4 * (int64_t)i < image.stride; i += (int)blocks * RANGE_THREADS) {
        uint32_t word = 0;
        for (int j = 0; j < 4 && 4 * (int64_t)i + j < image.bytes; j++)
            word |= encode_byte(image, x, code, inverse, 4 * i + j) << 8 * j;
        to[i] = word;
    }
}

/* ---- the product */

template <typename TILE, int VEC, typename T>
__global__ void __launch_bounds__(TILE::THREADS, TILE::THREADS == 128 ? 2 : 1)
    conv_kernel(forward_t f, stored_t s, const uint8_t *images, const row_code_t *codes,
                const int32_t *column_sums, const float *bias, T *y)
{
    MB_SHARED_DYNAMIC(uint8_t, shared);
    __shared__ corner_t corners[TILE::M];
    int first = (int)blockIdx.x / f.tiles_n * TILE::M;
    int column = (int)blockIdx.x % f.tiles_n * TILE::N;
    for (int i = (int)threadIdx.x; i < TILE::M; i += TILE::THREADS)
        corners[i] = corner_of(f, first + i);
    __syncthreads();
    int64_t group = (int64_t)blockIdx.y * f.columns;
    copier_of_a<TILE, VEC, window_source_t<uint8_t>> left = {};
    left.source.x = images + (int64_t)blockIdx.y * (int)f.taps.channels.divisor;
    left.source.corners = corners;
    left.source.taps = &f.taps;
    byte_loader_t<TILE> right(s, group + column, group + f.columns, f.depth);
    tile_sum_t<TILE> sum;
    tile_multiply(sum, shared, left, right, 0, f.depth);
    sum.each_pair([&](int r, int c, const int32_t *pair) {
        if (first + r >= f.positions)
            return;
        row_code_t code = codes[divide(first + r, f.out_hw)];
        for (int i = 0; i < 2 && column + c + i < f.columns; i++) {
            int64_t at = group + column + c + i;
            column_scale_t scale = column_scale_of(s, column_sums, bias, at);
            mb_store(y, (first + r) * f.channels_out + at, scaled(pair[i], code, scale));
        }
    });
}

template <typename T, int M, int VEC>
mb_status_t launch(mb_exec_t *exec, const mb_stored_conv_args_t *args, const uint8_t *images,
                   const row_code_t *codes)
{
    using TILE = byte_tile_t<M, 64>;
    forward_t f = forward_of(padded_window(args->window), TILE::N);
    f.image = image_of(args->window).stride;
    auto *kernel = conv_kernel<TILE, VEC, T>;
    MB_TRY(ask_for_shared(kernel, TILE::BYTES));
    dim3 grid((unsigned)(mb_ceil_div(f.positions, M) * f.tiles_n), (unsigned)args->window.groups);
    MB_LAUNCH(kernel, grid, TILE::THREADS, TILE::BYTES, mb_cuda_stream(exec), f, stored_of(args->w),
              images, codes, args->w.column_sums, args->bias, (T *)args->y);
    return mb_cuda_launched(MB_OP_STORED_CONV);
}

template <typename T>
mb_status_t run(mb_exec_t *exec, const mb_stored_conv_args_t *args, const image_t &image,
                const conv_plan_t &p, char *workspace)
{
    const mb_window_t &w = args->window;
    uint8_t *images = (uint8_t *)workspace;
    range_t *ranges = (range_t *)(workspace + p.images);
    row_code_t *codes = (row_code_t *)(workspace + p.images + p.ranges);
    cudaStream_t stream = mb_cuda_stream(exec);
    MB_LAUNCH(range_kernel<T>, (unsigned)(w.samples * p.parts), RANGE_THREADS, 0, stream,
              image.elements, p.parts, (const T *)args->x, ranges);
    MB_LAUNCH(code_kernel, (unsigned)w.samples, RANGE_THREADS, 0, stream, p.parts,
              (const range_t *)ranges, codes);
    unsigned blocks = (unsigned)mb_ceil_div(image.stride / 4, 8 * RANGE_THREADS);
    MB_LAUNCH(encode_kernel<T>, (unsigned)w.samples * blocks, RANGE_THREADS, 0, stream, image,
              blocks, (const T *)args->x, (const row_code_t *)codes, images);
    MB_TRY(mb_cuda_launched(MB_OP_STORED_CONV));
    if (w.channels_in / w.groups % 16 != 0)
        return launch<T, 64, 1>(exec, args, images, codes);
    tile_size_t size = choose_tile(window_positions(w), w.channels_out / w.groups, w.groups);
    return size == TILE_64_64 ? launch<T, 64, 16>(exec, args, images, codes)
                              : launch<T, 128, 16>(exec, args, images, codes);
}

} // namespace

mb_status_t mb_cuda_stored_conv_integer(mb_exec_t *exec, const mb_stored_conv_args_t *args)
{
    const mb_window_t padded = padded_window(args->window);
    if (padded.in[0] * padded.in[1] * padded.channels_in >= INT64_C(1) << 31)
        return mb_cuda_refuse(MB_OP_STORED_CONV, "a sample of 2^31 numbers");
    image_t image = image_of(args->window);
    conv_plan_t p = plan_of(image);
    void *workspace;
    MB_TRY(mb_cuda_workspace(exec, MB_OP_STORED_CONV, p.images + p.ranges + p.codes, &workspace));
    if (exec->planning)
        return MB_OK;
    MB_CUDA_TYPED(MB_OP_STORED_CONV, args->type,
                  return run<T>(exec, args, image, p, (char *)workspace));
}
