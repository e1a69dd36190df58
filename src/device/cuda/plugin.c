/* The plugin's side of plugin.h, and what base/error.h promises to the files that are linked in. */
#include "device/cuda/plugin.h"

#include <stdarg.h>
#include <stdio.h>

#include "device/cuda/internal.h"

static const mb_device_host_t *host;

__attribute__((visibility("default"))) const mb_device_class_t *
mb_plugin_device(const mb_device_host_t *given)
{
    if (given->size != sizeof *given)
        return NULL;
    host = given;
    return &mb_device_cuda;
}

mb_status_t mb_error_set(mb_status_t status, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return host->error(status, text);
}

mb_status_t mb_error_memory(const char *what, size_t bytes)
{
    return mb_error_set(MB_ERR_MEMORY, "no memory for %s (%zu bytes)", what, bytes);
}
