/* See load.h. Objects stay loaded: what they registered points into them. */
#define _GNU_SOURCE
#include "plugin/load.h"

#include <dlfcn.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/float_mode.h"
#include "plugin/register.h"
#include "store/io.h"

typedef int (*abi_t)(void);

enum { MOST_LOADED = 64 };
static const void *loaded[MOST_LOADED]; /* handles: the same object has the same one */
static int n_loaded;

static mb_status_t check_abi(const char *path, void *object)
{
    abi_t abi;
    void *symbol = dlsym(object, "mb_plugin_abi");
    memcpy(&abi, &symbol, sizeof abi);
    if (abi == NULL)
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "plugin %s: it has no symbol mb_plugin_abi, so that it is none of "
                            "mbrun's: its source begins its entry with MB_PLUGIN_REGISTER",
                            path);
    if (abi() == MB_PLUGIN_ABI)
        return MB_OK;
    return mb_error_set(MB_ERR_UNSUPPORTED,
                        "plugin %s: it was built for version %d of the interface and this mbrun "
                        "has version %d: build it again with this mbrun's <mb/plugin.h>",
                        path, abi(), MB_PLUGIN_ABI);
}

static mb_status_t register_all(const char *path, void *object)
{
    mb_plugin_entry_t entry;
    void *symbol = dlsym(object, "mb_plugin_register");
    memcpy(&entry, &symbol, sizeof entry);
    if (entry == NULL)
        return mb_error_set(MB_ERR_UNSUPPORTED, "plugin %s: it has no symbol mb_plugin_register",
                            path);
    mb_status_t status = mb_plugin_enter(entry);
    return status == MB_OK ? status : mb_error_prefix(status, "plugin %s: ", path);
}

static bool is_loaded(const void *object)
{
    for (int i = 0; i < n_loaded; i++) {
        if (loaded[i] == object)
            return true;
    }
    return false;
}

/* Without a slash the linker would look in its own folders. */
static void *open_object(const char *path)
{
    char *full = realpath(path, NULL);
    void *object = dlopen(full == NULL ? path : full, RTLD_NOW | RTLD_LOCAL);
    free(full);
    return object;
}

/* One that was linked with -ffast-math turns subnormals off for the thread that loads it. */
static mb_status_t load(const char *path)
{
    if (access(path, R_OK) != 0)
        return mb_error_set(MB_ERR_IO, "plugin %s: there is no such file, or it cannot be read",
                            path);
    mb_float_mode_t mode = mb_float_mode_enter();
    void *object = open_object(path);
    mb_float_mode_leave(&mode);
    if (object == NULL)
        return mb_error_set(MB_ERR_IO, "plugin %s: it cannot be loaded: %s", path, dlerror());
    if (is_loaded(object))
        return MB_OK;
    mb_status_t status = check_abi(path, object);
    if (status == MB_OK && n_loaded == MOST_LOADED)
        status = mb_error_set(MB_ERR_ARGUMENT, "plugin %s: %d are loaded, which is the most", path,
                              MOST_LOADED);
    if (status != MB_OK) {
        dlclose(object);
        return status;
    }
    MB_TRY(register_all(path, object));
    loaded[n_loaded++] = object;
    return MB_OK;
}

static mb_status_t each_line(const char *paths, mb_status_t (*use)(const char *path, void *user),
                             void *user)
{
    char *rest = NULL, *copy = strdup(paths == NULL ? "" : paths);
    mb_status_t status = copy == NULL ? mb_error_memory("the names of plugins", 0) : MB_OK;
    for (char *path = copy == NULL ? NULL : strtok_r(copy, "\n", &rest);
         path != NULL && status == MB_OK; path = strtok_r(NULL, "\n", &rest))
        status = use(path, user);
    free(copy);
    return status;
}

static mb_status_t load_line(const char *path, void *user)
{
    (void)user;
    return load(path);
}

mb_status_t mb_plugins_load(const char *paths)
{
    return each_line(paths, load_line, NULL);
}

/* ---- on all ranks */

static mb_status_t add_checksum(const char *path, void *user)
{
    uint32_t *crc = user;
    char block[1 << 14];
    int64_t bytes = 0;
    int file = -1;
    MB_TRY(mb_io_open_read(path, &file, &bytes));
    ssize_t n = 0;
    while ((n = read(file, block, sizeof block)) > 0)
        *crc = mb_crc32c(*crc, block, (size_t)n);
    close(file);
    return n == 0 ? MB_OK : mb_error_set(MB_ERR_IO, "plugin %s: it cannot be read", path);
}

/* Another plugin of the same name on another node computes something else. */
static mb_status_t check_same(mb_comm_t *comm, uint32_t own)
{
    uint32_t first = own;
    MB_TRY(mb_comm_broadcast(comm, &first, sizeof first, 0));
    mb_status_t status = MB_OK;
    if (first != own)
        status = mb_error_set(MB_ERR_ARGUMENT,
                              "the plugins on rank %d (%s) are not those of rank 0: give every "
                              "node the same files",
                              mb_comm_rank(comm), mb_comm_host(comm));
    return mb_comm_agree(comm, status);
}

mb_status_t mb_plugins_load_all(mb_comm_t *comm, const char *paths)
{
    uint32_t crc = 0;
    if (paths == NULL)
        return MB_OK;
    mb_status_t status = mb_plugins_load(paths);
    if (status == MB_OK)
        status = each_line(paths, add_checksum, &crc);
    MB_TRY(mb_comm_agree(comm, status));
    return check_same(comm, crc);
}
