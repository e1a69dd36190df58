/* What a step costs more where samples lie on several ranks: the same model trained on whole arrays
 * that every rank has, and on parts that each rank holds, in turns.
 *
 *     mpirun -np 2 bench/samples [ROUNDS]
 *
 * Prints the median of each, in milliseconds a step, the bytes a rank receives a step, and the
 * quotient. */
#include <mb/mb.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SAMPLES = 8192, INPUTS = 784, STEPS = 16, MOST = 101 };

static int rank, size;

static void check(mb_status_t status)
{
    if (status == MB_OK)
        return;
    fprintf(stderr, "rank %d: %s\n", rank, mb_error_message());
    MPI_Abort(MPI_COMM_WORLD, 1);
}

static mb_trainer_t *trainer_of(mb_context_t *context, const float *x, const int32_t *y, int held)
{
    mb_trainer_t *trainer;
    int64_t first = held ? (int64_t)SAMPLES * rank / size : 0;
    int64_t count = held ? (int64_t)SAMPLES * (rank + 1) / size - first : SAMPLES;
    const int64_t x_shape[2] = {count, INPUTS}, y_shape[1] = {count};
    check(mb_trainer_create(context, "samples.bench.h5", &trainer));
    check(mb_trainer_set(trainer, "batch", "128"));
    check(mb_trainer_set(trainer, "replicas", "2"));
    check(mb_trainer_set(trainer, "micro-batch", "64"));
    check(mb_trainer_set(trainer, "stages", "1"));
    check(mb_trainer_set(trainer, "threads", "1"));
    check(mb_trainer_set(trainer, "epochs", "1000"));
    if (!held) {
        check(mb_trainer_set_array(trainer, "x", MB_FLOAT32, 2, x_shape, x));
        check(mb_trainer_set_array(trainer, "y", MB_INT32, 1, y_shape, y));
    } else {
        check(mb_trainer_set_samples(trainer, "x", MB_FLOAT32, 2, x_shape, NULL, x + first * INPUTS,
                                     MB_HOST));
        check(mb_trainer_set_samples(trainer, "y", MB_INT32, 1, y_shape, NULL, y + first, MB_HOST));
    }
    check(mb_trainer_start(trainer));
    return trainer;
}

static double steps(mb_trainer_t *trainer)
{
    MPI_Barrier(MPI_COMM_WORLD);
    double begun = MPI_Wtime();
    for (int i = 0; i < STEPS; i++)
        check(mb_trainer_step(trainer, NULL, NULL));
    return (MPI_Wtime() - begun) / STEPS * 1e3;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int n)
{
    qsort(values, (size_t)n, sizeof *values, by_value);
    return values[n / 2];
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : 21, provided;
    double whole[MOST], held[MOST], received;
    float *x = malloc((size_t)SAMPLES * INPUTS * sizeof *x);
    int32_t *y = malloc(SAMPLES * sizeof *y);
    mb_context_t *context;
    rounds = rounds < 1 || rounds > MOST ? MOST : rounds;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    for (int64_t i = 0; i < (int64_t)SAMPLES * INPUTS; i++)
        x[i] = (float)(i * 7919 % 10007) / 10007.0F;
    for (int i = 0; i < SAMPLES; i++)
        y[i] = i % 10;
    check(mb_context_create(MPI_COMM_WORLD, &context));
    check(mb_model_create_preset(context, "mlp", "input=784 hidden=256,256", "samples.bench.h5"));
    mb_trainer_t *trainers[2] = {trainer_of(context, x, y, 0), trainer_of(context, x, y, 1)};
    for (int i = -1; i < rounds; i++) { /* once to warm up */
        double a = steps(trainers[0]), b = steps(trainers[1]);
        whole[i < 0 ? 0 : i] = a;
        held[i < 0 ? 0 : i] = b;
    }
    check(mb_trainer_get(trainers[1], "bytes_received", &received));
    double a = median(whole, rounds), b = median(held, rounds);
    if (rank == 0)
        printf(
            "%d ranks: whole arrays %.3f ms a step, samples where they lie %.3f ms (%.3f times), "
            "%.0f bytes received\n",
            size, a, b, b / a, received / ((rounds + 1) * STEPS));
    check(mb_trainer_destroy(trainers[0]));
    check(mb_trainer_destroy(trainers[1]));
    check(mb_context_destroy(context));
    MPI_Finalize();
    free(x);
    free(y);
    return 0;
}
