/* The recurrent cells backward (ops.h): through the steps from the last to the first, row by row
 * from the gradient of the states behind a step to those of its gates, whose product with U^T is
 * the rest of the gradient of the states before it. */
#include <string.h>
#include "device/cpu/activation.h"
#include "device/cpu/recurrent.h"
#include "device/cpu/simd.h"
#include "device/cpu/vectors.h"

typedef struct {
    mb_rnn_work_t work; /* first: the tiles' context */
    const mb_rnn_backward_args_t *args;
    int64_t dh, dc; /* of the states behind the step, then before it: [block, units] */
    int64_t values; /* gates of a row, where what is kept is their argument; act(c) */
    int64_t zeros;  /* the state before the first step, where none is given */
} backward_t;

/* One sample at one step. */
typedef struct {
    const backward_t *f;
    const mb_rnn_tile_t *tile;
    int64_t row, sample, step, position;
} place_t;

/* h = update before + (1 - update) candidate */
MB_MULTIVERSION
static void unmix(float *dh, const float *update, const float *before, const float *candidate,
                  float *dupdate, float *dcandidate, int64_t n)
{
#pragma omp simd
    for (int64_t j = 0; j < n; j++) {
        dupdate[j] = dh[j] * (before[j] - candidate[j]);
        dcandidate[j] = dh[j] * (1.0f - update[j]);
        dh[j] *= update[j];
    }
}

static const mb_rnn_t *shape_of(const place_t *p)
{
    return &p->f->args->rnn;
}

static void copy(const place_t *p, const float *from, float *to)
{
    memcpy(to, from, sizeof(float) * (size_t)shape_of(p)->units);
}

static const float *kept_at(const place_t *p, int64_t gate)
{
    const mb_rnn_t *r = shape_of(p);
    return p->f->args->gates + mb_rnn_at(r, mb_rnn_kept(r->cell), p->sample, p->position) +
           gate * r->units;
}

/* Of a row of [samples, units]. */
static int64_t state_of(const place_t *p)
{
    return p->sample * shape_of(p)->units;
}

/* c of LSTM, h of GRU. */
static const float *state_before(const place_t *p)
{
    const float *given = p->f->args->before[shape_of(p)->cell == MB_CELL_LSTM];
    return given == NULL ? p->tile->arrays + p->f->zeros : given + state_of(p);
}

static const float *state_at(const place_t *p, int64_t step)
{
    const mb_rnn_t *r = shape_of(p);
    if (step < 0)
        return state_before(p);
    return p->f->args->states + mb_rnn_at(r, 1, p->sample, mb_rnn_position(r, step));
}

static float *dh_at(const place_t *p)
{
    return mb_rnn_row_at(p->tile, p->f->dh, p->row);
}

static float *dc_at(const place_t *p)
{
    return mb_rnn_row_at(p->tile, p->f->dc, p->row);
}

static float *scratch_at(const place_t *p, int64_t which)
{
    return p->tile->arrays + p->f->values + which * shape_of(p)->units;
}

static const float *value_of(const place_t *p, const mb_function_t *function, int64_t gate)
{
    if (mb_act_from_value(function->act))
        return kept_at(p, gate);
    mb_cpu_act_run(function, kept_at(p, gate), scratch_at(p, gate), shape_of(p)->units);
    return scratch_at(p, gate);
}

/* The gradient of h' U's part of a gate: what U^T is multiplied by. */
static float *gradient_at(const place_t *p, int64_t gate)
{
    return mb_rnn_gate_at(p->tile, mb_rnn_part_of(&p->f->work, gate)->a, gate, p->row);
}

static void through_function(const place_t *p, const mb_function_t *function, int64_t gate,
                             float *d)
{
    mb_cpu_act_run_back(function, kept_at(p, gate), d, shape_of(p)->units);
}

static void write_gate(const place_t *p, void *array, int64_t gate, const float *d)
{
    const mb_rnn_t *r = shape_of(p);
    int64_t at = mb_rnn_at(r, mb_rnn_gates(r->cell), p->sample, p->position);
    copy(p, d, mb_out(array) + at + gate * r->units);
}

static void write_gates(const place_t *p, void *array)
{
    for (int64_t g = 0; g < mb_rnn_gates(shape_of(p)->cell); g++)
        write_gate(p, array, g, gradient_at(p, g));
}

/* ---- cells: from dh to the gates; what dh itself keeps for the step before stays there */

static void back_simple(const place_t *p)
{
    copy(p, dh_at(p), gradient_at(p, 0));
    through_function(p, &shape_of(p)->act, 0, gradient_at(p, 0));
    memset(dh_at(p), 0, sizeof(float) * (size_t)shape_of(p)->units);
    write_gates(p, p->f->args->dgates);
}

