/* One step of LSTM at every place of an image (ops.h), row by row of the units of a place: gates,
 * carry and states forward, and their gradients backward. */
#include <string.h>
#include "device/cpu/activation.h"
#include "device/cpu/cpu.h"
#include "device/cpu/vectors.h"

#define BLOCK 64 /* places */

enum { SCRATCH = 6 }; /* times units: four gates, and two more */

typedef struct {
    const mb_lstm_step_forward_args_t *args;
    const mb_workspace_t *workspace;
    int64_t tiles_a_sample;
} forward_t;

typedef struct {
    const mb_lstm_step_backward_args_t *args;
    const mb_workspace_t *workspace;
    int64_t tiles_a_sample;
} backward_t;

/* The units of one place of a sample. */
typedef struct {
    const mb_lstm_step_t *step;
    int64_t sample, place;
    float *scratch;
} row_t;

/* Where they begin in an array of COUNT times units that is of one step. */
static int64_t here(const row_t *row, int64_t count)
{
    return (row->sample * row->step->places + row->place) * count * row->step->units;
}

static int64_t at(const row_t *row, int64_t count, int64_t position)
{
    return mb_lstm_at(row->step, count, row->sample, position, row->place);
}

static float *scratch_at(const row_t *row, int64_t which)
{
    return row->scratch + which * row->step->units;
}

static const mb_function_t *function_of(const row_t *row, int64_t gate)
{
    return gate == 2 ? &row->step->act : &row->step->gate;
}

static void copy(const row_t *row, const float *from, float *to)
{
    memcpy(to, from, sizeof(float) * (size_t)row->step->units);
}

static void clear(const row_t *row, float *to)
{
    memset(to, 0, sizeof(float) * (size_t)row->step->units);
}

static bool is_present(const row_t *row, const void *present)
{
    const mb_lstm_step_t *s = row->step;
    return !s->skips || mb_in(present)[row->sample * s->steps + s->position] != 0.0f;
}

/* The carry before the step; NULL: zero. */
static const float *carry_before(const row_t *row, const void *given, const float *states)
{
    if (row->step->earlier >= 0)
        return states + at(row, 1, row->step->earlier);
    return given == NULL ? NULL : (const float *)given + here(row, 1);
}

/* ---- forward */

static void run_gates(const mb_lstm_step_forward_args_t *a, const row_t *row, const float *gate[4])
{
    int64_t units = row->step->units;
    float *z = mb_out(a->gates) + at(row, 4, row->step->position);
    if (a->product != NULL)
        mb_vector_add(z, mb_in(a->product) + here(row, 4), 4 * units);
    for (int64_t g = 0; g < 4; g++) {
        const mb_function_t *f = function_of(row, g);
        float *value = mb_act_from_value(f->act) ? z + g * units : scratch_at(row, g);
        mb_cpu_act_run(f, z + g * units, value, units);
        gate[g] = value;
    }
}

static void run_cell(const mb_lstm_step_forward_args_t *a, const row_t *row, float *h)
{
    const float *gate[4], *before = carry_before(row, a->before[1], a->states);
    int64_t units = row->step->units;
    float *c = a->states + at(row, 1, row->step->position);
    run_gates(a, row, gate);
    mb_vector_multiply(gate[0], gate[2], c, units);
    if (before != NULL)
        mb_vector_add_product(c, gate[1], before, units);
    mb_cpu_act_run(&row->step->act, c, h, units);
    mb_vector_multiply(gate[3], h, h, units);
    if (a->c != NULL)
        copy(row, c, mb_out(a->c) + here(row, 1));
}

static void take_given(const mb_lstm_step_forward_args_t *a, const row_t *row, float *h)
{
    if (a->before[0] == NULL)
        clear(row, h);
    else
        copy(row, mb_in(a->before[0]) + here(row, 1), h);
}

/* What U is multiplied by at the next step. */
static void hand_on(const mb_lstm_step_forward_args_t *a, const row_t *row, const float *h)
{
    int64_t factors = mb_lstm_factors(row->step), units = row->step->units;
    float *previous = mb_out(a->previous) + at(row, factors, row->step->later);
    for (int64_t i = 0; i < factors; i++) {
        if (row->step->masked)
            mb_vector_multiply(h, a->masks + here(row, 4) + i * units, previous + i * units, units);
        else
            copy(row, h, previous);
    }
    if (a->factor != NULL)
        memcpy(mb_out(a->factor) + here(row, factors), previous,
               sizeof(float) * (size_t)(factors * units));
}

