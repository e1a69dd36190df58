/* How ConvLSTM runs (conv_lstm.h), on images with the channels last:
 *     forward    x' = drop(x); gates = conv(x', W) + b for all steps at once; then at each step the
 *                convolution of the states with U, and the cell
 *     backward   step by step the cell and what it gives the states before;
 *                dx = drop(gates' W^T), and the gradients of W and U over all steps at once
 * Where each gate drops inputs, or states, of its own they stand four times side by side, and the
 * convolution is one in four groups, of the same kernel.
 *
 * saved: x with its channels last, x', gates, c, states, masks, factor and product of a step, the
 * states h where its input has a mask, states given and outputs with their channels last, outputs;
 * what was kept from the batch before, which the states behind this one take the place of. carry:
 * gradients of the same. */
#include "model/layers/conv_lstm.h"

#include "model/layers/view.h"

enum { KERNEL, RECURRENT, BIAS };
enum { MOST_OUTPUTS = 3 };

typedef struct {
    mb_call_t image;                                      /* of one step; four gates */
    int64_t samples, steps, pixels, places, width, units; /* pixels: of an input's image */
    bool first;                                           /* channels */
    bool drops, masks;                                    /* in this run */
    bool keeps;                                           /* states, from batch to batch */
    bool skips;                                           /* its input has a mask */
    mb_packed_t packed;
    struct {
        size_t x, dropped, gates, states, previous, masks, factor, product, held;
        size_t before[2], begins[2], outputs[MOST_OUTPUTS], bytes;
    } saved;
    struct {
        size_t dgates, dproduct, dfactor, carried, dheld, dropped, dx;
        size_t before[2], outputs[MOST_OUTPUTS], bytes;
    } carry;
} plan_t;

static const mb_conv_lstm_t *config_of(const mb_call_t *call)
{
    return call->layer->config;
}

static int64_t states_of(const plan_t *p)
{
    return p->samples * p->places * p->units;
}

static int64_t inputs_of(const plan_t *p)
{
    return p->samples * p->steps * p->pixels * p->width;
}

static int64_t output_of(const plan_t *p, int index)
{
    return p->samples * mb_shape_elements(&p->packed.shapes[index]);
}

static void lay_saved(plan_t *p, const mb_call_t *call, bool drops, bool masks)
{
    mb_dtype_t type = call->output_type;
    int64_t states = states_of(p), factors = masks ? 4 : 1;
    size_t *bytes = &p->saved.bytes;
    if (p->first)
        p->saved.x = mb_block_add(bytes, inputs_of(p), type);
    if (drops)
        p->saved.dropped = mb_block_add(bytes, 4 * inputs_of(p), type);
    p->saved.gates = mb_block_add(bytes, 4 * p->steps * states, type);
    p->saved.states = mb_block_add(bytes, p->steps * states, MB_F32);
    p->saved.previous = mb_block_add(bytes, factors * p->steps * states, type);
    if (masks)
        p->saved.masks = mb_block_add(bytes, 4 * states, MB_F32);
    p->saved.factor = mb_block_add(bytes, factors * states, type);
    p->saved.product = mb_block_add(bytes, 4 * states, type);
    if (p->skips)
        p->saved.held = mb_block_add(bytes, states, type);
    for (int i = 0; i < 2 && p->keeps; i++)
        p->saved.begins[i] = mb_block_add(bytes, states, type);
    for (int i = 1; i < mb_call_arguments(call) && p->first; i++)
        p->saved.before[i - 1] = mb_block_add(bytes, states, type);
    for (int i = 0; i < p->packed.n && p->first; i++)
        p->saved.outputs[i] = mb_block_add(bytes, output_of(p, i), type);
}

static void lay_carry(plan_t *p, const mb_call_t *call, bool drops, bool masks)
{
    mb_dtype_t type = call->output_type;
    int64_t states = states_of(p), factors = masks ? 4 : 1;
    size_t *bytes = &p->carry.bytes;
    p->carry.dgates = mb_block_add(bytes, 4 * p->steps * states, type);
    p->carry.dproduct = mb_block_add(bytes, 4 * states, type);
    p->carry.dfactor = mb_block_add(bytes, factors * states, type);
    p->carry.carried = mb_block_add(bytes, states, MB_F32);
    if (p->skips)
        p->carry.dheld = mb_block_add(bytes, states, MB_F32);
    if (drops)
        p->carry.dropped = mb_block_add(bytes, 4 * inputs_of(p), type);
    if (p->first)
        p->carry.dx = mb_block_add(bytes, inputs_of(p), type);
    for (int i = 1; i < mb_call_arguments(call) && p->first; i++)
        p->carry.before[i - 1] = mb_block_add(bytes, states, type);
    for (int i = 0; i < p->packed.n && p->first; i++)
        p->carry.outputs[i] = mb_block_add(bytes, output_of(p, i), type);
}

