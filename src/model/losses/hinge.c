/* Hinges: what is missing to a margin of one, for labels -1 and 1 (0 counts as -1), or between a
 * class and the best of the others. Source: keras/src/losses/losses.py. */
#include "model/losses/class.h"

static mb_status_t parse_hinge(mb_config_t *config, mb_loss_t *loss)
{
    (void)config;
    loss->kind = MB_LOSS_HINGE;
    return MB_OK;
}

static mb_status_t parse_squared(mb_config_t *config, mb_loss_t *loss)
{
    (void)config;
    loss->kind = MB_LOSS_SQUARED_HINGE;
    return MB_OK;
}

static mb_status_t parse_categorical(mb_config_t *config, mb_loss_t *loss)
{
    (void)config;
    loss->kind = MB_LOSS_CATEGORICAL_HINGE;
    return MB_OK;
}

const mb_loss_class_t mb_loss_hinge = {
    .size = sizeof(mb_loss_class_t),
    .class_name = "Hinge",
    .names = {"hinge"},
    .parse = parse_hinge,
};

const mb_loss_class_t mb_loss_squared_hinge = {
    .size = sizeof(mb_loss_class_t),
    .class_name = "SquaredHinge",
    .names = {"squared_hinge"},
    .parse = parse_squared,
};

const mb_loss_class_t mb_loss_categorical_hinge = {
    .size = sizeof(mb_loss_class_t),
    .class_name = "CategoricalHinge",
    .names = {"categorical_hinge"},
    .parse = parse_categorical,
    .classifies = true,
};
