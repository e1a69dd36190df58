/* Keras' cross-entropies: labels as class numbers, as distributions, as independent bits. From
 * probabilities Keras divides by their sum (not for bits) and clips to [1e-7, 1 - 1e-7]; a softmax
 * in front is not looked through. Source: keras/src/losses/losses.py, backend/torch/nn.py. */
#include "model/losses/class.h"

#include <inttypes.h>

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
    return mb_config_only(config, "axis", "-1");
}

static mb_status_t parse_sparse(mb_config_t *config, mb_loss_t *loss)
{
    MB_TRY(take_logits(config, loss, MB_LOSS_SPARSE_SOFTMAX, MB_LOSS_SPARSE_PROBABILITY));
    loss->sparse = true;
    loss->has_ignore = mb_config_has(config, "ignore_class");
    int64_t label;
    MB_TRY(mb_config_int_or(config, "ignore_class", INT32_MIN, INT32_MAX, 0, &label));
    loss->ignore_label = (int32_t)label;
    if (loss->has_ignore && !loss->sum)
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "%s: key 'ignore_class' is %" PRId64
                            "; under a mean Keras divides by the number of labels that are not "
                            "ignored, which this build does only with reduction \"sum\"",
                            config->where, label);
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
};
