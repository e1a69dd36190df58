/* Training and predicting beside a program of several ranks: steps under way, steps within a time,
 * predictors of one rank each, weights from a trainer. Run twice: as MPI starts, and with
 * MPI_THREAD_MULTIPLE, where steps under way have a thread. */
#define _GNU_SOURCE
#include "mpi/cases.h"
#include "mpi/leaks.h"

#include <mb/mb.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SAMPLES = 200, INPUTS = 3, CLASSES = 3 };

static float x[SAMPLES][INPUTS], logits[SAMPLES][CLASSES], other[SAMPLES][CLASSES];
static int32_t y[SAMPLES];
static const int64_t x_shape[2] = {SAMPLES, INPUTS}, y_shape[1] = {SAMPLES};
static mb_context_t *context;

static void begin(void)
{
    for (int i = 0; i < SAMPLES; i++) {
        for (int k = 0; k < INPUTS; k++)
            x[i][k] = (float)fmod((i + 1) * (k + 1) * 0.7548776662, 1.0) * 2 - 1;
        y[i] = x[i][0] > 0.2f ? 0 : x[i][1] > x[i][2] ? 1 : 2;
    }
    if (cases_rank == 0)
        EXPECT_OK(mb_model_create_preset(NULL, "mlp", "input=3 hidden=8,8 classes=3", "start.h5"));
    MPI_Barrier(MPI_COMM_WORLD);
    EXPECT_OK(mb_context_create(MPI_COMM_WORLD, &context));
}

static void end(void)
{
    EXPECT_OK(mb_context_destroy(context));
}

/* Two replicas of micro-batches of 5: the same computation on any ranks. */
static mb_trainer_t *trainer_of(const char *stages)
{
    mb_trainer_t *trainer = NULL;
    EXPECT_OK(mb_trainer_create(context, "start.h5", &trainer));
    EXPECT_OK(mb_trainer_set(trainer, "batch", "20"));
    EXPECT_OK(mb_trainer_set(trainer, "replicas", "2"));
    EXPECT_OK(mb_trainer_set(trainer, "micro-batch", "5"));
    EXPECT_OK(mb_trainer_set(trainer, "epochs", "1000000"));
    EXPECT_OK(mb_trainer_set(trainer, "threads", "1"));
    EXPECT_OK(mb_trainer_set(trainer, "stages", cases_size > 1 ? stages : "1"));
    EXPECT_OK(mb_trainer_set_array(trainer, "x", MB_FLOAT32, 2, x_shape, x));
    EXPECT_OK(mb_trainer_set_array(trainer, "y", MB_INT32, 1, y_shape, y));
    return trainer;
}

static uint64_t digest_of(mb_trainer_t *trainer)
{
    uint64_t weights = 0, full = 0;
    EXPECT_OK(mb_trainer_save(trainer, "digest.h5", 1));
    EXPECT_OK(mb_checkpoint_digest("digest.h5", &weights, &full));
    MPI_Barrier(MPI_COMM_WORLD);
    return full;
}

static uint64_t digest_of_steps(int steps)
{
    mb_trainer_t *trainer = trainer_of("1");
    for (int i = 0; i < steps; i++)
        EXPECT_OK(mb_trainer_step(trainer, NULL, NULL));
    uint64_t digest = digest_of(trainer);
    EXPECT_OK(mb_trainer_destroy(trainer));
    return digest;
}