/* dc gets what comes to c through h. */
static void back_output(const place_t *p, const float *c, float *dc)
{
    const mb_rnn_t *r = shape_of(p);
    float *value = scratch_at(p, 4), *dh = dh_at(p);
    mb_cpu_act_run(&r->act, c, value, r->units);
    mb_vector_multiply(dh, value, gradient_at(p, 3), r->units);
    mb_vector_multiply(dh, value_of(p, &r->gate, 3), dh, r->units);
    mb_cpu_act_run_back(&r->act, mb_act_from_value(r->act.act) ? value : c, dh, r->units);
    mb_vector_add(dc, dh, r->units);
    memset(dh, 0, sizeof(float) * (size_t)r->units);
}

static void back_lstm(const place_t *p)
{
    const mb_rnn_t *r = shape_of(p);
    float *dc = dc_at(p);
    back_output(p, state_at(p, p->step), dc);
    mb_vector_multiply(dc, value_of(p, &r->act, 2), gradient_at(p, 0), r->units);
    mb_vector_multiply(dc, state_at(p, p->step - 1), gradient_at(p, 1), r->units);
    mb_vector_multiply(dc, value_of(p, &r->gate, 0), gradient_at(p, 2), r->units);
    mb_vector_multiply(dc, value_of(p, &r->gate, 1), dc, r->units);
    for (int64_t g = 0; g < 4; g++)
        through_function(p, g == 2 ? &r->act : &r->gate, g, gradient_at(p, g));
    write_gates(p, p->f->args->dgates);
}

/* DCANDIDATE gets the gradient of z_2. */
static void back_mix(const place_t *p, float *dcandidate)
{
    const mb_rnn_t *r = shape_of(p);
    unmix(dh_at(p), value_of(p, &r->gate, 0), state_at(p, p->step - 1), value_of(p, &r->act, 2),
          gradient_at(p, 0), dcandidate, r->units);
    through_function(p, &r->act, 2, dcandidate);
    through_function(p, &r->gate, 0, gradient_at(p, 0));
}

static void back_gru(const place_t *p)
{
    const mb_rnn_t *r = shape_of(p);
    float *dcandidate = scratch_at(p, 4);
    back_mix(p, dcandidate);
    mb_vector_multiply(dcandidate, kept_at(p, 3), gradient_at(p, 1), r->units);
    through_function(p, &r->gate, 1, gradient_at(p, 1));
    mb_vector_multiply(dcandidate, value_of(p, &r->gate, 1), gradient_at(p, 2), r->units);
    write_gates(p, p->f->args->drecurrent);
    write_gates(p, p->f->args->dgates);
    write_gate(p, p->f->args->dgates, 2, dcandidate);
}

static void back_gru_before(const place_t *p)
{
    back_mix(p, gradient_at(p, 2));
}

static const float *mask_at(const place_t *p, int64_t gate)
{
    const mb_rnn_t *r = shape_of(p);
    return p->f->args->masks + (p->sample * mb_rnn_gates(r->cell) + gate) * r->units;
}

static const float *product_at(const place_t *p, int part)
{
    return mb_rnn_row_at(p->tile, p->f->work.parts[part].c, p->row);
}

/* GRU_BEFORE: the gradient of r h' has come. */
static void reset_row(const place_t *p)
{
    const mb_rnn_t *r = shape_of(p);
    const float *product = product_at(p, p->f->work.n_parts - 1);
    float *masked = scratch_at(p, 4), *dreset = gradient_at(p, 1);
    copy(p, product, masked);
    if (r->masked)
        mb_vector_multiply(masked, mask_at(p, 2), masked, r->units);
    mb_vector_multiply(masked, state_at(p, p->step - 1), dreset, r->units);
    mb_vector_add_product(dh_at(p), masked, value_of(p, &r->gate, 1), r->units);
    through_function(p, &r->gate, 1, dreset);
    write_gates(p, p->f->args->dgates);
}

/* ---- a step of a block */

typedef void (*row_fn_t)(const place_t *place);

static void each_row(const backward_t *f, const mb_rnn_tile_t *tile, int64_t step, row_fn_t run)
{
    place_t p = {f, tile, 0, 0, step, mb_rnn_position(&f->args->rnn, step)};
    for (p.sample = tile->samples.begin; p.sample < tile->samples.end; p.sample++, p.row++)
        run(&p);
}

static const row_fn_t cells[] = {[MB_CELL_SIMPLE] = back_simple,
                                 [MB_CELL_LSTM] = back_lstm,
                                 [MB_CELL_GRU] = back_gru,
                                 [MB_CELL_GRU_BEFORE] = back_gru_before};

