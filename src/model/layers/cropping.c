/* Cropping1D: drops positions at both ends of the first axis. */
#include "model/layers/layers.h"

#include <inttypes.h>

typedef struct {
    int64_t front, back;
} cropping_t;

static mb_status_t parse(mb_config_t *config, mb_arena_t *arena, void **out)
{
    cropping_t *cropping = MB_ARENA_NEW(arena, cropping_t);
    int64_t ends[2] = {1, 1};
    if (cropping == NULL)
        return mb_error_memory("a layer", sizeof(*cropping));
    if (mb_config_has(config, "cropping"))
        MB_TRY(mb_config_ints(config, "cropping", 2, 0, ends));
    mb_config_ignore(config, "cropping");
    *cropping = (cropping_t){ends[0], ends[1]};
    *out = cropping;
    return MB_OK;
}

static const cropping_t *cropping_of(const mb_call_t *call)
{
    return call->layer->config;
}

static mb_status_t infer(mb_call_t *call)
{
    const cropping_t *cropping = cropping_of(call);
    MB_TRY(mb_call_expect_rank(call, 2));
    mb_call_keep_shape(call);
    int64_t length = call->output.dim[0];
    if (length == MB_OPEN)
        return MB_OK;
    if (cropping->front >= length || cropping->back >= length - cropping->front)
        return mb_call_error(call, MB_ERR_SHAPE,
                             "crops %" PRId64 " and %" PRId64 " of %" PRId64
                             " positions: none would be left",
                             cropping->front, cropping->back, length);
    call->output.dim[0] = length - cropping->front - cropping->back;
    return MB_OK;
}

static mb_status_t forward(const mb_run_t *run)
{
    const mb_call_t *call = run->call;
    int64_t skipped = cropping_of(call)->front * call->inputs[0].dim[1];
    mb_copy_rows_args_t args = {.type = mb_run_type(run),
                                .rows = run->samples,
                                .columns = mb_shape_elements(&call->output),
                                .ld_from = mb_shape_elements(&call->inputs[0]),
                                .ld_to = mb_shape_elements(&call->output),
                                .from =
                                    mb_elements_at(mb_run_input(run, 0), mb_run_type(run), skipped),
                                .to = run->output};
    return mb_run_copy_rows(run->exec, &args);
}

static mb_status_t backward_input(const mb_run_t *run)
{
    const mb_call_t *call = run->call;
    void *dx = mb_run_grad_input(run, 0);
    int64_t elements = mb_shape_elements(&call->inputs[0]);
    int64_t bytes = (int64_t)mb_dtype_bytes(call->output_type);
    size_t skipped = (size_t)(cropping_of(call)->front * call->inputs[0].dim[1] * bytes);
    if (!mb_run_wants_input(run, 0))
        return MB_OK;
    mb_zero_args_t zero = {run->samples * elements * bytes, dx};
    mb_copy_rows_args_t args = {.type = mb_run_type(run),
                                .rows = run->samples,
                                .columns = mb_shape_elements(&call->output),
                                .ld_from = mb_shape_elements(&call->output),
                                .ld_to = elements,
                                .from = run->grad_output,
                                .to = mb_bytes_at(dx, skipped)};
    MB_TRY(mb_run_zero(run->exec, &zero));
    return mb_run_copy_rows(run->exec, &args);
}

static void cost(const mb_call_t *call, mb_cost_t *out)
{
    double traffic = 2.0 * (double)mb_shape_elements(&call->output);
    double filled = (double)mb_shape_elements(&call->inputs[0]);
    *out = (mb_cost_t){traffic, traffic + filled, 0.0};
}

const mb_layer_class_t mb_layer_cropping1d = {.size = sizeof(mb_layer_class_t),
                                              .name = "Cropping1D",
                                              .parse = parse,
                                              .infer = infer,
                                              .memory = mb_call_keeps_nothing,
                                              .forward = forward,
                                              .backward_input = backward_input,
                                              .cost = cost};
