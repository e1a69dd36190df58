/* See encoding.h. */
#include "model/layers/encoding.h"

#include <string.h>

mb_status_t mb_encoding_take(mb_config_t *config, const char *otherwise, mb_output_mode_t *out)
{
    static const struct {
        const char *name;
        mb_output_mode_t encoding;
    } known[] = {{"int", MB_ENCODING_INT},
                 {"one_hot", MB_ENCODING_ONE_HOT},
                 {"multi_hot", MB_ENCODING_MULTI_HOT},
                 {"binary", MB_ENCODING_MULTI_HOT},
                 {"count", MB_ENCODING_COUNT},
                 {"tf_idf", MB_ENCODING_TF_IDF},
                 {"tf-idf", MB_ENCODING_TF_IDF}};
    const char *name;
    MB_TRY(mb_config_only(config, "sparse", "false"));
    MB_TRY(mb_config_string_or(config, "output_mode", otherwise, &name));
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        *out = known[i].encoding;
        if (strcmp(name, known[i].name) == 0)
            return MB_OK;
    }
    return mb_error_set(MB_ERR_ARGUMENT, "%s: key 'output_mode' is '%s', which is not known",
                        config->where, name);
}

mb_status_t mb_encoding_take_unweighted(mb_config_t *config, mb_output_mode_t *out)
{
    MB_TRY(mb_encoding_take(config, "int", out));
    if (*out != MB_ENCODING_TF_IDF)
        return MB_OK;
    return mb_error_set(MB_ERR_ARGUMENT,
                        "%s: key 'output_mode' is 'tf_idf', but only IntegerLookup and "
                        "StringLookup have weights for it",
                        config->where);
}

static mb_status_t infer_rows(mb_call_t *call, int64_t depth)
{
    if (call->inputs[0].rank != 1)
        return mb_call_error(call, MB_ERR_UNSUPPORTED,
                             "marks or counts what a row has; it takes samples of one dimension, "
                             "found %d",
                             call->inputs[0].rank);
    call->output = (mb_shape_t){1, {depth}};
    return MB_OK;
}

/* A last dimension of 1 gives way to the categories. */
mb_status_t mb_encoding_infer(mb_call_t *call, mb_output_mode_t encoding, int64_t depth)
{
    mb_shape_t *out = &call->output;
    if (call->n_inputs != 1)
        return mb_call_error(call, MB_ERR_SHAPE, "takes 1 input, found %d", call->n_inputs);
    *out = call->inputs[0];
    call->output_type = encoding == MB_ENCODING_INT ? MB_I32 : MB_F32;
    if (encoding == MB_ENCODING_INT)
        return MB_OK;
    if (encoding != MB_ENCODING_ONE_HOT)
        return infer_rows(call, depth);
    if (out->rank > 0 && out->dim[out->rank - 1] == 1)
        out->rank--;
    if (out->rank == MB_MAX_RANK)
        return mb_call_error(call, MB_ERR_UNSUPPORTED, "its input has too many dimensions");
    out->dim[out->rank++] = depth;
    return MB_OK;
}

size_t mb_encoding_bytes(const mb_call_t *call, mb_output_mode_t encoding, int64_t samples)
{
    size_t bytes = 0;
    if (encoding != MB_ENCODING_INT)
        mb_block_add(&bytes, samples * mb_shape_elements(&call->inputs[0]), MB_I32);
    return bytes;
}

int32_t *mb_encoding_places(const mb_run_t *run, mb_output_mode_t encoding)
{
    return encoding == MB_ENCODING_INT ? run->output : run->saved;
}

/* y *= the weight of its category. */
static mb_status_t weigh(const mb_run_t *run, const void *weights)
{
    mb_view_t view = mb_view_output(run), weight = view;
    for (int d = 0; d < weight.axes - 1; d++)
        weight.stride[d] = 0;
    mb_map_call_t call = {
        .function = MB_MAP_MULTIPLY,
        .inputs = {mb_map_tensor(run->output, view), mb_map_tensor(weights, weight)},
        .view = view,
        .y = run->output};
    return mb_run_strided(run, &call);
}

mb_status_t mb_encoding_run(const mb_run_t *run, mb_output_mode_t encoding, const int32_t *places,
                            const void *weights)
{
    int64_t depth = mb_shape_columns(&run->call->output);
    int64_t elements = mb_shape_elements(&run->call->inputs[0]);
    bool each = encoding == MB_ENCODING_ONE_HOT;
    mb_encode_args_t args = {.type = mb_run_type(run),
                             .rows = each ? run->samples * elements : run->samples,
                             .columns = each ? 1 : elements,
                             .depth = depth,
                             .counts = encoding != MB_ENCODING_MULTI_HOT,
                             .x = places,
                             .y = run->output};
    if (encoding == MB_ENCODING_INT)
        return MB_OK;
    MB_TRY(mb_run_encode(run->exec, &args));
    return encoding == MB_ENCODING_TF_IDF ? weigh(run, weights) : MB_OK;
}

mb_status_t mb_no_backward(const mb_run_t *run)
{
    (void)run;
    return MB_OK;
}

bool mb_not_differentiable(const mb_call_t *call, int input)
{
    (void)call, (void)input;
    return false;
}

void mb_traffic_cost(const mb_call_t *call, mb_cost_t *out)
{
    double traffic =
        (double)(mb_shape_elements(&call->inputs[0]) + mb_shape_elements(&call->output));
    *out = (mb_cost_t){traffic, 0.0, 0.0};
}
