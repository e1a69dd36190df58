/* Dot: sums of products over one axis of each of two inputs, for every pair of their other
 * elements: y[s, i..., j...] = sum over k of a[s, i..., k, i...] b[s, j..., k, j...]. A dot product
 * of two vectors is a vector of one element. */
#include "model/layers/view.h"

#include <inttypes.h>

typedef struct {
    int64_t axes[2]; /* as Keras counts: the samples are axis 0 */
} dot_t;

static mb_status_t parse(mb_config_t *config, mb_arena_t *arena, void **out)
{
    dot_t *dot = MB_ARENA_NEW(arena, dot_t);
    if (dot == NULL)
        return mb_error_memory("a layer", sizeof *dot);
    *out = dot;
    MB_TRY(mb_config_ints(config, "axes", 2, -MB_MAX_RANK, dot->axes));
    return mb_config_only(config, "normalize", "false");
}

static int axis_of(const mb_call_t *call, int input)
{
    const dot_t *dot = call->layer->config;
    int64_t axis = dot->axes[input];
    return (int)(axis < 0 ? axis + call->inputs[input].rank + 1 : axis);
}

static mb_status_t infer(mb_call_t *call)
{
    MB_TRY(mb_call_expect(call, 2));
    call->output = (mb_shape_t){0};
    call->output_type = call->input_types[0];
    for (int i = 0; i < 2; i++) {
        const mb_shape_t *shape = &call->inputs[i];
        int axis = axis_of(call, i);
        if (axis < 1 || axis > shape->rank)
            return mb_call_error(call, MB_ERR_SHAPE, "axis %d is none of input %d's 1 to %d", axis,
                                 i, shape->rank);
        if (call->output.rank + shape->rank - 1 > MB_MAX_RANK)
            return mb_call_error(call, MB_ERR_UNSUPPORTED, "gives more than %d axes", MB_MAX_RANK);
        for (int d = 0; d < shape->rank; d++) {
            if (d != axis - 1)
                call->output.dim[call->output.rank++] = shape->dim[d];
        }
    }
    if (call->inputs[0].dim[axis_of(call, 0) - 1] != call->inputs[1].dim[axis_of(call, 1) - 1])
        return mb_call_error(
            call, MB_ERR_SHAPE,
            "the axes that are multiplied have %" PRId64 " and %" PRId64 " elements",
            call->inputs[0].dim[axis_of(call, 0) - 1], call->inputs[1].dim[axis_of(call, 1) - 1]);
    if (call->output.rank == 0)
        call->output = (mb_shape_t){1, {1}};
    return MB_OK;
}

/* Everything along the same axes: samples, what a keeps, what b keeps, the summed one. */
typedef struct {
    mb_view_t a, b, y;
} views_t;

static int64_t kept_axes(const mb_call_t *call, int input)
{
    return call->inputs[input].rank - 1;
}

/* Moves the summed axis behind all others, and puts axes in between that this input repeats along.
 */
static mb_view_t view_of(const mb_run_t *run, int input)
{
    const mb_call_t *call = run->call;
    mb_view_t view = mb_view_input(run, input);
    int axis = axis_of(call, input);
    int64_t count = view.dim[axis], stride = view.stride[axis];
    const mb_shape_t *other = &call->inputs[1 - input];
    mb_view_remove(&view, axis);
    int place = input == 0 ? view.axes : 1;
    for (int d = 0; d < other->rank; d++) {
        if (d != axis_of(call, 1 - input) - 1)
            mb_view_insert(&view, place++, other->dim[d], 0);
    }
    mb_view_insert(&view, view.axes, count, stride);
    return view;
}

static views_t views_of(const mb_run_t *run)
{
    views_t v = {view_of(run, 0), view_of(run, 1), {0}};
    mb_shape_t kept = run->call->output;
    kept.rank = (int)(kept_axes(run->call, 0) + kept_axes(run->call, 1));
    v.y = mb_view_of(run->samples, &kept);
    mb_view_insert(&v.y, v.y.axes, v.a.dim[v.a.axes - 1], 0);
    return v;
}

static mb_status_t multiply(const mb_run_t *run, mb_map_input_t a, mb_map_input_t b,
                            const mb_view_t *view, void *y)
{
    mb_map_call_t map = {.function = MB_MAP_MULTIPLY,
                         .inputs = {a, b},
                         .view = *view,
                         .y = y,
                         .reduced = mb_view_repeats(view)};
    return mb_run_strided(run, &map);
}

static mb_status_t forward(const mb_run_t *run)
{
    views_t v = views_of(run);
    return multiply(run, mb_map_tensor(mb_run_input(run, 0), v.a),
                    mb_map_tensor(mb_run_input(run, 1), v.b), &v.y, run->output);
}

static mb_status_t backward_input(const mb_run_t *run)
{
    views_t v = views_of(run);
    mb_map_input_t dy = mb_map_tensor(run->grad_output, v.y);
    if (mb_run_wants_input(run, 0))
        MB_TRY(multiply(run, dy, mb_map_tensor(mb_run_input(run, 1), v.b), &v.a,
                        mb_run_grad_input(run, 0)));
    if (mb_run_wants_input(run, 1))
        MB_TRY(multiply(run, dy, mb_map_tensor(mb_run_input(run, 0), v.a), &v.b,
                        mb_run_grad_input(run, 1)));
    return MB_OK;
}

static void memory(const mb_call_t *call, int64_t samples, mb_memory_t *out)
{
    (void)call, (void)samples;
    *out = (mb_memory_t){.keeps_input = {true, true}};
}

static void cost(const mb_call_t *call, mb_cost_t *out)
{
    double flops = 2.0 * (double)mb_shape_elements(&call->output) *
                   (double)call->inputs[0].dim[axis_of(call, 0) - 1];
    *out = (mb_cost_t){flops, 2.0 * flops, 0.0};
}

const mb_layer_class_t mb_layer_dot = {.size = sizeof(mb_layer_class_t),
                                       .name = "Dot",
                                       .parse = parse,
                                       .infer = infer,
                                       .memory = memory,
                                       .forward = forward,
                                       .backward_input = backward_input,
                                       .cost = cost};
