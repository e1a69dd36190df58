/* The inside of a trainer, shared by its files. */
#ifndef MB_TRAIN_TRAINER_PRIVATE_H
#define MB_TRAIN_TRAINER_PRIVATE_H

#include "comm/vote.h"
#include "engine/feed.h"
#include "store/run_dir.h"
#include "train/callbacks.h"
#include "train/check.h"
#include "train/culprit.h"
#include "train/evaluate.h"
#include "train/footprint.h"
#include "train/kept_states.h"
#include "train/layout.h"
#include "train/local_tier.h"
#include "train/state.h"
#include "train/stragglers.h"
#include "train/time_limit.h"
#include "train/trainer.h"

/* A metric as callbacks see it. */
typedef struct {
    char name[MB_MONITOR_NAME];
    double value;
} mb_log_entry_t;

enum { MB_MOST_METRICS = 32 };

/* What is watched (trainer_callbacks.c). */
typedef struct {
    bool any;
    int n_metrics; /* rank 0: asked for by the model, over the epoch that ended last */
    mb_log_entry_t metrics[MB_MOST_METRICS];
    mb_monitor_t stop, plateau, best;
    bool told; /* of a loss that is not finite, and ends no run */
} mb_callbacks_t;

/* What numbers that are not finite do (trainer_guard.c). */
typedef struct {
    bool on;             /* each step is judged before its update */
    bool skips, goes_on; /* instead of ending the run */
    bool left_out;       /* the last step was */
    int in_a_row;
    mb_culprit_t culprit; /* of the last step that was left out */
} mb_guard_t;

/* LOCAL: a local checkpoint is due. SAVING, SAVE_FAILED: of a rank's part of a checkpoint that is
 * written beside the steps. END: the run has failed (mb_training_fail_later). */
enum {
    MB_VOTE_STOP = 1,
    MB_VOTE_CHECKPOINT = 2,
    MB_VOTE_LOCAL = 4,
    MB_VOTE_SAVING = 8,
    MB_VOTE_SAVE_FAILED = 16,
    MB_VOTE_END = 32
};
enum { MB_MAX_NOTES = 8, MB_NOTE_TEXT = 768 };

typedef struct mb_saves mb_saves_t;

struct mb_training {
    mb_training_options_t options;
    mb_comm_t *comm;
    mb_arena_t *arena;
    mb_settings_t *settings;
    mb_machine_t *machine;
    mb_model_t *model;
    mb_optimizer_t *optimizer;
    char *training_config; /* as it is written */
    mb_format_t final_format, round_to;
    bool trains_rounded; /* QAT: through weights in the format round_to */
    bool moments_in_8_bits;
    bool resets_states; /* when an epoch begins */

    mb_source_t *whole, *data, *val; /* data and val are slices of whole with --val-split */
    bool owns_whole;

    mb_run_dir_t *dir;
    mb_metrics_log_t *metrics; /* rank 0 */
    mb_local_tier_t *local;    /* NULL: no local checkpoints */
    mb_model_file_t *resume;   /* the checkpoint gone on from; NULL: a fresh start */
    bool finished;
    int64_t final_step; /* of final.h5; -1: there is none */

    mb_account_t *account; /* of this rank's time; NULL: nobody asks */
    mb_layout_t layout;
    int64_t resident_before; /* bytes of this process in front of the engine's */
    mb_sampler_t sampler;
    int64_t steps_per_epoch, total_steps;
    mb_engine_t *engine;
    mb_score_t *score;
    mb_update_t *update;
    mb_check_t *check; /* NULL: nothing is */
    mb_feed_t *feed;
    mb_evaluator_t *evaluator;

