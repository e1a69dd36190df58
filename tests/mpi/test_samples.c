/* Samples where they lie: each rank gives its own to a trainer, whoever computes. */
#define _GNU_SOURCE /* mkdtemp */
#include "device/device.h"
#include "mpi/cases.h"
#include "mpi/leaks.h"

#include <hdf5.h>
#include <mb/mb.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SAMPLES = 61, INPUTS = 3, CLASSES = 3, LARGE = 40000 };

static float x[SAMPLES][INPUTS];
static int32_t y[SAMPLES];

static void make_samples(void)
{
    for (int i = 0; i < SAMPLES; i++) {
        for (int k = 0; k < INPUTS; k++)
            x[i][k] = (float)fmod((i + 1) * (k + 1) * 0.7548776662, 1.0) * 2 - 1;
        y[i] = x[i][0] > 0.2f ? 0 : x[i][1] > x[i][2] ? 1 : 2;
    }
}

static void make_model(void)
{
    make_samples();
    if (cases_rank == 0) {
        EXPECT_OK(mb_model_create_preset(NULL, "mlp", "input=3 hidden=8,8 classes=3", "start.h5"));
        EXPECT_OK(mb_model_create_preset(NULL, "mlp", "input=40000 hidden=2 classes=2", "wide.h5"));
    }
    MPI_Barrier(MPI_COMM_WORLD);
}

static mb_context_t *context_of(MPI_Comm comm)
{
    mb_context_t *context = NULL;
    EXPECT_OK(mb_context_create(comm, &context));
    return context;
}

static void set_all(mb_trainer_t *trainer)
{
    EXPECT_OK(mb_trainer_set(trainer, "batch", "20"));
    EXPECT_OK(mb_trainer_set(trainer, "replicas", "2"));
    EXPECT_OK(mb_trainer_set(trainer, "micro-batch", "5"));
    EXPECT_OK(mb_trainer_set(trainer, "epochs", "2"));
    EXPECT_OK(mb_trainer_set(trainer, "partition", "counted"));
    EXPECT_OK(mb_trainer_set(trainer, "threads", "1"));
}

static mb_trainer_t *trainer_of(mb_context_t *context)
{
    mb_trainer_t *trainer = NULL;
    EXPECT_OK(mb_trainer_create(context, "start.h5", &trainer));
    set_all(trainer);
    return trainer;
}

static uint64_t finish(mb_trainer_t *trainer, mb_context_t *context, const char *path)
{
    uint64_t weights = 0, full = 0;
    EXPECT_OK(mb_trainer_run(trainer));
    EXPECT_OK(mb_trainer_save(trainer, path, 1));
    EXPECT_OK(mb_trainer_destroy(trainer));
    EXPECT_OK(mb_context_destroy(context));
    MPI_Barrier(MPI_COMM_WORLD); /* ranks that do not compute wait for the file */
    EXPECT_OK(mb_checkpoint_digest(path, &weights, &full));
    return full;
}

static void set_whole(mb_trainer_t *trainer)
{
    const int64_t x_shape[2] = {SAMPLES, INPUTS}, y_shape[1] = {SAMPLES};
    EXPECT_OK(mb_trainer_set_array(trainer, "x", MB_FLOAT32, 2, x_shape, x));
    EXPECT_OK(mb_trainer_set_array(trainer, "y", MB_INT32, 1, y_shape, y));
}

/* Of arrays that one rank alone has whole. */
static uint64_t alone(void)
{
    char path[32];
    mb_context_t *context = context_of(MPI_COMM_SELF);
    mb_trainer_t *trainer = trainer_of(context);
    set_whole(trainer);
    snprintf(path, sizeof path, "alone-%d.h5", cases_rank);
    return finish(trainer, context, path);
}

/* Samples FIRST to FIRST + COUNT - 1 of all are this rank's. */
static void set_part(mb_trainer_t *trainer, int64_t first, int64_t count)
{
    const int64_t x_shape[2] = {count, INPUTS}, y_shape[1] = {count};
    EXPECT_OK(mb_trainer_set_samples(trainer, "x", MB_FLOAT32, 2, x_shape, NULL,
                                     count == 0 ? NULL : x[first], MB_HOST));
    EXPECT_OK(mb_trainer_set_samples(trainer, "y", MB_INT32, 1, y_shape, NULL,
                                     count == 0 ? NULL : &y[first], MB_HOST));
}

