/* The settings of a run: one table serves the command line, the model file's /mbrun/run, the
 * library's keys and the help texts.
 *
 * A setting has a value and the place it came from; a value from a stronger place is kept:
 * default < Keras' training_config < /mbrun/run < command line (or mb_training_set). */
#ifndef MB_TRAIN_SETTINGS_H
#define MB_TRAIN_SETTINGS_H

#include "base/error.h"
#include "base/types.h"
#include "engine/model_weights.h"
#include "store/model_file.h"

typedef enum {
    MB_KIND_TEXT = 0,
    MB_KIND_COUNT, /* integer >= 1 */
    MB_KIND_SEED,  /* unsigned 64-bit */
    MB_KIND_REAL,
    MB_KIND_FRACTION, /* 0 <= x < 1, or "20%" */
    MB_KIND_CADENCE,  /* 500 (steps), 10min, 90s, 2h, 1epoch, never */
    MB_KIND_SECONDS,  /* 90s, 5min, 2h, or a plain number of seconds */
    MB_KIND_LIMIT,    /* 90s, 2h, 1h30min, or Slurm's 02:30:00, 1-12:00:00 */
    MB_KIND_BYTES,    /* 0, 512MiB, 4GiB, or a plain number of bytes */
    MB_KIND_SWITCH,   /* yes, no */
    MB_KIND_SHUFFLE   /* full, none, block:K */
} mb_setting_kind_t;

/* X(ID, key, kind, default or NULL, fixed, argument, help): fixed: may not differ when a run goes
 * on. What no run takes, but eval and predict do, comes last. */
