/* Circle loss, which compares each sample of a batch with all others: a micro-batch must hold the
 * batch. Keras divides by the number of samples whose loss is above zero, which only the device
 * knows. Source: keras/src/losses/losses.py. */
#include "model/losses/class.h"

static mb_status_t parse(mb_config_t *config, mb_loss_t *loss)
{
    bool removes;
    MB_TRY(mb_loss_take_real(config, "gamma", 80.0, &loss->p0));
    MB_TRY(mb_loss_take_real(config, "margin", 0.4, &loss->p1));
    MB_TRY(mb_config_bool_or(config, "remove_diagonal", true, &removes));
    loss->p2 = removes ? 1.0f : 0.0f;
    loss->kind = MB_LOSS_SPARSE_SOFTMAX; /* in the form of its labels */
    loss->sparse = loss->compares = true;
    return MB_OK;
}

mb_status_t mb_loss_run_circle(const mb_loss_t *loss, mb_exec_t *exec, const mb_loss_args_t *args)
{
    mb_circle_args_t circle = {
        .type = args->type,
        .rows = args->rows,
        .valid = args->valid,
        .columns = args->columns,
        .scale = args->scale,
        .gamma = loss->p0,
        .margin = loss->p1,
        .removes_itself = loss->p2 > 0.0f,
        .averages = !loss->sum,
        .x = args->x,
        .labels = args->labels,
        .dx = args->dx,
        .sum = args->sum,
    };
    return mb_run_circle(exec, &circle);
}

const mb_loss_class_t mb_loss_circle = {
    .size = sizeof(mb_loss_class_t),
    .class_name = "Circle",
    .names = {"circle"},
    .parse = parse,
};
