/* See stage_reduce.h. */
#include "engine/stage_reduce.h"

#include <stdlib.h>

#include "comm/tags.h"
#include "engine/stage_parts.h"

enum { MOST_CHUNKS = (MB_TAG_REDUCE_END - MB_TAG_REDUCE) / MB_REDUCE_TAGS };

struct mb_stage_reduce {
    mb_stage_t *stage;
    mb_reduce_t **pieces; /* [stage->n_chunks] */
    bool ordered;         /* the transport is */
    int started;          /* where messages go by order: the one that was started last; -1: none */
    int64_t *first, *end; /* [stage->n_chunks] this group's part, in a gradient block */
    mb_reduce_t *numbers; /* of all parameters; NULL: groups have no parts of their own */
};

/* BOUNDS: [groups + 1] room for those of parts of whole tensors; NULL: equal parts. */
static mb_reduce_shape_t shape_of(const mb_stage_t *stage, int index, const mb_grid_t *grid,
                                  int64_t *bounds)
{
    const mb_stage_chunk_t *chunk = &stage->chunks[index];
    if (bounds != NULL)
        mb_stage_parts(stage, index, grid->groups, bounds);
    return (mb_reduce_shape_t){.count = stage->training ? chunk->gradient_count : 0,
                               .count64 = chunk->sum_count,
                               .bounds = bounds};
}

/* Every group has one root. */
static mb_grid_t grid_of_numbers(const mb_grid_t *grid)
{
    mb_grid_t numbers = *grid;
    numbers.replicas = grid->groups;
    return numbers;
}

static mb_reduce_shape_t shape_of_numbers(const mb_stage_t *stage)
{
    return (mb_reduce_shape_t){.count64 = stage->graph->n_params};
}

static mb_status_t take_bounds(const mb_grid_t *grid, bool shares_out, int64_t **out)
{
    size_t n = (size_t)grid->groups + 1;
    *out = shares_out ? calloc(n, sizeof **out) : NULL;
    return shares_out && *out == NULL ? mb_error_memory("the parts of a stage", n * sizeof **out)
                                      : MB_OK;
}

static mb_status_t add_needs(const mb_grid_t *grid, const mb_reduce_shape_t *shape, int *requests,
                             size_t *bytes)
{
    int more;
    size_t longest;
    MB_TRY(mb_reduce_needs(grid, shape, &more, &longest));
    *requests += more;
    *bytes = longest > *bytes ? longest : *bytes;
    return MB_OK;
}

mb_status_t mb_stage_reduce_needs(const mb_grid_t *grid, const mb_stage_t *stage, bool shares_out,
                                  int *requests, size_t *bytes)
{
    int64_t *bounds;
    mb_grid_t of_numbers = grid_of_numbers(grid);
    mb_reduce_shape_t numbers = shape_of_numbers(stage);
    mb_status_t status = MB_OK;
    *requests = 0;
    *bytes = 0;
    MB_TRY(take_bounds(grid, shares_out, &bounds));
    for (int i = 0; i < stage->n_chunks && status == MB_OK; i++) {
        mb_reduce_shape_t shape = shape_of(stage, i, grid, bounds);
        status = add_needs(grid, &shape, requests, bytes);
    }
    if (status == MB_OK && shares_out)
        status = add_needs(&of_numbers, &numbers, requests, bytes);
    free(bounds);
    return status;
}

static mb_status_t make_pieces(mb_stage_reduce_t *reduction, mb_comm_t *comm,
                               mb_transport_t *transport, const mb_grid_t *grid, int64_t *bounds)
{
    mb_stage_t *stage = reduction->stage;
    int part = mb_reduce_part(grid, grid->group);
    for (int i = 0; i < stage->n_chunks; i++) {
        mb_reduce_shape_t shape = shape_of(stage, i, grid, bounds);
        MB_TRY(mb_reduce_create(comm, transport, stage->exec, grid, &shape,
                                MB_TAG_REDUCE + i * MB_REDUCE_TAGS, &reduction->pieces[i]));
        if (bounds == NULL)
            continue;
        reduction->first[i] = stage->chunks[i].first_gradient + bounds[part];
        reduction->end[i] = stage->chunks[i].first_gradient + bounds[part + 1];
        if (mb_stage_sums_alone(stage))
            mb_reduce_keep_parts(reduction->pieces[i]);
    }
    return MB_OK;
}

