/* ReversibleEmbedding: an embedding that is also called in reverse, from rows of its width to a
 * number for each row of the table: y = x E^T, or x R with a kernel R of its own where the weights
 * are not tied; capped: y = c tanh(y / c). What one of the two ways does not use has gradient zero.
 *
 * saved, carry: in reverse the kernel in another type than it is kept in; carry: the gradient of
 * what is capped before it. */
#include "model/layers/embedding.h"
#include "model/layers/view.h"

#include <string.h>

typedef struct {
    mb_embedding_t embedding; /* first: see embedding.h */
    bool tied, has_type;
    mb_dtype_t type; /* that the reverse way computes in */
    double cap;      /* 0: none */
    mb_param_spec_t reverse;
} reversible_t;

typedef struct {
    bool reverse;
} reversible_call_t;

enum { TABLE, REVERSE };

/* ---- config */

static mb_status_t take_type(mb_config_t *config, reversible_t *out)
{
    static const mb_dtype_t types[] = {MB_F32, MB_BF16, MB_F16};
    const char *name;
    MB_TRY(mb_config_string_or(config, "reverse_dtype", NULL, &name));
    out->has_type = name != NULL;
    for (size_t i = 0; name != NULL && i < sizeof types / sizeof types[0]; i++) {
        out->type = types[i];
        if (strcmp(name, mb_dtype_name(types[i])) == 0)
            return MB_OK;
    }
    return name == NULL ? MB_OK
                        : mb_error_set(MB_ERR_UNSUPPORTED,
                                       "%s: key 'reverse_dtype' is '%s'; this build obeys float32, "
                                       "bfloat16 and float16",
                                       config->where, name);
}

static mb_status_t take_cap(mb_config_t *config, reversible_t *out)
{
    MB_TRY(mb_config_real_or(config, "logit_soft_cap", 0.0, &out->cap));
    if (out->cap != 0.0 || !mb_config_has(config, "logit_soft_cap"))
        return MB_OK;
    return mb_error_set(MB_ERR_ARGUMENT, "%s: key 'logit_soft_cap' is 0, which divides by it",
                        config->where);
}

static mb_status_t parse(mb_config_t *config, mb_arena_t *arena, void **out)
{
    reversible_t *r = MB_ARENA_NEW(arena, reversible_t);
    if (r == NULL)
        return mb_error_memory("a layer", sizeof *r);
    *out = r;
    MB_TRY(mb_embedding_take(config, &r->embedding));
    MB_TRY(mb_config_bool_or(config, "tie_weights", true, &r->tied));
    MB_TRY(take_type(config, r));
    r->embedding.table.operand = r->tied;
    if (r->tied)
        r->embedding.table.view = MB_VIEW_VECTOR;
    r->reverse = (mb_param_spec_t){.name = "reverse_embeddings",
                                   .initializer = r->embedding.table.initializer,
                                   .weight = true,
                                   .operand = true};
    return take_cap(config, r);
}

static mb_status_t parse_call(mb_config_t *kwargs, mb_arena_t *arena, void **out)
{
    reversible_call_t *call = MB_ARENA_NEW(arena, reversible_call_t);
    if (call == NULL)
        return mb_error_memory("a call", sizeof *call);
    *out = call;
    return mb_config_bool_or(kwargs, "reverse", false, &call->reverse);
}

static const reversible_t *config_of(const mb_call_t *call)
{
    return call->layer->config;
}

static bool is_reverse(const mb_call_t *call)
{
    const reversible_call_t *own = call->call_config;
    return own != NULL && own->reverse;
}

static void roles(const mb_call_t *call, mb_roles_t *out)
{
    const reversible_t *r = config_of(call);
    if (!is_reverse(call))
        mb_layer_embedding.roles(call, out);
    else if (r->has_type)
        out->type = r->type;
}

/* ---- shapes */

static mb_status_t infer(mb_call_t *call)
{
    const reversible_t *r = config_of(call);
    if (!is_reverse(call))
        return mb_layer_embedding.infer(call);
    MB_TRY(mb_call_infer_same(call));
    if (call->output.rank == 0)
        return mb_call_error(call, MB_ERR_SHAPE, "takes samples of at least one dimension");
    MB_TRY(mb_call_check_width(call, 0, r->embedding.width));
    call->output.dim[call->output.rank - 1] = r->embedding.vocabulary;
    return MB_OK;
}

static mb_status_t declare(const mb_call_t *call, mb_param_list_t *list)
{
    const reversible_t *r = config_of(call);
    MB_TRY(mb_layer_embedding.declare(call, list));
    return r->tied ? MB_OK
                   : mb_layer_add_param(
                         list, &r->reverse,
                         &(mb_shape_t){2, {r->embedding.width, r->embedding.vocabulary}});
}

