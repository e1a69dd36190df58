/* What is known of a MAP's arguments on any device. */
#include "device/ops.h"

static const struct {
    int inputs;
    const char *name;
} functions[] = {
#define ENTRY(NAME, inputs, value) {inputs, #NAME},
    MB_MAP_LIST(ENTRY)
#undef ENTRY
};

int mb_map_inputs(mb_map_t function)
{
    return functions[function].inputs;
}

const char *mb_map_name(mb_map_t function)
{
    return functions[function].name;
}

static int64_t product(const int64_t *dim, int from, int to)
{
    int64_t elements = 1;
    for (int d = from; d < to; d++)
        elements *= dim[d];
    return elements;
}

int64_t mb_map_kept(const mb_map_args_t *args)
{
    return product(args->dim, 0, args->axes - args->reduced);
}

int64_t mb_map_reduced(const mb_map_args_t *args)
{
    return product(args->dim, args->axes - args->reduced, args->axes);
}

static bool goes_back(const mb_map_args_t *args)
{
    bool back = false;
    for (int d = 0; d < args->axes; d++) {
        back = back || args->dim[d] < 0;
        back = back || (d < args->axes - args->reduced && args->y_stride[d] < 0);
        for (int i = 0; i < MB_MAP_INPUTS; i++)
            back = back || args->stride[i][d] < 0;
    }
    return back;
}

const char *mb_map_fault(const mb_map_args_t *args)
{
    if ((unsigned)args->function >= MB_MAP_COUNT)
        return "an unknown function";
    if (args->axes < 0 || args->axes > MB_MAP_AXES || args->reduced < 0 ||
        args->reduced > args->axes)
        return "too many axes";
    if (goes_back(args))
        return "a negative size or stride";
    if (mb_map_reduced(args) == 0)
        return "a reduction of nothing";
    return NULL;
}
