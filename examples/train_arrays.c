/* Trains a classifier from arrays that this program owns, saves it, and predicts with it.
 *
 *     mpirun -np 4 ./train_arrays
 *
 * Points of a square belong to one of two classes: inside a ring, or not. */
#include <mb/mb.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define SAMPLES 1024
#define CHECK(call)                                                                                \
    do {                                                                                           \
        if ((call) != MB_OK) {                                                                     \
            fprintf(stderr, "%s\n", mb_error_message());                                           \
            MPI_Abort(MPI_COMM_WORLD, 1);                                                          \
        }                                                                                          \
    } while (0)

static void make_points(float (*x)[2], int32_t *y)
{
    for (int i = 0; i < SAMPLES; i++) {
        x[i][0] = (float)fmod(i * 0.7548776662, 1.0) * 2 - 1;
        x[i][1] = (float)fmod(i * 0.5698402910, 1.0) * 2 - 1;
        float radius = hypotf(x[i][0], x[i][1]);
        y[i] = radius > 0.4f && radius < 0.9f;
    }
}

int main(int argc, char **argv)
{
    static float x[SAMPLES][2], logits[SAMPLES][2];
    static int32_t y[SAMPLES];
    const int64_t x_shape[2] = {SAMPLES, 2}, y_shape[1] = {SAMPLES};
    mb_context_t *context;
    mb_trainer_t *trainer;
    mb_predictor_t *predictor;
    double loss, step;
    int provided, rank, right = 0, done = 0;

    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    make_points(x, y);
    CHECK(mb_context_create(MPI_COMM_WORLD, &context));

    CHECK(mb_model_create_preset(context, "mlp", "input=2 hidden=32,32 classes=2", "ring.h5"));
    CHECK(mb_trainer_create(context, "ring.h5", &trainer));
    CHECK(mb_trainer_set(trainer, "epochs", "20"));
    CHECK(mb_trainer_set(trainer, "lr", "0.01"));
    CHECK(mb_trainer_set_array(trainer, "x", MB_FLOAT32, 2, x_shape, x));
    CHECK(mb_trainer_set_array(trainer, "y", MB_INT32, 1, y_shape, y));
    while (!done) {
        CHECK(mb_trainer_step(trainer, &loss, &done));
        CHECK(mb_trainer_get(trainer, "step", &step));
        if (rank == 0 && (done || (int)step % 100 == 0))
            printf("step %3.0f  loss %.9g\n", step, loss);
    }
    CHECK(mb_trainer_save(trainer, "ring-trained.h5", 1));
    CHECK(mb_trainer_destroy(trainer));

    CHECK(mb_predictor_create(context, "ring-trained.h5", &predictor));
    CHECK(mb_predictor_set_array(predictor, "x", MB_FLOAT32, 2, x_shape, x));
    CHECK(mb_predictor_set_output(predictor, "y", 2 * SAMPLES, &logits[0][0]));
    CHECK(mb_predictor_run(predictor));
    CHECK(mb_predictor_destroy(predictor));
    CHECK(mb_context_destroy(context));
    for (int i = 0; i < SAMPLES; i++)
        right += (logits[i][1] > logits[i][0]) == (y[i] == 1);
    if (rank == 0)
        printf("%d of %d points right; the model is in ring-trained.h5\n", right, SAMPLES);
    MPI_Finalize();
    return right > SAMPLES * 9 / 10 ? EXIT_SUCCESS : EXIT_FAILURE;
}
