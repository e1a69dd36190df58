/* See settings.h. */
#include "api/settings.h"

#include <omp.h>
#include <stdio.h>

#include "base/philox.h"

/* Before the model file's own word on threads, and after it on binding: a file made for the command
 * line must not move a program's threads. */
mb_status_t mb_api_settings_create(mb_settings_t **out)
{
    char threads[16];
    mb_settings_t *settings;
    MB_TRY(mb_settings_create(&settings));
    snprintf(threads, sizeof threads, "%d", omp_get_max_threads());
    mb_status_t status = mb_settings_set(settings, "threads", threads, MB_FROM_KERAS);
    if (status == MB_OK)
        status = mb_settings_set(settings, "bind", "keep", MB_FROM_USER);
    if (status == MB_OK)
        *out = settings;
    else
        mb_settings_destroy(settings);
    return status;
}

mb_status_t mb_api_settings_set(mb_settings_t *settings, const char *function, const char *key,
                                const char *value)
{
    MB_TRY(mb_api_need(key, function, "key"));
    MB_TRY(mb_api_need(value, function, "value"));
    mb_api_kept_t kept = mb_api_enter();
    mb_status_t status = mb_settings_set(settings, key, value, MB_FROM_USER);
    mb_api_leave(&kept);
    return status;
}

uint64_t mb_api_settings_digest(const mb_settings_t *settings)
{
    uint64_t digest = 0;
    for (int id = 0; id < MB_SET_COUNT; id++) {
        const char *value = mb_settings_text(settings, (mb_setting_id_t)id);
        bool own = id == MB_SET_THREADS || id == MB_SET_BIND || id == MB_SET_DEVICE;
        if (value != NULL && !own)
            digest = digest * 31 + (mb_hash_name(value) ^ (uint64_t)id);
    }
    return digest;
}

void mb_api_settings_use(const mb_settings_t *settings, mb_context_t *context)
{
    if (settings->origin[MB_SET_DEADLINE] == MB_FROM_USER)
        mb_comm_set_deadline(context->comm, mb_settings_real(settings, MB_SET_DEADLINE));
}
