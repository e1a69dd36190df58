/* See local_tier.h: opening, saving and removing. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/philox.h"
#include "base/str.h"
#include "store/io.h"
#include "train/local_private.h"

#define MEMORY "/dev/shm"

enum { IDENTITY_TEXT = 17, GENERATIONS = 3 }; /* two that stand, and one that is written */

static const char *partner_directory(const mb_training_t *trainer)
{
    const char *text = mb_settings_text(trainer->settings, MB_SET_PARTNER);
    if (text == NULL || strcmp(text, "none") == 0)
        return NULL;
    return strcmp(text, "memory") == 0 ? MEMORY : text;
}

static mb_status_t check_settings(const mb_training_t *trainer)
{
    static const mb_setting_id_t beside[] = {MB_SET_LOCAL_EVERY, MB_SET_PARTNER};
    for (size_t i = 0; i < sizeof beside / sizeof beside[0]; i++) {
        if (trainer->settings->origin[beside[i]] >= MB_FROM_FILE)
            return mb_error_set(MB_ERR_ARGUMENT,
                                "--%s is about local checkpoints, and there are none without "
                                "--local-dir DIR",
                                mb_setting_info(beside[i])->key);
    }
    return MB_OK;
}

/* The start whose sets may be taken: the last one that trained with local checkpoints, if none has
 * trained without them since. 0: there is none. */
static mb_status_t read_identity(const mb_training_t *trainer, uint64_t *last)
{
    char *text = NULL, *path = mb_run_dir_file(trainer->dir, MB_LOCAL_IDENTITY);
    *last = 0;
    if (path == NULL)
        return mb_error_memory("a path", 0);
    mb_status_t status = mb_io_read_text(path, IDENTITY_TEXT, &text);
    if (text != NULL)
        *last = strtoull(text, NULL, 16);
    free(text);
    free(path);
    return status;
}

static mb_status_t write_identity(const mb_training_t *trainer)
{
    char text[IDENTITY_TEXT + 1], *path = mb_run_dir_file(trainer->dir, MB_LOCAL_IDENTITY);
    if (path == NULL)
        return mb_error_memory("a path", 0);
    mb_status_t status = MB_OK;
    if (trainer->local == NULL)
        status = mb_io_remove(path);
    else {
        snprintf(text, sizeof text, "%016" PRIx64 "\n", trainer->local->start);
        status = mb_io_replace_text(path, text);
    }
    free(path);
    return status;
}

mb_status_t mb_training_begin_local(mb_training_t *trainer)
{
    bool writes = trainer->dir != NULL && mb_comm_rank(trainer->comm) == 0;
    return mb_comm_agree(trainer->comm, writes ? write_identity(trainer) : MB_OK);
}

typedef struct {
    uint64_t run, start, last;
} names_t;

/* A directory that was copied or moved is another run's. */
static mb_status_t agree_on_names(mb_training_t *trainer)
{
    names_t names = {0};
    mb_status_t status = MB_OK;
    if (mb_comm_rank(trainer->comm) == 0) {
        char *whole = realpath(mb_run_dir_path(trainer->dir), NULL);
        names.run = mb_hash_name(whole == NULL ? mb_run_dir_path(trainer->dir) : whole);
        names.start = mb_io_nonce();
        free(whole);
        status = read_identity(trainer, &names.last);
    }
    MB_TRY(mb_comm_agree(trainer->comm, status));
    MB_TRY(mb_comm_broadcast(trainer->comm, &names, sizeof names, 0));
    trainer->local->run = names.run;
    trainer->local->start = names.start;
    trainer->local->last_start = names.last;
    return MB_OK;
}

static mb_status_t open_folders(mb_training_t *trainer)
{
    mb_local_tier_t *tier = trainer->local;
    const char *copies = partner_directory(trainer);
    MB_TRY(mb_local_folder(mb_settings_text(trainer->settings, MB_SET_LOCAL_DIR), tier->run,
                           &tier->own));
    MB_TRY(mb_local_sweep(tier->own));
    if (copies == NULL)
        return MB_OK;
    MB_TRY(mb_local_folder(copies, tier->run, &tier->copies));
    return mb_local_sweep(tier->copies);
}

