/* Random windows of convolutions, of each kind that has kernels of its own. */
#ifndef MB_CUDASIM_OPS_WINDOW_H
#define MB_CUDASIM_OPS_WINDOW_H

#include "cudasim/ops/bench.h"

mb_window_t some_window(bench &bench);
/* The same with a third dimension. */
mb_window_t some_volume(bench &bench);
/* One sample with many positions. */
mb_window_t some_large_window(bench &bench);
void describe_window(bench &bench, const mb_window_t &window, const char *more);

#endif
