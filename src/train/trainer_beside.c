/* Checkpoints that are written beside the steps.
 *
 *     update s        copies what it changes, as it changes it
 *     boundary s      every rank's state is laid out as a file; the steps go on
 *       thread        copies what else there is (the next update waits for that), then writes it
 *     boundary a      no rank writes any more, says the vote: rank 0 gathers the checksums
 *       thread, 0     the seal, the name, older checkpoints
 *     boundary b      rank 0 is done, says the vote: the checkpoint is told of
 *
 * HDF5 and MPI are entered by the caller's thread alone. A thread that fails says so in the vote,
 * and then all ranks agree on the message. There is one such checkpoint at a time. */
#include <stdlib.h>
#include <string.h>

#include "base/background.h"
#include "train/trainer_private.h"

enum { PUTTING = 0, COMMITTING };

struct mb_saves {
    bool goes_on;    /* where a checkpoint cannot be written */
    bool told;       /* that the disk is slower than the cadence */
    bool told_lines; /* that metrics cannot be written */
    bool put_off;    /* to the next boundary */
    bool has_room;   /* the copy is within --memory, too */
    mb_snapshot_t *snapshot;
    mb_stencil_t *stencil;
    mb_save_times_t times;

    mb_status_t failure; /* that is told when the one under way is complete */
    mb_error_message_t failure_message;

    mb_state_saving_t *saving; /* under way; NULL: none */
    mb_background_t *task;     /* this rank's part of it */
    int phase;
    char *path;
    int64_t step, best, bytes;
    double busy; /* seconds so far, of this rank; the thread adds while it is at it */
};

/* A wait for the previous checkpoint that is worth a line. */
#define LONG_WAIT 0.5

static mb_status_t read_word(const mb_training_t *trainer, mb_setting_id_t id, const char *a,
                             const char *b, bool *is_a)
{
    const char *word = mb_settings_text(trainer->settings, id);
    *is_a = strcmp(word, a) == 0;
    if (*is_a || strcmp(word, b) == 0)
        return MB_OK;
    return mb_error_set(MB_ERR_ARGUMENT, "--%s: '%s' is not %s or %s", mb_setting_info(id)->key,
                        word, a, b);
}

mb_status_t mb_training_take_saves(mb_training_t *trainer)
{
    bool beside, stops;
    trainer->saves = calloc(1, sizeof *trainer->saves);
    if (trainer->saves != NULL)
        trainer->saves->stencil = mb_stencil_create();
    if (trainer->saves == NULL || trainer->saves->stencil == NULL)
        return mb_error_memory("a trainer", sizeof *trainer->saves);
    MB_TRY(read_word(trainer, MB_SET_CHECKPOINT_MODE, "async", "sync", &beside));
    MB_TRY(read_word(trainer, MB_SET_ON_SAVE_ERROR, "stop", "continue", &stops));
    trainer->saves->goes_on = !stops;
    return MB_OK;
}

bool mb_training_copies(const mb_training_t *trainer)
{
    mb_device_t *device = trainer->machine->device;
    bool in_limit = mb_settings_has(trainer->settings, MB_SET_MEMORY) &&
                    device->class_->host_visible(device) && !trainer->saves->has_room;
    return trainer->dir != NULL && !mb_comm_is_virtual(trainer->comm) &&
           mb_settings_copy_state(trainer->settings, in_limit);
}

void mb_training_allow_copy(mb_training_t *trainer, bool has_room)
{
    trainer->saves->has_room = has_room;
}

/* Without a copy checkpoints are as good, and the steps wait for them. */
mb_status_t mb_training_take_snapshot(mb_training_t *trainer)
{
    mb_saves_t *saves = trainer->saves;
    if (!mb_training_copies(trainer))
        return MB_OK;
    mb_status_t status = mb_comm_agree(
        trainer->comm, mb_snapshot_create(trainer->engine, trainer->update,
                                          trainer->moments_in_8_bits, &saves->snapshot));
    if (status != MB_ERR_MEMORY)
        return status;
    mb_snapshot_destroy(saves->snapshot);
    saves->snapshot = NULL;
    mb_training_note(trainer, "the steps wait for checkpoints (checkpoint-mode=sync): %s",
                     mb_error_get());
    return MB_OK;
}

const mb_snapshot_t *mb_training_snapshot(const mb_training_t *trainer)
{
    return trainer->saves->snapshot;
}

