/* Devices for tests of messages; see devices.h. */
#include "mpi/devices.h"

#include "mpi/cases.h"

const char *const devices_names[2] = {"cpu", "deferred"};

void devices_open(const char *name, test_device_t *out)
{
    mb_device_options_t options = {.size = sizeof(options), .threads = 1};
    EXPECT_OK(mb_device_open(name, &options, &out->device));
    EXPECT_OK(mb_exec_create(out->device, &out->exec));
    EXPECT_OK(mb_exec_allocate(&out->exec));
}

void devices_close(test_device_t *device)
{
    mb_exec_destroy(&device->exec);
    mb_device_close(device->device);
}

void *devices_alloc(test_device_t *device, size_t bytes)
{
    void *memory = NULL;
    EXPECT_OK(mb_device_alloc(device->device, bytes + 64, &memory));
    return memory;
}

void devices_write(test_device_t *device, void *to, const void *from, size_t bytes)
{
    EXPECT_OK(mb_exec_copy(&device->exec, to, from, bytes, MB_COPY_TO_DEVICE));
    EXPECT_OK(mb_exec_sync(&device->exec));
}

void devices_read(test_device_t *device, void *to, const void *from, size_t bytes)
{
    EXPECT_OK(mb_exec_copy(&device->exec, to, from, bytes, MB_COPY_TO_HOST));
    EXPECT_OK(mb_exec_sync(&device->exec));
}