static mb_status_t pair_up(mb_local_tier_t *tier)
{
    int size = mb_comm_size(tier->comm);
    uint64_t own = mb_hash_name(mb_comm_host(tier->comm));
    uint64_t *hosts = calloc((size_t)size, sizeof *hosts);
    mb_status_t status = hosts == NULL ? mb_error_memory("the ranks' hosts", 0) : MB_OK;
    status = mb_comm_agree(tier->comm, status);
    if (status == MB_OK)
        status = mb_comm_allgather(tier->comm, &own, sizeof own, hosts);
    if (status == MB_OK)
        status = mb_comm_agree(tier->comm, mb_local_pair(tier, hosts));
    free(hosts);
    return status;
}

static void note_partners(mb_training_t *trainer)
{
    const mb_local_tier_t *tier = trainer->local;
    int size = mb_comm_size(trainer->comm);
    if (tier->copies == NULL)
        return;
    if (size == 1)
        mb_training_note(trainer, "partner: one rank has no other to give copies to");
    else if (tier->on_host == size)
        mb_training_note(trainer, "partner: all ranks are on one node, so copies of local "
                                  "checkpoints do not outlive it");
}

static mb_status_t make_tier(mb_training_t *trainer)
{
    mb_local_tier_t *tier = calloc(1, sizeof *tier);
    if (tier == NULL)
        return mb_error_memory("local checkpoints", sizeof *tier);
    *tier = (mb_local_tier_t){.comm = trainer->comm,
                              .log = trainer->options.log,
                              .partner = -1,
                              .on = true,
                              .cadence = mb_settings_cadence(trainer->settings, MB_SET_LOCAL_EVERY),
                              .last = mb_time_seconds(),
                              .saved = -1,
                              .before = -1};
    trainer->local = tier;
    return MB_OK;
}

mb_status_t mb_training_open_local(mb_training_t *trainer)
{
    if (!mb_settings_has(trainer->settings, MB_SET_LOCAL_DIR))
        return check_settings(trainer);
    MB_TRY(mb_comm_agree(trainer->comm, make_tier(trainer)));
    MB_TRY(agree_on_names(trainer));
    mb_status_t status = open_folders(trainer);
    if (status != MB_OK)
        mb_error_prefix(status, "on %s: ", mb_comm_host(trainer->comm));
    MB_TRY(mb_comm_agree(trainer->comm, status));
    MB_TRY(pair_up(trainer->local));
    note_partners(trainer);
    return MB_OK;
}

mb_status_t mb_training_refuse_local(const mb_training_t *trainer)
{
    if (!mb_settings_has(trainer->settings, MB_SET_LOCAL_DIR))
        return MB_OK;
    return mb_error_set(MB_ERR_ARGUMENT,
                        "local-dir: local checkpoints belong to a run's directory, and this run "
                        "has none");
}

uint32_t mb_training_local_votes(const mb_training_t *trainer)
{
    const mb_local_tier_t *tier = trainer->local;
    bool due = tier != NULL && tier->on && mb_comm_rank(trainer->comm) == 0 &&
               tier->cadence.seconds > 0 && mb_time_seconds() - tier->last >= tier->cadence.seconds;
    return due ? MB_VOTE_LOCAL : 0;
}

static bool is_due(const mb_training_t *trainer, uint32_t votes)
{
    const mb_local_tier_t *tier = trainer->local;
    const mb_run_state_t *state = &trainer->state;
    if (tier == NULL || !tier->on || tier->saved == state->step ||
        trainer->saved_step == state->step)
        return false;
    if (votes & MB_VOTE_LOCAL)
        return true;
    if (tier->cadence.steps > 0)
        return state->step % tier->cadence.steps == 0;
    return tier->cadence.epochs > 0 && state->step_in_epoch == 0 &&
           state->epoch % tier->cadence.epochs == 0;
}

static mb_status_t check_folder(const char *folder, double needed)
{
    int64_t space = 0;
    char wanted[32], there[32];
    MB_TRY(mb_local_space(folder, &space));
    if (needed <= (double)space)
        return MB_OK;
    return mb_error_set(MB_ERR_IO,
                        "'%s' has %s free, and two local checkpoints of the node's ranks and one "
                        "that is being written take %s; choose a larger directory",
                        folder, mb_str_bytes((double)space, there, sizeof there),
                        mb_str_bytes(needed, wanted, sizeof wanted));
}

/* Room for the generations of all ranks of this host, before the first; copies take about as much
 * as what they are of. */
static mb_status_t check_space(const mb_local_tier_t *tier, int64_t bytes)
{
    bool together = false;
    double all = (double)bytes * GENERATIONS * tier->on_host;
    if (tier->saved >= 0)
        return MB_OK;
    if (tier->n_clients > 0) {
        MB_TRY(mb_local_together(tier->own, tier->copies, &together));
        MB_TRY(check_folder(tier->copies, all));
    }
    return check_folder(tier->own, together ? 2 * all : all);
}

