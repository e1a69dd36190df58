/* Mean squared and mean absolute error: a row's loss is the mean over the last axis. */
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
