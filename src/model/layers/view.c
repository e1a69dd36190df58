/* See view.h. */
#include "model/layers/view.h"

#include <string.h>

mb_view_t mb_view_of(int64_t samples, const mb_shape_t *shape)
{
    mb_view_t view = {.axes = shape->rank + 1};
    int64_t step = 1;
    for (int d = shape->rank; d >= 0; d--) {
        view.dim[d] = d == 0 ? samples : shape->dim[d - 1];
        view.stride[d] = step;
        step *= view.dim[d];
    }
    return view;
}

mb_view_t mb_view_input(const mb_run_t *run, int input)
{
    return mb_view_of(run->samples, &run->call->inputs[input]);
}

mb_view_t mb_view_output(const mb_run_t *run)
{
    return mb_view_of(run->samples, &run->call->output);
}

void mb_view_slice(mb_view_t *view, int axis, int64_t first, int64_t step, int64_t count)
{
    view->offset += first * view->stride[axis];
    view->stride[axis] *= step;
    view->dim[axis] = count;
}

void mb_view_insert(mb_view_t *view, int axis, int64_t count, int64_t stride)
{
    for (int d = view->axes; d > axis; d--) {
        view->dim[d] = view->dim[d - 1];
        view->stride[d] = view->stride[d - 1];
    }
    view->dim[axis] = count;
    view->stride[axis] = stride;
    view->axes++;
}

void mb_view_remove(mb_view_t *view, int axis)
{
    view->axes--;
    for (int d = axis; d < view->axes; d++) {
        view->dim[d] = view->dim[d + 1];
        view->stride[d] = view->stride[d + 1];
    }
}

void mb_view_permute(mb_view_t *view, const int *order)
{
    mb_view_t old = *view;
    for (int d = 0; d < view->axes; d++) {
        view->dim[d] = old.dim[order[d]];
        view->stride[d] = old.stride[order[d]];
    }
}

void mb_view_lay(mb_view_t *view, const int *order)
{
    int64_t step = 1;
    view->offset = 0;
    for (int i = view->axes - 1; i >= 0; i--) {
        view->stride[order[i]] = step;
        step *= view->dim[order[i]];
    }
}

void mb_view_lay_last(mb_view_t *view, uint32_t bits)
{
    int order[MB_LAYER_VIEW_AXES], n = 0;
    for (int last = 0; last < 2; last++) {
        for (int d = 0; d < view->axes; d++) {
            if ((bits >> d & 1) == (uint32_t)last)
                order[n++] = d;
        }
    }
    mb_view_lay(view, order);
}

bool mb_view_equal(const mb_view_t *a, const mb_view_t *b)
{
    bool so = a->axes == b->axes && a->offset == b->offset;
    for (int d = 0; so && d < a->axes; d++)
        so = a->dim[d] == b->dim[d] && (a->dim[d] == 1 || a->stride[d] == b->stride[d]);
    return so;
}

void mb_view_reduce(mb_view_t *view, uint32_t bits)
{
    int64_t step = 1;
    view->offset = 0;
    for (int d = view->axes - 1; d >= 0; d--) {
        bool reduced = bits >> d & 1;
        view->stride[d] = reduced ? 0 : step;
        step *= reduced ? 1 : view->dim[d];
    }
}

void mb_view_broadcast(mb_view_t *view, const mb_view_t *like)
{
    for (int d = 0; d < view->axes; d++) {
        if (view->dim[d] == 1)
            view->stride[d] = 0;
        view->dim[d] = like->dim[d];
    }
}

uint32_t mb_view_repeats(const mb_view_t *view)
{
    uint32_t axes = 0;
    for (int d = 0; d < view->axes; d++) {
        if (view->stride[d] == 0 && view->dim[d] > 1)
            axes |= UINT32_C(1) << d;
    }
    return axes;
}

/* ---- from views to the operation */

/* One axis as all operands see it. */
typedef struct {
    int64_t dim, y, x[MB_MAP_INPUTS];
    bool reduced;
} axis_t;

static axis_t axis_of(const mb_map_call_t *call, int inputs, int d)
{
    axis_t axis = {
        .dim = call->view.dim[d], .y = call->view.stride[d], .reduced = call->reduced >> d & 1};
    for (int i = 0; i < inputs; i++)
        axis.x[i] = call->inputs[i].is_constant ? 0 : call->inputs[i].view.stride[d];
    return axis;
}

/* Whether INNER goes on where an element of OUTER ends, in every operand. */
static bool continues(const axis_t *outer, const axis_t *inner)
{
    bool so = outer->reduced == inner->reduced && outer->y == inner->y * inner->dim;
    for (int i = 0; i < MB_MAP_INPUTS; i++)
        so = so && outer->x[i] == inner->x[i] * inner->dim;
    return so;
}

