/* The trajectories of Keras' models under Keras' own optimizers, step by step; and that the
 * tolerance is narrow enough: with any one rule left out, the fixture fails.
 *
 * Two independent implementations differ by 1e-7 to 3e-7 in the losses and 3e-7 to 5e-6 in the
 * weights (fixtures/README.md); ten times that is allowed. Resnet amplifies rounding: permuting the
 * samples inside a batch already moves its losses by 2.5e-5 and its weights by 4e-3. */
#define _POSIX_C_SOURCE 200809L /* mkdtemp */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mpi/fixture.h"
#include "mpi/leaks.h"
#include "train/trainer_private.h"

/* Parameters whose exact gradient is zero: optimizers turn their rounding noise into steps. */
static const char *const gpt_skips[] = {
    "/key/bias", /* adds the same to all scores of a query, which softmax takes out */
    /* Row 56, column 11: the first gradient it ever gets is near zero by chance. There Keras in
     * float32 is 6.0e-5 of the tensor's magnitude away from Keras in float64. */
    "wte/embeddings[2699]", NULL};
static const char *const conv1d_skips[] = {
    "conv1d/bias",                       /* the batch's mean takes it out */
    "batch_normalization_4/moving_mean", /* follows that bias */
    NULL};
static const char *const mixed_skips[] = {"conv2d/bias", /* the batch's mean takes it out */
                                          "batch_normalization/moving_mean", NULL};

/* mixed computes in bfloat16, where a sum of another order rounds to another neighbour now and
 * then: each activation may be off by one unit in its last place. The loss, a mean over the batch,
 * feels a few of those. */
#define BF16_EPSILON 0x1p-8
/* The same of scaled, in float16. */
#define F16_EPSILON 0x1p-11

typedef struct {
    const char *name;
    double loss, weight; /* allowed */
    const char *const *skip;
} trajectory_t;

static const trajectory_t trajectories[] = {
    {"mlp", 3e-6, 1e-4, NULL},
    {"mlp_softmax_sgd", 3e-6, 1e-4, NULL},
    {"mlp_warm", 3e-6, 1e-4, NULL},
    {"cnn", 3e-6, 1e-4, NULL},
    {"conv1d", 3e-6, 1e-4, conv1d_skips},
    {"regress", 3e-6, 1e-4, NULL},
    {"resnet", 2e-4, 1e-2, NULL},
    {"gpt", 1e-5, 1e-4, gpt_skips},
    {"rules_adamw", 3e-6, 1e-4, NULL},
    {"rules_amsgrad", 3e-6, 1e-4, NULL},
    {"regularized", 3e-6, 1e-4, NULL},
    {"mixed", BF16_EPSILON, 4 * BF16_EPSILON, mixed_skips},
    {"shared", 3e-6, 1e-4, NULL},
    {"operators", 3e-6, 1e-4, NULL},
    {"lambdas", 3e-6, 1e-4, NULL},
    {"scaled", F16_EPSILON, 4 * F16_EPSILON, NULL},
    {"scaled_warm", F16_EPSILON, 4 * F16_EPSILON, NULL},
};

/* Epsilon inside the bias correction, where the paper's first form has it:
 * lr / (1 - b1^t) m / (sqrt(v / (1 - b2^t)) + epsilon). */
static void move_epsilon(mb_training_t *trainer, int64_t step)
{
    static double given;
    if (step == 0)
        given = trainer->optimizer->epsilon;
    trainer->optimizer->epsilon =
        given * sqrt(1 - pow(trainer->optimizer->beta2, (double)step + 1));
}

static void shift_schedule(mb_training_t *trainer, int64_t step)
{
    static const mb_lr_schedule_t *given;
    mb_optimizer_t *optimizer = trainer->optimizer;
    if (step == 0)
        given = optimizer->schedule;
    optimizer->schedule = given;
    optimizer->learning_rate = (double)mb_optimizer_lr(optimizer, step + 1);
    optimizer->schedule = NULL;
}

static void forget_slot(mb_training_t *trainer, int slot)
{
    const mb_graph_t *graph = trainer->model->graph;
    for (int p = 0; p < graph->n_params; p++) {
        mb_zero_args_t args = {.bytes = graph->params[p].elements * (int64_t)sizeof(float),
                               .y = trainer->update->slots[p][slot]};
        if (args.y != NULL)
            mb_run_zero(&trainer->engine->exec, &args);
    }
}

