/* Attention and AdditiveAttention (keras/src/layers/attention): one head, no projections. Their
 * scores are products of queries and keys (dot_attention.c), or sums of a function of both
 * (additive_attention.c). A call gives [query, value] or [query, value, key]. The value's mask
 * hides keys: 1e9 is taken off their scores; where the query's mask is 0 so is the output. */
#ifndef MB_MODEL_LAYERS_SCORE_ATTENTION_H
#define MB_MODEL_LAYERS_SCORE_ATTENTION_H

#include "model/layers/attention_mask.h"

typedef struct {
    bool scaled;   /* by a weight: one number, of AdditiveAttention one for each column */
    bool additive; /* AdditiveAttention */
    bool concat;   /* Attention's score_mode: its second weight is one number */
    double dropout;
    int64_t width; /* of queries and keys */
    mb_param_spec_t scale, score_weight;
} mb_score_attention_t;

typedef struct {
    bool causal;
} mb_score_call_t;

static inline mb_score_attention_t *mb_score_attention_of(const mb_call_t *call)
{
    return call->layer->config;
}

static inline bool mb_score_is_causal(const mb_call_t *call)
{
    const mb_score_call_t *config = call->call_config;
    return config != NULL && config->causal;
}

/* The sizes of a call: [queries, width], [keys, width] and [keys, values]. */
typedef struct {
    int64_t queries, keys, width, values;
    int key; /* the input that keys come from */
} mb_score_sizes_t;
mb_score_sizes_t mb_score_sizes(const mb_call_t *call);
/* What hides keys. */
mb_attention_mask_t mb_score_mask(const mb_call_t *call);
/* The rate that this run drops probabilities at. */
float mb_score_rate(const mb_run_t *run);
mb_random_key_t mb_score_random(const mb_run_t *run);

/* y = x where the query's mask is 1, else 0: of outputs and their gradients. */
mb_status_t mb_score_keep_queries(const mb_run_t *run, const void *x, void *y);

/* y = x times one number, a weight of the layer. */
mb_status_t mb_score_scale(const mb_run_t *run, int param, int64_t count, const void *x, void *y);
/* The gradient of that number: the sum of PRODUCTS, of COUNT elements. */
mb_status_t mb_score_scale_gradient(const mb_run_t *run, int param, int64_t count,
                                    const void *products);

typedef struct {
    void (*memory)(const mb_call_t *call, int64_t samples, mb_memory_t *out);
    mb_status_t (*forward)(const mb_run_t *run);
    mb_status_t (*backward_input)(const mb_run_t *run);
    mb_status_t (*backward_weights)(const mb_run_t *run);
} mb_score_way_t;

extern const mb_score_way_t mb_score_by_products, mb_score_by_sums;

#endif
