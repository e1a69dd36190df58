/* The command line's schedules ("cosine:steps=1000,warmup=100") to Keras' serialized ones, so that
 * one reader serves both and the file written holds what Keras holds. */
#include "model/optimizers/lr_schedule.h"
#include "base/str.h"
#include "model/known.h"
#include "model/spec.h"

#include <stdlib.h>
#include <string.h>

/* A kind of schedule, Keras' class, and the keys' own and Keras' names. */
typedef struct {
    const char *name, *class_name, *instance;
    struct {
        const char *key, *keras;
    } keys[5];
} kind_t;

static const kind_t kinds[] = {
    {"cosine",
     "CosineDecay",
     "CosineDecay",
     {{"steps", "decay_steps"}, {"warmup", "warmup_steps"}, {"alpha", "alpha"}}},
    {"restarts",
     "CosineDecayRestarts",
     "SGDRDecay",
     {{"steps", "first_decay_steps"}, {"t_mul", "t_mul"}, {"m_mul", "m_mul"}, {"alpha", "alpha"}}},
    {"exponential",
     "ExponentialDecay",
     "ExponentialDecay",
     {{"steps", "decay_steps"}, {"rate", "decay_rate"}, {"staircase", "staircase"}}},
    {"inverse",
     "InverseTimeDecay",
     "InverseTimeDecay",
     {{"steps", "decay_steps"}, {"rate", "decay_rate"}, {"staircase", "staircase"}}},
    {"polynomial",
     "PolynomialDecay",
     "PolynomialDecay",
     {{"steps", "decay_steps"},
      {"end", "end_learning_rate"},
      {"power", "power"},
      {"cycle", "cycle"}}},
    {"piecewise",
     "PiecewiseConstantDecay",
     "PiecewiseConstant",
     {{"at", "boundaries"}, {"values", "values"}}},
};
#define N_KINDS (sizeof(kinds) / sizeof(kinds[0]))

static const char *kind_name(size_t index)
{
    return index == 0 ? "constant" : index <= N_KINDS ? kinds[index - 1].name : NULL;
}

const mb_known_t mb_known_lr_schedules = {"schedule", "values of --lr-schedule", kind_name};

static mb_status_t find_kind(const char *name, const kind_t **out)
{
    for (size_t i = 0; i < N_KINDS; i++) {
        if (strcmp(kinds[i].name, name) == 0) {
            *out = &kinds[i];
            return MB_OK;
        }
    }
    return mb_known_refuse(&mb_known_lr_schedules, MB_ERR_ARGUMENT, "--lr-schedule", name);
}

static mb_status_t keras_key(const kind_t *kind, const char *key, const char **out)
{
    for (int i = 0; i < 5 && kind->keys[i].key != NULL; i++) {
        if (strcmp(kind->keys[i].key, key) == 0) {
            *out = kind->keys[i].keras;
            return MB_OK;
        }
    }
    mb_str_t known = {0};
    for (int i = 0; i < 5 && kind->keys[i].key != NULL; i++)
        mb_str_addf(&known, "%s%s", i == 0 ? "" : ", ", kind->keys[i].key);
    mb_error_set(MB_ERR_ARGUMENT, "--lr-schedule: %s has no key '%s'; it has %s", kind->name, key,
                 known.text == NULL ? "" : known.text);
    mb_str_free(&known);
    return MB_ERR_ARGUMENT;
}

/* "1000/2000" to a list; one value alone has become a number already. */
static json_t *list_value(const json_t *value, bool real)
{
    json_t *list = json_array();
    if (json_is_number(value)) {
        json_array_append_new(list, real ? json_real(json_number_value(value))
                                         : json_integer(json_integer_value(value)));
        return list;
    }
    const char *at = json_string_value(value);
    while (at != NULL) {
        char *end;
        double number = strtod(at, &end);
        json_array_append_new(list, real ? json_real(number) : json_integer((json_int_t)number));
        at = *end == '/' ? end + 1 : NULL;
        if (at == NULL && *end != '\0')
            json_array_append_new(list, json_null()); /* refused when it is read */
    }
    return list;
}

/* Keras computes in the type of what it is given: steps stay integers, all else becomes a float. */
static int put(json_t *config, const char *key, json_t *value)
{
    bool steps = strstr(key, "steps") != NULL;
    if (strcmp(key, "boundaries") == 0 || strcmp(key, "values") == 0)
        return json_object_set_new(config, key, list_value(value, strcmp(key, "values") == 0));
    if (json_is_integer(value) && !steps)
        return json_object_set_new(config, key, json_real(json_number_value(value)));
    return json_object_set(config, key, value);
}

/* Keras counts a warm-up in front of the decay; here the steps are all of them. */
static mb_status_t add_warmup(json_t *config, double peak)
{
    const json_t *warmup = json_object_get(config, "warmup_steps");
    const json_t *steps = json_object_get(config, "decay_steps");
    if (warmup == NULL)
        return MB_OK;
    json_int_t before = json_integer_value(warmup);
    json_int_t all = json_integer_value(steps);
    if (!json_is_integer(warmup) || !json_is_integer(steps) || before < 0 || all <= before)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "--lr-schedule: cosine needs whole numbers of steps, more of them than "
                            "of warm-up");
    json_object_set_new(config, "decay_steps", json_integer(all - before));
    json_object_set_new(config, "initial_learning_rate", json_real(0.0));
    json_object_set_new(config, "warmup_target", json_real(peak));
    return MB_OK;
}

static mb_status_t fill(const kind_t *kind, json_t *given, double peak, json_t *config)
{
    if (strcmp(kind->name, "piecewise") != 0)
        json_object_set_new(config, "initial_learning_rate", json_real(peak));
    for (void *at = json_object_iter(given); at != NULL; at = json_object_iter_next(given, at)) {
        const char *key;
        MB_TRY(keras_key(kind, json_object_iter_key(at), &key));
        if (put(config, key, json_object_iter_value(at)) != 0)
            return mb_error_memory("a schedule", 1);
    }
    json_object_set_new(config, "name", json_string(kind->instance));
    return add_warmup(config, peak);
}

static mb_status_t build(json_t *parsed, double peak, json_t **out)
{
    const char *name = json_string_value(json_object_get(parsed, "class_name"));
    json_t *given = json_object_get(parsed, "config");
    const kind_t *kind = NULL;
    if (strcmp(name, "constant") == 0 && json_object_size(given) == 0) {
        *out = json_real(peak);
        return MB_OK;
    }
    MB_TRY(find_kind(name, &kind));
    json_t *config = json_object();
    mb_status_t status = fill(kind, given, peak, config);
    if (status == MB_OK)
        *out = json_pack("{s:s, s:s, s:O, s:n}", "module", "keras.optimizers.schedules",
                         "class_name", kind->class_name, "config", config, "registered_name");
    json_decref(config);
    return status;
}

mb_status_t mb_lr_schedule_from_text(const char *text, double peak, json_t **out)
{
    json_t *parsed;
    MB_TRY(mb_spec_parse(text, "--lr-schedule", &parsed));
    mb_status_t status = build(parsed, peak, out);
    json_decref(parsed);
    return status;
}