static void forget_momentum(mb_training_t *trainer, int64_t step)
{
    if (step == 0)
        forget_slot(trainer, 0);
}

static void forget_velocity(mb_training_t *trainer, int64_t step)
{
    if (step == 0)
        forget_slot(trainer, 1);
}

static void forget_iteration(mb_training_t *trainer, int64_t step)
{
    if (step == 0)
        trainer->update->iterations = 0;
}

/* Steps that are left out do not count for Adam's bias correction. */
static void count_every_step(mb_training_t *trainer, int64_t step)
{
    trainer->update->iterations = step;
}

static void forget_scale(mb_training_t *trainer, int64_t step)
{
    if (step > 0)
        return;
    mb_loss_scale_begin(&trainer->update->loss_scale, trainer->optimizer);
    mb_update_use_loss_scale(trainer->update);
}

typedef struct {
    const char *rule, *fixture;
    const char *attribute, *where, *value; /* an edit of the file; or */
    fixture_hook_t hook;
} left_out_t;

#define OPTIMIZER(key) "training_config", "optimizer_config/config/" key
#define LAYER(name, key) "model_config", "config/layers/" name "/config/" key

static const left_out_t left_out[] = {
    {"weight decay", "rules_adamw", OPTIMIZER("weight_decay"), "0.0", NULL},
    {"gpt's weight decay", "gpt", OPTIMIZER("weight_decay"), "0.0", NULL},
    {"clipnorm", "rules_adamw", OPTIMIZER("clipnorm"), "null", NULL},
    {"global_clipnorm", "gpt", OPTIMIZER("global_clipnorm"), "null", NULL},
    {"clipvalue", "rules_amsgrad", OPTIMIZER("clipvalue"), "null", NULL},
    {"amsgrad", "rules_amsgrad", OPTIMIZER("amsgrad"), "false", NULL},
    {"epsilon's value", "rules_amsgrad", OPTIMIZER("epsilon"), "1e-7", NULL},
    {"epsilon's place", "rules_amsgrad", NULL, NULL, NULL, move_epsilon},
    {"beta_2", "rules_amsgrad", OPTIMIZER("beta_2"), "0.999", NULL},
    {"the schedule", "rules_amsgrad", OPTIMIZER("learning_rate"), "0.01", NULL},
    {"the schedule's staircase", "rules_amsgrad", OPTIMIZER("learning_rate/config/staircase"),
     "false", NULL},
    {"the step that the schedule sees", "rules_amsgrad", NULL, NULL, NULL, shift_schedule},
    {"nesterov", "mlp_softmax_sgd", OPTIMIZER("nesterov"), "false", NULL},
    {"momentum", "mlp_softmax_sgd", OPTIMIZER("momentum"), "0.0", NULL},
    {"rho", "regress", OPTIMIZER("rho"), "0.95", NULL},
    {"the restored momentum", "mlp_warm", NULL, NULL, NULL, forget_momentum},
    {"the restored velocity", "mlp_warm", NULL, NULL, NULL, forget_velocity},
    {"the restored iteration", "mlp_warm", NULL, NULL, NULL, forget_iteration},
    {"a kernel's L1", "regularized", LAYER("a", "kernel_regularizer/config/l1"), "0.0", NULL},
    {"a kernel's L2", "regularized", LAYER("a", "kernel_regularizer/config/l2"), "0.0", NULL},
    {"a bias' L2", "regularized", LAYER("a", "bias_regularizer"), "null", NULL},
    {"the activity regularizer", "regularized", LAYER("b", "activity_regularizer"), "null", NULL},
    {"the constraint", "regularized", LAYER("b", "kernel_constraint"), "null", NULL},
    {"freezing", "regularized", LAYER("frozen", "trainable"), "true", NULL},
    {"the first loss weight", "regularized", "training_config", "loss_weights/value", "1.0", NULL},
    {"the second loss weight", "regularized", "training_config", "loss_weights/kind", "1.0", NULL},
    {"the causal mask", "gpt", "model_config",
     "config/layers/h1_attn/inbound_nodes/0/kwargs/use_causal_mask", "false", NULL},
    {"the first loss scale", "scaled", OPTIMIZER("initial_scale"), "32768.0", NULL},
    {"the loss scale's growth", "scaled", OPTIMIZER("dynamic_growth_steps"), "2000", NULL},
    {"clipping behind the loss scale", "scaled",
     OPTIMIZER("inner_optimizer/config/global_clipnorm"), "null", NULL},
    {"the restored loss scale", "scaled_warm", NULL, NULL, NULL, forget_scale},
    {"the restored iteration", "scaled_warm", NULL, NULL, NULL, forget_iteration},
    {"the count of steps left out", "scaled", NULL, NULL, NULL, count_every_step},
    {"a moving mean's momentum", "conv1d", LAYER("batch_normalization_4", "momentum"), "0.9", NULL},
};

