/* The sum of gradients over the ranks of a node, as a kernel (kernels.h): each rank reads its part
 * of all ranks' arrays and writes it to all of them, which is twice an array's bytes. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "comm/reduce_window.h"
#include "engine/kernels.h"

enum { COUNT = 10 << 20, REPEATS = 9 };

typedef struct {
    mb_comm_t *comm;
    mb_grid_t grid;
    mb_exec_t exec;
    mb_shared_t *shared;
    mb_reduce_window_t *window;
} bench_t;

/* *JOINED is false where the ranks cannot see each other's memory. */
static mb_status_t open_window(bench_t *b, bool *joined)
{
    int ranks = mb_comm_size(b->comm), rank = mb_comm_rank(b->comm);
    size_t bytes = COUNT * sizeof(float);
    mb_grid_set(&b->grid, ranks, rank, 1, ranks);
    MB_TRY(mb_comm_agree(b->comm, mb_shared_create(mb_reduce_window_front() + bytes, &b->shared)));
    MB_TRY(mb_shared_join(b->comm, b->shared, 0, rank, ranks, joined));
    if (!*joined)
        return MB_OK;
    memset((char *)mb_shared_memory(b->shared) + mb_reduce_window_front(), 0, bytes);
    mb_status_t status =
        mb_reduce_window_create(b->comm, &b->exec, &b->grid, b->shared, bytes, &b->window);
    MB_TRY(mb_comm_agree(b->comm, status));
    *joined = b->window != NULL;
    return MB_OK;
}

static mb_status_t plan(bench_t *b, mb_window_piece_t *piece)
{
    b->exec.planning = true;
    MB_TRY(mb_window_piece_start(piece));
    return mb_exec_allocate(&b->exec);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static mb_status_t time_sums(bench_t *b, double *seconds)
{
    double taken[REPEATS];
    mb_window_piece_t piece = {.window = b->window, .count = COUNT};
    MB_TRY(mb_comm_agree(b->comm, plan(b, &piece)));
    for (int r = 0; r < REPEATS; r++) {
        MB_TRY(mb_comm_barrier(b->comm));
        double begun = mb_time_seconds();
        MB_TRY(mb_window_piece_start(&piece));
        MB_TRY(mb_window_piece_finish(&piece));
        taken[r] = mb_time_seconds() - begun;
    }
    qsort(taken, REPEATS, sizeof taken[0], by_size);
    *seconds = taken[REPEATS / 2];
    return MB_OK;
}

static mb_status_t measure(bench_t *b, mb_kernel_time_t *out, bool *there)
{
    bool joined = false;
    MB_TRY(open_window(b, &joined));
    if (joined)
        MB_TRY(time_sums(b, &out->seconds));
    *there = joined;
    return MB_OK;
}

mb_status_t mb_kernel_sum(mb_machine_t *machine, const mb_hardware_t *limits, mb_kernel_time_t *out,
                          bool *there)
{
    bench_t b = {.comm = machine->comm};
    *out = (mb_kernel_time_t){.name = "sum over the ranks", .shape = "10.5 M"};
    *there = false;
    if (mb_comm_size(machine->comm) == 1 || machine->device->class_ != &mb_device_cpu)
        return MB_OK;
    MB_TRY(mb_comm_agree(machine->comm, mb_exec_create(machine->device, &b.exec)));
    mb_status_t status = measure(&b, out, there);
    out->bytes = 2.0 * COUNT * sizeof(float);
    out->allowed = out->bytes / limits->memory_bandwidth;
    mb_reduce_window_destroy(b.window);
    mb_shared_destroy(b.shared);
    mb_exec_destroy(&b.exec);
    return status;
}
