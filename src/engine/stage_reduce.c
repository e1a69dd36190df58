/* See stage_reduce.h. */
#include "engine/stage_reduce.h"

#include <stdlib.h>

#include "comm/tags.h"
#include "device/ops.h"
#include "engine/stage_parts.h"
#include "engine/stage_rooms.h"

enum { MOST_PIECES = (MB_TAG_REDUCE_END - MB_TAG_REDUCE) / MB_TAG_REDUCE_EACH };

typedef struct {       /* a bucket of one of the stage's chunks */
    int index, bucket; /* from 1 */
    mb_stretch_t stretch;
    int64_t first, end; /* of the entries: this group's part */
    int64_t at;         /* where the bucket stands in a gradient block */
    int room;           /* that it has taken there, if rooms are taken in turn */
    bool in_room;       /* until its sum is through */
    mb_reduce_t *sum;
} piece_t;

struct mb_stage_reduce {
    mb_stage_t *stage;
    int n_pieces;
    piece_t *pieces; /* in the order of the chunks and their buckets */
    bool ordered;    /* the transport is */
    int started;     /* where messages go by order: the one that was started last; -1: none */
    bool windowed;   /* gradients are summed in the ranks' memory, not by messages */
    mb_reduce_window_t *window; /* NULL: there is none, or nobody computes */
    mb_reduce_t *numbers;       /* of all parameters; NULL: groups have no parts of their own */
    void *received[MB_BUCKET_ROOMS]; /* where rooms are taken in turn: what comes in for each */
    int64_t received_count[MB_BUCKET_ROOMS];
};

static int buckets_of(const mb_stage_t *stage, int index)
{
    return mb_plan_buckets(stage->plan, stage->chunks[index].chunk);
}

static int count_pieces(const mb_stage_t *stage)
{
    int n = 0;
    for (int i = 0; i < stage->n_chunks; i++)
        n += buckets_of(stage, i);
    return n;
}

static int first_piece(const mb_stage_t *stage, int index)
{
    int n = 0;
    for (int i = 0; i < index; i++)
        n += buckets_of(stage, i);
    return n;
}

/* BOUNDS: [groups + 1] room for those of parts of whole tensors; NULL: equal parts. */
static mb_reduce_shape_t shape_of(const mb_stage_t *stage, const piece_t *piece,
                                  const mb_grid_t *grid, int64_t *bounds)
{
    bool last = piece->bucket == buckets_of(stage, piece->index);
    if (bounds != NULL)
        mb_stage_bucket_parts(stage, piece->index, piece->stretch, grid->groups, bounds);
    return (mb_reduce_shape_t){.count = stage->training ? piece->stretch.count : 0,
                               .count64 = last ? stage->chunks[piece->index].sum_count : 0,
                               .bounds = bounds,
                               .borrows = stage->gives_away};
}

static piece_t piece_at(const mb_stage_t *stage, int index, int bucket)
{
    return (piece_t){.index = index,
                     .bucket = bucket,
                     .stretch = mb_stage_stretch(stage, index, bucket),
                     .at = mb_stage_bucket_at(stage, index, bucket),
                     .room = mb_stage_room(stage, index, bucket)};
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
    for (int i = 0; i < stage->n_chunks; i++) {
        for (int b = 1; b <= buckets_of(stage, i) && status == MB_OK; b++) {
            piece_t piece = piece_at(stage, i, b);
            mb_reduce_shape_t shape = shape_of(stage, &piece, grid, bounds);
            status = add_needs(grid, &shape, requests, bytes);
        }
    }
    if (status == MB_OK && shares_out)
        status = add_needs(&of_numbers, &numbers, requests, bytes);
    free(bounds);
    return status;
}

