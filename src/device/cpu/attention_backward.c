/* Attention backward: the probabilities are computed again from the saved log_sum, a block of
 * queries at a time, and a tile is one head of one sample, so that the sums over queries into dk
 * and dv have one order (Dao et al.: "FlashAttention", 2022, appendix B.2).
 *
 * Blocks go from the last to the first: with a causal mask the last block sees the most keys, so it
 * writes dk and dv and the others add to leading rows. */
#include <math.h>
#include <string.h>
#include "device/cpu/attention.h"
#include "device/cpu/simd.h"
#include "device/cpu/vmath.h"

typedef struct {
    mb_attention_t shape;
    const float *q, *k, *v, *out, *log_sum, *dout;
    float *dq, *dk, *dv;
    mb_workspace_t workspace;
    size_t scores_bytes;
    mb_dnnl_t *dnnl;
} backward_t;

/* scores = q k^T; dprob = dout v^T; dq = dscores k; dk += dscores^T q; dv += prob^T dout */
typedef struct {
    mb_dnnl_kernel_t *scores, *dprob, *dq, *dk, *dv;
} kernels_t;

static mb_status_t find_kernels(const backward_t *w, int64_t block, kernels_t *out)
{
    const mb_attention_t *a = &w->shape;
    mb_attention_block_t b = mb_attention_block(a, block);
    int64_t rows = b.end - b.begin, ld = a->heads * a->d, ldv = a->heads * a->dv, tk = a->tk;
    bool add = block != mb_attention_blocks(a) - 1;
    mb_dnnl_matmul_t scores = {.m = rows, .n = b.keys, .k = a->d, .lda = ld, .ldb = ld, .ldc = tk};
    mb_dnnl_matmul_t dprob = {
        .m = rows, .n = b.keys, .k = a->dv, .lda = ldv, .ldb = ldv, .ldc = tk};
    mb_dnnl_matmul_t dq = {.m = rows, .n = a->d, .k = b.keys, .lda = tk, .ldb = ld, .ldc = ld};
    mb_dnnl_matmul_t dk = {.m = b.keys, .n = a->d, .k = rows, .lda = tk, .ldb = ld, .ldc = ld};
    mb_dnnl_matmul_t dv = {.m = b.keys, .n = a->dv, .k = rows, .lda = tk, .ldb = ldv, .ldc = ldv};
    scores.transpose_b = dprob.transpose_b = true;
    dk.transpose_a = dv.transpose_a = true;
    dk.accumulate = dv.accumulate = add;
    MB_TRY(mb_dnnl_matmul(w->dnnl, &scores, &out->scores));
    MB_TRY(mb_dnnl_matmul(w->dnnl, &dprob, &out->dprob));
    MB_TRY(mb_dnnl_matmul(w->dnnl, &dq, &out->dq));
    MB_TRY(mb_dnnl_matmul(w->dnnl, &dk, &out->dk));
    return mb_dnnl_matmul(w->dnnl, &dv, &out->dv);
}

static mb_status_t prepare(mb_exec_t *exec, backward_t *w)
{
    const mb_attention_t *a = &w->shape;
    w->dnnl = mb_cpu_of(exec)->dnnl;
    size_t scratch = 0;
    for (int64_t block = 0; block < mb_attention_blocks(a); block++) {
        kernels_t n;
        MB_TRY(find_kernels(w, block, &n));
        const mb_dnnl_kernel_t *all[] = {n.scores, n.dprob, n.dq, n.dk, n.dv};
        for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
            size_t bytes = mb_dnnl_scratch_bytes(all[i]);
            scratch = bytes > scratch ? bytes : scratch;
        }
    }
    /* probabilities and their gradients of a block, and a row of dropout factors */
    w->scores_bytes = mb_round_64(sizeof(float) * (2 * MB_ATTENTION_BLOCK + 1) * (size_t)a->tk);
    return mb_cpu_workspace(exec, MB_OP_ATTENTION_BACKWARD, 0, w->scores_bytes + scratch,
                            &w->workspace);
}

MB_MULTIVERSION
static float dot(const float *a, const float *b, int64_t count)
{
    float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < count; i++)
        sum += a[i] * b[i];
    return sum;
}

/* prob: scores, becomes the (dropped) probabilities; grad: d(dropped probabilities), becomes
 * d(scores) times scale. MEAN is the sum of out dout. factor: NULL without dropout. */
MB_MULTIVERSION
static void gradient_row(const mb_attention_t *a, float *restrict prob, float *restrict grad,
                         const float *restrict factor, int64_t seen, int64_t keys, float log_sum,
                         float mean)
{
    float scale = a->scale;
    if (factor == NULL) {
#pragma omp simd
        for (int64_t j = 0; j < seen; j++) {
            float p = mb_v_exp(prob[j] * scale - log_sum);
            prob[j] = p;
            grad[j] = p * (grad[j] - mean) * scale;
        }
    } else {
#pragma omp simd
        for (int64_t j = 0; j < seen; j++) {
            float p = mb_v_exp(prob[j] * scale - log_sum);
            prob[j] = p * factor[j];
            grad[j] = p * (grad[j] * factor[j] - mean) * scale;
        }
    }
    for (int64_t j = seen; j < keys; j++) {
        prob[j] = 0.0f;
        grad[j] = 0.0f;
    }
}

/* The same of a query that sees no key: its probabilities are all alike. */
static void blind_gradient_row(const mb_attention_t *a, float *prob, float *grad,
                               const float *factor, float mean)
{
    float p = a->blind == MB_BLIND_NOTHING ? 0.0f : 1.0f / (float)a->tk;
    float through = a->blind == MB_BLIND_LEVEL ? p * a->scale : 0.0f;
    for (int64_t j = 0; j < a->tk; j++) {
        float keep = factor == NULL ? 1.0f : factor[j];
        prob[j] = p * keep;
        grad[j] = through * (grad[j] * keep - mean);
    }
}

