/* Every public call with arguments drawn at random, NULL among them, in random order: each returns,
 * and what fails says why. The table is held against the library's own list of symbols, so that a
 * new call without a case fails here. MB_FUZZ_ROUNDS and MB_FUZZ_SEED ask for more and for others.
 */
#include "unit/api_ring.h"

#include <mb/plugin.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 12, CALLS = 120, OBJECTS = 2, ROOM = 4096 };

static uint64_t state;

static unsigned below(unsigned n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (unsigned)(state >> 33) % n;
}

/* ---- what is drawn from */

static mb_context_t *contexts[OBJECTS];
static mb_model_t *models[OBJECTS];
static mb_trainer_t *trainers[OBJECTS];
static mb_predictor_t *predictors[OBJECTS];
static mb_quantizer_t *quantizers[OBJECTS];
static mb_planner_t *planners[OBJECTS];
static mb_reservoir_t *reservoirs[OBJECTS];
static float numbers[ROOM];
static int64_t wide;
static double real;
static int whole;
static uint64_t word;
static const char *given;

#define DRAW(list) (list)[below(sizeof(list) / sizeof((list)[0]))]
/* An object, if it lives, or NULL. */
#define ANY(objects) (below(8) == 0 ? NULL : (objects)[below(OBJECTS)])
#define MAYBE(pointer) (below(8) == 0 ? NULL : (pointer))

static const char *any_path(void)
{
    static const char *const paths[] = {"ring.h5", "ring.h5",      "ring.h5",    "nowhere.h5",
                                        "text.h5", "ring-data.h5", "no/fold/er", "",
                                        "a.h5",    "a.keras",      ".",          NULL};
    return DRAW(paths);
}

/* What is written must not replace what others read. */
static const char *any_output(void)
{
    static const char *const paths[] = {
        "out.h5", "out.keras", "out.weights.h5", "no/folder/out.h5", "", ".", NULL};
    return DRAW(paths);
}

static const char *any_key(void)
{
    static const char *const keys[] = {
        "epochs",      "steps", "batch",       "micro-batch", "replicas",  "stages",  "schedule",
        "lr",          "seed",  "loss",        "val-split",   "optimizer", "metrics", "data",
        "recompute",   "clip",  "format",      "method",      "rule",      "samples", "max-drop",
        "weights",     "ranks", "memory",      "zero",        "dtype",     "moments", "qat",
        "lr-schedule", "",      "no-such-key", NULL};
    return DRAW(keys);
}

static const char *any_value(void)
{
    static const char *const values[] = {
        "1", "2",     "0",   "-1",   "3",      "0.5", "1e400", "nan",          "yes",  "no",
        "",  "adam",  "sgd", "int8", "fp16",   "mse", "1f1b",  "zb-v",         "none", "{\"a\": 1}",
        "[", "a,b,c", ":",   "=",    "%s%n%d", " ",   "\xff",  "ring-data.h5", NULL};
    return DRAW(values);
}

static const char *any_name(void)
{
    static const char *const names[] = {
        "x", "y",   "dense",   "input_layer", "sequential", "loss",  "step",
        "",  "a/b", "dense:1", "\xfe",        "samples",    "bytes", "sequential/dense/kernel",
        NULL};
    return DRAW(names);
}

static const char *any_class(void)
{
    static const char *const names[] = {"Dense",   "Conv2D", "LSTM",       "Add",
                                        "Flatten", "dense",  "InputLayer", "MultiHeadAttention",
                                        "",        "\xff",   "Functional", NULL};
    return DRAW(names);
}

static const char *any_config(void)
{
    static const char *const texts[] = {"units=3",
                                        "units=-1",
                                        "units=99999999999999999999",
                                        "units",
                                        "{\"units\": 2}",
                                        "{\"units\": [}",
                                        "{}",
                                        "call.x=1 units=2",
                                        "{\"call\": 3}",
                                        "=",
                                        "name=dense units=2",
                                        "\xff=1",
                                        "",
                                        NULL};
    return DRAW(texts);
}

static int any_count(void)
{
    static const int counts[] = {0, 0, 0, 1, 1, 2, 3, -1, 17, 1000};
    return DRAW(counts);
}

/* Longer than any count that is not refused for its size. */
static const char *const *any_names(void)
{
    static const char *const lists[][20] = {
        {"x", "x", "x"}, {"dense", "dense"}, {NULL}, {"x", NULL}, {"no", "such"}};
    return below(8) == 0 ? NULL : DRAW(lists);
}

static mb_type_t any_type(void)
{
    return (mb_type_t)((int)below(8) - 1);
}

