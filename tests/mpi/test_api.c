/* The public library on several ranks: communicators of the host program's, failures of one rank.
 */
#define _GNU_SOURCE /* mkdtemp */
#include "mpi/cases.h"
#include "mpi/leaks.h"

#include <mb/mb.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SAMPLES = 200, INPUTS = 3, CLASSES = 3 };

static float x[SAMPLES][INPUTS], logits[SAMPLES][CLASSES], logits_alone[SAMPLES][CLASSES];
static int32_t y[SAMPLES];
static const int64_t x_shape[2] = {SAMPLES, INPUTS}, y_shape[1] = {SAMPLES};

static void make_samples(void)
{
    for (int i = 0; i < SAMPLES; i++) {
        for (int k = 0; k < INPUTS; k++)
            x[i][k] = (float)fmod((i + 1) * (k + 1) * 0.7548776662, 1.0) * 2 - 1;
        y[i] = x[i][0] > 0.2f ? 0 : x[i][1] > x[i][2] ? 1 : 2;
    }
}

static mb_context_t *context_of(MPI_Comm comm)
{
    mb_context_t *context = NULL;
    EXPECT_OK(mb_context_create(comm, &context));
    return context;
}

/* Two replicas of micro-batches of 5: the same computation on any ranks. */
static mb_trainer_t *trainer_of(mb_context_t *context)
{
    mb_trainer_t *trainer = NULL;
    EXPECT_OK(mb_trainer_create(context, "start.h5", &trainer));
    EXPECT_OK(mb_trainer_set(trainer, "batch", "20"));
    EXPECT_OK(mb_trainer_set(trainer, "replicas", "2"));
    EXPECT_OK(mb_trainer_set(trainer, "micro-batch", "5"));
    EXPECT_OK(mb_trainer_set_array(trainer, "x", MB_FLOAT32, 2, x_shape, x));
    EXPECT_OK(mb_trainer_set_array(trainer, "y", MB_INT32, 1, y_shape, y));
    return trainer;
}

static void make_model(void)
{
    make_samples();
    if (cases_rank == 0)
        EXPECT_OK(mb_model_create_preset(NULL, "mlp", "input=3 hidden=8,8 classes=3", "start.h5"));
    MPI_Barrier(MPI_COMM_WORLD);
}

static uint64_t train(MPI_Comm comm, const char *path)
{
    uint64_t weights = 0, full = 0;
    mb_context_t *context = context_of(comm);
    mb_trainer_t *trainer = trainer_of(context);
    EXPECT_OK(mb_trainer_run(trainer));
    EXPECT_OK(mb_trainer_save(trainer, path, 1));
    EXPECT_OK(mb_trainer_destroy(trainer));
    EXPECT_OK(mb_context_destroy(context));
    EXPECT_OK(mb_checkpoint_digest(path, &weights, &full));
    return full;
}

/* Halves train at the same time, each in its own file. */
static void halves_and_all_and_one_alone_come_to_the_same_bits(void)
{
    char path[32];
    MPI_Comm half, backwards;
    make_model();
    snprintf(path, sizeof path, "alone-%d.h5", cases_rank);
    uint64_t alone = train(MPI_COMM_SELF, path);
    MPI_Comm_split(MPI_COMM_WORLD, cases_rank % 2, cases_rank, &half);
    snprintf(path, sizeof path, "half-%d.h5", cases_rank % 2);
    EXPECT(train(half, path) == alone);
    EXPECT(train(MPI_COMM_WORLD, "all.h5") == alone);
    MPI_Comm_split(MPI_COMM_WORLD, 0, -cases_rank, &backwards);
    EXPECT(train(backwards, "backwards.h5") == alone);
    MPI_Comm_free(&half);
    MPI_Comm_free(&backwards);
}

