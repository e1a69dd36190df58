/* What a run keeps in host memory that its device works on: `--offload`. */
#ifndef MB_TRAIN_OFFLOAD_H
#define MB_TRAIN_OFFLOAD_H

#include "device/device.h"
#include "train/settings.h"

typedef struct {
    bool activations, moments;
} mb_offload_t;

/* MB_ERR_ARGUMENT: no such thing. */
mb_status_t mb_offload_read(const mb_settings_t *settings, mb_offload_t *out);
/* MB_ERR_UNSUPPORTED: the device works in host memory. */
mb_status_t mb_offload_check(mb_device_t *device, const mb_offload_t *offload);

#endif
