/* See convert_summary.h. */
#include "data/convert_summary.h"

#include <stdlib.h>

#define LARGEST_SIDE 65535

static bool read_number(const char **text, int64_t most, int64_t *out)
{
    char *end;
    long value = strtol(*text, &end, 10);
    bool good =
        end != *text && (*text)[0] >= '0' && (*text)[0] <= '9' && value > 0 && value <= most;
    *text = end;
    *out = value;
    return good;
}

mb_status_t mb_data_read_size(const char *given, int64_t size[3])
{
    const char *text = given;
    bool good = read_number(&text, LARGEST_SIDE, &size[0]) && *text++ == 'x' &&
                read_number(&text, LARGEST_SIDE, &size[1]);
    if (good && *text == 'x') {
        text++;
        good = read_number(&text, 4, &size[2]) && size[2] != 2;
    }
    if (good && *text == '\0')
        return MB_OK;
    return mb_error_set(MB_ERR_ARGUMENT,
                        "size=%s: wanted is HEIGHTxWIDTH or HEIGHTxWIDTHxCHANNELS with 1, 3 or 4 "
                        "channels, like 224x224x3",
                        given);
}

json_t *mb_data_summary_json(const mb_data_summary_t *summary, const char *output)
{
    json_t *shape = json_array();
    for (int i = 0; i < summary->shape.rank; i++)
        json_array_append_new(shape, json_integer(summary->shape.dim[i]));
    return json_pack("{s:s, s:I, s:o, s:s, s:b, s:I, s:b, s:b, s:I}", "output", output, "samples",
                     (json_int_t)summary->samples, "shape", shape, "dtype",
                     mb_dtype_name(summary->dtype), "labels", summary->has_labels, "classes",
                     (json_int_t)summary->classes, "tokens", summary->is_tokens, "normalized",
                     summary->normalized, "bytes", (json_int_t)summary->bytes);
}