static plan_t plan_of(const mb_call_t *call, int64_t samples)
{
    const mb_conv_lstm_t *c = config_of(call);
    plan_t p = {.samples = samples,
                .steps = call->inputs[0].dim[0],
                .width = c->cell.width,
                .units = c->cell.units,
                .first = c->channels_first,
                .keeps = mb_recurrent_keeps(call, &c->cell),
                .skips = call->masks[0] > 0};
    bool drops = c->cell.dropout > 0.0, masks = c->cell.recurrent_dropout > 0.0;
    mb_conv_lstm_image(call, 4 * c->cell.units, &p.image); /* infer has seen both go well */
    mb_conv_lstm_pack(call, &p.packed);
    p.pixels = mb_shape_rows(&p.image.inputs[0]);
    p.places = mb_shape_rows(&p.image.output);
    lay_saved(&p, call, drops, masks);
    lay_carry(&p, call, drops, masks);
    mb_packed_memory(&p.packed, call->output_type, samples, &p.saved.bytes, &p.carry.bytes);
    return p;
}

static plan_t plan_run(const mb_run_t *run)
{
    const mb_conv_lstm_t *c = config_of(run->call);
    plan_t p = plan_of(run->call, run->samples);
    p.drops = run->training && c->cell.dropout > 0.0;
    p.masks = run->training && c->cell.recurrent_dropout > 0.0;
    return p;
}

void mb_conv_lstm_memory(const mb_call_t *call, int64_t samples, mb_memory_t *out)
{
    const mb_conv_lstm_t *c = config_of(call);
    plan_t p = plan_of(call, samples);
    *out = (mb_memory_t){.saved_bytes = p.saved.bytes, .carry_bytes = p.carry.bytes};
    out->keeps_input[0] = call->layer->trainable && !c->channels_first;
    for (int i = 1; i < mb_call_arguments(call); i++)
        out->keeps_input[i] = !c->channels_first;
    if (p.skips)
        out->keeps_input[call->masks[0]] = true;
}

static void *saved_at(const mb_run_t *run, size_t offset)
{
    return mb_bytes_at(run->saved, offset);
}

static void *carry_at(const mb_run_t *run, size_t offset)
{
    return mb_bytes_at(run->carry, offset);
}

/* ---- the channels' place */

/* to[i, c, b] = from[i, b, c] */
static mb_status_t turn(const mb_run_t *run, int64_t images, int64_t rows, int64_t columns,
                        const void *from, void *to)
{
    mb_copy_view_args_t args = {.type = mb_run_type(run),
                                .size = {1, 1, images, columns, rows},
                                .from_stride = {0, 0, rows * columns, 1, columns},
                                .to_stride = {0, 0, rows * columns, rows, 1},
                                .from = from,
                                .to = to};
    return mb_run_copy_view(run->exec, &args);
}

static const void *input_at(const mb_run_t *run, const plan_t *p)
{
    return p->first ? saved_at(run, p->saved.x) : mb_run_input(run, 0);
}

/* State WHICH that it begins with; NULL: zeros. */
static const void *before_at(const mb_run_t *run, const plan_t *p, int which)
{
    if (p->keeps)
        return saved_at(run, p->saved.begins[which]);
    if (mb_call_arguments(run->call) == 1)
        return NULL;
    return p->first ? saved_at(run, p->saved.before[which]) : mb_run_input(run, 1 + which);
}

static void *dbefore_at(const mb_run_t *run, const plan_t *p, int which)
{
    if (mb_call_arguments(run->call) == 1 || !mb_run_wants_input(run, 1 + which))
        return NULL;
    return p->first ? carry_at(run, p->carry.before[which]) : mb_run_grad_input(run, 1 + which);
}

static void *y_at(const mb_run_t *run, const plan_t *p, int index)
{
    return p->first ? saved_at(run, p->saved.outputs[index])
                    : mb_packed_output(run, &p->packed, index);
}

static const void *dy_at(const mb_run_t *run, const plan_t *p, int index)
{
    return p->first ? carry_at(run, p->carry.outputs[index])
                    : mb_packed_gradient(run, &p->packed, index);
}

