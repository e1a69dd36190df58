/* Products of matrices in plain layouts. */
#include <stdio.h>
#include "device/cpu/dnnl/internal.h"

static mb_dnnl_key_t key_of(const mb_dnnl_matmul_t *s)
{
    return (mb_dnnl_key_t){{1, s->m, s->n, s->k, s->lda, s->ldb, s->ldc, s->transpose_a,
                            s->transpose_b, s->accumulate, s->bias, s->type}};
}

static const struct {
    dnnl_data_type_t a, b, c;
} types[] = {
    [MB_DNNL_F32] = {dnnl_f32, dnnl_f32, dnnl_f32},
    [MB_DNNL_BF16] = {dnnl_bf16, dnnl_bf16, dnnl_f32},
    [MB_DNNL_U8S8] = {dnnl_u8, dnnl_s8, dnnl_s32},
};

/* A stored matrix of leading dimension LD seen as [rows, columns]. */
static dnnl_status_t describe(dnnl_memory_desc_t *out, int64_t rows, int64_t columns, int64_t ld,
                              bool transposed, dnnl_data_type_t type)
{
    const dnnl_dims_t sizes = {rows, columns};
    const dnnl_dims_t strides = {transposed ? 1 : ld, transposed ? ld : 1};
    return dnnl_memory_desc_init_by_strides(out, 2, sizes, type, strides);
}

typedef struct {
    dnnl_memory_desc_t a, b, c, bias;
} operands_t;

static dnnl_status_t describe_operands(const mb_dnnl_matmul_t *s, operands_t *o)
{
    dnnl_status_t status = describe(&o->a, s->m, s->k, s->lda, s->transpose_a, types[s->type].a);
    if (status == dnnl_success)
        status = describe(&o->b, s->k, s->n, s->ldb, s->transpose_b, types[s->type].b);
    if (status == dnnl_success)
        status = describe(&o->c, s->m, s->n, s->ldc, false, types[s->type].c);
    if (status == dnnl_success)
        status = describe(&o->bias, 1, s->n, s->n, false, dnnl_f32);
    return status;
}

static dnnl_status_t create_descriptor(const mb_dnnl_t *dnnl, const mb_dnnl_matmul_t *s,
                                       const operands_t *o, dnnl_primitive_desc_t *out)
{
    dnnl_matmul_desc_t operation;
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_status_t status =
        dnnl_matmul_desc_init(&operation, &o->a, &o->b, s->bias ? &o->bias : NULL, &o->c);
    if (status == dnnl_success)
        status = mb_dnnl_attributes(s->accumulate, &attributes);
    if (status != dnnl_success)
        return status;
    int threads = mb_dnnl_enter_one_thread();
    status = dnnl_primitive_desc_create(out, &operation, attributes, dnnl->engine, NULL);
    mb_dnnl_leave_one_thread(threads);
    dnnl_primitive_attr_destroy(attributes);
    return status;
}

mb_status_t mb_dnnl_matmul(mb_dnnl_t *dnnl, const mb_dnnl_matmul_t *shape, mb_dnnl_kernel_t **out)
{
    mb_dnnl_key_t key = key_of(shape);
    *out = mb_dnnl_find(dnnl, &key);
    if (*out != NULL)
        return MB_OK;
    char what[96];
    snprintf(what, sizeof what, "a product of matrices, m %lld n %lld k %lld", (long long)shape->m,
             (long long)shape->n, (long long)shape->k);
    operands_t operands;
    dnnl_primitive_desc_t descriptor = NULL;
    dnnl_status_t status = describe_operands(shape, &operands);
    if (status == dnnl_success)
        status = create_descriptor(dnnl, shape, &operands, &descriptor);
    if (status != dnnl_success)
        return mb_dnnl_refuse(status, what);
    const int argument[] = {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST, DNNL_ARG_BIAS};
    const dnnl_memory_desc_t *memory[] = {&operands.a, &operands.b, &operands.c, &operands.bias};
    return mb_dnnl_add(dnnl, &key, descriptor, shape->bias ? 4 : 3, argument, memory, out);
}
