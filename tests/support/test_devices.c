/* Makes the tests' devices known to mb_device_open before main runs. */
#include <stdlib.h>
#include "support/deferred_device.h"
#include "support/strict_device.h"

__attribute__((constructor)) static void register_devices(void)
{
    if (mb_device_register(&mb_device_deferred) != MB_OK ||
        mb_device_register(&mb_device_strict) != MB_OK)
        abort();
}
