/* The first byte chooses a setting, the rest is its value, as a model file or a user gives it. */
#include "train/settings.h"

#include "fuzz/fuzz.h"

#include <stdlib.h>

void mb_fuzz_settings(const uint8_t *data, size_t size);

static void read_back(const mb_settings_t *settings, mb_setting_id_t id)
{
    switch (mb_setting_info(id)->kind) {
    case MB_KIND_COUNT:
        if (mb_settings_int(settings, id) < 1)
            abort();
        break;
    case MB_KIND_REAL:
    case MB_KIND_FRACTION:
    case MB_KIND_SECONDS:
    case MB_KIND_BYTES:
        (void)mb_settings_real(settings, id);
        break;
    case MB_KIND_CADENCE:
        (void)mb_settings_cadence(settings, id);
        break;
    case MB_KIND_SEED:
        (void)mb_settings_seed(settings, id);
        break;
    case MB_KIND_SWITCH:
        (void)mb_settings_on(settings, id);
        break;
    case MB_KIND_TEXT:
    case MB_KIND_SHUFFLE:
        (void)mb_settings_text(settings, id);
        break;
    }
}

void mb_fuzz_settings(const uint8_t *data, size_t size)
{
    mb_settings_t *settings = NULL;
    if (size < 1 || mb_settings_create(&settings) != MB_OK)
        return;
    mb_setting_id_t id = (mb_setting_id_t)(data[0] % MB_SET_COUNT);
    char *text = mb_fuzz_text(data + 1, size - 1);
    if (mb_settings_set(settings, mb_setting_info(id)->key, text, MB_FROM_USER) == MB_OK)
        read_back(settings, id);
    (void)mb_setting_find(text, NULL);
    free(text);
    mb_settings_destroy(settings);
}
