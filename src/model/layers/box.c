/* Cropping1D to 3D and ZeroPadding1D to 3D. Of the two arrays the smaller is a box of the larger:
 *
 *     +-----------+     cropping    forward takes the box, backward puts it back among zeros
 *     |   +---+   |     padding     the other way round
 *     |   +---+   |
 *     +-----------+ */
#include <inttypes.h>

#include "model/layers/channels.h"
#include "model/layers/window.h"

typedef struct {
    mb_channels_t channels; /* first */
    int spatial;
    bool pads;
    int64_t before[MB_MAX_SPATIAL], after[MB_MAX_SPATIAL]; /* the first SPATIAL of them */
} box_t;

static mb_status_t infer(mb_call_t *call);
static mb_status_t forward(const mb_run_t *run);
static mb_status_t backward_input(const mb_run_t *run);
static void cost(const mb_call_t *call, mb_cost_t *out);

static const mb_layer_class_t layer = {.infer = infer,
                                       .memory = mb_call_keeps_nothing,
                                       .forward = forward,
                                       .backward_input = backward_input,
                                       .cost = cost};

static mb_status_t take_size(const json_t *value, int64_t *out)
{
    *out = json_integer_value(value);
    if (!json_is_integer(value))
        return MB_ERR_FORMAT;
    return *out < 0 || *out > MB_LAYER_MAX_SIZE ? MB_ERR_ARGUMENT : MB_OK;
}

/* An integer, or a list of two. */
static mb_status_t take_pair(const json_t *value, int64_t *before, int64_t *after)
{
    bool both = json_array_size(value) == 2;
    MB_TRY(take_size(both ? json_array_get(value, 0) : value, before));
    return take_size(both ? json_array_get(value, 1) : value, after);
}

/* One integer for all ends, or a list with an entry for each dimension; of one dimension the entry
 * itself. */
static mb_status_t take_ends(const json_t *value, box_t *box)
{
    bool single = box->spatial == 1 || json_is_integer(value);
    if (!single && json_array_size(value) != (size_t)box->spatial)
        return MB_ERR_FORMAT;
    for (int i = 0; i < box->spatial; i++)
        MB_TRY(take_pair(single ? value : json_array_get(value, (size_t)i), &box->before[i],
                         &box->after[i]));
    return MB_OK;
}

static mb_status_t parse(mb_config_t *config, mb_arena_t *arena, int spatial, bool pads, void **out)
{
    const char *key = pads ? "padding" : "cropping";
    box_t *box = MB_ARENA_NEW(arena, box_t);
    if (box == NULL)
        return mb_error_memory("a layer", sizeof(*box));
    *box = (box_t){.spatial = spatial, .pads = pads, .before = {1, 1, 1}, .after = {1, 1, 1}};
    MB_TRY(mb_channels_take(config, &layer, &box->channels));
    *out = box;
    bool given = mb_config_has(config, key);
    const json_t *value = mb_config_take(config, key);
    mb_status_t status = given ? take_ends(value, box) : MB_OK;
    if (status == MB_OK)
        return MB_OK;
    return mb_error_set(status,
                        "%s: key '%s' must be an integer that is not negative, or a list of %d %s",
                        config->where, key, spatial == 1 ? 2 : spatial,
                        spatial == 1 ? "such" : "such or of pairs of such");
}

static const box_t *box_of(const mb_call_t *call)
{
    return call->layer->config;
}

static mb_status_t infer_axis(mb_call_t *call, int axis)
{
    const box_t *box = box_of(call);
    int64_t before = box->before[axis], after = box->after[axis], n = call->output.dim[axis];
    if (n == MB_OPEN)
        return MB_OK;
    if (!box->pads && (before >= n || after >= n - before))
        return mb_call_error(call, MB_ERR_SHAPE,
                             "crops %" PRId64 " and %" PRId64 " of %" PRId64
                             " positions: none would be left",
                             before, after, n);
    call->output.dim[axis] = box->pads ? n + before + after : n - before - after;
    return MB_OK;
}

static mb_status_t infer(mb_call_t *call)
{
    int spatial = box_of(call)->spatial;
    MB_TRY(mb_call_expect_rank(call, spatial + 1));
    mb_call_keep_shape(call);
    for (int i = 0; i < spatial; i++)
        MB_TRY(infer_axis(call, i));
    return MB_OK;
}

/* The box as a view of the larger array: samples, up to two dimensions, and rows of positions that
 * lie together. */
