/* Attention backward: how the work is cut into tiles (Dao et al.: "FlashAttention", 2022, appendix
 * B.2). A tile is one head of one sample. Where those are too few for the threads, there are two
 * passes: tiles of keys for dk and dv, then tiles of queries for dq. The gradients of scores stand
 * in memory between the two, for some heads at a time; where one head's are too many they are
 * computed twice. Each way, each element is the same sum in the same order: of dq over keys, of dk
 * and dv over the queries of a block and then over blocks. */
#include "device/cpu/attention_backward.h"

#define BLOCK (MB_ATTENTION_QUERIES * MB_ATTENTION_KEYS)
#define MOST_KEPT 1024 /* blocks of scores: 16 MiB */

/* Products that tiles of a whole head compute of a block; those of keys, with four; those of
 * queries, from kept gradients and without. */
enum { WHOLE = 5, OF_KEYS = 4, OF_QUERIES = 1, OF_QUERIES_AGAIN = 3 };

typedef struct {
    mb_attention_backward_t w;
    bool splits;
    int64_t key_rows, query_rows; /* of a tile of a split head */
    int64_t kept_heads;           /* at a time; 0: none */
    float *kept;                  /* [heads][blocks of keys][blocks of queries][BLOCK] */
    int64_t first, heads;         /* that are at work */
    mb_workspace_t workspace;
} cut_t;

typedef struct {
    int64_t sample, head;
} head_t;

static head_t head_of(const cut_t *c, int64_t tile)
{
    int64_t number = c->first + tile % c->heads, heads = c->w.shape.heads;
    return (head_t){number / heads, number % heads};
}

static void begin_tile(const cut_t *c, int thread, mb_attention_tile_t *t)
{
    mb_attention_cut_tile(&c->w.shape, mb_workspace_thread(&c->workspace, thread), t);
}

/* A block of queries against all the keys it sees. */
static void backward_queries(const cut_t *c, head_t head, mb_span_t rows, mb_attention_tile_t *t)
{
    mb_attention_load_queries(&c->w, head.sample, head.head, rows, t);
    const mb_attention_queries_t *q = &t->queries;
    for (int64_t j = 0; j * MB_ATTENTION_KEYS < q->keys; j++) {
        mb_span_t keys = mb_span(j, MB_ATTENTION_KEYS, q->keys);
        mb_attention_load_keys(&c->w, keys, t);
        mb_attention_backward_block(&c->w, keys, t);
    }
    if (t->of_queries)
        mb_attention_write_queries(&c->w, t);
}

static void head_tile(void *context, int64_t tile, int thread)
{
    const cut_t *c = context;
    const mb_attention_t *a = &c->w.shape;
    mb_attention_tile_t t = {.of_keys = true, .of_queries = true};
    begin_tile(c, thread, &t);
    for (int64_t block = 0; block < mb_attention_query_blocks(a); block++)
        backward_queries(c, head_of(c, tile), mb_span(block, MB_ATTENTION_QUERIES, a->tq), &t);
    mb_attention_clear_keys(&c->w, &t, a->tk);
}

/* The gradients of the scores of a key and a query that begins a lane. */
static float *kept_at(const cut_t *c, int64_t tile, int64_t key, int64_t query)
{
    const mb_attention_t *a = &c->w.shape;
    int64_t block = (tile % c->heads * mb_attention_key_blocks(a) + key / MB_ATTENTION_KEYS) *
                        mb_attention_query_blocks(a) +
                    query / MB_ATTENTION_QUERIES;
    return c->kept + block * BLOCK + key % MB_ATTENTION_KEYS * MB_ATTENTION_QUERIES +
           query % MB_ATTENTION_QUERIES;
}

/* The first keys first: with a causal mask most queries see them. */
static void keys_tile(void *context, int64_t tile, int thread)
{
    const cut_t *c = context;
    const mb_attention_t *a = &c->w.shape;
    head_t head = head_of(c, tile);
    mb_span_t keys = mb_span(tile / c->heads, c->key_rows, a->tk);
    mb_attention_tile_t t = {.of_keys = true,
                             .written = keys.begin,
                             .queries = {.sample = head.sample, .head = head.head}};
    begin_tile(c, thread, &t);
    mb_attention_load_keys(&c->w, keys, &t);
    for (int64_t block = 0; block < mb_attention_query_blocks(a); block++) {
        mb_span_t rows = mb_span(block, MB_ATTENTION_QUERIES, a->tq);
        mb_attention_load_queries(&c->w, head.sample, head.head, rows, &t);
        mb_span_t seen = {keys.begin, mb_min_i64(keys.end, t.queries.keys)};
        if (c->kept != NULL)
            t.grad = kept_at(c, tile, keys.begin, rows.begin);
        if (seen.begin < seen.end)
            mb_attention_backward_block(&c->w, seen, &t);
    }
    mb_attention_clear_keys(&c->w, &t, keys.end);
}

/* The last queries first, which see the most keys. */
static mb_span_t queries_of(const cut_t *c, int64_t tile)
{
    int64_t tq = c->w.shape.tq, last = mb_ceil_div(tq, c->query_rows) - 1;
    return mb_span(last - tile / c->heads, c->query_rows, tq);
}

