/* Permute and RepeatVector: a sample's axes in another order, and a vector given to each of n
 * steps. */
#include "model/layers/move.h"

#include <inttypes.h>

typedef struct {
    int n;
    int64_t dims[MB_MAX_RANK]; /* Permute's, from 1; RepeatVector: how often */
} repeat_t;

static const repeat_t *repeat_of(const mb_call_t *call)
{
    return call->layer->config;
}

static mb_status_t create(mb_arena_t *arena, void **out, repeat_t **repeat)
{
    *repeat = MB_ARENA_NEW(arena, repeat_t);
    *out = *repeat;
    return *repeat == NULL ? mb_error_memory("a layer", sizeof **repeat) : MB_OK;
}

/* ---- Permute */

static mb_status_t parse_permute(mb_config_t *config, mb_arena_t *arena, void **out)
{
    const json_t *dims = json_object_get(config->object, "dims");
    bool seen[MB_MAX_RANK + 1] = {false};
    repeat_t *repeat;
    MB_TRY(create(arena, out, &repeat));
    repeat->n = (int)json_array_size(dims);
    if (repeat->n < 1 || repeat->n > MB_MAX_RANK)
        return mb_error_set(MB_ERR_UNSUPPORTED, "%s: key 'dims' names %d axes; 1 to %d are taken",
                            config->where, repeat->n, MB_MAX_RANK);
    MB_TRY(mb_config_ints(config, "dims", repeat->n, 1, repeat->dims));
    for (int i = 0; i < repeat->n; i++) {
        if (repeat->dims[i] > repeat->n || seen[repeat->dims[i]])
            return mb_error_set(MB_ERR_ARGUMENT, "%s: key 'dims' is no permutation of 1 to %d",
                                config->where, repeat->n);
        seen[repeat->dims[i]] = true;
    }
    return MB_OK;
}

static mb_status_t infer_permute(mb_call_t *call)
{
    const repeat_t *repeat = repeat_of(call);
    if (call->n_inputs != 1 || call->inputs[0].rank != repeat->n)
        return mb_call_error(call, MB_ERR_SHAPE, "takes 1 input of %d dimensions a sample",
                             repeat->n);
    mb_call_keep_shape(call);
    for (int d = 0; d < repeat->n; d++)
        call->output.dim[d] = call->inputs[0].dim[repeat->dims[d] - 1];
    return MB_OK;
}

static void move_permute(const mb_call_t *call, int64_t samples, int64_t index, mb_move_t *out)
{
    int order[1 + MB_MAX_RANK] = {0};
    (void)index;
    for (int d = 0; d < repeat_of(call)->n; d++)
        order[d + 1] = (int)repeat_of(call)->dims[d];
    *out = (mb_move_t){.from = mb_view_of(samples, &call->inputs[0]),
                       .to = mb_view_of(samples, &call->output)};
    mb_view_permute(&out->from, order);
}

/* ---- RepeatVector */

static mb_status_t parse_repeat_vector(mb_config_t *config, mb_arena_t *arena, void **out)
{
    repeat_t *repeat;
    MB_TRY(create(arena, out, &repeat));
    return mb_config_int(config, "n", 1, MB_LAYER_MAX_SIZE, &repeat->dims[0]);
}

static mb_status_t infer_repeat_vector(mb_call_t *call)
{
    MB_TRY(mb_call_expect_rank(call, 1));
    mb_call_keep_shape(call);
    call->output = (mb_shape_t){2, {repeat_of(call)->dims[0], call->inputs[0].dim[0]}};
    return MB_OK;
}

static void move_repeat_vector(const mb_call_t *call, int64_t samples, int64_t index,
                               mb_move_t *out)
{
    (void)index;
    *out = (mb_move_t){.from = mb_view_of(samples, &call->inputs[0]),
                       .to = mb_view_of(samples, &call->output)};
    mb_view_insert(&out->from, 1, repeat_of(call)->dims[0], 0);
}

const mb_layer_class_t mb_layer_permute = MB_MOVE_CLASS(
    "Permute", parse_permute, NULL, infer_permute, .count = mb_move_once, .move = move_permute);
const mb_layer_class_t mb_layer_repeat_vector =
    MB_MOVE_CLASS("RepeatVector", parse_repeat_vector, NULL, infer_repeat_vector,
                  .count = mb_move_once, .move = move_repeat_vector);
