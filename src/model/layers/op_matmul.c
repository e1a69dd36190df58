/* Matmul: y[..., m, n] = a[..., m, k] b[..., k, n], one product for each sample and whatever axes
 * stand between; those must be the same in both. */
#include "model/layers/operators.h"

static mb_status_t parse(mb_config_t *config, mb_arena_t *arena, void **out)
{
    (void)config, (void)arena;
    *out = NULL;
    return MB_OK;
}

static mb_status_t refuse(const mb_call_t *call)
{
    char a[MB_SHAPE_TEXT], b[MB_SHAPE_TEXT];
    return mb_call_error(call, MB_ERR_SHAPE, "samples of %s and %s do not multiply",
                         mb_shape_text(&call->inputs[0], a, sizeof(a)),
                         mb_shape_text(&call->inputs[1], b, sizeof(b)));
}

static mb_status_t infer(mb_call_t *call)
{
    const mb_shape_t *a = &call->inputs[0], *b = &call->inputs[1];
    int rank = a->rank;
    MB_TRY(mb_call_expect(call, 2));
    if (rank < 2 || b->rank != rank || a->dim[rank - 1] != b->dim[rank - 2])
        return refuse(call);
    for (int d = 0; d < rank - 2; d++) {
        if (a->dim[d] != b->dim[d])
            return refuse(call);
    }
    mb_call_keep_shape(call);
    call->output.dim[rank - 1] = b->dim[rank - 1];
    return MB_OK;
}

typedef struct {
    int64_t products, m, n, k;
} sizes_t;

static sizes_t sizes_of(const mb_run_t *run)
{
    const mb_shape_t *a = &run->call->inputs[0], *b = &run->call->inputs[1];
    sizes_t s = {.m = a->dim[a->rank - 2], .k = a->dim[a->rank - 1], .n = b->dim[b->rank - 1]};
    s.products = run->samples * mb_shape_elements(a) / (s.m * s.k);
    return s;
}

/* One factor of each product: element i of an array of them, transposed or not. */
typedef struct {
    const void *base;
    int64_t elements, ld;
    bool transposed;
} factor_t;

static mb_status_t multiply(const mb_run_t *run, int64_t products, int64_t m, int64_t n, int64_t k,
                            factor_t a, factor_t b, void *c)
{
    mb_dtype_t type = mb_run_type(run);
    for (int64_t i = 0; i < products; i++) {
        mb_gemm_args_t args = {.type = type,
                               .m = m,
                               .n = n,
                               .k = k,
                               .transpose_a = a.transposed,
                               .transpose_b = b.transposed,
                               .lda = a.ld,
                               .ldb = b.ld,
                               .ldc = n,
                               .a = mb_elements_at(a.base, type, i * a.elements),
                               .b = mb_elements_at(b.base, type, i * b.elements),
                               .c = mb_bytes_at(c, (size_t)(i * m * n) * mb_dtype_bytes(type))};
        MB_TRY(mb_run_gemm(run->exec, &args));
    }
    return MB_OK;
}

static mb_status_t forward(const mb_run_t *run)
{
    sizes_t s = sizes_of(run);
    factor_t a = {mb_run_input(run, 0), s.m * s.k, s.k, false};
    factor_t b = {mb_run_input(run, 1), s.k * s.n, s.n, false};
    return multiply(run, s.products, s.m, s.n, s.k, a, b, run->output);
}

static mb_status_t backward_input(const mb_run_t *run)
{
    sizes_t s = sizes_of(run);
    factor_t a = {mb_run_input(run, 0), s.m * s.k, s.k, true};
    factor_t b = {mb_run_input(run, 1), s.k * s.n, s.n, true};
    factor_t dy = {run->grad_output, s.m * s.n, s.n, false};
    if (mb_run_wants_input(run, 0))
        MB_TRY(multiply(run, s.products, s.m, s.k, s.n, dy, b, mb_run_grad_input(run, 0)));
    if (mb_run_wants_input(run, 1))
        MB_TRY(multiply(run, s.products, s.k, s.n, s.m, a, dy, mb_run_grad_input(run, 1)));
    return MB_OK;
}

static void memory(const mb_call_t *call, int64_t samples, mb_memory_t *out)
{
    (void)call, (void)samples;
    *out = (mb_memory_t){.keeps_input = {true, true}};
}

static void cost(const mb_call_t *call, mb_cost_t *out)
{
    const mb_shape_t *a = &call->inputs[0];
    double flops = 2.0 * (double)mb_shape_elements(&call->output) * (double)a->dim[a->rank - 1];
    *out = (mb_cost_t){flops, 2.0 * flops, 0.0};
}

static const mb_layer_class_t matmul = {.size = sizeof(mb_layer_class_t),
                                        .name = "Matmul",
                                        .parse = parse,
                                        .parse_call = mb_arguments_are_inputs,
                                        .infer = infer,
                                        .memory = memory,
                                        .forward = forward,
                                        .backward_input = backward_input,
                                        .cost = cost};

const mb_layer_class_t *mb_operators_matmul(size_t index)
{
    return index == 0 ? &matmul : NULL;
}
