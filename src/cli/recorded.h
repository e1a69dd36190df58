/* What a model file's /mbrun/run says, for commands that use the model as its run did. */
#ifndef MB_CLI_RECORDED_H
#define MB_CLI_RECORDED_H

#include "train/settings.h"

/* Takes the settings IDS[N] that the model file PATH records, where the user gives none. Not
 * collective. Errors: those of opening the file, and of a value that is none. */
mb_status_t mb_recorded_take(const char *path, mb_settings_t *settings, const mb_setting_id_t *ids,
                             size_t n);

#endif
