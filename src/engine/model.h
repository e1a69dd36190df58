/* A model as its file describes it: graph, losses, and the way from stored tensors to parameters.
 */
#ifndef MB_ENGINE_MODEL_H
#define MB_ENGINE_MODEL_H

#include "base/log.h"
#include "data/source.h"
#include "engine/class_weights.h"
#include "engine/engine.h"
#include "engine/model_weights.h"
#include "model/loss.h"
#include "store/model_file.h"

typedef struct mb_model {
    mb_model_file_t *file;
    bool borrows_file; /* which stays its owner's */
    mb_graph_t *graph;
    json_t *training;                 /* parsed training_config; NULL: not compiled */
    mb_loss_t *losses;                /* after mb_model_compile */
    mb_class_weights_t class_weights; /* of the only output, in training */
    mb_model_file_t *weights; /* where values are read: `file`, or a checkpoint of the same model */
    const mb_stored_tensor_t **stored; /* [n_params] where each parameter's values are */
    const mb_model_file_t **sources;   /* [n_params] in which file: `weights`, or `other` */
    mb_model_file_t *other;   /* that weights were taken from (model_weights.h); NULL: none. The
                                 model's own */
    struct mb_model_own *own; /* what a program builds or sets of it (api/model_own.h), which the
                                 library frees; NULL: nothing */
    bool keep_stored; /* set before binding: encoded matrices stay encoded in memory. Otherwise
                         every parameter is float32 there */
} mb_model_t;

/* What a model is opened for. Training refuses a quantized file, and says what to do; the others
 * keep encoded matrices as they are. */
typedef enum { MB_MODEL_TRAINS, MB_MODEL_EVALUATES, MB_MODEL_PREDICTS } mb_model_purpose_t;

/* Reads model and weights' places. Not collective. */
mb_status_t mb_model_open(const char *path, mb_model_t **out);
/* The same of an open file, which stays the caller's. */
mb_status_t mb_model_open_file(mb_model_file_t *file, mb_model_t **out);
void mb_model_close(mb_model_t *model);

/* MB_ERR_ARGUMENT, with what to do, when the file's weights were quantized. */
mb_status_t mb_model_refuse_quantized(const mb_model_file_t *file);

/* What the model asks of its data; the arrays are the graph's. outputs: false for prediction. */
mb_source_wants_t mb_model_wants(const mb_model_t *model, mb_shape_t shapes[MB_MAX_INPUTS]);
/* Fixes open dimensions from the source's samples, then matches every parameter with its stored
 * tensor: MB_ERR_SHAPE names file, tensor and both shapes. source NULL: nothing may be open. */
mb_status_t mb_model_bind(mb_model_t *model, const mb_source_t *source);
/* The same where nothing says what an open dimension is: weights do not depend on it. */
mb_status_t mb_model_bind_without_data(mb_model_t *model);
/* Makes STORED, a tensor of FILE, the values of a parameter. */
mb_status_t mb_model_take_stored(mb_model_t *model, mb_param_t *param, const mb_model_file_t *file,
                                 const mb_stored_tensor_t *stored);
/* Before binding. TEXT: fp32, tf32 (to layers the same), bf16 or fp16; NULL: each layer computes in
 * what its policy says. */
mb_status_t mb_model_compute_in(mb_model_t *model, const char *text);
/* Losses from training_config, or LOSS for an uncompiled model (may be NULL). */
mb_status_t mb_model_compile(mb_model_t *model, const char *loss);

/* After compiling, for each source that will be fed: what weights its samples have. MB_ERR_SHAPE,
 * MB_ERR_UNSUPPORTED where they are none for an output's loss. */
mb_status_t mb_model_weigh(mb_model_t *model, const mb_source_t *source);
/* "0=1,1=5" for training on SOURCE; NULL: none. MB_ERR_UNSUPPORTED as Keras: beside sample weights,
 * and for several outputs. */
mb_status_t mb_model_weigh_classes(mb_model_t *model, const char *text, const mb_source_t *source);
/* The source's field with the sample weights of an output; -1 if there is none. */
int mb_model_weights_field(const mb_model_t *model, const mb_source_t *source, int output);
/* Where layers keep states from batch to batch: MB_ERR_DATA unless the source's samples are whole
 * batches, and MB_ERR_ARGUMENT unless BATCH is the model's own. */
mb_status_t mb_model_check_batches(const mb_model_t *model, const mb_source_t *source);
mb_status_t mb_model_check_batch(const mb_model_t *model, int64_t batch);
/* Of all outputs: see mb_loss_check_micro. */
mb_status_t mb_model_check_micro(const mb_model_t *model, int64_t batch, int64_t micro_batch);

/* Takes the weights from another file of the same model (a checkpoint), which must stay open. */
mb_status_t mb_model_use_weights(mb_model_t *model, mb_model_file_t *file);

/* Reads the values of the parameters that live on the engine's stage, encoded ones as they are
 * stored. Takes no more memory than a few MiB beside the device's. Not collective. */
mb_status_t mb_model_load_values(const mb_model_t *model, mb_engine_t *engine);

/* The words that integers of its training data stood for, as its run recorded them: data that the
 * model is used on must have the same. *present: there is such a record. The caller frees. */
mb_status_t mb_model_words(const mb_model_file_t *file, mb_vocabularies_t *words, bool *present);
#define MB_MODEL_WORDS "record.vocabulary" /* its key in /mbrun/run */

typedef struct {
    const char *path;
    const char *label; /* a table's column of targets; NULL: found by name */
    bool label_given;  /* for this data: what is no table is then refused */
} mb_model_data_t;

/* A model to be opened with its data. */
typedef struct {
    const char *path;
    mb_model_data_t data;
    const char *dtype;                   /* see mb_model_compute_in; NULL: as the model says */
    const mb_weights_request_t *weights; /* NULL: those of the model's own file */
    const mb_log_t *log;                 /* told what was taken of the other weights */
    mb_model_purpose_t purpose;
} mb_model_request_t;

/* Collective: MB_OK everywhere or the lowest failing rank's error everywhere. Opens the model and
 * its data on every rank. */
mb_status_t mb_model_open_with_data(mb_comm_t *comm, const mb_model_request_t *request,
                                    mb_model_t **model, mb_source_t **source);

#endif
