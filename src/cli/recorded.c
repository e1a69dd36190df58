/* See recorded.h. */
#include "cli/recorded.h"

#include "store/model_file.h"

mb_status_t mb_recorded_take(const char *path, mb_settings_t *settings, const mb_setting_id_t *ids,
                             size_t n)
{
    mb_model_file_t *file = NULL;
    mb_status_t status = mb_model_file_open(path, true, false, &file);
    for (size_t i = 0; i < n && status == MB_OK; i++) {
        const char *key = mb_setting_info(ids[i])->key;
        const char *value = mb_model_file_setting(file, key);
        if (value != NULL)
            status = mb_settings_set(settings, key, value, MB_FROM_FILE);
    }
    mb_model_file_close(file);
    return status;
}