static mb_status_t fill(mb_stage_reduce_t *reduction, mb_comm_t *comm, mb_transport_t *transport,
                        const mb_grid_t *grid, bool shares_out)
{
    int64_t *bounds;
    size_t n = (size_t)reduction->stage->n_chunks + 1;
    mb_grid_t of_numbers = grid_of_numbers(grid);
    mb_reduce_shape_t numbers = shape_of_numbers(reduction->stage);
    if (n > MOST_CHUNKS)
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "a stage of %d chunks cannot be summed over replicas: use fewer",
                            reduction->stage->n_chunks);
    reduction->pieces = calloc(n, sizeof *reduction->pieces);
    reduction->first = calloc(n, sizeof *reduction->first);
    reduction->end = calloc(n, sizeof *reduction->end);
    if (reduction->pieces == NULL || reduction->first == NULL || reduction->end == NULL)
        return mb_error_memory("a reduction", n * sizeof *reduction->pieces);
    MB_TRY(take_bounds(grid, shares_out, &bounds));
    mb_status_t status = make_pieces(reduction, comm, transport, grid, bounds);
    if (status == MB_OK && shares_out)
        status = mb_reduce_create(comm, transport, reduction->stage->exec, &of_numbers, &numbers,
                                  MB_TAG_NORMS, &reduction->numbers);
    free(bounds);
    return status;
}

mb_status_t mb_stage_reduce_create(mb_comm_t *comm, mb_transport_t *transport,
                                   const mb_grid_t *grid, mb_stage_t *stage, bool shares_out,
                                   mb_stage_reduce_t **out)
{
    mb_stage_reduce_t *reduction = calloc(1, sizeof *reduction);
    if (reduction == NULL)
        return mb_error_memory("a reduction", sizeof *reduction);
    reduction->stage = stage;
    reduction->ordered = transport->class_->ordered;
    reduction->started = -1;
    mb_status_t status = fill(reduction, comm, transport, grid, shares_out);
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
    mb_reduce_destroy(reduction->numbers);
    free(reduction->pieces);
    free(reduction->first);
    free(reduction->end);
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

bool mb_stage_reduce_shares_out(const mb_stage_reduce_t *reduction)
{
    return reduction->numbers != NULL;
}

bool mb_stage_reduce_is_own(const mb_stage_reduce_t *reduction, int64_t entry)
{
    for (int i = 0; i < reduction->stage->n_chunks; i++) {
        if (entry >= reduction->first[i] && entry < reduction->end[i])
            return true;
    }
    return !mb_stage_reduce_shares_out(reduction);
}

mb_status_t mb_stage_reduce_gather(mb_stage_reduce_t *reduction)
{
    const mb_stage_t *stage = reduction->stage;
    for (int i = 0; i < stage->n_chunks && stage->gradient_count > 0; i++)
        MB_TRY(mb_reduce_gather(reduction->pieces[i],
                                stage->gradients[0] + stage->chunks[i].first_gradient));
    return MB_OK;
}

mb_status_t mb_stage_reduce_merge(mb_stage_reduce_t *reduction, double *numbers)
{
    return reduction->numbers == NULL ? MB_OK : mb_reduce_run(reduction->numbers, NULL, &numbers);
}

int64_t mb_stage_reduce_chunk_bytes(const mb_stage_reduce_t *reduction, int index)
{
    const mb_reduce_t *piece = reduction->pieces[index];
    return mb_reduce_bytes(piece) +
           (mb_stage_reduce_shares_out(reduction) ? mb_reduce_gather_bytes(piece) : 0);
}

int64_t mb_stage_reduce_bytes(const mb_stage_reduce_t *reduction)
{
    int64_t bytes = 0;
    for (int i = 0; i < reduction->stage->n_chunks; i++)
        bytes += mb_stage_reduce_chunk_bytes(reduction, i);
    return bytes;
}
