/* See subject.h: the simulation's. */
#include "cudasim/ops/subject.h"

#include "cudasim/cudasim.h"
#include "device/cuda/internal.h"

const mb_device_class_t *subject_class()
{
    return &mb_device_cuda;
}

void subject_reorder(uint64_t seed)
{
    mb_cudasim_seed(seed);
}