/* How many of the samples are at ranks before RANK: 0: evenly; 1: all on rank 0; 2: all on the
 * last; 3: on every other rank. */
static int64_t before(int distribution, int rank)
{
    if (distribution == 1)
        return rank > 0 ? SAMPLES : 0;
    if (distribution == 2)
        return rank < cases_size ? 0 : SAMPLES;
    if (distribution == 3)
        rank = rank == cases_size ? rank : rank / 2 * 2;
    return (int64_t)SAMPLES * rank * rank / (cases_size * cases_size);
}

static void set_own(mb_trainer_t *trainer, int distribution)
{
    int64_t first = before(distribution, cases_rank);
    set_part(trainer, first, before(distribution, cases_rank + 1) - first);
}

static void any_distribution_over_ranks_gives_the_bits_of_one_array(void)
{
    make_model();
    uint64_t wanted = alone();
    for (int distribution = 0; distribution < 4; distribution++) {
        mb_context_t *context = context_of(MPI_COMM_WORLD);
        mb_trainer_t *trainer = trainer_of(context);
        set_own(trainer, distribution);
        EXPECT(finish(trainer, context, "held.h5") == wanted);
    }
}

/* Data of the same samples as a file, for the tool. */
static void write_data(void)
{
    const hsize_t x_dims[2] = {SAMPLES, INPUTS}, y_dims[1] = {SAMPLES};
    hid_t file = H5Fcreate("data.h5", H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    hid_t spaces[2] = {H5Screate_simple(2, x_dims, NULL), H5Screate_simple(1, y_dims, NULL)};
    hid_t sets[2] = {
        H5Dcreate2(file, "x", H5T_IEEE_F32LE, spaces[0], H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT),
        H5Dcreate2(file, "y", H5T_STD_I32LE, spaces[1], H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT)};
    EXPECT(H5Dwrite(sets[0], H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, x) >= 0);
    EXPECT(H5Dwrite(sets[1], H5T_NATIVE_INT32, H5S_ALL, H5S_ALL, H5P_DEFAULT, y) >= 0);
    for (int i = 0; i < 2; i++) {
        H5Dclose(sets[i]);
        H5Sclose(spaces[i]);
    }
    H5Fclose(file);
}

/* The others overwrite what they gave as soon as they may, and never call in between. */
static void half_of_the_ranks_train_on_the_samples_of_all(void)
{
    char ranks[32];
    float mine[SAMPLES][INPUTS];
    int compute = (cases_size + 1) / 2;
    double loss = 0, value = 0;
    int done = 0;
    make_model();
    uint64_t wanted = alone();
    if (cases_rank == 0)
        write_data();
    mb_context_t *context = context_of(MPI_COMM_WORLD);
    mb_trainer_t *trainer = trainer_of(context);
    snprintf(ranks, sizeof ranks, "0-%d", compute - 1);
    EXPECT_OK(mb_trainer_set(trainer, "ranks", ranks));
    int64_t first = before(0, cases_rank), count = before(0, cases_rank + 1) - first;
    memcpy(mine, x, sizeof mine);
    const int64_t x_shape[2] = {count, INPUTS}, y_shape[1] = {count};
    EXPECT_OK(mb_trainer_set_samples(trainer, "y", MB_INT32, 1, y_shape, NULL, &y[first], MB_HOST));
    EXPECT_OK(
        mb_trainer_set_samples(trainer, "x", MB_FLOAT32, 2, x_shape, NULL, mine[first], MB_HOST));
    EXPECT_OK(mb_trainer_start(trainer));
    EXPECT_OK(mb_trainer_get(trainer, "samples", &value));
    EXPECT(fabs(value - SAMPLES) < 0.5);
    if (cases_rank >= compute) {
        memset(mine, 0xff, sizeof mine);
        EXPECT_OK(mb_trainer_get(trainer, "step", &value));
        EXPECT(isnan(value));
        EXPECT_OK(mb_trainer_step(trainer, &loss, &done));
        EXPECT(isnan(loss) && done == 1);
        EXPECT_OK(mb_trainer_run(trainer));
        EXPECT_OK(mb_trainer_save(trainer, "of-four.h5", 1));
        EXPECT_OK(mb_trainer_destroy(trainer));
        EXPECT_OK(mb_context_destroy(context));
        MPI_Barrier(MPI_COMM_WORLD);
        return;
    }
    EXPECT(finish(trainer, context, "of-four.h5") == wanted);
}

static void contiguous_floats_are_not_copied(void)
{
    double copied = -1, received = -1;
    make_model();
    mb_context_t *context = context_of(MPI_COMM_WORLD);
    mb_trainer_t *trainer = trainer_of(context);
    set_own(trainer, 0);
    EXPECT_OK(mb_trainer_run(trainer));
    EXPECT_OK(mb_trainer_get(trainer, "bytes_copied", &copied));
    EXPECT_OK(mb_trainer_get(trainer, "bytes_received", &received));
    EXPECT(fabs(copied) < 0.5);
    EXPECT(cases_size > 1 || fabs(received) < 0.5);
    EXPECT_OK(mb_trainer_destroy(trainer));
    EXPECT_OK(mb_context_destroy(context));
}

/* x as doubles, from the last sample back, its elements in every second place of a column-major
 * array; labels as bytes. */
static void samples_of_any_strides_and_types_give_the_same_bits(void)
{
    static double columns[2 * INPUTS][SAMPLES];
    uint8_t labels[SAMPLES];
    double copied = -1;
    make_model();
    uint64_t wanted = alone();
    for (int i = 0; i < SAMPLES; i++) {
        labels[i] = (uint8_t)y[i];
        for (int k = 0; k < INPUTS; k++)
            columns[2 * k][SAMPLES - 1 - i] = (double)x[i][k];
    }
    int64_t first = before(0, cases_rank), count = before(0, cases_rank + 1) - first;
    const int64_t x_shape[2] = {count, INPUTS}, y_shape[1] = {count};
    const int64_t strides[2] = {-(int64_t)sizeof(double), 2 * SAMPLES * (int64_t)sizeof(double)};
    mb_context_t *context = context_of(MPI_COMM_WORLD);
    mb_trainer_t *trainer = trainer_of(context);
    EXPECT_OK(mb_trainer_set_samples(trainer, "x", MB_FLOAT64, 2, x_shape, strides,
                                     &columns[0][SAMPLES - 1 - (first < SAMPLES ? first : 0)],
                                     MB_HOST));
    EXPECT_OK(mb_trainer_set_samples(trainer, "y", MB_UINT8, 1, y_shape, NULL,
                                     &labels[first < SAMPLES ? first : 0], MB_HOST));
    EXPECT_OK(mb_trainer_step(trainer, NULL, NULL));
    EXPECT_OK(mb_trainer_get(trainer, "bytes_copied", &copied));
    EXPECT(copied > 0 || cases_size > 1);
    EXPECT(finish(trainer, context, "strided.h5") == wanted);
}

/* A sample of 160 KB goes by itself, from where it lies. */
static uint64_t train_wide(MPI_Comm comm, bool held, const char *path)
{
    static float wide[6][LARGE];
    static int32_t classes[6];
    mb_trainer_t *trainer = NULL;
    for (int64_t i = 0; i < 6 * LARGE; i++)
        wide[i / LARGE][i % LARGE] = (float)(i * 7 % 1009) / 1009.0F - (float)(i / LARGE) / 8.0F;
    for (int i = 0; i < 6; i++)
        classes[i] = i % 2;
    int64_t first = held ? (int64_t)6 * cases_rank / cases_size : 0;
    int64_t count = held ? (int64_t)6 * (cases_rank + 1) / cases_size - first : 6;
    const int64_t x_shape[2] = {count, LARGE}, y_shape[1] = {count};
    mb_context_t *context = context_of(comm);
    EXPECT_OK(mb_trainer_create(context, "wide.h5", &trainer));
    EXPECT_OK(mb_trainer_set(trainer, "batch", "4"));
    EXPECT_OK(mb_trainer_set(trainer, "micro-batch", "4"));
    EXPECT_OK(mb_trainer_set(trainer, "replicas", "1"));
    EXPECT_OK(mb_trainer_set(trainer, "partition", "counted"));
    EXPECT_OK(mb_trainer_set_samples(trainer, "x", MB_FLOAT32, 2, x_shape, NULL,
                                     wide[first < 6 ? first : 0], MB_HOST));
    EXPECT_OK(mb_trainer_set_samples(trainer, "y", MB_INT32, 1, y_shape, NULL,
                                     &classes[first < 6 ? first : 0], MB_HOST));
    return finish(trainer, context, path);
}

static void large_samples_go_from_where_they_lie(void)
{
    char path[32];
    make_model();
    snprintf(path, sizeof path, "wide-%d.h5", cases_rank);
    uint64_t wanted = train_wide(MPI_COMM_SELF, false, path);
    EXPECT(train_wide(MPI_COMM_WORLD, true, "wide.out.h5") == wanted);
}

/* The simulated GPU, whose memory the host must not touch. */
typedef struct {
    mb_device_t *device;
    mb_exec_t exec;
    void *x, *y;
} gpu_t;

static void *upload(gpu_t *gpu, const void *from, size_t bytes)
{
    void *memory = NULL;
    EXPECT_OK(mb_device_alloc(gpu->device, bytes, &memory));
    EXPECT_OK(mb_exec_copy(&gpu->exec, memory, from, bytes, MB_COPY_TO_DEVICE));
    EXPECT_OK(mb_exec_sync(&gpu->exec));
    return memory;
}

static void open_gpu(gpu_t *gpu)
{
    const mb_device_options_t options = {.size = sizeof options, .index = cases_rank};
    EXPECT_OK(mb_device_open("cudasim", &options, &gpu->device));
    EXPECT_OK(mb_exec_create(gpu->device, &gpu->exec));
    EXPECT_OK(mb_exec_allocate(&gpu->exec));
    gpu->x = upload(gpu, x, sizeof x);
    gpu->y = upload(gpu, y, sizeof y);
}

static void close_gpu(gpu_t *gpu)
{
    mb_device_free(gpu->device, gpu->x);
    mb_device_free(gpu->device, gpu->y);
    mb_exec_destroy(&gpu->exec);
    mb_device_close(gpu->device);
}

static uint64_t train_on_gpu(const gpu_t *gpu, const char *path)
{
    double copied = -1;
    int64_t first = gpu == NULL ? 0 : before(0, cases_rank);
    int64_t count = gpu == NULL ? SAMPLES : before(0, cases_rank + 1) - first;
    const int64_t x_shape[2] = {count, INPUTS}, y_shape[1] = {count};
    mb_context_t *context = context_of(gpu == NULL ? MPI_COMM_SELF : MPI_COMM_WORLD);
    mb_trainer_t *trainer = trainer_of(context);
    EXPECT_OK(mb_trainer_set(trainer, "device", "cudasim"));
    EXPECT_OK(mb_trainer_set(trainer, "epochs", "1"));
    const float *x_at = gpu == NULL ? &x[0][0] : (const float *)gpu->x + first * INPUTS;
    const int32_t *y_at = gpu == NULL ? y : (const int32_t *)gpu->y + first;
    mb_where_t where = gpu == NULL ? MB_HOST : MB_DEVICE;
    EXPECT_OK(mb_trainer_set_samples(trainer, "x", MB_FLOAT32, 2, x_shape, NULL, x_at, where));
    EXPECT_OK(mb_trainer_set_samples(trainer, "y", MB_INT32, 1, y_shape, NULL, y_at, where));
    EXPECT_OK(mb_trainer_run(trainer));
    EXPECT_OK(mb_trainer_get(trainer, "bytes_copied", &copied));
    EXPECT(gpu == NULL ? fabs(copied) < 0.5 : copied > 0 || count == 0);
    return finish(trainer, context, path);
}

static void samples_in_a_devices_memory_give_the_bits_of_the_hosts(void)
{
    char path[32];
    gpu_t gpu;
    const char *devices = getenv("MB_CUDASIM_DEVICES");
    if (devices == NULL || cases_size > 2)
        return; /* the script says that there is none */
    make_model();
    snprintf(path, sizeof path, "host-%d.h5", cases_rank);
    uint64_t wanted = train_on_gpu(NULL, path);
    open_gpu(&gpu);
    EXPECT(train_on_gpu(&gpu, "gpu.h5") == wanted);
    close_gpu(&gpu);
}

/* Weights of samples are asked for by the whole batch; the last tenth is held out. */
static uint64_t train_weighted(MPI_Comm comm, bool held, const char *path, double *val_loss)
{
    float weights[SAMPLES];
    for (int i = 0; i < SAMPLES; i++)
        weights[i] = (float)(i % 4) / 2.0F;
    int64_t first = held ? before(0, cases_rank) : 0;
    int64_t count = held ? before(0, cases_rank + 1) - first : SAMPLES;
    const int64_t shape[1] = {count};
    mb_context_t *context = context_of(comm);
    mb_trainer_t *trainer = trainer_of(context);
    EXPECT_OK(mb_trainer_set(trainer, "val-split", "10%"));
    set_part(trainer, first, count);
    EXPECT_OK(mb_trainer_set_samples(trainer, "sample_weight", MB_FLOAT32, 1, shape, NULL,
                                     &weights[first < SAMPLES ? first : 0], MB_HOST));
    EXPECT_OK(mb_trainer_run(trainer));
    EXPECT_OK(mb_trainer_get(trainer, "val_loss", val_loss));
    return finish(trainer, context, path);
}

static void weights_and_validation_are_those_of_one_rank(void)
{
    char path[32];
    double one = 0, all = 1;
    make_model();
    snprintf(path, sizeof path, "weighted-%d.h5", cases_rank);
    uint64_t wanted = train_weighted(MPI_COMM_SELF, false, path, &one);
    EXPECT(train_weighted(MPI_COMM_WORLD, true, "weighted.h5", &all) == wanted);
    EXPECT(memcmp(&one, &all, sizeof one) == 0);
}

/* Two rounds, of the first 40 samples and of the last 30, and a step of the first in between. */
static uint64_t train_rounds(MPI_Comm comm, bool held, const char *ranks, const char *path)
{
    double epoch = 0, step = 0, total = 0;
    float mine[SAMPLES][INPUTS];
    mb_context_t *context = context_of(comm);
    mb_trainer_t *trainer = trainer_of(context);
    int64_t cut = held ? 40 * cases_rank / cases_size : 0;
    int64_t end = held ? 40 * (cases_rank + 1) / cases_size : 40;
    memcpy(mine, x, sizeof mine);
    if (ranks != NULL)
        EXPECT_OK(mb_trainer_set(trainer, "ranks", ranks));
    set_part(trainer, cut, end - cut);
    const int64_t shape[2] = {end - cut, INPUTS};
    EXPECT_OK(mb_trainer_set_samples(trainer, "x", MB_FLOAT32, 2, shape, NULL, mine[cut], MB_HOST));
    EXPECT_OK(mb_trainer_step(trainer, NULL, NULL));
    cut = held ? (int64_t)31 + 30 * cases_rank * cases_rank / (cases_size * cases_size) : 31;
    end = held ? (int64_t)31 + 30 * (cases_rank + 1) * (cases_rank + 1) / (cases_size * cases_size)
               : 61;
    set_part(trainer, cut, end - cut);
    EXPECT_OK(mb_trainer_renew(trainer));
    memset(mine, 0xff, sizeof mine); /* the old ones are ours again */
    EXPECT_OK(mb_trainer_run(trainer));
    EXPECT_OK(mb_trainer_get(trainer, "epoch", &epoch));
    EXPECT_OK(mb_trainer_get(trainer, "step", &step));
    EXPECT_OK(mb_trainer_get(trainer, "total_steps", &total));
    /* The first epoch was cut short; two more of two steps each. */
    EXPECT(isnan(step) || (fabs(epoch - 3) < 0.5 && fabs(step - 5) < 0.5 && fabs(total - 5) < 0.5));
    return finish(trainer, context, path);
}

static void other_samples_go_on_with_the_weights_in_memory(void)
{
    char path[32], last[16];
    make_model();
    snprintf(path, sizeof path, "rounds-%d.h5", cases_rank);
    snprintf(last, sizeof last, "%d", cases_size - 1);
    uint64_t wanted = train_rounds(MPI_COMM_SELF, false, NULL, path);
    EXPECT(train_rounds(MPI_COMM_WORLD, true, NULL, "rounds.h5") == wanted);
    EXPECT(train_rounds(MPI_COMM_WORLD, true, last, "rounds.h5") == wanted);
}

static void refused(mb_status_t status, mb_status_t wanted, const char *words)
{
    EXPECT(status == wanted);
    EXPECT(strstr(mb_error_message(), words) != NULL);
}

static void what_ranks_give_differently_is_refused(void)
{
    const int64_t x_shape[2] = {4, INPUTS}, two[2] = {4, 2}, y_shape[1] = {4}, five[1] = {5};
    int last = cases_size - 1;
    if (last == 0)
        return;
    make_model();
    mb_context_t *context = context_of(MPI_COMM_WORLD);
    mb_trainer_t *trainer = trainer_of(context);
    EXPECT_OK(mb_trainer_set_samples(trainer, "y", MB_INT32, 1, y_shape, NULL, y, MB_HOST));
    EXPECT_OK(mb_trainer_set_samples(trainer, "x", MB_FLOAT32, 2,
                                     cases_rank == last ? two : x_shape, NULL, x, MB_HOST));
    refused(mb_trainer_start(trainer), MB_ERR_SHAPE, "'x' of shape (2,), float32");
    EXPECT_OK(mb_trainer_set_samples(trainer, "x", MB_FLOAT32, 2, x_shape, NULL, x, MB_HOST));
    EXPECT_OK(mb_trainer_set_samples(trainer, "y", MB_INT32, 1, cases_rank == last ? five : y_shape,
                                     NULL, y, MB_HOST));
    refused(mb_trainer_start(trainer), MB_ERR_SHAPE, "as many for each name");
    EXPECT_OK(mb_trainer_set_samples(trainer, "y", MB_INT32, 1, y_shape, NULL, y, MB_HOST));
    EXPECT_OK(mb_trainer_set(trainer, "ranks", cases_rank == last ? "0" : "1"));
    refused(mb_trainer_start(trainer), MB_ERR_ARGUMENT, "settings are not those of rank 0");
    EXPECT_OK(mb_trainer_set(trainer, "ranks", "1"));
    EXPECT_OK(mb_trainer_start(trainer));
    EXPECT_OK(mb_trainer_destroy(trainer));
    EXPECT_OK(mb_context_destroy(context));
}

static void a_device_that_is_not_there_is_refused_with_what_to_do(void)
{
    const int64_t x_shape[2] = {4, INPUTS}, y_shape[1] = {4}, gaps[2] = {8 * INPUTS, 8};
    if (mb_device_count("cuda") > 0)
        return; /* on a node with GPUs there is one */
    make_model();
    mb_context_t *context = context_of(MPI_COMM_WORLD);
    mb_trainer_t *trainer = trainer_of(context);
    EXPECT_OK(mb_trainer_set_samples(trainer, "x", MB_FLOAT32, 2, x_shape, NULL, x, MB_DEVICE));
    EXPECT_OK(mb_trainer_set_samples(trainer, "y", MB_INT32, 1, y_shape, NULL, y, MB_HOST));
    refused(mb_trainer_start(trainer), MB_ERR_UNSUPPORTED, "give them as MB_HOST");
    EXPECT_OK(mb_trainer_set_samples(trainer, "x", MB_FLOAT32, 2, x_shape, gaps, x, MB_DEVICE));
    refused(mb_trainer_start(trainer), MB_ERR_UNSUPPORTED, "gaps between their elements");
    EXPECT_OK(mb_trainer_destroy(trainer));
    EXPECT_OK(mb_context_destroy(context));
}

static void samples_that_none_has_and_wrong_ones_are_refused(void)
{
    const int64_t none[2] = {0, INPUTS}, no_label[1] = {0};
    make_model();
    mb_context_t *context = context_of(MPI_COMM_WORLD);
    mb_trainer_t *trainer = trainer_of(context);
    EXPECT_OK(mb_trainer_set_samples(trainer, "x", MB_FLOAT32, 2, none, NULL, NULL, MB_HOST));
    EXPECT_OK(mb_trainer_set_samples(trainer, "y", MB_INT32, 1, no_label, NULL, NULL, MB_HOST));
    refused(mb_trainer_start(trainer), MB_ERR_DATA, "no rank holds any samples");
    refused(mb_trainer_set_samples(trainer, "x", MB_FLOAT32, 2, NULL, NULL, x, MB_HOST),
            MB_ERR_ARGUMENT, "shape is NULL");
    refused(mb_trainer_set_samples(trainer, NULL, MB_FLOAT32, 2, none, NULL, x, MB_HOST),
            MB_ERR_ARGUMENT, "name is NULL");
    refused(mb_trainer_set_samples(NULL, "x", MB_FLOAT32, 2, none, NULL, x, MB_HOST),
            MB_ERR_ARGUMENT, "trainer is NULL");
    refused(mb_trainer_set_samples(trainer, "x", (mb_type_t)77, 2, none, NULL, x, MB_HOST),
            MB_ERR_ARGUMENT, "no mb_type_t");
    refused(mb_trainer_set_samples(trainer, "x", MB_FLOAT32, 2, none, NULL, x, (mb_where_t)7),
            MB_ERR_ARGUMENT, "no mb_where_t");
    refused(mb_trainer_set_samples(trainer, "x", MB_FLOAT32, 0, none, NULL, x, MB_HOST),
            MB_ERR_ARGUMENT, "dimensions");
    refused(mb_trainer_set(trainer, "ranks", "0-"), MB_ERR_ARGUMENT, "ranks=0-");
    refused(mb_trainer_set(trainer, "ranks", "99"), MB_ERR_ARGUMENT, "from 0 to");
    refused(mb_trainer_set(trainer, "ranks", ""), MB_ERR_ARGUMENT, "as in 0-3,6");
    set_own(trainer, 0);
    set_whole(trainer);
    refused(mb_trainer_start(trainer), MB_ERR_ARGUMENT, "use one of them");
    EXPECT_OK(mb_trainer_destroy(trainer));
    trainer = trainer_of(context);
    set_own(trainer, 0);
    EXPECT_OK(mb_trainer_start(trainer));
    refused(mb_trainer_set_samples(trainer, "x", MB_FLOAT64, 2, none, NULL, x, MB_HOST),
            MB_ERR_SHAPE, "only their number changes");
    refused(mb_trainer_set_samples(trainer, "z", MB_FLOAT32, 2, none, NULL, x, MB_HOST),
            MB_ERR_SHAPE, "only their number changes");
    refused(mb_trainer_set(trainer, "ranks", "0"), MB_ERR_ARGUMENT, "has started");
    EXPECT_OK(mb_trainer_destroy(trainer));
    EXPECT_OK(mb_context_destroy(context));
}

static void renewing_is_refused_where_it_means_nothing(void)
{
    const int64_t none[2] = {0, INPUTS}, no_label[1] = {0};
    make_model();
    mb_context_t *context = context_of(MPI_COMM_WORLD);
    mb_trainer_t *trainer = trainer_of(context);
    refused(mb_trainer_renew(NULL), MB_ERR_ARGUMENT, "trainer is NULL");
    set_whole(trainer);
    refused(mb_trainer_renew(trainer), MB_ERR_ARGUMENT, "has not started");
    EXPECT_OK(mb_trainer_start(trainer));
    refused(mb_trainer_renew(trainer), MB_ERR_ARGUMENT, "data that do not change");
    refused(mb_trainer_set_samples(trainer, "x", MB_FLOAT32, 2, none, NULL, NULL, MB_HOST),
            MB_ERR_ARGUMENT, "has started");
    EXPECT_OK(mb_trainer_destroy(trainer));
    trainer = trainer_of(context);
    EXPECT_OK(mb_trainer_set(trainer, "run", "renewed.run"));
    set_own(trainer, 0);
    EXPECT_OK(mb_trainer_start(trainer));
    refused(mb_trainer_renew(trainer), MB_ERR_UNSUPPORTED, "setting 'run'");
    EXPECT_OK(mb_trainer_destroy(trainer));
    trainer = trainer_of(context);
    set_own(trainer, 0);
    EXPECT_OK(mb_trainer_step(trainer, NULL, NULL));
    EXPECT_OK(mb_trainer_set_samples(trainer, "x", MB_FLOAT32, 2, none, NULL, NULL, MB_HOST));
    EXPECT_OK(mb_trainer_set_samples(trainer, "y", MB_INT32, 1, no_label, NULL, NULL, MB_HOST));
    refused(mb_trainer_renew(trainer), MB_ERR_DATA, "no rank holds any samples");
    refused(mb_trainer_step(trainer, NULL, NULL), MB_ERR_ARGUMENT, "has no samples");
    set_own(trainer, 0);
    EXPECT_OK(mb_trainer_renew(trainer));
    EXPECT_OK(mb_trainer_step(trainer, NULL, NULL));
    EXPECT_OK(mb_trainer_destroy(trainer));
    EXPECT_OK(mb_context_destroy(context));
}

/* Everyone gets one message that names whose sample it is; then all begin anew. */
static void a_sample_that_is_no_number_is_named_with_its_rank(void)
{
    char words[64];
    make_model();
    mb_context_t *context = context_of(MPI_COMM_WORLD);
    mb_trainer_t *trainer = trainer_of(context);
    int last = cases_size - 1;
    int64_t first = before(0, last);
    x[first + 2][1] = NAN;
    set_own(trainer, 0);
    mb_status_t status = mb_trainer_run(trainer);
    EXPECT(status == MB_ERR_DATA || status == MB_ERR_PEER);
    snprintf(words, sizeof words, "rank %d's samples 'x': sample 2", last);
    EXPECT(strstr(mb_error_message(), words) != NULL);
    EXPECT_OK(mb_trainer_destroy(trainer));
    EXPECT_OK(mb_context_destroy(context));
    make_samples();
    context = context_of(MPI_COMM_WORLD);
    trainer = trainer_of(context);
    set_own(trainer, 0);
    EXPECT_OK(mb_trainer_step(trainer, NULL, NULL));
    EXPECT_OK(mb_trainer_destroy(trainer));
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
        CASE(any_distribution_over_ranks_gives_the_bits_of_one_array),
        CASE(half_of_the_ranks_train_on_the_samples_of_all),
        CASE(contiguous_floats_are_not_copied),
        CASE(samples_of_any_strides_and_types_give_the_same_bits),
        CASE(large_samples_go_from_where_they_lie),
        CASE(samples_in_a_devices_memory_give_the_bits_of_the_hosts),
        CASE(weights_and_validation_are_those_of_one_rank),
        CASE(other_samples_go_on_with_the_weights_in_memory),
        CASE(what_ranks_give_differently_is_refused),
        CASE(a_device_that_is_not_there_is_refused_with_what_to_do),
        CASE(samples_that_none_has_and_wrong_ones_are_refused),
        CASE(renewing_is_refused_where_it_means_nothing),
        CASE(a_sample_that_is_no_number_is_named_with_its_rank),
        CASE(nothing_was_leaked),
    };
    const char *scratch = getenv("MB_SCRATCH");
    if (scratch == NULL || chdir(scratch) != 0) {
        fprintf(stderr, "MB_SCRATCH names no directory to work in\n");
        return 1;
    }
    return cases_main(argc, argv, cases, (int)(sizeof cases / sizeof cases[0]));
}