/* ---- running */

static int64_t rows_of(const mb_call_t *call, int64_t samples)
{
    return samples * mb_shape_rows(&call->output);
}

static int64_t kernel_elements(const reversible_t *r)
{
    return r->embedding.width * r->embedding.vocabulary;
}

/* Kernels are kept in float32, and in the layer's type beside. */
static bool converts_kernel(const mb_call_t *call)
{
    return call->output_type != MB_F32 && call->output_type != call->layer->type;
}

static void memory(const mb_call_t *call, int64_t samples, mb_memory_t *out)
{
    const reversible_t *r = config_of(call);
    if (!is_reverse(call)) {
        mb_layer_embedding.memory(call, samples, out);
        return;
    }
    *out = (mb_memory_t){.keeps_output = r->cap != 0.0};
    out->keeps_input[0] = call->layer->trainable;
    if (r->cap != 0.0)
        mb_block_add(&out->carry_bytes, rows_of(call, samples) * r->embedding.vocabulary,
                     call->output_type);
    if (converts_kernel(call)) {
        mb_block_add(&out->saved_bytes, kernel_elements(r), call->output_type);
        mb_block_add(&out->carry_bytes, kernel_elements(r), call->output_type);
    }
}

static int param_of(const mb_call_t *call)
{
    return config_of(call)->tied ? TABLE : REVERSE;
}

/* The kernel in the type of the call; SCRATCH takes it where it is kept in none such. */
static mb_status_t kernel_of(const mb_run_t *run, void *scratch, const void **out)
{
    const reversible_t *r = config_of(run->call);
    int param = param_of(run->call);
    mb_convert_args_t args = {.type = mb_run_type(run),
                              .from = MB_F32,
                              .count = kernel_elements(r),
                              .x = mb_run_value(run, param),
                              .y = scratch};
    *out = mb_run_type(run) == MB_F32 ? mb_run_value(run, param) : mb_run_param(run, param);
    if (!converts_kernel(run->call))
        return MB_OK;
    *out = scratch;
    return mb_run_convert(run->exec, &args);
}

/* In place: y = c tanh(y / c), each step rounded as Keras rounds it. */
static mb_status_t apply(const mb_run_t *run, mb_map_t function, const void *x, double number,
                         void *y)
{
    mb_map_call_t call = {
        .function = function,
        .inputs = {mb_map_tensor(x, mb_view_output(run)), mb_map_constant((float)number)},
        .view = mb_view_output(run),
        .y = y};
    return mb_run_strided(run, &call);
}

static mb_status_t put_cap(const mb_run_t *run)
{
    double cap = config_of(run->call)->cap;
    if (cap == 0.0)
        return MB_OK;
    MB_TRY(apply(run, MB_MAP_DIVIDE, run->output, cap, run->output));
    MB_TRY(apply(run, MB_MAP_TANH, run->output, 0.0, run->output));
    return apply(run, MB_MAP_MULTIPLY, run->output, cap, run->output);
}

static mb_status_t forward(const mb_run_t *run)
{
    const reversible_t *r = config_of(run->call);
    const void *kernel;
    if (!is_reverse(run->call))
        return mb_layer_embedding.forward(run);
    MB_TRY(kernel_of(run, run->saved, &kernel));
    mb_gemm_args_t args = {.type = mb_run_type(run),
                           .m = rows_of(run->call, run->samples),
                           .n = r->embedding.vocabulary,
                           .k = r->embedding.width,
                           .transpose_b = r->tied,
                           .lda = r->embedding.width,
                           .ldb = r->tied ? r->embedding.width : r->embedding.vocabulary,
                           .ldc = r->embedding.vocabulary,
                           .a = mb_run_input(run, 0),
                           .b = kernel,
                           .c = run->output};
    MB_TRY(mb_run_gemm(run->exec, &args));
    return put_cap(run);
}

/* Of what was capped, from the capped value: dy (1 - (y / c)^2). */
static mb_status_t through_cap(const mb_run_t *run)
{
    mb_map_call_t call = {.function = MB_MAP_D_TANH,
                          .inputs = {mb_map_tensor(run->grad_output, mb_view_output(run)),
                                     mb_map_tensor(run->carry, mb_view_output(run))},
                          .view = mb_view_output(run),
                          .y = run->carry};
    double cap = config_of(run->call)->cap;
    if (cap == 0.0)
        return MB_OK;
    MB_TRY(apply(run, MB_MAP_DIVIDE, run->output, cap, run->carry));
    return mb_run_strided(run, &call);
}