/* Scores that query i does not see become what gives probability 0. */
static void hide_unseen(const mb_attention_t *a, const float *mask, int64_t i, float *row)
{
    for (int64_t j = 0; j < a->tk; j++)
        row[j] = mb_attention_sees(a, mask, i, j) ? row[j] : a->scale < 0.0f ? INFINITY : -INFINITY;
}

typedef struct {
    int64_t sample, head;
    int thread;
    float *prob, *grad, *factor;
    void *scratch;
    int64_t q, k, v, o; /* offsets of the head's first row */
} head_t;

static void gradient_rows(const backward_t *w, const head_t *h, const mb_attention_block_t *b)
{
    const mb_attention_t *a = &w->shape;
    int64_t ldv = a->heads * a->dv;
    for (int64_t i = b->begin; i < b->end; i++) {
        int64_t row = (i - b->begin) * a->tk;
        const float *factor = NULL;
        if (a->dropout_rate > 0.0f) {
            mb_attention_factors(a, h->sample, h->head, i, b->keys, h->factor);
            factor = h->factor;
        }
        float mean = dot(w->out + h->o + i * ldv, w->dout + h->o + i * ldv, a->dv);
        float log_sum = w->log_sum[(h->sample * a->heads + h->head) * a->tq + i];
        if (a->masks > 0 && isinf(log_sum)) {
            blind_gradient_row(a, h->prob + row, h->grad + row, factor, mean);
            continue;
        }
        if (a->masks > 0)
            hide_unseen(a, mb_attention_mask(a, h->sample, h->head, i), i, h->prob + row);
        gradient_row(a, h->prob + row, h->grad + row, factor, mb_attention_seen(a, i), b->keys,
                     log_sum, mean);
    }
}

static void backward_block(const backward_t *w, const head_t *h, int64_t block)
{
    const mb_attention_t *a = &w->shape;
    mb_attention_block_t b = mb_attention_block(a, block);
    kernels_t n;
    if (find_kernels(w, block, &n) != MB_OK)
        return;
    const float *q = w->q + h->q + b.begin * a->heads * a->d;
    const float *k = w->k + h->k, *v = w->v + h->v;
    const float *dout = w->dout + h->o + b.begin * a->heads * a->dv;
    float *dq = w->dq + h->q + b.begin * a->heads * a->d;
    mb_dnnl_run(n.scores, h->thread, (const void *[]){q, k, h->prob}, h->scratch);
    mb_dnnl_run(n.dprob, h->thread, (const void *[]){dout, v, h->grad}, h->scratch);
    gradient_rows(w, h, &b);
    mb_dnnl_run(n.dq, h->thread, (const void *[]){h->grad, k, dq}, h->scratch);
    mb_dnnl_run(n.dk, h->thread, (const void *[]){h->grad, q, w->dk + h->k}, h->scratch);
    mb_dnnl_run(n.dv, h->thread, (const void *[]){h->prob, dout, w->dv + h->v}, h->scratch);
}

/* Keys past the last query have no gradient under a causal mask. */
static void zero_unseen(const backward_t *w, const head_t *h)
{
    const mb_attention_t *a = &w->shape;
    for (int64_t j = mb_attention_seen(a, a->tq - 1); j < a->tk; j++) {
        memset(w->dk + h->k + j * a->heads * a->d, 0, sizeof(float) * (size_t)a->d);
        memset(w->dv + h->v + j * a->heads * a->dv, 0, sizeof(float) * (size_t)a->dv);
    }
}

static void backward_tile(void *context, int64_t tile, int thread)
{
    const backward_t *w = context;
    const mb_attention_t *a = &w->shape;
    float *memory = mb_workspace_thread(&w->workspace, thread);
    int64_t scores = MB_ATTENTION_BLOCK * a->tk;
    int64_t sample = tile / a->heads, head = tile % a->heads;
    head_t h = {
        .sample = sample,
        .head = head,
        .thread = thread,
        .prob = memory,
        .grad = memory + scores,
        .factor = memory + 2 * scores,
        .scratch = (char *)memory + w->scores_bytes,
        .q = (sample * a->tq * a->heads + head) * a->d,
        .k = (sample * a->tk * a->heads + head) * a->d,
        .v = (sample * a->tk * a->heads + head) * a->dv,
        .o = (sample * a->tq * a->heads + head) * a->dv,
    };
    for (int64_t block = mb_attention_blocks(a) - 1; block >= 0; block--)
        backward_block(w, &h, block);
    zero_unseen(w, &h);
}

mb_status_t mb_cpu_attention_backward(mb_exec_t *exec, const mb_attention_backward_args_t *args)
{
    backward_t w = {
        .shape = {MB_OP_ATTENTION_BACKWARD, args->samples, args->heads, args->tq, args->tk, args->d,
                  args->dv, args->scale, args->dropout_rate, args->causal, args->random, args->mask,
                  args->masks, args->blind},
        .q = args->q,
        .k = args->k,
        .v = args->v,
        .out = args->out,
        .log_sum = args->log_sum,
        .dout = args->dout,
        .dq = args->dq,
        .dk = args->dk,
        .dv = args->dv_,
    };
    MB_TRY(mb_attention_check(&w.shape));
    MB_TRY(prepare(exec, &w));
    if (exec->planning)
        return MB_OK;
    mb_cpu_tiles(exec, args->samples * args->heads, backward_tile, &w);
    return mb_dnnl_take_status(w.dnnl);
}
