/* A program's own layers, losses and sources, without a shared object; and what it is told of a run
 * while that goes on. */
#include "unit/api_ring.h"

#include <mb/plugin.h>
#include <stdio.h>
#include <string.h>

static const mb_plugin_host_t *mb;
static int calls;

/* y = 2 x, by a product with a number. */
static mb_status_t twice(const mb_plugin_run_t *run, const void *x, void *y)
{
    const mb_plugin_operand_t operands[2] = {
        {.kind = MB_PLUGIN_TENSOR, .data = x, .shape = &run->call->output},
        {.kind = MB_PLUGIN_NUMBER, .number = 2.0f}};
    const mb_plugin_result_t result = {
        .kind = MB_PLUGIN_TENSOR, .data = y, .shape = &run->call->output};
    return mb->map(run, "multiply", 2, operands, &result);
}

static mb_status_t forward(const mb_plugin_run_t *run)
{
    return twice(run, run->input[0], run->output);
}

static mb_status_t backward(const mb_plugin_run_t *run)
{
    return twice(run, run->grad_output, run->grad_input[0]);
}

static const mb_plugin_layer_t doubling = {
    .size = sizeof doubling, .name = "Doubling", .forward = forward, .backward_input = backward};

static double squared(const void *settings, int64_t columns, const float *x, const float *labels,
                      int32_t label, float *gradient)
{
    double sum = 0;
    (void)settings, (void)label;
    for (int64_t j = 0; j < columns; j++) {
        double e = (double)x[j] - (double)labels[j];
        sum += e * e / (double)columns;
        if (gradient != NULL)
            gradient[j] = (float)(2 * e / (double)columns);
    }
    return sum;
}

static const mb_plugin_loss_t own_loss = {
    .size = sizeof own_loss, .name = "OwnSquared", .alias = "own_squared", .row = squared};

static mb_status_t entry(const mb_plugin_host_t *host, mb_plugin_t *plugin)
{
    mb = host;
    calls++;
    mb_status_t status = host->add_layer(plugin, &doubling);
    return status == MB_OK ? host->add_loss(plugin, &own_loss) : status;
}

static mb_status_t taken(const mb_plugin_host_t *host, mb_plugin_t *plugin)
{
    static const mb_plugin_layer_t dense = {
        .size = sizeof dense, .name = "Dense", .forward = forward, .backward_input = backward};
    return host->add_layer(plugin, &dense);
}

static mb_status_t fails(const mb_plugin_host_t *host, mb_plugin_t *plugin)
{
    (void)plugin;
    return host->error(MB_ERR_DEVICE, "no such instrument");
}

static void save_model(const char *path)
{
    const int64_t shape[1] = {2};
    mb_model_t *model = NULL;
    OK(mb_model_create("own", &model));
    OK(mb_model_add_input(model, "x", MB_FLOAT32, 1, shape));
    OK(mb_model_add(model, "Dense", NULL, "units=4", 0, NULL));
    OK(mb_model_add(model, "Doubling", NULL, NULL, 0, NULL));
    OK(mb_model_add(model, "Dense", "y", "units=2", 0, NULL));
    OK(mb_model_set(model, "loss", "own_squared"));
    OK(mb_model_set(model, "metrics", "mae"));
    OK(mb_model_save(model, ring_context, path));
    OK(mb_model_destroy(model));
}

typedef struct {
    int steps, evaluations, saves;
    double mae, val_mae;
    char path[256];
} seen_t;

static void on_step(void *user, const mb_trainer_t *trainer)
{
    seen_t *seen = user;
    seen->steps++;
    OK(mb_trainer_get(trainer, "mae", &seen->mae));
}

static void on_evaluation(void *user, const mb_trainer_t *trainer)
{
    seen_t *seen = user;
    seen->evaluations++;
    OK(mb_trainer_get(trainer, "val_mae", &seen->val_mae));
}

static void on_save(void *user, const mb_trainer_t *trainer, const char *path)
{
    seen_t *seen = user;
    double step = 0;
    OK(mb_trainer_get(trainer, "step", &step));
    seen->saves++;
    snprintf(seen->path, sizeof seen->path, "%s", path);
}