    mb_run_state_t state;
    mb_setting_t *record; /* what checkpoints keep of the settings */
    int n_record;
    mb_comm_vote_t vote;
    mb_cadence_t cadence, val_cadence;
    mb_time_limit_t limit; /* rank 0 */
    mb_saves_t *saves;
    mb_io_options_t io;
    bool told_hints; /* that MPI-IO has not taken */
    mb_callbacks_t callbacks;
    mb_guard_t guard;
    mb_model_file_t *restored; /* the weights that a run ends with; NULL: its last */
    double last_save, begun, rate_since, step_begun;
    int64_t begun_step, rate_step, saved_step;
    double rate;

    mb_comm_load_t load;         /* of the steps of this start */
    mb_stragglers_t *stragglers; /* rank 0, where there are others; else NULL */
    mb_comm_load_t *loads;       /* [ranks] scratch */

    int n_notes;
    const char *notes[MB_MAX_NOTES];
};

/* trainer_setup.c */
/* From the options to a run that is ready for its first step. Collective. */
mb_status_t mb_training_set_up(mb_training_t *trainer);

/* Training and validation data of `whole`. */
mb_status_t mb_training_split_data(mb_training_t *trainer);
/* Steps of an epoch and of all, of the sampler as it is. */
void mb_training_take_totals(mb_training_t *trainer);
/* What compares bits with other ranks, if the setting `check-every` asks. */
mb_status_t mb_training_make_check(mb_training_t *trainer);

/* Writes options.training_config anew from the optimizer as it is. */
mb_status_t mb_training_make_training_config(mb_training_t *trainer);

/* trainer_account.c: where the time goes, if the setting `profile` asks. */
mb_status_t mb_training_take_account(mb_training_t *trainer);
void mb_training_drop_account(mb_training_t *trainer);
/* Of the steps so far: time.json and the event. Collective. */
mb_status_t mb_training_tell_account(mb_training_t *trainer);

/* trainer_io.c: how checkpoints are written, as settings and the file system say. Collective. */
mb_status_t mb_training_take_io(mb_training_t *trainer);
/* After a file was written: hints that had no effect, once. */
void mb_training_tell_hints(mb_training_t *trainer);

/* trainer_callbacks.c */
mb_status_t mb_training_take_callbacks(mb_training_t *trainer);
/* The loss of a step that is not finite ends the run, unless it is to go on: MB_ERR_NUMERIC. */
mb_status_t mb_training_check_loss(mb_training_t *trainer, const mb_step_report_t *report);
/* What would be saved, SNAPSHOT (NULL: from where it stands), can be gone on from, unless that is
 * not asked for: MB_ERR_NUMERIC. Collective. */
mb_status_t mb_training_check_weights(mb_training_t *trainer, const mb_snapshot_t *snapshot);
/* After the checkpoint's state was taken. */
mb_status_t mb_training_resume_callbacks(mb_training_t *trainer);
/* Rank 0: a step's metrics enter those of its epoch. */
void mb_training_count_metrics(mb_training_t *trainer, const mb_step_report_t *report,
                               int64_t samples);
/* At the end of an epoch, or behind a validation, whose REPORT rank 0 gives. Collective. */
mb_status_t mb_training_callbacks(mb_training_t *trainer, const mb_eval_report_t *report);
/* Puts the best weights into the model when a run ends. Collective. */
mb_status_t mb_training_restore_best(mb_training_t *trainer);

/* trainer_limit.c: when the run stops by itself. */
mb_status_t mb_training_take_limit(mb_training_t *trainer);
/* Rank 0: whether to stop at the next step boundary. */
bool mb_training_is_near_limit(mb_training_t *trainer);
/* Whether a cadence of steps or epochs has one after STEP steps. */
bool mb_training_is_due(const mb_training_t *trainer, const mb_cadence_t *cadence, int64_t step);
/* MB_ERR_STOPPED, and why. */
mb_status_t mb_training_say_stopped(const mb_training_t *trainer);