static mb_status_t make_piece(mb_stage_reduce_t *reduction, mb_comm_t *comm,
                              mb_transport_t *transport, const mb_grid_t *grid, int64_t *bounds,
                              int number)
{
    mb_stage_t *stage = reduction->stage;
    piece_t *piece = &reduction->pieces[number];
    int part = mb_reduce_part(grid, grid->group);
    mb_reduce_shape_t shape = shape_of(stage, piece, grid, bounds);
    shape.windowed = reduction->windowed && shape.count > 0;
    MB_TRY(mb_reduce_create(comm, transport, stage->exec, grid, &shape,
                            MB_TAG_REDUCE + number * MB_TAG_REDUCE_EACH, &piece->sum));
    if (shape.windowed)
        mb_reduce_use_window(piece->sum, reduction->window, number, piece->at);
    if (bounds == NULL)
        return MB_OK;
    piece->first = piece->stretch.first + bounds[part];
    piece->end = piece->stretch.first + bounds[part + 1];
    if (mb_stage_sums_alone(stage))
        mb_reduce_keep_parts(piece->sum);
    return MB_OK;
}

static mb_status_t make_pieces(mb_stage_reduce_t *reduction, mb_comm_t *comm,
                               mb_transport_t *transport, const mb_grid_t *grid, int64_t *bounds)
{
    int n = 0;
    const mb_stage_t *stage = reduction->stage;
    for (int i = 0; i < stage->n_chunks; i++) {
        for (int b = 1; b <= buckets_of(stage, i); b++) {
            reduction->pieces[n] = piece_at(stage, i, b);
            MB_TRY(make_piece(reduction, comm, transport, grid, bounds, n++));
        }
    }
    return MB_OK;
}

/* Those that take the same room are under way one after the other, and receive into the same
 * memory. */
static mb_status_t lend_memory(mb_stage_reduce_t *reduction)
{
    for (int i = 0; i < reduction->n_pieces; i++) {
        const piece_t *piece = &reduction->pieces[i];
        int64_t *most = &reduction->received_count[piece->room];
        int64_t count = mb_reduce_received(piece->sum);
        *most = count > *most ? count : *most;
    }
    for (int r = 0; r < MB_BUCKET_ROOMS; r++) {
        if (reduction->received_count[r] > 0)
            MB_TRY(mb_device_alloc(reduction->stage->exec->device,
                                   (size_t)reduction->received_count[r] * sizeof(float),
                                   &reduction->received[r]));
    }
    for (int i = 0; i < reduction->n_pieces; i++)
        mb_reduce_lend(reduction->pieces[i].sum, reduction->received[reduction->pieces[i].room]);
    return MB_OK;
}

static mb_status_t fill(mb_stage_reduce_t *reduction, mb_comm_t *comm, mb_transport_t *transport,
                        const mb_grid_t *grid, bool shares_out)
{
    int64_t *bounds;
    mb_grid_t of_numbers = grid_of_numbers(grid);
    mb_reduce_shape_t numbers = shape_of_numbers(reduction->stage);
    reduction->n_pieces = count_pieces(reduction->stage);
    if (reduction->n_pieces > MOST_PIECES)
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "a stage of %d chunks cannot be summed over replicas: use fewer",
                            reduction->stage->n_chunks);
    if (shares_out || reduction->n_pieces > mb_reduce_window_pieces())
        reduction->windowed = false;
    reduction->pieces = calloc((size_t)reduction->n_pieces + 1, sizeof *reduction->pieces);
    if (reduction->pieces == NULL)
        return mb_error_memory("a reduction", sizeof *reduction->pieces);
    MB_TRY(take_bounds(grid, shares_out, &bounds));
    mb_status_t status = make_pieces(reduction, comm, transport, grid, bounds);
    if (status == MB_OK && reduction->stage->gives_away)
        status = lend_memory(reduction);
    if (status == MB_OK && shares_out)
        status = mb_reduce_create(comm, transport, reduction->stage->exec, &of_numbers, &numbers,
                                  MB_TAG_NORMS, &reduction->numbers);
    free(bounds);
    return status;
}