static void messages_of_the_program_arrive_where_they_should(void)
{
    int sent = 100 + cases_rank, received = -1;
    int next = (cases_rank + 1) % cases_size, last = (cases_rank + cases_size - 1) % cases_size;
    MPI_Request request;
    make_model();
    MPI_Irecv(&received, 1, MPI_INT, MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &request);
    train(MPI_COMM_WORLD, "all.h5");
    EXPECT(received == -1);
    MPI_Barrier(MPI_COMM_WORLD);
    MPI_Send(&sent, 1, MPI_INT, next, 32000, MPI_COMM_WORLD);
    MPI_Wait(&request, MPI_STATUS_IGNORE);
    EXPECT(received == 100 + last);
}

static void a_context_outlives_the_communicator_it_was_made_of(void)
{
    MPI_Comm comm;
    make_model();
    MPI_Comm_dup(MPI_COMM_WORLD, &comm);
    mb_context_t *context = context_of(comm);
    MPI_Comm_free(&comm);
    mb_trainer_t *trainer = trainer_of(context);
    EXPECT_OK(mb_trainer_step(trainer, NULL, NULL));
    EXPECT_OK(mb_trainer_destroy(trainer));
    EXPECT_OK(mb_context_destroy(context));
}

static int same_everywhere(double value)
{
    double first = value;
    MPI_Bcast(&first, 1, MPI_DOUBLE, 0, MPI_COMM_WORLD);
    return first == value;
}

static void every_rank_gets_the_numbers(void)
{
    static const char *const names[] = {"step",   "loss",     "accuracy", "lr",
                                        "stages", "replicas", "epoch",    "val_loss"};
    double loss = 0, value;
    make_model();
    mb_context_t *context = context_of(MPI_COMM_WORLD);
    mb_trainer_t *trainer = trainer_of(context);
    EXPECT_OK(mb_trainer_set(trainer, "val-split", "0.1"));
    EXPECT_OK(mb_trainer_step(trainer, &loss, NULL));
    EXPECT(isfinite(loss) && same_everywhere(loss));
    EXPECT_OK(mb_trainer_run(trainer));
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        value = NAN;
        EXPECT_OK(mb_trainer_get(trainer, names[i], &value));
        EXPECT(isfinite(value) && same_everywhere(value));
    }
    EXPECT_OK(mb_trainer_destroy(trainer));
    EXPECT_OK(mb_context_destroy(context));
}

static void predict(MPI_Comm comm, const char *stages, float *values)
{
    double loss = 0;
    mb_predictor_t *predictor;
    mb_context_t *context = context_of(comm);
    EXPECT_OK(mb_predictor_create(context, "start.h5", &predictor));
    EXPECT_OK(mb_predictor_set(predictor, "stages", stages));
    EXPECT_OK(mb_predictor_set(predictor, "batch", "3"));
    EXPECT_OK(mb_predictor_set_array(predictor, "x", MB_FLOAT32, 2, x_shape, x));
    EXPECT_OK(mb_predictor_set_array(predictor, "y", MB_INT32, 1, y_shape, y));
    EXPECT_OK(mb_predictor_set_output(predictor, "y", (int64_t)SAMPLES * CLASSES, values));
    EXPECT_OK(mb_predictor_run(predictor));
    EXPECT_OK(mb_predictor_evaluate(predictor));
    EXPECT_OK(mb_predictor_get(predictor, "loss", &loss));
    EXPECT(loss > 0 && same_everywhere(loss));
    EXPECT_OK(mb_predictor_destroy(predictor));
    EXPECT_OK(mb_context_destroy(context));
}

static void every_rank_gets_all_predictions(void)
{
    make_model();
    predict(MPI_COMM_SELF, "1", &logits_alone[0][0]);
    for (int stages = 1; stages <= cases_size && stages <= 3; stages++) {
        char text[8];
        snprintf(text, sizeof text, "%d", stages);
        memset(logits, 0, sizeof logits);
        predict(MPI_COMM_WORLD, text, &logits[0][0]);
        EXPECT(memcmp(logits, logits_alone, sizeof logits) == 0);
    }
}