static int same_everywhere(double value)
{
    double least = value, most = value;
    MPI_Allreduce(&value, &least, 1, MPI_DOUBLE, MPI_MIN, MPI_COMM_WORLD);
    MPI_Allreduce(&value, &most, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
    return least == most;
}

static double step_of(mb_trainer_t *trainer)
{
    double step = NAN;
    EXPECT_OK(mb_trainer_get(trainer, "step", &step));
    return step;
}

/* The program exchanges messages of its own between tests, each rank at its own pace. */
static void work_of_the_program(mb_trainer_t *trainer)
{
    int done = 0, sum = 0;
    for (int i = 0; i < 3; i++) {
        EXPECT_OK(mb_trainer_test(trainer, cases_rank % 2 == 0 ? 0 : 1e-4, &done));
        MPI_Allreduce(&cases_rank, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
        EXPECT(sum == cases_size * (cases_size - 1) / 2);
    }
    while (!done)
        EXPECT_OK(mb_trainer_test(trainer, 1e-3, &done));
}

static void submitted_steps_have_the_bits_of_steps(void)
{
    begin();
    uint64_t wanted = digest_of_steps(9);
    for (int stages = 1; stages <= 2; stages++) {
        mb_trainer_t *trainer = trainer_of(stages == 1 ? "1" : "2");
        EXPECT_OK(mb_trainer_submit(trainer, 6));
        work_of_the_program(trainer);
        EXPECT_OK(mb_trainer_wait(trainer));
        EXPECT_OK(mb_trainer_submit(trainer, 3));
        EXPECT_OK(mb_trainer_wait(trainer));
        EXPECT(step_of(trainer) == 9);
        EXPECT(digest_of(trainer) == wanted);
        EXPECT_OK(mb_trainer_destroy(trainer));
    }
    end();
}

static void a_stop_on_one_rank_stops_all_at_one_step(void)
{
    begin();
    mb_trainer_t *trainer = trainer_of("2");
    EXPECT_OK(mb_trainer_submit(trainer, 1000000));
    if (cases_rank == cases_size - 1)
        EXPECT_OK(mb_trainer_stop(trainer));
    EXPECT(mb_trainer_wait(trainer) == MB_ERR_STOPPED);
    EXPECT(same_everywhere(step_of(trainer)));
    EXPECT_OK(mb_trainer_step(trainer, NULL, NULL));
    EXPECT_OK(mb_trainer_destroy(trainer));
    end();
}

static void a_trainer_is_destroyed_while_steps_are_under_way(void)
{
    int done;
    begin();
    mb_trainer_t *trainer = trainer_of("2");
    EXPECT_OK(mb_trainer_submit(trainer, 1000000));
    EXPECT_OK(mb_trainer_test(trainer, 1e-3, &done));
    EXPECT_OK(mb_trainer_destroy(trainer));
    end();
}

static void what_fails_under_way_is_told_on_all_ranks(void)
{
    begin();
    x[SAMPLES - 3][1] = NAN;
    mb_trainer_t *trainer = trainer_of("2");
    EXPECT_OK(mb_trainer_set(trainer, "shuffle", "none"));
    EXPECT_OK(mb_trainer_set(trainer, "deadline", "30"));
    EXPECT_OK(mb_trainer_submit(trainer, 100));
    mb_status_t status = mb_trainer_wait(trainer);
    EXPECT(status == MB_ERR_DATA || status == MB_ERR_PEER);
    EXPECT(strstr(mb_error_message(), "197") != NULL);
    mb_trainer_destroy(trainer);
    mb_context_destroy(context);
    MPI_Barrier(MPI_COMM_WORLD);
}

/* The last rank has no time, or the first comes late: the rank with the least counts. */
static void ranks_agree_on_how_many_steps_fit(void)
{
    int64_t steps = -1, all = 0;
    begin();
    mb_trainer_t *trainer = trainer_of("2");
    EXPECT_OK(mb_trainer_run_for(trainer, cases_rank == cases_size - 1 ? 0 : 10, &steps));
    EXPECT(steps == 0);
    for (int i = 0; i < 4; i++) {
        if (i == 2 && cases_rank == 0)
            cases_sleep(0.02);
        EXPECT_OK(mb_trainer_run_for(trainer, cases_rank == 0 ? 0.002 : 1, &steps));
        EXPECT(same_everywhere((double)steps));
        all += steps;
    }
    EXPECT(all >= 3 && step_of(trainer) == (double)all);
    EXPECT(digest_of(trainer) == digest_of_steps((int)all));
    EXPECT(mb_trainer_run_for(trainer, cases_rank == 0 ? -1 : 1, &steps) == MB_ERR_ARGUMENT);
    EXPECT_OK(mb_trainer_destroy(trainer));
    end();
}

static mb_predictor_t *predictor_of(const char *model, const char *stages)
{
    mb_predictor_t *predictor = NULL;
    EXPECT_OK(mb_predictor_create(context, model, &predictor));
    EXPECT_OK(mb_predictor_set(predictor, "batch", "3"));
    EXPECT_OK(mb_predictor_set(predictor, "threads", "1"));
    EXPECT_OK(mb_predictor_set(predictor, "independent", stages == NULL ? "yes" : "no"));
    if (stages != NULL)
        EXPECT_OK(mb_predictor_set(predictor, "stages", cases_size > 1 ? stages : "1"));
    return predictor;
}

static void predict(mb_predictor_t *predictor, int first, int count, float (*to)[CLASSES])
{
    int64_t shape[2] = {count, INPUTS};
    EXPECT_OK(mb_predictor_set_array(predictor, "x", MB_FLOAT32, 2, shape, x[first]));
    EXPECT_OK(mb_predictor_set_output(predictor, "y", (int64_t)count * CLASSES, to[first]));
    EXPECT_OK(mb_predictor_run(predictor));
}

static void ranks_predict_each_for_itself(void)
{
    begin();
    mb_predictor_t *together = predictor_of("start.h5", "2");
    mb_predictor_t *alone = predictor_of("start.h5", NULL);
    predict(together, 0, SAMPLES, logits);
    predict(together, 0, 7, other); /* another number, on the same plan */
    EXPECT(memcmp(logits, other, 7 * sizeof *other) == 0);
    for (int i = 0; i < cases_rank + 1; i++) /* as often as it likes */
        predict(alone, 10 * i, 5 + cases_rank, other);
    EXPECT(memcmp(logits[10 * cases_rank], other[10 * cases_rank],
                  (size_t)(5 + cases_rank) * sizeof *other) == 0);
    EXPECT_OK(mb_predictor_destroy(alone));
    EXPECT_OK(mb_predictor_destroy(together));
    end();
}

static void weights_go_from_a_trainer_to_predictors_of_any_layout(void)
{
    begin();
    static float wanted[SAMPLES][CLASSES];
    mb_trainer_t *trainer = trainer_of("2");
    mb_predictor_t *together = predictor_of("start.h5", "1");
    mb_predictor_t *alone = predictor_of("start.h5", NULL);
    for (int i = 0; i < 2; i++)
        EXPECT_OK(mb_trainer_step(trainer, NULL, NULL));
    EXPECT_OK(mb_trainer_save(trainer, "trained.h5", 1));
    mb_predictor_t *again = predictor_of("trained.h5", "1");
    predict(again, 0, SAMPLES, wanted);
    EXPECT_OK(mb_predictor_destroy(again));
    predict(together, 0, SAMPLES, logits);
    EXPECT(memcmp(logits, wanted, sizeof wanted) != 0);
    EXPECT_OK(mb_predictor_load_trainer(together, trainer));
    predict(together, 0, SAMPLES, logits);
    EXPECT(memcmp(logits, wanted, sizeof wanted) == 0);
    predict(alone, 0, 9, other);
    EXPECT_OK(mb_predictor_load_trainer(alone, trainer));
    predict(alone, 0, SAMPLES, other);
    EXPECT(memcmp(other, wanted, sizeof wanted) == 0);
    EXPECT_OK(mb_predictor_destroy(alone));
    EXPECT_OK(mb_predictor_destroy(together));
    EXPECT_OK(mb_trainer_destroy(trainer));
    end();
}

static void nothing_is_leaked(void)
{
    EXPECT(!leaks_found());
}

static const case_t all[] = {
    {"submitted steps have the bits of steps", submitted_steps_have_the_bits_of_steps},
    {"a stop on one rank stops all at one step", a_stop_on_one_rank_stops_all_at_one_step},
    {"a trainer is destroyed while steps are under way",
     a_trainer_is_destroyed_while_steps_are_under_way},
    {"what fails under way is told on all ranks", what_fails_under_way_is_told_on_all_ranks},
    {"ranks agree on how many steps fit", ranks_agree_on_how_many_steps_fit},
    {"ranks predict each for itself", ranks_predict_each_for_itself},
    {"weights go from a trainer to predictors of any layout",
     weights_go_from_a_trainer_to_predictors_of_any_layout},
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
