/* What Keras' callbacks decide at the end of an epoch: EarlyStopping, ReduceLROnPlateau and
 * ModelCheckpoint(save_best_only=True). Source of the rules: keras/src/callbacks of Keras 3.15.
 *
 * Rules are functions of a value and of what was seen before, which checkpoints carry, so that a
 * run that goes on decides as one that was never interrupted. Values are compared in float32, as
 * they stand in Keras' logs. */
#ifndef MB_TRAIN_CALLBACKS_H
#define MB_TRAIN_CALLBACKS_H

#include "base/error.h"
#include "store/model_file.h"

enum { MB_MONITOR_NAME = 64 };

/* A metric that is watched, and how. */
typedef struct {
    bool on;
    char metric[MB_MONITOR_NAME]; /* "val_loss", "accuracy" */
    bool rises;                   /* better is more */
    double min_delta;
    int64_t patience;         /* early stop, plateau */
    int64_t start_from_epoch; /* early stop */
    bool has_baseline;
    double baseline;
    bool restore_best;
    double factor, min_lr; /* plateau */
    int64_t cooldown;
} mb_monitor_t;

typedef enum { MB_WATCH_STOP, MB_WATCH_PLATEAU, MB_WATCH_BEST } mb_watch_t;

/* "val_loss:patience=3,min-delta=0.01,mode=min,restore-best"; Keras' defaults for what is not said.
 * A mode that does not follow from the metric's name must be. MB_ERR_ARGUMENT names KEY. */
mb_status_t mb_monitor_parse(mb_watch_t watch, const char *key, const char *text,
                             mb_monitor_t *out);

/* EPOCH from 0. *KEEP: these weights are to be kept for --restore-best; *STOP: training ends. */
void mb_stop_decide(const mb_monitor_t *monitor, double value, int64_t epoch,
                    mb_callback_state_t *state, bool *keep, bool *stop);
/* Whether the rate is lowered, and to what. */
bool mb_plateau_decide(const mb_monitor_t *monitor, double value, double *rate,
                       mb_callback_state_t *state);
/* Whether the model is the best so far. */
bool mb_best_decide(const mb_monitor_t *monitor, double value, mb_callback_state_t *state);

#endif
