/* Layers that work along one spatial dimension after the other: resampling, adaptive pooling. A
 * pass has [outer, in, inner] for [outer, out, inner]; dimensions that keep their size have none,
 * and what lies between two passes stands in the saved block, its gradient in the carry:
 *
 *     x --depth--> t0 --height--> t1 --width--> y */
#ifndef MB_MODEL_LAYERS_PASSES_H
#define MB_MODEL_LAYERS_PASSES_H

#include "model/layers/window.h"

typedef struct {
    int64_t outer, in, out, inner;
} mb_pass_t;

/* What a layer does in a pass: y from x; dx from x, y and dy. */
typedef struct {
    mb_status_t (*forward)(const mb_run_t *run, const mb_pass_t *pass, const void *x, void *y);
    mb_status_t (*backward)(const mb_run_t *run, const mb_pass_t *pass, const void *x,
                            const void *y, const void *dy, void *dx);
} mb_pass_work_t;

/* Adds what lies between the passes to OUT. */
void mb_passes_memory(const mb_call_t *call, int64_t samples, mb_memory_t *out);
mb_status_t mb_passes_forward(const mb_run_t *run, const mb_pass_work_t *work);
mb_status_t mb_passes_backward(const mb_run_t *run, const mb_pass_work_t *work);

#endif