/* Of arrays that fit into NUMBERS. */
static const int64_t *any_shape(int *rank)
{
    static const int64_t shapes[][12] = {
        {RING_SAMPLES, 2}, {RING_SAMPLES}, {4, 4, 4, 4}, {0}, {-1, 2}, {1, 1, 1, 1, 1, 1, 1, 1, 1}};
    static const int ranks[] = {2, 1, 4, 1, 2, 9};
    unsigned i = below(6);
    *rank = below(6) == 0 ? (int)below(14) - 2 : ranks[i];
    if (*rank > ranks[i])
        *rank = below(2) == 0 ? ranks[i] : 99;
    return below(8) == 0 ? NULL : shapes[i];
}

static void on_line(void *user, mb_level_t level, const char *line)
{
    (void)user, (void)level, (void)line;
}

static void on_step(void *user, const mb_trainer_t *trainer)
{
    (void)user;
    mb_trainer_get(trainer, "loss", &real);
}

static void on_save(void *user, const mb_trainer_t *trainer, const char *path)
{
    (void)user, (void)trainer, (void)path;
}

static mb_status_t no_entry(const mb_plugin_host_t *host, mb_plugin_t *plugin)
{
    return host->add_layer(plugin, &(const mb_plugin_layer_t){.size = 1, .name = "Nothing"});
}

/* ---- one case a call */

#define CASE(name, call)                                                                           \
    static mb_status_t try_##name(void)                                                            \
    {                                                                                              \
        return call;                                                                               \
    }
/* A call that makes an object, in a free place alone. */
#define MAKE(name, objects, call)                                                                  \
    static mb_status_t try_##name(void)                                                            \
    {                                                                                              \
        unsigned i = below(OBJECTS);                                                               \
        if ((objects)[i] != NULL)                                                                  \
            return MB_OK;                                                                          \
        return call;                                                                               \
    }
/* A call that ends one; a context lives on while others need it. */
#define END(name, objects)                                                                         \
    static mb_status_t try_##name(void)                                                            \
    {                                                                                              \
        unsigned i = below(OBJECTS);                                                               \
        mb_status_t status = name((objects)[i]);                                                   \
        if (status == MB_OK)                                                                       \
            (objects)[i] = NULL;                                                                   \
        return status;                                                                             \
    }

static mb_status_t try_mb_error_message(void)
{
    return mb_error_message() == NULL ? MB_ERR_INTERNAL : MB_OK;
}
static mb_status_t try_mb_error_rank(void)
{
    return mb_error_rank() < -1 || mb_error_rank() > 0 ? MB_ERR_INTERNAL : MB_OK;
}
static mb_status_t try_mb_status_name(void)
{
    return mb_status_name((mb_status_t)((int)below(40) - 20)) == NULL ? MB_ERR_INTERNAL : MB_OK;
}
static mb_status_t try_mb_version(void)
{
    return mb_version() == NULL ? MB_ERR_INTERNAL : MB_OK;
}

MAKE(mb_context_create, contexts,
     mb_context_create(below(4) == 0 ? MPI_COMM_NULL : MPI_COMM_SELF, MAYBE(&contexts[i])))
MAKE(mb_context_create_f, contexts,
     mb_context_create_f(MPI_Comm_c2f(below(4) == 0 ? MPI_COMM_NULL : MPI_COMM_SELF),
                         MAYBE(&contexts[i])))
CASE(mb_context_set_log,
     mb_context_set_log(ANY(contexts), MAYBE(on_line), NULL, (mb_level_t)((int)below(6) - 1)))
CASE(mb_context_load_plugin, mb_context_load_plugin(ANY(contexts), any_path()))
CASE(mb_context_register, mb_context_register(ANY(contexts), MAYBE(no_entry)))
END(mb_context_destroy, contexts)

CASE(mb_model_create_preset,
     mb_model_create_preset(ANY(contexts), below(2) == 0 ? "mlp" : any_name(),
                            below(2) == 0 ? "input=2 hidden=4 classes=2" : any_config(),
                            any_output()))
MAKE(mb_model_load, models, mb_model_load(any_path(), MAYBE(&models[i])))
MAKE(mb_model_create, models, mb_model_create(any_name(), MAYBE(&models[i])))
static mb_status_t try_mb_model_add_input(void)
{
    int rank;
    const int64_t *shape = any_shape(&rank);
    return mb_model_add_input(ANY(models), any_name(), any_type(), rank, shape);
}
CASE(mb_model_add,
     mb_model_add(ANY(models), any_class(), any_name(), any_config(), any_count(), any_names()))