mb_stencil_t *mb_training_stencil(const mb_training_t *trainer)
{
    return trainer->saves->stencil;
}

mb_save_times_t mb_training_save_times(const mb_training_t *trainer)
{
    return trainer->saves->times;
}

static double longer(double a, double b)
{
    return a > b ? a : b;
}

void mb_training_count_save(mb_training_t *trainer, const mb_save_times_t *one)
{
    mb_save_times_t *times = &trainer->saves->times;
    times->count += one->count;
    times->failed += one->failed;
    times->bytes = one->bytes > 0 ? one->bytes : times->bytes;
    times->stopped = longer(times->stopped, one->stopped);
    times->copy = longer(times->copy, one->copy);
    times->total = longer(times->total, one->total);
    if (one->total > 0)
        mb_time_limit_save(&trainer->limit, one->total);
}

/* ---- one rank's thread */

static mb_status_t put(void *user)
{
    mb_training_t *trainer = user;
    mb_saves_t *saves = trainer->saves;
    double begun = mb_time_seconds();
    mb_status_t status = mb_state_put(saves->saving);
    if (status == MB_OK && trainer->metrics != NULL)
        status = mb_metrics_log_sync(trainer->metrics);
    saves->busy += mb_time_seconds() - begun - mb_state_rested(saves->saving);
    return status;
}

static mb_status_t commit(void *user)
{
    mb_training_t *trainer = user;
    mb_saves_t *saves = trainer->saves;
    double begun = mb_time_seconds();
    mb_background_give_way();
    mb_status_t status = mb_state_commit(saves->saving);
    if (status == MB_OK)
        status = mb_run_dir_prune(
            trainer->dir, (int)mb_settings_int(trainer->settings, MB_SET_KEEP), saves->best);
    saves->busy += mb_time_seconds() - begun;
    return status;
}

static mb_status_t is_done(void *user, bool *done)
{
    const mb_saves_t *saves = user;
    *done = mb_background_done(saves->task);
    return MB_OK;
}

static mb_status_t is_copied(void *user, bool *done)
{
    const mb_saves_t *saves = user;
    *done = mb_state_is_copied(saves->saving) || mb_background_done(saves->task);
    return MB_OK;
}

static mb_status_t wait_for_own(mb_training_t *trainer, mb_comm_done_t done, const char *action)
{
    const mb_comm_note_t note = {.action = action, .stage = -1, .micro = -1, .peer = -1, .tag = -1};
    int before = mb_account_begin(trainer->account, MB_ACTIVITY_CHECKPOINT);
    mb_status_t status = mb_comm_wait_own(trainer->comm, done, trainer->saves, &note);
    mb_account_enter(trainer->account, before);
    return status;
}

mb_status_t mb_training_await_copy(mb_training_t *trainer)
{
    const mb_saves_t *saves = trainer->saves;
    if (saves->task == NULL || saves->phase != PUTTING || mb_state_is_copied(saves->saving))
        return MB_OK;
    return wait_for_own(trainer, is_copied, "copying the state for a checkpoint");
}

/* Whether the thread still reads the copy. */
static bool is_reading(const mb_saves_t *saves)
{
    return saves->task != NULL && saves->phase == PUTTING && !mb_background_done(saves->task);
}

/* The last checkpoint of a run is written from where values stand. */
static bool is_due_next(const mb_training_t *trainer)
{
    int64_t next = trainer->state.step + 1;
    return next < trainer->total_steps &&
           (trainer->saves->put_off || mb_training_is_due(trainer, &trainer->cadence, next));
}

void mb_training_expect_copy(mb_training_t *trainer)
{
    mb_saves_t *saves = trainer->saves;
    mb_snapshot_t *snapshot = saves->snapshot;
    trainer->update->copies = NULL;
    if (snapshot == NULL || !snapshot->in_device || is_reading(saves) || !is_due_next(trainer))
        return;
    mb_snapshot_expect(snapshot);
    trainer->update->copies = snapshot->copies;
}

bool mb_training_is_save_due(mb_training_t *trainer, uint32_t votes)
{
    mb_saves_t *saves = trainer->saves;
    bool due = saves->put_off || (votes & MB_VOTE_STOP) != 0 ||
               mb_training_is_due(trainer, &trainer->cadence, trainer->state.step);
    bool asked = (votes & MB_VOTE_CHECKPOINT) != 0;
    saves->put_off = !due && asked && saves->snapshot != NULL && !trainer->finished;
    return due || (asked && !saves->put_off);
}