typedef struct {
    int64_t size[MB_VIEW_AXES], large[MB_VIEW_AXES], small[MB_VIEW_AXES];
    int64_t offset;
} view_t;

static view_t view_of(const mb_run_t *run)
{
    const mb_call_t *call = run->call;
    const box_t *box = box_of(call);
    const mb_shape_t *large = box->pads ? &call->output : &call->inputs[0];
    const mb_shape_t *small = box->pads ? &call->inputs[0] : &call->output;
    view_t view = {.size = {1, 1, 1, 1, 1}};
    int64_t large_step = mb_shape_columns(large), small_step = mb_shape_columns(small);
    int last = MB_VIEW_AXES - 1;
    for (int i = box->spatial - 1; i >= 0; i--) {
        int at = last - (box->spatial - 1 - i);
        view.size[at] = i == box->spatial - 1 ? small->dim[i] * small_step : small->dim[i];
        view.large[at] = i == box->spatial - 1 ? 1 : large_step;
        view.small[at] = i == box->spatial - 1 ? 1 : small_step;
        view.offset += box->before[i] * large_step;
        large_step *= large->dim[i];
        small_step *= small->dim[i];
    }
    int samples = last - box->spatial;
    view.size[samples] = run->samples;
    view.large[samples] = large_step;
    view.small[samples] = small_step;
    return view;
}

static void set(int64_t *to, const int64_t *from)
{
    for (int i = 0; i < MB_VIEW_AXES; i++)
        to[i] = from[i];
}

static mb_status_t take_box(const mb_run_t *run, const void *large, void *small)
{
    view_t view = view_of(run);
    mb_copy_view_args_t args = {.type = mb_run_type(run),
                                .from = mb_elements_at(large, mb_run_type(run), view.offset),
                                .to = small};
    set(args.size, view.size);
    set(args.from_stride, view.large);
    set(args.to_stride, view.small);
    return mb_run_copy_view(run->exec, &args);
}

static mb_status_t put_box(const mb_run_t *run, const void *small, void *large)
{
    view_t view = view_of(run);
    int64_t bytes = (int64_t)mb_dtype_bytes(mb_run_type(run));
    const mb_call_t *call = run->call;
    const mb_shape_t *shape = box_of(call)->pads ? &call->output : &call->inputs[0];
    mb_zero_args_t zero = {run->samples * mb_shape_elements(shape) * bytes, large};
    mb_copy_view_args_t args = {.type = mb_run_type(run),
                                .from = small,
                                .to = mb_bytes_at(large, (size_t)(view.offset * bytes))};
    set(args.size, view.size);
    set(args.from_stride, view.small);
    set(args.to_stride, view.large);
    MB_TRY(mb_run_zero(run->exec, &zero));
    return mb_run_copy_view(run->exec, &args);
}

static mb_status_t forward(const mb_run_t *run)
{
    const void *x = mb_run_input(run, 0);
    return box_of(run->call)->pads ? put_box(run, x, run->output) : take_box(run, x, run->output);
}

static mb_status_t backward_input(const mb_run_t *run)
{
    void *dx = mb_run_grad_input(run, 0);
    if (!mb_run_wants_input(run, 0))
        return MB_OK;
    return box_of(run->call)->pads ? take_box(run, run->grad_output, dx)
                                   : put_box(run, run->grad_output, dx);
}

static void cost(const mb_call_t *call, mb_cost_t *out)
{
    double traffic =
        (double)mb_shape_elements(&call->output) + (double)mb_shape_elements(&call->inputs[0]);
    *out = (mb_cost_t){traffic, traffic, 0.0};
}

#define BOX_CLASS(symbol, keras, spatial, pads)                                                    \
    static mb_status_t parse_##symbol(mb_config_t *config, mb_arena_t *arena, void **out)          \
    {                                                                                              \
        return parse(config, arena, spatial, pads, out);                                           \
    }                                                                                              \
    MB_CHANNELS_CLASS(symbol, keras, parse_##symbol)

BOX_CLASS(cropping1d, "Cropping1D", 1, false);
BOX_CLASS(cropping2d, "Cropping2D", 2, false);
BOX_CLASS(cropping3d, "Cropping3D", 3, false);
BOX_CLASS(zero_padding1d, "ZeroPadding1D", 1, true);
BOX_CLASS(zero_padding2d, "ZeroPadding2D", 2, true);
BOX_CLASS(zero_padding3d, "ZeroPadding3D", 3, true);
