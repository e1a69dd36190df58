/* See augment.h. */
#include "model/layers/augment.h"

#include <math.h>

static mb_status_t refuse_factor(const mb_config_t *config, const char *key)
{
    return mb_error_set(MB_ERR_FORMAT, "%s: key '%s' must be a number, or a list of two",
                        config->where, key);
}

mb_status_t mb_factor_take(mb_config_t *config, const char *key, double least, double out[2])
{
    const json_t *value = mb_config_take(config, key);
    bool pair = json_array_size(value) == 2;
    for (size_t i = 0; i < 2; i++) {
        const json_t *item = pair ? json_array_get(value, i) : value;
        if (!json_is_number(item))
            return refuse_factor(config, key);
        out[i] = json_number_value(item);
    }
    if (!pair)
        out[0] = fmax(-fabs(out[0]), least);
    if (!pair)
        out[1] = fabs(out[1]);
    double low = fmin(out[0], out[1]), high = fmax(out[0], out[1]);
    out[0] = low;
    out[1] = high;
    return MB_OK;
}

void mb_augment_ignore(mb_config_t *config)
{
    mb_config_ignore(config, "seed");
    mb_config_ignore(config, "bounding_box_format");
}

mb_random_key_t mb_augment_key(const mb_run_t *run)
{
    mb_random_key_t key = run->random;
    key.purpose = MB_RANDOM_AUGMENT;
    return key;
}

size_t mb_moving_bytes(int64_t samples)
{
    size_t bytes = 0;
    mb_block_add(&bytes, samples * MB_TRANSFORM, MB_F32);
    return bytes;
}

static mb_affine_args_t affine_of(const mb_run_t *run, const mb_moving_t *moving)
{
    mb_image_t in = mb_image_of(&run->call->inputs[0], moving->channels_first);
    mb_image_t out = mb_image_of(&run->call->output, moving->channels_first);
    return (mb_affine_args_t){.type = mb_run_type(run),
                              .outside = moving->outside,
                              .nearest = moving->nearest,
                              .value = (float)moving->value,
                              .samples = run->samples,
                              .planes = in.planes,
                              .in = {in.size[0], in.size[1]},
                              .out = {out.size[0], out.size[1]},
                              .inner = in.inner,
                              .transforms = run->saved};
}

/* One window serves a whole step, so that its numbers are those of its first sample. */
static mb_status_t draw(const mb_run_t *run, const mb_moving_t *moving, const mb_affine_args_t *of)
{
    mb_draw_args_t args = moving->draw;
    args.samples = run->samples;
    args.random = mb_augment_key(run);
    args.transforms = run->saved;
    for (int i = 0; i < 2; i++) {
        args.in[i] = of->in[i];
        args.out[i] = of->out[i];
    }
    if (args.draw == MB_DRAW_WINDOW)
        args.random.position = 0;
    return mb_run_draw(run->exec, &args);
}

mb_status_t mb_moving_forward(const mb_run_t *run, const mb_moving_t *moving)
{
    mb_affine_args_t args = affine_of(run, moving);
    args.x = mb_run_input(run, 0);
    args.y = run->output;
    MB_TRY(draw(run, moving, &args));
    return mb_run_affine(run->exec, &args);
}

mb_status_t mb_moving_backward(const mb_run_t *run, const mb_moving_t *moving)
{
    mb_affine_args_t args = affine_of(run, moving);
    args.transposed = true;
    args.x = run->grad_output;
    args.y = mb_run_grad_input(run, 0);
    return mb_run_affine(run->exec, &args);
}
