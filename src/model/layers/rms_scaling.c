/* See rms_scaling.h. */
#include "model/layers/rms_scaling.h"

static mb_view_t elements(const mb_rms_scaling_t *s)
{
    return (mb_view_t){.axes = 2, .dim = {s->rows, s->columns}, .stride = {s->columns, 1}};
}

static mb_view_t by_row(const mb_rms_scaling_t *s)
{
    return (mb_view_t){.axes = 2, .dim = {s->rows, s->columns}, .stride = {1, 0}};
}

static mb_view_t by_column(const mb_rms_scaling_t *s)
{
    return (mb_view_t){.axes = 2, .dim = {s->rows, s->columns}, .stride = {0, 1}};
}

/* y = scale a b, a number of each row. */
static mb_status_t multiply_rows(const mb_run_t *run, const mb_rms_scaling_t *s, const float *a,
                                 const float *b, double scale, float *y)
{
    mb_view_t rows = {.axes = 1, .dim = {s->rows}, .stride = {1}};
    mb_map_call_t map = {.function = MB_MAP_MULTIPLY,
                         .inputs = {mb_map_weight(a, rows), mb_map_weight(b, rows)},
                         .view = rows,
                         .y = y,
                         .is_wide = true,
                         .scale = scale};
    return mb_run_strided(run, &map);
}

static mb_status_t add_rows(const mb_run_t *run, const mb_rms_scaling_t *s, const float *a,
                            float *y)
{
    mb_view_t rows = {.axes = 1, .dim = {s->rows}, .stride = {1}};
    mb_map_call_t map = {.function = MB_MAP_ADD,
                         .inputs = {mb_map_weight(a, rows), mb_map_weight(y, rows)},
                         .view = rows,
                         .y = y,
                         .is_wide = true};
    return mb_run_strided(run, &map);
}

mb_status_t mb_rms_scaling_forward(const mb_run_t *run, const mb_rms_scaling_t *s, void *y)
{
    mb_map_call_t map = {.function = MB_MAP_MULTIPLY_ADD,
                         .inputs = {mb_map_weight(s->gamma, by_column(s)),
                                    mb_map_weight(s->shift, by_row(s)),
                                    mb_map_tensor(y, elements(s))},
                         .view = elements(s),
                         .y = y};
    MB_TRY(multiply_rows(run, s, s->mean, s->rstd, 1.0, s->shift));
    return mb_run_strided(run, &map);
}

/* The mean over a row of dy gamma. */
static mb_status_t mean_gradient(const mb_run_t *run, const mb_rms_scaling_t *s, const void *dy,
                                 float *mean)
{
    mb_map_call_t map = {
        .function = MB_MAP_MULTIPLY,
        .inputs = {mb_map_tensor(dy, elements(s)), mb_map_weight(s->gamma, by_column(s))},
        .view = by_row(s),
        .y = mean,
        .is_wide = true,
        .reduced = 2,
        .scale = 1.0 / (double)s->columns};
    return mb_run_strided(run, &map);
}

/* The second term depends on x by the mean and by s: with g the mean of dy gamma, dx gets
 * g s (1 - mean s^2 (x - mean)), which is b x + a - b mean with a = g s and b = -a mean s^2. */
mb_status_t mb_rms_scaling_backward_input(const mb_run_t *run, const mb_rms_scaling_t *s,
                                          const void *dy, void *dx)
{
    float *a = s->work[0], *b = s->work[1], *of_mean = s->work[2];
    mb_map_input_t own = mb_map_tensor(dx, elements(s));
    mb_map_call_t scaled = {
        .function = MB_MAP_MULTIPLY_ADD,
        .inputs = {mb_map_tensor(s->x, elements(s)), mb_map_weight(b, by_row(s)), own},
        .view = elements(s),
        .y = dx};
    mb_map_call_t shifted = {.function = MB_MAP_ADD,
                             .inputs = {own, mb_map_weight(a, by_row(s))},
                             .view = elements(s),
                             .y = dx};
    MB_TRY(mean_gradient(run, s, dy, a));
    MB_TRY(multiply_rows(run, s, a, s->rstd, 1.0, a));
    MB_TRY(multiply_rows(run, s, a, s->shift, 1.0, b));
    MB_TRY(multiply_rows(run, s, b, s->rstd, -1.0, b));
    MB_TRY(multiply_rows(run, s, b, s->mean, -1.0, of_mean));
    MB_TRY(add_rows(run, s, of_mean, a));
    MB_TRY(mb_run_strided(run, &scaled));
    return mb_run_strided(run, &shifted);
}

mb_status_t mb_rms_scaling_backward_weights(const mb_run_t *run, const mb_rms_scaling_t *s,
                                            const void *dy, float *dgamma)
{
    mb_map_call_t map = {
        .function = MB_MAP_MULTIPLY,
        .inputs = {mb_map_tensor(dy, elements(s)), mb_map_weight(s->shift, by_row(s))},
        .view = by_column(s),
        .y = dgamma,
        .is_wide = true,
        .reduced = 1,
        .accumulate = true};
    return mb_run_strided(run, &map);
}
