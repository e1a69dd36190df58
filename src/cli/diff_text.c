/* See diff_text.h. */
#include "cli/diff_text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/str.h"
#include "cli/say.h"

static const char *const text_names[] = {[MB_COMPARED_CONFIG] = "config",
                                         [MB_COMPARED_SETTINGS] = "settings",
                                         [MB_COMPARED_STATE] = "state"};
static const char *const tensor_names[] = {[MB_COMPARED_WEIGHTS] = "weights",
                                           [MB_COMPARED_MOMENTS] = "moments",
                                           [MB_COMPARED_OPTIMIZER] = "optimizer",
                                           [MB_COMPARED_STATES] = "states"};
static const char *const verdict_names[] = {[MB_TENSOR_EQUAL] = "equal",
                                            [MB_TENSOR_ONLY_A] = "only_a",
                                            [MB_TENSOR_ONLY_B] = "only_b",
                                            [MB_TENSOR_OTHER_SHAPE] = "shape",
                                            [MB_TENSOR_OTHER_VALUES] = "values"};

static const char *or_none(const char *text)
{
    return text == NULL ? "(none)" : text;
}

/* Element number AT as "[3, 17]"; nothing of a scalar. */
static char *index_text(const mb_shape_t *shape, int64_t at, char *buffer, size_t capacity)
{
    int64_t index[MB_MAX_RANK];
    size_t used = 0;
    for (int d = shape->rank - 1; d >= 0; d--) {
        index[d] = at % shape->dim[d];
        at /= shape->dim[d];
    }
    buffer[0] = '\0';
    for (int d = 0; d < shape->rank && used < capacity; d++)
        used += (size_t)snprintf(buffer + used, capacity - used, "%s%" PRId64 "%s",
                                 d == 0 ? " [" : ", ", index[d], d + 1 == shape->rank ? "]" : "");
    return buffer;
}

static void print_values(const mb_tensor_difference_t *t)
{
    char different[MB_COUNT_TEXT], elements[MB_COUNT_TEXT], index[MB_SHAPE_TEXT];
    printf("%s of %s elements, by at most %.9g (relative %.3g), rmse %.3g; the first%s: %.9g | "
           "%.9g\n",
           mb_say_count(t->different, different, sizeof different),
           mb_say_count(t->elements, elements, sizeof elements), t->max_abs, t->max_relative,
           t->rmse, index_text(&t->a, t->first, index, sizeof index), (double)t->first_a,
           (double)t->first_b);
}

static void print_tensor(const char *kind, const mb_tensor_difference_t *t)
{
    char a[MB_SHAPE_TEXT], b[MB_SHAPE_TEXT];
    mb_shape_text(&t->a, a, sizeof a);
    mb_shape_text(&t->b, b, sizeof b);
    printf("%-12s%s: ", kind, t->name);
    if (t->verdict == MB_TENSOR_ONLY_A)
        printf("%s | (none)\n", a);
    else if (t->verdict == MB_TENSOR_ONLY_B)
        printf("(none) | %s\n", b);
    else if (t->verdict == MB_TENSOR_OTHER_SHAPE)
        printf("%s | %s\n", a, b);
    else
        print_values(t);
}

static void print_summary(const mb_comparison_t *comparison, const char *a, const char *b)
{
    const char *comma = "";
    if (mb_comparison_equal(comparison)) {
        printf("%s and %s are equal%s\n", a, b,
               comparison->tolerance > 0 ? " within the tolerance" : "");
        return;
    }
    printf("%s and %s differ: ", a, b);
    for (int k = 0; k < MB_COMPARED_TEXTS; k++) {
        if (comparison->texts[k].n > 0) {
            printf("%s%s in %d", comma, text_names[k], comparison->texts[k].n);
            comma = ", ";
        }
    }
    for (int k = 0; k < MB_COMPARED_TENSORS; k++) {
        const mb_tensor_differences_t *tensors = &comparison->tensors[k];
        if (tensors->n > 0) {
            printf("%s%d of %d %s", comma, tensors->n, tensors->compared, tensor_names[k]);
            comma = ", ";
        }
    }
    printf("\n");
}

void mb_diff_print(const mb_comparison_t *comparison, const char *a, const char *b)
{
    for (int k = 0; k < MB_COMPARED_TEXTS; k++) {
        for (int i = 0; i < comparison->texts[k].n; i++) {
            const mb_text_difference_t *at = &comparison->texts[k].list[i];
            printf("%-12s%s: %s | %s\n", text_names[k], at->place, or_none(at->a), or_none(at->b));
        }
    }
    for (int k = 0; k < MB_COMPARED_TENSORS; k++) {
        for (int i = 0; i < comparison->tensors[k].n; i++)
            print_tensor(tensor_names[k], &comparison->tensors[k].list[i]);
    }
    print_summary(comparison, a, b);
}

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

json_t *mb_diff_json(const mb_comparison_t *comparison, const char *a, const char *b)
{
    json_t *object =
        json_pack("{s:s, s:s, s:b}", "a", a, "b", b, "equal", (int)mb_comparison_equal(comparison));
    for (int k = 0; k < MB_COMPARED_TEXTS; k++)
        json_object_set_new(object, text_names[k], texts_json(&comparison->texts[k]));
    for (int k = 0; k < MB_COMPARED_TENSORS; k++) {
        json_t *list = json_array();
        for (int i = 0; i < comparison->tensors[k].n; i++)
            json_array_append_new(list, tensor_json(&comparison->tensors[k].list[i]));
        json_object_set_new(object, tensor_names[k], list);
    }
    return object;
}
