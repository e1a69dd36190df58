/* Device classes that come from a plugin: a shared object mb<name>.so beside the program, or where
 * `make install` puts it; the environment's MB_PLUGINS names a folder that comes first. */
#ifndef MB_DEVICE_LOAD_H
#define MB_DEVICE_LOAD_H

#include "device/device.h"

/* *out: the class of plugin NAME, loaded once; NULL where there is no such file. Errors: it does
 * not load (its libraries are missing), or was built for another version. */
mb_status_t mb_device_plugin_load(const char *name, const mb_device_class_t **out);

#endif