static void arrays_that_differ_between_ranks_are_refused_on_all(void)
{
    make_model();
    mb_context_t *context = context_of(MPI_COMM_WORLD);
    mb_trainer_t *trainer = trainer_of(context);
    if (cases_rank == cases_size - 1)
        x[SAMPLES - 1][0] += 1;
    if (cases_size > 1) {
        EXPECT(mb_trainer_start(trainer) == MB_ERR_ARGUMENT);
        EXPECT(strstr(mb_error_message(), "arrays") != NULL);
    }
    make_samples();
    EXPECT_OK(mb_trainer_run(trainer));
    EXPECT_OK(mb_trainer_destroy(trainer));
    EXPECT_OK(mb_context_destroy(context));
}

static void settings_that_differ_between_ranks_are_refused_on_all(void)
{
    make_model();
    mb_context_t *context = context_of(MPI_COMM_WORLD);
    mb_trainer_t *trainer = trainer_of(context);
    EXPECT_OK(mb_trainer_set(trainer, "threads", cases_rank == 0 ? "1" : "2"));
    EXPECT_OK(mb_trainer_set(trainer, "epochs", cases_rank == 0 ? "1" : "2"));
    if (cases_size > 1) {
        EXPECT(mb_trainer_step(trainer, NULL, NULL) == MB_ERR_ARGUMENT);
        EXPECT(strstr(mb_error_message(), "settings") != NULL);
    }
    EXPECT_OK(mb_trainer_set(trainer, "epochs", "1"));
    EXPECT_OK(mb_trainer_run(trainer));
    EXPECT_OK(mb_trainer_destroy(trainer));
    EXPECT_OK(mb_context_destroy(context));
}

static void a_wrong_argument_on_one_rank_is_an_error_on_all(void)
{
    make_model();
    bool wrong = cases_rank == cases_size - 1;
    unlink("a.h5");
    MPI_Barrier(MPI_COMM_WORLD);
    mb_context_t *context = context_of(MPI_COMM_WORLD);
    mb_trainer_t *trainer = trainer_of(context);
    EXPECT_OK(mb_trainer_step(trainer, NULL, NULL));
    EXPECT(mb_trainer_save(trainer, wrong ? NULL : "a.h5", 1) == MB_ERR_ARGUMENT);
    EXPECT(strstr(mb_error_message(), "path is NULL") != NULL);
    EXPECT(mb_error_rank() == cases_size - 1);
    EXPECT(mb_model_create_preset(context, wrong ? NULL : "mlp", "input=2", "b.h5") ==
           MB_ERR_ARGUMENT);
    EXPECT(mb_model_create_preset(context, "mlp", "inputs=2", "b.h5") == MB_ERR_ARGUMENT);
    EXPECT(access("a.h5", F_OK) != 0);
    EXPECT_OK(mb_trainer_save(trainer, "a.h5", 1));
    EXPECT_OK(mb_trainer_destroy(trainer));
    EXPECT_OK(mb_context_destroy(context));
}

static void one_rank_can_stop_all(void)
{
    double step = 0;
    make_model();
    mb_context_t *context = context_of(MPI_COMM_WORLD);
    mb_trainer_t *trainer = trainer_of(context);
    EXPECT_OK(mb_trainer_set(trainer, "epochs", "100"));
    EXPECT_OK(mb_trainer_start(trainer));
    if (cases_rank == cases_size - 1)
        EXPECT_OK(mb_trainer_stop(trainer));
    EXPECT(mb_trainer_run(trainer) == MB_ERR_STOPPED);
    EXPECT_OK(mb_trainer_get(trainer, "step", &step));
    EXPECT(step < 10 && same_everywhere(step));
    EXPECT_OK(mb_trainer_destroy(trainer));
    EXPECT_OK(mb_context_destroy(context));
}

