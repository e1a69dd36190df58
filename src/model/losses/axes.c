/* The axes of an output that one value of its loss spans. Keras counts them with the batch's, which
 * is 0. Here they are the last ones of a sample, so that what a value spans lies in one piece. */
#include "model/losses/class.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static mb_status_t refuse(const mb_config_t *config, const json_t *value)
{
    char *text = json_dumps(value, JSON_ENCODE_ANY);
    mb_status_t status = mb_error_set(MB_ERR_FORMAT,
                                      "%s: key 'axis' must be an integer or a list of up to %d of "
                                      "them, found %s",
                                      config->where, MB_MAX_RANK, text == NULL ? "?" : text);
    free(text);
    return status;
}

static bool add_axis(const json_t *value, mb_loss_t *loss)
{
    json_int_t axis = json_integer_value(value);
    if (!json_is_integer(value) || loss->n_axes == MB_MAX_RANK || axis < -MB_MAX_RANK - 1 ||
        axis > MB_MAX_RANK)
        return false;
    loss->axes[loss->n_axes++] = (int)axis;
    return true;
}

/* Keras 3 writes a tuple as {"class_name": "__tuple__", "items": [1, 2]}. */
static const json_t *list_of(const json_t *value)
{
    const char *class_name = json_string_value(json_object_get(value, "class_name"));
    bool tuple = class_name != NULL && strcmp(class_name, "__tuple__") == 0;
    return tuple ? json_object_get(value, "items") : value;
}

mb_status_t mb_loss_take_axes(mb_config_t *config, bool all, mb_loss_t *loss)
{
    const json_t *value = list_of(mb_config_take(config, "axis"));
    loss->n_axes = 0;
    if (value == NULL || json_is_null(value)) {
        loss->axes[0] = -1;
        loss->n_axes = all ? 0 : 1;
        return MB_OK;
    }
    if (!json_is_array(value))
        return add_axis(value, loss) ? MB_OK : refuse(config, value);
    for (size_t i = 0; i < json_array_size(value); i++) {
        if (!add_axis(json_array_get(value, i), loss))
            return refuse(config, value);
    }
    return loss->n_axes > 0 ? MB_OK : refuse(config, value);
}

/* The axes as bits, the batch's the first; 0 where one does not exist or stands twice. */
static unsigned bits_of(const mb_loss_t *loss, int rank)
{
    unsigned bits = 0;
    for (int i = 0; i < loss->n_axes; i++) {
        int axis = loss->axes[i] < 0 ? loss->axes[i] + rank : loss->axes[i];
        if (axis < 0 || axis >= rank || (bits >> axis & 1) != 0)
            return 0;
        bits |= 1u << axis;
    }
    return bits;
}

static mb_status_t refuse_axes(const mb_loss_t *loss, int rank, const char *where, const char *why)
{
    char text[8 * MB_MAX_RANK];
    int length = 0;
    for (int i = 0; i < loss->n_axes; i++)
        length += snprintf(text + length, sizeof(text) - (size_t)length, "%s%d", i == 0 ? "" : ", ",
                           loss->axes[i]);
    return mb_error_set(MB_ERR_UNSUPPORTED,
                        "%s: key 'axis' is [%s] for an output of %d axes, the batch's among them; "
                        "%s",
                        where, text, rank, why);
}

/* How many of the last axes are meant. */
static mb_status_t count_axes(const mb_loss_t *loss, int rank, const char *where, int *count)
{
    unsigned bits = bits_of(loss, rank);
    bool overlap = loss->kind == MB_LOSS_OVERLAP || loss->kind == MB_LOSS_COSINE;
    for (*count = 1; *count < rank; ++*count) {
        unsigned last = (1u << *count) - 1;
        if (bits == last << (rank - *count) && (*count == 1 || overlap))
            return MB_OK;
    }
    if (bits & 1)
        return refuse_axes(loss, rank, where,
                           "a loss over the batch's axis mixes samples, which lie on several "
                           "ranks; leave 0 out");
    return refuse_axes(loss, rank, where,
                       overlap ? "only the last ones are taken, as in -1, or [-2, -1]"
                               : "this loss is taken over the last one only");
}

mb_status_t mb_loss_take_shapes(const mb_call_t *call, const char *where, mb_loss_t *loss)
{
    int last = call->output.rank - 1, count = 1;
    if (loss->compares && last != 0)
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "%s: a sample's output has %d axes, and it is to be one embedding",
                            where, last + 1);
    loss->whole = loss->n_axes == 0;
    if (!loss->whole)
        MB_TRY(count_axes(loss, call->output.rank + 1, where, &count));
    loss->columns = call->output.dim[last];
    loss->label_shape = call->output;
    if (loss->sparse)
        loss->label_shape.rank = last;
    loss->rows = loss->merged = 1;
    for (int i = 0; i < last; i++) {
        loss->rows *= call->output.dim[i];
        loss->merged *= i > last - count ? call->output.dim[i] : 1;
    }
    loss->merged = loss->whole ? loss->rows : loss->merged;
    loss->sum = loss->sum || loss->whole;
    loss->weighted = loss->has_ignore && !loss->sum;
    return MB_OK;
}
