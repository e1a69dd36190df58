/* The exact product of 8-bit numbers: oneDNN's, or, where that would saturate, a product of floats
 * over so few rows of B that every partial sum is a whole number below 2^24, and therefore exact in
 * any order: 255 * 128 * 512 < 2^24. */
#include <string.h>
#include "device/cpu/simd.h"
#include "device/cpu/stored.h"

#define BLOCK_K 512

size_t mb_stored_packed_bytes(const mb_dnnl_packed_t *packed)
{
    size_t pack = mb_dnnl_scratch_bytes(packed->repack);
    size_t multiply = mb_dnnl_scratch_bytes(packed->kernel);
    return mb_round_64(packed->packed_bytes) + (pack > multiply ? pack : multiply);
}

void mb_stored_packed_run(const mb_dnnl_packed_t *packed, int thread, const void *const *arguments,
                          void *scratch)
{
    char *rest = (char *)scratch + mb_round_64(packed->packed_bytes);
    const void *order[] = {arguments[1], scratch};
    const void *multiply[] = {arguments[0], scratch, arguments[2], arguments[3]};
    if (packed->depth != 0)
        mb_stored_pack(packed, arguments[1], scratch);
    else
        mb_dnnl_run(packed->repack, thread, order, rest);
    mb_dnnl_run(packed->kernel, thread, multiply, rest);
}

typedef struct {
    float *a, *b, *sums;
    void *kernel;
} parts_t;

static size_t floats(int64_t count)
{
    return mb_round_64(sizeof(float) * (size_t)count);
}

static parts_t divide(const mb_integer_product_t *p, char *scratch)
{
    const mb_integer_shape_t *s = &p->shape;
    parts_t parts = {0};
    parts.a = (float *)(void *)scratch;
    parts.b = (float *)(void *)(scratch + floats(s->m * p->block_k));
    parts.sums = (float *)(void *)((char *)parts.b + floats(p->block_k * s->n));
    parts.kernel = (char *)parts.sums + floats(s->m * s->n);
    return parts;
}

static mb_status_t prepare_floats(mb_dnnl_t *dnnl, mb_integer_product_t *p)
{
    const mb_integer_shape_t *s = &p->shape;
    p->block_k = mb_min_i64(BLOCK_K, s->k);
    mb_dnnl_matmul_t floating = {.m = s->m, .n = s->n, .k = p->block_k};
    floating.lda = p->block_k;
    floating.ldb = floating.ldc = s->n;
    MB_TRY(mb_dnnl_matmul(dnnl, &floating, &p->kernel));
    floating.k = s->k - (s->k - 1) / p->block_k * p->block_k;
    MB_TRY(mb_dnnl_matmul(dnnl, &floating, &p->last));
    size_t first = mb_dnnl_scratch_bytes(p->kernel), last = mb_dnnl_scratch_bytes(p->last);
    p->scratch_bytes = floats(s->m * p->block_k) + floats(p->block_k * s->n) + floats(s->m * s->n) +
                       (first > last ? first : last);
    return MB_OK;
}

mb_status_t mb_stored_integer_prepare(mb_exec_t *exec, const mb_integer_shape_t *shape,
                                      mb_integer_product_t *out)
{
    *out = (mb_integer_product_t){.shape = *shape};
    mb_dnnl_t *dnnl = mb_cpu_of(exec)->dnnl;
    if (!mb_dnnl_has_exact_integers())
        return prepare_floats(dnnl, out);
    mb_dnnl_matmul_t whole = {.type = MB_DNNL_U8S8,
                              .m = shape->m,
                              .n = shape->n,
                              .k = shape->k,
                              .lda = shape->lda,
                              .ldb = shape->ldb,
                              .ldc = shape->ldc};
    MB_TRY(mb_dnnl_packed_matmul(dnnl, &whole, &out->packed));
    out->scratch_bytes = mb_stored_packed_bytes(&out->packed);
    return MB_OK;
}

MB_MULTIVERSION
static void widen_u8(const uint8_t *from, int64_t count, float *to)
{
#pragma omp simd
    for (int64_t i = 0; i < count; i++)
        to[i] = (float)from[i];
}

MB_MULTIVERSION
static void widen_i8(const int8_t *from, int64_t count, float *to)
{
#pragma omp simd
    for (int64_t i = 0; i < count; i++)
        to[i] = (float)from[i];
}

MB_MULTIVERSION
static void add_sums(const float *from, int64_t count, int32_t *to)
{
#pragma omp simd
    for (int64_t i = 0; i < count; i++)
        to[i] += (int32_t)from[i];
}

static void run_block(const mb_integer_product_t *p, int thread, const uint8_t *a, const int8_t *b,
                      mb_span_t k, const parts_t *parts)
{
    const mb_integer_shape_t *s = &p->shape;
    int64_t depth = k.end - k.begin;
    for (int64_t i = 0; i < s->m; i++)
        widen_u8(a + i * s->lda + k.begin, depth, parts->a + i * p->block_k);
    for (int64_t r = 0; r < depth; r++)
        widen_i8(b + (k.begin + r) * s->ldb, s->n, parts->b + r * s->n);
    const void *arguments[] = {parts->a, parts->b, parts->sums};
    mb_dnnl_run(k.end == s->k ? p->last : p->kernel, thread, arguments, parts->kernel);
}

void mb_stored_integer_run(const mb_integer_product_t *product, int thread, const uint8_t *a,
                           const int8_t *b, int32_t *c, void *scratch)
{
    const mb_integer_shape_t *s = &product->shape;
    if (product->block_k == 0) {
        const void *arguments[] = {a, b, c, NULL};
        mb_stored_packed_run(&product->packed, thread, arguments, scratch);
        return;
    }
    parts_t parts = divide(product, scratch);
    for (int64_t i = 0; i < s->m; i++)
        memset(c + i * s->ldc, 0, sizeof(int32_t) * (size_t)s->n);
    for (int64_t begin = 0; begin < s->k; begin += product->block_k) {
        mb_span_t k = {begin, mb_min_i64(begin + product->block_k, s->k)};
        run_block(product, thread, a, b, k, &parts);
        for (int64_t i = 0; i < s->m; i++)
            add_sums(parts.sums + i * s->n, s->n, c + i * s->ldc);
    }
}
