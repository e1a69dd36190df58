/* A reservoir over ranks: what it keeps of a stream, and a trainer that reads it. */
#define _GNU_SOURCE /* mkdtemp */
#include "mpi/cases.h"
#include "mpi/leaks.h"

#include <mb/mb.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STREAM = 240, CAPACITY = 50, ROUNDS = 4 };

static mb_context_t *context_of(MPI_Comm comm)
{
    mb_context_t *context = NULL;
    EXPECT_OK(mb_context_create(comm, &context));
    return context;
}

static mb_reservoir_t *reservoir_of(mb_context_t *context, const char *policy, int64_t capacity,
                                    uint64_t seed)
{
    const int64_t shape[1] = {3};
    mb_reservoir_t *reservoir = NULL;
    EXPECT_OK(mb_reservoir_create(context, policy, capacity, seed, &reservoir));
    EXPECT_OK(mb_reservoir_set_shape(reservoir, "x", MB_FLOAT32, 1, shape));
    EXPECT_OK(mb_reservoir_set_shape(reservoir, "y", MB_INT32, 0, NULL));
    return reservoir;
}

/* Sample I of the stream, and COUNT - 1 behind it. */
static void add(mb_reservoir_t *reservoir, int64_t first, int64_t count)
{
    float x[STREAM][3];
    int32_t y[STREAM];
    const void *const data[2] = {x, y};
    for (int64_t i = 0; i < count; i++) {
        for (int k = 0; k < 3; k++)
            x[i][k] = (float)fmod((double)((first + i + 1) * (k + 1)) * 0.7548776662, 1.0) * 2 - 1;
        y[i] = (int32_t)(first + i) % 3;
        x[i][2] = (float)(first + i) / (float)STREAM;
    }
    EXPECT_OK(mb_reservoir_add(reservoir, count, data));
}

/* The part of round ROUND that is at ranks before RANK: evenly, by squares, all at the last. */
static int64_t before(int distribution, int rank, int size)
{
    const int64_t each = STREAM / ROUNDS;
    if (distribution == 0)
        return each * rank / size;
    if (distribution == 1)
        return each * rank * rank / (size * size);
    return rank < size ? 0 : each;
}

static void add_round(mb_reservoir_t *reservoir, int round, int distribution, int rank, int size)
{
    int64_t first = before(distribution, rank, size), last = before(distribution, rank + 1, size);
    int64_t half = (last - first) / 2; /* in two calls */
    add(reservoir, round * STREAM / ROUNDS + first, half);
    add(reservoir, round * STREAM / ROUNDS + first + half, last - first - half);
}

/* Numbers in the stream of all that is kept, in its order; returns how many. */
static int64_t kept_of(const mb_reservoir_t *reservoir, MPI_Comm comm, int32_t kept[STREAM])
{
    int size, own;
    int counts[64], places[64];
    int32_t mine[STREAM];
    int64_t count = 0, all = 0, labels = 0;
    const void *x = NULL, *y = NULL;
    EXPECT_OK(mb_reservoir_get(reservoir, "x", &count, &x));
    EXPECT_OK(mb_reservoir_get(reservoir, "y", &labels, &y));
    EXPECT(count == labels);
    for (int64_t i = 0; i < count; i++) {
        mine[i] = (int32_t)lrintf(((const float *)x)[3 * i + 2] * (float)STREAM);
        EXPECT(((const int32_t *)y)[i] == mine[i] % 3);
    }
    own = (int)count;
    MPI_Comm_size(comm, &size);
    MPI_Allgather(&own, 1, MPI_INT, counts, 1, MPI_INT, comm);
    for (int r = 0; r < size; r++) {
        places[r] = (int)all;
        all += counts[r];
        EXPECT(counts[r] <= (CAPACITY + size - 1) / size);
    }
    MPI_Allgatherv(mine, own, MPI_INT32_T, kept, counts, places, MPI_INT32_T, comm);
    EXPECT_OK(mb_reservoir_count(reservoir, NULL, &count, NULL));
    EXPECT(count == all);
    return all;
}