CASE(mb_model_call, mb_model_call(ANY(models), any_name(), any_count(), any_names()))
CASE(mb_model_set_outputs, mb_model_set_outputs(ANY(models), any_count(), any_names()))
CASE(mb_model_set, mb_model_set(ANY(models), any_key(), any_value()))
CASE(mb_model_count_inputs, mb_model_count_inputs(ANY(models), MAYBE(&whole)))
CASE(mb_model_count_outputs, mb_model_count_outputs(ANY(models), MAYBE(&whole)))
CASE(mb_model_count_parameters, mb_model_count_parameters(ANY(models), MAYBE(&wide)))
CASE(mb_model_count_weights, mb_model_count_weights(ANY(models), MAYBE(&whole)))
static int64_t found[MB_MAX_DIMS];
CASE(mb_model_describe_input, mb_model_describe_input(ANY(models), (int)below(4) - 1, MAYBE(&given),
                                                      MAYBE(&whole), MAYBE(found)))
CASE(mb_model_describe_output, mb_model_describe_output(ANY(models), (int)below(4) - 1,
                                                        MAYBE(&given), MAYBE(&whole), MAYBE(found)))
CASE(mb_model_describe_weight, mb_model_describe_weight(ANY(models), (int)below(8) - 1,
                                                        MAYBE(&given), MAYBE(&whole), MAYBE(found)))
CASE(mb_model_get_weight,
     mb_model_get_weight(ANY(models), any_name(), below(2) == 0 ? 16 : (int)below(30) - 4,
                         MAYBE(numbers)))
CASE(mb_model_set_weight,
     mb_model_set_weight(ANY(models), any_name(), below(2) == 0 ? 16 : (int)below(30) - 4,
                         MAYBE(numbers)))
CASE(mb_model_summary, mb_model_summary(ANY(models), MAYBE(&given)))
CASE(mb_model_save, mb_model_save(ANY(models), ANY(contexts), any_output()))
END(mb_model_destroy, models)

MAKE(mb_trainer_create, trainers, mb_trainer_create(ANY(contexts), any_path(), MAYBE(&trainers[i])))
CASE(mb_trainer_set, mb_trainer_set(ANY(trainers), any_key(), any_value()))
static mb_status_t try_mb_trainer_set_array(void)
{
    int rank;
    const int64_t *shape = any_shape(&rank);
    mb_trainer_t *trainer = ANY(trainers);
    if (below(2) == 0)
        mb_trainer_set_array(trainer, "x", MB_FLOAT32, 2, ring_x_shape, ring_x);
    if (below(2) == 0)
        mb_trainer_set_array(trainer, "y", MB_INT32, 1, ring_y_shape, ring_y);
    return mb_trainer_set_array(trainer, any_name(), any_type(), rank, shape, MAYBE(numbers));
}
static mb_status_t try_mb_trainer_set_samples(void)
{
    int rank;
    const int64_t *shape = any_shape(&rank);
    return mb_trainer_set_samples(ANY(trainers), any_name(), any_type(), rank, shape, NULL,
                                  MAYBE(numbers), (mb_where_t)((int)below(4) - 1));
}
CASE(mb_trainer_set_reservoir, mb_trainer_set_reservoir(ANY(trainers), ANY(reservoirs)))
CASE(mb_trainer_renew, mb_trainer_renew(ANY(trainers)))
CASE(mb_trainer_run_for, mb_trainer_run_for(ANY(trainers), 1e-3 * (double)below(3), MAYBE(&wide)))
CASE(mb_trainer_submit, mb_trainer_submit(ANY(trainers), (int)below(5) - 1))
CASE(mb_trainer_test, mb_trainer_test(ANY(trainers), 1e-3 * ((int)below(3) - 1), MAYBE(&whole)))
CASE(mb_trainer_wait, mb_trainer_wait(ANY(trainers)))
CASE(mb_trainer_set_callback, mb_trainer_set_callback(ANY(trainers), MAYBE(on_step), NULL))
CASE(mb_trainer_set_evaluation_callback,
     mb_trainer_set_evaluation_callback(ANY(trainers), MAYBE(on_step), NULL))
CASE(mb_trainer_set_save_callback,
     mb_trainer_set_save_callback(ANY(trainers), MAYBE(on_save), NULL))