static int64_t images_of(const plan_t *p, int index)
{
    return output_of(p, index) / (p->places * p->units);
}

static mb_status_t turn_inputs(const mb_run_t *run, const plan_t *p)
{
    if (!p->first)
        return MB_OK;
    MB_TRY(turn(run, p->samples * p->steps, p->width, p->pixels, mb_run_input(run, 0),
                saved_at(run, p->saved.x)));
    for (int i = 1; i < mb_call_arguments(run->call); i++)
        MB_TRY(turn(run, p->samples, p->units, p->places, mb_run_input(run, i),
                    saved_at(run, p->saved.before[i - 1])));
    return MB_OK;
}

static mb_status_t turn_outputs(const mb_run_t *run, const plan_t *p)
{
    for (int i = 0; i < p->packed.n && p->first; i++)
        MB_TRY(turn(run, images_of(p, i), p->places, p->units, y_at(run, p, i),
                    mb_packed_output(run, &p->packed, i)));
    return MB_OK;
}

static mb_status_t turn_gradients(const mb_run_t *run, const plan_t *p)
{
    for (int i = 0; i < p->packed.n && p->first; i++)
        MB_TRY(turn(run, images_of(p, i), p->units, p->places,
                    mb_packed_gradient(run, &p->packed, i), carry_at(run, p->carry.outputs[i])));
    return MB_OK;
}

/* ---- convolutions */

static mb_window_t input_window(const plan_t *p, const mb_run_t *run)
{
    const mb_window_config_t *config = &config_of(run->call)->window;
    mb_window_t window = mb_window_geometry(config, &p->image, p->samples * p->steps);
    window.groups = p->drops ? 4 : 1;
    window.channels_in *= window.groups;
    return window;
}

/* Of the states with U, of IMAGES of them. */
static mb_window_t state_window(const plan_t *p, const mb_run_t *run, int64_t images)
{
    mb_window_config_t config = config_of(run->call)->window;
    mb_call_t call = p->image;
    config.padding = MB_PADDING_SAME;
    for (int i = 0; i < MB_MAX_SPATIAL; i++)
        config.stride[i] = config.dilation[i] = 1;
    call.inputs[0] = p->image.output;
    call.inputs[0].dim[config.spatial] = p->units;
    mb_window_t window = mb_window_geometry(&config, &call, images);
    window.groups = p->masks ? 4 : 1;
    window.channels_in *= window.groups;
    return window;
}

static mb_status_t convolve(const mb_run_t *run, mb_window_t window, int param, const void *bias,
                            const void *x, void *y)
{
    mb_conv_forward_args_t args = {.type = mb_run_type(run),
                                   .window = window,
                                   .x = x,
                                   .w = mb_run_param(run, param),
                                   .bias = bias,
                                   .y = y};
    return mb_run_conv_forward(run->exec, &args);
}

static mb_status_t convolve_back(const mb_run_t *run, mb_window_t window, int param, const void *dy,
                                 void *dx)
{
    mb_conv_backward_input_args_t args = {.type = mb_run_type(run),
                                          .window = window,
                                          .dy = dy,
                                          .w = mb_run_param(run, param),
                                          .dx = dx};
    return mb_run_conv_backward_input(run->exec, &args);
}

/* ---- dropout */

static mb_random_key_t random_of(const mb_run_t *run, uint32_t purpose)
{
    mb_random_key_t random = run->random;
    random.purpose = purpose;
    return random;
}

/* [pixels of all steps, 4, width], and the same of an array that has one for all four. */
static mb_view_t four_times(const plan_t *p, bool repeated)
{
    mb_shape_t shape = {2, {4, p->width}};
    mb_view_t view = mb_view_of(p->samples * p->steps * p->pixels, &shape);
    view.stride[0] = repeated ? p->width : 4 * p->width;
    view.stride[1] = repeated ? 0 : p->width;
    return view;
}

/* The masks are the same at all steps. Linear, so that forward and backward are one. */
static mb_status_t drop(const mb_run_t *run, const plan_t *p, void *x)
{
    mb_dropout_args_t args = {.type = mb_run_type(run),
                              .samples = p->samples,
                              .elements = 4 * p->pixels * p->width,
                              .rate = (float)config_of(run->call)->cell.dropout,
                              .random = random_of(run, MB_RANDOM_RECURRENT_INPUT),
                              .x = x,
                              .y = x,
                              .repeats = p->steps};
    return mb_run_dropout(run->exec, &args);
}

