/* What a step costs through mb_trainer_step, beside the loop of the tool (mb_trainer_run), on one
 * model and its samples: rounds of steps in turns, their medians, and the difference in percent.
 * Also of mb_trainer_run_for, whose ranks agree on time.
 *
 * Usage: [mpirun -np N] api_step MODEL.h5 INPUT CLASSES BATCH STEPS ROUNDS */
#include <math.h>
#include <mb/mb.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/median.h"

enum { SAMPLES = 4096, MOST_ROUNDS = 64, WAYS = 3 };

static float *x;
static int32_t y[SAMPLES];
static int steps, rounds, rank, made;

static void check(mb_status_t status)
{
    if (status == MB_OK)
        return;
    fprintf(stderr, "api_step: %s\n", mb_error_message());
    MPI_Abort(MPI_COMM_WORLD, 1);
}

static mb_trainer_t *open_trainer(mb_context_t *context, char **argv)
{
    int64_t x_shape[2] = {SAMPLES, atoi(argv[2])}, y_shape[1] = {SAMPLES};
    mb_trainer_t *trainer;
    check(mb_trainer_create(context, argv[1], &trainer));
    check(mb_trainer_set(trainer, "batch", argv[4]));
    check(mb_trainer_set(trainer, "epochs", "1000000"));
    check(mb_trainer_set_array(trainer, "x", MB_FLOAT32, 2, x_shape, x));
    check(mb_trainer_set_array(trainer, "y", MB_INT32, 1, y_shape, y));
    check(mb_trainer_start(trainer));
    return trainer;
}

static void count(void *user, const mb_trainer_t *trainer)
{
    (void)trainer;
    if (++made == steps)
        check(mb_trainer_stop(user));
}

/* Seconds a step. The vote on the stop lets one more step pass. */
static double by_run(mb_trainer_t *trainer)
{
    double before, after, begun;
    made = 0;
    check(mb_trainer_get(trainer, "step", &before));
    check(mb_trainer_set_callback(trainer, count, trainer));
    begun = MPI_Wtime();
    if (mb_trainer_run(trainer) != MB_ERR_STOPPED)
        check(MB_ERR_INTERNAL);
    double took = MPI_Wtime() - begun;
    check(mb_trainer_set_callback(trainer, NULL, NULL));
    check(mb_trainer_get(trainer, "step", &after));
    return took / (after - before);
}

static double by_steps(mb_trainer_t *trainer)
{
    double begun = MPI_Wtime();
    for (int i = 0; i < steps; i++)
        check(mb_trainer_step(trainer, NULL, NULL));
    return (MPI_Wtime() - begun) / steps;
}

/* Long enough that each of its ends weighs as little. */
static double by_time(mb_trainer_t *trainer, double seconds)
{
    int64_t some;
    double begun = MPI_Wtime();
    check(mb_trainer_run_for(trainer, seconds, &some));
    return (MPI_Wtime() - begun) / (double)(some > 0 ? some : 1);
}

int main(int argc, char **argv)
{
    static double took[WAYS][MOST_ROUNDS];
    static const char *const names[WAYS] = {"mb_trainer_run", "mb_trainer_step",
                                            "mb_trainer_run_for"};
    mb_context_t *context;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    if (argc != 7 || atoi(argv[6]) > MOST_ROUNDS)
        MPI_Abort(MPI_COMM_WORLD, 2);
    steps = atoi(argv[5]);
    rounds = atoi(argv[6]);
    int64_t numbers = (int64_t)SAMPLES * atoi(argv[2]);
    x = malloc((size_t)numbers * sizeof *x);
    for (int64_t i = 0; i < numbers; i++)
        x[i] = (float)fmod((double)i * 0.7548776662, 1.0);
    for (int i = 0; i < SAMPLES; i++)
        y[i] = i % atoi(argv[3]);
    check(mb_context_create(MPI_COMM_WORLD, &context));
    mb_trainer_t *trainer = open_trainer(context, argv);
    by_steps(trainer);
    for (int i = 0; i < rounds; i++) {
        took[0][i] = by_run(trainer);
        took[1][i] = by_steps(trainer);
        took[2][i] = by_time(trainer, took[1][i] * steps);
    }
    double run = mb_median(took[0], rounds);
    for (int w = 0; w < WAYS && rank == 0; w++)
        printf("%-20s %9.2f us a step, %+.2f %%\n", names[w], mb_median(took[w], rounds) * 1e6,
               (mb_median(took[w], rounds) / run - 1) * 100);
    check(mb_trainer_destroy(trainer));
    check(mb_context_destroy(context));
    free(x);
    MPI_Finalize();
    return 0;
}
