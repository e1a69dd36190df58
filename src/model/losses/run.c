/* A loss on one micro-batch of its output, and the labels it takes. */
#include "model/loss.h"

/* The same with a last axis of length 1 taken off. */
static mb_shape_t squeezed(const mb_shape_t *shape)
{
    mb_shape_t out = *shape;
    if (out.rank > 0 && out.dim[out.rank - 1] == 1)
        out.rank--;
    return out;
}

bool mb_loss_accepts_labels(const mb_loss_t *loss, const mb_shape_t *sample)
{
    mb_shape_t wanted = squeezed(&loss->label_shape);
    mb_shape_t found = squeezed(sample);
    return mb_shape_equal(&loss->label_shape, sample) || mb_shape_equal(&wanted, sample) ||
           mb_shape_equal(&loss->label_shape, &found);
}

static mb_status_t count_matches(const mb_loss_t *loss, mb_exec_t *exec,
                                 const mb_loss_args_t *given, double *correct)
{
    mb_accuracy_args_t args = {
        .type = given->type,
        .rows = given->rows,
        .valid = given->valid,
        .columns = given->columns,
        .sparse = loss->sparse,
        .binary = loss->binary,
        .threshold = loss->threshold,
        .x = given->x,
        .labels = given->labels,
        .count = correct,
    };
    return mb_run_accuracy(exec, &args);
}

mb_status_t mb_loss_run(const mb_loss_t *loss, mb_exec_t *exec, mb_dtype_t type, int64_t samples,
                        int64_t valid, double divisor, const void *x, const void *labels, void *dx,
                        double *sum, double *correct)
{
    mb_loss_args_t args = {
        .type = type,
        .kind = loss->kind,
        .rows = samples * loss->rows,
        .valid = valid * loss->rows,
        .columns = loss->columns,
        .scale = (float)(loss->weight / divisor),
        .label_smoothing = loss->label_smoothing,
        .has_ignore = loss->has_ignore,
        .ignore_label = loss->ignore_label,
        .x = x,
        .labels = labels,
        .dx = dx,
        .sum = sum,
    };
    if (correct != NULL && loss->accuracy)
        MB_TRY(count_matches(loss, exec, &args, correct));
    return mb_run_loss(exec, &args);
}