#define MB_SETTING_LIST(X)                                                                         \
    X(DATA, "data", TEXT, NULL, true, "FILE",                                                      \
      "training data: HDF5, NPY, NPZ, CSV, TSV, IDX(.gz), a folder; a pattern or again: several")  \
    X(VAL, "val", TEXT, NULL, false, "FILE", "validation data, evaluated after each epoch")        \
    X(LABEL, "label", TEXT, NULL, true, "COLUMN",                                                  \
      "a table's column of targets: its name, or its place from 0")                                \
    X(IMAGE_CACHE, "image-cache", BYTES, NULL, false, "SIZE",                                      \
      "decoded images that each rank keeps for the next epoch: 4GiB, 0 (default: by memory)")      \
    X(VAL_SPLIT, "val-split", FRACTION, NULL, true, "F",                                           \
      "hold out the last fraction F of the data for validation")                                   \
    X(RUN, "run", TEXT, NULL, false, "DIR", "run directory (default: MODEL.run beside the model)") \
    X(EPOCHS, "epochs", COUNT, "1", false, "N", "train until N epochs are complete in total")      \
    X(STEPS, "steps", COUNT, NULL, false, "N", "train until N steps are complete in total")        \
    X(MAX_TIME, "max-time", LIMIT, NULL, false, "T",                                               \
      "stop in time for a complete checkpoint before 30min, 2h or 1-12:00:00 are over; exit 85")   \
    X(BATCH, "batch", COUNT, "32", true, "G", "samples in a global batch: one optimizer step")     \
    X(MICRO_BATCH, "micro-batch", COUNT, NULL, true, "b", "samples in a micro-batch")              \
    X(REPLICAS, "replicas", COUNT, NULL, true, "R",                                                \
      "data-parallel replicas: fixes what is computed, on any number of ranks")                    \
    X(STAGES, "stages", COUNT, NULL, false, "p", "pipeline stages (default: chosen)")              \
    X(SCHEDULE, "schedule", TEXT, "1f1b", false, "NAME",                                           \
      "order of a pipeline's work: gpipe, 1f1b, interleaved[:CHUNKS], zb-h1, zb-h2, zb-v, "        \
      "auto[:CHUNKS], file:PATH, unordered:PATH")                                                  \
    X(RECOMPUTE, "recompute", TEXT, "none", false, "HOW",                                          \
      "layers computed again in front of their backwards, to keep less: none, full, "              \
      "full:SEGMENTS (chunks in parts), auto (what "                                               \
      "--memory takes), or patterns of names: '*dropout*,block_1*'")                               \
    X(PARTITION, "partition", TEXT, "measured", false, "BY",                                       \
      "cuts between stages by what layers take on this machine (measured) or by counted "          \
      "operations and bytes (counted)")                                                            \
    X(MEMORY, "memory", TEXT, NULL, false, "SIZE",                                                 \
      "layout and schedule that keep each rank within 16G, or 60% of its memory")                  \
    X(ZERO, "zero", TEXT, "0", false, "STAGE",                                                     \
      "groups share out, each keeping a part: 1: the optimizer's state; 2: summed gradients, too " \
      "(one micro-batch a step in each group); 0: nothing")                                        \
    X(OFFLOAD, "offload", TEXT, "none", false, "WHAT",                                             \
      "host memory instead of a GPU's for activations (what micro-batches in flight keep), "       \
      "moments (the optimizer's state), activations,moments, or none")                             \
    X(BUCKET, "bucket", BYTES, "25MiB", false, "SIZE",                                             \
      "gradients summed over groups together, while others are still computed; 0: a stage's")      \
    X(SHUFFLE, "shuffle", SHUFFLE, "full", true, "HOW", "full, none, or block:K")                  \
    X(RESET_STATES, "reset-states", TEXT, "never", true, "WHEN",                                   \
      "stateful layers begin with zeros: never again, as in Keras' fit, or in each epoch")         \
    X(SEED, "seed", SEED, "0", true, "S", "seed of shuffling, dropout and initial values")         \
    X(OPTIMIZER, "optimizer", TEXT, NULL, true, "SPEC",                                            \
      "sgd, rmsprop, adam, adamw, adagrad, adadelta, adamax, nadam, ftrl, lion, lamb, "            \
      "adafactor, muon or schedulefreeadamw, with keys: adamw:weight_decay=0.01,beta_2=0.95")      \
    X(LR, "lr", REAL, NULL, true, "X", "learning rate")                                            \
    X(LR_SCHEDULE, "lr-schedule", TEXT, NULL, true, "SPEC",                                        \
      "constant, cosine:steps=N,warmup=N, exponential:steps=N,rate=X")                             \
    X(WEIGHT_DECAY, "weight-decay", REAL, NULL, true, "X", "decoupled weight decay")               \
    X(CLIP, "clip", REAL, NULL, true, "X", "clip the global norm of the gradients")                \
    X(LOSS, "loss", TEXT, NULL, true, "NAME", "loss of a model that was not compiled")             \
    X(CLASS_WEIGHT, "class-weight", TEXT, NULL, true, "C=W,...",                                   \
      "weights of classes in training: 0=1,1=5; others have 1")                                    \
    X(WEIGHTS, "weights", TEXT, NULL, false, "FILE",                                               \
      "weights to begin with: .weights.h5, .keras, or HDF5 of Keras 2 or 3")                       \
    X(WEIGHTS_BY, "weights-by", TEXT, NULL, false, "WAY",                                          \
      "how layers are paired with those of --weights: order (the default) or name")                \
    X(SKIP_MISMATCH, "skip-mismatch", SWITCH, "no", false, NULL,                                   \
      "leave out of --weights what does not fit")                                                  \
    X(CHECKPOINT_EVERY, "checkpoint-every", CADENCE, "1epoch", false, "WHEN",                      \
      "500, 10min, 1epoch or never")                                                               \
    X(LOCAL_DIR, "local-dir", TEXT, NULL, false, "DIR",                                            \
      "a fast directory of each node for checkpoints between those of the run's directory")        \
    X(LOCAL_EVERY, "local-every", CADENCE, "1min", false, "WHEN",                                  \
      "when those are written: 50 (steps), 20s or never")                                          \
    X(PARTNER, "partner", TEXT, NULL, false, "WHERE",                                              \
      "each rank's local checkpoint on the next node, too: memory (/dev/shm there), or in a "      \
      "directory")                                                                                 \
    X(VAL_EVERY, "val-every", CADENCE, "1epoch", false, "WHEN",                                    \
      "when validation data is evaluated: 2epochs, 500 (steps) or never")                          \
    X(EARLY_STOP, "early-stop", TEXT, NULL, false, "SPEC",                                         \
      "ends the run as Keras' EarlyStopping: val_loss:patience=3,min-delta=0.01,restore-best")     \
    X(PLATEAU, "reduce-lr-on-plateau", TEXT, NULL, false, "SPEC",                                  \
      "as Keras' ReduceLROnPlateau: val_loss:factor=0.5,patience=2,cooldown=1,min-lr=1e-5")        \
    X(SAVE_BEST, "save-best", TEXT, NULL, false, "SPEC",                                           \
      "best.h5 whenever a metric is the best so far: val_accuracy, or NAME:mode=max")              \
    X(ON_NAN, "on-nan", TEXT, "stop", false, "HOW",                                                \
      "a step whose loss or gradients are NaN or infinite: stop, naming where the first came "     \
      "from; skip: it is left out; or go-on")                                                      \
    X(CHECK_EVERY, "check-every", COUNT, NULL, false, "K",                                         \
      "every K steps computes a micro-batch again on other ranks, and compares bits with theirs, " \
      "and weights and gradients over groups")                                                     \
    X(CHECKPOINT_MODE, "checkpoint-mode", TEXT, "async", false, "MODE",                            \
      "async: steps go on while a checkpoint is written from a copy; sync: they wait, and there "  \
      "is no copy, as where it does not fit (into --memory, too)")                                 \
    X(ON_SAVE_ERROR, "on-save-error", TEXT, "stop", false, "HOW",                                  \
      "a checkpoint that cannot be written: stop, or continue with a warning and the one before")  \
    X(IO, "io", TEXT, "posix", false, "WAY",                                                       \
      "ranks write checkpoints each by itself (posix), or together, by MPI-IO (mpi-io): then "     \
      "steps wait for them")                                                                       \
    X(IO_HINTS, "io-hints", TEXT, NULL, false, "KEY=VALUE,...",                                    \
      "what their file system wants: align=1MiB, writers_per_node=2, striping_factor=8, "          \
      "cb_nodes=4 ... (doc/filesystems.md)")                                                       \
    X(KEEP, "keep", COUNT, "2", false, "K", "step checkpoints kept, besides the best")             \
    X(KERAS_OPTIMIZER, "keras-optimizer", SWITCH, "no", false, NULL,                               \
      "write the moments where Keras reads them")                                                  \
    X(CHECKPOINT_DTYPE, "checkpoint-dtype", TEXT, "fp32", false, "FORMAT",                         \
      "what final.h5 stores its matrices as: fp16, bf16, e3m4, int8, int4 ... (see quantize)")     \
    X(MOMENTS, "moments", TEXT, "fp32", true, "FORMAT",                                            \
      "what checkpoints store the moments as: fp32, or int8, which does not resume to the same "   \
      "bits")                                                                                      \
    X(QAT, "qat", TEXT, NULL, true, "FORMAT", "train through weights rounded to int8 or int4")     \
    X(DTYPE, "dtype", TEXT, NULL, true, "TYPE",                                                    \
      "what layers compute in: fp32, tf32, bf16 or fp16 (default: as the model's policy says)")    \
    X(EMULATE, "emulate", SWITCH, "no", true, NULL,                                                \
      "bf16 and fp16 on processors without them: the same rounding, slowly")                       \
    X(DEVICE, "device", TEXT, "auto", false, "NAME",                                               \
      "device of each rank: cpu, cuda, or auto: GPUs where every rank has one")                    \
    X(SHARE_DEVICE, "share-device", SWITCH, "no", false, NULL,                                     \
      "let ranks compute on one GPU together (for tests)")                                         \
    X(TRANSPORT, "transport", TEXT, "auto", false, "WAY",                                          \
      "messages between GPUs: nccl, mpi (CUDA-aware), staged (through the host), or auto")         \
    X(REDUCE, "reduce", TEXT, "tree", true, "HOW",                                                 \
      "sums over replicas: tree, or nccl: its own order, so that bits depend on the layout")       \
    X(THREADS, "threads", COUNT, NULL, false, "T",                                                 \
      "threads of each rank (default: its share of the cores)")                                    \
    X(BIND, "bind", TEXT, "auto", false, "HOW",                                                    \
      "auto: ranks of a node share its allowed cores; keep: obey the launcher's binding")          \
    X(DEADLINE, "deadline", SECONDS, "300", false, "WHEN",                                         \
      "longest wait for another rank before the run ends with a report")                           \
    X(TRACE, "trace", SWITCH, "no", false, NULL,                                                   \
      "trace.json in the run directory: what each rank did in the last steps")                     \
    X(PROFILE, "profile", SWITCH, "no", false, NULL,                                               \
      "where the time of the steps went, in a table at the end and time.json in the run "          \
      "directory")                                                                                 \
    X(ACTIVATIONS, "activations", TEXT, "auto", false, "HOW",                                      \
      "eval, predict: auto: 8 bits where weights are int8 and rows are many; float: never")