static mb_status_t make_masks(const mb_run_t *run, const plan_t *p)
{
    float *masks = saved_at(run, p->saved.masks);
    mb_fill_args_t ones = {.count = 4 * states_of(p), .value = 1.0f, .y = masks};
    mb_dropout_args_t args = {.samples = p->samples,
                              .elements = 4 * p->places * p->units,
                              .rate = (float)config_of(run->call)->cell.recurrent_dropout,
                              .random = random_of(run, MB_RANDOM_RECURRENT_STATE),
                              .x = masks,
                              .y = masks};
    if (!p->masks)
        return MB_OK;
    MB_TRY(mb_run_fill(run->exec, &ones));
    return mb_run_dropout(run->exec, &args);
}

static mb_status_t drop_input(const mb_run_t *run, const plan_t *p)
{
    mb_view_t one = four_times(p, true), four = four_times(p, false);
    void *dropped = saved_at(run, p->saved.dropped);
    if (!p->drops)
        return MB_OK;
    MB_TRY(mb_run_move(run, input_at(run, p), &one, dropped, &four, false));
    return drop(run, p, dropped);
}

static const void *convolved(const mb_run_t *run, const plan_t *p)
{
    return p->drops ? saved_at(run, p->saved.dropped) : input_at(run, p);
}

/* ---- steps */

static int64_t position_of(const mb_run_t *run, const plan_t *p, int64_t step)
{
    if (step < 0 || step >= p->steps)
        return -1;
    return config_of(run->call)->cell.backwards ? p->steps - 1 - step : step;
}

/* STEP: -1: the one in front of the first. */
static mb_lstm_step_t step_of(const mb_run_t *run, const plan_t *p, int64_t step)
{
    const mb_activation_t *a = &config_of(run->call)->cell.activation;
    const mb_activation_t *g = &config_of(run->call)->cell.gate;
    return (mb_lstm_step_t){.samples = p->samples,
                            .steps = p->steps,
                            .places = p->places,
                            .units = p->units,
                            .earlier = position_of(run, p, step - 1),
                            .position = position_of(run, p, step),
                            .later = position_of(run, p, step + 1),
                            .masked = p->masks,
                            .skips = p->skips,
                            .blank = config_of(run->call)->cell.blank,
                            .act = {a->act, a->p0, a->p1, a->p2},
                            .gate = {g->act, g->p0, g->p1, g->p2}};
}

static bool is_last(const plan_t *p, int64_t step)
{
    return step == p->steps - 1;
}

/* Where a step's h stands in y: a row of it, or all; NULL: nowhere. */
static void *row_of(const mb_run_t *run, const plan_t *p, int64_t step, const void *y)
{
    const mb_recurrent_t *cell = &config_of(run->call)->cell;
    int64_t row = cell->sequences ? step : 0;
    if (step < 0 || (!cell->sequences && !is_last(p, step)) || y == NULL)
        return NULL;
    size_t bytes = (size_t)(row * p->places * p->units) * mb_dtype_bytes(mb_run_type(run));
    return (char *)(uintptr_t)y + bytes;
}

static int64_t ld_of(const mb_run_t *run, const plan_t *p)
{
    bool sequences = config_of(run->call)->cell.sequences;
    return (sequences ? p->steps : 1) * p->places * p->units;
}

/* Where the last c goes; NULL: nowhere. */
static void *last_carry(const mb_run_t *run, const plan_t *p)
{
    if (p->packed.n > 1)
        return y_at(run, p, 2);
    return p->keeps ? mb_run_state(run, 1) : NULL;
}

static const void *present_at(const mb_run_t *run, const plan_t *p)
{
    return p->skips ? mb_run_input(run, run->call->masks[0]) : NULL;
}

static mb_status_t forward_step(const mb_run_t *run, const plan_t *p, int64_t step)
{
    bool multiplies = step > 0 || (step == 0 && before_at(run, p, 0) != NULL);
    mb_lstm_step_forward_args_t args = {
        .type = mb_run_type(run),
        .step = step_of(run, p, step),
        .before = {before_at(run, p, 0), before_at(run, p, 1)},
        .product = multiplies ? saved_at(run, p->saved.product) : NULL,
        .masks = saved_at(run, p->saved.masks),
        .gates = saved_at(run, p->saved.gates),
        .states = saved_at(run, p->saved.states),
        .previous = saved_at(run, p->saved.previous),
        .factor = is_last(p, step) ? NULL : saved_at(run, p->saved.factor),
        .h = row_of(run, p, step, y_at(run, p, 0)),
        .c = is_last(p, step) ? last_carry(run, p) : NULL,
        .ldh = ld_of(run, p),
        .present = present_at(run, p),
        .held = p->skips ? saved_at(run, p->saved.held) : NULL};
    if (multiplies || run->exec->planning)
        MB_TRY(convolve(run, state_window(p, run, p->samples), RECURRENT, NULL,
                        saved_at(run, p->saved.factor), saved_at(run, p->saved.product)));
    return mb_run_lstm_step_forward(run->exec, &args);
}

