/* The recurrent cells forward (ops.h): at each step the products of a block's states with U, then
 * row by row the gates and the new states, all in the cache. */
#include <string.h>
#include "device/cpu/activation.h"
#include "device/cpu/recurrent.h"
#include "device/cpu/simd.h"
#include "device/cpu/vectors.h"

typedef struct {
    mb_rnn_work_t work; /* first: the tiles' context */
    const mb_rnn_forward_args_t *args;
    int64_t h;      /* the states before, then behind the step: [block, units] */
    int64_t values; /* gates of a row, where what is kept is their argument */
} forward_t;

/* One sample at one step. */
typedef struct {
    const forward_t *f;
    const mb_rnn_tile_t *tile;
    int64_t row, sample, step, position;
} place_t;

MB_MULTIVERSION
static void mix(const float *u, const float *candidate, float *h, int64_t n)
{
#pragma omp simd
    for (int64_t j = 0; j < n; j++)
        h[j] = u[j] * h[j] + (1.0f - u[j]) * candidate[j];
}

static int64_t units_of(const place_t *p)
{
    return p->f->args->rnn.units;
}

static float *kept_at(const place_t *p, int64_t gate)
{
    const mb_rnn_t *r = &p->f->args->rnn;
    return p->f->args->gates + mb_rnn_at(r, mb_rnn_kept(r->cell), p->sample, p->position) +
           gate * r->units;
}

static float *state_at(const place_t *p, int64_t step)
{
    const mb_rnn_t *r = &p->f->args->rnn;
    return p->f->args->states + mb_rnn_at(r, 1, p->sample, mb_rnn_position(r, step));
}

/* Of a row of [samples, units]. */
static int64_t state_of(const place_t *p)
{
    return p->sample * units_of(p);
}

/* The carry before the step; NULL: zero. */
static const float *carry_before(const place_t *p)
{
    const float *given = p->f->args->before[1];
    if (p->step > 0)
        return state_at(p, p->step - 1);
    return given == NULL ? NULL : given + state_of(p);
}

static float *product_at(const place_t *p, int64_t gate)
{
    return mb_rnn_gate_at(p->tile, mb_rnn_part_of(&p->f->work, gate)->c, gate, p->row);
}

static float *h_at(const place_t *p)
{
    return mb_rnn_row_at(p->tile, p->f->h, p->row);
}

/* Makes the gate's argument whole. */
static void add_product_of(const place_t *p, int64_t gate)
{
    mb_vector_add(kept_at(p, gate), product_at(p, gate), units_of(p));
}

/* The function of a gate whose argument is whole. It takes the argument's place unless backward
 * needs that. */
static const float *value_of(const place_t *p, const mb_function_t *function, int64_t gate)
{
    float *z = kept_at(p, gate);
    float *value =
        mb_act_from_value(function->act) ? z : p->tile->arrays + p->f->values + gate * units_of(p);
    mb_cpu_act_run(function, z, value, units_of(p));
    return value;
}

static void step_simple(const place_t *p)
{
    add_product_of(p, 0);
    const float *h = value_of(p, &p->f->args->rnn.act, 0);
    memcpy(h_at(p), h, sizeof(float) * (size_t)units_of(p));
}

static void step_lstm(const place_t *p)
{
    const mb_rnn_t *r = &p->f->args->rnn;
    float *c = state_at(p, p->step);
    const float *gate[4], *before = carry_before(p);
    for (int64_t g = 0; g < 4; g++) {
        add_product_of(p, g);
        gate[g] = value_of(p, g == 2 ? &r->act : &r->gate, g);
    }
    mb_vector_multiply(gate[0], gate[2], c, r->units);
    if (before != NULL)
        mb_vector_add_product(c, gate[1], before, r->units);
    mb_cpu_act_run(&r->act, c, h_at(p), r->units);
    mb_vector_multiply(gate[3], h_at(p), h_at(p), r->units);
}