mb_status_t mb_stage_reduce_create(mb_comm_t *comm, mb_transport_t *transport,
                                   const mb_grid_t *grid, mb_stage_t *stage, bool shares_out,
                                   mb_reduce_window_t *window, bool windowed,
                                   mb_stage_reduce_t **out)
{
    mb_stage_reduce_t *reduction = calloc(1, sizeof *reduction);
    if (reduction == NULL)
        return mb_error_memory("a reduction", sizeof *reduction);
    reduction->stage = stage;
    reduction->ordered = transport->class_->ordered;
    reduction->started = -1;
    reduction->window = window;
    reduction->windowed = windowed;
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
    for (int i = 0; reduction->pieces != NULL && i < reduction->n_pieces; i++)
        mb_reduce_destroy(reduction->pieces[i].sum);
    mb_reduce_destroy(reduction->numbers);
    for (int r = 0; r < MB_BUCKET_ROOMS; r++)
        mb_device_free(reduction->stage->exec->device, reduction->received[r]);
    free(reduction->pieces);
    free(reduction);
}

void mb_stage_reduce_use_link(mb_stage_reduce_t *reduction, mb_reduce_link_t *link)
{
    for (int i = 0; i < reduction->n_pieces; i++)
        mb_reduce_use_link(reduction->pieces[i].sum, link);
}

static mb_status_t start(mb_stage_reduce_t *reduction, piece_t *piece, double *const *sums)
{
    float *roots[MB_TREE_MAX_ROOTS];
    double *roots64[MB_TREE_MAX_ROOTS];
    const mb_stage_t *stage = reduction->stage;
    const mb_stage_chunk_t *chunk = &stage->chunks[piece->index];
    for (int i = 0; i < stage->n_blocks && i < MB_TREE_MAX_ROOTS && piece->stretch.count > 0; i++)
        roots[i] = stage->gradients[i] + piece->at;
    for (int i = 0; i < stage->n_sum_blocks && i < MB_TREE_MAX_ROOTS; i++)
        roots64[i] = sums[i] == NULL ? NULL : sums[i] + chunk->first_sum;
    piece->in_room = stage->gives_away;
    return mb_reduce_start(piece->sum, roots, roots64);
}

/* Waits for the sum; this group's part of it leaves the room. */
static mb_status_t finish(mb_stage_reduce_t *reduction, piece_t *piece)
{
    const mb_stage_t *stage = reduction->stage;
    MB_TRY(mb_reduce_finish(piece->sum));
    bool moves = piece->in_room && piece->end > piece->first;
    piece->in_room = false;
    if (!moves)
        return MB_OK;
    float *block = stage->gradients[0];
    mb_combine_args_t copy = {.count = piece->end - piece->first,
                              .p = 1.0F,
                              .a = block + piece->at + (piece->first - piece->stretch.first),
                              .y = block + mb_stage_summed_at(stage, piece->first)};
    return mb_run_combine(stage->exec, &copy);
}

/* Where messages go by order, the rest of a sum has its place in the lists, too: behind the start
 * of the next one. */
static mb_status_t start_in_turn(mb_stage_reduce_t *reduction, int number, double *const *sums)
{
    int before = reduction->started;
    MB_TRY(start(reduction, &reduction->pieces[number], sums));
    if (!reduction->ordered)
        return MB_OK;
    reduction->started = number;
    return before < 0 ? MB_OK : finish(reduction, &reduction->pieces[before]);
}

/* The pieces from *FIRST up to *END. */
static void find_pieces(const mb_stage_reduce_t *reduction, int index, int bucket, int *first,
                        int *end)
{
    int begin = first_piece(reduction->stage, index);
    *first = bucket == 0 ? begin : begin + bucket - 1;
    *end = bucket == 0 ? begin + buckets_of(reduction->stage, index) : *first + 1;
}

mb_status_t mb_stage_reduce_start(mb_stage_reduce_t *reduction, int index, int bucket,
                                  double *const *sums)
{
    int first, end;
    find_pieces(reduction, index, bucket, &first, &end);
    for (int i = first; i < end; i++)
        MB_TRY(start_in_turn(reduction, i, sums));
    return MB_OK;
}

mb_status_t mb_stage_reduce_go_on(mb_stage_reduce_t *reduction)
{
    for (int i = 0; i < reduction->n_pieces; i++)
        MB_TRY(mb_reduce_go_on(reduction->pieces[i].sum));
    return MB_OK;
}

