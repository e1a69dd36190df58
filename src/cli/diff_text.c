/* See diff_text.h. */
#include "cli/diff_text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/str.h"
#include "cli/say.h"
#include "store/compare_json.h"

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
            printf("%s%s in %d", comma, mb_compared_text_names[k], comparison->texts[k].n);
            comma = ", ";
        }
    }
    for (int k = 0; k < MB_COMPARED_TENSORS; k++) {
        const mb_tensor_differences_t *tensors = &comparison->tensors[k];
        if (tensors->n > 0) {
            printf("%s%d of %d %s", comma, tensors->n, tensors->compared,
                   mb_compared_tensor_names[k]);
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
            printf("%-12s%s: %s | %s\n", mb_compared_text_names[k], at->place, or_none(at->a),
                   or_none(at->b));
        }
    }
    for (int k = 0; k < MB_COMPARED_TENSORS; k++) {
        for (int i = 0; i < comparison->tensors[k].n; i++)
            print_tensor(mb_compared_tensor_names[k], &comparison->tensors[k].list[i]);
    }
    print_summary(comparison, a, b);
}