static int64_t keep(MPI_Comm comm, const char *policy, int distribution, int32_t kept[STREAM])
{
    int rank, size;
    int64_t count = 0, stream = 0;
    mb_context_t *context = context_of(comm);
    mb_reservoir_t *reservoir = reservoir_of(context, policy, CAPACITY, 7);
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &size);
    for (int round = 0; round < ROUNDS; round++) {
        add_round(reservoir, round, distribution, rank, size);
        EXPECT_OK(mb_reservoir_update(reservoir));
        count = kept_of(reservoir, comm, kept);
        EXPECT_OK(mb_reservoir_count(reservoir, NULL, NULL, &stream));
        EXPECT(stream == (round + 1) * STREAM / ROUNDS);
        EXPECT(count == (stream < CAPACITY ? stream : CAPACITY));
    }
    EXPECT_OK(mb_reservoir_destroy(reservoir));
    EXPECT_OK(mb_context_destroy(context));
    return count;
}

static void what_is_kept_does_not_depend_on_who_had_it(void)
{
    static const char *const policies[] = {"uniform", "newest"};
    int32_t wanted[STREAM], kept[STREAM];
    for (int p = 0; p < 2; p++) {
        int64_t count = keep(MPI_COMM_SELF, policies[p], 0, wanted);
        for (int distribution = 0; distribution < 3; distribution++) {
            EXPECT(keep(MPI_COMM_WORLD, policies[p], distribution, kept) == count);
            EXPECT(memcmp(kept, wanted, (size_t)count * sizeof *kept) == 0);
        }
    }
}

static void the_newest_are_the_last_of_the_stream(void)
{
    int32_t kept[STREAM];
    bool seen[STREAM] = {false};
    int64_t count = keep(MPI_COMM_WORLD, "newest", 1, kept);
    for (int64_t i = 0; i < count; i++)
        seen[kept[i]] = true;
    for (int i = 0; i < STREAM; i++)
        EXPECT(seen[i] == (i >= STREAM - CAPACITY));
}

/* Of 300 seeds, how often each sixteenth of the stream is kept. Were the samples kept independent,
 * the sum of (observed - expected)^2 / expected over 16 parts would follow chi-square with 15
 * degrees of freedom, which is above 37.7 once in a thousand times (Abramowitz and Stegun,
 * table 26.8); drawn without replacement it is smaller by the factor 1 - CAPACITY / STREAM. */
static void each_part_of_the_stream_is_kept_as_often(void)
{
    enum { PARTS = 16, SEEDS = 300 };
    double observed[PARTS] = {0}, chi = 0, expected = (double)SEEDS * CAPACITY / PARTS;
    mb_context_t *context = context_of(MPI_COMM_WORLD);
    if (cases_size > 1) /* several keep the same */
        return (void)mb_context_destroy(context);
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        int32_t kept[STREAM];
        mb_reservoir_t *reservoir = reservoir_of(context, "uniform", CAPACITY, seed);
        for (int round = 0; round < ROUNDS; round++) {
            add_round(reservoir, round, 1, cases_rank, cases_size);
            EXPECT_OK(mb_reservoir_update(reservoir));
        }
        int64_t count = kept_of(reservoir, MPI_COMM_WORLD, kept);
        for (int64_t i = 0; i < count; i++)
            observed[kept[i] * PARTS / STREAM] += 1;
        EXPECT_OK(mb_reservoir_destroy(reservoir));
    }
    for (int p = 0; p < PARTS; p++)
        chi += (observed[p] - expected) * (observed[p] - expected) / expected;
    EXPECT(chi < 37.7 * (1 - (double)CAPACITY / STREAM));
    EXPECT(chi > 1.0); /* nor is it too even to be chance: below 3.5 once in a thousand times */
    EXPECT_OK(mb_context_destroy(context));
}

static mb_trainer_t *trainer_of(mb_context_t *context, mb_reservoir_t *reservoir)
{
    mb_trainer_t *trainer = NULL;
    EXPECT_OK(mb_trainer_create(context, "start.h5", &trainer));
    EXPECT_OK(mb_trainer_set(trainer, "batch", "10"));
    EXPECT_OK(mb_trainer_set(trainer, "replicas", "2"));
    EXPECT_OK(mb_trainer_set(trainer, "micro-batch", "5"));
    EXPECT_OK(mb_trainer_set(trainer, "epochs", "1"));
    EXPECT_OK(mb_trainer_set(trainer, "partition", "counted"));
    EXPECT_OK(mb_trainer_set(trainer, "threads", "1"));
    EXPECT_OK(mb_trainer_set_reservoir(trainer, reservoir));
    return trainer;
}

