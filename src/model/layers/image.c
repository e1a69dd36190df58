/* See image.h. */
#include "model/layers/image.h"

#include <string.h>

mb_status_t mb_image_take_format(mb_config_t *config, bool *channels_first)
{
    const char *format;
    MB_TRY(mb_config_string_or(config, "data_format", "channels_last", &format));
    *channels_first = strcmp(format, "channels_first") == 0;
    if (*channels_first || strcmp(format, "channels_last") == 0)
        return MB_OK;
    return mb_error_set(MB_ERR_ARGUMENT, "%s: key 'data_format' is '%s'", config->where, format);
}

mb_image_t mb_image_of(const mb_shape_t *shape, bool channels_first)
{
    const int64_t *dim = shape->dim;
    if (channels_first)
        return (mb_image_t){dim[0], {dim[1], dim[2]}, 1};
    return (mb_image_t){1, {dim[0], dim[1]}, dim[2]};
}

mb_status_t mb_image_infer(mb_call_t *call, bool channels_first, const int64_t *size)
{
    MB_TRY(mb_call_expect_rank(call, 3));
    mb_call_keep_shape(call);
    for (int i = 0; i < 2 && size != NULL; i++)
        call->output.dim[i + channels_first] = size[i];
    return MB_OK;
}
