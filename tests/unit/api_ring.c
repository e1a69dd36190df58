#include "unit/api_ring.h"

#include "mpi/leaks.h"

#include <hdf5.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

float ring_x[RING_SAMPLES][2];
int32_t ring_y[RING_SAMPLES];
const int64_t ring_x_shape[2] = {RING_SAMPLES, 2}, ring_y_shape[1] = {RING_SAMPLES};
mb_context_t *ring_context;
static char folder[256];

static void fill(void)
{
    for (int i = 0; i < RING_SAMPLES; i++) {
        ring_x[i][0] = (float)fmod(i * 0.7548776662, 1.0) * 2 - 1;
        ring_x[i][1] = (float)fmod(i * 0.5698402910, 1.0) * 2 - 1;
        float radius = hypotf(ring_x[i][0], ring_x[i][1]);
        ring_y[i] = radius > 0.4f && radius < 0.9f;
    }
}

void ring_begin(void)
{
    const char *where = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/mb-api.XXXXXX", where == NULL ? "/tmp" : where);
    ck_assert_ptr_nonnull(mkdtemp(folder));
    ck_assert_int_eq(chdir(folder), 0);
    fill();
    OK(mb_context_create(MPI_COMM_SELF, &ring_context));
    OK(mb_model_create_preset(ring_context, "mlp", "input=2 hidden=8 classes=2 seed=3", "ring.h5"));
}

void ring_end(void)
{
    char command[320];
    mb_context_destroy(ring_context);
    ck_assert_int_eq(chdir("/"), 0);
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    ck_assert_int_eq(system(command), 0);
}

void ring_refused(mb_status_t found, mb_status_t wanted, const char *part, const char *call)
{
    ck_assert_msg(found == wanted, "%s: status %d instead of %d (%s)", call, (int)found,
                  (int)wanted, mb_error_message());
    ck_assert_msg(strstr(mb_error_message(), part) != NULL, "%s: '%s' is not in '%s'", call, part,
                  mb_error_message());
}

mb_trainer_t *ring_trainer_without(const char *epochs)
{
    mb_trainer_t *trainer = NULL;
    OK(mb_trainer_create(ring_context, "ring.h5", &trainer));
    OK(mb_trainer_set(trainer, "batch", "16"));
    OK(mb_trainer_set(trainer, "lr", "0.02"));
    OK(mb_trainer_set(trainer, "epochs", epochs));
    return trainer;
}

mb_trainer_t *ring_trainer(const char *epochs)
{
    mb_trainer_t *trainer = ring_trainer_without(epochs);
    OK(mb_trainer_set_array(trainer, "x", MB_FLOAT32, 2, ring_x_shape, ring_x));
    OK(mb_trainer_set_array(trainer, "y", MB_INT32, 1, ring_y_shape, ring_y));
    return trainer;
}

mb_predictor_t *ring_predictor(const char *model, float (*logits)[2])
{
    mb_predictor_t *predictor = NULL;
    OK(mb_predictor_create(ring_context, model, &predictor));
    OK(mb_predictor_set_array(predictor, "x", MB_FLOAT32, 2, ring_x_shape, ring_x));
    OK(mb_predictor_set_array(predictor, "y", MB_INT32, 1, ring_y_shape, ring_y));
    OK(mb_predictor_set_output(predictor, "y", 2 * (int64_t)RING_SAMPLES, &logits[0][0]));
    return predictor;
}

uint64_t ring_digest(const char *path)
{
    uint64_t weights = 0, full = 0;
    OK(mb_checkpoint_digest(path, &weights, &full));
    return full;
}

double ring_number(const mb_trainer_t *trainer, const char *name)
{
    double value = 0;
    OK(mb_trainer_get(trainer, name, &value));
    return value;
}

static void put(hid_t file, const char *name, hid_t type, int rank, const hsize_t *shape,
                const void *data)
{
    hid_t space = H5Screate_simple(rank, shape, NULL);
    hid_t set = H5Dcreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    ck_assert_int_ge(H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data), 0);
    H5Dclose(set);
    H5Sclose(space);
}

void ring_write_data(const char *path)
{
    const hsize_t shape[2] = {RING_SAMPLES, 2};
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    put(file, "x", H5T_NATIVE_FLOAT, 2, shape, ring_x);
    put(file, "y", H5T_NATIVE_INT32, 1, shape, ring_y);
    ck_assert_int_ge(H5Fclose(file), 0);
}

/* Leaks are looked for before MPI ends. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "leak_check_at_exit=0";
}

/* MPI runs through all cases, so they share one process. */
int ring_main(int argc, char **argv, Suite *suite)
{
    leaks_mpi_init(&argc, &argv);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    failed += failed == 0 && leaks_found();
    MPI_Finalize();
    return failed == 0 ? 0 : 1;
}