/* z_2 is whole. */
static void finish_gru(const place_t *p, const float *update)
{
    const mb_rnn_t *r = &p->f->args->rnn;
    mix(update, value_of(p, &r->act, 2), h_at(p), r->units);
    memcpy(state_at(p, p->step), h_at(p), sizeof(float) * (size_t)r->units);
}

static void step_gru(const place_t *p)
{
    const mb_rnn_t *r = &p->f->args->rnn;
    const float *bias = p->f->args->bias;
    for (int64_t g = 0; g < 3 && bias != NULL; g++)
        mb_vector_add(product_at(p, g), bias + g * r->units, r->units);
    add_product_of(p, 0);
    add_product_of(p, 1);
    const float *update = value_of(p, &r->gate, 0), *reset = value_of(p, &r->gate, 1);
    memcpy(kept_at(p, 3), product_at(p, 2), sizeof(float) * (size_t)r->units);
    mb_vector_add_product(kept_at(p, 2), reset, product_at(p, 2), r->units);
    finish_gru(p, update);
}

/* ---- a step of a block */

static void keep_previous(const place_t *p, int part, const float *a)
{
    const mb_rnn_t *r = &p->f->args->rnn;
    int64_t array = r->samples * r->steps * r->units;
    float *to =
        mb_out(p->f->args->previous) + part * array + mb_rnn_at(r, 1, p->sample, p->position);
    memcpy(to, a, sizeof(float) * (size_t)r->units);
}

/* What U's part is multiplied by: the states before, as the part's gate sees them. */
static void fill_factor(const place_t *p, int part)
{
    const mb_rnn_t *r = &p->f->args->rnn;
    const mb_rnn_part_t *of = &p->f->work.parts[part];
    const float *masks = p->f->args->masks;
    float *a = mb_rnn_row_at(p->tile, of->a, p->row);
    int64_t at = (p->sample * mb_rnn_gates(r->cell) + of->first) * r->units;
    if (r->masked)
        mb_vector_multiply(h_at(p), masks + at, a, r->units);
    else
        memcpy(a, h_at(p), sizeof(float) * (size_t)r->units);
}

typedef void (*row_fn_t)(const place_t *place);

static void each_row(const forward_t *f, const mb_rnn_tile_t *tile, int64_t step, row_fn_t run)
{
    place_t p = {f, tile, 0, 0, step, mb_rnn_position(&f->args->rnn, step)};
    for (p.sample = tile->samples.begin; p.sample < tile->samples.end; p.sample++, p.row++)
        run(&p);
}

static int last_part(const place_t *p)
{
    return p->f->work.n_parts - 1;
}

static bool waits_for_reset(const place_t *p, int part)
{
    return p->f->args->rnn.cell == MB_CELL_GRU_BEFORE && part == last_part(p);
}

static void begin_row(const place_t *p)
{
    for (int i = 0; i <= last_part(p); i++) {
        if (waits_for_reset(p, i))
            continue;
        fill_factor(p, i);
        keep_previous(p, i, mb_rnn_row_at(p->tile, p->f->work.parts[i].a, p->row));
    }
}

static bool is_present(const place_t *p)
{
    return mb_rnn_is_present(&p->f->work, p->sample, p->position);
}

static void reset_row(const place_t *p)
{
    const mb_rnn_t *r = &p->f->args->rnn;
    float *a = mb_rnn_row_at(p->tile, p->f->work.parts[last_part(p)].a, p->row);
    fill_factor(p, last_part(p));
    if (is_present(p)) {
        add_product_of(p, 0);
        add_product_of(p, 1);
        mb_vector_multiply(value_of(p, &r->gate, 1), a, a, r->units);
    }
    keep_previous(p, last_part(p), a);
}

static void step_gru_before(const place_t *p)
{
    add_product_of(p, 2);
    finish_gru(p, value_of(p, &p->f->args->rnn.gate, 0));
}

static const row_fn_t cells[] = {[MB_CELL_SIMPLE] = step_simple,
                                 [MB_CELL_LSTM] = step_lstm,
                                 [MB_CELL_GRU] = step_gru,
                                 [MB_CELL_GRU_BEFORE] = step_gru_before};

