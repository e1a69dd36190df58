/* See noise_shape.h. */
#include "model/layers/noise_shape.h"

static mb_status_t refuse(const mb_config_t *config, const char *why)
{
    return mb_error_set(MB_ERR_UNSUPPORTED, "%s: key 'noise_shape' %s", config->where, why);
}

/* null or 1; the batch is not known here, and its masks do not depend on its size. */
static mb_status_t take_samples(const mb_config_t *config, const json_t *first, bool *out)
{
    *out = json_is_integer(first);
    if (json_is_null(first) || (json_is_integer(first) && json_integer_value(first) == 1))
        return MB_OK;
    return refuse(config, "must have null or 1 for the samples");
}

mb_status_t mb_noise_shape_take(mb_config_t *config, mb_noise_shape_t *out)
{
    const json_t *list = mb_config_take(config, "noise_shape");
    size_t axes = json_array_size(list);
    *out = (mb_noise_shape_t){0};
    if (list == NULL || json_is_null(list))
        return MB_OK;
    if (axes < 1 || axes > 1 + MB_MAX_RANK)
        return refuse(config, "must be a list of as many dimensions as the input has");
    out->given = true;
    out->shape.rank = (int)axes - 1;
    MB_TRY(take_samples(config, json_array_get(list, 0), &out->for_samples));
    for (int d = 0; d < out->shape.rank; d++) {
        const json_t *item = json_array_get(list, (size_t)d + 1);
        out->shape.dim[d] = json_is_null(item) ? MB_OPEN : json_integer_value(item);
        if (!json_is_null(item) && (!json_is_integer(item) || out->shape.dim[d] < 1))
            return refuse(config, "must hold null or positive integers");
    }
    return MB_OK;
}

mb_status_t mb_noise_shape_check(const mb_noise_shape_t *noise, const mb_call_t *call)
{
    const mb_shape_t *shape = &call->inputs[0];
    char text[MB_SHAPE_TEXT], wanted[MB_SHAPE_TEXT];
    bool fits = !noise->given || noise->shape.rank == shape->rank;
    for (int d = 0; noise->given && fits && d < shape->rank; d++) {
        int64_t dim = noise->shape.dim[d];
        fits = dim == MB_OPEN || dim == 1 || shape->dim[d] == MB_OPEN || dim == shape->dim[d];
    }
    if (fits)
        return MB_OK;
    return mb_call_error(call, MB_ERR_SHAPE,
                         "key 'noise_shape' has %s for a sample, which does not broadcast to %s",
                         mb_shape_text(&noise->shape, wanted, sizeof(wanted)),
                         mb_shape_text(shape, text, sizeof(text)));
}

mb_shape_t mb_noise_shape_of(const mb_noise_shape_t *noise, const mb_call_t *call)
{
    mb_shape_t shape = call->output;
    for (int d = 0; noise->given && d < shape.rank; d++) {
        if (noise->shape.dim[d] == 1)
            shape.dim[d] = 1;
    }
    return shape;
}

static int64_t masks_of(const mb_noise_shape_t *noise, int64_t samples)
{
    return noise->for_samples ? 1 : samples;
}

size_t mb_noise_mask_bytes(const mb_noise_shape_t *noise, const mb_call_t *call, int64_t samples)
{
    mb_shape_t shape = mb_noise_shape_of(noise, call);
    size_t bytes = 0;
    mb_block_add(&bytes, masks_of(noise, samples) * mb_shape_elements(&shape), call->output_type);
    return bytes;
}

/* One mask for all samples belongs to no position in the batch: every micro-batch draws it alike.
 */
mb_status_t mb_noise_mask_draw(const mb_noise_shape_t *noise, const mb_run_t *run, double rate,
                               void *mask)
{
    mb_shape_t shape = mb_noise_shape_of(noise, run->call);
    int64_t masks = masks_of(noise, run->samples), elements = mb_shape_elements(&shape);
    mb_fill_args_t ones = {mb_run_type(run), masks * elements, 1.0f, mask};
    mb_dropout_args_t args = {.type = mb_run_type(run),
                              .samples = masks,
                              .elements = elements,
                              .rate = (float)rate,
                              .random = run->random,
                              .x = mask,
                              .y = mask};
    args.random.purpose = MB_RANDOM_DROPOUT;
    if (noise->for_samples)
        args.random.position = 0;
    MB_TRY(mb_run_fill(run->exec, &ones));
    return mb_run_dropout(run->exec, &args);
}

mb_map_input_t mb_noise_mask(const mb_noise_shape_t *noise, const mb_run_t *run, const void *mask)
{
    mb_shape_t shape = mb_noise_shape_of(noise, run->call);
    mb_view_t view = mb_view_of(masks_of(noise, run->samples), &shape);
    mb_view_t whole = mb_view_output(run);
    mb_view_broadcast(&view, &whole);
    return mb_map_tensor(mask, view);
}
