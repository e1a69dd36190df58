/* See hardware.h. */
#include "pipeline/hardware.h"

#include "base/config.h"
#include "base/str.h"

#include <errno.h>
#include <float.h>
#include <stdio.h>
#include <string.h>

enum { LARGEST_FILE = 1 << 16 };

mb_hardware_t mb_hardware_default(void)
{
    return (mb_hardware_t){.name = "a core of a server",
                           .devices_per_node = 32,
                           .flops = 4e10,
                           .memory_bandwidth = 8e9,
                           .cache = 4 << 20,
                           .overhead = 2e-6,
                           .memory = (int64_t)4 << 30,
                           .inside = {.latency = 2e-6, .bandwidth = 4e9, .occupies = 1},
                           .between = {.latency = 3e-6, .bandwidth = 1e10}};
}

static mb_status_t read_file(const char *path, char *text, size_t *length)
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return mb_error_set(MB_ERR_IO, "%s: the hardware file cannot be opened: %s", path,
                            strerror(errno));
    *length = fread(text, 1, LARGEST_FILE, file);
    bool bad = ferror(file) != 0;
    fclose(file);
    if (bad)
        return mb_error_set(MB_ERR_IO, "%s: the hardware file cannot be read", path);
    if (*length == LARGEST_FILE)
        return mb_error_set(MB_ERR_FORMAT, "%s: too long for a hardware file", path);
    return MB_OK;
}

static mb_status_t positive(mb_config_t *config, const char *key, double least, double *out)
{
    MB_TRY(mb_config_real(config, key, out));
    if (*out >= least && *out <= DBL_MAX)
        return MB_OK;
    return mb_error_set(MB_ERR_ARGUMENT, "%s: %s is %g, but must be %s", config->where, key, *out,
                        least > 0 ? "more than 0" : "0 or more");
}

static mb_status_t read_link(mb_config_t *whole, const char *key, mb_hardware_link_t *link)
{
    mb_config_t config;
    MB_TRY(mb_config_open(&config, mb_config_take(whole, key), "%.150s: %s", whole->where, key));
    MB_TRY(positive(&config, "latency", 0, &link->latency));
    MB_TRY(positive(&config, "bandwidth", DBL_MIN, &link->bandwidth));
    MB_TRY(mb_config_real_or(&config, "occupies", 0, &link->occupies));
    if (!(link->occupies >= 0 && link->occupies <= 1))
        return mb_error_set(MB_ERR_ARGUMENT, "%s: occupies is %g, but must be from 0 to 1",
                            config.where, link->occupies);
    return mb_config_finish(&config);
}

static mb_status_t read_object(const json_t *object, const char *path, mb_hardware_t *hw)
{
    mb_config_t config;
    const char *name;
    int64_t devices;
    MB_TRY(mb_config_open(&config, object, "%s", path));
    MB_TRY(mb_config_string_or(&config, "name", path, &name));
    snprintf(hw->name, sizeof hw->name, "%s", name);
    MB_TRY(mb_config_int(&config, "devices_per_node", 1, 1 << 20, &devices));
    hw->devices_per_node = (int)devices;
    MB_TRY(positive(&config, "flops", DBL_MIN, &hw->flops));
    MB_TRY(positive(&config, "memory_bandwidth", DBL_MIN, &hw->memory_bandwidth));
    MB_TRY(positive(&config, "overhead", 0, &hw->overhead));
    MB_TRY(mb_config_real_or(&config, "cache", 0, &hw->cache));
    if (!(hw->cache >= 0))
        return mb_error_set(MB_ERR_ARGUMENT, "%s: cache is %g, but must be 0 or more", path,
                            hw->cache);
    MB_TRY(mb_config_int(&config, "memory", 1, INT64_MAX, &hw->memory));
    MB_TRY(read_link(&config, "inside", &hw->inside));
    MB_TRY(read_link(&config, "between", &hw->between));
    return mb_config_finish(&config);
}

mb_status_t mb_hardware_read(const char *path, mb_hardware_t *out)
{
    char text[LARGEST_FILE];
    size_t length = 0;
    json_t *object;
    mb_hardware_t hw = {.name = ""};
    MB_TRY(read_file(path, text, &length));
    MB_TRY(mb_json_parse(text, length, path, &object));
    mb_status_t status = read_object(object, path, &hw);
    json_decref(object);
    MB_TRY(status);
    *out = hw;
    return MB_OK;
}

static json_t *link_json(const mb_hardware_link_t *link)
{
    return json_pack("{s:f, s:f, s:f}", "latency", link->latency, "bandwidth", link->bandwidth,
                     "occupies", link->occupies);
}

char *mb_hardware_text(const mb_hardware_t *hw)
{
    json_t *object = json_pack("{s:s, s:i, s:f, s:f, s:f, s:f, s:I, s:o, s:o}", "name", hw->name,
                               "devices_per_node", hw->devices_per_node, "flops", hw->flops,
                               "memory_bandwidth", hw->memory_bandwidth, "cache", hw->cache,
                               "overhead", hw->overhead, "memory", (json_int_t)hw->memory, "inside",
                               link_json(&hw->inside), "between", link_json(&hw->between));
    char *text = json_dumps(object, JSON_INDENT(1) | JSON_REAL_PRECISION(6));
    json_decref(object);
    return text;
}