CASE(mb_trainer_start, mb_trainer_start(ANY(trainers)))
CASE(mb_trainer_step, mb_trainer_step(ANY(trainers), MAYBE(&real), MAYBE(&whole)))
CASE(mb_trainer_run, mb_trainer_run(ANY(trainers)))
CASE(mb_trainer_get, mb_trainer_get(ANY(trainers), any_name(), MAYBE(&real)))
CASE(mb_trainer_save, mb_trainer_save(ANY(trainers), any_output(), (int)below(4) - 1))
/* Without a message: a signal handler may be calling. */
static mb_status_t try_mb_trainer_stop(void)
{
    mb_trainer_stop(ANY(trainers));
    return MB_OK;
}
END(mb_trainer_destroy, trainers)

static const char *any_policy(void)
{
    static const char *const policies[] = {"uniform", "newest", "oldest", "", NULL};
    return DRAW(policies);
}
MAKE(mb_reservoir_create, reservoirs,
     mb_reservoir_create(ANY(contexts), any_policy(), any_count(), below(3), MAYBE(&reservoirs[i])))
static mb_status_t try_mb_reservoir_set_shape(void)
{
    int rank;
    const int64_t *shape = any_shape(&rank);
    return mb_reservoir_set_shape(ANY(reservoirs), any_name(), any_type(), rank, shape);
}
/* As many arrays as a reservoir can have names. */
static mb_status_t try_mb_reservoir_add(void)
{
    const void *data[64];
    for (int i = 0; i < 64; i++)
        data[i] = below(64) == 0 ? NULL : numbers;
    return mb_reservoir_add(ANY(reservoirs), (int)below(5) - 1, MAYBE(data));
}
CASE(mb_reservoir_update, mb_reservoir_update(ANY(reservoirs)))
CASE(mb_reservoir_count,
     mb_reservoir_count(ANY(reservoirs), MAYBE(&wide), MAYBE(&wide), MAYBE(&wide)))
static mb_status_t try_mb_reservoir_get(void)
{
    const void *kept;
    return mb_reservoir_get(ANY(reservoirs), any_name(), MAYBE(&wide), MAYBE(&kept));
}
END(mb_reservoir_destroy, reservoirs)

MAKE(mb_predictor_create, predictors,
     mb_predictor_create(ANY(contexts), any_path(), MAYBE(&predictors[i])))
CASE(mb_predictor_set, mb_predictor_set(ANY(predictors), any_key(), any_value()))
static mb_status_t try_mb_predictor_set_array(void)
{
    int rank;
    const int64_t *shape = any_shape(&rank);
    if (below(2) == 0)
        mb_predictor_set_array(ANY(predictors), "x", MB_FLOAT32, 2, ring_x_shape, ring_x);
    return mb_predictor_set_array(ANY(predictors), any_name(), any_type(), rank, shape,
                                  MAYBE(numbers));
}
static mb_status_t try_mb_predictor_set_device_array(void)
{
    int rank;
    const int64_t *shape = any_shape(&rank);
    return mb_predictor_set_device_array(ANY(predictors), any_name(), rank, shape, MAYBE(numbers));
}
CASE(mb_predictor_set_device_output,
     mb_predictor_set_device_output(ANY(predictors), any_name(),
                                    below(2) == 0 ? ROOM : (int)below(9) - 2, MAYBE(numbers)))
CASE(mb_predictor_start, mb_predictor_start(ANY(predictors)))
CASE(mb_predictor_load_trainer, mb_predictor_load_trainer(ANY(predictors), ANY(trainers)))
CASE(mb_predictor_set_output,
     mb_predictor_set_output(ANY(predictors), any_name(), below(2) == 0 ? ROOM : (int)below(9) - 2,
                             MAYBE(numbers)))
CASE(mb_predictor_run, mb_predictor_run(ANY(predictors)))
CASE(mb_predictor_run_file, mb_predictor_run_file(ANY(predictors), any_path(), any_output()))
CASE(mb_predictor_evaluate, mb_predictor_evaluate(ANY(predictors)))
CASE(mb_predictor_evaluate_file, mb_predictor_evaluate_file(ANY(predictors), any_path()))
CASE(mb_predictor_get, mb_predictor_get(ANY(predictors), any_name(), MAYBE(&real)))
END(mb_predictor_destroy, predictors)

MAKE(mb_quantizer_create, quantizers,
     mb_quantizer_create(ANY(contexts), any_path(), MAYBE(&quantizers[i])))
CASE(mb_quantizer_set, mb_quantizer_set(ANY(quantizers), any_key(), any_value()))
CASE(mb_quantizer_run, mb_quantizer_run(ANY(quantizers), any_output()))
CASE(mb_quantizer_get, mb_quantizer_get(ANY(quantizers), any_name(), MAYBE(&real)))
END(mb_quantizer_destroy, quantizers)