static void a_trainer_may_end_between_any_two_steps(void)
{
    make_model();
    mb_context_t *context = context_of(MPI_COMM_WORLD);
    for (int steps = 0; steps < 4; steps++) {
        mb_trainer_t *trainer = trainer_of(context);
        EXPECT_OK(mb_trainer_set(trainer, "stages", cases_size > 1 ? "2" : "1"));
        for (int i = 0; i < steps; i++)
            EXPECT_OK(mb_trainer_step(trainer, NULL, NULL));
        EXPECT_OK(mb_trainer_destroy(trainer));
    }
    EXPECT_OK(mb_context_destroy(context));
}

/* Only the ranks that read the sample see it; all of them hear of it. */
static void bad_data_ends_all_ranks_and_a_new_context_works(void)
{
    make_model();
    x[SAMPLES - 3][1] = NAN;
    mb_context_t *context = context_of(MPI_COMM_WORLD);
    mb_trainer_t *trainer = trainer_of(context);
    EXPECT_OK(mb_trainer_set(trainer, "shuffle", "none"));
    EXPECT_OK(mb_trainer_set(trainer, "deadline", "30"));
    mb_status_t status = mb_trainer_run(trainer);
    EXPECT(status == MB_ERR_DATA || status == MB_ERR_PEER);
    EXPECT(strstr(mb_error_message(), "197") != NULL);
    EXPECT(mb_error_rank() >= 0 && mb_error_rank() < cases_size);
    mb_trainer_destroy(trainer);
    mb_context_destroy(context);
    MPI_Barrier(MPI_COMM_WORLD);
    make_samples();
    train(MPI_COMM_WORLD, "all.h5");
}

static void a_preset_is_written_once_for_all(void)
{
    int sealed = 0;
    mb_context_t *context = context_of(MPI_COMM_WORLD);
    EXPECT_OK(mb_model_create_preset(context, "cnn", "input=8x8x1 filters=2 dense=4", "cnn.h5"));
    EXPECT_OK(mb_checkpoint_verify("cnn.h5", &sealed));
    EXPECT(sealed == 1);
    EXPECT_OK(mb_context_destroy(context));
}

static void nothing_is_leaked(void)
{
    EXPECT(!leaks_found());
}

static const case_t all[] = {
    {"halves, all and one rank alone come to the same bits",
     halves_and_all_and_one_alone_come_to_the_same_bits},
    {"messages of the program arrive where they should",
     messages_of_the_program_arrive_where_they_should},
    {"a context outlives the communicator it was made of",
     a_context_outlives_the_communicator_it_was_made_of},
    {"every rank gets the numbers", every_rank_gets_the_numbers},
    {"every rank gets all predictions", every_rank_gets_all_predictions},
    {"arrays that differ between ranks are refused on all",
     arrays_that_differ_between_ranks_are_refused_on_all},
    {"settings that differ between ranks are refused on all",
     settings_that_differ_between_ranks_are_refused_on_all},
    {"a wrong argument on one rank is an error on all",
     a_wrong_argument_on_one_rank_is_an_error_on_all},
    {"one rank can stop all", one_rank_can_stop_all},
    {"a trainer may end between any two steps", a_trainer_may_end_between_any_two_steps},
    {"bad data ends all ranks, and a new context works",
     bad_data_ends_all_ranks_and_a_new_context_works},
    {"a preset is written once for all", a_preset_is_written_once_for_all},
    {"nothing is leaked", nothing_is_leaked},
};

/* Leaks are looked for before MPI ends. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "leak_check_at_exit=0";
}

/* The script gives all ranks one folder. */
int main(int argc, char **argv)
{
    const char *folder = getenv("MB_SCRATCH");
    if (folder == NULL || chdir(folder) != 0)
        return 1;
    return cases_main(argc, argv, all, (int)(sizeof all / sizeof all[0]));
}
