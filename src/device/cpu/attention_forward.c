/* Attention forward: out = softmax(scale q k^T) v, a block of queries of one head a tile. */
#include <math.h>
#include "device/cpu/attention.h"
#include "device/cpu/simd.h"
#include "device/cpu/vmath.h"

typedef struct {
    mb_attention_t shape;
    const float *q, *k, *v;
    float *out, *log_sum;
    mb_workspace_t workspace;
    size_t scores_bytes;
    mb_dnnl_t *dnnl;
} forward_t;

typedef struct {
    mb_dnnl_kernel_t *scores, *values;
} kernels_t;

static mb_status_t find_kernels(const forward_t *f, const mb_attention_block_t *b, kernels_t *out)
{
    const mb_attention_t *a = &f->shape;
    mb_dnnl_matmul_t scores = {.m = b->end - b->begin,
                               .n = b->keys,
                               .k = a->d,
                               .lda = a->heads * a->d,
                               .ldb = a->heads * a->d,
                               .ldc = a->tk,
                               .transpose_b = true};
    mb_dnnl_matmul_t values = {.m = b->end - b->begin,
                               .n = a->dv,
                               .k = b->keys,
                               .lda = a->tk,
                               .ldb = a->heads * a->dv,
                               .ldc = a->heads * a->dv};
    MB_TRY(mb_dnnl_matmul(f->dnnl, &scores, &out->scores));
    return mb_dnnl_matmul(f->dnnl, &values, &out->values);
}

static mb_status_t prepare(mb_exec_t *exec, forward_t *f)
{
    const mb_attention_t *a = &f->shape;
    f->dnnl = mb_cpu_of(exec)->dnnl;
    size_t scratch = 0;
    for (int64_t block = 0; block < mb_attention_blocks(a); block++) {
        mb_attention_block_t b = mb_attention_block(a, block);
        kernels_t kernels;
        MB_TRY(find_kernels(f, &b, &kernels));
        size_t one = mb_dnnl_scratch_bytes(kernels.scores);
        size_t two = mb_dnnl_scratch_bytes(kernels.values);
        scratch = one > scratch ? one : scratch;
        scratch = two > scratch ? two : scratch;
    }
    /* scores of a block, and a row of dropout factors */
    f->scores_bytes = mb_round_64(sizeof(float) * (MB_ATTENTION_BLOCK + 1) * (size_t)a->tk);
    return mb_cpu_workspace(exec, MB_OP_ATTENTION_FORWARD, 0, f->scores_bytes + scratch,
                            &f->workspace);
}

/* Scores of one query become probabilities; keys that it does not see get zero. Returns the
 * logarithm of the sum of the exponentials. */
MB_MULTIVERSION
static float softmax_row(float *row, int64_t seen, int64_t keys, float scale)
{
    float largest = -INFINITY;
#pragma omp simd reduction(max : largest)
    for (int64_t j = 0; j < seen; j++) {
        row[j] *= scale;
        largest = row[j] > largest ? row[j] : largest;
    }
    float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < seen; j++) {
        row[j] = mb_v_exp(row[j] - largest);
        sum += row[j];
    }
    float inverse = 1.0f / sum;
#pragma omp simd
    for (int64_t j = 0; j < seen; j++)
        row[j] *= inverse;
    for (int64_t j = seen; j < keys; j++)
        row[j] = 0.0f;
    return largest + logf(sum);
}

/* The scores that query i does not see become -infinity; false: it sees none. */
static bool hide_unseen(const mb_attention_t *a, const float *mask, int64_t i, float *row)
{
    bool sees_any = false;
    for (int64_t j = 0; j < a->tk; j++) {
        bool seen = mb_attention_sees(a, mask, i, j);
        row[j] = seen ? row[j] : a->scale < 0.0f ? INFINITY : -INFINITY;
        sees_any = sees_any || seen;
    }
    return sees_any;
}

/* Returns what stands for the logarithm of the sum. */
static float blind_row(const mb_attention_t *a, float *row)
{
    float each = a->blind == MB_BLIND_NOTHING ? 0.0f : 1.0f / (float)a->tk;
    for (int64_t j = 0; j < a->tk; j++)
        row[j] = each;
    return a->blind == MB_BLIND_NOTHING ? INFINITY : -INFINITY;
}

typedef struct {
    int64_t sample, head;
} head_t;

static float probabilities(const mb_attention_t *a, const head_t *h, int64_t i, int64_t keys,
                           float *row)
{
    if (a->masks > 0 && !hide_unseen(a, mb_attention_mask(a, h->sample, h->head, i), i, row))
        return blind_row(a, row);
    return softmax_row(row, mb_attention_seen(a, i), keys, a->scale);
}

MB_MULTIVERSION
static void drop_row(float *row, const float *factor, int64_t keys)
{
#pragma omp simd
    for (int64_t j = 0; j < keys; j++)
        row[j] *= factor[j];
}

static void forward_tile(void *context, int64_t tile, int thread)
{
    const forward_t *f = context;
    const mb_attention_t *a = &f->shape;
    int64_t blocks = mb_attention_blocks(a);
    head_t h = {tile / blocks / a->heads, tile / blocks % a->heads};
    int64_t sample = h.sample, head = h.head;
    mb_attention_block_t b = mb_attention_block(a, tile % blocks);
    kernels_t kernels;
    if (find_kernels(f, &b, &kernels) != MB_OK)
        return;
    float *scores = mb_workspace_thread(&f->workspace, thread);
    void *scratch = (char *)scores + f->scores_bytes;
    const float *q = f->q + ((sample * a->tq + b.begin) * a->heads + head) * a->d;
    const float *k = f->k + (sample * a->tk * a->heads + head) * a->d;
    const float *v = f->v + (sample * a->tk * a->heads + head) * a->dv;
    float *out = f->out + ((sample * a->tq + b.begin) * a->heads + head) * a->dv;
    mb_dnnl_run(kernels.scores, thread, (const void *[]){q, k, scores}, scratch);
    for (int64_t i = b.begin; i < b.end; i++) {
        float *row = scores + (i - b.begin) * a->tk;
        f->log_sum[(sample * a->heads + head) * a->tq + i] = probabilities(a, &h, i, b.keys, row);
        if (a->dropout_rate > 0.0f) {
            float *factor = scores + MB_ATTENTION_BLOCK * a->tk;
            mb_attention_factors(a, sample, head, i, b.keys, factor);
            drop_row(row, factor, b.keys);
        }
    }
    mb_dnnl_run(kernels.values, thread, (const void *[]){scores, v, out}, scratch);
}

mb_status_t mb_cpu_attention_forward(mb_exec_t *exec, const mb_attention_forward_args_t *args)
{
    forward_t f = {
        .shape = {MB_OP_ATTENTION_FORWARD, args->samples, args->heads, args->tq, args->tk, args->d,
                  args->dv, args->scale, args->dropout_rate, args->causal, args->random, args->mask,
                  args->masks, args->blind},
        .q = args->q,
        .k = args->k,
        .v = args->v,
        .out = args->out,
        .log_sum = args->log_sum,
    };
    MB_TRY(mb_attention_check(&f.shape));
    MB_TRY(prepare(exec, &f));
    if (exec->planning)
        return MB_OK;
    mb_cpu_tiles(exec, args->samples * args->heads * mb_attention_blocks(&f.shape), forward_tile,
                 &f);
    return mb_dnnl_take_status(f.dnnl);
}
