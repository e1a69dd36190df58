/* Window geometry as Keras defines it, with e = (size - 1) dilation + 1 over n positions, stride s:
 *     valid    out = (n - e) / s + 1, no padding
 *     same     out = ceil(n / s), padding max(0, (out - 1) s + e - n), the odd one behind
 *     causal   out = ceil(n / s), padding e - 1 in front */
#include "model/layers/window.h"

#include <inttypes.h>
#include <string.h>

typedef struct {
    int64_t out, before, after;
} axis_t;

static axis_t axis_of(const mb_window_config_t *window, int axis, int64_t n)
{
    int64_t extent = (window->size[axis] - 1) * window->dilation[axis] + 1;
    int64_t stride = window->stride[axis];
    if (window->padding == MB_PADDING_VALID)
        return (axis_t){n < extent ? 0 : (n - extent) / stride + 1, 0, 0};
    int64_t out = (n + stride - 1) / stride;
    if (window->padding == MB_PADDING_CAUSAL)
        return (axis_t){out, extent - 1, 0};
    int64_t total = (out - 1) * stride + extent - n;
    if (total < 0)
        total = 0;
    return (axis_t){out, total / 2, total - total / 2};
}

mb_status_t mb_window_take_sizes(mb_config_t *config, const char *key, int spatial, int64_t most,
                                 const int64_t otherwise[MB_MAX_SPATIAL],
                                 int64_t out[MB_MAX_SPATIAL])
{
    int first = MB_MAX_SPATIAL - spatial;
    for (int i = 0; i < MB_MAX_SPATIAL; i++)
        out[i] = i < first ? 1 : otherwise[i];
    if (mb_config_has(config, key))
        MB_TRY(mb_config_ints(config, key, spatial, 1, out + first));
    mb_config_take(config, key);
    for (int i = 0; i < MB_MAX_SPATIAL; i++) {
        if (out[i] > most)
            return mb_error_set(MB_ERR_UNSUPPORTED,
                                "%s: key '%s' is %" PRId64 ", more than %" PRId64, config->where,
                                key, out[i], most);
    }
    return MB_OK;
}

static mb_status_t take_padding(mb_config_t *config, bool causal, mb_padding_t *out)
{
    const char *text;
    MB_TRY(mb_config_string_or(config, "padding", "valid", &text));
    if (strcmp(text, "valid") == 0)
        *out = MB_PADDING_VALID;
    else if (strcmp(text, "same") == 0)
        *out = MB_PADDING_SAME;
    else if (causal && strcmp(text, "causal") == 0)
        *out = MB_PADDING_CAUSAL;
    else
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "%s: key 'padding' is \"%s\"; this build obeys \"valid\"%s \"same\"%s",
                            config->where, text, causal ? "," : " and",
                            causal ? " and \"causal\"" : "");
    return MB_OK;
}

mb_status_t mb_window_take(mb_config_t *config, const char *size_key, int spatial,
                           bool stride_is_size, bool causal, mb_window_config_t *out)
{
    static const int64_t ones[MB_MAX_SPATIAL] = {1, 1, 1};
    const int64_t *strides = stride_is_size ? out->size : ones;
    int64_t none;
    out->spatial = spatial;
    if (!mb_config_has(config, size_key))
        MB_TRY(mb_config_ints(config, size_key, spatial, 1, &none));
    MB_TRY(mb_window_take_sizes(config, size_key, spatial, MB_LAYER_MAX_WINDOW, ones, out->size));
    MB_TRY(mb_window_take_sizes(config, "strides", spatial, MB_LAYER_MAX_WINDOW, strides,
                                out->stride));
    memcpy(out->dilation, ones, sizeof(ones));
    if (!stride_is_size)
        MB_TRY(mb_window_take_sizes(config, "dilation_rate", spatial, MB_LAYER_MAX_WINDOW, ones,
                                    out->dilation));
    return take_padding(config, causal, &out->padding);
}

mb_status_t mb_window_infer(const mb_window_config_t *window, mb_call_t *call, int64_t channels)
{
    char text[MB_SHAPE_TEXT];
    int spatial = window->spatial;
    MB_TRY(mb_call_expect_rank(call, spatial + 1));
    mb_call_keep_shape(call);
    call->output.dim[spatial] = channels;
    for (int i = 0; i < spatial; i++) {
        int64_t n = call->inputs[0].dim[i];
        if (n == MB_OPEN)
            continue;
        call->output.dim[i] = axis_of(window, i + MB_MAX_SPATIAL - spatial, n).out;
        if (call->output.dim[i] == 0)
            return mb_call_error(call, MB_ERR_SHAPE, "its window is larger than its input %s",
                                 mb_shape_text(&call->inputs[0], text, sizeof(text)));
    }
    return MB_OK;
}

void mb_window_put_axis(mb_window_t *window, int axis, const mb_window_axis_t *values)
{
    if (axis == 0) {
        window->depth = *values;
        return;
    }
    window->in[axis - 1] = values->in;
    window->out[axis - 1] = values->out;
    window->kernel[axis - 1] = values->kernel;
    window->stride[axis - 1] = values->stride;
    window->dilation[axis - 1] = values->dilation;
    window->pad_before[axis - 1] = values->pad_before;
    window->pad_after[axis - 1] = values->pad_after;
}

mb_window_t mb_window_geometry(const mb_window_config_t *window, const mb_call_t *call,
                               int64_t samples)
{
    mb_window_t geometry = {.samples = samples,
                            .channels_in = mb_shape_columns(&call->inputs[0]),
                            .channels_out = mb_shape_columns(&call->output),
                            .groups = 1};
    int missing = MB_MAX_SPATIAL - window->spatial;
    for (int i = window->spatial == MB_MAX_SPATIAL ? 0 : 1; i < MB_MAX_SPATIAL; i++) {
        int64_t n = i < missing ? 1 : call->inputs[0].dim[i - missing];
        axis_t axis = axis_of(window, i, n);
        mb_window_axis_t values = {
            n,           axis.out,  window->size[i], window->stride[i], window->dilation[i],
            axis.before, axis.after};
        mb_window_put_axis(&geometry, i, &values);
    }
    return geometry;
}

double mb_window_positions(const mb_window_config_t *window)
{
    return (double)window->size[0] * (double)window->size[1] * (double)window->size[2];
}
