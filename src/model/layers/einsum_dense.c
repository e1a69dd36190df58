/* EinsumDense: y = act(einsum(equation, x, kernel) + bias). An equation that comes to one product
 * of matrices runs as a Dense layer does; the others are contractions (contract.h).
 *
 * saved, carry: what the activation keeps, then what contractions write beside their results. */
#include "model/layers/einsum.h"

#include <inttypes.h>
#include <string.h>

typedef struct {
    const char *equation;
    const char *bias_axes; /* NULL: no bias */
    int kernel_rank;
    int n_given;
    int64_t given[MB_MAX_RANK]; /* the output's shape without the samples and the ellipsis */
    mb_activation_t activation;
    mb_param_spec_t kernel, bias;
    bool linear;         /* one product, with the bias behind it */
    mb_shape_t declared; /* the kernel's shape */
} einsum_dense_t;

enum { KERNEL, BIAS };

/* ---- config */

static mb_status_t refuse_equation(const mb_config_t *config, const char *equation)
{
    return mb_error_set(MB_ERR_ARGUMENT,
                        "%s: key 'equation' is '%s'; it must be of the form ab,bc->ac, "
                        "...ab,bc->...ac or ab...,bc->ac...",
                        config->where, equation);
}

/* Letters, with the ellipsis in front or behind. */
static bool is_term(const char *text, size_t length, int *place)
{
    *place = 0;
    if (length > 3 && strncmp(text, "...", 3) == 0) {
        *place = -1;
        text += 3;
        length -= 3;
    } else if (length > 3 && strncmp(text + length - 3, "...", 3) == 0) {
        *place = 1;
        length -= 3;
    }
    return length > 0 &&
           strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") >= length;
}

static mb_status_t take_equation(mb_config_t *config, einsum_dense_t *dense)
{
    int input, kernel, output;
    MB_TRY(mb_config_string(config, "equation", &dense->equation));
    const char *comma = strchr(dense->equation, ',');
    const char *arrow = comma == NULL ? NULL : strstr(comma, "->");
    if (arrow == NULL || !is_term(dense->equation, (size_t)(comma - dense->equation), &input) ||
        !is_term(comma + 1, (size_t)(arrow - comma - 1), &kernel) ||
        !is_term(arrow + 2, strlen(arrow + 2), &output) || kernel != 0 || input != output)
        return refuse_equation(config, dense->equation);
    dense->kernel_rank = (int)(arrow - comma - 1);
    return dense->kernel_rank <= MB_MAX_RANK ? MB_OK : refuse_equation(config, dense->equation);
}

/* A size, or null where the input says it. */
static mb_status_t take_dimension(const mb_config_t *config, const json_t *item, bool may_be_open,
                                  int64_t *out)
{
    bool open = may_be_open && json_is_null(item);
    *out = open ? MB_OPEN : json_integer_value(item);
    if (open || (json_is_integer(item) && *out >= 1 && *out <= MB_LAYER_MAX_SIZE))
        return MB_OK;
    return mb_error_set(MB_ERR_FORMAT,
                        "%s: key 'output_shape' must be a size, or a list of sizes and nulls",
                        config->where);
}

static mb_status_t take_output(mb_config_t *config, einsum_dense_t *dense)
{
    const json_t *value = mb_config_take(config, "output_shape");
    size_t n = json_array_size(value);
    if (n > MB_MAX_RANK)
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "%s: key 'output_shape' has more than %d dimensions", config->where,
                            MB_MAX_RANK);
    dense->n_given = json_is_array(value) ? (int)n : 1;
    if (!json_is_array(value))
        return take_dimension(config, value, false, &dense->given[0]);
    for (size_t i = 0; i < n; i++)
        MB_TRY(take_dimension(config, json_array_get(value, i), true, &dense->given[i]));
    return MB_OK;
}

