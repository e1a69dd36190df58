/* The table of targets. */
#include "fuzz/fuzz.h"

#include <string.h>

#define MB_FUZZ_LIST(X)                                                                            \
    X(archive)                                                                                     \
    X(csv)                                                                                         \
    X(encoded)                                                                                     \
    X(format)                                                                                      \
    X(graph)                                                                                       \
    X(hardware)                                                                                    \
    X(hdf5_data)                                                                                   \
    X(idx)                                                                                         \
    X(image)                                                                                       \
    X(json)                                                                                        \
    X(keras_file)                                                                                  \
    X(lease)                                                                                       \
    X(metrics)                                                                                     \
    X(npy)                                                                                         \
    X(npz)                                                                                         \
    X(profile)                                                                                     \
    X(schedule)                                                                                    \
    X(seal)                                                                                        \
    X(settings)                                                                                    \
    X(table)                                                                                       \
    X(trace)                                                                                       \
    X(training)                                                                                    \
    X(vocabulary)                                                                                  \
    X(zip)

#define DECLARE(name) void mb_fuzz_##name(const uint8_t *data, size_t size);
MB_FUZZ_LIST(DECLARE)

#define ENTRY(name) {#name, mb_fuzz_##name},
const mb_fuzz_target_t mb_fuzz_targets[] = {MB_FUZZ_LIST(ENTRY)};
const size_t mb_fuzz_target_count = sizeof mb_fuzz_targets / sizeof mb_fuzz_targets[0];

const mb_fuzz_target_t *mb_fuzz_find(const char *name)
{
    for (size_t i = 0; i < mb_fuzz_target_count; i++) {
        if (strcmp(mb_fuzz_targets[i].name, name) == 0)
            return &mb_fuzz_targets[i];
    }
    return NULL;
}
