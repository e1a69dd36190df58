/* How a recurrent layer runs in one direction (recurrent.h):
 *     forward    x' = drop(x); gates = x' W + b for all steps at once; then the steps
 *     backward   the steps give dgates and, for what came from the states, drecurrent;
 *                dx = drop(dgates W^T), dW = x'^T dgates, dU = previous^T drecurrent
 * Where each gate drops inputs of its own there is an x' for each, and a product.
 *
 * saved: gates, states, previous, masks of the states, x', what was kept from the batch before,
 * which the states behind this one take the place of. carry: dgates, drecurrent, a gradient of x'.
 */
#include "model/layers/recurrent.h"

typedef struct {
    int64_t steps, rows;            /* rows: of all samples */
    int64_t gates, columns, inputs; /* inputs: how many x' there are; 0: x itself */
    size_t kept, states, previous, masks, dropped[4], begins[2];
    size_t dgates, drecurrent, dx;
    size_t saved_bytes, carry_bytes;
} block_t;

static bool masks_states(const mb_recurrent_t *recurrent)
{
    return recurrent->recurrent_dropout > 0.0;
}

static mb_rnn_t shape_of(const mb_recurrent_t *recurrent, int64_t samples, int64_t steps)
{
    const mb_activation_t *a = &recurrent->activation, *g = &recurrent->gate;
    return (mb_rnn_t){.cell = recurrent->cell,
                      .backwards = recurrent->backwards,
                      .last_only = !recurrent->sequences,
                      .samples = samples,
                      .steps = steps,
                      .units = recurrent->units,
                      .act = {a->act, a->p0, a->p1, a->p2},
                      .gate = {g->act, g->p0, g->p1, g->p2}};
}

static void add_saved(block_t *b, const mb_recurrent_t *recurrent, mb_dtype_t type, int64_t width)
{
    mb_rnn_t shape = shape_of(recurrent, 1, b->steps);
    int64_t states = b->rows * recurrent->units, samples = b->rows / b->steps;
    shape.masked = masks_states(recurrent);
    b->kept = mb_block_add(&b->saved_bytes, mb_rnn_kept(recurrent->cell) * states, MB_F32);
    if (recurrent->cell != MB_CELL_SIMPLE)
        b->states = mb_block_add(&b->saved_bytes, states, MB_F32);
    b->previous = mb_block_add(&b->saved_bytes, mb_rnn_parts(&shape) * states, type);
    if (masks_states(recurrent))
        b->masks = mb_block_add(&b->saved_bytes, samples * b->columns, MB_F32);
    for (int64_t i = 0; i < b->inputs; i++)
        b->dropped[i] = mb_block_add(&b->saved_bytes, b->rows * width, type);
}

static void add_carry(block_t *b, const mb_recurrent_t *recurrent, mb_dtype_t type, int64_t width)
{
    b->dgates = mb_block_add(&b->carry_bytes, b->rows * b->columns, type);
    b->drecurrent = b->dgates;
    if (recurrent->cell == MB_CELL_GRU)
        b->drecurrent = mb_block_add(&b->carry_bytes, b->rows * b->columns, type);
    if (b->inputs > 0)
        b->dx = mb_block_add(&b->carry_bytes, b->rows * width, type);
}

static void add_begins(block_t *b, const mb_call_t *call, const mb_recurrent_t *recurrent)
{
    int64_t states = b->rows / b->steps * recurrent->units;
    for (int i = 0; i < mb_recurrent_n_states(recurrent) && mb_recurrent_keeps(call, recurrent);
         i++)
        b->begins[i] = mb_block_add(&b->saved_bytes, states, call->output_type);
}

static block_t block_of(const mb_call_t *call, const mb_recurrent_t *recurrent, int64_t samples)
{
    block_t b = {.steps = call->inputs[0].dim[0], .gates = mb_rnn_gates(recurrent->cell)};
    b.rows = samples * b.steps;
    b.columns = b.gates * recurrent->units;
    b.inputs = recurrent->dropout > 0.0 ? (recurrent->apart ? b.gates : 1) : 0;
    add_saved(&b, recurrent, call->output_type, recurrent->width);
    add_begins(&b, call, recurrent);
    add_carry(&b, recurrent, call->output_type, recurrent->width);
    return b;
}

