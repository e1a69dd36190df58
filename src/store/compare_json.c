/* See compare_json.h. */
#include "store/compare_json.h"

#include "base/json_value.h"

const char *const mb_compared_text_names[MB_COMPARED_TEXTS] = {[MB_COMPARED_CONFIG] = "config",
                                                               [MB_COMPARED_SETTINGS] = "settings",
                                                               [MB_COMPARED_STATE] = "state"};
const char *const mb_compared_tensor_names[MB_COMPARED_TENSORS] = {
    [MB_COMPARED_WEIGHTS] = "weights",
    [MB_COMPARED_MOMENTS] = "moments",
    [MB_COMPARED_OPTIMIZER] = "optimizer",
    [MB_COMPARED_STATES] = "states"};
static const char *const verdict_names[] = {[MB_TENSOR_EQUAL] = "equal",
                                            [MB_TENSOR_ONLY_A] = "only_a",
                                            [MB_TENSOR_ONLY_B] = "only_b",
                                            [MB_TENSOR_OTHER_SHAPE] = "shape",
                                            [MB_TENSOR_OTHER_VALUES] = "values"};

static json_t *shape_json(const mb_shape_t *shape, bool there)
{
    json_t *list = there ? json_array() : json_null();
    for (int d = 0; d < shape->rank && there; d++)
        json_array_append_new(list, json_integer(shape->dim[d]));
    return list;
}

static json_t *tensor_json(const mb_tensor_difference_t *t)
{
    json_t *object =
        json_pack("{s:s, s:s, s:o, s:o}", "name", t->name, "verdict", verdict_names[t->verdict],
                  "shape_a", shape_json(&t->a, t->verdict != MB_TENSOR_ONLY_B), "shape_b",
                  shape_json(&t->b, t->verdict != MB_TENSOR_ONLY_A));
    if (t->verdict != MB_TENSOR_OTHER_VALUES || object == NULL)
        return object;
    json_t *values =
        json_pack("{s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o}", "elements", (json_int_t)t->elements,
                  "different", (json_int_t)t->different, "first", (json_int_t)t->first, "first_a",
                  mb_json_number((double)t->first_a), "first_b", mb_json_number((double)t->first_b),
                  "max_abs", mb_json_number(t->max_abs), "max_relative",
                  mb_json_number(t->max_relative), "rmse", mb_json_number(t->rmse));
    json_object_update(object, values);
    json_decref(values);
    return object;
}

static json_t *texts_json(const mb_text_differences_t *texts)
{
    json_t *list = json_array();
    for (int i = 0; i < texts->n; i++) {
        const mb_text_difference_t *at = &texts->list[i];
        json_array_append_new(list, json_pack("{s:s, s:o, s:o}", "place", at->place, "a",
                                              mb_json_text(at->a), "b", mb_json_text(at->b)));
    }
    return list;
}

json_t *mb_comparison_json(const mb_comparison_t *comparison, const char *a, const char *b)
{
    json_t *object =
        json_pack("{s:s, s:s, s:b}", "a", a, "b", b, "equal", (int)mb_comparison_equal(comparison));
    for (int k = 0; k < MB_COMPARED_TEXTS; k++)
        json_object_set_new(object, mb_compared_text_names[k], texts_json(&comparison->texts[k]));
    for (int k = 0; k < MB_COMPARED_TENSORS; k++) {
        json_t *list = json_array();
        for (int i = 0; i < comparison->tensors[k].n; i++)
            json_array_append_new(list, tensor_json(&comparison->tensors[k].list[i]));
        json_object_set_new(object, mb_compared_tensor_names[k], list);
    }
    return object;
}