/* A step that is not there. */
static void keep_states(const mb_lstm_step_forward_args_t *a, const row_t *row, float *h)
{
    const float *before = carry_before(row, a->before[1], a->states);
    float *c = a->states + at(row, 1, row->step->position);
    copy(row, mb_out(a->held) + here(row, 1), h);
    if (before == NULL)
        clear(row, c);
    else
        copy(row, before, c);
    if (a->c != NULL)
        copy(row, c, mb_out(a->c) + here(row, 1));
}

static void put_output(const mb_lstm_step_forward_args_t *a, const row_t *row, const float *h,
                       bool present)
{
    float *y = mb_out(a->h) + row->sample * a->ldh + row->place * row->step->units;
    if (!present && row->step->blank)
        clear(row, y);
    else
        copy(row, h, y);
}

static void forward_row(const mb_lstm_step_forward_args_t *a, const row_t *row)
{
    float *h = scratch_at(row, 4);
    bool present = row->step->position < 0 || is_present(row, a->present);
    if (row->step->position < 0)
        take_given(a, row, h);
    else if (present)
        run_cell(a, row, h);
    else
        keep_states(a, row, h);
    if (row->step->skips)
        copy(row, h, mb_out(a->held) + here(row, 1));
    if (a->h != NULL)
        put_output(a, row, h, present);
    if (row->step->later >= 0)
        hand_on(a, row, h);
}

static row_t first_row(const mb_lstm_step_t *step, const mb_workspace_t *workspace, int64_t sample,
                       int thread)
{
    return (row_t){
        .step = step, .sample = sample, .scratch = mb_workspace_thread(workspace, thread)};
}

static void forward_tile(void *context, int64_t tile, int thread)
{
    const forward_t *f = context;
    row_t row = first_row(&f->args->step, f->workspace, tile / f->tiles_a_sample, thread);
    mb_span_t places = mb_span(tile % f->tiles_a_sample, BLOCK, row.step->places);
    for (row.place = places.begin; row.place < places.end; row.place++)
        forward_row(f->args, &row);
}

static mb_status_t prepare(mb_exec_t *exec, mb_op_t op, const mb_lstm_step_t *step, int64_t ldh,
                           mb_workspace_t *workspace)
{
    MB_CPU_CHECK(op, step->samples >= 0 && step->steps >= 1, "no samples or steps");
    MB_CPU_CHECK(op, step->places >= 1 && step->units >= 1, "no places or units");
    MB_CPU_CHECK(op, ldh >= step->places * step->units, "samples of h overlap");
    MB_CPU_CHECK(op, step->position < step->steps && step->later < step->steps,
                 "a position behind the last");
    return mb_cpu_workspace(exec, op, 0, sizeof(float) * (size_t)(SCRATCH * step->units),
                            workspace);
}

mb_status_t mb_cpu_lstm_step_forward(mb_exec_t *exec, const mb_lstm_step_forward_args_t *args)
{
    mb_workspace_t workspace;
    forward_t f = {args, &workspace, mb_ceil_div(args->step.places, BLOCK)};
    MB_TRY(prepare(exec, MB_OP_LSTM_STEP_FORWARD, &args->step, args->ldh, &workspace));
    if (exec->planning)
        return MB_OK;
    mb_cpu_tiles(exec, args->step.samples * f.tiles_a_sample, forward_tile, &f);
    return MB_OK;
}

/* ---- backward */

/* Of h: what is wanted of it besides, what the next step's products gave, and what that left. */
static void arriving(const mb_lstm_step_backward_args_t *a, const row_t *row, bool present,
                     float *dh)
{
    int64_t factors = mb_lstm_factors(row->step), units = row->step->units;
    if (a->dh == NULL || (!present && row->step->blank))
        clear(row, dh);
    else
        copy(row, mb_in(a->dh) + row->sample * a->ldh + row->place * units, dh);
    if (a->dlast != NULL)
        mb_vector_add(dh, mb_in(a->dlast) + here(row, 1), units);
    if (row->step->skips && row->step->later >= 0)
        mb_vector_add(dh, a->dheld + here(row, 1), units);
    for (int64_t i = 0; i < factors && a->dfactor != NULL; i++) {
        const float *d = mb_in(a->dfactor) + here(row, factors) + i * units;
        if (row->step->masked)
            mb_vector_add_product(dh, d, a->masks + here(row, 4) + i * units, units);
        else
            mb_vector_add(dh, d, units);
    }
}

/* Of c, without what comes through h. */
static void arriving_carry(const mb_lstm_step_backward_args_t *a, const row_t *row, float *dc)
{
    if (row->step->later < 0)
        clear(row, dc);
    if (a->dc != NULL)
        mb_vector_add(dc, mb_in(a->dc) + here(row, 1), row->step->units);
}

static const float *kept_at(const mb_lstm_step_backward_args_t *a, const row_t *row, int64_t gate)
{
    return mb_in(a->gates) + at(row, 4, row->step->position) + gate * row->step->units;
}

