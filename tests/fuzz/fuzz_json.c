/* Bytes as JSON text, then as a configuration. */
#include "base/config.h"

#include <stddef.h>
#include <stdint.h>

void mb_fuzz_json(const uint8_t *data, size_t size);

void mb_fuzz_json(const uint8_t *data, size_t size)
{
    json_t *json = NULL;
    if (mb_json_parse((const char *)data, size, "fuzz", &json) != MB_OK)
        return;
    mb_config_t config;
    const char *name;
    const json_t *object;
    int64_t units, pair[2];
    double rate;
    mb_config_object(json, "fuzz", &name, &object);
    if (mb_config_open(&config, json, "fuzz") == MB_OK) {
        (void)mb_config_int_or(&config, "a", 1, 10, 5, &units);
        (void)mb_config_ints(&config, "b", 2, 1, pair);
        (void)mb_config_real_or(&config, "c", 0.5, &rate);
        (void)mb_config_only(&config, "d", "\"valid\"");
        (void)mb_config_finish(&config);
    }
    json_decref(json);
}
