/* What a training run shows on rank 0: a start report, steps, validation, checkpoints, the end.
 *
 * Every line goes to the run's log.txt; to stderr as text, or to stdout as JSON objects, or nowhere
 * else (quiet). On a terminal a live line stands in for the lines of steps. */
#ifndef MB_CLI_PROGRESS_H
#define MB_CLI_PROGRESS_H

#include <jansson.h>
#include <stdio.h>
#include "train/trainer.h"

/* The metrics that a report had, for the end, when the report is gone. */
typedef struct {
    char text[512]; /* ", mean_absolute_error 0.25" */
    json_t *json;   /* NULL: there was none */
} mb_told_t;

typedef struct {
    const char *name; /* of the model, in front of each line; NULL: there is only one */
    bool json, quiet, live;
    bool live_shown;
    FILE *log; /* RUN/log.txt; NULL when it cannot be written */
    char *log_path;
    bool finished;               /* there was nothing left to do */
    double shown, logged, saved; /* when the live line, a step's line, a save was last told of */
    int64_t first_step;
    int64_t tokens; /* in a sample */
    int64_t epochs;
    double begun;
    mb_step_report_t last; /* step == 0: none yet */
    double val_loss, val_accuracy;
    mb_told_t metrics, val_metrics; /* of the last step that has a line, of the last validation */
} mb_progress_t;

/* NAME: of one of several models (NULL: the only one); their lines are steps', not live. */
void mb_progress_begin(mb_progress_t *progress, const char *name, bool json, bool quiet);
/* The events of mb_training_options_t, with a progress as their user. */
void mb_progress_start(void *progress, const mb_start_report_t *report);
void mb_progress_step(void *progress, const mb_step_report_t *report);
void mb_progress_evaluated(void *progress, const mb_eval_report_t *report);
void mb_progress_saved(void *progress, const char *path);
void mb_progress_profiled(void *progress, const mb_time_report_t *report);
void mb_progress_straggler(void *progress, const mb_straggler_report_t *report);
/* A line made elsewhere (a warning, an error) that belongs into the log. */
void mb_progress_write(void *progress, const char *line);
/* Makes room for such a line on the terminal. */
void mb_progress_clear(mb_progress_t *progress);
/* The end of a run that STATUS ended: results, or how to go on. */
void mb_progress_end(mb_progress_t *progress, mb_status_t status, const char *directory);

#endif
