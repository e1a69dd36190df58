/* Device classes by name, and the typed ways to a device's operations. */
#include "device/device.h"
#include <stdlib.h>
#include <string.h>
#include "base/str.h"
#include "device/account.h"
#include "device/operands.h"
#include "device/plugin.h"

#define MAX_CLASSES 8

/* Written by mb_device_register only, before any device is open, or when a plugin's first is. */
static const mb_device_class_t *classes[MAX_CLASSES] = {&mb_device_cpu};
static size_t n_classes = 1;

mb_status_t mb_device_register(const mb_device_class_t *device_class)
{
    if (device_class->size != sizeof *device_class)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "device class '%s' was built for another version of the device "
                            "interface (%zu bytes, not %zu)",
                            device_class->name, device_class->size, sizeof *device_class);
    if (n_classes == MAX_CLASSES)
        return mb_error_set(MB_ERR_ARGUMENT, "device class '%s': there is room for %d classes",
                            device_class->name, MAX_CLASSES);
    classes[n_classes++] = device_class;
    return MB_OK;
}

static mb_status_t refuse_name(const char *name)
{
    mb_str_t known = {0};
    for (size_t i = 0; i < n_classes; i++) {
        if (i > 0)
            mb_str_add(&known, ", ");
        mb_str_add(&known, classes[i]->name);
    }
    mb_status_t status =
        mb_error_set(MB_ERR_UNSUPPORTED, "there is no device '%s' in this build; it has: %s%s",
                     name, known.text != NULL ? known.text : "",
                     strcmp(name, "cuda") == 0 ? " (make cuda builds the plugin for GPUs)" : "");
    mb_str_free(&known);
    return status;
}

/* NULL: there is none of that name, in this build or beside it. */
static mb_status_t find(const char *name, const mb_device_class_t **out)
{
    for (size_t i = 0; i < n_classes; i++) {
        *out = classes[i];
        if (strcmp(classes[i]->name, name) == 0)
            return MB_OK;
    }
    MB_TRY(mb_device_plugin_load(name, out));
    return *out != NULL ? mb_device_register(*out) : MB_OK;
}

mb_status_t mb_device_class_find(const char *name, const mb_device_class_t **out)
{
    MB_TRY(find(name, out));
    return *out != NULL ? MB_OK : refuse_name(name);
}

mb_status_t mb_device_open(const char *name, const mb_device_options_t *options, mb_device_t **out)
{
    if (name == NULL)
        return classes[0]->open(options, out);
    const mb_device_class_t *class_;
    MB_TRY(mb_device_class_find(name, &class_));
    return class_->open(options, out);
}

mb_status_t mb_device_inventory(const char *name, mb_inventory_t *out)
{
    const mb_device_class_t *class_;
    memset(out, 0, sizeof *out);
    MB_TRY(mb_device_class_find(name, &class_));
    if (class_->inventory == NULL)
        return mb_error_set(MB_ERR_UNSUPPORTED, "device '%s' has no cards to list", name);
    return class_->inventory(out);
}

int mb_device_count(const char *name)
{
    const mb_device_class_t *class_;
    if (find(name, &class_) != MB_OK)
        return 0;
    if (class_ == NULL)
        return -1;
    return class_->count == NULL ? 1 : class_->count();
}

void mb_device_identity(const char *name, int index, char *text, size_t capacity)
{
    const mb_device_class_t *class_;
    text[0] = '\0';
    if (index < mb_device_count(name) && find(name, &class_) == MB_OK && class_->identity != NULL)
        class_->identity(index, text, capacity);
}

void mb_device_close(mb_device_t *device)
{
    if (device != NULL)
        device->class_->close(device);
}

mb_status_t mb_device_alloc(mb_device_t *device, size_t bytes, void **out)
{
    return device->class_->alloc(device, bytes, out);
}

void mb_device_free(mb_device_t *device, void *memory)
{
    if (memory != NULL)
        device->class_->free(device, memory);
}

mb_status_t mb_device_host_alloc(mb_device_t *device, size_t bytes, void **out)
{
    if (device->class_->host_alloc != NULL)
        return device->class_->host_alloc(device, bytes, out);
    *out = malloc(bytes + 1);
    return *out == NULL ? mb_error_memory("a host buffer", bytes) : MB_OK;
}

void mb_device_host_free(mb_device_t *device, void *memory)
{
    if (memory == NULL)
        return;
    if (device->class_->host_free != NULL)
        device->class_->host_free(device, memory);
    else
        free(memory);
}

#define OP_RUN(NAME, name)                                                                         \
    mb_status_t mb_run_##name(mb_exec_t *exec, const mb_##name##_args_t *args)                     \
    {                                                                                              \
        exec->draws = exec->draws || mb_op_draws(MB_OP_##NAME, args);                              \
        if (exec->account != NULL)                                                                 \
            return mb_account_run(exec, MB_OP_##NAME, args, sizeof *args);                         \
        return exec->device->class_->run(exec, MB_OP_##NAME, args, sizeof *args);                  \
    }
MB_OP_LIST(OP_RUN)
#undef OP_RUN
