/* A trained model inside a time step, on each rank by itself. After train_arrays, which makes the
 * file:
 *
 *     mpirun -np 2 ./infer ring-trained.h5 */
#include <mb/mb.h>
#include <stdio.h>

#define CHECK(call)                                                                                \
    if ((call) != MB_OK)                                                                           \
    return fprintf(stderr, "%s\n", mb_error_message()), MPI_Abort(MPI_COMM_WORLD, 1)

int main(int argc, char **argv)
{
    const int64_t shape[2] = {1, 2};
    float x[2] = {0, 0}, y[2];
    int provided, inside = 0, steps = 1000;
    mb_context_t *context;
    mb_predictor_t *predictor;

    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
    CHECK(mb_context_create(MPI_COMM_WORLD, &context));
    CHECK(mb_predictor_create(context, argc > 1 ? argv[1] : "ring-trained.h5", &predictor));
    CHECK(mb_predictor_set(predictor, "independent", "yes")); /* no call communicates */
    CHECK(mb_predictor_set(predictor, "batch", "1"));
    CHECK(mb_predictor_set(predictor, "threads", "1"));
    CHECK(mb_predictor_set_array(predictor, "x", MB_FLOAT32, 2, shape, x));
    CHECK(mb_predictor_set_output(predictor, "y", 2, y));
    CHECK(mb_predictor_start(predictor));
    double start = MPI_Wtime();
    for (int n = 0; n < steps; n++) {
        x[0] = 2.0f * (float)n / (float)steps - 1;
        CHECK(mb_predictor_run(predictor));
        inside += y[1] > y[0];
    }
    printf("%d of %d points are inside the ring; a prediction takes %.1f us\n", inside, steps,
           1e6 * (MPI_Wtime() - start) / steps);
    CHECK(mb_predictor_destroy(predictor));
    CHECK(mb_context_destroy(context));
    return MPI_Finalize();
}