/* ---- the end of one */

static void forget(mb_saves_t *saves)
{
    mb_state_end(saves->saving);
    free(saves->path);
    saves->saving = NULL;
    saves->path = NULL;
}

void mb_training_drop_saves(mb_training_t *trainer)
{
    mb_saves_t *saves = trainer->saves;
    if (saves == NULL)
        return;
    if (saves->saving != NULL)
        mb_state_cancel(saves->saving);
    mb_background_join(saves->task);
    forget(saves);
    mb_snapshot_destroy(saves->snapshot);
    mb_stencil_destroy(saves->stencil);
    free(saves);
    trainer->saves = NULL;
}

mb_status_t mb_training_forgive(mb_training_t *trainer, mb_status_t status, int64_t step)
{
    const mb_save_times_t failed = {.failed = 1};
    if (status != MB_ERR_IO || !trainer->saves->goes_on)
        return status;
    if (mb_comm_rank(trainer->comm) == 0)
        mb_log(
            trainer->options.log, MB_LOG_WARNING,
            "the checkpoint of step %lld was not written: %s. The run goes on, and can be resumed "
            "from the checkpoint before; the next one is tried when it is due",
            (long long)step, mb_error_get());
    mb_training_count_save(trainer, &failed);
    trainer->saved_step = -1;
    return MB_OK;
}

mb_status_t mb_training_forgive_line(mb_training_t *trainer, mb_status_t status)
{
    mb_saves_t *saves = trainer->saves;
    if (status != MB_ERR_IO || !saves->goes_on)
        return status;
    if (!saves->told_lines)
        mb_log(trainer->options.log, MB_LOG_WARNING,
               "%s. The run goes on, and lines of metrics are lost; this is said once",
               mb_error_get());
    saves->told_lines = true;
    return MB_OK;
}

bool mb_training_forgives(const mb_training_t *trainer)
{
    return trainer->saves->goes_on;
}

/* Collective, with this rank's part done or given up: what all say of theirs. */
static mb_status_t agree_on_end(mb_training_t *trainer)
{
    mb_saves_t *saves = trainer->saves;
    mb_status_t status = mb_background_join(saves->task);
    saves->task = NULL;
    if (status == MB_ERR_STOPPED)
        status = MB_OK; /* by another rank's failure, which is the one to tell */
    return mb_comm_agree(trainer->comm, status);
}

static mb_status_t give_up(mb_training_t *trainer)
{
    mb_saves_t *saves = trainer->saves;
    mb_state_cancel(saves->saving);
    mb_status_t status = agree_on_end(trainer);
    forget(saves);
    return mb_training_forgive(trainer, status, saves->step);
}

static void tell_end(mb_training_t *trainer)
{
    mb_saves_t *saves = trainer->saves;
    const mb_save_times_t one = {.count = 1,
                                 .bytes = saves->bytes,
                                 .copy = mb_state_copy_seconds(saves->saving),
                                 .total = saves->busy};
    mb_training_count_save(trainer, &one);
    if (mb_comm_rank(trainer->comm) == 0 && trainer->options.events.saved != NULL)
        trainer->options.events.saved(trainer->options.events.user, saves->path);
    forget(saves);
}

/* ---- phases */

static mb_status_t begin_commit(mb_training_t *trainer)
{
    mb_saves_t *saves = trainer->saves;
    MB_TRY(mb_state_gather(saves->saving));
    saves->phase = COMMITTING;
    return mb_comm_rank(trainer->comm) == 0 ? mb_background_start(commit, trainer, &saves->task)
                                            : MB_OK;
}

uint32_t mb_training_save_votes(const mb_training_t *trainer)
{
    const mb_background_t *task = trainer->saves->task;
    uint32_t ends = trainer->saves->failure == MB_OK ? 0 : MB_VOTE_END;
    if (task == NULL)
        return ends;
    if (!mb_background_done(task))
        return ends | MB_VOTE_SAVING;
    return ends | (mb_background_status(task) == MB_OK ? 0 : MB_VOTE_SAVE_FAILED);
}