static const void *gradient_of(const mb_run_t *run)
{
    return config_of(run->call)->cap == 0.0 ? run->grad_output : run->carry;
}

static void *carried_kernel(const mb_run_t *run)
{
    const reversible_t *r = config_of(run->call);
    size_t bytes = 0;
    if (r->cap != 0.0)
        mb_block_add(&bytes, rows_of(run->call, run->samples) * r->embedding.vocabulary,
                     mb_run_type(run));
    return mb_bytes_at(run->carry, bytes);
}

static mb_status_t backward_input(const mb_run_t *run)
{
    const reversible_t *r = config_of(run->call);
    const void *kernel;
    if (!is_reverse(run->call))
        return MB_OK;
    MB_TRY(through_cap(run));
    if (!mb_run_wants_input(run, 0))
        return MB_OK;
    MB_TRY(kernel_of(run, carried_kernel(run), &kernel));
    mb_gemm_args_t args = {.type = mb_run_type(run),
                           .m = rows_of(run->call, run->samples),
                           .n = r->embedding.width,
                           .k = r->embedding.vocabulary,
                           .transpose_b = !r->tied,
                           .lda = r->embedding.vocabulary,
                           .ldb = r->tied ? r->embedding.width : r->embedding.vocabulary,
                           .ldc = r->embedding.width,
                           .a = gradient_of(run),
                           .b = kernel,
                           .c = mb_run_grad_input(run, 0)};
    return mb_run_gemm(run->exec, &args);
}

/* dE = dy^T x, dR = x^T dy. */
static mb_status_t kernel_gradient(const mb_run_t *run)
{
    const reversible_t *r = config_of(run->call);
    int64_t vocabulary = r->embedding.vocabulary, width = r->embedding.width;
    const void *x = mb_run_input(run, 0), *dy = gradient_of(run);
    mb_gemm_args_t args = {.type = mb_run_type(run),
                           .wide = true,
                           .m = r->tied ? vocabulary : width,
                           .n = r->tied ? width : vocabulary,
                           .k = rows_of(run->call, run->samples),
                           .transpose_a = true,
                           .accumulate = run->accumulate,
                           .lda = r->tied ? vocabulary : width,
                           .ldb = r->tied ? width : vocabulary,
                           .ldc = r->tied ? width : vocabulary,
                           .a = r->tied ? dy : x,
                           .b = r->tied ? x : dy,
                           .c = mb_run_grad_param(run, param_of(run->call))};
    return mb_run_gemm(run->exec, &args);
}

static mb_status_t no_gradient(const mb_run_t *run, int param)
{
    mb_zero_args_t args = {kernel_elements(config_of(run->call)) * (int64_t)sizeof(float),
                           mb_run_grad_param(run, param)};
    bool wanted = !run->accumulate && mb_run_wants_param(run, param);
    return wanted ? mb_run_zero(run->exec, &args) : MB_OK;
}

static mb_status_t backward_weights(const mb_run_t *run)
{
    bool reverse = is_reverse(run->call), tied = config_of(run->call)->tied;
    if (!tied)
        MB_TRY(no_gradient(run, reverse ? TABLE : REVERSE));
    if (!reverse)
        return mb_layer_embedding.backward_weights(run);
    return mb_run_wants_param(run, param_of(run->call)) ? kernel_gradient(run) : MB_OK;
}

static void cost(const mb_call_t *call, mb_cost_t *out)
{
    double flops =
        2.0 * (double)mb_shape_elements(&call->output) * (double)config_of(call)->embedding.width;
    *out = (mb_cost_t){flops, flops, flops};
    if (!is_reverse(call))
        mb_layer_embedding.cost(call, out);
}

/* Keras sets the mask only on what is looked up. */
static mb_mask_rule_t mask(const mb_call_t *call)
{
    return is_reverse(call) ? (mb_mask_rule_t){.kind = MB_MASK_DROPPED}
                            : mb_layer_embedding.mask(call);
}

static bool differentiable(const mb_call_t *call, int input)
{
    (void)input;
    return is_reverse(call);
}

const mb_layer_class_t mb_layer_reversible_embedding = {.size = sizeof(mb_layer_class_t),
                                                        .name = "ReversibleEmbedding",
                                                        .parse = parse,
                                                        .parse_call = parse_call,
                                                        .infer = infer,
                                                        .declare = declare,
                                                        .memory = memory,
                                                        .forward = forward,
                                                        .backward_input = backward_input,
                                                        .backward_weights = backward_weights,
                                                        .cost = cost,
                                                        .differentiable = differentiable,
                                                        .roles = roles,
                                                        .mask = mask};
