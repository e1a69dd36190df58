/* See operators.h: finding operations, and reading what one is called with. */
#include "model/layers/operators.h"

#include <inttypes.h>
#include <string.h>

#include "model/known.h"

typedef const mb_layer_class_t *(*table_t)(size_t index);
static const table_t tables[] = {mb_operators_elementwise, mb_operators_reduce, mb_operators_move,
                                 mb_operators_activation,  mb_operators_matmul, mb_operators_einsum,
                                 mb_operators_cast,        mb_operators_split};
enum { N_TABLES = sizeof tables / sizeof tables[0] };

/* All of them, one table behind the other. */
static const mb_layer_class_t *class_at(size_t index)
{
    const mb_layer_class_t *class_ = NULL;
    for (int t = 0; t < N_TABLES && class_ == NULL; t++) {
        size_t i = 0;
        while ((class_ = tables[t](i)) != NULL && i < index)
            i++;
        index -= i;
    }
    return class_;
}

const mb_layer_class_t *mb_operator_class_find(const char *name)
{
    const mb_layer_class_t *class_;
    for (size_t i = 0; (class_ = class_at(i)) != NULL; i++) {
        if (strcmp(class_->name, name) == 0)
            return class_;
    }
    return NULL;
}

static const char *class_name(size_t index)
{
    const mb_layer_class_t *class_ = class_at(index);
    return class_ == NULL ? NULL : class_->name;
}

const mb_known_t mb_known_operators = {"operation", "operations", class_name};

const json_t *mb_argument_take(mb_config_t *call, int place, const char *name)
{
    const json_t *list = mb_config_take(call, MB_ARGUMENTS_KEY);
    const json_t *named = mb_config_take(call, name);
    const json_t *value = json_array_get(list, (size_t)place);
    return value != NULL ? value : named;
}

static mb_status_t refuse(const mb_config_t *call, const char *name, const char *kinds)
{
    return mb_error_set(MB_ERR_UNSUPPORTED, "%s: argument '%s' must be %s", call->where, name,
                        kinds);
}

mb_status_t mb_argument_take_operand(mb_config_t *call, mb_arena_t *arena, int place,
                                     const char *name, mb_operand_argument_t *out)
{
    const json_t *value = mb_argument_take(call, place, name);
    const json_t *input = json_object_get(value, MB_ARGUMENT_INPUT);
    *out = (mb_operand_argument_t){.input = -1};
    if (input != NULL) {
        out->input = (int)json_integer_value(input);
        return MB_OK;
    }
    MB_TRY(mb_numbers_read(value, arena, &out->numbers));
    if (out->numbers.values == NULL)
        return refuse(call, name, "a tensor, a number or an array of numbers");
    if (out->numbers.shape.rank > 0)
        return MB_OK;
    out->constant = (float)out->numbers.values[0];
    out->numbers = (mb_numbers_t){0};
    return MB_OK;
}

static bool is_inputs(const json_t *value)
{
    bool so = json_object_get(value, MB_ARGUMENT_INPUT) != NULL || json_is_array(value);
    for (size_t i = 0; i < json_array_size(value); i++)
        so = so && is_inputs(json_array_get(value, i));
    return so;
}

mb_status_t mb_arguments_are_inputs(mb_config_t *call, mb_arena_t *arena, void **out)
{
    json_t *all = (json_t *)(uintptr_t)call->object;
    (void)arena;
    *out = NULL;
    for (void *at = json_object_iter(all); at != NULL; at = json_object_iter_next(all, at)) {
        if (!is_inputs(json_object_iter_value(at)))
            return refuse(call, json_object_iter_key(at), "a tensor of the model");
        mb_config_take(call, json_object_iter_key(at));
    }
    return MB_OK;
}

mb_status_t mb_arguments_end(mb_config_t *call, int count)
{
    size_t given = json_array_size(mb_config_take(call, MB_ARGUMENTS_KEY));
    if (given <= (size_t)count)
        return MB_OK;
    return mb_error_set(MB_ERR_UNSUPPORTED, "%s: takes %d argument%s, found %zu", call->where,
                        count, count == 1 ? "" : "s", given);
}

mb_status_t mb_call_take_axis(const mb_call_t *call, int64_t axis, int rank, int *out)
{
    int64_t place = axis < 0 ? axis + rank : axis;
    if (place == 0)
        return mb_call_error(call, MB_ERR_UNSUPPORTED,
                             "axis %" PRId64 " is that of the samples, which are worked on one by "
                             "one",
                             axis);
    if (place < 0 || place >= rank)
        return mb_call_error(call, MB_ERR_SHAPE,
                             "axis %" PRId64 " is none of the %d axes (with the samples)", axis,
                             rank);
    *out = (int)place;
    return MB_OK;
}

void mb_operator_roles(const mb_call_t *call, mb_roles_t *out)
{
    (void)call;
    out->takes_floats = true;
}