void mb_recurrent_memory(const mb_call_t *call, const mb_recurrent_t *recurrent, int64_t samples,
                         size_t *saved, size_t *carry)
{
    block_t b = block_of(call, recurrent, samples);
    *saved += b.saved_bytes;
    *carry += b.carry_bytes;
}

/* A run in one direction. */
typedef struct {
    const mb_run_t *run;
    const mb_direction_t *direction;
    const mb_recurrent_t *recurrent;
    mb_dtype_t type;
    block_t block;
} pass_t;

enum { KERNEL, RECURRENT, BIAS };

static pass_t pass_of(const mb_run_t *run, const mb_direction_t *direction)
{
    const mb_recurrent_t *recurrent = direction->recurrent;
    pass_t p = {run, direction, recurrent, mb_run_type(run),
                block_of(run->call, recurrent, run->samples)};
    if (!run->training)
        p.block.inputs = 0;
    return p;
}

/* Products begin at gates, which begin at multiples of the units. */
static bool stands_inside(const pass_t *p)
{
    return p->recurrent->units * (int64_t)mb_dtype_bytes(p->type) % 16 != 0;
}

static void *saved_at(const pass_t *p, size_t offset)
{
    return mb_bytes_at(p->direction->saved, offset);
}

static void *carry_at(const pass_t *p, size_t offset)
{
    return mb_bytes_at(p->direction->carry, offset);
}

/* The mask of the steps. */
static const void *present_at(const pass_t *p)
{
    int mask = p->run->call->masks[0];
    return mask > 0 ? mb_run_input(p->run, mask) : NULL;
}

static const void *param_at(const pass_t *p, int which, int64_t column)
{
    return mb_elements_at(mb_run_param(p->run, p->direction->param + which), p->type, column);
}

static float *floats_at(float *base, int64_t offset)
{
    return base == NULL ? NULL : base + offset;
}

/* ROW: of GRU's two. */
static const float *bias_at(const pass_t *p, int64_t row)
{
    if (!p->recurrent->use_bias)
        return NULL;
    return floats_at(mb_run_param(p->run, p->direction->param + BIAS), row * p->block.columns);
}

static float *gradient_at(const pass_t *p, int which, int64_t offset)
{
    if (which == BIAS && !p->recurrent->use_bias)
        return NULL;
    return floats_at(mb_run_grad_param(p->run, p->direction->param + which), offset);
}

/* ---- dropout */

static mb_random_key_t random_of(const pass_t *p, uint32_t purpose)
{
    mb_random_key_t random = p->run->random;
    random.purpose = purpose + 4 * (uint32_t)p->direction->index;
    return random;
}

/* The mask of an input is the same at all steps. Linear, so that forward and backward are one. */
static mb_status_t drop(const pass_t *p, int64_t which, const void *x, void *y)
{
    mb_dropout_args_t args = {.type = p->type,
                              .samples = p->run->samples,
                              .elements = p->recurrent->width,
                              .rate = (float)p->recurrent->dropout,
                              .random = random_of(p, (uint32_t)(MB_RANDOM_RECURRENT_INPUT + which)),
                              .x = x,
                              .y = y,
                              .repeats = p->block.steps};
    return mb_run_dropout(p->run->exec, &args);
}

static mb_status_t make_masks(const pass_t *p)
{
    float *masks = saved_at(p, p->block.masks);
    int64_t samples = p->run->samples;
    mb_fill_args_t ones = {.count = samples * p->block.columns, .value = 1.0f, .y = masks};
    mb_dropout_args_t args = {.samples = samples,
                              .elements = p->block.columns,
                              .rate = (float)p->recurrent->recurrent_dropout,
                              .random = random_of(p, MB_RANDOM_RECURRENT_STATE),
                              .x = masks,
                              .y = masks};
    MB_TRY(mb_run_fill(p->run->exec, &ones));
    return mb_run_dropout(p->run->exec, &args);
}

