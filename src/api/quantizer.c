/* The public quantizer: a model file stored smaller, and what that costs. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "api/settings.h"
#include "base/philox.h"
#include "compress/quantize.h"

struct mb_quantizer {
    mb_context_t *context;
    char *path;
    mb_settings_t *settings;
    mb_arena_t *arena;
    mb_quantize_options_t options;
    uint64_t digest; /* of what was set, for comparing ranks */
    bool computed;
    mb_quantize_result_t result;
};

static mb_status_t fill(mb_quantizer_t *quantizer, const char *path)
{
    quantizer->path = strdup(path);
    quantizer->arena = mb_arena_create();
    if (quantizer->path == NULL || quantizer->arena == NULL)
        return mb_error_memory("a quantizer", strlen(path));
    quantizer->options.model = quantizer->path;
    return mb_api_settings_create(&quantizer->settings);
}

static void release(mb_quantizer_t *quantizer)
{
    mb_settings_destroy(quantizer->settings);
    if (quantizer->arena != NULL)
        mb_arena_destroy(quantizer->arena);
    free(quantizer->path);
    free(quantizer);
}

mb_status_t mb_quantizer_create(mb_context_t *context, const char *path, mb_quantizer_t **out)
{
    MB_NEED(context);
    MB_NEED(path);
    MB_TRY(mb_api_need(out, __func__, "quantizer"));
    mb_quantizer_t *quantizer = calloc(1, sizeof *quantizer);
    if (quantizer == NULL)
        return mb_error_memory("a quantizer", sizeof *quantizer);
    quantizer->context = context;
    mb_status_t status = fill(quantizer, path);
    if (status != MB_OK) {
        release(quantizer);
        return status;
    }
    context->users++;
    *out = quantizer;
    return MB_OK;
}

static bool is_setting(const char *key)
{
    static const char *const keys[] = {"data",    "batch", "loss",    "device",
                                       "threads", "bind",  "deadline"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        if (strcmp(keys[i], key) == 0)
            return true;
    }
    return false;
}

mb_status_t mb_quantizer_set(mb_quantizer_t *quantizer, const char *key, const char *value)
{
    MB_NEED(quantizer);
    MB_NEED(key);
    MB_NEED(value);
    if (is_setting(key))
        return mb_api_settings_set(quantizer->settings, __func__, key, value);
    mb_api_kept_t kept = mb_api_enter();
    mb_status_t status = mb_quantize_set(&quantizer->options, quantizer->arena, key, value);
    mb_api_leave(&kept);
    quantizer->digest = quantizer->digest * 31 + (mb_hash_name(key) ^ (mb_hash_name(value) << 1));
    return status;
}

static mb_status_t run(mb_quantizer_t *quantizer)
{
    mb_comm_t *comm = quantizer->context->comm;
    mb_quantize_options_t *options = &quantizer->options;
    uint64_t output = options->output == NULL ? 0 : mb_hash_name(options->output);
    MB_TRY(mb_api_same(comm, mb_hash_name(quantizer->path), "model path"));
    MB_TRY(mb_api_same(comm, output, "output path"));
    MB_TRY(mb_api_same(comm, mb_api_settings_digest(quantizer->settings) ^ quantizer->digest,
                       "settings"));
    MB_TRY(mb_quantize_take_settings(options, quantizer->settings));
    mb_api_settings_use(quantizer->settings, quantizer->context);
    options->comm = comm;
    return mb_quantize(options, quantizer->arena, &quantizer->result);
}

mb_status_t mb_quantizer_run(mb_quantizer_t *quantizer, const char *output)
{
    MB_NEED(quantizer);
    MB_TRY(mb_api_need_idle(quantizer->context, __func__));
    mb_api_kept_t kept = mb_api_enter();
    quantizer->options.output = output;
    mb_status_t status = run(quantizer);
    mb_api_leave(&kept);
    quantizer->computed = status == MB_OK;
    return status;
}

mb_status_t mb_quantizer_get(const mb_quantizer_t *quantizer, const char *name, double *value)
{
    MB_NEED(quantizer);
    MB_NEED(name);
    MB_NEED(value);
    const mb_report_t *report = &quantizer->result.report;
    const mb_api_number_t numbers[] = {{"bytes_before", (double)report->bytes_before},
                                       {"bytes_after", (double)report->bytes_after},
                                       {"bits_per_weight", report->bits_per_weight},
                                       {"loss_before", report->loss_before},
                                       {"loss_after", report->loss_after},
                                       {"accuracy_before", report->accuracy_before},
                                       {"accuracy_after", report->accuracy_after},
                                       {"agreement", report->agreement},
                                       {"mean_kl", report->mean_kl},
                                       {"max_kl", report->max_kl},
                                       {"seconds", quantizer->result.seconds}};
    if (!quantizer->computed)
        return mb_error_set(MB_ERR_ARGUMENT, "mb_quantizer_get: nothing was quantized yet");
    return mb_api_number(numbers, (int)(sizeof numbers / sizeof numbers[0]), name, value);
}

mb_status_t mb_quantizer_destroy(mb_quantizer_t *quantizer)
{
    if (quantizer == NULL)
        return MB_OK;
    quantizer->context->users--;
    release(quantizer);
    return MB_OK;
}
