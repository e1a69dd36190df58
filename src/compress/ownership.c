/* Which rank encodes and writes which tensor. With data, the stage that has it; without, they are
 * dealt by size, the largest first to the rank that has least, so that no rank needs more memory
 * than its share. */
#include <stdlib.h>

#include "compress/quantization.h"
#include "store/ranks.h"

static int by_size(const void *a, const void *b)
{
    const mb_target_t *x = *(const mb_target_t *const *)a, *y = *(const mb_target_t *const *)b;
    if (x->param->elements != y->param->elements)
        return x->param->elements > y->param->elements ? -1 : 1;
    return x->param->index - y->param->index;
}

static int least_loaded(const int64_t *load, int ranks)
{
    int least = 0;
    for (int r = 1; r < ranks; r++)
        least = load[r] < load[least] ? r : least;
    return least;
}

static mb_status_t deal_by_size(mb_quantization_t *q)
{
    int ranks = mb_ranks_size(q->comm);
    mb_target_t **sorted = calloc((size_t)q->n_targets + 1, sizeof(mb_target_t *));
    int64_t *load = calloc((size_t)ranks, sizeof *load);
    mb_status_t status =
        sorted == NULL || load == NULL ? mb_error_memory("a list of tensors", 0) : MB_OK;
    for (int i = 0; i < q->n_targets && status == MB_OK; i++)
        sorted[i] = &q->targets[i];
    if (status == MB_OK)
        qsort(sorted, (size_t)q->n_targets, sizeof(mb_target_t *), by_size);
    for (int i = 0; i < q->n_targets && status == MB_OK; i++) {
        sorted[i]->owner = least_loaded(load, ranks);
        sorted[i]->here = sorted[i]->owner == mb_ranks_rank(q->comm);
        load[sorted[i]->owner] += sorted[i]->param->elements;
    }
    free(sorted);
    free(load);
    return mb_ranks_agree(q->comm, status);
}

/* What each rank has and owns, as bits, from everyone. */
enum { HAS = 1, OWNS = 2 };

static mb_status_t gather_bits(const mb_quantization_t *q, unsigned char **all)
{
    const mb_stage_t *stage = q->passes->engine->stage;
    size_t n = (size_t)q->n_targets, ranks = (size_t)mb_comm_size(q->comm);
    unsigned char *own = calloc(n + 1, 1);
    *all = calloc(n * ranks + 1, 1);
    mb_status_t status =
        own == NULL || *all == NULL ? mb_error_memory("a list of tensors", n) : MB_OK;
    for (size_t i = 0; i < n && status == MB_OK && stage != NULL; i++)
        own[i] =
            (unsigned char)((stage->values[i] != NULL ? HAS : 0) | (stage->owned[i] ? OWNS : 0));
    status = mb_comm_agree(q->comm, status);
    if (status == MB_OK && n > 0)
        status = mb_comm_allgather(q->comm, own, n, *all);
    free(own);
    return status;
}

static mb_status_t deal_by_stage(mb_quantization_t *q)
{
    unsigned char *all;
    int ranks = mb_comm_size(q->comm), rank = mb_comm_rank(q->comm);
    mb_status_t status = gather_bits(q, &all);
    for (int i = 0; i < q->n_targets && status == MB_OK; i++) {
        mb_target_t *target = &q->targets[i];
        int holders = 0;
        for (int r = ranks - 1; r >= 0; r--) {
            unsigned char bits = all[r * q->n_targets + i];
            holders += (bits & HAS) != 0;
            target->owner = (bits & OWNS) != 0 ? r : target->owner;
        }
        target->here = (all[rank * q->n_targets + i] & HAS) != 0 || target->owner == rank;
        target->shared = holders > 1;
    }
    free(all);
    return status;
}

mb_status_t mb_targets_deal(mb_quantization_t *q)
{
    return q->passes == NULL ? deal_by_size(q) : deal_by_stage(q);
}