/* Rounds of an epoch each, while the stream goes on between the steps. */
static uint64_t train(MPI_Comm comm, int distribution, const char *ranks, const char *path)
{
    int rank, size;
    uint64_t weights = 0, full = 0;
    mb_context_t *context = context_of(comm);
    mb_reservoir_t *reservoir = reservoir_of(context, "uniform", CAPACITY, 7);
    mb_trainer_t *trainer = trainer_of(context, reservoir);
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &size);
    if (ranks != NULL)
        EXPECT_OK(mb_trainer_set(trainer, "ranks", ranks));
    add_round(reservoir, 0, distribution, rank, size);
    for (int round = 1; round <= ROUNDS; round++) {
        EXPECT_OK(mb_trainer_step(trainer, NULL, NULL));
        if (round < ROUNDS)
            add_round(reservoir, round, distribution, rank, size);
        EXPECT_OK(mb_trainer_run(trainer));
        if (round < ROUNDS)
            EXPECT_OK(mb_trainer_renew(trainer));
    }
    EXPECT(mb_reservoir_update(reservoir) == MB_ERR_ARGUMENT);
    EXPECT(strstr(mb_error_message(), "mb_trainer_renew") != NULL);
    EXPECT(mb_reservoir_destroy(reservoir) == MB_ERR_ARGUMENT);
    EXPECT_OK(mb_trainer_save(trainer, path, 1));
    EXPECT_OK(mb_trainer_destroy(trainer));
    EXPECT_OK(mb_reservoir_destroy(reservoir));
    EXPECT_OK(mb_context_destroy(context));
    MPI_Barrier(MPI_COMM_WORLD);
    EXPECT_OK(mb_checkpoint_digest(path, &weights, &full));
    return full;
}

static void training_on_a_stream_gives_the_same_bits_on_any_ranks(void)
{
    char path[32], last[16];
    if (cases_rank == 0)
        EXPECT_OK(mb_model_create_preset(NULL, "mlp", "input=3 hidden=8,8 classes=3", "start.h5"));
    MPI_Barrier(MPI_COMM_WORLD);
    snprintf(path, sizeof path, "stream-%d.h5", cases_rank);
    snprintf(last, sizeof last, "%d", cases_size - 1);
    uint64_t wanted = train(MPI_COMM_SELF, 0, NULL, path);
    EXPECT(train(MPI_COMM_WORLD, 1, NULL, "stream.h5") == wanted);
    EXPECT(train(MPI_COMM_WORLD, 2, last, "stream.h5") == wanted);
}

static void refused(mb_status_t status, const char *words)
{
    EXPECT(status == MB_ERR_ARGUMENT);
    EXPECT(strstr(mb_error_message(), words) != NULL);
}

static void wrong_calls_are_refused(void)
{
    const int64_t shape[1] = {3}, bad[1] = {0};
    const void *const some[2] = {shape, NULL};
    const void *data = NULL;
    int64_t count = 0;
    mb_context_t *context = context_of(MPI_COMM_WORLD);
    mb_reservoir_t *reservoir = NULL;
    refused(mb_reservoir_create(NULL, "uniform", 1, 0, &reservoir), "context is NULL");
    refused(mb_reservoir_create(context, NULL, 1, 0, &reservoir), "policy is NULL");
    refused(mb_reservoir_create(context, "oldest", 1, 0, &reservoir), "uniform and newest");
    refused(mb_reservoir_create(context, "newest", 0, 0, &reservoir), "at least 1");
    refused(mb_reservoir_create(context, "newest", 1, 0, NULL), "reservoir is NULL");
    refused(mb_reservoir_set_shape(NULL, "x", MB_FLOAT32, 1, shape), "reservoir is NULL");
    refused(mb_reservoir_add(NULL, 1, some), "reservoir is NULL");
    refused(mb_reservoir_update(NULL), "reservoir is NULL");
    refused(mb_reservoir_count(NULL, NULL, NULL, NULL), "reservoir is NULL");
    refused(mb_reservoir_get(NULL, "x", &count, &data), "reservoir is NULL");
    EXPECT_OK(mb_reservoir_destroy(NULL));
    EXPECT_OK(mb_reservoir_create(context, "newest", 4, 0, &reservoir));
    refused(mb_reservoir_add(reservoir, 1, some), "mb_reservoir_set_shape");
    refused(mb_reservoir_update(reservoir), "mb_reservoir_set_shape");
    refused(mb_reservoir_set_shape(reservoir, NULL, MB_FLOAT32, 1, shape), "name is NULL");
    refused(mb_reservoir_set_shape(reservoir, "x", MB_FLOAT32, 1, NULL), "shape is NULL");
    refused(mb_reservoir_set_shape(reservoir, "x", MB_FLOAT32, 9, shape), "0 to 8");
    refused(mb_reservoir_set_shape(reservoir, "x", MB_FLOAT32, 1, bad), "at least 1");
    refused(mb_reservoir_set_shape(reservoir, "x", (mb_type_t)9, 1, shape), "no mb_type_t");
    EXPECT_OK(mb_reservoir_set_shape(reservoir, "x", MB_FLOAT32, 1, shape));
    EXPECT_OK(mb_reservoir_set_shape(reservoir, "y", MB_INT32, 0, NULL));
    refused(mb_reservoir_get(reservoir, "z", &count, &data), "no 'z'");
    refused(mb_reservoir_add(reservoir, -1, some), "-1 samples");
    refused(mb_reservoir_add(reservoir, 1, NULL), "data is NULL");
    refused(mb_reservoir_add(reservoir, 1, some), "of 'y', is NULL");
    refused(mb_reservoir_set_shape(reservoir, "z", MB_INT32, 0, NULL), "before them");
    EXPECT(mb_context_destroy(context) == MB_ERR_ARGUMENT);
    EXPECT_OK(mb_reservoir_update(reservoir));
    EXPECT_OK(mb_reservoir_get(reservoir, "x", &count, &data));
    EXPECT(count == 0 && data == NULL);
    EXPECT_OK(mb_reservoir_destroy(reservoir));
    EXPECT_OK(mb_context_destroy(context));
}

