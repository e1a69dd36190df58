/* Which keys the queries of an attention see: what masks of query, value and key say, and the
 * call's attention_mask, made one mask for the device (ops.h): [samples, heads or 1, queries,
 * keys]. */
#ifndef MB_MODEL_LAYERS_ATTENTION_MASK_H
#define MB_MODEL_LAYERS_ATTENTION_MASK_H

#include "model/layers/view.h"

typedef struct {
    int64_t heads, queries, keys;
    int of_queries; /* inputs that are masks of the call; 0: none */
    int of_keys[2];
    int given; /* attention_mask: [queries, keys] or [heads, queries, keys], either may be 1 */
} mb_attention_mask_t;

mb_status_t mb_attention_mask_check(const mb_call_t *call, const mb_attention_mask_t *mask);
/* How many masks a sample has: 0: nothing hides keys. */
int64_t mb_attention_mask_count(const mb_call_t *call, const mb_attention_mask_t *mask);
mb_status_t mb_attention_mask_fill(const mb_run_t *run, const mb_attention_mask_t *mask, void *to);

#endif