/* ---- the inputs' products */

/* The columns of W and of the gates that one x' belongs to. */
typedef struct {
    int64_t first, count;
} columns_t;

static int64_t n_products(const pass_t *p)
{
    return p->block.inputs > 1 ? p->block.inputs : 1;
}

static columns_t columns_of(const pass_t *p, int64_t product)
{
    int64_t count = p->block.columns / n_products(p);
    return (columns_t){product * count, count};
}

static const void *input_of(const pass_t *p, int64_t product)
{
    return p->block.inputs == 0 ? mb_run_input(p->run, 0) : saved_at(p, p->block.dropped[product]);
}

static mb_status_t multiply_input(const pass_t *p, int64_t product)
{
    columns_t c = columns_of(p, product);
    const float *bias = bias_at(p, 0);
    mb_gemm_args_t args = {.type = p->type,
                           .wide = true,
                           .m = p->block.rows,
                           .n = c.count,
                           .k = p->recurrent->width,
                           .lda = p->recurrent->width,
                           .ldb = p->block.columns,
                           .ldc = mb_rnn_kept(p->recurrent->cell) * p->recurrent->units,
                           .a = input_of(p, product),
                           .b = param_at(p, KERNEL, c.first),
                           .bias = bias == NULL ? NULL : bias + c.first,
                           .c = floats_at(saved_at(p, p->block.kept), c.first),
                           .inside = stands_inside(p)};
    return mb_run_gemm(p->run->exec, &args);
}

static mb_rnn_t steps_of(const pass_t *p)
{
    mb_rnn_t shape = shape_of(p->recurrent, p->run->samples, p->block.steps);
    shape.masked = p->run->training && masks_states(p->recurrent);
    shape.skips = p->run->call->masks[0] > 0;
    shape.blank = p->recurrent->blank;
    shape.reversed = p->direction->reversed;
    shape.ldy = p->direction->ldy;
    return shape;
}

static bool keeps(const pass_t *p)
{
    return mb_recurrent_keeps(p->run->call, p->recurrent);
}

/* Initial state WHICH: h, or c of LSTM. */
static const void *before_at(const pass_t *p, int which)
{
    int first = p->direction->first;
    if (which >= mb_recurrent_n_states(p->recurrent))
        return NULL;
    if (keeps(p))
        return saved_at(p, p->block.begins[which]);
    return first > 0 ? mb_run_input(p->run, first + which) : NULL;
}

static void *dbefore_at(const pass_t *p, int which)
{
    int first = p->direction->first;
    bool given = first > 0 && which < mb_recurrent_n_states(p->recurrent);
    return given ? mb_run_grad_input(p->run, first + which) : NULL;
}

static void *kept_at(const pass_t *p, int which)
{
    return mb_run_state(p->run, p->direction->kept + which);
}

/* Backward wants them as they were. */
static mb_status_t take_kept(const pass_t *p)
{
    for (int i = 0; i < mb_recurrent_n_states(p->recurrent) && keeps(p); i++)
        MB_TRY(mb_run_copy(p->run, p->recurrent->units, kept_at(p, i),
                           saved_at(p, p->block.begins[i])));
    return MB_OK;
}

/* Where a state goes: to an output, or for the next batch. */
static void *after_at(const pass_t *p, int which)
{
    void *output = p->direction->after[which];
    if (output != NULL || !keeps(p) || which >= mb_recurrent_n_states(p->recurrent))
        return output;
    return kept_at(p, which);
}

/* Of those that are outputs, too. */
static mb_status_t keep_outputs(const pass_t *p)
{
    for (int i = 0; i < mb_recurrent_n_states(p->recurrent) && keeps(p); i++) {
        const void *output = p->direction->after[i];
        if (output != NULL)
            MB_TRY(mb_run_copy(p->run, p->recurrent->units, output, kept_at(p, i)));
    }
    return MB_OK;
}

