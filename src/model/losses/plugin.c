/* A plugin's loss as a function of rows on the host: weights, means and rows that do not count are
 * what they are for every loss. */
#include "model/losses/class.h"

#include <string.h>

enum { X, LABELS, WEIGHTS, N_READS };

typedef struct {
    const mb_host_tile_t *tile;
    const mb_plugin_loss_t *loss;
    int64_t columns, row;
    double weight;
} row_t;

static const float *floats(const row_t *r, int read)
{
    const mb_host_tile_t *t = r->tile;
    return (const float *)t->reads[read] + r->row * t->args->read_columns[read];
}

static void scale_gradient(const row_t *r, float *gradient)
{
    double factor = (double)r->tile->args->scale * r->weight;
    for (int64_t j = 0; j < r->columns && gradient != NULL; j++)
        gradient[j] = (float)(factor * (double)gradient[j]);
}

static double loss_of_row(const row_t *r, float *gradient)
{
    const mb_host_tile_t *t = r->tile;
    bool sparse = r->loss->sparse != 0;
    int32_t label = sparse ? ((const int32_t *)t->reads[LABELS])[r->row] : 0;
    double loss = r->loss->row(t->args->settings, r->columns, floats(r, X),
                               sparse ? NULL : floats(r, LABELS), label, gradient);
    scale_gradient(r, gradient);
    return r->weight * loss;
}

static void run_tile(mb_host_tile_t *t)
{
    row_t r = {.tile = t, .loss = t->args->user, .columns = t->args->read_columns[X]};
    for (r.row = 0; r.row < t->rows; r.row++) {
        float *gradient = t->writes[0] == NULL ? NULL : t->writes[0] + r.row * r.columns;
        r.weight = t->reads[WEIGHTS] == NULL ? 1.0 : (double)*floats(&r, WEIGHTS);
        if (r.row < t->valid && r.weight != 0.0)
            t->total += loss_of_row(&r, gradient);
        else if (gradient != NULL)
            memset(gradient, 0, sizeof *gradient * (size_t)r.columns);
    }
}

mb_status_t mb_loss_run_plugin(const mb_loss_t *loss, mb_exec_t *exec, const mb_loss_args_t *given)
{
    mb_host_args_t args = {
        .type = given->type,
        .function = run_tile,
        .user = loss->plugin,
        .settings = loss->settings,
        .scale = given->scale,
        .rows = given->rows,
        .valid = given->valid,
        .wide = 1 << LABELS | 1 << WEIGHTS,
        .n_reads = N_READS,
        .n_writes = 1,
        .read_columns = {given->columns, loss->sparse ? 1 : given->columns, 1},
        .write_columns = {given->columns},
        .reads = {given->x, given->labels, given->weights},
        .writes = {given->dx},
        .total = given->sum,
    };
    mb_status_t status = mb_run_host(exec, &args);
    return status == MB_OK ? status : mb_error_prefix(status, "loss %s: ", loss->name);
}
