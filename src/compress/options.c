/* The options of a quantization as the command line and the library give them: by name, as text. */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "compress/quantize.h"
#include "train/layout.h"

/* "30M" and "30MB" are 30,000,000 bytes, "30MiB" 31,457,280. */
static mb_status_t read_size(const char *text, int64_t *bytes)
{
    static const char letters[] = "kmgt";
    char *end;
    double value = strtod(text, &end), factor = 1;
    const char *found = *end == '\0' ? NULL : strchr(letters, tolower((unsigned char)*end));
    if (found != NULL) {
        bool binary = strcasecmp(end + 1, "ib") == 0;
        for (const char *at = letters; at <= found; at++)
            factor *= binary ? 1024 : 1000;
        end += binary ? 3 : strcasecmp(end + 1, "b") == 0 ? 2 : 1;
    }
    if (end == text || *end != '\0' || !(value * factor >= 1) || !(value * factor < 1e18))
        return mb_error_set(MB_ERR_ARGUMENT,
                            "target-size %s is no size: a number of bytes, 500k, 30M, 30MiB, 2G",
                            text);
    *bytes = (int64_t)(value * factor);
    return MB_OK;
}

static mb_status_t read_drop(const char *text, double *drop)
{
    char *end;
    double value = strtod(text, &end);
    bool percent = end != text && *end == '%';
    if (end == text || end[percent] != '\0' || !(value > 0) || !isfinite(value))
        return mb_error_set(
            MB_ERR_ARGUMENT,
            "max-drop %s is no bound: 1%%, or 0.01, which is the same rise of the loss", text);
    *drop = percent ? value / 100 : value;
    return MB_OK;
}

static mb_status_t read_samples(const char *text, int64_t *samples)
{
    char *end;
    long long value = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || value < 1)
        return mb_error_set(MB_ERR_ARGUMENT, "samples %s is no number of samples", text);
    *samples = value;
    return MB_OK;
}

static mb_status_t read_switch(const char *key, const char *text, bool *on)
{
    *on = strcmp(text, "yes") == 0;
    if (*on || strcmp(text, "no") == 0)
        return MB_OK;
    return mb_error_set(MB_ERR_ARGUMENT, "%s is yes or no, not '%s'", key, text);
}

static mb_status_t read_format(mb_quantize_options_t *options, mb_arena_t *arena, const char *text)
{
    mb_format_t *format = MB_ARENA_NEW(arena, mb_format_t);
    if (format == NULL)
        return mb_error_memory("a format", sizeof *format);
    MB_TRY(mb_format_parse(text, format));
    options->format = format;
    return MB_OK;
}

static mb_status_t read_method(mb_quantize_options_t *options, const char *text)
{
    options->method_given = true;
    return mb_method_parse(text, &options->method);
}

static mb_status_t add_rule(mb_quantize_options_t *options, mb_arena_t *arena, const char *text)
{
    int n = options->n_rules;
    char *pattern = mb_arena_strdup(arena, text);
    mb_format_rule_t *rules = MB_ARENA_ARRAY(arena, mb_format_rule_t, n + 1);
    if (pattern == NULL || rules == NULL)
        return mb_error_memory("a rule", strlen(text));
    char *equals = strchr(pattern, '=');
    if (equals == NULL || equals == pattern || equals[1] == '\0')
        return mb_error_set(MB_ERR_ARGUMENT,
                            "rule '%s' is not REGEX=FORMAT, like 'norm|bias|embed=fp32'", text);
    *equals = '\0';
    if (n > 0)
        memcpy(rules, options->rules, (size_t)n * sizeof *rules);
    rules[n].pattern = pattern;
    mb_status_t status = mb_format_parse(equals + 1, &rules[n].format);
    if (status != MB_OK)
        return mb_error_prefix(status, "rule '%s': ", text);
    options->rules = rules;
    options->n_rules = n + 1;
    return MB_OK;
}

mb_status_t mb_quantize_set(mb_quantize_options_t *options, mb_arena_t *arena, const char *key,
                            const char *value)
{
    if (strcmp(key, "format") == 0)
        return read_format(options, arena, value);
    if (strcmp(key, "method") == 0)
        return read_method(options, value);
    if (strcmp(key, "rule") == 0)
        return add_rule(options, arena, value);
    if (strcmp(key, "samples") == 0)
        return read_samples(value, &options->samples);
    if (strcmp(key, "target-size") == 0)
        return read_size(value, &options->target_bytes);
    if (strcmp(key, "max-drop") == 0)
        return read_drop(value, &options->max_drop);
    if (strcmp(key, "again") == 0)
        return read_switch(key, value, &options->again);
    if (strcmp(key, "keras-int8") == 0)
        return read_switch(key, value, &options->keras_int8);
    return mb_error_set(MB_ERR_ARGUMENT,
                        "a quantization has no setting '%s'; there are format, method, rule, "
                        "samples, target-size, max-drop, again, keras-int8",
                        key);
}

mb_status_t mb_quantize_take_settings(mb_quantize_options_t *options, const mb_settings_t *settings)
{
    bool batch = settings->origin[MB_SET_BATCH] == MB_FROM_USER;
    options->data = mb_settings_text(settings, MB_SET_DATA);
    options->label = mb_settings_text(settings, MB_SET_LABEL);
    options->batch = batch ? mb_settings_int(settings, MB_SET_BATCH) : 0;
    options->loss = mb_settings_text(settings, MB_SET_LOSS);
    options->machine = mb_layout_machine(settings);
    return mb_settings_weights(settings, &options->weights);
}
