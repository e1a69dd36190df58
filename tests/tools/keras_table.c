/* Prints doc/keras.md: what of Keras is obeyed, as the code itself tells it while it reads each
 * class' config in tests/data/keras.json.
 *
 *     keras_table tests/data/keras.json >doc/keras.md */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "model/graph_private.h"
#include "model/known.h"
#include "model/losses/class.h"
#include "model/metrics/class.h"
#include "model/optimizer.h"
#include "model/optimizers/lr_schedule.h"

enum { MOST_CLASSES = 256 };

typedef struct {
    const char *name;
    const json_t *config; /* of the class in hand; NULL: the first object read is a copy of it */
    mb_config_t read;     /* as its keys were taken */
    bool found;
} subject_t;

static const char *const common[] = {"name",
                                     "trainable",
                                     "dtype",
                                     "activity_regularizer",
                                     "query_shape",
                                     "key_shape",
                                     "value_shape",
                                     "quantization_config",
                                     "autocast",
                                     "batch_shape",
                                     "batch_input_shape",
                                     "input_shape"};

static bool is_common(const char *key)
{
    for (size_t i = 0; i < sizeof common / sizeof common[0]; i++)
        if (strcmp(common[i], key) == 0)
            return true;
    return false;
}

static void see(void *user, const mb_config_t *config)
{
    subject_t *subject = user;
    if (subject->config == NULL ? subject->found : config->object != subject->config)
        return;
    subject->read = *config;
    subject->found = true;
}

/* ---- how each kind is read */

static mb_status_t read_layer(const char *name, const json_t *config, mb_arena_t *arena)
{
    mb_reader_t reader = {.arena = arena};
    mb_module_t module = {.class_name = name, .name = name, .path = name, .trainable = true};
    return strcmp(name, "InputLayer") == 0 ? mb_module_read_input(&reader, config, &module)
                                           : mb_module_read_layer(&reader, config, &module);
}

static json_t *serialized(const char *name, const json_t *config)
{
    return json_pack("{s:s, s:O}", "class_name", name, "config", (json_t *)(uintptr_t)config);
}

static mb_status_t read_loss(const char *name, const json_t *config, mb_arena_t *arena)
{
    (void)arena;
    mb_loss_t loss = {0};
    const mb_loss_class_t *found;
    json_t *object = serialized(name, config);
    mb_status_t status = mb_loss_parse(object, "a loss", &loss, &found);
    json_decref(object);
    return status;
}

/* Beside an output of one column, of two, or of two with integer labels: some metrics want one of
 * them. */
static mb_status_t read_metric(const char *name, const json_t *config, mb_arena_t *arena)
{
    static const struct {
        int64_t columns;
        bool sparse;
    } outputs[] = {{1, false}, {2, false}, {2, true}};
    json_t *object = serialized(name, config);
    mb_status_t status = MB_ERR_INTERNAL;
    for (size_t i = 0; i < sizeof outputs / sizeof outputs[0] && status != MB_OK; i++) {
        int64_t columns = outputs[i].columns;
        mb_loss_t loss = {
            .name = "of a loss", .rows = 1, .columns = columns, .sparse = outputs[i].sparse};
        loss.label_shape = (mb_shape_t){.rank = 1, .dim = {outputs[i].sparse ? 1 : columns}};
        mb_metric_t metric = {0};
        status = mb_metric_parse(object, NULL, "a metric", &loss, arena, &metric);
    }
    json_decref(object);
    return status;
}

static mb_status_t read_optimizer(const char *name, const json_t *config, mb_arena_t *arena)
{
    mb_optimizer_t *optimizer = NULL;
    json_t *object = serialized(name, config);
    mb_status_t status = mb_optimizer_create(object, NULL, "an optimizer", arena, &optimizer);
    if (optimizer != NULL)
        mb_optimizer_destroy(optimizer);
    json_decref(object);
    return status;
}

static mb_status_t read_schedule(const char *name, const json_t *config, mb_arena_t *arena)
{
    const mb_lr_schedule_t *schedule;
    json_t *object = serialized(name, config);
    mb_status_t status = mb_lr_schedule_parse(object, "a schedule", arena, &schedule);
    json_decref(object);
    return status;
}

static const struct {
    const char *key, *title;
    mb_status_t (*read)(const char *name, const json_t *config, mb_arena_t *arena);
} kinds[] = {{"layers", "Layers", read_layer},
             {"losses", "Losses", read_loss},
             {"metrics", "Metrics", read_metric},
             {"optimizers", "Optimizers", read_optimizer},
             {"schedules", "Schedules", read_schedule}};