mb_status_t mb_training_follow_save(mb_training_t *trainer, uint32_t votes)
{
    mb_saves_t *saves = trainer->saves;
    if (saves->saving == NULL || (votes & (MB_VOTE_SAVING | MB_VOTE_SAVE_FAILED)) == MB_VOTE_SAVING)
        return MB_OK;
    int before = mb_account_begin(trainer->account, MB_ACTIVITY_CHECKPOINT);
    mb_status_t status = MB_OK;
    if (votes & MB_VOTE_SAVE_FAILED)
        status = give_up(trainer);
    else if (saves->phase == PUTTING) {
        mb_background_join(saves->task);
        saves->task = NULL;
        status = begin_commit(trainer);
    } else {
        mb_background_join(saves->task);
        saves->task = NULL;
        tell_end(trainer);
    }
    mb_account_enter(trainer->account, before);
    return status;
}

/* Waits for this rank's part, then for what all say. */
static mb_status_t finish_phase(mb_training_t *trainer)
{
    mb_saves_t *saves = trainer->saves;
    if (saves->task != NULL)
        MB_TRY(wait_for_own(trainer, is_done, "waiting for the checkpoint before"));
    return agree_on_end(trainer);
}

mb_status_t mb_training_settle_save(mb_training_t *trainer)
{
    mb_saves_t *saves = trainer->saves;
    if (saves->saving == NULL)
        return MB_OK;
    mb_comm_doing(trainer->comm, "waiting for a checkpoint to be on disk");
    mb_state_hurry(saves->saving);
    mb_status_t status = finish_phase(trainer);
    if (status == MB_OK && saves->phase == PUTTING) {
        MB_TRY(begin_commit(trainer));
        status = finish_phase(trainer);
    }
    if (status == MB_OK)
        tell_end(trainer);
    else
        forget(saves);
    return mb_training_forgive(trainer, status, saves->step);
}

bool mb_training_is_saving(const mb_training_t *trainer)
{
    return trainer->saves->saving != NULL;
}

mb_status_t mb_training_fail_later(mb_training_t *trainer, mb_status_t status)
{
    mb_saves_t *saves = trainer->saves;
    if (status == MB_OK || saves->failure != MB_OK)
        return MB_OK;
    if (saves->saving == NULL)
        return status;
    saves->failure = status;
    mb_error_keep(&saves->failure_message);
    return MB_OK;
}

mb_status_t mb_training_kept_failure(const mb_training_t *trainer)
{
    const mb_saves_t *saves = trainer->saves;
    if (saves->failure != MB_OK)
        mb_error_restore(&saves->failure_message);
    return saves->failure;
}

mb_status_t mb_training_end_failing(mb_training_t *trainer, mb_status_t status)
{
    mb_error_message_t kept;
    mb_status_t earlier = mb_training_kept_failure(trainer);
    status = mb_comm_agree(trainer->comm, earlier != MB_OK ? earlier : status);
    if (status == MB_OK)
        return MB_OK;
    mb_training_kept_failure(trainer); /* in its own words, not those of where it was told */
    mb_error_keep(&kept);
    mb_training_settle_save(trainer);
    mb_error_restore(&kept);
    mb_comm_agree(trainer->comm, status); /* known to all, and told by none again */
    mb_error_restore(&kept);
    return status;
}

/* The one before is written to its end first: they do not pile up. */
mb_status_t mb_training_wait_for_previous(mb_training_t *trainer)
{
    mb_saves_t *saves = trainer->saves;
    double begun = mb_time_seconds();
    MB_TRY(mb_training_settle_save(trainer));
    double waited = mb_time_seconds() - begun;
    if (waited < LONG_WAIT || saves->told || mb_comm_rank(trainer->comm) != 0)
        return MB_OK;
    saves->told = true;
    mb_log(
        trainer->options.log, MB_LOG_INFO,
        "step %lld waited %.1f s for the checkpoint before it to be on disk: checkpoints are due "
        "faster than they are written (--checkpoint-every); this is said once",
        (long long)trainer->state.step, waited);
    return MB_OK;
}

mb_status_t mb_training_begin_save(mb_training_t *trainer, const mb_state_t *state, double interval,
                                   char *path)
{
    mb_saves_t *saves = trainer->saves;
    double begun = mb_time_seconds();
    mb_status_t status = mb_state_begin(state, path, saves->snapshot, &saves->saving);
    if (status != MB_OK) {
        free(path);
        return status;
    }
    mb_state_pace(saves->saving, interval / 2);
    saves->path = path;
    saves->phase = PUTTING;
    saves->busy = mb_time_seconds() - begun;
    saves->bytes = mb_state_bytes(state);
    saves->step = trainer->state.step;
    saves->best = trainer->state.best_step > 0 ? trainer->state.best_step : -1;
    return mb_background_start(put, trainer, &saves->task);
}
