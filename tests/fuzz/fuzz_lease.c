/* Bytes as the lease of a run directory: it is taken over or refused, never followed or believed
 * further. */
#include "store/lease.h"

#include "fuzz/fuzz.h"

#include <unistd.h>

void mb_fuzz_lease(const uint8_t *data, size_t size);

void mb_fuzz_lease(const uint8_t *data, size_t size)
{
    mb_lease_t lease;
    uint64_t nonce = 0;
    const char *path = mb_fuzz_named("lease", data, size);
    (void)mb_lease_read_nonce(path, &nonce);
    if (mb_lease_take(path, &lease) == MB_OK)
        (void)mb_lease_give_up(&lease);
    unlink(path);
}
