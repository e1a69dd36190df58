/* From Keras' serialized loss (name or object, Keras 2 or 3) to its class and settings. */
#include "model/losses/class.h"

#include <math.h>
#include <string.h>

#include "model/known.h"

static const mb_loss_class_t *const classes[] = {
    &mb_loss_sparse_crossentropy,
    &mb_loss_categorical_crossentropy,
    &mb_loss_binary_crossentropy,
    &mb_loss_categorical_focal_crossentropy,
    &mb_loss_binary_focal_crossentropy,
    &mb_loss_generalized_crossentropy,
    &mb_loss_squared_error,
    &mb_loss_absolute_error,
    &mb_loss_percentage_error,
    &mb_loss_logarithmic_error,
    &mb_loss_huber,
    &mb_loss_log_cosh,
    &mb_loss_cosine_similarity,
    &mb_loss_poisson,
    &mb_loss_kl_divergence,
    &mb_loss_hinge,
    &mb_loss_squared_hinge,
    &mb_loss_categorical_hinge,
    &mb_loss_dice,
    &mb_loss_tversky,
    &mb_loss_circle,
};
#define N_CLASSES (sizeof(classes) / sizeof(classes[0]))

static bool has_name(const mb_loss_class_t *class_, const char *name)
{
    bool found = strcmp(class_->class_name, name) == 0;
    for (const char *const *at = class_->names; *at != NULL && !found; at++)
        found = strcmp(*at, name) == 0;
    return found;
}

enum { MOST_ADDED = 32 };
static const mb_loss_class_t *added[MOST_ADDED];
static size_t n_added;

const mb_loss_class_t *mb_loss_class_find(const char *name)
{
    for (size_t i = 0; i < N_CLASSES; i++) {
        if (has_name(classes[i], name))
            return classes[i];
    }
    for (size_t i = 0; i < n_added; i++) {
        if (has_name(added[i], name))
            return added[i];
    }
    return NULL;
}

mb_status_t mb_loss_class_add(const mb_loss_class_t *class_)
{
    bool taken = mb_loss_class_find(class_->class_name) != NULL;
    for (const char *const *at = class_->names; *at != NULL && !taken; at++)
        taken = mb_loss_class_find(*at) != NULL;
    if (taken)
        return mb_error_set(MB_ERR_ARGUMENT, "loss '%s': there is a loss of this name already",
                            class_->class_name);
    if (n_added == MOST_ADDED)
        return mb_error_set(MB_ERR_ARGUMENT, "loss '%s': %d losses were added, which is the most",
                            class_->class_name, MOST_ADDED);
    added[n_added++] = class_;
    return MB_OK;
}

static const char *loss_name(size_t index)
{
    return index < N_CLASSES ? classes[index]->names[0] : NULL;
}

const mb_known_t mb_known_losses = {"loss", "losses", loss_name};

/* Losses of Keras that are not computed here, and why. */
static const struct {
    const char *names[2], *why;
} refused[] = {
    {{"CTC", "ctc"},
     "it aligns sequences without a length of their own, which this build does not do; label each "
     "step and use sparse_categorical_crossentropy, or train this model with Keras"},
};

static mb_status_t check_refused(const char *name, const char *where)
{
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        if (strcmp(name, refused[i].names[0]) == 0 || strcmp(name, refused[i].names[1]) == 0)
            return mb_error_set(MB_ERR_UNSUPPORTED, "%s: loss '%s' is not computed: %s", where,
                                name, refused[i].why);
    }
    return MB_OK;
}

static mb_status_t find_class(const char *name, const char *where, const mb_loss_class_t **out)
{
    MB_TRY(check_refused(name, where));
    *out = mb_loss_class_find(name);
    if (*out != NULL)
        return MB_OK;
    if (strcmp(name, "crossentropy") == 0 || strcmp(name, "ce") == 0)
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "%s: '%s' leaves the kind to the shape of the labels; name "
                            "sparse_categorical_, categorical_ or binary_crossentropy",
                            where, name);
    return mb_known_refuse(&mb_known_losses, MB_ERR_UNSUPPORTED, where, name);
}

bool mb_loss_is_single(const json_t *value)
{
    return json_is_string(value) || json_is_string(json_object_get(value, "class_name"));
}