MAKE(mb_planner_create, planners, mb_planner_create(any_path(), MAYBE(&planners[i])))
CASE(mb_planner_set, mb_planner_set(ANY(planners), any_key(), any_value()))
CASE(mb_planner_run, mb_planner_run(ANY(planners)))
CASE(mb_planner_simulate, mb_planner_simulate(ANY(planners)))
CASE(mb_planner_get, mb_planner_get(ANY(planners), any_name(), MAYBE(&real)))
CASE(mb_planner_get_stage,
     mb_planner_get_stage(ANY(planners), (int)below(5) - 1, any_name(), MAYBE(&real)))
CASE(mb_planner_text, mb_planner_text(ANY(planners), MAYBE(&given)))
END(mb_planner_destroy, planners)

CASE(mb_checkpoint_digest, mb_checkpoint_digest(any_path(), MAYBE(&word), MAYBE(&word)))
CASE(mb_checkpoint_verify, mb_checkpoint_verify(any_path(), MAYBE(&whole)))
CASE(mb_checkpoint_get, mb_checkpoint_get(any_path(), any_name(), MAYBE(&wide)))

/* A call that gives out a text. */
#define TEXT(name, call)                                                                           \
    static mb_status_t try_##name(void)                                                            \
    {                                                                                              \
        char *text = NULL;                                                                         \
        mb_status_t status = call;                                                                 \
        mb_text_free(text);                                                                        \
        return status;                                                                             \
    }
TEXT(mb_checkpoint_inspect, mb_checkpoint_inspect(any_path(), MAYBE(&text)))
TEXT(mb_checkpoint_compare, mb_checkpoint_compare(any_path(), any_path(), (double)below(3) - 1,
                                                  MAYBE(&whole), MAYBE(&text)))
TEXT(mb_checkpoint_list, mb_checkpoint_list(any_path(), MAYBE(&text)))
static const char *const *any_list(const char *(*draw)(void))
{
    static const char *list[4];
    for (int i = 0; i < 4; i++)
        list[i] = draw();
    return below(8) == 0 ? NULL : list;
}
/* Key and value of which the lists are. */
static const char *const *any_values(void)
{
    static const char *list[4];
    for (int i = 0; i < 4; i++)
        list[i] = any_value();
    return below(8) == 0 ? NULL : list;
}
CASE(mb_checkpoint_average,
     mb_checkpoint_average((int)below(5) - 1, any_list(any_path), any_output(), MAYBE(&whole)))
CASE(mb_checkpoint_export,
     mb_checkpoint_export(any_path(), (int)below(4) - 1, any_list(any_key), any_values(),
                          any_output(), MAYBE(&whole), MAYBE(&whole), MAYBE(&whole)))
CASE(mb_checkpoint_convert, mb_checkpoint_convert(any_path(), (int)below(4) - 1, any_list(any_key),
                                                  any_values(), any_output()))
CASE(mb_checkpoint_configure,
     mb_checkpoint_configure(any_path(), (int)below(4) - 1, any_list(any_key), any_values(),
                             below(8) == 0 ? "a.h5" : "out.h5"))
TEXT(mb_data_build, mb_data_build((int)below(4) - 1, any_list(any_path), (int)below(3) - 1,
                                  any_names(), any_values(), any_output(), MAYBE(&text)))
static mb_status_t try_mb_text_free(void)
{
    return mb_text_free(NULL);
}