static mb_comm_t *comm;
static char scratch[256];
static int failures;

static void report(bool good, const char *what, const char *name)
{
    printf("%s %s: %s\n", good ? "ok" : "not ok", name, what);
    fflush(stdout);
    failures += !good;
}

static const trajectory_t *trajectory_of(const char *name)
{
    for (size_t i = 0; i < sizeof trajectories / sizeof trajectories[0]; i++) {
        if (strcmp(trajectories[i].name, name) == 0)
            return &trajectories[i];
    }
    return NULL;
}

static mb_status_t check_predictions(const trajectory_t *trajectory, const fixture_t *fixture)
{
    double apart = 0;
    MB_TRY(fixture_predict(comm, fixture, scratch, &apart));
    bool good = apart <= trajectory->loss;
    if (!good)
        fprintf(stderr, "# %s: predictions differ by %.2e\n", trajectory->name, apart);
    report(good, "predicts what Keras predicts", trajectory->name);
    return MB_OK;
}

static float *scales; /* that Keras used, step by step */
static int other_scales;

static void compare_scale(mb_training_t *trainer, int64_t step)
{
    other_scales += trainer->update->loss_scale.scale != scales[step];
}

/* Overflows and growth at the very steps of Keras. */
static mb_status_t check_scales(const trajectory_t *trajectory, const fixture_t *fixture)
{
    other_scales = 0;
    fixture_distance_t apart = {.loss = 0};
    int64_t count = 0;
    MB_TRY(fixture_floats(fixture->file, "loss_scale", &count, &scales));
    mb_status_t status = fixture_train(comm, fixture, fixture->model, scratch, trajectory->skip,
                                       compare_scale, &apart);
    free(scales);
    MB_TRY(status);
    report(other_scales == 0 && count == fixture->steps, "the loss scales of all steps are Keras'",
           trajectory->name);
    return MB_OK;
}

static mb_status_t check_trajectory(const trajectory_t *trajectory, const fixture_t *fixture)
{
    fixture_distance_t apart = {.loss = 0};
    MB_TRY(check_predictions(trajectory, fixture));
    MB_TRY(fixture_train(comm, fixture, fixture->model, scratch, trajectory->skip, NULL, &apart));
    bool losses = apart.loss <= trajectory->loss;
    bool weights = apart.weight <= trajectory->weight && apart.weights > 0;
    fprintf(stderr, "# %s: losses within %.2e (step %d), weights within %.2e (%s, of %d)\n",
            trajectory->name, apart.loss, apart.loss_step, apart.weight, apart.weight_name,
            apart.weights);
    report(losses, "the losses of all steps are Keras'", trajectory->name);
    report(weights, "the weights at the end are Keras'", trajectory->name);
    if (strncmp(trajectory->name, "scaled", 6) == 0)
        return check_scales(trajectory, fixture);
    return MB_OK;
}

static mb_status_t check_left_out(const left_out_t *rule, const fixture_t *fixture)
{
    char model[FIXTURE_PATH], what[256];
    fixture_distance_t apart = {.loss = 0};
    const trajectory_t *trajectory = trajectory_of(rule->fixture);
    snprintf(model, sizeof model, "%s/edited.h5", scratch);
    if (rule->where != NULL)
        MB_TRY(fixture_edit(fixture->model, model, rule->attribute, rule->where, rule->value));
    mb_status_t status = fixture_train(comm, fixture, rule->where != NULL ? model : fixture->model,
                                       scratch, trajectory->skip, rule->hook, &apart);
    remove(model);
    MB_TRY(status);
    bool seen = !(apart.loss <= trajectory->loss) || !(apart.weight <= trajectory->weight);
    fprintf(stderr, "# %s without %s: losses %.2e, weights %.2e\n", rule->fixture, rule->rule,
            apart.loss, apart.weight);
    snprintf(what, sizeof what, "fails without %s", rule->rule);
    report(seen, what, rule->fixture);
    return MB_OK;
}

