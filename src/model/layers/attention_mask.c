/* See attention_mask.h. */
#include "model/layers/attention_mask.h"

static bool is_of(const mb_shape_t *shape, int64_t positions)
{
    return shape->rank == 1 && shape->dim[0] == positions;
}

static bool fits(int64_t dim, int64_t whole)
{
    return dim == 1 || dim == whole;
}

/* Keras lines the masks of three axes with those of four up from behind. */
static bool given_fits(const mb_attention_mask_t *mask, const mb_shape_t *shape)
{
    int last = shape->rank - 1;
    bool others = mask->of_queries > 0 || mask->of_keys[0] > 0 || mask->of_keys[1] > 0;
    if (shape->rank != 2 && (shape->rank != 3 || others || !fits(shape->dim[0], mask->heads)))
        return false;
    return fits(shape->dim[last - 1], mask->queries) && fits(shape->dim[last], mask->keys);
}

mb_status_t mb_attention_mask_check(const mb_call_t *call, const mb_attention_mask_t *mask)
{
    char text[MB_SHAPE_TEXT];
    const mb_shape_t *given = &call->inputs[mask->given];
    bool good = mask->of_queries == 0 || is_of(&call->inputs[mask->of_queries], mask->queries);
    for (int i = 0; i < 2; i++)
        good =
            good && (mask->of_keys[i] == 0 || is_of(&call->inputs[mask->of_keys[i]], mask->keys));
    if (!good)
        return mb_call_error(call, MB_ERR_SHAPE,
                             "a mask of its inputs has not one value for each position");
    if (mask->given == 0 || given_fits(mask, given))
        return MB_OK;
    return mb_call_error(call, MB_ERR_UNSUPPORTED,
                         "argument 'attention_mask' is %s a sample; this build obeys queries x "
                         "keys, and heads x queries x keys where no input has a mask",
                         mb_shape_text(given, text, sizeof(text)));
}

static bool by_head(const mb_call_t *call, const mb_attention_mask_t *mask)
{
    const mb_shape_t *given = &call->inputs[mask->given];
    return mask->given > 0 && given->rank == 3 && given->dim[0] > 1;
}

int64_t mb_attention_mask_count(const mb_call_t *call, const mb_attention_mask_t *mask)
{
    bool any = mask->of_queries > 0 || mask->of_keys[0] > 0 || mask->of_keys[1] > 0;
    if (!any && mask->given == 0)
        return 0;
    return by_head(call, mask) ? mask->heads : 1;
}

/* Over [samples, masks, queries, keys]. */
static mb_view_t whole_view(const mb_run_t *run, const mb_attention_mask_t *mask)
{
    mb_shape_t shape = {3, {mb_attention_mask_count(run->call, mask), mask->queries, mask->keys}};
    return mb_view_of(run->samples, &shape);
}

/* A mask of positions along AXIS of the whole, the same along the other. */
static mb_map_input_t of_positions(const mb_run_t *run, const mb_attention_mask_t *mask, int input,
                                   int axis)
{
    mb_view_t whole = whole_view(run, mask), view = mb_view_input(run, input);
    mb_view_insert(&view, 1, 1, 0);
    mb_view_insert(&view, axis == 2 ? 3 : 2, 1, 0);
    mb_view_broadcast(&view, &whole);
    return mb_map_tensor(mb_run_input(run, input), view);
}

static mb_map_input_t of_call(const mb_run_t *run, const mb_attention_mask_t *mask)
{
    mb_view_t whole = whole_view(run, mask), view = mb_view_input(run, mask->given);
    if (view.axes < whole.axes)
        mb_view_insert(&view, 1, 1, 0);
    mb_view_broadcast(&view, &whole);
    return mb_map_tensor(mb_run_input(run, mask->given), view);
}

mb_status_t mb_attention_mask_fill(const mb_run_t *run, const mb_attention_mask_t *mask, void *to)
{
    mb_map_input_t parts[4], before = mb_map_constant(1.0f);
    int n = 0;
    if (mask->of_queries > 0)
        parts[n++] = of_positions(run, mask, mask->of_queries, 2);
    for (int i = 0; i < 2; i++) {
        if (mask->of_keys[i] > 0)
            parts[n++] = of_positions(run, mask, mask->of_keys[i], 3);
    }
    if (mask->given > 0)
        parts[n++] = of_call(run, mask);
    for (int i = 0; i < n; i++) {
        mb_map_call_t both = {.function = MB_MAP_LOGICAL_AND,
                              .inputs = {before, parts[i]},
                              .view = whole_view(run, mask),
                              .y = to};
        MB_TRY(mb_run_strided(run, &both));
        before = mb_map_tensor(to, whole_view(run, mask));
    }
    return MB_OK;
}