static const float *value_of(const mb_lstm_step_backward_args_t *a, const row_t *row, int64_t gate)
{
    const mb_function_t *f = function_of(row, gate);
    const float *kept = kept_at(a, row, gate);
    if (mb_act_from_value(f->act))
        return kept;
    mb_cpu_act_run(f, kept, scratch_at(row, gate), row->step->units);
    return scratch_at(row, gate);
}

/* DC gets what comes to c through h. */
static void through_output(const mb_lstm_step_backward_args_t *a, const row_t *row, float *dh,
                           float *dc, float *doutput)
{
    const mb_function_t *act = &row->step->act;
    const float *c = a->states + at(row, 1, row->step->position);
    int64_t units = row->step->units;
    float *value = scratch_at(row, 5);
    mb_cpu_act_run(act, c, value, units);
    mb_vector_multiply(dh, value, doutput, units);
    mb_vector_multiply(dh, value_of(a, row, 3), dh, units);
    mb_cpu_act_run_back(act, mb_act_from_value(act->act) ? value : c, dh, units);
    mb_vector_add(dc, dh, units);
}

static void backward_cell(const mb_lstm_step_backward_args_t *a, const row_t *row, float *dh)
{
    const float *before = carry_before(row, a->before[1], a->states);
    int64_t units = row->step->units;
    float *d = mb_out(a->dgates) + at(row, 4, row->step->position);
    float *dc = a->carried + here(row, 1);
    arriving_carry(a, row, dc);
    through_output(a, row, dh, dc, d + 3 * units);
    mb_vector_multiply(dc, value_of(a, row, 2), d, units);
    if (before == NULL)
        clear(row, d + units);
    else
        mb_vector_multiply(dc, before, d + units, units);
    mb_vector_multiply(dc, value_of(a, row, 0), d + 2 * units, units);
    mb_vector_multiply(dc, value_of(a, row, 1), dc, units);
    for (int64_t g = 0; g < 4; g++)
        mb_cpu_act_run_back(function_of(row, g), kept_at(a, row, g), d + g * units, units);
    memcpy(mb_out(a->dproduct) + here(row, 4), d, sizeof(float) * (size_t)(4 * units));
}

/* A step that is not there hands on the gradients of the states, and has none of its gates. */
static void backward_kept(const mb_lstm_step_backward_args_t *a, const row_t *row, const float *dh)
{
    size_t bytes = sizeof(float) * (size_t)(4 * row->step->units);
    arriving_carry(a, row, a->carried + here(row, 1));
    copy(row, dh, a->dheld + here(row, 1));
    memset(mb_out(a->dgates) + at(row, 4, row->step->position), 0, bytes);
    memset(mb_out(a->dproduct) + here(row, 4), 0, bytes);
}

static void leave(const mb_lstm_step_backward_args_t *a, const row_t *row, const float *dh)
{
    if (a->dbefore[0] != NULL)
        copy(row, dh, mb_out(a->dbefore[0]) + here(row, 1));
    if (a->dbefore[1] != NULL)
        copy(row, a->carried + here(row, 1), mb_out(a->dbefore[1]) + here(row, 1));
}

static void backward_row(const mb_lstm_step_backward_args_t *a, const row_t *row)
{
    float *dh = scratch_at(row, 4);
    bool present = row->step->position < 0 || is_present(row, a->present);
    arriving(a, row, present, dh);
    if (row->step->position < 0) {
        leave(a, row, dh);
        return;
    }
    if (!present) {
        backward_kept(a, row, dh);
        return;
    }
    if (row->step->skips)
        clear(row, a->dheld + here(row, 1));
    backward_cell(a, row, dh);
}

static void backward_tile(void *context, int64_t tile, int thread)
{
    const backward_t *b = context;
    row_t row = first_row(&b->args->step, b->workspace, tile / b->tiles_a_sample, thread);
    mb_span_t places = mb_span(tile % b->tiles_a_sample, BLOCK, row.step->places);
    for (row.place = places.begin; row.place < places.end; row.place++)
        backward_row(b->args, &row);
}

mb_status_t mb_cpu_lstm_step_backward(mb_exec_t *exec, const mb_lstm_step_backward_args_t *args)
{
    mb_workspace_t workspace;
    backward_t b = {args, &workspace, mb_ceil_div(args->step.places, BLOCK)};
    MB_TRY(prepare(exec, MB_OP_LSTM_STEP_BACKWARD, &args->step, args->ldh, &workspace));
    if (exec->planning)
        return MB_OK;
    mb_cpu_tiles(exec, args->step.samples * b.tiles_a_sample, backward_tile, &b);
    return MB_OK;
}
