/* Reads the next batches while the current one is computed.
 *
 * The reader asks for batches in the order it will take them; a worker thread fills a ring of host
 * buffers. Where the source may only be entered by the caller's thread, the read happens in
 * mb_prefetch_take instead, into one batch's buffers, and so where DEPTH is 1: nothing is read
 * ahead then. An error is kept
 * and returned by the take of its batch. */
#ifndef MB_DATA_PREFETCH_H
#define MB_DATA_PREFETCH_H

#include "data/source.h"

typedef struct mb_prefetch mb_prefetch_t;

/* One piece of a batch: a field's samples, converted. field -1: positions 0..T-1 of `elements`. */
typedef struct {
    int field;
    bool as_int;
    int64_t elements; /* of one sample */
    int64_t
        classes; /* as_int: values must lie in [0, classes) unless equal to ignore; 0: unchecked */
    bool has_ignore;
    int64_t ignore;
    bool one_hot;     /* the field is one integer a sample, the piece `elements` floats: 1 at the
                         integer's place, else 0 */
    const char *what; /* for messages: "labels of output 'y'" */
} mb_prefetch_item_t;

/* NEXT tells the indices of batch number I into indices (capacity samples; -1: no sample, filled
 * with zeros) and returns their count, or a negative number when there are no more. Called from the
 * worker thread. */
typedef int64_t (*mb_prefetch_next_t)(void *user, int64_t i, int64_t *indices);

mb_status_t mb_prefetch_create(mb_source_t *source, const mb_prefetch_item_t *items, int n_items,
                               int64_t samples, int depth, mb_prefetch_next_t next, void *user,
                               mb_prefetch_t **out);
/* The buffers of the next batch (one per item, `samples` samples each), valid until the next call.
 * *count is what NEXT returned; negative at the end. */
mb_status_t mb_prefetch_take(mb_prefetch_t *prefetch, const void *const **buffers, int64_t *count);
/* The same piece at once, of INDICES [samples], into TO. Not collective; allocates nothing. */
mb_status_t mb_prefetch_read(mb_source_t *source, const mb_prefetch_item_t *item, int64_t *indices,
                             int64_t samples, void *to);
/* Seconds that takes have waited for batches that were not read yet. */
double mb_prefetch_waited(const mb_prefetch_t *prefetch);
/* Host memory of the batches. */
int64_t mb_prefetch_bytes(const mb_prefetch_t *prefetch);
void mb_prefetch_destroy(mb_prefetch_t *prefetch);

#endif
