/* See merge_view.h. */
#include "model/layers/merge_view.h"

static mb_view_t spread(const mb_run_t *run, int input)
{
    mb_view_t whole = mb_view_output(run), view = mb_view_input(run, input);
    while (view.axes < whole.axes)
        mb_view_insert(&view, 1, 1, 0);
    mb_view_broadcast(&view, &whole);
    return view;
}

mb_map_input_t mb_merge_input(const mb_run_t *run, int input)
{
    return mb_map_tensor(mb_run_input(run, input), spread(run, input));
}

mb_map_input_t mb_merge_whole(const mb_run_t *run, const void *values)
{
    return mb_map_tensor(values, mb_view_output(run));
}

/* ---- masks */

bool mb_merge_is_masked(const mb_call_t *call, int input)
{
    return call->masks[input] > 0 && call->inputs[input].rank == call->output.rank;
}

static bool fits(const mb_shape_t *mask, const mb_shape_t *input)
{
    bool good = mask->rank == input->rank - 1;
    for (int d = 0; good && d < mask->rank; d++)
        good = mask->dim[d] == 1 || mask->dim[d] == input->dim[d];
    return good;
}

mb_status_t mb_merge_check_masks(const mb_call_t *call)
{
    char mask[MB_SHAPE_TEXT], input[MB_SHAPE_TEXT];
    for (int i = 0; i < mb_call_arguments(call); i++) {
        if (mb_merge_is_masked(call, i) && !fits(&call->inputs[call->masks[i]], &call->inputs[i]))
            return mb_call_error(call, MB_ERR_UNSUPPORTED,
                                 "the mask of input %d, %s a sample, cannot be broadcast to %s, "
                                 "which has one axis more; Keras refuses it too",
                                 i,
                                 mb_shape_text(&call->inputs[call->masks[i]], mask, sizeof(mask)),
                                 mb_shape_text(&call->inputs[i], input, sizeof(input)));
    }
    return MB_OK;
}

static mb_map_input_t repeated(const mb_run_t *run, const void *values, mb_view_t rows)
{
    mb_view_t whole = mb_view_output(run);
    mb_view_insert(&rows, rows.axes, 1, 0);
    mb_view_broadcast(&rows, &whole);
    return mb_map_tensor(values, rows);
}

mb_map_input_t mb_merge_mask(const mb_run_t *run, int input)
{
    int mask = run->call->masks[input];
    return repeated(run, mb_run_input(run, mask), mb_view_input(run, mask));
}

static mb_view_t rows_of(const mb_run_t *run)
{
    mb_shape_t rows = run->call->output;
    rows.rank--;
    return mb_view_of(run->samples, &rows);
}

mb_map_input_t mb_merge_rows(const mb_run_t *run, const void *values)
{
    return repeated(run, values, rows_of(run));
}

mb_status_t mb_merge_any_mask(const mb_run_t *run, int last, void *rows)
{
    mb_view_t whole = rows_of(run);
    mb_map_input_t before = mb_map_constant(0.0f);
    for (int i = 0; i <= last; i++) {
        mb_map_input_t mask = mb_merge_mask(run, i);
        mb_view_remove(&mask.view, whole.axes);
        mb_map_call_t either = {
            .function = MB_MAP_LOGICAL_OR, .inputs = {before, mask}, .view = whole, .y = rows};
        MB_TRY(mb_run_strided(run, &either));
        before = mb_map_tensor(rows, whole);
    }
    return MB_OK;
}

/* ---- functions */

mb_status_t mb_merge_map(const mb_run_t *run, mb_map_t function, mb_map_input_t a, mb_map_input_t b,
                         mb_map_input_t c, void *y)
{
    mb_map_call_t map = {
        .function = function, .inputs = {a, b, c}, .view = mb_view_output(run), .y = y};
    return mb_run_strided(run, &map);
}

mb_status_t mb_merge_map_back(const mb_run_t *run, mb_map_t function, int input, mb_map_input_t a,
                              mb_map_input_t b, mb_map_input_t c)
{
    mb_view_t view = spread(run, input);
    mb_map_call_t map = {.function = function,
                         .inputs = {a, b, c},
                         .view = view,
                         .y = mb_run_grad_input(run, input),
                         .reduced = mb_view_repeats(&view)};
    return mb_run_strided(run, &map);
}
