/* keras.ops.cast to a type of floats: from whole numbers, and from floats of another type. */
#include <string.h>

#include "model/layers/operators.h"

static mb_status_t parse(mb_config_t *config, mb_arena_t *arena, void **out)
{
    static const struct {
        const char *name;
        mb_dtype_t type;
    } types[] = {{"float32", MB_F32}, {"bfloat16", MB_BF16}, {"float16", MB_F16}};
    const char *name;
    mb_dtype_t *type = MB_ARENA_NEW(arena, mb_dtype_t);
    if (type == NULL)
        return mb_error_memory("an operation", sizeof *type);
    *out = type;
    MB_TRY(mb_config_string_or(config, "dtype", "float32", &name));
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        *type = types[i].type;
        if (strcmp(name, types[i].name) == 0)
            return MB_OK;
    }
    return mb_error_set(MB_ERR_UNSUPPORTED,
                        "%s: key 'dtype' is '%s'; this build casts to float32, bfloat16 and "
                        "float16; to whole numbers, do it to the data",
                        config->where, name);
}

static mb_status_t infer(mb_call_t *call)
{
    mb_call_keep_shape(call);
    call->output_type = *(const mb_dtype_t *)call->layer->config;
    return MB_OK;
}

static mb_status_t forward(const mb_run_t *run)
{
    const mb_call_t *call = run->call;
    return mb_run_cast(run, call->input_types[0], mb_run_input(run, 0), call->output_type,
                       run->output);
}

static mb_status_t backward_input(const mb_run_t *run)
{
    const mb_call_t *call = run->call;
    if (!mb_run_wants_input(run, 0))
        return MB_OK;
    return mb_run_cast(run, call->output_type, run->grad_output, call->input_types[0],
                       mb_run_grad_input(run, 0));
}

static void cost(const mb_call_t *call, mb_cost_t *out)
{
    double elements = (double)mb_shape_elements(&call->output);
    *out = (mb_cost_t){elements, elements, 0.0};
}

static const mb_layer_class_t cast = {.size = sizeof(mb_layer_class_t),
                                      .name = "Cast",
                                      .parse = parse,
                                      .parse_call = mb_arguments_are_inputs,
                                      .infer = infer,
                                      .memory = mb_call_keeps_nothing,
                                      .forward = forward,
                                      .backward_input = backward_input,
                                      .cost = cost};

const mb_layer_class_t *mb_operators_cast(size_t index)
{
    return index == 0 ? &cast : NULL;
}
