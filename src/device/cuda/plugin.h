/* How the program and a device plugin meet: one visible function, which returns the device's class.
 *
 * The plugin links the CUDA libraries, the program does not: it starts where no driver is, and what
 * they cost on loading (cuBLASLt and NCCL: 216 MB) is only paid where a device is wanted. A plugin
 * refers to nothing of the program but what it is handed here. */
#ifndef MB_DEVICE_CUDA_PLUGIN_H
#define MB_DEVICE_CUDA_PLUGIN_H

#include "device/device.h"

typedef struct {
    size_t size;
    /* Keeps TEXT as this thread's message and returns STATUS. */
    mb_status_t (*error)(mb_status_t status, const char *text);
} mb_device_host_t;

#define MB_PLUGIN_ENTRY "mb_plugin_device"
/* NULL: HOST is of another version. The class's size says whether the device interface is too. */
typedef const mb_device_class_t *(*mb_device_entry_t)(const mb_device_host_t *host);

#endif
