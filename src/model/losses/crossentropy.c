/* Keras' cross-entropies: labels as class numbers, as distributions, as independent bits; each
 * plain, the latter two with a focal factor, the first one generalized. From probabilities Keras
 * divides by their sum (not for bits) and clips to [1e-7, 1 - 1e-7]; a softmax in front is not
 * looked through. Source: keras/src/losses/losses.py, backend/torch/nn.py. */
#include "model/losses/class.h"

static mb_status_t take_smoothing(mb_config_t *config, mb_loss_t *loss)
{
    double smoothing;
    MB_TRY(mb_config_real_or(config, "label_smoothing", 0.0, &smoothing));
    if (!(smoothing >= 0.0 && smoothing <= 1.0))
        return mb_error_set(MB_ERR_ARGUMENT,
                            "%s: key 'label_smoothing' is %g, it must lie from 0 to 1",
                            config->where, smoothing);
    loss->label_smoothing = (float)smoothing;
    return MB_OK;
}

static mb_status_t take_logits(mb_config_t *config, mb_loss_t *loss, mb_loss_kind_t logits,
                               mb_loss_kind_t probability)
{
    bool from_logits;
    MB_TRY(mb_config_bool_or(config, "from_logits", false, &from_logits));
    loss->kind = from_logits ? logits : probability;
    return mb_loss_take_axes(config, false, loss);
}

static mb_status_t parse_sparse(mb_config_t *config, mb_loss_t *loss)
{
    MB_TRY(take_logits(config, loss, MB_LOSS_SPARSE_SOFTMAX, MB_LOSS_SPARSE_PROBABILITY));
    loss->sparse = true;
    loss->has_ignore = mb_config_has(config, "ignore_class");
    int64_t label;
    MB_TRY(mb_config_int_or(config, "ignore_class", INT32_MIN, INT32_MAX, 0, &label));
    loss->ignore_label = (int32_t)label;
    return MB_OK;
}

static mb_status_t parse_categorical(mb_config_t *config, mb_loss_t *loss)
{
    MB_TRY(take_logits(config, loss, MB_LOSS_SOFTMAX, MB_LOSS_PROBABILITY));
    return take_smoothing(config, loss);
}

static mb_status_t parse_binary(mb_config_t *config, mb_loss_t *loss)
{
    MB_TRY(take_logits(config, loss, MB_LOSS_BINARY_LOGITS, MB_LOSS_BINARY_PROBABILITY));
    return take_smoothing(config, loss);
}

static mb_status_t parse_binary_focal(mb_config_t *config, mb_loss_t *loss)
{
    bool balanced;
    float alpha;
    MB_TRY(
        take_logits(config, loss, MB_LOSS_BINARY_FOCAL_LOGITS, MB_LOSS_BINARY_FOCAL_PROBABILITY));
    MB_TRY(mb_loss_take_real(config, "gamma", 2.0, &loss->p0));
    MB_TRY(mb_loss_take_real(config, "alpha", 0.25, &alpha));
    MB_TRY(mb_config_bool_or(config, "apply_class_balancing", false, &balanced));
    loss->p1 = balanced ? alpha : 1.0f;
    loss->p2 = balanced ? 1.0f - alpha : 1.0f;
    return take_smoothing(config, loss);
}

static mb_status_t parse_categorical_focal(mb_config_t *config, mb_loss_t *loss)
{
    MB_TRY(take_logits(config, loss, MB_LOSS_FOCAL_LOGITS, MB_LOSS_FOCAL_PROBABILITY));
    MB_TRY(mb_loss_take_real(config, "gamma", 2.0, &loss->p0));
    if (json_is_array(json_object_get(config->object, "alpha")))
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "%s: key 'alpha' is a list; one number for all classes is taken: set "
                            "it to 1 and give the classes their weights with --class-weight",
                            config->where);
    MB_TRY(mb_loss_take_real(config, "alpha", 0.25, &loss->p1));
    return take_smoothing(config, loss);
}

static mb_status_t parse_generalized(mb_config_t *config, mb_loss_t *loss)
{
    MB_TRY(mb_loss_take_real(config, "q", 0.5, &loss->p0));
    loss->kind = MB_LOSS_GENERALIZED;
    loss->sparse = true;
    if (loss->p0 > 0.0f && loss->p0 < 1.0f)
        return MB_OK;
    return mb_error_set(MB_ERR_ARGUMENT, "%s: key 'q' is %g, it must lie between 0 and 1",
                        config->where, (double)loss->p0);
}

const mb_loss_class_t mb_loss_sparse_crossentropy = {
    .size = sizeof(mb_loss_class_t),
    .class_name = "SparseCategoricalCrossentropy",
    .names = {"sparse_categorical_crossentropy"},
    .parse = parse_sparse,
    .classifies = true,
};

const mb_loss_class_t mb_loss_categorical_crossentropy = {
    .size = sizeof(mb_loss_class_t),
    .class_name = "CategoricalCrossentropy",
    .names = {"categorical_crossentropy"},
    .parse = parse_categorical,
    .classifies = true,
};

const mb_loss_class_t mb_loss_binary_crossentropy = {
    .size = sizeof(mb_loss_class_t),
    .class_name = "BinaryCrossentropy",
    .names = {"binary_crossentropy", "bce", "BCE"},
    .parse = parse_binary,
    .classifies = true,
    .binary = true,
};

const mb_loss_class_t mb_loss_binary_focal_crossentropy = {
    .size = sizeof(mb_loss_class_t),
    .class_name = "BinaryFocalCrossentropy",
    .names = {"binary_focal_crossentropy"},
    .parse = parse_binary_focal,
    .classifies = true,
    .binary = true,
};

const mb_loss_class_t mb_loss_categorical_focal_crossentropy = {
    .size = sizeof(mb_loss_class_t),
    .class_name = "CategoricalFocalCrossentropy",
    .names = {"categorical_focal_crossentropy"},
    .parse = parse_categorical_focal,
    .classifies = true,
};

const mb_loss_class_t mb_loss_generalized_crossentropy = {
    .size = sizeof(mb_loss_class_t),
    .class_name = "CategoricalGeneralizedCrossEntropy",
    .names = {"categorical_generalized_cross_entropy"},
    .parse = parse_generalized,
    .classifies = true,
};
