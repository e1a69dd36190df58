/* What the two files of MultiHeadAttention and GroupedQueryAttention share: the config, and which
 * input, parameter and size belongs to each of the four projections. */
#ifndef MB_MODEL_LAYERS_ATTENTION_H
#define MB_MODEL_LAYERS_ATTENTION_H

#include "model/layers/attention_mask.h"

enum { MB_QUERY, MB_KEY, MB_VALUE, MB_CONTEXT, MB_N_PROJECTIONS };

typedef struct {
    int64_t heads, shared; /* shared: heads of keys and values, each for so many of the queries' */
    int64_t key_dim, value_dim;
    int64_t out; /* 0: the query's width */
    double dropout;
    bool use_bias;
    bool forgets;               /* see mb_mask_rule_t */
    int n_axes;                 /* attended; 0: all of the positions */
    int64_t axes[MB_MAX_RANK];  /* as Keras counts them */
    bool has_images;            /* inputs have more axes of positions than one */
    int64_t widths[MB_CONTEXT]; /* of the inputs its parameters were declared for */
    mb_param_spec_t kernel, bias;
} mb_attention_t;

typedef struct {
    bool causal;
} mb_attention_call_t;

/* Which input feeds a projection: Keras' order is query, value, key. */
int mb_attention_input(const mb_call_t *call, int projection);

/* The heads that a projection of queries, keys or values has. */
static inline int64_t mb_attention_heads(const mb_attention_t *attention, int projection)
{
    return projection == MB_KEY || projection == MB_VALUE ? attention->shared : attention->heads;
}

mb_attention_mask_t mb_attention_mask_of(const mb_call_t *call);

void mb_attention_memory(const mb_call_t *call, int64_t samples, mb_memory_t *out);
mb_status_t mb_attention_forward(const mb_run_t *run);
mb_status_t mb_attention_backward_input(const mb_run_t *run);
mb_status_t mb_attention_backward_weights(const mb_run_t *run);
void mb_attention_cost(const mb_call_t *call, mb_cost_t *out);

#endif
