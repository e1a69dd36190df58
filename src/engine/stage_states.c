/* What calls keep from batch to batch (mb_layer_class_t's states): one block, which lives as long
 * as the stage and begins as zeros. A micro-batch of the group has its rows there, the same in
 * every step, so that a row meets the states that it left behind whatever the layout:
 *
 *     node, state 0:  micro-batch 0 | micro-batch 1 | ...    each [micro_batch] rows
 *     node, state 1:  ...
 *
 * Rows past the batch are zero in front of each forward: what they would come to depends on where a
 * run was stopped. */
#include "engine/stage_private.h"

#include <stdlib.h>

#include "base/number.h"

enum { ALIGN = 64 };

static const mb_call_t *call_of(const mb_stage_t *stage, int node)
{
    return &stage->graph->nodes[node].call;
}

/* Of a row. */
static int64_t elements_of(const mb_stage_t *stage, int node, int state)
{
    mb_shape_t shapes[MB_MAX_STATES];
    mb_call_states(call_of(stage, node), shapes);
    return mb_shape_elements(&shapes[state]);
}

static size_t row_bytes(const mb_stage_t *stage, int node, int state)
{
    return (size_t)elements_of(stage, node, state) *
           mb_dtype_bytes(call_of(stage, node)->output_type);
}

/* Of a micro-batch. */
static size_t micro_bytes(const mb_stage_t *stage, int node, int state)
{
    size_t bytes = row_bytes(stage, node, state) * (size_t)stage->plan->micro_batch;
    return (bytes + ALIGN - 1) / ALIGN * ALIGN;
}

void mb_stage_place_states(mb_stage_t *stage, int node)
{
    mb_shape_t shapes[MB_MAX_STATES];
    mb_node_place_t *at = &stage->places[node];
    at->n_states = mb_call_states(call_of(stage, node), shapes);
    for (int s = 0; s < at->n_states; s++) {
        at->states[s] = stage->state_bytes;
        stage->state_bytes += micro_bytes(stage, node, s) * (size_t)stage->plan->micros;
    }
}

static void *state_at(const mb_stage_t *stage, int node, int state, int micro)
{
    size_t offset =
        stage->places[node].states[state] + (size_t)micro * micro_bytes(stage, node, state);
    return mb_stage_at(stage->states, (int64_t)offset);
}

void mb_stage_find_states(const mb_stage_t *stage, int node, int micro, void **out)
{
    for (int s = 0; s < stage->places[node].n_states; s++)
        out[s] = state_at(stage, node, s, micro);
}

mb_status_t mb_stage_forget_states(mb_stage_t *stage)
{
    mb_zero_args_t args = {.bytes = (int64_t)stage->state_bytes, .y = stage->states};
    if (stage->state_bytes == 0)
        return MB_OK;
    return mb_exec_run_alone(stage->exec, MB_OP_ZERO, &args, sizeof args);
}

mb_status_t mb_stage_keep_states(mb_stage_t *stage, void *to)
{
    return mb_exec_copy(stage->exec, to, stage->states, stage->state_bytes, MB_COPY_ON_DEVICE);
}

mb_status_t mb_stage_take_states_back(mb_stage_t *stage, const void *from)
{
    return mb_exec_copy(stage->exec, stage->states, from, stage->state_bytes, MB_COPY_ON_DEVICE);
}

static mb_status_t hide(const mb_stage_t *stage, int node, int micro, int64_t valid)
{
    int64_t rows = stage->plan->micro_batch - valid;
    for (int s = 0; s < stage->places[node].n_states && rows > 0; s++) {
        size_t bytes = row_bytes(stage, node, s);
        char *first = state_at(stage, node, s, micro);
        mb_zero_args_t args = {.bytes = rows * (int64_t)bytes, .y = first + (size_t)valid * bytes};
        MB_TRY(mb_run_zero(stage->exec, &args));
    }
    return MB_OK;
}

/* Batches are of one size, so that there are few cases to plan for. */
mb_status_t mb_stage_hide_states(const mb_stage_t *stage, const mb_micro_t *micro, int node)
{
    MB_TRY(hide(stage, node, micro->index, micro->valid));
    if (!stage->exec->planning)
        return MB_OK;
    MB_TRY(hide(stage, node, micro->index, stage->graph->batch % stage->plan->micro_batch));
    return hide(stage, node, micro->index, 0);
}

/* Of one micro-batch, in the type that the states have. */
typedef struct {
    void *device, *host;
    int64_t elements;
    mb_dtype_t type;
} rows_t;

static mb_status_t open_rows(const mb_stage_t *stage, int node, int state, int micro, rows_t *out)
{
    size_t bytes = row_bytes(stage, node, state) * (size_t)stage->plan->micro_batch;
    *out = (rows_t){.device = state_at(stage, node, state, micro),
                    .host = malloc(bytes),
                    .elements = elements_of(stage, node, state) * stage->plan->micro_batch,
                    .type = call_of(stage, node)->output_type};
    return out->host == NULL ? mb_error_memory("states of a micro-batch", bytes) : MB_OK;
}

static mb_status_t copy_rows(const mb_stage_t *stage, const rows_t *rows, mb_copy_kind_t kind)
{
    bool up = kind == MB_COPY_TO_DEVICE;
    MB_TRY(mb_exec_copy(stage->exec, up ? rows->device : rows->host, up ? rows->host : rows->device,
                        (size_t)rows->elements * mb_dtype_bytes(rows->type), kind));
    return mb_exec_sync(stage->exec);
}

mb_status_t mb_stage_read_state(const mb_stage_t *stage, int node, int state, int micro,
                                float *values)
{
    rows_t rows;
    MB_TRY(open_rows(stage, node, state, micro, &rows));
    mb_status_t status = copy_rows(stage, &rows, MB_COPY_TO_HOST);
    if (status == MB_OK)
        mb_number_decode(mb_number_of(rows.type), 0, rows.host, rows.elements, values);
    free(rows.host);
    return status;
}

mb_status_t mb_stage_write_state(const mb_stage_t *stage, int node, int state, int micro,
                                 const float *values)
{
    rows_t rows;
    MB_TRY(open_rows(stage, node, state, micro, &rows));
    mb_number_encode(mb_number_of(rows.type), 0, values, rows.elements, rows.host);
    mb_status_t status = copy_rows(stage, &rows, MB_COPY_TO_DEVICE);
    free(rows.host);
    return status;
}