static const struct {
    const char *name;
    mb_status_t (*attempt)(void);
} table[] = {
#define ENTRY(call)                                                                                \
    {                                                                                              \
#call, try_##call                                                                          \
    }
    ENTRY(mb_error_message),
    ENTRY(mb_error_rank),
    ENTRY(mb_status_name),
    ENTRY(mb_version),
    ENTRY(mb_context_create),
    ENTRY(mb_context_create_f),
    ENTRY(mb_context_set_log),
    ENTRY(mb_context_load_plugin),
    ENTRY(mb_context_register),
    ENTRY(mb_context_destroy),
    ENTRY(mb_model_create_preset),
    ENTRY(mb_model_load),
    ENTRY(mb_model_create),
    ENTRY(mb_model_add_input),
    ENTRY(mb_model_add),
    ENTRY(mb_model_call),
    ENTRY(mb_model_set_outputs),
    ENTRY(mb_model_set),
    ENTRY(mb_model_count_inputs),
    ENTRY(mb_model_count_outputs),
    ENTRY(mb_model_count_parameters),
    ENTRY(mb_model_count_weights),
    ENTRY(mb_model_describe_input),
    ENTRY(mb_model_describe_output),
    ENTRY(mb_model_describe_weight),
    ENTRY(mb_model_get_weight),
    ENTRY(mb_model_set_weight),
    ENTRY(mb_model_summary),
    ENTRY(mb_model_save),
    ENTRY(mb_model_destroy),
    ENTRY(mb_trainer_create),
    ENTRY(mb_trainer_set),
    ENTRY(mb_trainer_set_array),
    ENTRY(mb_trainer_set_samples),
    ENTRY(mb_trainer_set_reservoir),
    ENTRY(mb_trainer_renew),
    ENTRY(mb_trainer_run_for),
    ENTRY(mb_trainer_submit),
    ENTRY(mb_trainer_test),
    ENTRY(mb_trainer_wait),
    ENTRY(mb_trainer_set_callback),
    ENTRY(mb_trainer_set_evaluation_callback),
    ENTRY(mb_trainer_set_save_callback),
    ENTRY(mb_trainer_start),
    ENTRY(mb_trainer_step),
    ENTRY(mb_trainer_run),
    ENTRY(mb_trainer_get),
    ENTRY(mb_trainer_save),
    ENTRY(mb_trainer_stop),
    ENTRY(mb_trainer_destroy),
    ENTRY(mb_reservoir_create),
    ENTRY(mb_reservoir_set_shape),
    ENTRY(mb_reservoir_add),
    ENTRY(mb_reservoir_update),
    ENTRY(mb_reservoir_count),
    ENTRY(mb_reservoir_get),
    ENTRY(mb_reservoir_destroy),
    ENTRY(mb_predictor_create),
    ENTRY(mb_predictor_set),
    ENTRY(mb_predictor_set_array),
    ENTRY(mb_predictor_set_device_array),
    ENTRY(mb_predictor_set_device_output),
    ENTRY(mb_predictor_start),
    ENTRY(mb_predictor_load_trainer),
    ENTRY(mb_predictor_set_output),
    ENTRY(mb_predictor_run),
    ENTRY(mb_predictor_run_file),
    ENTRY(mb_predictor_evaluate),
    ENTRY(mb_predictor_evaluate_file),
    ENTRY(mb_predictor_get),
    ENTRY(mb_predictor_destroy),
    ENTRY(mb_quantizer_create),
    ENTRY(mb_quantizer_set),
    ENTRY(mb_quantizer_run),
    ENTRY(mb_quantizer_get),
    ENTRY(mb_quantizer_destroy),
    ENTRY(mb_planner_create),
    ENTRY(mb_planner_set),
    ENTRY(mb_planner_run),
    ENTRY(mb_planner_simulate),
    ENTRY(mb_planner_get),
    ENTRY(mb_planner_get_stage),
    ENTRY(mb_planner_text),
    ENTRY(mb_planner_destroy),
    ENTRY(mb_checkpoint_digest),
    ENTRY(mb_checkpoint_verify),
    ENTRY(mb_checkpoint_get),
    ENTRY(mb_checkpoint_inspect),
    ENTRY(mb_checkpoint_compare),
    ENTRY(mb_checkpoint_list),
    ENTRY(mb_checkpoint_average),
    ENTRY(mb_checkpoint_export),
    ENTRY(mb_checkpoint_convert),
    ENTRY(mb_checkpoint_configure),
    ENTRY(mb_data_build),
    ENTRY(mb_text_free),
};
enum { N_CALLS = sizeof table / sizeof table[0] };

/* ---- the rounds */

static long asked(const char *name, long otherwise)
{
    const char *text = getenv(name);
    return text == NULL ? otherwise : strtol(text, NULL, 10);
}

/* Something of everything, so that not every call finds nothing. */
static void begin_round(void)
{
    for (int i = 0; i < OBJECTS; i++)
        OK(mb_context_create(MPI_COMM_SELF, &contexts[i]));
    OK(mb_model_load("ring.h5", &models[0]));
    OK(mb_model_create("built", &models[1]));
    OK(mb_model_add_input(models[1], "x", MB_FLOAT32, 1, &(const int64_t){2}));
    OK(mb_trainer_create(contexts[0], "ring.h5", &trainers[0]));
    OK(mb_trainer_set_array(trainers[0], "x", MB_FLOAT32, 2, ring_x_shape, ring_x));
    OK(mb_trainer_set_array(trainers[0], "y", MB_INT32, 1, ring_y_shape, ring_y));
    OK(mb_predictor_create(contexts[1], "ring.h5", &predictors[0]));
    OK(mb_quantizer_create(contexts[1], "ring.h5", &quantizers[0]));
    OK(mb_planner_create("ring.h5", &planners[0]));
    OK(mb_reservoir_create(contexts[0], "uniform", 8, 1, &reservoirs[0]));
}