static mb_status_t parse(mb_config_t *config, mb_arena_t *arena, void **out)
{
    einsum_dense_t *dense = MB_ARENA_NEW(arena, einsum_dense_t);
    if (dense == NULL)
        return mb_error_memory("a layer", sizeof *dense);
    *out = dense;
    MB_TRY(take_equation(config, dense));
    MB_TRY(take_output(config, dense));
    MB_TRY(mb_config_string_or(config, "bias_axes", NULL, &dense->bias_axes));
    MB_TRY(mb_activation_take_key(config, "activation", &dense->activation));
    MB_TRY(mb_layer_take_param(config, "kernel", "glorot_uniform", "kernel", true, &dense->kernel));
    MB_TRY(mb_layer_take_param(config, "bias", "zeros", "bias", true, &dense->bias));
    dense->kernel.operand = dense->bias.operand = true;
    MB_TRY(mb_config_only(config, "quantization_config", "null"));
    MB_TRY(mb_config_only(config, "gptq_unpacked_column_size", "null"));
    MB_TRY(mb_config_only(config, "lora_rank", "null"));
    return mb_config_only(config, "lora_alpha", "null");
}

/* ---- shapes */

static einsum_dense_t *dense_of(const mb_call_t *call)
{
    return call->layer->config;
}

static mb_status_t read_equation(const mb_call_t *call, mb_einsum_t *out)
{
    const einsum_dense_t *dense = dense_of(call);
    int ranks[] = {call->inputs[0].rank + 1, dense->kernel_rank};
    return mb_einsum_read(dense->equation, call->layer->path, 2, ranks, out);
}

static bool is_letter(int label)
{
    return label < 256;
}

/* Axis of the input by its label; -1: it has none. */
static int input_axis(const mb_einsum_t *e, int label)
{
    for (int i = 0; i < e->operands[0].rank; i++) {
        if (e->operands[0].label[i] == label)
            return i;
    }
    return -1;
}

/* The samples come first and stand alone. */
static mb_status_t check_samples(const mb_call_t *call, const mb_einsum_t *e)
{
    int samples = e->operands[0].label[0];
    bool twice = false;
    for (int i = 1; i < e->operands[0].rank; i++)
        twice = twice || e->operands[0].label[i] == samples;
    if (e->result.rank > 0 && e->result.label[0] == samples && !twice &&
        !mb_subscripts_have(&e->operands[1], samples))
        return MB_OK;
    return mb_call_error(call, MB_ERR_UNSUPPORTED,
                         "equation '%s' mixes the samples, which are the first axis of its input, "
                         "and must be of its output, and of nothing else",
                         dense_of(call)->equation);
}

/* One axis of the output that the config gives. */
static mb_status_t fit_given(const mb_call_t *call, const mb_einsum_t *e, int label, int64_t given,
                             int64_t *out)
{
    char text[MB_EINSUM_TEXT];
    int axis = input_axis(e, label);
    int64_t found = axis < 0 ? MB_OPEN : call->inputs[0].dim[axis - 1];
    *out = given == MB_OPEN ? found : given;
    if (axis < 0 && given == MB_OPEN)
        return mb_call_error(call, MB_ERR_SHAPE,
                             "key 'output_shape' leaves %s open, which the input does not have",
                             mb_einsum_axis_text(label, text));
    if (found == MB_OPEN || found == *out)
        return MB_OK;
    return mb_call_error(call, MB_ERR_SHAPE,
                         "%s has %" PRId64 " elements in key 'output_shape' and %" PRId64
                         " in the input",
                         mb_einsum_axis_text(label, text), *out, found);
}

static int count_letters(const mb_subscripts_t *subscripts, int from)
{
    int n = 0;
    for (int i = from; i < subscripts->rank; i++)
        n += is_letter(subscripts->label[i]);
    return n;
}

