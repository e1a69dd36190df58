/* See plugin.h. The object stays loaded: the CUDA libraries do not survive being unloaded. */
#define _GNU_SOURCE
#include <config.h>

#include "device/plugin.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "device/cuda/plugin.h"

static mb_status_t keep_error(mb_status_t status, const char *text)
{
    return mb_error_set(status, "%s", text);
}

static const mb_device_host_t host = {.size = sizeof host, .error = keep_error};

static bool in_folder(const char *folder, const char *name, char path[PATH_MAX])
{
    return folder != NULL && snprintf(path, PATH_MAX, "%s/mb%s.so", folder, name) < PATH_MAX &&
           access(path, R_OK) == 0;
}

static bool beside(const char *object, const char *name, char path[PATH_MAX])
{
    char real[PATH_MAX];
    if (object == NULL || realpath(object, real) == NULL)
        return false;
    *strrchr(real, '/') = '\0';
    return in_folder(real, name, path);
}

/* Where MB_PLUGINS says, beside the object that this function is in, beside the program, or
 * installed. */
static bool find(const char *name, char path[PATH_MAX])
{
    Dl_info info;
    if (in_folder(getenv("MB_PLUGINS"), name, path))
        return true;
    const char *own =
        dladdr((const void *)(uintptr_t)mb_device_plugin_load, &info) ? info.dli_fname : NULL;
    if (beside(own, name, path) || beside("/proc/self/exe", name, path))
        return true;
    return in_folder(MB_PLUGIN_FOLDER, name, path);
}

static mb_status_t take(const char *path, void *object, const mb_device_class_t **out)
{
    mb_device_entry_t entry;
    void *symbol = dlsym(object, MB_PLUGIN_ENTRY);
    memcpy(&entry, &symbol, sizeof entry);
    *out = entry == NULL ? NULL : entry(&host);
    if (*out == NULL || (*out)->size != sizeof **out)
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "'%s' belongs to another version of mbrun: install both together",
                            path);
    return MB_OK;
}

mb_status_t mb_device_plugin_load(const char *name, const mb_device_class_t **out)
{
    char path[PATH_MAX];
    *out = NULL;
    if (strchr(name, '/') != NULL || !find(name, path))
        return MB_OK;
    void *object = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (object == NULL)
        return mb_error_set(MB_ERR_DEVICE, "device '%s' cannot be loaded: %s", name, dlerror());
    return take(path, object, out);
}
