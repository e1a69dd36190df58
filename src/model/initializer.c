/* Keras' initializers, regularizers and constraints from a layer's config. */
#include "model/initializer.h"

#include "model/known.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct {
    const char *name;  /* class name */
    const char *alias; /* short forms, each between blanks */
    mb_initializer_t value;
} known_initializer_t;

/* Scales, modes and distributions from keras/src/initializers/random_initializers.py. */
#define SCALING(factor, fan, shape)                                                                \
    {                                                                                              \
        .kind = MB_INIT_VARIANCE_SCALING, .scale = factor, .mode = fan, .distribution = shape      \
    }
static const known_initializer_t initializers[] = {
    {"Zeros", " zeros zero ", {.kind = MB_INIT_ZEROS}},
    {"Ones", " ones one ", {.kind = MB_INIT_ONES}},
    {"Constant", " constant ", {.kind = MB_INIT_CONSTANT}},
    {"RandomUniform", " random_uniform uniform ", {.kind = MB_INIT_UNIFORM, .a = -0.05, .b = 0.05}},
    {"RandomNormal", " random_normal normal ", {.kind = MB_INIT_NORMAL, .b = 0.05}},
    {"TruncatedNormal", " truncated_normal ", {.kind = MB_INIT_TRUNCATED_NORMAL, .b = 0.05}},
    {"VarianceScaling", " variance_scaling ", SCALING(1.0, MB_FAN_IN, MB_DIST_TRUNCATED)},
    {"GlorotUniform", " glorot_uniform ", SCALING(1.0, MB_FAN_AVG, MB_DIST_UNIFORM)},
    {"GlorotNormal", " glorot_normal ", SCALING(1.0, MB_FAN_AVG, MB_DIST_TRUNCATED)},
    {"LecunUniform", " lecun_uniform ", SCALING(1.0, MB_FAN_IN, MB_DIST_UNIFORM)},
    {"LecunNormal", " lecun_normal ", SCALING(1.0, MB_FAN_IN, MB_DIST_TRUNCATED)},
    {"HeUniform", " he_uniform ", SCALING(2.0, MB_FAN_IN, MB_DIST_UNIFORM)},
    {"HeNormal", " he_normal ", SCALING(2.0, MB_FAN_IN, MB_DIST_TRUNCATED)},
    {"Orthogonal", " orthogonal ", {.kind = MB_INIT_ORTHOGONAL, .a = 1.0}},
    {"OrthogonalInitializer", " ", {.kind = MB_INIT_ORTHOGONAL, .a = 1.0}},
    {"Identity", " identity ", {.kind = MB_INIT_IDENTITY, .a = 1.0}},
    {"IdentityInitializer", " ", {.kind = MB_INIT_IDENTITY, .a = 1.0}},
};
#undef SCALING
#define N_INITIALIZERS (sizeof(initializers) / sizeof(initializers[0]))

static bool has_alias(const char *aliases, const char *name)
{
    char word[32];
    int length = snprintf(word, sizeof(word), " %s ", name);
    return length > 2 && (size_t)length < sizeof(word) && strstr(aliases, word) != NULL;
}

static const known_initializer_t *find_initializer(const char *name)
{
    for (size_t i = 0; i < N_INITIALIZERS; i++) {
        if (strcmp(initializers[i].name, name) == 0 || has_alias(initializers[i].alias, name))
            return &initializers[i];
    }
    return NULL;
}

static const char *initializer_name(size_t index)
{
    return index < N_INITIALIZERS ? initializers[index].name : NULL;
}

const mb_known_t mb_known_initializers = {"initializer", "initializers", initializer_name};

typedef struct {
    const char *name;
    unsigned value;
} choice_t;

static mb_status_t take_choice(mb_config_t *c, const char *key, const choice_t *choices,
                               unsigned *out)
{
    const char *name;
    MB_TRY(mb_config_string_or(c, key, NULL, &name));
    if (name == NULL)
        return MB_OK;
    for (; choices->name != NULL; choices++) {
        if (strcmp(choices->name, name) == 0) {
            *out = choices->value;
            return MB_OK;
        }
    }
    return mb_error_set(MB_ERR_UNSUPPORTED, "%s: key '%s' is '%s', which is not known", c->where,
                        key, name);
}

/* VarianceScaling itself spells out what its relatives imply. */
static mb_status_t take_scaling(mb_config_t *c, mb_initializer_t *out)
{
    static const choice_t modes[] = {
        {"fan_in", MB_FAN_IN}, {"fan_out", MB_FAN_OUT}, {"fan_avg", MB_FAN_AVG}, {NULL, 0}};
    static const choice_t distributions[] = {{"uniform", MB_DIST_UNIFORM},
                                             {"normal", MB_DIST_TRUNCATED},
                                             {"truncated_normal", MB_DIST_TRUNCATED},
                                             {"untruncated_normal", MB_DIST_NORMAL},
                                             {NULL, 0}};
    unsigned mode = out->mode, distribution = out->distribution;
    MB_TRY(mb_config_real_or(c, "scale", out->scale, &out->scale));
    MB_TRY(take_choice(c, "mode", modes, &mode));
    MB_TRY(take_choice(c, "distribution", distributions, &distribution));
    if (!(out->scale > 0))
        return mb_error_set(MB_ERR_ARGUMENT, "%s: key 'scale' is %g, it must be positive", c->where,
                            out->scale);
    out->mode = mode;
    out->distribution = distribution;
    return MB_OK;
}

