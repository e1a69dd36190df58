/* Makes the deferred device known to mb_device_open before main runs. */
#include <stdlib.h>
#include "support/deferred_device.h"

__attribute__((constructor)) static void register_deferred(void)
{
    if (mb_device_register(&mb_device_deferred) != MB_OK)
        abort();
}
