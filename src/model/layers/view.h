/* Views of a call's tensors: how their elements lie along axes of one's choice, the samples first.
 * What layers do with views is put on the device as one operation (MAP, ops.h). */
#ifndef MB_MODEL_LAYERS_VIEW_H
#define MB_MODEL_LAYERS_VIEW_H

#include "model/layers/layers.h"

/* Axes that a view may have before neighbours that lie alike are taken together: the samples, and
 * twice those of a tensor, for what repeats each. */
#define MB_LAYER_VIEW_AXES (1 + 2 * MB_MAX_RANK)

typedef struct {
    int axes;
    int64_t dim[MB_LAYER_VIEW_AXES];
    int64_t stride[MB_LAYER_VIEW_AXES]; /* in elements; 0: repeated */
    int64_t offset;                     /* of the first element */
} mb_view_t;

/* SAMPLES tensors of SHAPE one behind the other: axis 0, then those of the shape. */
mb_view_t mb_view_of(int64_t samples, const mb_shape_t *shape);
/* The same of the run's input, and of its output. */
mb_view_t mb_view_input(const mb_run_t *run, int input);
mb_view_t mb_view_output(const mb_run_t *run);
/* Keeps COUNT elements of an axis, every STEP-th from FIRST on. */
void mb_view_slice(mb_view_t *view, int axis, int64_t first, int64_t step, int64_t count);
/* Puts an axis of COUNT elements STRIDE apart in front of AXIS (or behind the last). */
void mb_view_insert(mb_view_t *view, int axis, int64_t count, int64_t stride);
void mb_view_remove(mb_view_t *view, int axis);
/* Axis i of the result is axis ORDER[i]. */
void mb_view_permute(mb_view_t *view, const int *order);
/* The strides of a copy of it whose axes lie in memory in ORDER, the last of them innermost. */
void mb_view_lay(mb_view_t *view, const int *order);
/* The same with the axes in BITS behind the others. */
void mb_view_lay_last(mb_view_t *view, uint32_t bits);
/* Whether both have their elements at the same places. */
bool mb_view_equal(const mb_view_t *a, const mb_view_t *b);
/* Of a copy with one element along each axis in BITS: it is repeated there. */
void mb_view_reduce(mb_view_t *view, uint32_t bits);
/* Repeats axes of one element to the sizes of LIKE, which has as many axes. */
void mb_view_broadcast(mb_view_t *view, const mb_view_t *like);

typedef struct {
    const void *base; /* NULL at plan time */
    mb_view_t view;
    bool is_constant;
    bool is_wide; /* a weight: float32 whatever the call's type */
    float constant;
} mb_map_input_t;

static inline mb_map_input_t mb_map_tensor(const void *base, mb_view_t view)
{
    return (mb_map_input_t){.base = base, .view = view};
}
static inline mb_map_input_t mb_map_weight(const float *base, mb_view_t view)
{
    return (mb_map_input_t){.base = base, .view = view, .is_wide = true};
}
static inline mb_map_input_t mb_map_constant(float value)
{
    return (mb_map_input_t){.is_constant = true, .constant = value};
}

/* y (+)= scale * reduction of f(inputs) over the axes whose bits are in REDUCED. All views have the
 * axes of `y`, which steps by 0 along reduced ones. */
typedef struct {
    mb_map_t function;
    mb_map_input_t inputs[MB_MAP_INPUTS];
    mb_view_t view;
    void *y;
    bool is_wide; /* y is the gradient of a weight */
    uint32_t reduced;
    mb_reduction_t reduction;
    bool accumulate;
    double scale; /* 0: one */
    bool wide;    /* all of it is float32, whatever the call computes in */
} mb_map_call_t;
mb_status_t mb_run_strided(const mb_run_t *run, const mb_map_call_t *call);

/* The axes along which VIEW repeats elements: what its gradient is summed over. */
uint32_t mb_view_repeats(const mb_view_t *view);
/* to (+)= from, element by element, summed over what TO repeats. */
mb_status_t mb_run_move(const mb_run_t *run, const void *from, const mb_view_t *from_view, void *to,
                        const mb_view_t *to_view, bool accumulate);

/* The same between views of whole tensors, neither repeated: the axes in another order. */
mb_status_t mb_run_arrange(const mb_run_t *run, const void *from, const mb_view_t *from_view,
                           void *to, const mb_view_t *to_view);

/* The shape that numpy broadcasts inputs FIRST to LAST of the call to, the samples being an axis of
 * theirs; MB_ERR_SHAPE where they do not fit. */
mb_status_t mb_call_broadcast(const mb_call_t *call, int first, int last, mb_shape_t *out);

#endif
