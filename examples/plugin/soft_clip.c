/* SoftClip: y = s x / sqrt(limit + x^2), with an s for each feature. It is computed by functions of
 * rows, plain C that runs on the CPU alone. */
#include <math.h>

#include "own.h"

typedef struct {
    double limit;
} soft_clip_t;

static mb_status_t parse(mb_plugin_config_t *config, void **settings)
{
    soft_clip_t *clip = mb->allocate(config, sizeof *clip);
    mb_status_t status;
    if (clip == NULL)
        return mb->error(MB_ERR_MEMORY, "no memory for its settings");
    *settings = clip;
    if ((status = mb->real(config, "limit", 1.0, &clip->limit)) != MB_OK)
        return status;
    if (!(clip->limit > 0))
        return mb->error(MB_ERR_ARGUMENT, "key 'limit' is %g, it must be positive", clip->limit);
    return mb->take_weight(config, "scale", "ones", 0);
}

static int64_t columns_of(const mb_plugin_call_t *call)
{
    return call->input[0].dim[call->input[0].rank - 1];
}

static mb_status_t declare(const mb_plugin_call_t *call, mb_plugin_weights_t *weights)
{
    mb_plugin_shape_t scale = {1, {columns_of(call)}};
    return mb->shape_weight(weights, &scale);
}

static void memory(const mb_plugin_call_t *call, int64_t samples, mb_plugin_memory_t *memory)
{
    (void)call, (void)samples;
    memory->keeps_input[0] = 1;
}

/* All axes but the last. */
static int64_t rows_of(const mb_plugin_run_t *run)
{
    int64_t rows = run->samples;
    for (int d = 0; d + 1 < run->call->input[0].rank; d++)
        rows *= run->call->input[0].dim[d];
    return rows;
}

static double root(const soft_clip_t *clip, double x)
{
    return sqrt(clip->limit + x * x);
}

static void value_rows(const void *settings, const mb_plugin_tile_t *t)
{
    int64_t columns = t->columns[0];
    for (int64_t i = 0; i < t->rows * columns; i++) {
        double x = t->read[0][i];
        t->write[0][i] = (float)(t->read[1][i % columns] * x / root(settings, x));
    }
}

/* dy/dx = s limit / root^3 */
static void gradient_rows(const void *settings, const mb_plugin_tile_t *t)
{
    const soft_clip_t *clip = settings;
    int64_t columns = t->columns[0];
    for (int64_t i = 0; t->write[0] != NULL && i < t->rows * columns; i++) {
        double r = root(clip, t->read[0][i]);
        double slope = t->read[1][i % columns] * clip->limit / (r * r * r);
        t->write[0][i] = (float)(slope * t->read[2][i]);
    }
}

static void scale_rows(const void *settings, const mb_plugin_tile_t *t)
{
    int64_t columns = t->columns[0];
    for (int64_t i = 0; i < t->rows * columns; i++) {
        double x = t->read[0][i];
        t->sum[0][i % columns] += t->read[1][i] * x / root(settings, x);
    }
}

static mb_status_t forward(const mb_plugin_run_t *run)
{
    static const mb_plugin_rows_t work = {value_rows, 2, 1, 0};
    int64_t columns = columns_of(run->call);
    mb_plugin_read_t reads[] = {{run->input[0], columns}, {run->weight[0], 0}};
    mb_plugin_write_t y = {run->output, columns};
    return mb->rows(run, &work, rows_of(run), reads, &y, NULL);
}

static mb_status_t backward_input(const mb_plugin_run_t *run)
{
    static const mb_plugin_rows_t work = {gradient_rows, 3, 1, 0};
    int64_t columns = columns_of(run->call);
    mb_plugin_read_t reads[] = {
        {run->input[0], columns}, {run->weight[0], 0}, {run->grad_output, columns}};
    mb_plugin_write_t dx = {run->grad_input[0], columns};
    return mb->rows(run, &work, rows_of(run), reads, &dx, NULL);
}

static mb_status_t backward_weights(const mb_plugin_run_t *run)
{
    static const mb_plugin_rows_t work = {scale_rows, 2, 0, 1};
    int64_t columns = columns_of(run->call);
    mb_plugin_read_t reads[] = {{run->input[0], columns}, {run->grad_output, columns}};
    mb_plugin_write_t ds = {run->grad_weight[0], columns};
    return mb->rows(run, &work, rows_of(run), reads, NULL, &ds);
}

const mb_plugin_layer_t soft_clip_layer = {.size = sizeof(mb_plugin_layer_t),
                                           .name = "my_package>SoftClip",
                                           .parse = parse,
                                           .declare = declare,
                                           .memory = memory,
                                           .forward = forward,
                                           .backward_input = backward_input,
                                           .backward_weights = backward_weights};