mb_status_t mb_stage_reduce_finish(mb_stage_reduce_t *reduction)
{
    reduction->started = -1;
    for (int i = 0; i < reduction->n_pieces; i++)
        MB_TRY(finish(reduction, &reduction->pieces[i]));
    return MB_OK;
}

static mb_status_t empty_room(mb_stage_reduce_t *reduction, int room)
{
    for (int i = 0; i < reduction->n_pieces; i++) {
        piece_t *piece = &reduction->pieces[i];
        if (piece->in_room && piece->room == room)
            MB_TRY(finish(reduction, piece));
    }
    return MB_OK;
}

/* All ranks of a stage come to the buckets in one order and wait for the one that has been under
 * way the longest, which waits for nothing younger. */
mb_status_t mb_stage_reduce_make_room(mb_stage_reduce_t *reduction, int index, int bucket)
{
    int first, end;
    find_pieces(reduction, index, bucket, &first, &end);
    for (int i = first; i < end && reduction->stage->gives_away; i++)
        MB_TRY(empty_room(reduction, reduction->pieces[i].room));
    return MB_OK;
}

bool mb_stage_reduce_shares_out(const mb_stage_reduce_t *reduction)
{
    return reduction->numbers != NULL;
}

bool mb_stage_reduce_is_own(const mb_stage_reduce_t *reduction, int64_t entry)
{
    for (int i = 0; i < reduction->n_pieces; i++) {
        if (entry >= reduction->pieces[i].first && entry < reduction->pieces[i].end)
            return true;
    }
    return !mb_stage_reduce_shares_out(reduction);
}

int mb_stage_reduce_count(const mb_stage_reduce_t *reduction)
{
    return reduction->n_pieces;
}

mb_bucket_t mb_stage_reduce_nodes(const mb_stage_reduce_t *reduction, int number)
{
    const piece_t *piece = &reduction->pieces[number];
    const mb_stage_t *stage = reduction->stage;
    return mb_plan_bucket(stage->plan, stage->chunks[piece->index].chunk, piece->bucket);
}

mb_status_t mb_stage_reduce_gather(mb_stage_reduce_t *reduction, int number)
{
    const piece_t *piece = &reduction->pieces[number];
    if (piece->stretch.count == 0)
        return MB_OK;
    return mb_reduce_gather(piece->sum, reduction->stage->gradients[0] + piece->at);
}

mb_status_t mb_stage_reduce_merge(mb_stage_reduce_t *reduction, double *numbers)
{
    return reduction->numbers == NULL ? MB_OK : mb_reduce_run(reduction->numbers, NULL, &numbers);
}

int64_t mb_stage_reduce_bucket_bytes(const mb_stage_reduce_t *reduction, int index, int bucket)
{
    int first, end;
    int64_t bytes = 0;
    find_pieces(reduction, index, bucket, &first, &end);
    for (int i = first; i < end; i++) {
        const mb_reduce_t *sum = reduction->pieces[i].sum;
        bytes += mb_reduce_bytes(sum);
        bytes += mb_stage_reduce_shares_out(reduction) ? mb_reduce_gather_bytes(sum) : 0;
    }
    return bytes;
}

int64_t mb_stage_reduce_bytes(const mb_stage_reduce_t *reduction)
{
    int64_t bytes = 0;
    for (int i = 0; i < reduction->stage->n_chunks; i++)
        bytes += mb_stage_reduce_bucket_bytes(reduction, i, 0);
    return bytes;
}

int64_t mb_stage_reduce_memory(const mb_stage_reduce_t *reduction)
{
    int64_t bytes = reduction->numbers == NULL ? 0 : mb_reduce_memory(reduction->numbers);
    for (int i = 0; i < reduction->n_pieces; i++)
        bytes += mb_reduce_memory(reduction->pieces[i].sum);
    for (int r = 0; r < MB_BUCKET_ROOMS; r++)
        bytes += reduction->received_count[r] * (int64_t)sizeof(float);
    return bytes;
}