/* The seed is Keras' own way to draw; here values come from the run's seed and the weight's name.
 */
static mb_status_t take_initializer(mb_config_t *c, const char *name, mb_initializer_t *out)
{
    mb_config_ignore(c, "dtype");
    if (out->kind != MB_INIT_ZEROS && out->kind != MB_INIT_ONES && out->kind != MB_INIT_CONSTANT &&
        out->kind != MB_INIT_IDENTITY)
        mb_config_ignore(c, "seed");
    switch (out->kind) {
    case MB_INIT_ZEROS:
    case MB_INIT_ONES:
        return MB_OK;
    case MB_INIT_CONSTANT:
        return mb_config_real_or(c, "value", 0, &out->a);
    case MB_INIT_ORTHOGONAL:
    case MB_INIT_IDENTITY:
        return mb_config_real_or(c, "gain", out->a, &out->a);
    case MB_INIT_UNIFORM:
        MB_TRY(mb_config_real_or(c, "minval", out->a, &out->a));
        return mb_config_real_or(c, "maxval", out->b, &out->b);
    case MB_INIT_NORMAL:
    case MB_INIT_TRUNCATED_NORMAL:
        MB_TRY(mb_config_real_or(c, "mean", out->a, &out->a));
        return mb_config_real_or(c, "stddev", out->b, &out->b);
    default:
        MB_TRY(mb_config_only(c, "input_axes", "null"));
        MB_TRY(mb_config_only(c, "output_axes", "null"));
        return strcmp(name, "VarianceScaling") == 0 ? take_scaling(c, out) : MB_OK;
    }
}

mb_status_t mb_initializer_parse(const json_t *value, const char *otherwise, const char *where,
                                 mb_initializer_t *out)
{
    const char *name = otherwise;
    const json_t *config = NULL;
    if (value != NULL && !json_is_null(value))
        MB_TRY(mb_config_object(value, where, &name, &config));
    const known_initializer_t *known = find_initializer(name);
    if (known == NULL)
        return mb_known_refuse(&mb_known_initializers, MB_ERR_UNSUPPORTED, where, name);
    mb_initializer_t result = known->value;
    if (config != NULL) {
        mb_config_t c;
        MB_TRY(mb_config_open(&c, config, "%s, %s", where, known->name));
        MB_TRY(take_initializer(&c, known->name, &result));
        MB_TRY(mb_config_finish(&c));
    }
    *out = result;
    return MB_OK;
}

/* A factor that is not negative and is finite in float32. */
static mb_status_t take_factor(mb_config_t *c, const char *key, double otherwise, float *out)
{
    double value;
    MB_TRY(mb_config_real_or(c, key, otherwise, &value));
    if (!(value >= 0) || !isfinite((float)value))
        return mb_error_set(MB_ERR_ARGUMENT, "%s: key '%s' is %g, it must not be negative",
                            c->where, key, value);
    *out = (float)value;
    return MB_OK;
}

static const char *regularizer_name(size_t index)
{
    static const char *const names[] = {"L1", "L2", "L1L2"};
    return index < sizeof(names) / sizeof(names[0]) ? names[index] : NULL;
}

const mb_known_t mb_known_regularizers = {"regularizer", "regularizers", regularizer_name};

mb_status_t mb_regularizer_parse(const json_t *value, const char *where, mb_regularizer_t *out)
{
    *out = (mb_regularizer_t){0};
    if (value == NULL || json_is_null(value))
        return MB_OK;
    const char *name;
    const json_t *config;
    MB_TRY(mb_config_object(value, where, &name, &config));
    bool l1 = strcmp(name, "L1") == 0 || strcmp(name, "l1") == 0;
    bool l2 = strcmp(name, "L2") == 0 || strcmp(name, "l2") == 0;
    bool both = strcmp(name, "L1L2") == 0 || strcmp(name, "l1_l2") == 0;
    if (!l1 && !l2 && !both)
        return mb_known_refuse(&mb_known_regularizers, MB_ERR_UNSUPPORTED, where, name);
    *out = (mb_regularizer_t){.l1 = l1 ? 0.01F : 0, .l2 = l2 ? 0.01F : 0};
    if (config == NULL)
        return MB_OK;
    mb_config_t c;
    MB_TRY(mb_config_open(&c, config, "%s, %s", where, name));
    if (!l2)
        MB_TRY(take_factor(&c, "l1", l1 ? 0.01 : 0, &out->l1));
    if (!l1)
        MB_TRY(take_factor(&c, "l2", l2 ? 0.01 : 0, &out->l2));
    return mb_config_finish(&c);
}

