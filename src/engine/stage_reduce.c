/* See stage_reduce.h. */
#include "engine/stage_reduce.h"

#include <stdlib.h>

struct mb_stage_reduce {
    mb_stage_t *stage;
    mb_reduce_t **pieces; /* [stage->n_chunks] */
    bool ordered;         /* the transport is */
    int started;          /* where messages go by order: the one that was started last; -1: none */
};

static mb_reduce_shape_t shape_of(const mb_stage_t *stage, int index)
{
    const mb_stage_chunk_t *chunk = &stage->chunks[index];
    return (mb_reduce_shape_t){.count = stage->training ? chunk->gradient_count : 0,
                               .count64 = chunk->sum_count};
}

mb_status_t mb_stage_reduce_needs(const mb_grid_t *grid, const mb_stage_t *stage, int *requests,
                                  size_t *bytes)
{
    *requests = 0;
    *bytes = 0;
    for (int i = 0; i < stage->n_chunks; i++) {
        int more;
        size_t longest;
        mb_reduce_shape_t shape = shape_of(stage, i);
        MB_TRY(mb_reduce_needs(grid, &shape, &more, &longest));
        *requests += more;
        *bytes = longest > *bytes ? longest : *bytes;
    }
    return MB_OK;
}

mb_status_t mb_stage_reduce_create(mb_comm_t *comm, mb_transport_t *transport,
                                   const mb_grid_t *grid, mb_stage_t *stage,
                                   mb_stage_reduce_t **out)
{
    mb_status_t status = MB_OK;
    mb_stage_reduce_t *reduction = calloc(1, sizeof *reduction);
    if (reduction == NULL)
        return mb_error_memory("a reduction", sizeof *reduction);
    reduction->stage = stage;
    reduction->ordered = transport->class_->ordered;
    reduction->started = -1;
    reduction->pieces = calloc((size_t)stage->n_chunks + 1, sizeof *reduction->pieces);
    if (reduction->pieces == NULL)
        status = mb_error_memory("a reduction", sizeof *reduction->pieces);
    for (int i = 0; i < stage->n_chunks && status == MB_OK; i++) {
        mb_reduce_shape_t shape = shape_of(stage, i);
        status =
            mb_reduce_create(comm, transport, stage->exec, grid, &shape, i, &reduction->pieces[i]);
    }
    if (status != MB_OK) {
        mb_stage_reduce_destroy(reduction);
        return status;
    }
    *out = reduction;
    return MB_OK;
}

void mb_stage_reduce_destroy(mb_stage_reduce_t *reduction)
{
    if (reduction == NULL)
        return;
    for (int i = 0; reduction->pieces != NULL && i < reduction->stage->n_chunks; i++)
        mb_reduce_destroy(reduction->pieces[i]);
    free(reduction->pieces);
    free(reduction);
}

void mb_stage_reduce_use_link(mb_stage_reduce_t *reduction, mb_reduce_link_t *link)
{
    for (int i = 0; i < reduction->stage->n_chunks; i++)
        mb_reduce_use_link(reduction->pieces[i], link);
}

static mb_status_t start(mb_stage_reduce_t *reduction, int index, double *const *sums)
{
    float *roots[MB_TREE_MAX_ROOTS];
    double *roots64[MB_TREE_MAX_ROOTS];
    const mb_stage_t *stage = reduction->stage;
    const mb_stage_chunk_t *chunk = &stage->chunks[index];
    for (int i = 0; i < stage->n_blocks && i < MB_TREE_MAX_ROOTS && chunk->gradient_count > 0; i++)
        roots[i] = stage->gradients[i] + chunk->first_gradient;
    for (int i = 0; i < stage->n_sum_blocks && i < MB_TREE_MAX_ROOTS; i++)
        roots64[i] = sums[i] == NULL ? NULL : sums[i] + chunk->first_sum;
    return mb_reduce_start(reduction->pieces[index], roots, roots64);
}

/* Where messages go by order, the rest of a sum has its place in the lists, too: behind the start
 * of the next one. */
mb_status_t mb_stage_reduce_start(mb_stage_reduce_t *reduction, int index, double *const *sums)
{
    int before = reduction->started;
    MB_TRY(start(reduction, index, sums));
    if (!reduction->ordered)
        return MB_OK;
    reduction->started = index;
    return before < 0 ? MB_OK : mb_reduce_finish(reduction->pieces[before]);
}

mb_status_t mb_stage_reduce_go_on(mb_stage_reduce_t *reduction)
{
    for (int i = 0; i < reduction->stage->n_chunks; i++)
        MB_TRY(mb_reduce_go_on(reduction->pieces[i]));
    return MB_OK;
}

mb_status_t mb_stage_reduce_finish(mb_stage_reduce_t *reduction)
{
    reduction->started = -1;
    for (int i = 0; i < reduction->stage->n_chunks; i++)
        MB_TRY(mb_reduce_finish(reduction->pieces[i]));
    return MB_OK;
}

int64_t mb_stage_reduce_chunk_bytes(const mb_stage_reduce_t *reduction, int index)
{
    return mb_reduce_bytes(reduction->pieces[index]);
}

int64_t mb_stage_reduce_bytes(const mb_stage_reduce_t *reduction)
{
    int64_t bytes = 0;
    for (int i = 0; i < reduction->stage->n_chunks; i++)
        bytes += mb_stage_reduce_chunk_bytes(reduction, i);
    return bytes;
}
