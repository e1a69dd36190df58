/* One model's training run on the ranks of a job, and what is shown of it. */
#ifndef MB_CLI_RUN_H
#define MB_CLI_RUN_H

#include "cli/command.h"
#include "cli/progress.h"
#include "comm/comm.h"
#include "train/trainer.h"

typedef struct {
    mb_comm_t *comm;
    const char *model; /* path */
    const char *name;  /* in front of its lines; NULL: it is the only one */
    const mb_settings_t *settings;
    const mb_log_t *log;
    double started;           /* by mb_time_seconds: the command */
    int saving;               /* models that save at once; 0: one */
    bool (*stop)(void *user); /* between two steps, on every rank */
    void *user;
    mb_progress_t progress;
    mb_training_t *trainer; /* NULL before it is set up */
} mb_cli_run_t;

/* With --restart and --output of the command line. Collective. */
mb_status_t mb_cli_run_set_up(mb_cli_run_t *run, const mb_args_t *args);
/* Where this rank stands in it, on stderr, after SIGUSR2. */
void mb_cli_run_say_where(mb_cli_run_t *run);
/* What rank 0 says when it has ended. Not collective. */
void mb_cli_run_say_end(mb_cli_run_t *run, mb_status_t status);

#endif
