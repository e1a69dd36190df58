/* A device that gives no memory and computes nothing, and counts what it would give: what is made
 * and planned on it (mb_exec_t.planning) needs the memory, the operations and the workspace that it
 * would on the device it stands for. Its addresses are of nothing. */
#ifndef MB_DEVICE_DRY_H
#define MB_DEVICE_DRY_H

#include "device/device.h"

/* INNER stays its owner's and plans the operations. MB_ERR_MEMORY. Closed by mb_device_close. */
mb_status_t mb_device_dry_open(mb_device_t *inner, mb_device_t **out);
bool mb_device_is_dry(const mb_device_t *device);
/* Of the device that it stands for; NULL: it is not one. */
const mb_device_class_t *mb_device_dry_class(const mb_device_t *device);
/* Bytes of device memory that are given at the moment, as they were asked for. */
int64_t mb_device_dry_bytes(const mb_device_t *device);

#endif