static void ranks_that_differ_are_refused_and_may_go_on(void)
{
    mb_context_t *context = context_of(MPI_COMM_WORLD), *other = context_of(MPI_COMM_SELF);
    int last = cases_rank == cases_size - 1 && cases_size > 1;
    mb_trainer_t *trainer = NULL;
    mb_reservoir_t *reservoir = reservoir_of(context, "uniform", 5, (uint64_t)last);
    if (cases_size > 1)
        refused(mb_reservoir_update(reservoir), "not those of rank 0");
    EXPECT_OK(mb_reservoir_destroy(reservoir));
    reservoir = reservoir_of(context, "uniform", 5, 1);
    EXPECT_OK(mb_trainer_create(other, "start.h5", &trainer));
    refused(mb_trainer_set_reservoir(trainer, NULL), "reservoir is NULL");
    refused(mb_trainer_set_reservoir(NULL, reservoir), "trainer is NULL");
    refused(mb_trainer_set_reservoir(trainer, reservoir), "another context");
    EXPECT_OK(mb_trainer_destroy(trainer));
    EXPECT_OK(mb_context_destroy(other));
    trainer = trainer_of(context, reservoir);
    refused(mb_trainer_set_samples(trainer, "y", MB_INT32, 1, (const int64_t[1]){0}, NULL, NULL,
                                   MB_HOST),
            "use one of them");
    EXPECT(mb_trainer_start(trainer) == MB_ERR_DATA); /* of nothing yet */
    add(reservoir, cases_rank, 12);
    EXPECT_OK(mb_trainer_start(trainer));
    refused(mb_trainer_set_reservoir(trainer, reservoir), "has started");
    EXPECT_OK(mb_trainer_run(trainer));
    EXPECT_OK(mb_trainer_destroy(trainer));
    EXPECT_OK(mb_reservoir_destroy(reservoir));
    EXPECT_OK(mb_context_destroy(context));
}

static void nothing_was_leaked(void)
{
    EXPECT(!leaks_found());
}

/* Leaks are looked for before MPI ends. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "leak_check_at_exit=0";
}

int main(int argc, char **argv)
{
    static const case_t cases[] = {
#define CASE(name) {#name, name}
        CASE(what_is_kept_does_not_depend_on_who_had_it),
        CASE(the_newest_are_the_last_of_the_stream),
        CASE(each_part_of_the_stream_is_kept_as_often),
        CASE(training_on_a_stream_gives_the_same_bits_on_any_ranks),
        CASE(wrong_calls_are_refused),
        CASE(ranks_that_differ_are_refused_and_may_go_on),
        CASE(nothing_was_leaked),
    };
    const char *scratch = getenv("MB_SCRATCH");
    if (scratch == NULL || chdir(scratch) != 0) {
        fprintf(stderr, "MB_SCRATCH names no directory to work in\n");
        return 1;
    }
    return cases_main(argc, argv, cases, (int)(sizeof cases / sizeof cases[0]));
}
