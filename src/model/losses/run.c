/* A loss on one micro-batch of its output, and the labels it takes. */
#include "model/losses/class.h"

#include <inttypes.h>

int64_t mb_loss_values(const mb_loss_t *loss)
{
    return loss->rows / loss->merged;
}

static bool equal(float a, float b)
{
    return !(a < b) && !(a > b);
}

bool mb_loss_is_same(const mb_loss_t *a, const mb_loss_t *b)
{
    return a->plugin == b->plugin && a->settings == b->settings && a->kind == b->kind &&
           a->compares == b->compares && equal(a->label_smoothing, b->label_smoothing) &&
           equal(a->p0, b->p0) && equal(a->p1, b->p1) && equal(a->p2, b->p2) &&
           a->has_ignore == b->has_ignore && a->ignore_label == b->ignore_label;
}

mb_status_t mb_loss_check_micro(const mb_loss_t *loss, const char *output, int64_t batch,
                                int64_t micro_batch)
{
    if ((!loss->whole && !loss->compares) || micro_batch == batch)
        return MB_OK;
    if (loss->compares)
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "loss %s of output '%s' compares each sample with all others of the "
                            "batch, and micro-batches of %" PRId64 " do not hold its %" PRId64
                            " samples: use --micro-batch %" PRId64 " --replicas 1",
                            loss->name, output, micro_batch, batch, batch);
    return mb_error_set(MB_ERR_UNSUPPORTED,
                        "loss %s of output '%s': without 'axis' it is one number of the whole "
                        "batch, which micro-batches of %" PRId64 " of its %" PRId64
                        " samples do not give: use --micro-batch %" PRId64
                        " --replicas 1, or give the loss the axes of a sample",
                        loss->name, output, micro_batch, batch, batch);
}

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

/* GIVEN counts samples. */
static mb_status_t count_matches(const mb_loss_t *loss, mb_exec_t *exec,
                                 const mb_loss_args_t *given, double *correct)
{
    mb_accuracy_args_t args = {
        .type = given->type,
        .rows = given->rows * loss->rows,
        .valid = given->valid * loss->rows,
        .columns = loss->columns,
        .sparse = loss->sparse,
        .binary = loss->binary,
        .threshold = loss->threshold,
        .x = given->x,
        .labels = given->labels,
        .count = correct,
    };
    return mb_run_accuracy(exec, &args);
}

/* What does not count of a batch that is one row. */
static mb_status_t clear_rest(mb_exec_t *exec, const mb_loss_args_t *args, int64_t count)
{
    int64_t size = (int64_t)mb_dtype_bytes(args->type);
    if (args->dx == NULL || args->columns == count)
        return MB_OK;
    mb_zero_args_t zero = {.bytes = (count - args->columns) * size,
                           .y = (char *)args->dx + args->columns * size};
    return mb_run_zero(exec, &zero);
}

static mb_status_t run_whole(const mb_loss_t *loss, mb_exec_t *exec, mb_loss_args_t *args)
{
    int64_t sample = loss->rows * loss->columns, count = args->rows * sample;
    args->columns = args->valid * sample;
    args->rows = args->valid = 1;
    MB_TRY(clear_rest(exec, args, count));
    return args->columns == 0 ? MB_OK : mb_run_loss(exec, args);
}

mb_status_t mb_loss_run(const mb_loss_t *loss, mb_exec_t *exec, mb_dtype_t type, int64_t samples,
                        int64_t valid, double divisor, const void *x, const void *labels,
                        const float *weights, void *dx, double *sum, double *correct)
{
    mb_loss_args_t args = {
        .type = type,
        .kind = loss->kind,
        .rows = samples,
        .valid = valid,
        .columns = loss->columns * loss->merged,
        .scale = (float)(loss->weight / divisor),
        .label_smoothing = loss->label_smoothing,
        .p0 = loss->p0,
        .p1 = loss->p1,
        .p2 = loss->p2,
        .has_ignore = loss->has_ignore,
        .ignore_label = loss->ignore_label,
        .x = x,
        .labels = labels,
        .weights = weights,
        .dx = dx,
        .sum = sum,
    };
    if (correct != NULL && loss->accuracy)
        MB_TRY(count_matches(loss, exec, &args, correct));
    if (loss->whole)
        return run_whole(loss, exec, &args);
    if (loss->compares)
        return mb_loss_run_circle(loss, exec, &args);
    args.rows *= mb_loss_values(loss);
    args.valid *= mb_loss_values(loss);
    return loss->plugin == NULL ? mb_run_loss(exec, &args) : mb_loss_run_plugin(loss, exec, &args);
}