/* The last h, which is an output's last row unless that may be blank. */
static mb_status_t copy_last(const mb_run_t *run, const plan_t *p, void *to)
{
    int64_t elements = p->places * p->units;
    mb_copy_rows_args_t args = {.type = mb_run_type(run),
                                .rows = p->samples,
                                .columns = elements,
                                .ld_from = p->skips ? elements : ld_of(run, p),
                                .ld_to = elements,
                                .from = row_of(run, p, p->steps - 1, y_at(run, p, 0)),
                                .to = to};
    if (p->skips)
        args.from = saved_at(run, p->saved.held);
    return mb_run_copy_rows(run->exec, &args);
}

static mb_status_t return_last(const mb_run_t *run, const plan_t *p)
{
    return p->packed.n > 1 ? copy_last(run, p, y_at(run, p, 1)) : MB_OK;
}

static mb_status_t copy_states(const mb_run_t *run, const plan_t *p, const void *from, void *to)
{
    return mb_run_copy(run, p->places * p->units, from, to);
}

/* Backward wants them as they were. */
static mb_status_t take_kept(const mb_run_t *run, const plan_t *p)
{
    for (int i = 0; i < 2 && p->keeps; i++)
        MB_TRY(copy_states(run, p, mb_run_state(run, i), saved_at(run, p->saved.begins[i])));
    return MB_OK;
}

/* The last states for the next batch. */
static mb_status_t keep_last(const mb_run_t *run, const plan_t *p)
{
    if (!p->keeps)
        return MB_OK;
    MB_TRY(copy_last(run, p, mb_run_state(run, 0)));
    return p->packed.n > 1 ? copy_states(run, p, y_at(run, p, 2), mb_run_state(run, 1)) : MB_OK;
}

mb_status_t mb_conv_lstm_forward(const mb_run_t *run)
{
    plan_t p = plan_run(run);
    const void *bias = config_of(run->call)->cell.use_bias ? mb_run_param(run, BIAS) : NULL;
    MB_TRY(turn_inputs(run, &p));
    MB_TRY(take_kept(run, &p));
    MB_TRY(drop_input(run, &p));
    MB_TRY(make_masks(run, &p));
    MB_TRY(convolve(run, input_window(&p, run), KERNEL, bias, convolved(run, &p),
                    saved_at(run, p.saved.gates)));
    for (int64_t step = -1; step < p.steps; step++)
        MB_TRY(forward_step(run, &p, step));
    MB_TRY(return_last(run, &p));
    MB_TRY(keep_last(run, &p));
    MB_TRY(turn_outputs(run, &p));
    return mb_packed_join(run, &p.packed);
}

/* ---- backward */

static mb_lstm_step_backward_args_t backward_args(const mb_run_t *run, const plan_t *p,
                                                  int64_t step)
{
    bool ends = is_last(p, step), several = p->packed.n > 1;
    mb_lstm_step_backward_args_t args = {.type = mb_run_type(run),
                                         .step = step_of(run, p, step),
                                         .before = {before_at(run, p, 0), before_at(run, p, 1)},
                                         .dfactor = ends ? NULL : carry_at(run, p->carry.dfactor),
                                         .dh = row_of(run, p, step, dy_at(run, p, 0)),
                                         .dc = ends && several ? dy_at(run, p, 2) : NULL,
                                         .dlast = ends && several ? dy_at(run, p, 1) : NULL,
                                         .ldh = ld_of(run, p),
                                         .masks = saved_at(run, p->saved.masks),
                                         .gates = saved_at(run, p->saved.gates),
                                         .states = saved_at(run, p->saved.states),
                                         .carried = carry_at(run, p->carry.carried),
                                         .dgates = carry_at(run, p->carry.dgates),
                                         .dproduct =
                                             step < 0 ? NULL : carry_at(run, p->carry.dproduct),
                                         .present = present_at(run, p)};
    if (p->skips)
        args.dheld = carry_at(run, p->carry.dheld);
    if (step < 0) {
        args.dbefore[0] = dbefore_at(run, p, 0);
        args.dbefore[1] = dbefore_at(run, p, 1);
    }
    return args;
}