static void end_round(void)
{
    for (int i = 0; i < OBJECTS; i++) {
        OK(mb_model_destroy(models[i]));
        OK(mb_trainer_destroy(trainers[i]));
        OK(mb_predictor_destroy(predictors[i]));
        OK(mb_quantizer_destroy(quantizers[i]));
        OK(mb_planner_destroy(planners[i]));
    }
    for (int i = 0; i < OBJECTS; i++) {
        OK(mb_reservoir_destroy(reservoirs[i]));
        reservoirs[i] = NULL;
        models[i] = NULL;
        trainers[i] = NULL;
        predictors[i] = NULL;
        quantizers[i] = NULL;
        planners[i] = NULL;
    }
    for (int i = 0; i < OBJECTS; i++) {
        OK(mb_context_destroy(contexts[i]));
        contexts[i] = NULL;
    }
}

static void one_round(uint64_t seed)
{
    state = seed * 0x9e3779b97f4a7c15u + 1;
    begin_round();
    for (int i = 0; i < CALLS; i++) {
        unsigned at = below(N_CALLS);
        mb_status_t status = table[at].attempt();
        ck_assert_msg(status != MB_ERR_INTERNAL, "%s, seed %llu: %s", table[at].name,
                      (unsigned long long)seed, mb_error_message());
        ck_assert_msg(status <= MB_OK && (status == MB_OK || mb_error_message()[0] != '\0'),
                      "%s, seed %llu: status %d without a message", table[at].name,
                      (unsigned long long)seed, (int)status);
    }
    end_round();
}

START_TEST(calls_with_whatever_arguments_return_and_say_why_they_fail)
{
    long rounds = asked("MB_FUZZ_ROUNDS", ROUNDS), seed = asked("MB_FUZZ_SEED", 1);
    FILE *file = fopen("text.h5", "w");
    fputs("no model\n", file);
    fclose(file);
    ring_write_data("ring-data.h5");
    for (long i = 0; i < rounds; i++)
        one_round((uint64_t)(seed + i));
}
END_TEST

