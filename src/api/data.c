/* Data files made of any other kind of data. */
#include "api/options.h"
#include "data/convert_summary.h"

enum { MOST_INPUTS = 1 << 20 };

static mb_status_t take(const mb_api_options_t *given, mb_data_options_t *options)
{
    const char *size = mb_api_option(given, "size");
    options->label = mb_api_option(given, "label");
    options->like = mb_api_option(given, "like");
    MB_TRY(mb_api_option_on(given, "columns", &options->columns));
    MB_TRY(mb_api_option_on(given, "text", &options->text));
    MB_TRY(mb_api_option_on(given, "normalize", &options->normalize));
    return size == NULL ? MB_OK : mb_data_read_size(size, options->image_size);
}

static mb_status_t build(int count, const char *const *inputs, const mb_api_options_t *given,
                         const char *output, char **json)
{
    mb_data_options_t options = {.label = NULL};
    mb_data_summary_t summary = {0};
    MB_TRY(take(given, &options));
    MB_TRY(mb_data_convert(inputs, count, output, &options, &summary));
    return json == NULL ? MB_OK : mb_api_json(mb_data_summary_json(&summary, output), json);
}

static mb_status_t check_inputs(int count, const char *const *inputs)
{
    if (count < 1 || count > MOST_INPUTS)
        return mb_error_set(MB_ERR_ARGUMENT, "mb_data_build: %d inputs; there are 1 to %d", count,
                            MOST_INPUTS);
    for (int i = 0; i < count; i++) {
        if (inputs[i] == NULL)
            return mb_error_set(MB_ERR_ARGUMENT, "mb_data_build: inputs[%d] is NULL", i);
    }
    return MB_OK;
}

mb_status_t mb_data_build(int count, const char *const *inputs, int n, const char *const *keys,
                          const char *const *values, const char *output, char **json)
{
    static const char *const names[] = {"label", "columns", "like", "size", "normalize", "text"};
    mb_api_options_t options = {__func__, n, keys, values};
    MB_NEED(inputs);
    MB_NEED(output);
    MB_TRY(check_inputs(count, inputs));
    MB_TRY(mb_api_options_check(&options, names, sizeof names / sizeof names[0]));
    mb_api_kept_t kept = mb_api_enter();
    mb_status_t status = build(count, inputs, &options, output, json);
    mb_api_leave(&kept);
    return status;
}
