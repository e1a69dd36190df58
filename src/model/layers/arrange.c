/* Copies of a tensor with its axes in another order in memory: a transpose of few axes once those
 * that lie alike are taken together, for which the device has an operation. */
#include "model/layers/view.h"

typedef struct {
    int64_t size, from, to;
} axis_t;

/* From the outermost in what is written to the innermost. */
static int sort_axes(const mb_view_t *from, const mb_view_t *to, axis_t *axes)
{
    int n = 0;
    for (int d = 0; d < to->axes; d++) {
        axis_t axis = {to->dim[d], from->stride[d], to->stride[d]};
        int at = n;
        if (axis.size == 1)
            continue;
        for (; at > 0 && axes[at - 1].to < axis.to; at--)
            axes[at] = axes[at - 1];
        axes[at] = axis;
        n++;
    }
    return n;
}

/* Takes neighbours together of which the inner one goes on where an element of the outer one ends.
 */
static int merge_axes(axis_t *axes, int n)
{
    int kept = 0;
    for (int i = 0; i < n; i++) {
        axis_t *outer = kept > 0 ? &axes[kept - 1] : NULL, inner = axes[i];
        if (outer != NULL && outer->from == inner.from * inner.size &&
            outer->to == inner.to * inner.size)
            *outer = (axis_t){outer->size * inner.size, inner.from, inner.to};
        else
            axes[kept++] = inner;
    }
    return kept;
}

mb_status_t mb_run_arrange(const mb_run_t *run, const void *from, const mb_view_t *from_view,
                           void *to, const mb_view_t *to_view)
{
    axis_t axes[MB_LAYER_VIEW_AXES];
    int n = merge_axes(axes, sort_axes(from_view, to_view, axes));
    mb_copy_view_args_t args = {.type = mb_run_type(run), .from = from, .to = to};
    if (n > MB_VIEW_AXES || from_view->offset != 0 || to_view->offset != 0)
        return mb_run_move(run, from, from_view, to, to_view, false);
    for (int i = 0; i < MB_VIEW_AXES; i++) {
        int d = i - (MB_VIEW_AXES - n);
        args.size[i] = d < 0 ? 1 : axes[d].size;
        args.from_stride[i] = d < 0 ? 0 : axes[d].from;
        args.to_stride[i] = d < 0 ? 0 : axes[d].to;
    }
    return mb_run_copy_view(run->exec, &args);
}