static mb_status_t infer_output(const mb_call_t *call, const mb_einsum_t *e, mb_shape_t *out)
{
    const einsum_dense_t *dense = dense_of(call);
    int given = 0;
    *out = (mb_shape_t){.rank = e->result.rank - 1};
    if (count_letters(&e->result, 1) != dense->n_given || out->rank > MB_MAX_RANK)
        return mb_call_error(call, MB_ERR_SHAPE,
                             "key 'output_shape' has %d dimensions, equation '%s' gives %d",
                             dense->n_given, dense->equation, count_letters(&e->result, 1));
    for (int i = 1; i < e->result.rank; i++) {
        int label = e->result.label[i];
        if (is_letter(label))
            MB_TRY(fit_given(call, e, label, dense->given[given++], &out->dim[i - 1]));
        else
            out->dim[i - 1] = call->inputs[0].dim[input_axis(e, label) - 1];
    }
    return MB_OK;
}

static mb_status_t infer(mb_call_t *call)
{
    mb_einsum_t e;
    MB_TRY(mb_call_expect(call, 1));
    MB_TRY(read_equation(call, &e));
    MB_TRY(check_samples(call, &e));
    MB_TRY(infer_output(call, &e, &call->output));
    call->output_type = call->input_types[0];
    return MB_OK;
}

/* ---- the contraction */

static int64_t size_of(const mb_call_t *call, const mb_einsum_t *e, int label)
{
    for (int i = 1; i < e->result.rank; i++) {
        if (e->result.label[i] == label)
            return call->output.dim[i - 1];
    }
    int axis = input_axis(e, label);
    return axis < 1 ? MB_OPEN : call->inputs[0].dim[axis - 1];
}

static mb_einsum_tensor_t tensor_of(const mb_subscripts_t *subscripts, int64_t samples,
                                    const mb_shape_t *shape)
{
    mb_einsum_tensor_t tensor = {.subscripts = subscripts, .dim = {samples}};
    memcpy(tensor.dim + 1, shape->dim, (size_t)shape->rank * sizeof *shape->dim);
    return tensor;
}

static mb_contraction_t contraction_of(const mb_call_t *call, int64_t samples)
{
    mb_einsum_t e;
    if (read_equation(call, &e) != MB_OK) /* infer has read it */
        return (mb_contraction_t){0};
    mb_einsum_tensor_t x = tensor_of(&e.operands[0], samples, &call->inputs[0]);
    mb_einsum_tensor_t y = tensor_of(&e.result, samples, &call->output);
    mb_einsum_tensor_t kernel = {.subscripts = &e.operands[1]};
    for (int i = 0; i < e.operands[1].rank; i++)
        kernel.dim[i] = size_of(call, &e, e.operands[1].label[i]);
    mb_contraction_t out = mb_einsum_contraction(&x, &kernel, &y);
    out.type = call->output_type;
    return out;
}

static mb_contraction_t to_input(const mb_call_t *call, int64_t samples)
{
    mb_contraction_t c = contraction_of(call, samples);
    return mb_contraction_turned(&c, MB_CONTRACT_C, MB_CONTRACT_B, MB_CONTRACT_A);
}

static mb_contraction_t to_kernel(const mb_call_t *call, int64_t samples)
{
    mb_contraction_t c = contraction_of(call, samples);
    c = mb_contraction_turned(&c, MB_CONTRACT_A, MB_CONTRACT_C, MB_CONTRACT_B);
    c.wide = true;
    return c;
}

/* ---- parameters */

static bool has_bias(const einsum_dense_t *dense, int label)
{
    return dense->bias_axes != NULL && is_letter(label) && strchr(dense->bias_axes, label) != NULL;
}

static mb_status_t check_bias_axes(const mb_call_t *call, const mb_einsum_t *e)
{
    const char *axis = dense_of(call)->bias_axes;
    for (; axis != NULL && *axis != '\0'; axis++) {
        if (!mb_subscripts_have(&e->result, *axis) || e->result.label[0] == *axis)
            return mb_call_error(call, MB_ERR_ARGUMENT,
                                 "key 'bias_axes' has '%c', which is no axis of the output", *axis);
    }
    return MB_OK;
}

