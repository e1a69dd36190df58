/* Bytes as the profile of a model of three calls. */
#include "engine/profile.h"

#include "fuzz/fuzz.h"

#include <stdlib.h>
#include <unistd.h>

enum { NODES = 3 };

void mb_fuzz_profile(const uint8_t *data, size_t size);

void mb_fuzz_profile(const uint8_t *data, size_t size)
{
    char path[MB_FUZZ_PATH];
    mb_node_cost_t nodes[NODES];
    double crossing[NODES];
    bool found = false;
    mb_profile_t profile = {.n_nodes = NODES, .nodes = nodes, .crossing = crossing};
    int file = mb_fuzz_file(data, size, path);
    if (mb_profile_read(&profile, NULL, path, &found) == MB_OK && found)
        (void)mb_profile_slowness(&profile, profile.n_stages);
    free(profile.slowness);
    close(file);
}