mb_status_t mb_loss_take_dtype(mb_config_t *config)
{
    const json_t *value = mb_config_take(config, "dtype");
    const json_t *policy = json_object_get(json_object_get(value, "config"), "name");
    const char *name = json_string_value(json_is_object(value) ? policy : value);
    if (!mb_config_has(config, "dtype") || (name != NULL && strcmp(name, "float32") == 0))
        return MB_OK;
    return mb_error_set(MB_ERR_UNSUPPORTED, "%s: key 'dtype' must be float32", config->where);
}

mb_status_t mb_loss_take_real(mb_config_t *config, const char *key, double otherwise, float *out)
{
    double value;
    MB_TRY(mb_config_real_or(config, key, otherwise, &value));
    *out = (float)value;
    if (isfinite(*out))
        return MB_OK;
    return mb_error_set(MB_ERR_ARGUMENT, "%s: key '%s' is %g, it must be a finite float32",
                        config->where, key, value);
}

/* Keras 2's "auto" is the mean outside its distribution strategies. Without sample weights Keras
 * 3's three means are one. */
static mb_status_t take_reduction(mb_config_t *config, mb_loss_t *loss)
{
    const json_t *value = mb_config_take(config, "reduction");
    const char *name = value == NULL ? "sum_over_batch_size" : json_string_value(value);
    static const char *const means[] = {"sum_over_batch_size", "auto", "mean",
                                        "mean_with_sample_weight"};
    for (size_t i = 0; name != NULL && i < sizeof(means) / sizeof(means[0]); i++) {
        if (strcmp(name, means[i]) != 0)
            continue;
        loss->by_weight = strcmp(name, "mean_with_sample_weight") == 0;
        return MB_OK;
    }
    loss->sum = name != NULL && strcmp(name, "sum") == 0;
    if (loss->sum)
        return MB_OK;
    return mb_error_set(MB_ERR_UNSUPPORTED,
                        "%s: reduction '%s' gives no single number to train on; "
                        "sum_over_batch_size and sum do",
                        config->where, name == NULL ? "none" : name);
}

/* Later Keras 2 versions write the function beside its arguments. */
static mb_status_t take_function(mb_config_t *config, const mb_loss_class_t *class_)
{
    const json_t *value = mb_config_take(config, "fn");
    const char *name;
    const json_t *ignored;
    if (!mb_config_has(config, "fn"))
        return MB_OK;
    MB_TRY(mb_config_object(value, config->where, &name, &ignored));
    if (has_name(class_, name))
        return MB_OK;
    return mb_error_set(MB_ERR_UNSUPPORTED, "%s: key 'fn' is '%s', which is not what %s computes",
                        config->where, name, class_->class_name);
}

static mb_status_t take_all(mb_config_t *config, const mb_loss_class_t *class_, mb_loss_t *loss)
{
    loss->axes[0] = -1;
    loss->n_axes = 1;
    mb_config_ignore(config, "name");
    MB_TRY(mb_loss_take_dtype(config));
    MB_TRY(take_reduction(config, loss));
    MB_TRY(take_function(config, class_));
    MB_TRY(class_->parse(config, loss));
    return mb_config_finish(config);
}

/* A loss registered under a package is known by that longer name. */
static const char *registered_name(const json_t *value, const char *otherwise)
{
    const char *name = json_string_value(json_object_get(value, "registered_name"));
    return name != NULL && mb_loss_class_find(name) != NULL ? name : otherwise;
}

mb_status_t mb_loss_parse(const json_t *value, const char *where, mb_loss_t *loss,
                          const mb_loss_class_t **out)
{
    const char *name;
    const json_t *object;
    const mb_loss_class_t *class_ = NULL;
    MB_TRY(mb_config_object(value, where, &name, &object));
    name = registered_name(value, name);
    MB_TRY(find_class(name, where, &class_));
    loss->plugin = class_->plugin;
    json_t *empty = json_object();
    mb_config_t config;
    mb_status_t status =
        mb_config_open(&config, object != NULL ? object : empty, "%s (%s)", where, name);
    if (status == MB_OK)
        status = take_all(&config, class_, loss);
    json_decref(empty);
    if (status != MB_OK)
        return status;
    loss->name = class_->names[0];
    *out = class_;
    return MB_OK;
}
