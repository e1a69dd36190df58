/* Dice and Tversky: how much two masks share, over the axes that 'axis' names; without it over a
 * whole batch. Dice, 1 - 2 I / (T + P + e), is Tversky with halves and half the epsilon. Source:
 * keras/src/losses/losses.py. */
#include "model/losses/class.h"

#define EPSILON 1e-7f /* Keras' */

static mb_status_t parse_dice(mb_config_t *config, mb_loss_t *loss)
{
    loss->kind = MB_LOSS_OVERLAP;
    loss->p0 = loss->p1 = 0.5f;
    loss->p2 = 0.5f * EPSILON;
    return mb_loss_take_axes(config, true, loss);
}

static mb_status_t parse_tversky(mb_config_t *config, mb_loss_t *loss)
{
    loss->kind = MB_LOSS_OVERLAP;
    loss->p2 = EPSILON;
    MB_TRY(mb_loss_take_real(config, "alpha", 0.5, &loss->p0));
    MB_TRY(mb_loss_take_real(config, "beta", 0.5, &loss->p1));
    return mb_loss_take_axes(config, true, loss);
}

const mb_loss_class_t mb_loss_dice = {
    .size = sizeof(mb_loss_class_t),
    .class_name = "Dice",
    .names = {"dice"},
    .parse = parse_dice,
};

const mb_loss_class_t mb_loss_tversky = {
    .size = sizeof(mb_loss_class_t),
    .class_name = "Tversky",
    .names = {"tversky"},
    .parse = parse_tversky,
};