/* From the first axis that the bias has on, with 1 for those it has not. */
static mb_shape_t bias_shape(const mb_call_t *call, const mb_einsum_t *e)
{
    const einsum_dense_t *dense = dense_of(call);
    mb_shape_t shape = {0};
    for (int i = 1; i < e->result.rank; i++) {
        bool has = has_bias(dense, e->result.label[i]);
        if (has || shape.rank > 0)
            shape.dim[shape.rank++] = has ? call->output.dim[i - 1] : 1;
    }
    return shape;
}

/* The bias along the output's axes. */
static mb_view_t bias_view(const mb_run_t *run)
{
    mb_view_t view = mb_view_output(run);
    int64_t step = 1;
    mb_einsum_t e;
    if (read_equation(run->call, &e) != MB_OK)
        return view;
    for (int i = view.axes - 1; i >= 0; i--) {
        bool has = i > 0 && has_bias(dense_of(run->call), e.result.label[i]);
        view.stride[i] = has ? step : 0;
        step *= has ? view.dim[i] : 1;
    }
    return view;
}

/* The bias has the axes that only the kernel gives the output, which a product can add. */
static bool bias_is_columns(const mb_call_t *call, const mb_einsum_t *e)
{
    const einsum_dense_t *dense = dense_of(call);
    bool same = true;
    for (int i = 1; i < e->result.rank && dense->bias_axes != NULL; i++) {
        int label = e->result.label[i];
        bool column = input_axis(e, label) < 0;
        same = same && (call->output.dim[i - 1] == 1 || column == has_bias(dense, label));
    }
    return same;
}

/* Keras' fans: axes that the output has not, and those it has. */
static void set_fans(mb_param_spec_t *kernel, const mb_einsum_t *e)
{
    kernel->fan_in = kernel->fan_out = 1;
    for (int i = 0; i < kernel->shape.rank; i++) {
        bool out = mb_subscripts_have(&e->result, e->operands[1].label[i]);
        *(out ? &kernel->fan_out : &kernel->fan_in) *= kernel->shape.dim[i];
    }
}

/* A kernel of one product is a matrix where one of the two groups is one axis. */
static mb_view_kind_t view_of_kernel(const einsum_dense_t *dense, const mb_einsum_t *e)
{
    int columns = 0, rank = e->operands[1].rank;
    for (int i = 0; i < rank; i++)
        columns += mb_subscripts_have(&e->result, e->operands[1].label[i]);
    if (!dense->linear || columns == 0 || columns == rank)
        return MB_VIEW_VECTOR;
    return rank - columns == 1 ? MB_VIEW_FIRST : columns == 1 ? MB_VIEW_LAST : MB_VIEW_VECTOR;
}

static mb_shape_t kernel_shape(const mb_call_t *call, const mb_einsum_t *e)
{
    mb_shape_t shape = {.rank = e->operands[1].rank};
    for (int i = 0; i < shape.rank; i++)
        shape.dim[i] = size_of(call, e, e->operands[1].label[i]);
    return shape;
}

static mb_status_t check_kernel(const mb_call_t *call, const mb_einsum_t *e)
{
    char text[MB_EINSUM_TEXT];
    for (int i = 0; i < e->operands[1].rank; i++) {
        if (size_of(call, e, e->operands[1].label[i]) == MB_OPEN)
            return mb_call_error(call, MB_ERR_SHAPE,
                                 "its kernel has %s, whose size follows from neither key "
                                 "'output_shape' nor the input",
                                 mb_einsum_axis_text(e->operands[1].label[i], text));
    }
    return MB_OK;
}

