/* Reads the environment, and makes the process's random numbers from it. */
#include "cudasim/settings.h"

#include "cudasim/cudasim.h"
#include "cudasim/random.h"

#include <stdlib.h>
#include <string.h>

#include <algorithm>

namespace mb_cudasim
{

namespace
{

uint64_t number(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text && *text ? strtoull(text, nullptr, 0) : otherwise;
}

protection allowed_protection()
{
    const char *text = getenv("MB_CUDASIM_PROTECT");
    if (text && strcmp(text, "0") == 0)
        return protection::none;
    return text && strcmp(text, "pages") == 0 ? protection::pages : protection::keys;
}

settings read_settings()
{
    settings s;
    s.seed = number("MB_CUDASIM_SEED", 1);
    s.algorithms = number("MB_CUDASIM_ALGORITHMS", s.seed);
    s.devices = (int)std::min<uint64_t>(number("MB_CUDASIM_DEVICES", 1), MAX_DEVICES);
    s.memory = (size_t)number("MB_CUDASIM_MEMORY", (uint64_t)16 << 30);
    s.protect = allowed_protection();
    const char *pageable = getenv("MB_CUDASIM_PAGEABLE");
    s.refuse_pageable = pageable && strcmp(pageable, "refuse") == 0;
    s.late_pageable = pageable && strcmp(pageable, "late") == 0;
    return s;
}

} // namespace

const settings &get_settings()
{
    static const settings once = read_settings();
    return once;
}

int process_rank()
{
    for (const char *name : {"OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK", "SLURM_PROCID"})
        if (getenv(name))
            return (int)number(name, 0);
    return 0;
}

/* Ranks draw differently, each the same from run to run. */
random_numbers &draw()
{
    static random_numbers once(get_settings().seed + ((uint64_t)process_rank() << 32));
    return once;
}

} // namespace mb_cudasim

void mb_cudasim_seed(uint64_t seed)
{
    mb_cudasim::draw() = mb_cudasim::random_numbers(seed);
}
