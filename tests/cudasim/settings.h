/* What the environment says, read once.
 *
 *   MB_CUDASIM_SEED     orders of streams, blocks and threads (default 1)
 *   MB_CUDASIM_DEVICES  devices of this process, 0 to 8 (default 1)
 *   MB_CUDASIM_MEMORY   bytes of each device (default 16 GiB); what is allocated is really used
 *   MB_CUDASIM_PROTECT  0: host code may touch device memory; "pages": keep it away by mprotect
 * even where protection keys would be cheaper */
#ifndef MB_CUDASIM_SETTINGS_H
#define MB_CUDASIM_SETTINGS_H

#include <stddef.h>
#include <stdint.h>

namespace mb_cudasim
{

constexpr int MAX_DEVICES = 8;

enum class protection { none, pages, keys };

struct settings {
    uint64_t seed;
    int devices;
    size_t memory;
    protection protect; /* the best that is allowed; memory.cc finds out what there is */
};

const settings &get_settings();

} // namespace mb_cudasim

#endif
