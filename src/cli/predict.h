/* Predictions of one model, alone or as one of several. */
#ifndef MB_CLI_PREDICT_H
#define MB_CLI_PREDICT_H

#include "cli/command.h"
#include "comm/comm.h"

typedef struct {
    mb_comm_t *comm;
    const mb_args_t *args;
    const char *model, *output; /* paths */
    const char *name;           /* in front of its lines; NULL: it is the only one */
    mb_settings_t *settings;    /* gets what the model file records */
    const mb_log_t *log;
} mb_prediction_t;

/* What the command line lacks, or would write over. Not collective. */
mb_status_t mb_prediction_check(const mb_prediction_t *one);
/* Collective; rank 0 prints what was done. */
mb_status_t mb_prediction_run(const mb_prediction_t *one);

/* --models: the exit code; has said what went wrong. */
int mb_predict_several(const mb_args_t *args);

#endif