/* ---- what is printed */

typedef bool wanted_t(const char *accepted);

static bool is_obeyed(const char *accepted)
{
    return accepted == NULL;
}

static bool is_fixed(const char *accepted)
{
    return accepted != NULL && accepted[0] != '\0';
}

static bool is_idle(const char *accepted)
{
    return accepted != NULL && accepted[0] == '\0';
}

static void print_keys(const mb_config_t *read, wanted_t *wanted)
{
    bool first = true;
    for (int i = 0; i < read->n_taken; i++) {
        if (is_common(read->taken[i]) || !wanted(read->accepted[i]))
            continue;
        printf("%s%s", first ? " " : ", ", read->taken[i]);
        if (wanted == is_fixed)
            printf(" `%s`", read->accepted[i]);
        first = false;
    }
    printf(" |");
}

static void print_row(const subject_t *subject)
{
    printf("| `%s` |", subject->name);
    print_keys(&subject->read, is_obeyed);
    print_keys(&subject->read, is_fixed);
    print_keys(&subject->read, is_idle);
    printf("\n");
}

static void print_refused(const char *const *names, int n)
{
    if (n == 0)
        return;
    printf("\nRefused by name:");
    for (int i = 0; i < n; i++)
        printf("%s `%s`", i == 0 ? "" : ",", names[i]);
    printf(".\n");
}

static void print_kind(size_t kind, const json_t *table)
{
    const char *refused[MOST_CLASSES];
    int n_refused = 0;
    printf("\n## %s\n\n| class | keys | one value alone | without effect |\n|---|---|---|---|\n",
           kinds[kind].title);
    json_t *classes = json_object_get(table, kinds[kind].key), *config;
    const char *name;
    json_object_foreach(classes, name, config)
    {
        subject_t subject = {.name = name,
                             .config = kinds[kind].read == read_optimizer ? NULL : config};
        mb_arena_t *arena = mb_arena_create();
        mb_config_watch(see, &subject);
        mb_status_t status = kinds[kind].read(name, config, arena);
        mb_config_watch(NULL, NULL);
        if (status == MB_OK && subject.found)
            print_row(&subject);
        else if (n_refused < MOST_CLASSES)
            refused[n_refused++] = name;
        if (status != MB_OK)
            fprintf(stderr, "%s\n", mb_error_get());
        mb_arena_destroy(arena);
    }
    print_refused(refused, n_refused);
}

static void print_names(const char *title, const mb_known_t *known)
{
    printf("\n## %s\n\n", title);
    for (size_t i = 0; known->name(i) != NULL; i++)
        printf("%s`%s`", i == 0 ? "" : ", ", known->name(i));
    printf("\n");
}

static void print_head(const json_t *table)
{
    printf("# What of Keras is obeyed\n\n"
           "This file is written by the code itself (`make keras-table`): "
           "tests/tools/keras_table.c reads the config\n"
           "that Keras %s gives each of its classes, and prints which keys were taken. A key of "
           "the second column\n"
           "is obeyed with any value that Keras takes, or the value is refused by a message that "
           "names layer and key;\n"
           "one of the third column is refused with any other value; one of the fourth changes "
           "nothing that is\n"
           "computed. A key that is in no column is refused. All layers have name, trainable, "
           "dtype (the policies\n"
           "float32, mixed_bfloat16 and mixed_float16) and, where Keras has it, "
           "activity_regularizer.\n",
           json_string_value(json_object_get(table, "keras")));
}

int main(int argc, char **argv)
{
    json_error_t error;
    json_t *table = argc == 2 ? json_load_file(argv[1], 0, &error) : NULL;
    if (table == NULL) {
        fprintf(stderr, "usage: keras_table tests/data/keras.json\n");
        return 2;
    }
    print_head(table);
    for (size_t kind = 0; kind < sizeof kinds / sizeof kinds[0]; kind++)
        print_kind(kind, table);
    print_names("Operations of functional models", &mb_known_operators);
    print_names("Activations", &mb_known_activations);
    print_names("Initializers", &mb_known_initializers);
    print_names("Regularizers", &mb_known_regularizers);
    print_names("Constraints", &mb_known_constraints);
    print_names("Values of --lr-schedule", &mb_known_lr_schedules);
    json_decref(table);
    return 0;
}
