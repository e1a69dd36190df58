/* Losses of numbers: how far they are from their labels (the mean over the last axis), in what
 * direction, and for rates and distributions how unlikely. Source: keras/src/losses/losses.py. */
#include "model/losses/class.h"

static mb_status_t parse_squared(mb_config_t *config, mb_loss_t *loss)
{
    (void)config;
    loss->kind = MB_LOSS_SQUARED;
    return MB_OK;
}

static mb_status_t parse_absolute(mb_config_t *config, mb_loss_t *loss)
{
    (void)config;
    loss->kind = MB_LOSS_ABSOLUTE;
    return MB_OK;
}

static mb_status_t parse_percentage(mb_config_t *config, mb_loss_t *loss)
{
    (void)config;
    loss->kind = MB_LOSS_PERCENTAGE;
    return MB_OK;
}

static mb_status_t parse_logarithmic(mb_config_t *config, mb_loss_t *loss)
{
    (void)config;
    loss->kind = MB_LOSS_SQUARED_LOG;
    return MB_OK;
}

static mb_status_t parse_huber(mb_config_t *config, mb_loss_t *loss)
{
    loss->kind = MB_LOSS_HUBER;
    return mb_loss_take_real(config, "delta", 1.0, &loss->p0);
}

static mb_status_t parse_log_cosh(mb_config_t *config, mb_loss_t *loss)
{
    (void)config;
    loss->kind = MB_LOSS_LOG_COSH;
    return MB_OK;
}

static mb_status_t parse_cosine(mb_config_t *config, mb_loss_t *loss)
{
    loss->kind = MB_LOSS_COSINE;
    return mb_loss_take_axes(config, false, loss);
}

static mb_status_t parse_poisson(mb_config_t *config, mb_loss_t *loss)
{
    (void)config;
    loss->kind = MB_LOSS_POISSON;
    return MB_OK;
}

static mb_status_t parse_divergence(mb_config_t *config, mb_loss_t *loss)
{
    (void)config;
    loss->kind = MB_LOSS_DIVERGENCE;
    return MB_OK;
}

const mb_loss_class_t mb_loss_squared_error = {
    .size = sizeof(mb_loss_class_t),
    .class_name = "MeanSquaredError",
    .names = {"mean_squared_error", "mse", "MSE"},
    .parse = parse_squared,
};

const mb_loss_class_t mb_loss_absolute_error = {
    .size = sizeof(mb_loss_class_t),
    .class_name = "MeanAbsoluteError",
    .names = {"mean_absolute_error", "mae", "MAE"},
    .parse = parse_absolute,
};

const mb_loss_class_t mb_loss_percentage_error = {
    .size = sizeof(mb_loss_class_t),
    .class_name = "MeanAbsolutePercentageError",
    .names = {"mean_absolute_percentage_error", "mape", "MAPE"},
    .parse = parse_percentage,
};

const mb_loss_class_t mb_loss_logarithmic_error = {
    .size = sizeof(mb_loss_class_t),
    .class_name = "MeanSquaredLogarithmicError",
    .names = {"mean_squared_logarithmic_error", "msle", "MSLE"},
    .parse = parse_logarithmic,
};

const mb_loss_class_t mb_loss_huber = {
    .size = sizeof(mb_loss_class_t),
    .class_name = "Huber",
    .names = {"huber", "huber_loss"},
    .parse = parse_huber,
};

const mb_loss_class_t mb_loss_log_cosh = {
    .size = sizeof(mb_loss_class_t),
    .class_name = "LogCosh",
    .names = {"log_cosh", "logcosh"},
    .parse = parse_log_cosh,
};

const mb_loss_class_t mb_loss_cosine_similarity = {
    .size = sizeof(mb_loss_class_t),
    .class_name = "CosineSimilarity",
    .names = {"cosine_similarity"},
    .parse = parse_cosine,
};

const mb_loss_class_t mb_loss_poisson = {
    .size = sizeof(mb_loss_class_t),
    .class_name = "Poisson",
    .names = {"poisson"},
    .parse = parse_poisson,
};

const mb_loss_class_t mb_loss_kl_divergence = {
    .size = sizeof(mb_loss_class_t),
    .class_name = "KLDivergence",
    .names = {"kl_divergence", "kullback_leibler_divergence", "kld", "KLD"},
    .parse = parse_divergence,
};