mb_status_t mb_recurrent_forward(const mb_run_t *run, const mb_direction_t *direction)
{
    pass_t p = pass_of(run, direction);
    mb_rnn_forward_args_t steps = {.type = p.type,
                                   .rnn = steps_of(&p),
                                   .u = param_at(&p, RECURRENT, 0),
                                   .masks = saved_at(&p, p.block.masks),
                                   .present = present_at(&p),
                                   .gates = saved_at(&p, p.block.kept),
                                   .states = saved_at(&p, p.block.states),
                                   .previous = saved_at(&p, p.block.previous),
                                   .y = direction->y,
                                   .before = {before_at(&p, 0), before_at(&p, 1)},
                                   .after = {after_at(&p, 0), after_at(&p, 1)}};
    if (p.recurrent->cell == MB_CELL_GRU)
        steps.bias = bias_at(&p, 1);
    MB_TRY(take_kept(&p));
    for (int64_t i = 0; i < p.block.inputs; i++)
        MB_TRY(drop(&p, i, mb_run_input(run, 0), saved_at(&p, p.block.dropped[i])));
    if (steps.rnn.masked)
        MB_TRY(make_masks(&p));
    for (int64_t i = 0; i < n_products(&p); i++)
        MB_TRY(multiply_input(&p, i));
    MB_TRY(mb_run_rnn_forward(run->exec, &steps));
    return keep_outputs(&p);
}

/* ---- backward */

static mb_status_t multiply_back(const pass_t *p, int64_t product, bool adds, void *dx)
{
    columns_t c = columns_of(p, product);
    mb_gemm_args_t args = {.type = p->type,
                           .m = p->block.rows,
                           .n = p->recurrent->width,
                           .k = c.count,
                           .transpose_b = true,
                           .accumulate = adds,
                           .lda = p->block.columns,
                           .ldb = p->block.columns,
                           .ldc = p->recurrent->width,
                           .a = mb_elements_at(carry_at(p, p->block.dgates), p->type, c.first),
                           .b = param_at(p, KERNEL, c.first),
                           .c = dx,
                           .inside = stands_inside(p)};
    return mb_run_gemm(p->run->exec, &args);
}

/* The gradient through one x' and its mask. */
static mb_status_t add_dropped(const pass_t *p, int64_t product, bool adds)
{
    void *dx = mb_run_grad_input(p->run, 0);
    void *part = adds ? carry_at(p, p->block.dx) : dx;
    MB_TRY(multiply_back(p, product, false, part));
    MB_TRY(drop(p, product, part, part));
    if (!adds)
        return MB_OK;
    mb_add_args_t sum = {
        .type = p->type, .count = p->block.rows * p->recurrent->width, .a = dx, .b = part, .y = dx};
    return mb_run_add(p->run->exec, &sum);
}

static mb_status_t input_gradient(const pass_t *p, bool adds)
{
    if (p->block.inputs == 0)
        return multiply_back(p, 0, adds, mb_run_grad_input(p->run, 0));
    for (int64_t i = 0; i < p->block.inputs; i++)
        MB_TRY(add_dropped(p, i, adds || i > 0));
    return MB_OK;
}

mb_status_t mb_recurrent_backward_input(const mb_run_t *run, const mb_direction_t *direction,
                                        bool adds)
{
    pass_t p = pass_of(run, direction);
    mb_rnn_backward_args_t steps = {.type = p.type,
                                    .rnn = steps_of(&p),
                                    .u = param_at(&p, RECURRENT, 0),
                                    .masks = saved_at(&p, p.block.masks),
                                    .present = present_at(&p),
                                    .gates = saved_at(&p, p.block.kept),
                                    .states = saved_at(&p, p.block.states),
                                    .dy = direction->dy,
                                    .dgates = carry_at(&p, p.block.dgates),
                                    .drecurrent = carry_at(&p, p.block.drecurrent),
                                    .before = {before_at(&p, 0), before_at(&p, 1)},
                                    .dafter = {direction->dafter[0], direction->dafter[1]},
                                    .dbefore = {dbefore_at(&p, 0), dbefore_at(&p, 1)}};
    MB_TRY(mb_run_rnn_backward(run->exec, &steps));
    return mb_run_wants_input(run, 0) ? input_gradient(&p, adds) : MB_OK;
}