/* A scale that is a power of two changes no bit in float32: not of activity regularizers, which it
 * multiplies, nor of those of weights, which it does not. */
static const char *const wrapped[] = {
    "{\"class_name\": \"LossScaleOptimizer\", \"config\": {\"initial_scale\": 1048576.0, "
    "\"dynamic_growth_steps\": 3, \"inner_optimizer\": {\"class_name\": \"SGD\", \"config\": "
    "{\"learning_rate\": 0.10000000149011612}}}}",
    "{\"class_name\": \"LossScaleOptimizer\", \"config\": {\"initial_scale\": 1048576.0, "
    "\"dynamic\": false, \"inner_optimizer\": {\"class_name\": \"SGD\", \"config\": "
    "{\"learning_rate\": 0.10000000149011612}}}}"};

static mb_status_t check_wrapped(const trajectory_t *trajectory, const fixture_t *fixture)
{
    for (size_t i = 0; i < sizeof wrapped / sizeof wrapped[0]; i++) {
        char model[FIXTURE_PATH];
        fixture_distance_t apart = {.loss = 0};
        snprintf(model, sizeof model, "%s/wrapped.h5", scratch);
        MB_TRY(
            fixture_edit(fixture->model, model, "training_config", "optimizer_config", wrapped[i]));
        mb_status_t status =
            fixture_train(comm, fixture, model, scratch, trajectory->skip, NULL, &apart);
        remove(model);
        MB_TRY(status);
        report(apart.loss <= trajectory->loss && apart.weight <= trajectory->weight,
               i == 0 ? "is Keras' under a loss scale too" : "is Keras' under a fixed one too",
               trajectory->name);
    }
    return MB_OK;
}

static void run_trajectory(const trajectory_t *trajectory)
{
    fixture_t fixture = {.file = -1};
    mb_status_t status = fixture_open(trajectory->name, &fixture);
    if (status == MB_OK)
        status = check_trajectory(trajectory, &fixture);
    if (status == MB_OK && strcmp(trajectory->name, "regularized") == 0)
        status = check_wrapped(trajectory, &fixture);
    if (status != MB_OK)
        report(false, mb_error_get(), trajectory->name);
    fixture_close(&fixture);
}

static void run_left_out(const left_out_t *rule)
{
    fixture_t fixture = {.file = -1};
    mb_status_t status = fixture_open(rule->fixture, &fixture);
    if (status == MB_OK)
        status = check_left_out(rule, &fixture);
    if (status != MB_OK)
        report(false, mb_error_get(), rule->rule);
    fixture_close(&fixture);
}

int main(int argc, char **argv)
{
    const char *only = argc > 1 ? argv[1] : NULL;
    mb_comm_options_t options = {.deadline_seconds = 60};
    const char *folder = getenv("TMPDIR");
    leaks_mpi_init(&argc, &argv);
    snprintf(scratch, sizeof scratch, "%s/mb-trajectory.XXXXXX", folder == NULL ? "/tmp" : folder);
    if (mkdtemp(scratch) == NULL || mb_comm_create(MPI_COMM_WORLD, &options, &comm) != MB_OK)
        return 1;
    for (size_t i = 0; i < sizeof trajectories / sizeof trajectories[0]; i++) {
        if (only == NULL || strcmp(only, trajectories[i].name) == 0)
            run_trajectory(&trajectories[i]);
    }
    for (size_t i = 0; i < sizeof left_out / sizeof left_out[0]; i++) {
        if (only == NULL || strcmp(only, left_out[i].fixture) == 0)
            run_left_out(&left_out[i]);
    }
    mb_comm_destroy(comm);
    rmdir(scratch);
    failures += leaks_found();
    MPI_Finalize();
    return failures == 0 ? 0 : 1;
}