static void append(axis_t *axes, int *n, const axis_t *axis)
{
    if (*n > 0 && continues(&axes[*n - 1], axis)) {
        int64_t dim = axes[*n - 1].dim * axis->dim;
        axes[*n - 1] = *axis;
        axes[*n - 1].dim = dim;
        return;
    }
    axes[(*n)++] = *axis;
}

/* Axes of one element say nothing; kept axes come first. */
static int sort_axes(const mb_map_call_t *call, int inputs, axis_t *axes)
{
    int n = 0;
    for (int reduced = 0; reduced < 2; reduced++) {
        for (int d = 0; d < call->view.axes; d++) {
            axis_t axis = axis_of(call, inputs, d);
            if (axis.reduced == (reduced != 0) && axis.dim != 1)
                append(axes, &n, &axis);
        }
    }
    return n;
}

static void set_axis(mb_map_args_t *args, int d, const axis_t *axis)
{
    args->dim[d] = axis->dim;
    args->y_stride[d] = axis->reduced ? 0 : axis->y;
    args->reduced += axis->reduced;
    for (int i = 0; i < MB_MAP_INPUTS; i++)
        args->stride[i][d] = axis->x[i];
}

static void set_input(mb_map_args_t *args, int i, const mb_map_input_t *input)
{
    args->constant[i] = input->constant;
    args->wide |= (uint8_t)(input->is_wide ? 1 << i : 0);
    if (input->is_constant)
        args->constants |= (uint8_t)(1 << i);
    else
        args->x[i] =
            mb_elements_at(input->base, input->is_wide ? MB_F32 : args->type, input->view.offset);
}

mb_status_t mb_run_strided(const mb_run_t *run, const mb_map_call_t *call)
{
    axis_t axes[MB_LAYER_VIEW_AXES];
    int inputs = mb_map_inputs(call->function), n = sort_axes(call, inputs, axes);
    mb_dtype_t type = call->wide ? MB_F32 : mb_run_type(run);
    mb_map_args_t args = {.type = mb_dtype_is_float(type) ? type : MB_F32, /* any 4 bytes */
                          .function = call->function,
                          .reduction = call->reduction,
                          .accumulate = call->accumulate,
                          .wide = call->is_wide ? MB_MAP_WIDE_Y : 0,
                          .scale = call->scale != 0.0 ? call->scale : 1.0,
                          .axes = n};
    if (n > MB_MAP_AXES)
        return mb_call_error(run->call, MB_ERR_UNSUPPORTED,
                             "its tensors lie along %d axes; at most %d are taken", n, MB_MAP_AXES);
    for (int d = 0; d < n; d++)
        set_axis(&args, d, &axes[d]);
    for (int i = 0; i < inputs; i++)
        set_input(&args, i, &call->inputs[i]);
    args.y = mb_bytes_at(call->y, (size_t)call->view.offset *
                                      mb_dtype_bytes(call->is_wide ? MB_F32 : args.type));
    return mb_run_map(run->exec, &args);
}

mb_status_t mb_run_move(const mb_run_t *run, const void *from, const mb_view_t *from_view, void *to,
                        const mb_view_t *to_view, bool accumulate)
{
    mb_map_call_t call = {.function = MB_MAP_COPY,
                          .inputs = {mb_map_tensor(from, *from_view)},
                          .view = *to_view,
                          .y = to,
                          .reduced = mb_view_repeats(to_view),
                          .accumulate = accumulate};
    return mb_run_strided(run, &call);
}

/* ---- shapes */

static bool unite(int64_t *dim, int64_t other)
{
    if (*dim == other || other == 1)
        return true;
    if (*dim == 1 || *dim == MB_OPEN) {
        *dim = other;
        return true;
    }
    return other == MB_OPEN;
}

mb_status_t mb_call_broadcast(const mb_call_t *call, int first, int last, mb_shape_t *out)
{
    char a[MB_SHAPE_TEXT], b[MB_SHAPE_TEXT];
    *out = call->inputs[first];
    for (int i = first + 1; i <= last; i++) {
        const mb_shape_t *shape = &call->inputs[i];
        bool fits = shape->rank == out->rank;
        for (int d = 0; fits && d < shape->rank; d++)
            fits = unite(&out->dim[d], shape->dim[d]);
        if (!fits)
            return mb_call_error(call, MB_ERR_SHAPE,
                                 "samples of shapes %s and %s do not broadcast to one another",
                                 mb_shape_text(&call->inputs[first], a, sizeof(a)),
                                 mb_shape_text(shape, b, sizeof(b)));
    }
    return MB_OK;
}
