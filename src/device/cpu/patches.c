/* What each position of a window sees, as rows of a matrix. */
#include "device/cpu/patches.h"
#include <string.h>

static void copy(float *to, const float *from, int64_t count)
{
    memcpy(to, from, sizeof *to * (size_t)count);
}

static void clear(float *to, int64_t count)
{
    memset(to, 0, sizeof *to * (size_t)count);
}

/* One row of the kernel, whose input row begins at X; IW is the first column that it looks at. */
static void patch_row(const mb_window_t *w, const float *x, int64_t iw, int64_t channels,
                      float *out)
{
    int64_t kw = w->kernel[1], step = w->dilation[1];
    if (iw >= 0 && iw + kw <= w->in[1] && step == 1 && channels == w->channels_in) {
        copy(out, x + iw * channels, kw * channels);
        return;
    }
    for (int64_t j = 0; j < kw; j++, iw += step, out += channels) {
        if (iw >= 0 && iw < w->in[1])
            copy(out, x + iw * w->channels_in, channels);
        else
            clear(out, channels);
    }
}

void mb_patch(const mb_window_t *w, const float *x, int64_t oh, int64_t ow, int64_t first,
              int64_t channels, float *out)
{
    int64_t ih = oh * w->stride[0] - w->pad_before[0], iw = ow * w->stride[1] - w->pad_before[1];
    int64_t row = w->kernel[1] * channels;
    for (int64_t i = 0; i < w->kernel[0]; i++, ih += w->dilation[0], out += row) {
        if (ih >= 0 && ih < w->in[0])
            patch_row(w, x + ih * w->in[1] * w->channels_in + first, iw, channels, out);
        else
            clear(out, row);
    }
}

mb_status_t mb_window_check(mb_op_t op, const mb_window_t *w)
{
    MB_CPU_CHECK(op, w->samples >= 0, "negative number of samples");
    MB_CPU_CHECK(op, !mb_window_is_volume(w), "a window over volumes");
    MB_CPU_CHECK(
        op, w->groups >= 1 && w->channels_in % w->groups == 0 && w->channels_out % w->groups == 0,
        "channels that the groups do not divide");
    for (int i = 0; i < 2; i++) {
        MB_CPU_CHECK(op, w->kernel[i] >= 1 && w->stride[i] >= 1 && w->dilation[i] >= 1,
                     "a kernel, stride or dilation below one");
        int64_t reach = (w->kernel[i] - 1) * w->dilation[i] + 1;
        int64_t room = w->in[i] + w->pad_before[i] + w->pad_after[i] - reach;
        MB_CPU_CHECK(op, room >= 0 && w->out[i] == room / w->stride[i] + 1,
                     "an output size that the geometry does not give");
    }
    return MB_OK;
}

static void patches_tile(void *context, int64_t oh, int thread)
{
    (void)thread;
    const mb_patches_args_t *a = context;
    const mb_window_t *w = &a->window;
    int64_t row = w->kernel[0] * w->kernel[1] * w->channels_in;
    for (int64_t ow = 0; ow < w->out[1]; ow++)
        mb_patch(w, a->x, oh, ow, 0, w->channels_in, a->y + (oh * w->out[1] + ow) * row);
}

mb_status_t mb_cpu_patches(mb_exec_t *exec, const mb_patches_args_t *args)
{
    MB_TRY(mb_window_check(MB_OP_PATCHES, &args->window));
    MB_CPU_CHECK(MB_OP_PATCHES, args->window.samples == 1 && args->window.groups == 1,
                 "more than one sample or group");
    if (exec->planning)
        return MB_OK;
    mb_patches_args_t a = *args;
    mb_cpu_tiles(exec, a.window.out[0], patches_tile, &a);
    return MB_OK;
}
