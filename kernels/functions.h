/* Functions of cells, which are known only when the kernel runs (mb_function_t of device/ops.h). */
#ifndef MB_KERNELS_FUNCTIONS_H
#define MB_KERNELS_FUNCTIONS_H

#include "activation.h"

namespace
{

__device__ inline float value_of(const mb_function_t &f, float x)
{
    parameters p = {f.p0, f.p1, f.p2};
    switch (f.act) {
#define CASE(NAME, name)                                                                           \
    case MB_ACT_##NAME:                                                                            \
        return name<float>::forward(x, p);
        MB_ACT_FUNCTIONS(CASE)
#undef CASE
    default:
        return x;
    }
}

/* As mb_act_from_value says. */
__device__ inline bool keeps_value(const mb_function_t &f)
{
    switch (f.act) {
#define CASE(NAME, name)                                                                           \
    case MB_ACT_##NAME:                                                                            \
        return name<float>::needs_y;
        MB_ACT_FUNCTIONS(CASE)
#undef CASE
    default:
        return true;
    }
}

/* KEPT: the value where keeps_value, else the argument. */
__device__ inline float slope_of(const mb_function_t &f, float kept)
{
    parameters p = {f.p0, f.p1, f.p2};
    switch (f.act) {
#define CASE(NAME, name)                                                                           \
    case MB_ACT_##NAME:                                                                            \
        return name<float>::derivative(kept, p);
        MB_ACT_FUNCTIONS(CASE)
#undef CASE
    default:
        return 1.0f;
    }
}

} // namespace

#endif
