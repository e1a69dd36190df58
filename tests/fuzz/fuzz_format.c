/* A text as a number format, a specification with keys, a number of bytes, and a learning rate's
 * schedule. */
#include "base/str.h"
#include "model/optimizers/lr_schedule.h"
#include "model/spec.h"
#include "quant/format.h"

#include "fuzz/fuzz.h"

#include <stdlib.h>

void mb_fuzz_format(const uint8_t *data, size_t size);

static void parse_format(const char *text)
{
    char back[MB_FORMAT_TEXT];
    mb_format_t format, again;
    if (mb_format_parse(text, &format) != MB_OK)
        return;
    if (mb_format_parse(mb_format_text(&format, back, sizeof back), &again) != MB_OK ||
        !mb_format_equal(&format, &again))
        abort();
}

void mb_fuzz_format(const uint8_t *data, size_t size)
{
    json_t *spec = NULL, *schedule = NULL;
    double bytes = 0;
    char *text = mb_fuzz_text(data, size);
    parse_format(text);
    (void)mb_str_parse_bytes(text, &bytes);
    if (mb_spec_parse(text, "fuzz", &spec) == MB_OK)
        json_decref(spec);
    if (mb_lr_schedule_from_text(text, 0.1, &schedule) == MB_OK)
        json_decref(schedule);
    free(text);
}
