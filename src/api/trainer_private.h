/* The inside of a public trainer, shared by its files. */
#ifndef MB_API_TRAINER_PRIVATE_H
#define MB_API_TRAINER_PRIVATE_H

#include <signal.h>

#include "api/metrics.h"
#include "api/reservoir.h"
#include "api/settings.h"
#include "api/submitted.h"
#include "train/trainer.h"

typedef struct {
    int stages, groups, replicas, idle;
    int64_t parameters, samples, micro_batch;
} mb_layout_numbers_t;

typedef struct {
    mb_step_report_t last;
    double val_loss, val_accuracy;
    int n_metrics, n_val_metrics; /* rank 0's */
} mb_trainer_numbers_t;

typedef struct {
    mb_evaluation_callback_t evaluated;
    mb_save_callback_t saved;
    void *evaluated_user, *saved_user;
} mb_trainer_callbacks_t;

enum { MB_PACE_STEPS = 7 };

typedef struct {                   /* of mb_trainer_run_for */
    double share;                  /* of the time between calls; 0: all of it */
    double ended;                  /* the last call; 0: there was none */
    double credit;                 /* seconds that training may take, by its share */
    double spent;                  /* since the last call, on samples that were taken in */
    int64_t n;                     /* steps that were measured */
    double seconds[MB_PACE_STEPS]; /* of the last ones */
    void *said;                    /* by all ranks; NULL before it is needed */
} mb_pace_t;

struct mb_trainer {
    mb_context_t *context;
    char *path;
    mb_settings_t *settings;
    mb_api_arrays_t arrays;
    mb_api_samples_t samples;  /* of this rank's own, or of what the reservoir keeps here */
    mb_reservoir_t *reservoir; /* NULL: none */
    mb_source_t *source;       /* of these; NULL before the start, and with data from a file */
    char *ranks;               /* of the context that compute; NULL: all */
    mb_comm_t *apart;          /* theirs, where not all do or samples move; NULL: the context's */
    bool absent;               /* started, and this rank does not compute */
    bool bereft;               /* its samples were let go, and no others came */
    mb_training_t *training;   /* NULL before the start, and where this rank does not compute */
    mb_step_callback_t callback;
    void *user;
    volatile sig_atomic_t stop;
    mb_trainer_callbacks_t others;
    mb_layout_numbers_t layout;
    mb_trainer_numbers_t numbers;
    mb_api_metrics_t metrics, val_metrics;
    mb_pace_t pace;
    mb_submitted_t *submitted; /* NULL: no steps are under way */
};

/* trainer.c */
mb_status_t mb_api_trainer_before_start(const mb_trainer_t *trainer, const char *function);
/* Collective. */
mb_status_t mb_api_trainer_start_if_needed(mb_trainer_t *trainer);
/* One step, or nothing where the totals are reached. */
mb_status_t mb_api_trainer_step(mb_trainer_t *trainer);
/* Rank 0's numbers everywhere, so that a program may branch on them. */
mb_status_t mb_api_trainer_share(mb_trainer_t *trainer);

/* trainer_samples.c: who computes, and on what. */
/* Where those that compute meet, once the trainer has started. */
mb_comm_t *mb_api_trainer_comm(const mb_trainer_t *trainer);
bool mb_api_trainer_has_started(const mb_trainer_t *trainer);
/* The setting `ranks`. */
mb_status_t mb_api_trainer_set_ranks(mb_trainer_t *trainer, const char *value);
/* The lowest of the ranks that compute; IN: whether this one does. */
int mb_api_trainer_first(const mb_trainer_t *trainer, bool *in);
/* Collective over the context: ranks give the same, and those that compute come together with all
 * that ranks hold. */
mb_status_t mb_api_trainer_come_together(mb_trainer_t *trainer);
/* As before the start. */
void mb_api_trainer_go_apart(mb_trainer_t *trainer);

#endif
