/* Settings as a program gives them: the defaults that suit a host program, and what ranks compare.
 */
#ifndef MB_API_SETTINGS_H
#define MB_API_SETTINGS_H

#include "api/api.h"
#include "train/settings.h"

/* The defaults, but for binding (the host's stays) and threads (OpenMP's number). */
mb_status_t mb_api_settings_create(mb_settings_t **out);
mb_status_t mb_api_settings_set(mb_settings_t *settings, const char *function, const char *key,
                                const char *value);
/* A digest of all that ranks must say alike. */
uint64_t mb_api_settings_digest(const mb_settings_t *settings);
/* The deadline that was asked for, if any. */
void mb_api_settings_use(const mb_settings_t *settings, mb_context_t *context);

#endif