/* dW = x^T d, with the sums of d's columns where they are wanted. W's columns are COLUMNS of all.
 */
static mb_status_t weight_gradient(const pass_t *p, const void *x, int64_t width, size_t gradient,
                                   columns_t columns, float *dw, float *dbias)
{
    mb_gemm_args_t args = {.type = p->type,
                           .wide = true,
                           .m = width,
                           .n = columns.count,
                           .k = p->block.rows,
                           .transpose_a = true,
                           .accumulate = p->run->accumulate,
                           .lda = width,
                           .ldb = p->block.columns,
                           .ldc = p->block.columns,
                           .a = x,
                           .b = mb_elements_at(carry_at(p, gradient), p->type, columns.first),
                           .c = floats_at(dw, columns.first),
                           .dbias = columns.count == p->block.columns ? dbias : NULL,
                           .inside = stands_inside(p)};
    return mb_run_gemm(p->run->exec, &args);
}

/* The sums by themselves, where no product has all columns. */
static mb_status_t bias_gradient(const pass_t *p, size_t gradient, float *dbias)
{
    mb_column_sum_args_t args = {.type = p->type,
                                 .rows = p->block.rows,
                                 .columns = p->block.columns,
                                 .accumulate = p->run->accumulate,
                                 .a = carry_at(p, gradient),
                                 .sum = dbias};
    return mb_run_column_sum(p->run->exec, &args);
}

static mb_status_t kernel_gradient(const pass_t *p)
{
    float *dw = gradient_at(p, KERNEL, 0), *dbias = gradient_at(p, BIAS, 0);
    for (int64_t i = 0; i < n_products(p); i++)
        MB_TRY(weight_gradient(p, input_of(p, i), p->recurrent->width, p->block.dgates,
                               columns_of(p, i), dw, dbias));
    return p->recurrent->use_bias && n_products(p) > 1 ? bias_gradient(p, p->block.dgates, dbias)
                                                       : MB_OK;
}

static mb_status_t recurrent_gradient(const pass_t *p)
{
    mb_rnn_t shape = steps_of(p);
    int64_t units = shape.units, array = p->block.rows * units, parts = mb_rnn_parts(&shape);
    bool has_bias = p->recurrent->use_bias && shape.cell == MB_CELL_GRU;
    float *dw = gradient_at(p, RECURRENT, 0);
    float *dbias = has_bias ? gradient_at(p, BIAS, p->block.columns) : NULL;
    for (int64_t i = 0; i < parts; i++) {
        columns_t columns = {mb_rnn_part_first(&shape, i) * units,
                             mb_rnn_part_gates(&shape, i) * units};
        const void *x = mb_elements_at(saved_at(p, p->block.previous), p->type, i * array);
        MB_TRY(weight_gradient(p, x, units, p->block.drecurrent, columns, dw, dbias));
    }
    return has_bias && parts > 1 ? bias_gradient(p, p->block.drecurrent, dbias) : MB_OK;
}

mb_status_t mb_recurrent_backward_weights(const mb_run_t *run, const mb_direction_t *direction)
{
    pass_t p = pass_of(run, direction);
    if (!mb_run_wants_param(run, direction->param))
        return MB_OK;
    MB_TRY(kernel_gradient(&p));
    return recurrent_gradient(&p);
}

void mb_recurrent_cost(const mb_call_t *call, const mb_recurrent_t *recurrent, mb_cost_t *out)
{
    double rows = (double)call->inputs[0].dim[0], units = (double)recurrent->units;
    double columns = units * (double)mb_rnn_gates(recurrent->cell);
    double flops = 2.0 * rows * columns * (units + (double)mb_shape_columns(&call->inputs[0]));
    *out = (mb_cost_t){flops, flops, flops};
}
