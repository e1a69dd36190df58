/* See json_value.h. */
#include "base/json_value.h"

#include <math.h>

json_t *mb_json_number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

json_t *mb_json_text(const char *text)
{
    return text != NULL ? json_string(text) : json_null();
}
