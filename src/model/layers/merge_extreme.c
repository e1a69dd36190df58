/* See merge_extreme.h; the last p is the output. saved: the p and M between. carry: the gradient of
 * a p, and what of it comes through f. */
#include "model/layers/merge_extreme.h"

typedef struct {
    int n, masked; /* inputs, and how many from the first on have masks */
    size_t p[MB_MAX_INPUTS], any[MB_MAX_INPUTS], saved_bytes;
    size_t gradient, through, carry_bytes;
} block_t;

static block_t block_of(const mb_call_t *call, int64_t samples)
{
    block_t b = {.n = mb_call_arguments(call)};
    int64_t elements = samples * mb_shape_elements(&call->output);
    int64_t rows = samples * mb_shape_rows(&call->output);
    while (b.masked < b.n && mb_merge_is_masked(call, b.masked))
        b.masked++;
    for (int i = 1; i < b.n - 1; i++) {
        b.p[i] = mb_block_add(&b.saved_bytes, elements, call->output_type);
        b.any[i] = mb_block_add(&b.saved_bytes, i < b.masked ? rows : 0, call->output_type);
    }
    b.gradient = mb_block_add(&b.carry_bytes, b.n > 2 ? elements : 0, call->output_type);
    b.through = mb_block_add(&b.carry_bytes, call->n_masks > 0 ? elements : 0, call->output_type);
    return b;
}

void mb_extreme_memory(const mb_call_t *call, int64_t samples, mb_memory_t *out)
{
    block_t b = block_of(call, samples);
    *out = (mb_memory_t){.saved_bytes = b.saved_bytes, .carry_bytes = b.carry_bytes};
    for (int i = 0; i < call->n_inputs; i++)
        out->keeps_input[i] = true;
}

/* ---- what stands in front of input I > 0 */

static mb_map_input_t before_of(const mb_run_t *run, const block_t *b, int i)
{
    return i == 1 ? mb_merge_input(run, 0)
                  : mb_merge_whole(run, mb_bytes_at(run->saved, b->p[i - 1]));
}

static bool has_any(const block_t *b, int i)
{
    return i - 1 < b->masked;
}

static mb_map_input_t any_of(const mb_run_t *run, const block_t *b, int i)
{
    return i == 1 ? mb_merge_mask(run, 0)
                  : mb_merge_rows(run, mb_bytes_at(run->saved, b->any[i - 1]));
}

/* ---- forward */

static mb_status_t join(const mb_run_t *run, const block_t *b, mb_map_t function, int i)
{
    mb_map_input_t before = before_of(run, b, i), x = mb_merge_input(run, i);
    void *p = i == b->n - 1 ? run->output : mb_bytes_at(run->saved, b->p[i]);
    mb_map_input_t joined = mb_merge_whole(run, p);
    MB_TRY(mb_merge_map(run, function, before, x, mb_map_constant(0), p));
    if (has_any(b, i))
        MB_TRY(mb_merge_map(run, MB_MAP_WHERE, any_of(run, b, i), joined, x, p));
    if (mb_merge_is_masked(run->call, i))
        MB_TRY(mb_merge_map(run, MB_MAP_WHERE, mb_merge_mask(run, i), joined, before, p));
    return i < b->n - 1 && i < b->masked
               ? mb_merge_any_mask(run, i, mb_bytes_at(run->saved, b->any[i]))
               : MB_OK;
}

mb_status_t mb_extreme_forward(const mb_run_t *run, mb_map_t function)
{
    block_t b = block_of(run->call, run->samples);
    for (int i = 1; i < b.n; i++)
        MB_TRY(join(run, &b, function, i));
    return MB_OK;
}

/* ---- backward */

/* One of the two that f takes: its gradient is what comes through f where both masks are 1, and the
 * whole or nothing where one is. Goes to the gradient of INPUT, or where that is -1 to that of a p.
 */
typedef struct {
    const mb_run_t *run;
    const block_t *b;
    int i, input;
    bool is_newer; /* x_i, not p_{i-1} */
    mb_map_input_t gradient;
} side_t;

static mb_status_t put(const side_t *s, mb_map_t function, mb_map_input_t x, mb_map_input_t y,
                       mb_map_input_t z)
{
    void *gradient = mb_bytes_at(s->run->carry, s->b->gradient);
    return s->input < 0 ? mb_merge_map(s->run, function, x, y, z, gradient)
                        : mb_merge_map_back(s->run, function, s->input, x, y, z);
}

/* dy where own is the one that was taken, half of it where both are the same. */
static mb_status_t through(const side_t *s, mb_map_t function, bool last)
{
    mb_map_input_t before = before_of(s->run, s->b, s->i), x = mb_merge_input(s->run, s->i);
    bool own_first = s->is_newer == (function == MB_MAP_MAXIMUM);
    mb_map_input_t first = own_first ? x : before, second = own_first ? before : x;
    void *to = mb_bytes_at(s->run->carry, s->b->through);
    return last ? put(s, MB_MAP_D_LARGER, s->gradient, first, second)
                : mb_merge_map(s->run, MB_MAP_D_LARGER, s->gradient, first, second, to);
}

/* Where MASK is 0: all of the gradient, or nothing. */
static mb_status_t choose(const side_t *s, mb_map_input_t mask, bool all, bool last)
{
    void *to = mb_bytes_at(s->run->carry, s->b->through);
    mb_map_input_t part = mb_merge_whole(s->run, to);
    mb_map_t function = all ? MB_MAP_WHERE : MB_MAP_WHEN;
    mb_map_input_t x = all ? mask : part, y = all ? part : mask;
    mb_map_input_t z = all ? s->gradient : mb_map_constant(0);
    return last ? put(s, function, x, y, z) : mb_merge_map(s->run, function, x, y, z, to);
}

static mb_status_t give(const side_t *s, mb_map_t function)
{
    bool any = has_any(s->b, s->i), masked = mb_merge_is_masked(s->run->call, s->i);
    MB_TRY(through(s, function, !any && !masked));
    if (any)
        MB_TRY(choose(s, any_of(s->run, s->b, s->i), s->is_newer, !masked));
    return masked ? choose(s, mb_merge_mask(s->run, s->i), !s->is_newer, true) : MB_OK;
}

/* From the last input to the first. */
mb_status_t mb_extreme_backward(const mb_run_t *run, mb_map_t function)
{
    block_t b = block_of(run->call, run->samples);
    mb_map_input_t gradient = mb_merge_whole(run, run->grad_output);
    for (int i = b.n - 1; i > 0; i--) {
        side_t newer = {run, &b, i, i, true, gradient}, older = {run, &b, i, -1, false, gradient};
        if (mb_run_wants_input(run, i))
            MB_TRY(give(&newer, function));
        older.input = i == 1 ? 0 : -1;
        if (i > 1 || mb_run_wants_input(run, 0))
            MB_TRY(give(&older, function));
        gradient = mb_merge_whole(run, mb_bytes_at(run->carry, b.gradient));
    }
    return MB_OK;
}
