/* What a file says of itself: digests, seal, counters. */
#include <string.h>

#include "api/api.h"
#include "engine/model_variables.h"
#include "store/keras_archive.h"
#include "store/model_file.h"
#include "store/seal.h"

mb_status_t mb_checkpoint_digest(const char *path, uint64_t *weights, uint64_t *full)
{
    mb_model_file_t *file = NULL;
    mb_digest_t digest;
    MB_NEED(path);
    MB_NEED(weights);
    MB_NEED(full);
    mb_api_kept_t kept = mb_api_enter();
    mb_status_t status = mb_model_file_open_arranged(path, &file);
    if (status == MB_OK)
        status = mb_model_file_digest(file, &digest);
    mb_model_file_close(file);
    mb_api_leave(&kept);
    MB_TRY(status);
    *weights = digest.weights;
    *full = digest.full;
    return MB_OK;
}

static mb_status_t broken(const char *path)
{
    return mb_error_set(MB_ERR_FORMAT, "%s: the seal does not hold: the file was damaged or edited",
                        path);
}

/* HDF5 is not made to read damaged files, so it sees only those that have no seal to break. */
mb_status_t mb_checkpoint_verify(const char *path, int *sealed)
{
    mb_seal_state_t seal;
    int64_t step;
    mb_model_file_t *file = NULL;
    MB_NEED(path);
    MB_NEED(sealed);
    bool is_archive = false;
    MB_TRY(mb_keras_archive_check(path, &is_archive));
    if (is_archive) {
        *sealed = 1;
        return MB_OK;
    }
    MB_TRY(mb_seal_check_file(path, &seal, &step));
    if (seal == MB_SEAL_BROKEN)
        return broken(path);
    if (seal == MB_SEAL_NONE) {
        MB_TRY(mb_model_file_open(path, false, false, &file));
        bool lost = file->from_mbrun;
        mb_model_file_close(file);
        if (lost)
            return broken(path);
    }
    *sealed = seal == MB_SEAL_HOLDS;
    return MB_OK;
}

static mb_status_t find_counter(const mb_run_state_t *state, const char *name, int64_t *value)
{
    const struct {
        const char *name;
        int64_t value;
    } counters[] = {{"step", state->step},
                    {"epoch", state->epoch},
                    {"step_in_epoch", state->step_in_epoch},
                    {"best_step", state->best_step},
                    {"iterations", state->iterations},
                    {"skipped_steps", state->skipped_steps}};
    for (size_t i = 0; i < sizeof counters / sizeof counters[0]; i++) {
        if (strcmp(counters[i].name, name) == 0) {
            *value = counters[i].value;
            return MB_OK;
        }
    }
    return mb_error_set(MB_ERR_ARGUMENT,
                        "mb_checkpoint_get: there is no counter '%s'; there are step, epoch, "
                        "step_in_epoch, best_step, iterations, skipped_steps",
                        name);
}

mb_status_t mb_checkpoint_get(const char *path, const char *name, int64_t *value)
{
    mb_model_file_t *file = NULL;
    mb_run_state_t state;
    MB_NEED(path);
    MB_NEED(name);
    MB_NEED(value);
    MB_TRY(mb_model_file_open(path, false, false, &file));
    state = file->state;
    mb_model_file_close(file);
    if (!state.present)
        return mb_error_set(MB_ERR_FORMAT,
                            "%s: has no state of a run; it was written by Keras, or saved without",
                            path);
    return find_counter(&state, name, value);
}
