/* What a checkpoint costs rank 0 when many write it: ranks of one process (comm/virtual.h), each
 * with its part of every tensor, save 64 MiB into FOLDER, ROUNDS times each number of them by
 * turns. For each number: the messages and bytes that rank 0 sends and takes, and the median of the
 * seconds, which are those of all ranks, one after the other on one thread.
 *
 *     bench/writers FOLDER ROUNDS RANKS...
 *
 * Every rank has the file open: `ulimit -n` must allow as many. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comm/virtual.h"
#include "store/checkpoint.h"

enum { TENSORS = 16, ROWS = 1024, COLUMNS = 1024, MOST_RUNS = 16 };

typedef struct {
    char path[4096];
    mb_checkpoint_layout_t layout;
    const float *values;
    mb_virtual_traffic_t traffic;
} job_t;

static void must(mb_status_t status)
{
    if (status == MB_OK)
        return;
    fprintf(stderr, "writers: %s\n", mb_error_get());
    exit(1);
}

static mb_status_t save(void *user, mb_comm_t *comm)
{
    job_t *job = user;
    mb_piece_t pieces[TENSORS];
    int64_t rank = mb_comm_rank(comm), size = mb_comm_size(comm), count = ROWS * COLUMNS;
    int64_t first = count * rank / size, end = count * (rank + 1) / size;
    for (int i = 0; i < TENSORS; i++)
        pieces[i] = (mb_piece_t){i, first, end - first, job->values + first, NULL};
    mb_status_t status = mb_checkpoint_write(comm, job->path, &job->layout, pieces, TENSORS);
    if (rank == 0)
        job->traffic = mb_virtual_traffic(comm);
    return status;
}

static double timed(int ranks, job_t *job)
{
    mb_virtual_t *world;
    const mb_virtual_times_t times = {.move = NULL};
    must(mb_virtual_create(ranks, &times, &world));
    double begun = mb_time_seconds();
    must(mb_virtual_run(world, save, job));
    double took = mb_time_seconds() - begun;
    mb_virtual_destroy(world);
    return took;
}

static int compare(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static void run(int n, char **words, int rounds, job_t *job)
{
    static double seconds[MOST_RUNS][MOST_RUNS];
    mb_virtual_traffic_t traffic[MOST_RUNS];
    for (int round = 0; round < rounds; round++) {
        for (int i = 0; i < n; i++) {
            seconds[i][round] = timed(atoi(words[i]), job);
            traffic[i] = job->traffic;
        }
    }
    for (int i = 0; i < n; i++) {
        qsort(seconds[i], (size_t)rounds, sizeof(double), compare);
        printf("%s ranks: %lld messages, %lld bytes, %.3f s\n", words[i],
               (long long)traffic[i].messages, (long long)traffic[i].bytes, seconds[i][rounds / 2]);
    }
}

int main(int argc, char **argv)
{
    static job_t job;
    static mb_tensor_spec_t tensors[TENSORS];
    static char names[TENSORS][16];
    int rounds = argc > 3 ? atoi(argv[2]) : 0;
    if (rounds < 1 || rounds > MOST_RUNS || argc - 3 > MOST_RUNS) {
        fprintf(stderr, "usage: writers FOLDER ROUNDS RANKS...\n");
        return 2;
    }
    for (int i = 0; i < TENSORS; i++) {
        snprintf(names[i], sizeof names[i], "layer/%d", i);
        tensors[i] = (mb_tensor_spec_t){.name = names[i], .shape = {2, {ROWS, COLUMNS}}};
    }
    static int weights[TENSORS];
    for (int i = 0; i < TENSORS; i++)
        weights[i] = i;
    const mb_layer_spec_t layer = {"layer", TENSORS, weights};
    job.layout = (mb_checkpoint_layout_t){
        .n_layers = 1, .layers = &layer, .n_weights = TENSORS, .tensors = tensors};
    job.values = calloc(ROWS * COLUMNS, sizeof(float));
    snprintf(job.path, sizeof job.path, "%s/writers.h5", argv[1]);
    run(argc - 3, argv + 3, rounds, &job);
    remove(job.path);
    return 0;
}