/* trainer_guard.c */
mb_status_t mb_training_take_guard(mb_training_t *trainer);
/* From now on steps are judged, where that is wanted. */
void mb_training_post_guard(mb_training_t *trainer);
/* In front of a step. */
mb_status_t mb_training_guard_step(mb_training_t *trainer);
/* MB_ERR_NUMERIC of STEP, from 0, with what to do about it. */
mb_status_t mb_training_not_finite(mb_training_t *trainer, int64_t step, const char *what,
                                   double rate);
void mb_training_say_left_out(const mb_training_t *trainer, mb_step_report_t *report);

/* trainer_formats.c */
/* Reads the settings checkpoint-dtype, moments and qat, and writes them in one spelling. */
mb_status_t mb_training_take_formats(mb_training_t *trainer);
/* What final.h5 and exports store matrices as. NULL: float32. */
const mb_format_t *mb_training_final_format(const mb_training_t *trainer, mb_method_t *method);
/* trainer_fit.c: collective. Makes the layout one that keeps within the setting `memory`. */
mb_status_t mb_training_fit_layout(mb_training_t *trainer);
/* trainer_profile.c: collective. What the layers take, where the run has several stages and the
 * setting `partition` wants it; else *out is NULL. */
mb_status_t mb_training_take_profile(mb_training_t *trainer, const mb_engine_options_t *options,
                                     mb_profile_t **out);
void mb_training_note_formats(mb_training_t *trainer);

/* trainer_resume.c */
/* Opens the directory, finds the newest checkpoint, and holds the settings against it. Collective.
 */
mb_status_t mb_training_open_directory(mb_training_t *trainer);
/* The recorded settings hold where the user says nothing; where he says something else it is
 * refused. */
mb_status_t mb_training_take_record(mb_training_t *trainer);
/* The settings that checkpoints keep. */
mb_status_t mb_training_make_record(mb_training_t *trainer);
/* Compares what may not change with what the checkpoint keeps. */
mb_status_t mb_training_check_record(mb_training_t *trainer);

/* trainer_save.c */
/* A step checkpoint and what goes with it; LAST: nothing comes after it, so that it is complete, or
 * has failed, when the call returns. Collective. */
mb_status_t mb_training_checkpoint(mb_training_t *trainer, bool last);
/* Before the first step: what the first checkpoint would make it wait for. Not collective. */
void mb_training_foresee_save(mb_training_t *trainer);
/* Hands the state of a step checkpoint to VISIT. Collective. */
mb_status_t mb_training_visit_state(mb_training_t *trainer, mb_state_visit_t visit, void *user);
/* The output that was asked for beside final.h5: whether it can be, and writing it. */
/* A file of the run's directory, exact; with moments and counters if WHOLE. */
mb_status_t mb_training_save_in_run(mb_training_t *trainer, const char *name, bool whole);
mb_status_t mb_training_check_output(const mb_training_t *trainer);
mb_status_t mb_training_write_output(mb_training_t *trainer);
mb_status_t mb_training_write_final(mb_training_t *trainer);
mb_status_t mb_training_write_plan(mb_training_t *trainer);
/* trace.json, where that is wanted. Collective. */
mb_status_t mb_training_write_trace(mb_training_t *trainer);
/* The same after a failure, of what each rank has; where that fails, too, a warning says so. Not
 * collective. */
void mb_training_trace_failure(mb_training_t *trainer);

/* trainer_pace.c: which ranks have become slow. Not collective. */
mb_status_t mb_training_take_pace(mb_training_t *trainer);
void mb_training_drop_pace(mb_training_t *trainer);
/* A step took SECONDS on this rank, WAITED of them for others. */
void mb_training_count_pace(mb_training_t *trainer, double seconds, double waited);
/* Between steps: tells of a rank that straggles. */
void mb_training_watch_pace(mb_training_t *trainer);
/* trainer_beside.c: checkpoints written beside the steps. */
/* The settings checkpoint-mode and on-save-error. */
mb_status_t mb_training_take_saves(mb_training_t *trainer);
/* Whether the run keeps room for a copy of its state; then takes it. */
bool mb_training_copies(const mb_training_t *trainer);
/* HAS_ROOM: the copy does not go beyond the setting `memory`, and is kept unasked. */
void mb_training_allow_copy(mb_training_t *trainer, bool has_room);
/* Collective. Where a rank has no memory for it there is none on any, which a note says. */
mb_status_t mb_training_take_snapshot(mb_training_t *trainer);
const mb_snapshot_t *mb_training_snapshot(const mb_training_t *trainer); /* NULL: none */
mb_stencil_t *mb_training_stencil(const mb_training_t *trainer);         /* of step checkpoints */
/* Waits until the checkpoint before is complete, or has failed. Collective, as are the next three.
 */