/* The states behind a step that is not there are those before it. */
static void pass_states(const place_t *p)
{
    const mb_rnn_t *r = &p->f->args->rnn;
    size_t bytes = sizeof(float) * (size_t)r->units;
    const float *before = r->cell == MB_CELL_LSTM ? carry_before(p) : h_at(p);
    if (r->cell == MB_CELL_SIMPLE)
        return;
    if (before == NULL)
        memset(state_at(p, p->step), 0, bytes);
    else
        memcpy(state_at(p, p->step), before, bytes);
}

static void run_cell(const place_t *p)
{
    if (is_present(p))
        cells[p->f->args->rnn.cell](p);
    else
        pass_states(p);
}

static void write_row(const place_t *p)
{
    const mb_rnn_t *r = &p->f->args->rnn;
    float *y = mb_out(p->f->args->y) + mb_rnn_row(r, p->sample, p->step) * r->ldy;
    if (r->blank && !is_present(p))
        memset(y, 0, sizeof(float) * (size_t)r->units);
    else
        memcpy(y, h_at(p), sizeof(float) * (size_t)r->units);
}

static void copy_state(const place_t *p, const float *from, float *to)
{
    memcpy(to, from, sizeof(float) * (size_t)units_of(p));
}

static void load_row(const place_t *p)
{
    copy_state(p, mb_in(p->f->args->before[0]) + state_of(p), h_at(p));
}

static void keep_row(const place_t *p)
{
    const mb_rnn_forward_args_t *a = p->f->args;
    if (a->after[0] != NULL)
        copy_state(p, h_at(p), mb_out(a->after[0]) + state_of(p));
    if (a->after[1] != NULL)
        copy_state(p, state_at(p, p->step), mb_out(a->after[1]) + state_of(p));
}

static void multiply_parts(const mb_rnn_tile_t *tile, int from, int to)
{
    for (int i = from; i < to; i++)
        mb_rnn_multiply(tile, i);
}

static void run_step(const forward_t *f, const mb_rnn_tile_t *tile, int64_t step)
{
    const mb_rnn_t *r = &f->args->rnn;
    bool before = r->cell == MB_CELL_GRU_BEFORE;
    int n = f->work.n_parts, first = before ? n - 1 : n;
    each_row(f, tile, step, begin_row);
    multiply_parts(tile, 0, first);
    if (before)
        each_row(f, tile, step, reset_row);
    multiply_parts(tile, first, n);
    each_row(f, tile, step, run_cell);
    if (!r->last_only || step == r->steps - 1)
        each_row(f, tile, step, write_row);
}

static void forward_tile(void *context, int64_t index, int thread)
{
    const forward_t *f = context;
    mb_rnn_tile_t tile = mb_rnn_tile(&f->work, index, thread);
    memset(tile.arrays, 0, sizeof(float) * (size_t)f->work.floats);
    if (f->args->before[0] != NULL)
        each_row(f, &tile, 0, load_row);
    for (int64_t step = 0; step < f->args->rnn.steps; step++)
        run_step(f, &tile, step);
    each_row(f, &tile, f->args->rnn.steps - 1, keep_row);
}

mb_status_t mb_cpu_rnn_forward(mb_exec_t *exec, const mb_rnn_forward_args_t *args)
{
    forward_t f = {.work = {.op = MB_OP_RNN_FORWARD,
                            .rnn = &args->rnn,
                            .u = args->u,
                            .present = args->present},
                   .args = args};
    MB_TRY(mb_rnn_divide(&f.work));
    f.h = mb_rnn_reserve(&f.work, f.work.block * args->rnn.units);
    f.values = mb_rnn_reserve(&f.work, 4 * args->rnn.units);
    MB_TRY(mb_rnn_prepare(exec, &f.work));
    if (exec->planning)
        return MB_OK;
    return mb_rnn_run(exec, &f.work, forward_tile);
}
