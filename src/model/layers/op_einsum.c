/* Einsum of one or two tensors, sample by sample: what a sum of products over named axes says (see
 * contract.h). */
#include "model/layers/einsum.h"
#include "model/layers/operators.h"

#include <inttypes.h>
#include <string.h>

typedef struct {
    const char *subscripts;
} einsum_t;

static mb_status_t parse(mb_config_t *config, mb_arena_t *arena, void **out)
{
    einsum_t *einsum = MB_ARENA_NEW(arena, einsum_t);
    if (einsum == NULL)
        return mb_error_memory("an operation", sizeof *einsum);
    *out = einsum;
    return mb_config_string(config, "subscripts", &einsum->subscripts);
}

static mb_status_t read_subscripts(const mb_call_t *call, mb_einsum_t *out)
{
    const einsum_t *einsum = call->layer->config;
    int ranks[MB_EINSUM_OPERANDS] = {0};
    if (call->n_inputs > MB_EINSUM_OPERANDS)
        return mb_call_error(call, MB_ERR_UNSUPPORTED,
                             "einsum of %d tensors; this build takes one or two: write it as "
                             "einsums of two",
                             call->n_inputs);
    for (int i = 0; i < call->n_inputs; i++)
        ranks[i] = call->inputs[i].rank + 1;
    return mb_einsum_read(einsum->subscripts, call->layer->path, call->n_inputs, ranks, out);
}

static int times(const mb_subscripts_t *subscripts, int label)
{
    int n = 0;
    for (int i = 0; i < subscripts->rank; i++)
        n += subscripts->label[i] == label;
    return n;
}

/* All tensors are of the same samples. */
static mb_status_t check_samples(const mb_call_t *call, const mb_einsum_t *e)
{
    const einsum_t *einsum = call->layer->config;
    int samples = e->operands[0].label[0];
    bool fits = e->result.rank > 0 && e->result.label[0] == samples;
    for (int i = 0; i < e->n_operands; i++)
        fits = fits && e->operands[i].label[0] == samples && times(&e->operands[i], samples) == 1;
    return fits ? MB_OK
                : mb_call_error(call, MB_ERR_UNSUPPORTED,
                                "'%s' mixes the samples: they must be the first axis of all its "
                                "tensors, and of its result",
                                einsum->subscripts);
}

/* The size of a label's axis, by the first tensor that knows it; MB_OPEN: none does. */
static mb_status_t find_size(const mb_call_t *call, const mb_einsum_t *e, int label, int64_t *out)
{
    char text[MB_EINSUM_TEXT];
    *out = MB_OPEN;
    for (int i = 0; i < e->n_operands; i++) {
        for (int d = 1; d < e->operands[i].rank; d++) {
            int64_t dim = call->inputs[i].dim[d - 1];
            if (e->operands[i].label[d] != label || dim == MB_OPEN)
                continue;
            if (*out != MB_OPEN && dim != *out)
                return mb_call_error(call, MB_ERR_SHAPE,
                                     "%s has %" PRId64 " and %" PRId64 " elements",
                                     mb_einsum_axis_text(label, text), *out, dim);
            *out = dim;
        }
    }
    return MB_OK;
}

static mb_status_t infer(mb_call_t *call)
{
    mb_einsum_t e;
    int64_t size;
    MB_TRY(mb_call_expect(call, call->n_inputs));
    MB_TRY(read_subscripts(call, &e));
    MB_TRY(check_samples(call, &e));
    for (int i = 0; i < e.n_operands; i++) {
        for (int d = 1; d < e.operands[i].rank; d++)
            MB_TRY(find_size(call, &e, e.operands[i].label[d], &size));
    }
    if (e.result.rank - 1 > MB_MAX_RANK)
        return mb_call_error(call, MB_ERR_UNSUPPORTED, "gives more than %d axes", MB_MAX_RANK);
    call->output = (mb_shape_t){.rank = e.result.rank - 1};
    call->output_type = call->input_types[0];
    for (int d = 1; d < e.result.rank; d++)
        MB_TRY(find_size(call, &e, e.result.label[d], &call->output.dim[d - 1]));
    return MB_OK;
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
    if (read_subscripts(call, &e) != MB_OK) /* infer has read them */
        return (mb_contraction_t){0};
    mb_einsum_tensor_t a = tensor_of(&e.operands[0], samples, &call->inputs[0]);
    mb_einsum_tensor_t b = tensor_of(&e.operands[1], samples, &call->inputs[1]);
    mb_einsum_tensor_t y = tensor_of(&e.result, samples, &call->output);
    mb_contraction_t out = mb_einsum_contraction(&a, call->n_inputs == 2 ? &b : NULL, &y);
    out.type = call->output_type;
    return out;
}

/* The gradient of one input from that of the result and the other input. */
static mb_contraction_t to_input(const mb_call_t *call, int64_t samples, int input)
{
    mb_contraction_t c = contraction_of(call, samples);
    return mb_contraction_turned(&c, MB_CONTRACT_C, input == 0 ? MB_CONTRACT_B : MB_CONTRACT_A,
                                 input == 0 ? MB_CONTRACT_A : MB_CONTRACT_B);
}

static void memory(const mb_call_t *call, int64_t samples, mb_memory_t *out)
{
    mb_contraction_t forward = contraction_of(call, samples);
    *out = (mb_memory_t){.saved_bytes = mb_contraction_bytes(&forward)};
    for (int i = 0; i < call->n_inputs; i++) {
        mb_contraction_t input = to_input(call, samples, i);
        size_t bytes = mb_contraction_bytes(&input);
        out->carry_bytes = bytes > out->carry_bytes ? bytes : out->carry_bytes;
        out->keeps_input[i] = call->n_inputs == 2;
    }
}

static const void *other_input(const mb_run_t *run, int input)
{
    return run->call->n_inputs == 2 ? mb_run_input(run, 1 - input) : NULL;
}

static mb_status_t forward(const mb_run_t *run)
{
    mb_contraction_t c = contraction_of(run->call, run->samples);
    return mb_contract(run, &c, mb_run_input(run, 0), other_input(run, 0), run->output, false,
                       run->saved);
}

static mb_status_t backward_input(const mb_run_t *run)
{
    for (int i = 0; i < run->call->n_inputs; i++) {
        mb_contraction_t c = to_input(run->call, run->samples, i);
        if (mb_run_wants_input(run, i))
            MB_TRY(mb_contract(run, &c, run->grad_output, other_input(run, i),
                               mb_run_grad_input(run, i), false, run->carry));
    }
    return MB_OK;
}

static void cost(const mb_call_t *call, mb_cost_t *out)
{
    mb_contraction_t c = contraction_of(call, 1);
    double flops = 2.0;
    for (int i = 0; i < c.n; i++)
        flops *= (double)c.dim[i];
    *out = (mb_cost_t){flops, call->n_inputs * flops, 0.0};
}

static const mb_layer_class_t einsum = {.size = sizeof(mb_layer_class_t),
                                        .name = "Einsum",
                                        .parse = parse,
                                        .parse_call = mb_arguments_are_inputs,
                                        .infer = infer,
                                        .memory = memory,
                                        .forward = forward,
                                        .backward_input = backward_input,
                                        .cost = cost};

const mb_layer_class_t *mb_operators_einsum(size_t index)
{
    return index == 0 ? &einsum : NULL;
}
