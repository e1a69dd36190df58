/* See offload.h. */
#include "train/offload.h"

#include <string.h>

static bool take(const char **text, const char *word)
{
    size_t length = strlen(word);
    if (strncmp(*text, word, length) != 0 || ((*text)[length] != ',' && (*text)[length] != '\0'))
        return false;
    *text += length + ((*text)[length] == ',' ? 1 : 0);
    return true;
}

mb_status_t mb_offload_read(const mb_settings_t *settings, mb_offload_t *out)
{
    const char *text = mb_settings_text(settings, MB_SET_OFFLOAD), *rest = text;
    *out = (mb_offload_t){.moments = false};
    if (strcmp(text, "none") == 0)
        return MB_OK;
    out->activations = take(&rest, "activations");
    out->moments = take(&rest, "moments");
    if (*rest == '\0' && (out->activations || out->moments))
        return MB_OK;
    return mb_error_set(MB_ERR_ARGUMENT,
                        "offload=%s: there are none, activations (what micro-batches in flight "
                        "keep), moments (the optimizer's state), and activations,moments",
                        text);
}

mb_status_t mb_offload_check(mb_device_t *device, const mb_offload_t *offload)
{
    if ((!offload->activations && !offload->moments) || !device->class_->host_visible(device))
        return MB_OK;
    return mb_error_set(MB_ERR_UNSUPPORTED,
                        "offload=%s: device %s computes in host memory, so there is nowhere to "
                        "take them; leave --offload out, or use %s, or --device cuda",
                        !offload->moments       ? "activations"
                        : !offload->activations ? "moments"
                                                : "activations,moments",
                        device->class_->name,
                        offload->activations ? "--recompute" : "--zero 1 over groups of ranks");
}
