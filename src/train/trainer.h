/* A training run: model, data, layout, steps, validation, checkpoints, resume.
 *
 * All calls are collective over the comm unless said otherwise. Nothing here prints: what happens
 * is told through events on rank 0. */
#ifndef MB_TRAIN_TRAINER_H
#define MB_TRAIN_TRAINER_H

#include "data/source.h"
#include "engine/engine.h"
#include "model/metric.h"
#include "train/layout.h"
#include "train/settings.h"
#include "train/time_limit.h"

typedef struct mb_training mb_training_t;

typedef struct { /* the layout and what it costs; strings live until the event returns */
    const char *model, *data, *run;
    const char *device;    /* rank 0's, one line */
    const char *choice;    /* why this device; NULL: nothing to say */
    const char *transport; /* how messages go between devices; NULL: nothing to say */
    int ranks, idle, stages, groups, replicas, threads;
    int64_t batch, micro_batch, micros; /* micros: per replica and step */
    const char *schedule;
    const char *optimizer;
    uint64_t seed;
    int64_t parameters, samples, steps_per_epoch, total_steps;
    int64_t tokens;       /* in a sample; 0: not a model of tokens */
    int64_t resumed_step; /* 0: a fresh start */
    const char *resumed_from;
    const char *const *notes; /* things the user should know ("batch normalization sees 32 ...") */
    int n_notes;
    /* per stage, [stages]: bytes */
    const int64_t *parameter_bytes, *gradient_bytes, *moment_bytes, *activation_bytes;
    const int64_t *copy_bytes; /* of what checkpoints are written from */
    const int64_t *host_moment_bytes, *host_activation_bytes; /* the others are the device's */
} mb_start_report_t;

typedef struct {
    int64_t step, total_steps; /* steps done, including this one */
    int64_t epoch;             /* current one, from 1 */
    int64_t step_in_epoch, steps_per_epoch;
    double loss;     /* total: outputs by weight, regularizers */
    double accuracy; /* NaN: none */
    int n_metrics;
    const mb_metric_value_t *metrics; /* asked for by the model: over the epoch so far */
    double lr;
    double loss_scale;         /* that this step was computed with; NaN: none */
    bool left_out;             /* its numbers were not finite; it has no loss and counts in none */
    int64_t steps_left_out;    /* so far */
    const char *culprit_layer; /* that made the first of these numbers; NULL: not known */
    int64_t culprit_micro, culprit_sample; /* sample -1: not one's */
    double samples_per_second;             /* over the last few seconds */
    double seconds_left;                   /* of the whole run */
} mb_step_report_t;

typedef struct {
    int64_t step, epoch;   /* epoch from 1 */
    double loss, accuracy; /* accuracy NaN: none */
    int64_t samples;
    int64_t tokens; /* in a sample; 0: not a model of tokens */
    double seconds;
    int n_outputs;
    const char *const *names;
    const double *losses, *accuracies; /* per output */
    int n_metrics;
    const mb_metric_value_t *metrics; /* asked for by the model */
} mb_eval_report_t;

/* A part of the time that steps took. */
typedef struct {
    const char *name;
    int64_t count;     /* over all ranks */
    double mean, most; /* seconds over the ranks */
    int most_rank;
    double flops, bytes; /* a second, of a rank at it; 0: not known */
} mb_time_row_t;

typedef struct { /* of either kind of part; the means add up to SECONDS */
    int ranks;
    int64_t steps;
    double seconds; /* of all steps, and what stood between them; a rank's mean */
    int n_activities, n_operations;
    const mb_time_row_t *activities, *operations;
} mb_time_report_t;

typedef struct { /* a rank that takes clearly longer for its part of a step (stragglers.h) */
    int rank, stage;
    const char *host;
    double factor;    /* times as long as before, or as the replicas of its stage */
    bool by_replicas; /* the latter */
    int64_t since_step;
    double seconds; /* since then */
    double waited;  /* part of their time that the others wait */
} mb_straggler_report_t;

typedef struct {
    void *user;
    void (*start)(void *user, const mb_start_report_t *report);
    void (*step)(void *user, const mb_step_report_t *report);
    void (*evaluated)(void *user, const mb_eval_report_t *report);
    void (*saved)(void *user, const char *path);
    void (*profiled)(void *user, const mb_time_report_t *report);
    void (*straggles)(void *user, const mb_straggler_report_t *report);
    /* Asked on every rank at every step boundary; true on any rank: checkpoint, then
     * MB_ERR_STOPPED. */
    bool (*stop)(void *user);
} mb_events_t; /* NULL entries are not called */