static const struct {
    const char *name;
    const char *alias;
    mb_limit_t limit;
} constraints[] = {{"MaxNorm", " max_norm maxnorm ", MB_LIMIT_MAXNORM},
                   {"UnitNorm", " unit_norm unitnorm ", MB_LIMIT_UNITNORM},
                   {"NonNeg", " non_neg nonneg ", MB_LIMIT_NONNEG},
                   {"MinMaxNorm", " min_max_norm ", MB_LIMIT_MINMAX}};
#define N_CONSTRAINTS (sizeof(constraints) / sizeof(constraints[0]))

/* Axes as the file has them; mb_param_add makes them fit the weight. */
static mb_status_t take_axes(mb_config_t *c, mb_constraint_t *out)
{
    const json_t *axis = mb_config_take(c, "axis");
    out->n_axes = 1;
    out->axes[0] = 0;
    if (axis == NULL || json_is_null(axis))
        return MB_OK;
    size_t count = json_is_array(axis) ? json_array_size(axis) : 1;
    bool fits = count >= 1 && count <= MB_MAX_RANK;
    for (size_t i = 0; fits && i < count; i++) {
        const json_t *item = json_is_array(axis) ? json_array_get(axis, i) : axis;
        fits = json_is_integer(item);
        out->axes[i] = json_integer_value(item);
    }
    out->n_axes = (int)count;
    return fits ? MB_OK
                : mb_error_set(MB_ERR_FORMAT,
                               "%s: key 'axis' must be an integer or a list of at most %d integers",
                               c->where, MB_MAX_RANK);
}

static mb_status_t take_constraint(mb_config_t *c, mb_constraint_t *out)
{
    if (out->limit == MB_LIMIT_NONNEG)
        return MB_OK;
    MB_TRY(take_axes(c, out));
    if (out->limit == MB_LIMIT_MAXNORM)
        return take_factor(c, "max_value", 2, &out->high);
    if (out->limit == MB_LIMIT_MINMAX) {
        MB_TRY(take_factor(c, "min_value", 0, &out->low));
        MB_TRY(take_factor(c, "max_value", 1, &out->high));
        return take_factor(c, "rate", 1, &out->rate);
    }
    return MB_OK;
}

static const char *constraint_name(size_t index)
{
    return index < N_CONSTRAINTS ? constraints[index].name : NULL;
}

const mb_known_t mb_known_constraints = {"constraint", "constraints", constraint_name};

mb_status_t mb_constraint_parse(const json_t *value, const char *where, mb_constraint_t *out)
{
    *out = (mb_constraint_t){0};
    if (value == NULL || json_is_null(value))
        return MB_OK;
    const char *name;
    const json_t *config = NULL;
    MB_TRY(mb_config_object(value, where, &name, &config));
    for (size_t i = 0; i < N_CONSTRAINTS; i++) {
        if (strcmp(constraints[i].name, name) != 0 && !has_alias(constraints[i].alias, name))
            continue;
        *out = (mb_constraint_t){.present = true, .limit = constraints[i].limit, .n_axes = 1};
        mb_config_t c = {0};
        if (config != NULL)
            MB_TRY(mb_config_open(&c, config, "%s, %s", where, constraints[i].name));
        MB_TRY(take_constraint(&c, out));
        return config == NULL ? MB_OK : mb_config_finish(&c);
    }
    return mb_known_refuse(&mb_known_constraints, MB_ERR_UNSUPPORTED, where, name);
}

/* Takes "<prefix>_<suffix>". The reader keeps the key it is given, so the object's own is used. */
static const json_t *take_built(mb_config_t *config, const char *prefix, const char *suffix)
{
    char key[64];
    snprintf(key, sizeof(key), "%s_%s", prefix, suffix);
    void *at = json_object_iter_at((json_t *)(uintptr_t)config->object, key);
    return at == NULL ? NULL : mb_config_take(config, json_object_iter_key(at));
}

mb_status_t mb_param_spec_take(mb_config_t *config, const char *prefix, const char *otherwise,
                               mb_param_spec_t *spec)
{
    char where[256];
    snprintf(where, sizeof(where), "%s: %s_initializer", config->where, prefix);
    MB_TRY(mb_initializer_parse(take_built(config, prefix, "initializer"), otherwise, where,
                                &spec->initializer));
    snprintf(where, sizeof(where), "%s: %s_regularizer", config->where, prefix);
    MB_TRY(
        mb_regularizer_parse(take_built(config, prefix, "regularizer"), where, &spec->regularizer));
    snprintf(where, sizeof(where), "%s: %s_constraint", config->where, prefix);
    return mb_constraint_parse(take_built(config, prefix, "constraint"), where, &spec->constraint);
}
