/* See window.h. */
#include "cudasim/ops/window.h"

#include <utility>

/* Channels in groups of whole vectors, of anything, and as many groups as channels (depthwise, with
 * and without several outputs a channel). */
static void choose_channels(bench &bench, mb_window_t *w)
{
    int64_t kind = bench.integer(0, 5);
    if (kind <= 2) {
        w->groups = bench.one_in(4) ? bench.integer(2, 3) : 1;
        w->channels_in = 8 * bench.integer(1, kind == 2 ? 20 : 5) * w->groups;
        w->channels_out = 8 * bench.integer(1, kind == 1 ? 20 : 5) * w->groups;
    } else if (kind == 3) {
        w->groups = bench.integer(1, 3);
        w->channels_in = bench.integer(1, 9) * w->groups;
        w->channels_out = bench.integer(1, 70) * w->groups;
    } else {
        w->groups = kind == 4 ? bench.integer(2, 40) : 8 * bench.integer(1, 6);
        w->channels_in = w->groups;
        w->channels_out = w->groups * (kind == 4 && bench.coin() ? bench.integer(2, 3) : 1);
    }
}

/* False: the kernel is larger than what it moves over. */
static bool choose_axis(bench &bench, mb_window_t *w, int i)
{
    w->in[i] = bench.integer(1, 18);
    w->kernel[i] = bench.integer(1, 5);
    w->stride[i] = bench.coin() ? 1 : bench.integer(1, 4);
    w->dilation[i] = bench.one_in(3) ? bench.integer(1, 3) : 1;
    w->pad_before[i] = bench.integer(0, 3);
    w->pad_after[i] = bench.integer(0, 3);
    int64_t room = w->in[i] + w->pad_before[i] + w->pad_after[i];
    room -= (w->kernel[i] - 1) * w->dilation[i] + 1;
    w->out[i] = room / w->stride[i] + 1;
    return room >= 0;
}

mb_window_t some_window(bench &bench)
{
    mb_window_t w = {};
    w.samples = bench.integer(1, 3);
    choose_channels(bench, &w);
    for (int i = 0; i < 2; i++)
        while (!choose_axis(bench, &w, i))
            continue;
    if (bench.one_in(5)) {
        w.in[0] = w.out[0] = w.kernel[0] = w.stride[0] = w.dilation[0] = 1;
        w.pad_before[0] = w.pad_after[0] = 0;
    }
    return w;
}

mb_window_t some_volume(bench &bench)
{
    mb_window_t w = some_window(bench);
    mb_window_axis_t &d = w.depth;
    int64_t room = -1;
    while (room < 0) {
        d = {bench.integer(1, 6), 0,
             bench.integer(1, 4), bench.integer(1, 3),
             bench.integer(1, 2), bench.integer(0, 3),
             bench.integer(0, 3)};
        room = d.in + d.pad_before + d.pad_after - (d.kernel - 1) * d.dilation - 1;
    }
    d.out = room / d.stride + 1;
    return w;
}

mb_window_t some_large_window(bench &bench)
{
    bool wide = bench.coin();
    mb_window_t w = {1, 16, wide ? 136 : 40, 1, {}, {}, {1, 1}, {1, 1}, {1, 1}, {}, {}, {}};
    if (bench.coin())
        std::swap(w.channels_in, w.channels_out);
    w.in[0] = w.out[0] = wide ? 97 : 128;
    w.in[1] = w.out[1] = wide ? 81 : 121;
    if (bench.coin()) {
        w.kernel[1] = 2;
        w.pad_before[1] = 1;
    }
    return w;
}

void describe_window(bench &bench, const mb_window_t &w, const char *more)
{
    bench.describe("%lld of %lld x %lld x %lld to %lld x %lld x %lld, %lld groups, kernel %lld "
                   "%lld, stride %lld %lld, dilation %lld %lld, padding %lld %lld and %lld %lld%s",
                   (long long)w.samples, (long long)w.in[0], (long long)w.in[1],
                   (long long)w.channels_in, (long long)w.out[0], (long long)w.out[1],
                   (long long)w.channels_out, (long long)w.groups, (long long)w.kernel[0],
                   (long long)w.kernel[1], (long long)w.stride[0], (long long)w.stride[1],
                   (long long)w.dilation[0], (long long)w.dilation[1], (long long)w.pad_before[0],
                   (long long)w.pad_before[1], (long long)w.pad_after[0], (long long)w.pad_after[1],
                   more);
}
