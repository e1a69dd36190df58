/* Changing the run settings inside a model file, atomically. */
#ifndef MB_STORE_EDIT_H
#define MB_STORE_EDIT_H

#include "store/model_file.h"

/* Sets the settings' keys in /mbrun/run of the model file PATH; a value of NULL removes its key,
 * other keys stay. The result goes to OUT_PATH, or back to PATH when that is NULL, and appears
 * there as a whole. A seal that held holds again; a broken one stays broken. Not collective. */
mb_status_t mb_model_file_set_settings(const char *path, const char *out_path, int n_settings,
                                       const mb_setting_t *settings);

#endif