static mb_status_t write_own(const mb_local_tier_t *tier, const mb_local_key_t *key,
                             const mb_local_image_t *image)
{
    MB_TRY(check_space(tier, image->bytes));
    return mb_local_write(tier->own, key, image);
}

/* Not what ends the tier alone: the ranks cannot go on together. */
static bool is_fatal(mb_status_t status)
{
    return status == MB_ERR_PEER || status == MB_ERR_TIMEOUT || status == MB_ERR_INTERNAL;
}

/* The sets that stand stay: they are complete. */
static mb_status_t settle(mb_local_tier_t *tier, int64_t step, mb_status_t status)
{
    status = mb_comm_agree(tier->comm, status);
    if (is_fatal(status))
        return status;
    if (status != MB_OK) {
        tier->on = false;
        if (mb_comm_rank(tier->comm) == 0)
            mb_log(tier->log, MB_LOG_WARNING,
                   "%s; the run goes on without local checkpoints from here on", mb_error_get());
    } else {
        tier->before = tier->saved;
        tier->saved = step;
    }
    /* What cannot be removed is tried again with the next set. */
    int64_t last = tier->on ? INT64_MAX : tier->saved;
    (void)mb_local_prune(tier->own, tier->start, tier->before, last);
    if (tier->copies != NULL)
        (void)mb_local_prune(tier->copies, tier->start, tier->before, last);
    return MB_OK;
}

static mb_status_t write_set(void *user, const mb_checkpoint_layout_t *layout,
                             const mb_piece_t *pieces, int n_pieces)
{
    mb_local_tier_t *tier = user;
    int rank = mb_comm_rank(tier->comm);
    mb_local_key_t key = {.run = tier->run,
                          .start = tier->start,
                          .step = layout->state.step,
                          .rank = rank,
                          .ranks = mb_comm_size(tier->comm)};
    mb_local_image_t image;
    mb_status_t copied = MB_OK;
    mb_status_t status =
        mb_local_image_make(&key, rank == 0 ? layout : NULL, pieces, n_pieces, &image);
    mb_status_t ready = mb_comm_agree(tier->comm, status);
    if (ready != MB_OK) {
        mb_local_image_free(&image);
        return is_fatal(ready) ? ready : settle(tier, key.step, ready);
    }
    status = write_own(tier, &key, &image);
    mb_error_message_t kept;
    mb_error_keep(&kept);
    mb_status_t talked = mb_local_exchange(tier, &image, key, &copied);
    mb_local_image_free(&image);
    MB_TRY(talked);
    if (status != MB_OK)
        mb_error_restore(&kept);
    return settle(tier, key.step, status != MB_OK ? status : copied);
}

mb_status_t mb_training_local_save(mb_training_t *trainer, uint32_t votes)
{
    if (trainer->local != NULL && trainer->saved_step == trainer->state.step)
        trainer->local->last = mb_time_seconds();
    if (!is_due(trainer, votes))
        return MB_OK;
    int before = mb_account_begin(trainer->account, MB_ACTIVITY_CHECKPOINT);
    mb_comm_doing(trainer->comm, "writing a local checkpoint");
    MB_TRY(mb_training_check_weights(trainer, NULL));
    mb_status_t status = trainer->metrics == NULL ? MB_OK : mb_metrics_log_flush(trainer->metrics);
    MB_TRY(mb_comm_agree(trainer->comm, status));
    MB_TRY(mb_training_visit_state(trainer, write_set, trainer->local));
    trainer->local->last = mb_time_seconds();
    mb_account_enter(trainer->account, before);
    return MB_OK;
}

void mb_training_local_end(mb_training_t *trainer)
{
    const mb_local_tier_t *tier = trainer->local;
    if (tier == NULL)
        return;
    mb_status_t status = mb_local_remove(tier->own);
    if (status == MB_OK && tier->copies != NULL)
        status = mb_local_remove(tier->copies);
    if (status != MB_OK)
        mb_log(tier->log, MB_LOG_WARNING, "%s; the folder can be removed by hand", mb_error_get());
}

void mb_local_tier_free(mb_local_tier_t *tier)
{
    if (tier == NULL)
        return;
    free(tier->own);
    free(tier->copies);
    free(tier->clients);
    free(tier);
}