static void kept_queries_tile(void *context, int64_t tile, int thread)
{
    const cut_t *c = context;
    head_t head = head_of(c, tile);
    mb_span_t rows = queries_of(c, tile);
    mb_attention_tile_t t = {.of_queries = true};
    begin_tile(c, thread, &t);
    mb_attention_take_queries(&c->w.shape, head.sample, head.head, rows, &t.queries);
    for (int64_t j = 0; j * MB_ATTENTION_KEYS < t.queries.keys; j++) {
        mb_span_t keys = mb_span(j, MB_ATTENTION_KEYS, t.queries.keys);
        mb_attention_load_keys(&c->w, keys, &t);
        mb_attention_sum_queries(&c->w, keys, kept_at(c, tile, keys.begin, rows.begin), &t);
    }
    mb_attention_write_queries(&c->w, &t);
}

static void queries_tile(void *context, int64_t tile, int thread)
{
    const cut_t *c = context;
    mb_attention_tile_t t = {.of_queries = true};
    begin_tile(c, thread, &t);
    backward_queries(c, head_of(c, tile), queries_of(c, tile), &t);
}

/* When the last of THREADS is through with as many tiles. */
static int64_t rounds_of(int64_t tiles, int threads, int64_t products)
{
    return mb_ceil_div(tiles, threads) * products;
}

static int64_t split_time(const cut_t *c, int threads, int64_t of_queries)
{
    const mb_attention_t *a = &c->w.shape;
    int64_t heads = c->kept_heads > 0 ? c->kept_heads : mb_attention_heads(a);
    int64_t queries = mb_attention_query_blocks(a), keys = mb_attention_key_blocks(a);
    return mb_ceil_div(mb_attention_heads(a), heads) *
           (rounds_of(heads * keys, threads, OF_KEYS * queries) +
            rounds_of(heads * queries, threads, of_queries * keys));
}

static void choose_cut(cut_t *c, int threads)
{
    const mb_attention_t *a = &c->w.shape;
    int64_t heads = mb_attention_heads(a);
    int64_t blocks = mb_attention_query_blocks(a) * mb_attention_key_blocks(a);
    c->kept_heads = mb_min_i64(heads, MOST_KEPT / blocks);
    c->splits = split_time(c, threads, c->kept_heads > 0 ? OF_QUERIES : OF_QUERIES_AGAIN) <
                rounds_of(heads, threads, WHOLE * blocks);
    c->key_rows = mb_attention_tile_rows(a, a->tk, threads);
    c->query_rows = mb_attention_tile_rows(a, a->tq, threads);
    c->kept_heads = c->splits ? c->kept_heads : 0;
}

static mb_status_t prepare(mb_exec_t *exec, cut_t *c)
{
    const mb_attention_t *a = &c->w.shape;
    mb_attention_tile_t t;
    c->w.steps = mb_attention_steps();
    choose_cut(c, mb_cpu_of(exec)->threads);
    int64_t kept = c->kept_heads * mb_attention_query_blocks(a) * mb_attention_key_blocks(a);
    MB_TRY(mb_cpu_workspace(exec, MB_OP_ATTENTION_BACKWARD, sizeof(float) * (size_t)(kept * BLOCK),
                            sizeof(float) * mb_attention_cut_tile(a, NULL, &t), &c->workspace));
    c->kept = kept > 0 ? (float *)(void *)c->workspace.shared : NULL;
    return MB_OK;
}

static void run_split(mb_exec_t *exec, cut_t *c)
{
    const mb_attention_t *a = &c->w.shape;
    mb_cpu_tiles(exec, c->heads * mb_ceil_div(a->tk, c->key_rows), keys_tile, c);
    mb_cpu_tiles(exec, c->heads * mb_ceil_div(a->tq, c->query_rows),
                 c->kept != NULL ? kept_queries_tile : queries_tile, c);
}

static void run(mb_exec_t *exec, cut_t *c)
{
    int64_t heads = mb_attention_heads(&c->w.shape);
    int64_t round = c->kept_heads > 0 ? c->kept_heads : heads;
    for (c->first = 0; c->first < heads; c->first += round) {
        c->heads = mb_min_i64(round, heads - c->first);
        if (c->splits)
            run_split(exec, c);
        else
            mb_cpu_tiles(exec, heads, head_tile, c);
    }
}

mb_status_t mb_cpu_attention_backward(mb_exec_t *exec, const mb_attention_backward_args_t *args)
{
    cut_t c = {
        .w = {
            .shape = {MB_OP_ATTENTION_BACKWARD, args->samples, args->heads, args->tq, args->tk,
                      args->d, args->dv, args->scale, args->dropout_rate, args->causal,
                      args->random, args->mask, args->masks, args->blind, mb_cpu_keep_run()},
            .q = args->q,
            .k = args->k,
            .v = args->v,
            .out = args->out,
            .log_sum = args->log_sum,
            .dout = args->dout,
            .dq = args->dq,
            .dk = args->dk,
            .dv = args->dv_,
        }};
    MB_TRY(mb_attention_check(&c.w.shape));
    if (args->samples == 0)
        return MB_OK;
    MB_TRY(prepare(exec, &c));
    if (!exec->planning)
        run(exec, &c);
    return MB_OK;
}
