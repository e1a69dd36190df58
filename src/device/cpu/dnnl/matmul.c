/* Products of matrices in plain layouts, and those that first pack B. */
#include <stdio.h>
#include "device/cpu/dnnl/internal.h"

/* Kinds of keys; 2 and 3 are the convolution's. */
enum { PLAIN = 1, PACKED = 4, REPACK = 5 };

static mb_dnnl_key_t key_of(int64_t kind, const mb_dnnl_matmul_t *s)
{
    return (mb_dnnl_key_t){{kind, s->m, s->n, s->k, s->lda, s->ldb, s->ldc, s->transpose_a,
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

static mb_status_t refuse(dnnl_status_t status, const mb_dnnl_matmul_t *s)
{
    char what[96];
    snprintf(what, sizeof what, "a product of matrices, m %lld n %lld k %lld", (long long)s->m,
             (long long)s->n, (long long)s->k);
    return mb_dnnl_refuse(status, what);
}

static mb_status_t add(mb_dnnl_t *dnnl, const mb_dnnl_key_t *key, const mb_dnnl_matmul_t *s,
                       const operands_t *o, dnnl_primitive_desc_t descriptor,
                       mb_dnnl_kernel_t **out)
{
    const int argument[] = {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST, DNNL_ARG_BIAS};
    const dnnl_memory_desc_t *memory[] = {&o->a, &o->b, &o->c, &o->bias};
    return mb_dnnl_add(dnnl, key, descriptor, s->bias ? 4 : 3, argument, memory, out);
}

mb_status_t mb_dnnl_matmul(mb_dnnl_t *dnnl, const mb_dnnl_matmul_t *shape, mb_dnnl_kernel_t **out)
{
    mb_dnnl_key_t key = key_of(PLAIN, shape);
    *out = mb_dnnl_find(dnnl, &key);
    if (*out != NULL)
        return MB_OK;
    operands_t operands;
    dnnl_primitive_desc_t descriptor = NULL;
    dnnl_status_t status = describe_operands(shape, &operands);
    if (status == dnnl_success)
        status = create_descriptor(dnnl, shape, &operands, &descriptor);
    if (status != dnnl_success)
        return refuse(status, shape);
    return add(dnnl, &key, shape, &operands, descriptor, out);
}

/* Rows of a word in the order that mb_dnnl_packed_t describes, or 0. */
static int64_t depth_of(const dnnl_memory_desc_t *b, const mb_dnnl_matmul_t *s)
{
    const dnnl_blocking_desc_t *order = &b->format_desc.blocking;
    int64_t depth = s->type == MB_DNNL_U8S8 ? 4 : 2;
    bool known = b->format_kind == dnnl_blocked && b->extra.flags == 0 && b->offset0 == 0 &&
                 s->type != MB_DNNL_F32 && order->inner_nblks == 3 && order->inner_idxs[0] == 0 &&
                 order->inner_idxs[1] == 1 && order->inner_idxs[2] == 0 &&
                 order->inner_blks[1] == MB_DNNL_PACKED_COLUMNS && order->inner_blks[2] == depth &&
                 order->strides[0] == order->inner_blks[0] * MB_DNNL_PACKED_COLUMNS * depth &&
                 order->strides[1] == b->padded_dims[0] * MB_DNNL_PACKED_COLUMNS;
    return known ? depth : 0;
}

static mb_status_t add_packed(mb_dnnl_t *dnnl, const mb_dnnl_key_t *key,
                              const mb_dnnl_matmul_t *shape, mb_dnnl_kernel_t **out)
{
    operands_t operands;
    dnnl_primitive_desc_t descriptor = NULL;
    dnnl_status_t status = describe_operands(shape, &operands);
    dnnl_memory_desc_t plain = operands.b;
    const dnnl_dims_t sizes = {shape->k, shape->n};
    if (status == dnnl_success)
        status = dnnl_memory_desc_init_by_tag(&operands.b, 2, sizes, types[shape->type].b,
                                              dnnl_format_tag_any);
    if (status == dnnl_success)
        status = create_descriptor(dnnl, shape, &operands, &descriptor);
    if (status != dnnl_success)
        return refuse(status, shape);
    operands.b = *dnnl_primitive_desc_query_md(descriptor, dnnl_query_weights_md, 0);
    MB_TRY(add(dnnl, key, shape, &operands, descriptor, out));
    mb_dnnl_key_t repack = key_of(REPACK, shape);
    (*out)->packed = (mb_dnnl_packed_t){
        .kernel = *out,
        .packed_bytes = dnnl_memory_desc_get_size(&operands.b),
        .depth = depth_of(&operands.b, shape),
        .k = shape->k,
        .n = shape->n,
        .padded_k = operands.b.padded_dims[0],
        .ldb = shape->ldb,
    };
    return mb_dnnl_add_repack(dnnl, &repack, &plain, &operands.b, &(*out)->packed.repack);
}

mb_status_t mb_dnnl_packed_matmul(mb_dnnl_t *dnnl, const mb_dnnl_matmul_t *shape,
                                  mb_dnnl_packed_t *out)
{
    mb_dnnl_key_t key = key_of(PACKED, shape);
    mb_dnnl_kernel_t *kernel = mb_dnnl_find(dnnl, &key);
    if (kernel == NULL)
        MB_TRY(add_packed(dnnl, &key, shape, &kernel));
    *out = kernel->packed;
    return MB_OK;
}
