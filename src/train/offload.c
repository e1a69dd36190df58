/* See offload.h. */
#include "train/offload.h"

#include <string.h>

mb_status_t mb_offload_read(const mb_settings_t *settings, bool *moments)
{
    const char *text = mb_settings_text(settings, MB_SET_OFFLOAD);
    *moments = strcmp(text, "moments") == 0;
    if (*moments || strcmp(text, "none") == 0)
        return MB_OK;
    return mb_error_set(MB_ERR_ARGUMENT,
                        "offload=%s: there are none and moments (the optimizer's state in host "
                        "memory); activations are kept less of by --recompute",
                        text);
}

mb_status_t mb_offload_check(mb_device_t *device, bool moments)
{
    if (!moments || !device->class_->host_visible(device))
        return MB_OK;
    return mb_error_set(MB_ERR_UNSUPPORTED,
                        "offload=moments: device %s computes in host memory, so there is nowhere "
                        "to take the moments; leave --offload out, or use --zero 1 over groups of "
                        "ranks, or --device cuda",
                        device->class_->name);
}
