/* See salt.h. */
#include "model/layers/salt.h"

mb_status_t mb_salt_take(mb_config_t *config, bool *salted, uint64_t salt[2])
{
    const json_t *value = mb_config_take(config, "salt");
    bool two = json_array_size(value) == 2;
    *salted = value != NULL && !json_is_null(value);
    for (size_t i = 0; i < 2; i++) {
        const json_t *item = two ? json_array_get(value, i) : value;
        if (*salted && !json_is_integer(item))
            return mb_error_set(MB_ERR_FORMAT,
                                "%s: key 'salt' must be a whole number, or a list of two",
                                config->where);
        salt[i] = (uint64_t)json_integer_value(item);
    }
    return MB_OK;
}