typedef enum {
#define MB_SETTING_ENUM(ID, key, kind, otherwise, fixed, argument, help) MB_SET_##ID,
    MB_SETTING_LIST(MB_SETTING_ENUM)
#undef MB_SETTING_ENUM
        MB_SET_COUNT
} mb_setting_id_t;
#define MB_RUN_SETTINGS MB_SET_ACTIVATIONS /* those before it are a run's */

typedef enum { MB_FROM_DEFAULT = 0, MB_FROM_KERAS, MB_FROM_FILE, MB_FROM_USER } mb_setting_origin_t;

typedef struct {
    const char *key;
    mb_setting_kind_t kind;
    const char *otherwise;
    bool fixed;
    const char *argument, *help;
} mb_setting_info_t;

typedef struct mb_settings {
    char *value[MB_SET_COUNT]; /* NULL: not set */
    mb_setting_origin_t origin[MB_SET_COUNT];
} mb_settings_t;

const mb_setting_info_t *mb_setting_info(mb_setting_id_t id);
/* -1 if there is none; *nearest (may be NULL) gets the nearest spelling or NULL. */
int mb_setting_find(const char *key, const char **nearest);

mb_status_t mb_settings_create(mb_settings_t **out);
mb_status_t mb_settings_copy(const mb_settings_t *from, mb_settings_t **out);
void mb_settings_destroy(mb_settings_t *settings);