static mb_status_t declare(const mb_call_t *call, mb_param_list_t *list)
{
    einsum_dense_t *dense = dense_of(call);
    mb_param_spec_t kernel = dense->kernel;
    mb_linear_t linear;
    mb_einsum_t e;
    MB_TRY(read_equation(call, &e));
    MB_TRY(check_kernel(call, &e));
    MB_TRY(check_bias_axes(call, &e));
    mb_contraction_t contraction = contraction_of(call, 2);
    dense->linear = mb_contraction_is_linear(&contraction, &linear) && bias_is_columns(call, &e);
    kernel.shape = dense->declared = kernel_shape(call, &e);
    kernel.view = view_of_kernel(dense, &e);
    set_fans(&kernel, &e);
    MB_TRY(mb_param_add(list, &kernel));
    mb_shape_t shape = bias_shape(call, &e);
    return dense->bias_axes == NULL ? MB_OK : mb_layer_add_param(list, &dense->bias, &shape);
}

static mb_status_t check(const mb_call_t *call)
{
    mb_einsum_t e;
    MB_TRY(read_equation(call, &e));
    mb_shape_t shape = kernel_shape(call, &e);
    return mb_shape_equal(&shape, &dense_of(call)->declared)
               ? MB_OK
               : mb_call_error(call, MB_ERR_SHAPE, "another call's input does not fit the weights");
}

/* ---- running */