typedef struct {
    mb_comm_t *comm;
    const char *model;             /* path */
    const mb_settings_t *settings; /* the user's; the file's are merged in */
    mb_source_t *source; /* instead of the setting `data`; stays the caller's. NULL: by path */
    /* What ranks of one process share (comm/virtual.h); all stay the caller's. NULL: each finds its
     * own. */
    const mb_layout_t *layout;
    const mb_profile_t *profile; /* what the partition is by */
    mb_device_t *device;
    mb_model_file_t *file; /* the model's */
    const char *output; /* the final model once more, in the form its name says (export.h); NULL */
    bool restart;       /* forget the run directory's checkpoints and begin again */
    bool no_directory;  /* library use: no run directory, no checkpoints unless saved */
    double started;     /* by mb_time_seconds: what `max-time` counts from; 0: now */
    mb_time_end_t end;  /* the run stops in time before that; rank 0's */
    const mb_log_t *log;
    mb_events_t events;
} mb_training_options_t;

mb_status_t mb_training_create(const mb_training_options_t *options, mb_training_t **out);
/* Until the totals are reached (MB_OK) or a stop was asked for (MB_ERR_STOPPED after a complete
 * checkpoint). On MB_OK final.h5 is written. */
mb_status_t mb_training_run(mb_training_t *trainer);
/* One step; *done when the totals are reached. Rank 0's report; others get the same step numbers
 * and NaN. */
mb_status_t mb_training_step(mb_training_t *trainer, mb_step_report_t *report, bool *done);
/* Between steps: lets the source go, which may then be closed. */
mb_status_t mb_training_let_go(mb_training_t *trainer);
/* Goes on with another source of the same fields, weights and moments as they are: with it an epoch
 * begins, and totals count from here. Only without a run directory, after mb_training_let_go. */
mb_status_t mb_training_renew(mb_training_t *trainer, mb_source_t *source);
/* A complete model file that Keras loads, anywhere. state: with moments and counters. */
mb_status_t mb_training_save(mb_training_t *trainer, const char *path, bool state);
/* Collective: the digest of the weights that such a file has (mbrun inspect --digest), without one.
 * Rank 0's. */
mb_status_t mb_training_digest(mb_training_t *trainer, uint64_t *digest);
/* True when the run directory holds a finished run of this length: nothing to do. Not collective.
 */
bool mb_training_finished(const mb_training_t *trainer);
/* Where the run of a model lives if nothing else is set: malloc'ed; NULL when memory is exhausted.
 */
char *mb_training_default_directory(const char *model);
/* Whether its steps may be made by another thread than the one that started it, which HDF5 forbids
 * where it reads their samples. Not collective. */
bool mb_training_reads_in_any_thread(const mb_training_t *trainer);
const char *mb_training_directory(const mb_training_t *trainer);
const mb_engine_t *mb_training_engine(const mb_training_t *trainer);
/* What checkpoints of the run have taken so far, on this rank; of times the longest. */
typedef struct {
    int64_t count, failed;
    int64_t bytes;  /* of the newest one's tensors, from all ranks */
    double stopped; /* seconds that a step waited for one, of those that others follow */
    double copy;    /* seconds of copying the rank's own state */
    double total;   /* seconds of laying one out, writing it and giving it its name */
} mb_save_times_t;
mb_save_times_t mb_training_save_times(const mb_training_t *trainer);
/* Weights and moments of the model in a checkpoint, as float32. Not collective. */
int64_t mb_training_save_bytes(const mb_training_t *trainer);
/* Not collective when a failure was seen. */
void mb_training_destroy(mb_training_t *trainer);

/* mbrun eval: loss and metrics of a model file on settings' data. The report's strings live in the
 * arena given. Rank 0 gets the numbers. */
mb_status_t mb_evaluate(mb_comm_t *comm, const char *model, const mb_settings_t *settings,
                        const mb_log_t *log, mb_arena_t *arena, mb_eval_report_t *out);
/* The same on a source, which stays the caller's. */
mb_status_t mb_evaluate_source(mb_comm_t *comm, const char *model, const mb_settings_t *settings,
                               mb_source_t *source, mb_arena_t *arena, mb_eval_report_t *out);

#endif
