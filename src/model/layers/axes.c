/* See axes.h. */
#include "model/layers/axes.h"

#include <inttypes.h>

#include "model/layers/layers.h"

static mb_status_t refuse(const mb_config_t *config)
{
    return mb_error_set(MB_ERR_FORMAT, "%s: key 'axis' must be an integer or a list of 1 to %d",
                        config->where, MB_MAX_RANK);
}

mb_status_t mb_axes_take(mb_config_t *config, mb_axes_t *out)
{
    const json_t *value = mb_config_take(config, "axis");
    *out = (mb_axes_t){1, {-1}};
    if (value == NULL || json_is_null(value))
        return MB_OK;
    bool list = json_is_array(value);
    out->n = list ? (int)json_array_size(value) : 1;
    if (out->n < 1 || out->n > MB_MAX_RANK)
        return refuse(config);
    for (int i = 0; i < out->n; i++) {
        const json_t *item = list ? json_array_get(value, (size_t)i) : value;
        if (!json_is_integer(item))
            return refuse(config);
        out->axis[i] = json_integer_value(item);
    }
    return MB_OK;
}

static int64_t place_of(const mb_axes_t *axes, const mb_call_t *call, int i)
{
    return axes->axis[i] < 0 ? axes->axis[i] + call->inputs[0].rank + 1 : axes->axis[i];
}

mb_status_t mb_axes_check(const mb_axes_t *axes, const mb_call_t *call, uint32_t *bits)
{
    *bits = 0;
    for (int i = 0; i < axes->n; i++) {
        int64_t place = place_of(axes, call, i);
        if (place < 1 || place > call->inputs[0].rank)
            return mb_call_error(call, MB_ERR_SHAPE,
                                 "key 'axis': axis %" PRId64 " is not an axis within a sample of "
                                 "%d dimensions",
                                 axes->axis[i], call->inputs[0].rank);
        if (*bits >> place & 1)
            return mb_call_error(call, MB_ERR_SHAPE, "key 'axis': axis %" PRId64 " stands twice",
                                 axes->axis[i]);
        *bits |= UINT32_C(1) << place;
    }
    return MB_OK;
}

uint32_t mb_axes_bits(const mb_axes_t *axes, const mb_call_t *call)
{
    uint32_t bits = 0;
    for (int i = 0; i < axes->n; i++)
        bits |= UINT32_C(1) << place_of(axes, call, i);
    return bits;
}

bool mb_axes_are_last(uint32_t bits, int rank)
{
    uint32_t all = (UINT32_C(1) << (rank + 1)) - 1, below = all & ~bits;
    return (below & (below + 1)) == 0;
}
