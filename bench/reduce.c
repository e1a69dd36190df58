/* Sums of gradients over the ranks of a node: by messages and through shared memory, in the tree's
 * order, and MPI's own all-reduce, which has an order of its own. The three take turns, ROUNDS
 * times; the slowest rank counts. Prints one line of JSON: seconds of each round.
 *
 *     mpirun -np 4 bench/reduce [MIB [ROUNDS]]        40 MiB, 15 rounds
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comm/reduce.h"

enum { MESSAGES, WINDOW, MPI, WAYS };

typedef struct {
    mb_comm_t *comm;
    mb_grid_t grid;
    mb_device_t *device;
    mb_exec_t exec;
    mb_transport_t *transport;
    mb_shared_t *shared;
    mb_reduce_window_t *window;
    mb_reduce_t *reduce[2];
    int64_t count;
    float *values; /* in shared memory where there is such */
    int rounds;
    double *seconds[WAYS];
} bench_t;

static void must(mb_status_t status)
{
    if (status == MB_OK)
        return;
    fprintf(stderr, "reduce: %s\n", mb_error_get());
    MPI_Abort(MPI_COMM_WORLD, 1);
}

static void open_device(bench_t *b)
{
    mb_device_options_t options = {.size = sizeof options,
                                   .threads = 1,
                                   .progress = mb_comm_progress,
                                   .progress_user = b->comm};
    must(mb_device_open("cpu", &options, &b->device));
    must(mb_exec_create(b->device, &b->exec));
    must(mb_exec_allocate(&b->exec));
}

static void open_window(bench_t *b, int ranks, int rank)
{
    bool joined = false;
    size_t bytes = (size_t)b->count * sizeof(float);
    must(mb_shared_create(mb_reduce_window_front() + bytes, &b->shared));
    must(mb_shared_join(b->comm, b->shared, 0, rank, ranks, &joined));
    if (joined)
        must(mb_reduce_window_create(b->comm, &b->exec, &b->grid, b->shared, bytes, &b->window));
    void *memory = NULL;
    if (b->window == NULL)
        must(mb_device_alloc(b->device, bytes, &memory));
    else
        memory = (char *)mb_shared_memory(b->shared) + mb_reduce_window_front();
    b->values = memory;
}

static void open_reductions(bench_t *b)
{
    int requests;
    size_t longest;
    mb_reduce_shape_t shape = {.count = b->count};
    must(mb_reduce_needs(&b->grid, &shape, &requests, &longest));
    must(mb_transport_mpi_create(b->comm, &b->exec, requests, longest, &b->transport));
    for (int way = MESSAGES; way <= WINDOW; way++) {
        shape.windowed = way == WINDOW;
        must(mb_reduce_create(b->comm, b->transport, &b->exec, &b->grid, &shape, MB_TAG_REDUCE,
                              &b->reduce[way]));
    }
    mb_reduce_use_window(b->reduce[WINDOW], b->window, 0, 0);
}

static void sum(bench_t *b, int way)
{
    float *roots[] = {b->values};
    if (way == MPI)
        MPI_Allreduce(MPI_IN_PLACE, b->values, (int)b->count, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
    else
        must(mb_reduce_run(b->reduce[way], roots, NULL));
}

/* Each gives its rank's number; the sum is the same in any order. */
static void time_one(bench_t *b, int way, int round, int ranks, int rank)
{
    for (int64_t i = 0; i < b->count; i++)
        b->values[i] = (float)rank;
    MPI_Barrier(MPI_COMM_WORLD);
    double begun = MPI_Wtime();
    sum(b, way);
    double own = MPI_Wtime() - begun;
    MPI_Allreduce(&own, &b->seconds[way][round], 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
    float right = (float)(ranks * (ranks - 1) / 2);
    for (int64_t i = 0; i < b->count; i++) {
        if (b->values[i] != right)
            must(mb_error_set(MB_ERR_INTERNAL, "way %d gave a wrong sum", way));
    }
}

static void print(const bench_t *b, int ranks)
{
    static const char *const names[] = {"messages", "window", "MPI_Allreduce"};
    printf("{\"ranks\": %d, \"bytes\": %lld", ranks, (long long)b->count * 4);
    for (int way = 0; way < WAYS; way++) {
        if (way == WINDOW && b->window == NULL)
            continue;
        printf(", \"%s\": [", names[way]);
        for (int r = 0; r < b->rounds; r++)
            printf("%s%.6f", r == 0 ? "" : ", ", b->seconds[way][r]);
        printf("]");
    }
    printf("}\n");
}

static void close_all(bench_t *b)
{
    for (int way = MESSAGES; way <= WINDOW; way++)
        mb_reduce_destroy(b->reduce[way]);
    mb_transport_destroy(b->transport);
    if (b->window == NULL)
        mb_device_free(b->device, b->values);
    mb_reduce_window_destroy(b->window);
    mb_shared_destroy(b->shared);
    mb_exec_destroy(&b->exec);
    mb_device_close(b->device);
    for (int way = 0; way < WAYS; way++)
        free(b->seconds[way]);
    mb_comm_destroy(b->comm);
}

int main(int argc, char **argv)
{
    int ranks, rank;
    bench_t b = {.count = (argc > 1 ? atoll(argv[1]) : 40) << 18,
                 .rounds = argc > 2 ? atoi(argv[2]) : 15};
    MPI_Init(&argc, &argv);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    must(mb_comm_create(MPI_COMM_WORLD, NULL, &b.comm));
    mb_grid_set(&b.grid, ranks, rank, 1, ranks);
    for (int way = 0; way < WAYS; way++)
        b.seconds[way] = calloc((size_t)b.rounds + 1, sizeof(double));
    open_device(&b);
    open_window(&b, ranks, rank);
    open_reductions(&b);
    for (int round = -1; round < b.rounds; round++) { /* the first one is not counted */
        for (int way = 0; way < WAYS; way++) {
            if (way != WINDOW || b.window != NULL)
                time_one(&b, way, round < 0 ? 0 : round, ranks, rank);
        }
    }
    if (rank == 0)
        print(&b, ranks);
    close_all(&b);
    MPI_Finalize();
    return 0;
}
