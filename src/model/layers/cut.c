/* See cut.h. */
#include "model/layers/cut.h"

static int64_t bounded(int64_t x, int64_t most)
{
    return x < 1 ? 1 : x > most ? most : x;
}

/* Quotients are cut as Keras cuts them: floats to integers, all of them positive. */
mb_cut_t mb_cut_of_ratio(const mb_call_t *call, bool channels_first)
{
    mb_image_t in = mb_image_of(&call->inputs[0], channels_first);
    mb_image_t out = mb_image_of(&call->output, channels_first);
    mb_cut_t cut = {.channels_first = channels_first};
    for (int i = 0; i < 2; i++) {
        double wanted = (double)(in.size[1 - i] * out.size[i]) / (double)out.size[1 - i];
        cut.size[i] = bounded((int64_t)wanted, in.size[i]);
        cut.first[i] = (in.size[i] - cut.size[i]) / 2;
    }
    return cut;
}

/* The steps, as [outer, in, inner] to [outer, out, inner]. */
typedef struct {
    mb_image_t in, out;
    bool cuts, rows, columns;
    size_t cut_at, rows_at, bytes; /* of what a step gives that is not the last */
} steps_t;

static steps_t steps_of(const mb_call_t *call, const mb_cut_t *cut, int64_t samples)
{
    steps_t s = {.in = mb_image_of(&call->inputs[0], cut->channels_first),
                 .out = mb_image_of(&call->output, cut->channels_first)};
    int64_t images = samples * s.in.planes * s.in.inner;
    s.rows = cut->size[0] != s.out.size[0];
    s.columns = cut->size[1] != s.out.size[1];
    s.cuts =
        cut->size[0] != s.in.size[0] || cut->size[1] != s.in.size[1] || (!s.rows && !s.columns);
    if (s.cuts && (s.rows || s.columns))
        s.cut_at = mb_block_add(&s.bytes, images * cut->size[0] * cut->size[1], call->output_type);
    if (s.rows && s.columns)
        s.rows_at =
            mb_block_add(&s.bytes, images * s.out.size[0] * cut->size[1], call->output_type);
    return s;
}

size_t mb_cut_bytes(const mb_call_t *call, const mb_cut_t *cut, int64_t samples)
{
    return steps_of(call, cut, samples).bytes;
}

/* The rectangle among the input's axes: samples, planes, rows, columns, inner. */
static void cut_views(const mb_run_t *run, const mb_cut_t *cut, const steps_t *s, mb_view_t *whole,
                      mb_view_t *part)
{
    mb_shape_t image = {4, {s->in.planes, s->in.size[0], s->in.size[1], s->in.inner}};
    mb_shape_t rectangle = {4, {s->in.planes, cut->size[0], cut->size[1], s->in.inner}};
    *whole = mb_view_of(run->samples, &image);
    *part = mb_view_of(run->samples, &rectangle);
    for (int i = 0; i < 2; i++)
        mb_view_slice(whole, 2 + i, cut->first[i], 1, cut->size[i]);
}

static mb_status_t resample(const mb_run_t *run, const mb_cut_t *cut, const steps_t *s, int axis,
                            bool transposed, const void *x, void *y)
{
    int64_t outer = run->samples * s->in.planes, inner = s->in.inner;
    mb_resample_args_t args = {.type = mb_run_type(run),
                               .filter = MB_FILTER_LINEAR,
                               .transposed = transposed,
                               .outer = axis == 0 ? outer : outer * s->out.size[0],
                               .in = cut->size[axis],
                               .out = s->out.size[axis],
                               .inner = axis == 0 ? inner * cut->size[1] : inner,
                               .x = x,
                               .y = y};
    return mb_run_resample(run->exec, &args);
}

mb_status_t mb_cut_forward(const mb_run_t *run, const mb_cut_t *cut, void *scratch)
{
    steps_t s = steps_of(run->call, cut, run->samples);
    const void *x = mb_run_input(run, 0);
    mb_view_t whole, part;
    if (s.cuts) {
        void *to = s.rows || s.columns ? mb_bytes_at(scratch, s.cut_at) : run->output;
        cut_views(run, cut, &s, &whole, &part);
        MB_TRY(mb_run_move(run, x, &whole, to, &part, false));
        x = to;
    }
    if (s.rows) {
        void *to = s.columns ? mb_bytes_at(scratch, s.rows_at) : run->output;
        MB_TRY(resample(run, cut, &s, 0, false, x, to));
        x = to;
    }
    return s.columns ? resample(run, cut, &s, 1, false, x, run->output) : MB_OK;
}

/* What the rectangle leaves out has no gradient. */
static mb_status_t put_back(const mb_run_t *run, const mb_cut_t *cut, const steps_t *s,
                            const void *dy, void *dx)
{
    mb_view_t whole, part;
    mb_zero_args_t zero = {run->samples * mb_shape_elements(&run->call->inputs[0]) *
                               (int64_t)mb_dtype_bytes(mb_run_type(run)),
                           dx};
    cut_views(run, cut, s, &whole, &part);
    MB_TRY(mb_run_zero(run->exec, &zero));
    return mb_run_move(run, dy, &part, dx, &whole, false);
}

mb_status_t mb_cut_backward(const mb_run_t *run, const mb_cut_t *cut, void *scratch)
{
    steps_t s = steps_of(run->call, cut, run->samples);
    const void *dy = run->grad_output;
    void *dx = mb_run_grad_input(run, 0);
    if (s.columns) {
        void *to = s.rows   ? mb_bytes_at(scratch, s.rows_at)
                   : s.cuts ? mb_bytes_at(scratch, s.cut_at)
                            : dx;
        MB_TRY(resample(run, cut, &s, 1, true, dy, to));
        dy = to;
    }
    if (s.rows) {
        void *to = s.cuts ? mb_bytes_at(scratch, s.cut_at) : dx;
        MB_TRY(resample(run, cut, &s, 0, true, dy, to));
        dy = to;
    }
    return s.cuts ? put_back(run, cut, &s, dy, dx) : MB_OK;
}