/* Checks VALUE against the kind; keeps what a stronger origin has set. MB_ERR_ARGUMENT names the
 * key, the value and what is accepted. An unknown key gets the nearest right spelling. */
mb_status_t mb_settings_set(mb_settings_t *settings, const char *key, const char *value,
                            mb_setting_origin_t origin);
/* Keys of /mbrun/run that are facts about a run, not settings ("record.data_digest"). */
#define MB_RECORD_PREFIX "record."

/* Takes /mbrun/run of a model file (unknown keys there are refused by name). */
mb_status_t mb_settings_take_file(mb_settings_t *settings, const mb_model_file_t *file);

bool mb_settings_has(const mb_settings_t *settings, mb_setting_id_t id);
const char *mb_settings_text(const mb_settings_t *settings, mb_setting_id_t id);
int64_t mb_settings_int(const mb_settings_t *settings, mb_setting_id_t id);
uint64_t mb_settings_seed(const mb_settings_t *settings, mb_setting_id_t id);
double mb_settings_real(const mb_settings_t *settings, mb_setting_id_t id);
/* What weights, weights-by and skip-mismatch say; its texts are the settings'. */
mb_status_t mb_settings_weights(const mb_settings_t *settings, mb_weights_request_t *out);
bool mb_settings_on(const mb_settings_t *settings, mb_setting_id_t id);

typedef struct { /* at most one is positive; all zero: never */
    int64_t steps, epochs;
    double seconds;
} mb_cadence_t;
mb_cadence_t mb_settings_cadence(const mb_settings_t *settings, mb_setting_id_t id);
/* Whether a run with a directory copies its state, to write checkpoints beside the steps. IN_LIMIT:
 * the copy would stand in memory that --memory limits: then only where it is asked for. */
bool mb_settings_copy_state(const mb_settings_t *settings, bool in_limit);

#endif
