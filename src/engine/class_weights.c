/* See class_weights.h. */
#include "engine/class_weights.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool is_one_number(const mb_loss_t *loss)
{
    return !loss->sparse && loss->columns == 1;
}

static bool has_classes(const mb_loss_t *loss)
{
    if (loss->plugin != NULL)
        return loss->sparse;
    switch (loss->kind) {
    case MB_LOSS_SPARSE_SOFTMAX:
    case MB_LOSS_SPARSE_PROBABILITY:
    case MB_LOSS_SOFTMAX:
    case MB_LOSS_PROBABILITY:
    case MB_LOSS_FOCAL_LOGITS:
    case MB_LOSS_FOCAL_PROBABILITY:
    case MB_LOSS_CATEGORICAL_HINGE:
    case MB_LOSS_GENERALIZED:
        return true;
    case MB_LOSS_BINARY_LOGITS:
    case MB_LOSS_BINARY_PROBABILITY:
    case MB_LOSS_BINARY_FOCAL_LOGITS:
    case MB_LOSS_BINARY_FOCAL_PROBABILITY:
        return loss->columns == 1;
    default:
        return false;
    }
}

static mb_status_t add_pair(const char *pair, const char *text, mb_class_weights_t *out)
{
    char *end;
    long long class_ = strtoll(pair, &end, 10);
    if (end == pair || *end != '=' || class_ < 0 || class_ >= out->n)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "class-weight=%s: '%s' does not begin with a class from 0 to %" PRId64
                            ", as in 0=1,1=5",
                            text, pair, out->n - 1);
    const char *number = end + 1;
    float weight = strtof(number, &end);
    if (end == number || *end != '\0' || !isfinite(weight))
        return mb_error_set(MB_ERR_ARGUMENT,
                            "class-weight=%s: '%s' does not end with a number, as in 0=1,1=5", text,
                            pair);
    out->weights[class_] = weight;
    return MB_OK;
}

mb_status_t mb_class_weights_parse(const char *text, const mb_loss_t *loss, mb_arena_t *arena,
                                   mb_class_weights_t *out)
{
    if (loss->compares)
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "class-weight=%s: loss %s compares samples with one another, and is "
                            "computed without weights of samples",
                            text, loss->name);
    if (!has_classes(loss) || mb_loss_values(loss) != 1)
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "class-weight=%s: the labels of loss %s are not one class a sample; "
                            "use a dataset 'sample_weight'",
                            text, loss->name);
    mb_class_weights_t made = {.n = is_one_number(loss) ? 2 : loss->columns};
    made.weights = MB_ARENA_ARRAY(arena, float, made.n);
    char *copy = mb_arena_strdup(arena, text), *rest = NULL;
    if (made.weights == NULL || copy == NULL)
        return mb_error_memory("the weights of classes", (size_t)made.n * sizeof(float));
    for (int64_t i = 0; i < made.n; i++)
        made.weights[i] = 1.0F;
    for (char *pair = strtok_r(copy, ",", &rest); pair != NULL; pair = strtok_r(NULL, ",", &rest))
        MB_TRY(add_pair(pair, text, &made));
    *out = made;
    return MB_OK;
}

static int64_t class_of(const mb_loss_t *loss, const void *labels)
{
    const float *numbers = labels;
    int64_t largest = 0;
    if (loss->sparse)
        return *(const int32_t *)labels;
    if (is_one_number(loss))
        return (int64_t)rint((double)numbers[0]);
    for (int64_t j = 1; j < loss->columns; j++)
        largest = numbers[j] > numbers[largest] ? j : largest;
    return largest;
}

float mb_class_weights_of(const mb_class_weights_t *classes, const mb_loss_t *loss,
                          const void *labels)
{
    if (classes->n == 0)
        return 1.0F;
    int64_t class_ = class_of(loss, labels);
    return class_ >= 0 && class_ < classes->n ? classes->weights[class_] : 1.0F;
}