static mb_trainer_t *own_trainer(void)
{
    mb_trainer_t *trainer = NULL;
    OK(mb_trainer_create(ring_context, "own.h5", &trainer));
    OK(mb_trainer_set(trainer, "batch", "16"));
    OK(mb_trainer_set(trainer, "epochs", "3"));
    OK(mb_trainer_set_array(trainer, "x", MB_FLOAT32, 2, ring_x_shape, ring_x));
    OK(mb_trainer_set_array(trainer, "y", MB_FLOAT32, 2, ring_x_shape, ring_x));
    return trainer;
}

START_TEST(a_layer_and_a_loss_of_the_program_train)
{
    seen_t seen = {0};
    mb_context_t *other = NULL;
    OK(mb_context_register(ring_context, entry));
    OK(mb_context_create(MPI_COMM_SELF, &other));
    OK(mb_context_register(other, entry));
    OK(mb_context_destroy(other));
    ck_assert_int_eq(calls, 1);
    save_model("own.h5");
    mb_trainer_t *trainer = own_trainer();
    OK(mb_trainer_set(trainer, "val-split", "25%"));
    OK(mb_trainer_set(trainer, "run", "own.run"));
    OK(mb_trainer_set_callback(trainer, on_step, &seen));
    OK(mb_trainer_set_evaluation_callback(trainer, on_evaluation, &seen));
    OK(mb_trainer_set_save_callback(trainer, on_save, &seen));
    OK(mb_trainer_step(trainer, NULL, NULL));
    double first = ring_number(trainer, "loss");
    OK(mb_trainer_run(trainer));
    ck_assert_double_lt(ring_number(trainer, "loss"), first);
    ck_assert_int_eq(seen.steps, 15);
    ck_assert_int_eq(seen.evaluations, 3);
    ck_assert_int_ge(seen.saves, 1);
    ck_assert_ptr_nonnull(strstr(seen.path, "own.run/"));
    ck_assert(ring_number(trainer, "mae") == seen.mae && seen.mae > 0);
    ck_assert(ring_number(trainer, "val_mae") == seen.val_mae && seen.val_mae > 0);
    OK(mb_trainer_destroy(trainer));
}
END_TEST

START_TEST(an_evaluation_tells_every_metric_by_its_name)
{
    double loss = 0, mae = 0;
    mb_predictor_t *predictor = NULL;
    OK(mb_context_register(ring_context, entry));
    save_model("own.h5");
    OK(mb_predictor_create(ring_context, "own.h5", &predictor));
    OK(mb_predictor_set_array(predictor, "x", MB_FLOAT32, 2, ring_x_shape, ring_x));
    OK(mb_predictor_set_array(predictor, "y", MB_FLOAT32, 2, ring_x_shape, ring_x));
    OK(mb_predictor_evaluate(predictor));
    OK(mb_predictor_get(predictor, "loss", &loss));
    OK(mb_predictor_get(predictor, "mae", &mae));
    /* The mean of squares is at least the square of the mean. */
    ck_assert(mae > 0 && loss >= mae * mae * (1 - 1e-6));
    OK(mb_predictor_destroy(predictor));
}
END_TEST

START_TEST(what_cannot_be_registered_is_named)
{
    REFUSED(mb_context_register(ring_context, NULL), MB_ERR_ARGUMENT, "entry is NULL");
    REFUSED(mb_context_register(NULL, entry), MB_ERR_ARGUMENT, "context is NULL");
    REFUSED(mb_context_register(ring_context, taken), MB_ERR_ARGUMENT, "'Dense'");
    REFUSED(mb_context_register(ring_context, fails), MB_ERR_DEVICE, "no such instrument");
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("api_register");
    TCase *cases = tcase_create("api_register");
    tcase_add_checked_fixture(cases, ring_begin, ring_end);
    tcase_add_test(cases, a_layer_and_a_loss_of_the_program_train);
    tcase_add_test(cases, an_evaluation_tells_every_metric_by_its_name);
    tcase_add_test(cases, what_cannot_be_registered_is_named);
    suite_add_tcase(suite, cases);
    return suite;
}

int main(int argc, char **argv)
{
    return ring_main(argc, argv, make_suite());
}