START_TEST(every_call_with_nothing_but_null_is_refused_or_does_nothing)
{
    mb_status_t refused[] = {
        mb_context_create(MPI_COMM_SELF, NULL),
        mb_context_set_log(NULL, NULL, NULL, MB_LEVEL_INFO),
        mb_context_load_plugin(NULL, NULL),
        mb_context_register(NULL, NULL),
        mb_model_create_preset(NULL, NULL, NULL, NULL),
        mb_model_load(NULL, NULL),
        mb_model_create(NULL, NULL),
        mb_model_add_input(NULL, NULL, MB_FLOAT32, 0, NULL),
        mb_model_add(NULL, NULL, NULL, NULL, 0, NULL),
        mb_model_call(NULL, NULL, 0, NULL),
        mb_model_set_outputs(NULL, 0, NULL),
        mb_model_set(NULL, NULL, NULL),
        mb_model_count_inputs(NULL, NULL),
        mb_model_count_outputs(NULL, NULL),
        mb_model_count_parameters(NULL, NULL),
        mb_model_count_weights(NULL, NULL),
        mb_model_describe_input(NULL, 0, NULL, NULL, NULL),
        mb_model_describe_output(NULL, 0, NULL, NULL, NULL),
        mb_model_describe_weight(NULL, 0, NULL, NULL, NULL),
        mb_model_get_weight(NULL, NULL, 0, NULL),
        mb_model_set_weight(NULL, NULL, 0, NULL),
        mb_model_summary(NULL, NULL),
        mb_model_save(NULL, NULL, NULL),
        mb_trainer_create(NULL, NULL, NULL),
        mb_trainer_set(NULL, NULL, NULL),
        mb_trainer_set_array(NULL, NULL, MB_FLOAT32, 0, NULL, NULL),
        mb_trainer_set_callback(NULL, NULL, NULL),
        mb_trainer_set_evaluation_callback(NULL, NULL, NULL),
        mb_trainer_set_save_callback(NULL, NULL, NULL),
        mb_trainer_start(NULL),
        mb_trainer_step(NULL, NULL, NULL),
        mb_trainer_run(NULL),
        mb_trainer_stop(NULL),
        mb_trainer_get(NULL, NULL, NULL),
        mb_trainer_save(NULL, NULL, 0),
        mb_trainer_set_samples(NULL, NULL, MB_FLOAT32, 0, NULL, NULL, NULL, MB_HOST),
        mb_trainer_set_reservoir(NULL, NULL),
        mb_trainer_renew(NULL),
        mb_trainer_run_for(NULL, 0, NULL),
        mb_trainer_submit(NULL, 0),
        mb_trainer_test(NULL, 0, NULL),
        mb_trainer_wait(NULL),
        mb_reservoir_create(NULL, NULL, 0, 0, NULL),
        mb_reservoir_set_shape(NULL, NULL, MB_FLOAT32, 0, NULL),
        mb_reservoir_add(NULL, 0, NULL),
        mb_reservoir_update(NULL),
        mb_reservoir_count(NULL, NULL, NULL, NULL),
        mb_reservoir_get(NULL, NULL, NULL, NULL),
        mb_predictor_set_device_array(NULL, NULL, 0, NULL, NULL),
        mb_predictor_set_device_output(NULL, NULL, 0, NULL),
        mb_predictor_start(NULL),
        mb_predictor_load_trainer(NULL, NULL),
        mb_predictor_create(NULL, NULL, NULL),
        mb_predictor_set(NULL, NULL, NULL),
        mb_predictor_set_array(NULL, NULL, MB_FLOAT32, 0, NULL, NULL),
        mb_predictor_set_output(NULL, NULL, 0, NULL),
        mb_predictor_run(NULL),
        mb_predictor_run_file(NULL, NULL, NULL),
        mb_predictor_evaluate(NULL),
        mb_predictor_evaluate_file(NULL, NULL),
        mb_predictor_get(NULL, NULL, NULL),
        mb_quantizer_create(NULL, NULL, NULL),
        mb_quantizer_set(NULL, NULL, NULL),
        mb_quantizer_run(NULL, NULL),
        mb_quantizer_get(NULL, NULL, NULL),
        mb_planner_create(NULL, NULL),
        mb_planner_set(NULL, NULL, NULL),
        mb_planner_run(NULL),
        mb_planner_simulate(NULL),
        mb_planner_get(NULL, NULL, NULL),
        mb_planner_get_stage(NULL, 0, NULL, NULL),
        mb_planner_text(NULL, NULL),
        mb_checkpoint_digest(NULL, NULL, NULL),
        mb_checkpoint_verify(NULL, NULL),
        mb_checkpoint_get(NULL, NULL, NULL),
        mb_checkpoint_inspect(NULL, NULL),
        mb_checkpoint_compare(NULL, NULL, 0, NULL, NULL),
        mb_checkpoint_list(NULL, NULL),
        mb_checkpoint_average(0, NULL, NULL, NULL),
        mb_checkpoint_export(NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL),
        mb_checkpoint_convert(NULL, 0, NULL, NULL, NULL),
        mb_checkpoint_configure(NULL, 0, NULL, NULL, NULL),
        mb_data_build(0, NULL, 0, NULL, NULL, NULL, NULL)};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        ck_assert_msg(refused[i] == MB_ERR_ARGUMENT, "call %zu: status %d", i, (int)refused[i]);
    ck_assert_int_eq(mb_trainer_destroy(NULL) + mb_predictor_destroy(NULL) +
                         mb_quantizer_destroy(NULL) + mb_planner_destroy(NULL) +
                         mb_model_destroy(NULL) + mb_reservoir_destroy(NULL) +
                         mb_context_destroy(NULL),
                     MB_OK);
}
END_TEST

static int has_case(const char *name)
{
    for (int i = 0; i < N_CALLS; i++) {
        if (strcmp(table[i].name, name) == 0)
            return 1;
    }
    return 0;
}

START_TEST(every_public_call_has_a_case)
{
    char path[1024], name[128];
    int symbols = 0;
    const char *folder = getenv("MB_BUILDDIR");
    ck_assert_msg(folder != NULL, "MB_BUILDDIR is not set");
    snprintf(path, sizeof path, "%s/libmb.sym", folder);
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    while (fscanf(file, "%127s", name) == 1) {
        ck_assert_msg(has_case(name), "%s is public and has no case here", name);
        symbols++;
    }
    fclose(file);
    ck_assert_int_eq(symbols, N_CALLS);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("api_fuzz");
    TCase *cases = tcase_create("api_fuzz");
    tcase_set_timeout(cases, 0);
    tcase_add_checked_fixture(cases, ring_begin, ring_end);
    tcase_add_test(cases, every_public_call_has_a_case);
    tcase_add_test(cases, every_call_with_nothing_but_null_is_refused_or_does_nothing);
    tcase_add_test(cases, calls_with_whatever_arguments_return_and_say_why_they_fail);
    suite_add_tcase(suite, cases);
    return suite;
}

int main(int argc, char **argv)
{
    return ring_main(argc, argv, make_suite());
}