static bool is_present(const place_t *p)
{
    return mb_rnn_is_present(&p->f->work, p->sample, p->position);
}

/* The gates of a step that is not there have no gradient, and that of the states stays. */
static void pass_row(const place_t *p)
{
    const mb_rnn_t *r = shape_of(p);
    for (int64_t g = 0; g < mb_rnn_gates(r->cell); g++)
        memset(gradient_at(p, g), 0, sizeof(float) * (size_t)r->units);
    if (r->cell == MB_CELL_GRU)
        write_gates(p, p->f->args->drecurrent);
    write_gates(p, p->f->args->dgates);
}

static void run_cell(const place_t *p)
{
    if (is_present(p))
        cells[shape_of(p)->cell](p);
    else
        pass_row(p);
}

static void run_reset(const place_t *p)
{
    if (is_present(p))
        reset_row(p);
}

static void begin_row(const place_t *p)
{
    const mb_rnn_t *r = shape_of(p);
    if (r->blank && !is_present(p))
        return;
    const float *dy = mb_in(p->f->args->dy) + mb_rnn_row(r, p->sample, p->step) * r->ldy;
    mb_vector_add(dh_at(p), dy, r->units);
}

/* Adds the products of all parts but that of r h', which is in already. */
static void end_row(const place_t *p)
{
    const mb_rnn_t *r = shape_of(p);
    int parts = p->f->work.n_parts - (r->cell == MB_CELL_GRU_BEFORE);
    for (int i = 0; i < parts; i++) {
        if (r->masked)
            mb_vector_add_product(dh_at(p), product_at(p, i), mask_at(p, i), r->units);
        else
            mb_vector_add(dh_at(p), product_at(p, i), r->units);
    }
}

static void load_row(const place_t *p)
{
    const mb_rnn_backward_args_t *a = p->f->args;
    if (a->dafter[0] != NULL)
        copy(p, mb_in(a->dafter[0]) + state_of(p), dh_at(p));
    if (a->dafter[1] != NULL)
        copy(p, mb_in(a->dafter[1]) + state_of(p), dc_at(p));
}

static void leave_row(const place_t *p)
{
    const mb_rnn_backward_args_t *a = p->f->args;
    if (a->dbefore[0] != NULL)
        copy(p, dh_at(p), mb_out(a->dbefore[0]) + state_of(p));
    if (a->dbefore[1] != NULL)
        copy(p, dc_at(p), mb_out(a->dbefore[1]) + state_of(p));
}

static void multiply_parts(const mb_rnn_tile_t *tile, int from, int to)
{
    for (int i = from; i < to; i++)
        mb_rnn_multiply(tile, i);
}

static void run_step(const backward_t *f, const mb_rnn_tile_t *tile, int64_t step)
{
    const mb_rnn_t *r = &f->args->rnn;
    bool before = r->cell == MB_CELL_GRU_BEFORE;
    int n = f->work.n_parts, last = before ? n - 1 : n;
    if (!r->last_only || step == r->steps - 1)
        each_row(f, tile, step, begin_row);
    each_row(f, tile, step, run_cell);
    multiply_parts(tile, last, n);
    if (before)
        each_row(f, tile, step, run_reset);
    multiply_parts(tile, 0, last);
    each_row(f, tile, step, end_row);
}

static void backward_tile(void *context, int64_t index, int thread)
{
    const backward_t *f = context;
    mb_rnn_tile_t tile = mb_rnn_tile(&f->work, index, thread);
    memset(tile.arrays, 0, sizeof(float) * (size_t)f->work.floats);
    each_row(f, &tile, f->args->rnn.steps - 1, load_row);
    for (int64_t step = f->args->rnn.steps; step-- > 0;)
        run_step(f, &tile, step);
    each_row(f, &tile, 0, leave_row);
}

mb_status_t mb_cpu_rnn_backward(mb_exec_t *exec, const mb_rnn_backward_args_t *args)
{
    backward_t f = {.work = {.op = MB_OP_RNN_BACKWARD,
                             .rnn = &args->rnn,
                             .u = args->u,
                             .present = args->present,
                             .transposed = true},
                    .args = args};
    int64_t units = args->rnn.units;
    MB_TRY(mb_rnn_divide(&f.work));
    f.dh = mb_rnn_reserve(&f.work, f.work.block * units);
    f.dc = mb_rnn_reserve(&f.work, f.work.block * units);
    f.values = mb_rnn_reserve(&f.work, 5 * units);
    f.zeros = mb_rnn_reserve(&f.work, units);
    MB_TRY(mb_rnn_prepare(exec, &f.work));
    if (exec->planning)
        return MB_OK;
    return mb_rnn_run(exec, &f.work, backward_tile);
}