static mb_status_t backward_step(const mb_run_t *run, const plan_t *p, int64_t step)
{
    mb_lstm_step_backward_args_t args = backward_args(run, p, step);
    MB_TRY(mb_run_lstm_step_backward(run->exec, &args));
    bool given = mb_call_arguments(run->call) > 1;
    bool wanted = step > 0 || (step == 0 && given) || run->exec->planning;
    if (step < 0 || !wanted)
        return MB_OK;
    return convolve_back(run, state_window(p, run, p->samples), RECURRENT, args.dproduct,
                         carry_at(run, p->carry.dfactor));
}

static mb_status_t leave_states(const mb_run_t *run, const plan_t *p)
{
    if (mb_call_arguments(run->call) == 1)
        return MB_OK;
    MB_TRY(backward_step(run, p, -1));
    for (int i = 0; i < 2 && p->first; i++) {
        if (mb_run_wants_input(run, 1 + i))
            MB_TRY(turn(run, p->samples, p->places, p->units, dbefore_at(run, p, i),
                        mb_run_grad_input(run, 1 + i)));
    }
    return MB_OK;
}

static mb_status_t input_gradient(const mb_run_t *run, const plan_t *p)
{
    mb_view_t one = four_times(p, true), four = four_times(p, false);
    void *dx = p->first ? carry_at(run, p->carry.dx) : mb_run_grad_input(run, 0);
    void *dropped = p->drops ? carry_at(run, p->carry.dropped) : dx;
    if (!mb_run_wants_input(run, 0))
        return MB_OK;
    MB_TRY(
        convolve_back(run, input_window(p, run), KERNEL, carry_at(run, p->carry.dgates), dropped));
    if (p->drops) {
        MB_TRY(drop(run, p, dropped));
        MB_TRY(mb_run_move(run, dropped, &four, dx, &one, false));
    }
    return p->first ? turn(run, p->samples * p->steps, p->pixels, p->width, dx,
                           mb_run_grad_input(run, 0))
                    : MB_OK;
}

mb_status_t mb_conv_lstm_backward_input(const mb_run_t *run)
{
    plan_t p = plan_run(run);
    MB_TRY(mb_packed_part(run, &p.packed));
    MB_TRY(turn_gradients(run, &p));
    for (int64_t step = p.steps; step-- > 0;)
        MB_TRY(backward_step(run, &p, step));
    MB_TRY(leave_states(run, &p));
    return input_gradient(run, &p);
}

static mb_status_t weight_gradient(const mb_run_t *run, mb_window_t window, int param,
                                   const void *x, const void *dy, float *dbias)
{
    mb_conv_backward_weights_args_t args = {.type = mb_run_type(run),
                                            .window = window,
                                            .accumulate = run->accumulate,
                                            .x = x,
                                            .dy = dy,
                                            .dw = mb_run_grad_param(run, param),
                                            .dbias = dbias};
    return mb_run_conv_backward_weights(run->exec, &args);
}

/* All are wanted or none: a layer is frozen as a whole. */
mb_status_t mb_conv_lstm_backward_weights(const mb_run_t *run)
{
    plan_t p = plan_run(run);
    const void *dgates = carry_at(run, p.carry.dgates);
    float *dbias = config_of(run->call)->cell.use_bias ? mb_run_grad_param(run, BIAS) : NULL;
    if (!mb_run_wants_param(run, KERNEL))
        return MB_OK;
    MB_TRY(weight_gradient(run, input_window(&p, run), KERNEL, convolved(run, &p), dgates, dbias));
    return weight_gradient(run, state_window(&p, run, p.samples * p.steps), RECURRENT,
                           saved_at(run, p.saved.previous), dgates, NULL);
}

void mb_conv_lstm_cost(const mb_call_t *call, mb_cost_t *out)
{
    const mb_conv_lstm_t *c = config_of(call);
    plan_t p = plan_of(call, 1);
    double taps = mb_window_positions(&c->window) * (double)(c->cell.width + c->cell.units);
    double flops = 2.0 * taps * 4.0 * (double)(p.steps * p.places * p.units);
    *out = (mb_cost_t){flops, flops, flops};
}