mb_status_t mb_training_settle_save(mb_training_t *trainer);
/* The same where another one is due. */
mb_status_t mb_training_wait_for_previous(mb_training_t *trainer);
/* Of STATE into PATH, which it frees; nothing is under way. INTERVAL: seconds since the one before,
 * which it should take a part of. */
mb_status_t mb_training_begin_save(mb_training_t *trainer, const mb_state_t *state, double interval,
                                   char *path);
/* Whether one is due at this boundary; what the clock asks for is put off by a step, whose update
 * can copy what it changes. */
bool mb_training_is_save_due(mb_training_t *trainer, uint32_t votes);
/* In front of an update: whether it copies what it changes, as one is due behind it. Not
 * collective.
 */
void mb_training_expect_copy(mb_training_t *trainer);
/* What VOTES, read at this boundary, say of the one under way. */
mb_status_t mb_training_follow_save(mb_training_t *trainer, uint32_t votes);
/* This rank's votes. */
uint32_t mb_training_save_votes(const mb_training_t *trainer);
/* In front of an update: until the state is copied. */
mb_status_t mb_training_await_copy(mb_training_t *trainer);
/* MB_OK for a checkpoint that could not be written where the run goes on all the same. All ranks
 * have the same STATUS. */
mb_status_t mb_training_forgive(mb_training_t *trainer, mb_status_t status, int64_t step);
/* The same for a line of metrics. Not collective. */
mb_status_t mb_training_forgive_line(mb_training_t *trainer, mb_status_t status);
/* Whether a checkpoint is under way: the same on all ranks. */
bool mb_training_is_saving(const mb_training_t *trainer);
/* A failure that all could share, of rank 0 or of all. MB_OK where a checkpoint is under way: it is
 * completed first, at a boundary where all are told of the first failure. Else STATUS. */
mb_status_t mb_training_fail_later(mb_training_t *trainer, mb_status_t status);
/* What was kept so, with its message; MB_OK: nothing. */
mb_status_t mb_training_kept_failure(const mb_training_t *trainer);
/* Collective: that failure, or STATUS, becomes all ranks', and what is under way is completed,
 * whatever comes of it. MB_OK where no rank has any. */
mb_status_t mb_training_end_failing(mb_training_t *trainer, mb_status_t status);
/* Whether failed writes do not end the run. */
bool mb_training_forgives(const mb_training_t *trainer);
/* Adds one to what mb_training_save_times tells. */
void mb_training_count_save(mb_training_t *trainer, const mb_save_times_t *one);
/* Not collective; what is under way is given up. */
void mb_training_drop_saves(mb_training_t *trainer);

/* trainer_report.c */
void mb_training_note(mb_training_t *trainer, const char *format, ...) MB_PRINTF(2, 3);
mb_status_t mb_training_report_start(mb_training_t *trainer);
/* Device memory that this rank has planned and taken. */
mb_footprint_t mb_training_bytes(const mb_training_t *trainer);
/* trainer_fit.c: what this rank takes on the layout, counted without being taken. */
mb_status_t mb_training_count(const mb_training_t *trainer, mb_footprint_t *out);
mb_status_t mb_training_report_step(mb_training_t *trainer, mb_step_report_t *report);
mb_status_t mb_training_report_eval(mb_training_t *trainer, const mb_eval_report_t *report);

#endif