static size_t aligned(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static void memory(const mb_call_t *call, int64_t samples, mb_memory_t *out)
{
    const einsum_dense_t *dense = dense_of(call);
    mb_activated_memory(&dense->activation, call, samples, out);
    out->keeps_input[0] = call->layer->trainable;
    if (dense->linear)
        return;
    mb_contraction_t forward = contraction_of(call, samples), input = to_input(call, samples),
                     kernel = to_kernel(call, samples);
    size_t bias = (size_t)(samples * mb_shape_elements(&call->output)) * sizeof(float);
    size_t carry = larger(mb_contraction_bytes(&input), mb_contraction_bytes(&kernel));
    if (dense->bias_axes != NULL && call->output_type != MB_F32)
        carry = larger(carry, bias);
    out->saved_bytes = aligned(out->saved_bytes) + mb_contraction_bytes(&forward);
    out->carry_bytes = aligned(out->carry_bytes) + carry;
}

/* Behind what the activation keeps. */
static void *saved_scratch(const mb_run_t *run)
{
    mb_memory_t memory;
    mb_activated_memory(&dense_of(run->call)->activation, run->call, run->samples, &memory);
    return mb_bytes_at(run->saved, aligned(memory.saved_bytes));
}

static void *carry_scratch(const mb_run_t *run)
{
    mb_memory_t memory;
    mb_activated_memory(&dense_of(run->call)->activation, run->call, run->samples, &memory);
    return mb_bytes_at(run->carry, aligned(memory.carry_bytes));
}

static mb_linear_t linear_of(const mb_run_t *run)
{
    mb_contraction_t c = contraction_of(run->call, run->samples);
    mb_linear_t linear;
    mb_contraction_is_linear(&c, &linear);
    return linear;
}

static int bias_of(const einsum_dense_t *dense)
{
    return dense->bias_axes != NULL ? BIAS : MB_NO_PARAM;
}

static mb_status_t add_bias(const mb_run_t *run, void *z)
{
    mb_map_call_t call = {.function = MB_MAP_ADD,
                          .inputs = {mb_map_tensor(z, mb_view_output(run)),
                                     mb_map_tensor(mb_run_param(run, BIAS), bias_view(run))},
                          .view = mb_view_output(run),
                          .y = z};
    return mb_run_strided(run, &call);
}

static mb_status_t forward(const mb_run_t *run)
{
    const einsum_dense_t *dense = dense_of(run->call);
    mb_linear_t linear = dense->linear ? linear_of(run) : (mb_linear_t){0};
    if (dense->linear)
        return mb_linear_activated(run, &linear, KERNEL, bias_of(dense), &dense->activation,
                                   mb_run_input(run, 0));
    mb_contraction_t c = contraction_of(run->call, run->samples);
    void *z = mb_activated_target(&dense->activation, run);
    MB_TRY(mb_contract(run, &c, mb_run_input(run, 0), mb_run_param(run, KERNEL), z, false,
                       saved_scratch(run)));
    if (dense->bias_axes != NULL)
        MB_TRY(add_bias(run, z));
    return mb_activated_forward(&dense->activation, run);
}

static mb_status_t backward_input(const mb_run_t *run)
{
    const einsum_dense_t *dense = dense_of(run->call);
    MB_TRY(mb_activated_backward(&dense->activation, run));
    if (!mb_run_wants_input(run, 0))
        return MB_OK;
    const void *dz = mb_activated_gradient(&dense->activation, run);
    mb_linear_t linear = dense->linear ? linear_of(run) : (mb_linear_t){0};
    if (dense->linear)
        return mb_linear_backward_input(run, &linear, KERNEL, false, dz, mb_run_grad_input(run, 0));
    mb_contraction_t c = to_input(run->call, run->samples);
    return mb_contract(run, &c, dz, mb_run_param(run, KERNEL), mb_run_grad_input(run, 0), false,
                       carry_scratch(run));
}

static mb_status_t bias_gradient(const mb_run_t *run, const void *dz)
{
    mb_view_t view = bias_view(run);
    mb_convert_args_t wide = {.type = MB_F32,
                              .from = mb_run_type(run),
                              .count = run->samples * mb_shape_elements(&run->call->output),
                              .x = dz,
                              .y = carry_scratch(run)};
    mb_map_call_t call = {.function = MB_MAP_COPY,
                          .inputs = {mb_map_tensor(dz, mb_view_output(run))},
                          .view = view,
                          .y = mb_run_grad_param(run, BIAS),
                          .reduced = mb_view_repeats(&view),
                          .accumulate = run->accumulate,
                          .wide = true};
    if (mb_run_type(run) != MB_F32) {
        MB_TRY(mb_run_convert(run->exec, &wide));
        call.inputs[0].base = wide.y;
    }
    return mb_run_strided(run, &call);
}

static mb_status_t backward_weights(const mb_run_t *run)
{
    const einsum_dense_t *dense = dense_of(run->call);
    const void *dz = mb_activated_gradient(&dense->activation, run);
    mb_linear_t linear = dense->linear ? linear_of(run) : (mb_linear_t){0};
    if (dense->linear)
        return mb_linear_backward_weights(run, &linear, KERNEL, bias_of(dense),
                                          mb_run_input(run, 0), dz);
    mb_contraction_t c = to_kernel(run->call, run->samples);
    if (mb_run_wants_param(run, KERNEL))
        MB_TRY(mb_contract(run, &c, mb_run_input(run, 0), dz, mb_run_grad_param(run, KERNEL),
                           run->accumulate, carry_scratch(run)));
    bool wants_bias = dense->bias_axes != NULL && mb_run_wants_param(run, BIAS);
    return wants_bias ? bias_gradient(run, dz) : MB_OK;
}

/* Twice the sizes of all axes that the three have. */
static void cost(const mb_call_t *call, mb_cost_t *out)
{
    mb_contraction_t c = contraction_of(call, 1);
    double flops = 2.0;
    for (int i = 0; i < c.n; i++)
        flops *= (double)c.dim[i];
    *out = (mb_cost_t){flops, flops, flops};
}

const mb_layer_class_t mb_layer_einsum_dense = {.size = sizeof(mb_layer_class_t),
                                                .name = "EinsumDense",
                                                .parse = parse,
                                                .infer = infer,
                                                .declare = declare,
                                                .check = check,
                                                .memory = memory,
                                                .forward = forward,
                                                .backward_input = backward_input,
                                                .backward_weights = backward_weights,
                                                .cost = cost};
