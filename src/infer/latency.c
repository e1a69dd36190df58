/* See latency.h. */
#include "infer/latency.h"

#include <math.h>
#include <stdlib.h>

/* More batches than MOST are thinned out evenly. */
enum { MOST = 65536, ROUNDS = 16 };

struct mb_latency {
    mb_comm_t *comm;
    int first_rank, last_rank; /* of this rank's group; -1: idle */
    bool enters, leaves;
    int64_t stride, count, capacity;
    double *entered, *left; /* seconds, by this rank's clock; 0: not seen */
    double ahead;           /* of the last stage's clock, known on the first */
};

static mb_status_t move(mb_latency_t *l, bool sends, void *data, size_t bytes, int peer)
{
    mb_comm_request_t request;
    mb_comm_note_t note = {"comparing clocks", -1, -1, peer, MB_TAG_EXCHANGE, false};
    if (sends)
        MB_TRY(mb_comm_isend(l->comm, data, bytes, peer, MB_TAG_EXCHANGE, &request));
    else
        MB_TRY(mb_comm_irecv(l->comm, data, bytes, peer, MB_TAG_EXCHANGE, &request));
    return mb_comm_wait_requests(l->comm, &request, 1, &note);
}

static mb_status_t compare_clocks(mb_latency_t *l)
{
    double shortest = INFINITY, theirs = 0;
    for (int i = 0; i < ROUNDS && l->leaves; i++) {
        MB_TRY(move(l, false, &theirs, sizeof theirs, l->first_rank));
        theirs = mb_time_seconds();
        MB_TRY(move(l, true, &theirs, sizeof theirs, l->first_rank));
    }
    for (int i = 0; i < ROUNDS && l->enters; i++) {
        double start = mb_time_seconds();
        MB_TRY(move(l, true, &start, sizeof start, l->last_rank));
        MB_TRY(move(l, false, &theirs, sizeof theirs, l->last_rank));
        double end = mb_time_seconds();
        if (end - start < shortest) {
            shortest = end - start;
            l->ahead = theirs - (start + end) / 2;
        }
    }
    return MB_OK;
}

static mb_status_t take_memory(mb_latency_t *l)
{
    size_t bytes = ((size_t)l->capacity + 1) * sizeof(double);
    l->entered = calloc(1, bytes);
    l->left = calloc(1, bytes);
    return l->entered == NULL || l->left == NULL ? mb_error_memory("the times of batches", bytes)
                                                 : MB_OK;
}

mb_status_t mb_latency_create(const mb_engine_t *engine, int64_t batches, mb_latency_t **out)
{
    const mb_grid_t *grid = &engine->grid;
    mb_comm_t *comm = engine->machine->comm;
    mb_latency_t *l = calloc(1, sizeof *l);
    mb_status_t status = l == NULL ? mb_error_memory("the times of batches", sizeof *l) : MB_OK;
    MB_TRY_GOTO(mb_comm_agree(comm, status), status, err_latency);
    l->comm = comm;
    l->first_rank = l->last_rank = -1;
    if (!mb_grid_idle(grid)) {
        l->first_rank = mb_grid_rank(grid, 0, grid->group);
        l->last_rank = mb_grid_rank(grid, grid->stages - 1, grid->group);
    }
    l->enters = mb_comm_rank(comm) == l->first_rank;
    l->leaves = mb_comm_rank(comm) == l->last_rank;
    l->stride = (batches + MOST - 1) / MOST;
    l->stride = l->stride > 0 ? l->stride : 1;
    l->capacity = (batches + l->stride - 1) / l->stride;
    MB_TRY_GOTO(mb_comm_agree(comm, take_memory(l)), status, err_latency);
    if (l->first_rank != l->last_rank)
        MB_TRY_GOTO(compare_clocks(l), status, err_latency);
    *out = l;
    return MB_OK;

err_latency:
    mb_latency_destroy(l);
    return status;
}

void mb_latency_destroy(mb_latency_t *l)
{
    if (l == NULL)
        return;
    free(l->entered);
    free(l->left);
    free(l);
}

void mb_latency_enter(mb_latency_t *l, int64_t index)
{
    if (l->enters && index % l->stride == 0 && index / l->stride < l->capacity)
        l->entered[index / l->stride] = mb_time_seconds();
}

void mb_latency_leave(mb_latency_t *l, int64_t index)
{
    if (l->leaves && index % l->stride == 0 && index / l->stride < l->capacity)
        l->left[index / l->stride] = mb_time_seconds();
}

/* The times of leaving come to the first stage, which knows those of entering. Returns how many
 * batches there were; their latencies are packed into `entered`. */
static mb_status_t subtract(mb_latency_t *l, int64_t *count)
{
    size_t bytes = (size_t)l->capacity * sizeof(double);
    if (l->leaves && !l->enters)
        return move(l, true, l->left, bytes, l->first_rank);
    if (!l->enters)
        return MB_OK;
    if (!l->leaves)
        MB_TRY(move(l, false, l->left, bytes, l->last_rank));
    for (int64_t i = 0; i < l->capacity; i++) {
        if (l->left[i] > 0 && l->entered[i] > 0)
            l->entered[(*count)++] = l->left[i] - l->ahead - l->entered[i];
    }
    return MB_OK;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

mb_status_t mb_latency_finish(mb_latency_t *l, double *median, double *percentile_99)
{
    void *all = NULL;
    size_t *bytes_of = NULL, bytes = 0;
    int64_t count = 0;
    MB_TRY(mb_comm_agree(l->comm, subtract(l, &count)));
    MB_TRY(mb_comm_gather(l->comm, l->entered, (size_t)count * sizeof(double), 0, &all, &bytes_of));
    *median = *percentile_99 = NAN;
    for (int r = 0; all != NULL && r < mb_comm_size(l->comm); r++)
        bytes += bytes_of[r];
    size_t n = bytes / sizeof(double);
    if (n > 0) {
        double *seconds = all;
        qsort(seconds, n, sizeof *seconds, ascending);
        *median = seconds[n / 2];
        *percentile_99 = seconds[(n * 99) / 100];
    }
    free(all);
    free(bytes_of);
    return MB_OK;
}
