/* What the layers take: measured at a run's first start on several stages, read again at later ones
 * on the same machine. */
#include <stdlib.h>
#include <string.h>

#include "engine/profile.h"
#include "train/trainer_private.h"

#define PROFILE_NAME "profile.json"

/* What the numbers depend on beside the model, which is the run's. */
static char *key_of(const mb_training_t *trainer, const mb_engine_options_t *options)
{
    const mb_machine_t *machine = trainer->machine;
    const char *dtype = mb_settings_text(trainer->settings, MB_SET_DTYPE);
    return mb_arena_format(trainer->arena,
                           "%s; %s; %d threads; %d ranks a node; micro-batches of %lld; %s",
                           machine->signature, machine->description, machine->threads,
                           mb_comm_local_size(trainer->comm), (long long)options->micro_batch,
                           dtype == NULL ? "as the model says" : dtype);
}

static mb_status_t share_slowness(mb_training_t *trainer, mb_profile_t *profile)
{
    mb_status_t status = MB_OK;
    MB_TRY(mb_comm_broadcast(trainer->comm, &profile->n_stages, sizeof profile->n_stages, 0));
    size_t n = (size_t)profile->n_stages;
    if (profile->slowness == NULL)
        profile->slowness = calloc(n + 1, sizeof *profile->slowness);
    if (profile->slowness == NULL)
        status = mb_error_memory("a profile", n * sizeof *profile->slowness);
    MB_TRY(mb_comm_agree(trainer->comm, status));
    return n == 0 ? MB_OK
                  : mb_comm_broadcast(trainer->comm, profile->slowness,
                                      n * sizeof *profile->slowness, 0);
}

static mb_status_t share(mb_training_t *trainer, mb_profile_t *profile)
{
    size_t n = (size_t)profile->n_nodes;
    MB_TRY(mb_comm_broadcast(trainer->comm, profile->nodes, n * sizeof *profile->nodes, 0));
    MB_TRY(mb_comm_broadcast(trainer->comm, profile->crossing, n * sizeof *profile->crossing, 0));
    return share_slowness(trainer, profile);
}

static mb_status_t read_kept(mb_training_t *trainer, const char *key, const char *path,
                             mb_profile_t *profile, bool *found)
{
    mb_status_t status = MB_OK;
    if (path != NULL && mb_comm_rank(trainer->comm) == 0)
        status = mb_profile_read(profile, key, path, found);
    MB_TRY(mb_comm_agree(trainer->comm, status));
    MB_TRY(mb_comm_broadcast(trainer->comm, found, sizeof *found, 0));
    return *found ? share(trainer, profile) : MB_OK;
}

static mb_status_t keep(mb_training_t *trainer, const char *key, const char *path,
                        const mb_profile_t *profile)
{
    mb_status_t status = MB_OK;
    if (path != NULL && mb_comm_rank(trainer->comm) == 0)
        status = mb_profile_write(profile, trainer->model->graph, key, path);
    return mb_comm_agree(trainer->comm, status);
}

static mb_status_t find(mb_training_t *trainer, const mb_engine_options_t *options,
                        const char *path, mb_profile_t *profile)
{
    bool found = false;
    char *key = key_of(trainer, options);
    mb_status_t status = key == NULL ? mb_error_memory("a profile's key", 0) : MB_OK;
    MB_TRY(mb_comm_agree(trainer->comm, status));
    MB_TRY(read_kept(trainer, key, path, profile, &found));
    if (found && (profile->n_stages == 0 || profile->n_stages == options->stages))
        return MB_OK;
    MB_TRY(mb_profile_measure(options, MB_PROFILE_SECONDS, profile));
    return keep(trainer, key, path, profile);
}

/* What --memory has found to fit is a cut by what is counted, which stays as it is. */
static mb_status_t is_measured(const mb_training_t *trainer, bool *out)
{
    const char *by = mb_settings_text(trainer->settings, MB_SET_PARTITION);
    bool measured = strcmp(by, "measured") == 0;
    bool limited = mb_settings_has(trainer->settings, MB_SET_MEMORY);
    if (measured && limited && trainer->settings->origin[MB_SET_PARTITION] >= MB_FROM_FILE)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "partition=measured: a run within memory=SIZE keeps the cut that was "
                            "counted; leave one of the two out");
    *out = measured && !limited;
    if (measured || strcmp(by, "counted") == 0)
        return MB_OK;
    return mb_error_set(MB_ERR_ARGUMENT, "partition=%s: there are measured and counted", by);
}

mb_status_t mb_training_take_profile(mb_training_t *trainer, const mb_engine_options_t *options,
                                     mb_profile_t **out)
{
    bool measured = false;
    mb_profile_t *profile = NULL;
    mb_status_t status = is_measured(trainer, &measured);
    *out = NULL;
    if (status == MB_OK && measured && options->stages > 1)
        status = mb_profile_create(trainer->model->graph, &profile);
    MB_TRY(mb_comm_agree(trainer->comm, status));
    if (profile == NULL)
        return MB_OK;
    char *path = trainer->dir == NULL ? NULL : mb_run_dir_file(trainer->dir, PROFILE_NAME);
    status = find(trainer, options, path, profile);
    free(path);
    if (status != MB_OK) {
        mb_profile_destroy(profile);
        return status;
    }
    *out = profile;
    return MB_OK;
}
