/* Model files and checkpoints: Keras legacy HDF5 with mbrun's additions (DESIGN: Files); and, for
 * reading, Keras 3's .keras archives and .weights.h5.
 *
 * The store knows tensors by path and bytes, attributes and JSON text; nothing of graphs or
 * training.
 *
 * Reading: mb_model_file_open reads everything but tensor data. Tensor data of contiguous
 * little-endian float32, and of formats of quant/format.h, is read by pread at HDF5's offset, by
 * any thread; other storage (compressed, chunked, big-endian, float64) through HDF5 by the caller's
 * thread.
 *
 * Writing: HDF5 lays the file out on rank 0 and closes it; ranks write byte ranges at the offsets
 * HDF5 gave; then the seal. See checkpoint.h. */
#ifndef MB_STORE_MODEL_FILE_H
#define MB_STORE_MODEL_FILE_H

#include "base/arena.h"
#include "base/error.h"
#include "base/types.h"
#include "quant/encode.h"
#include "store/report.h"

/* The root attribute mbrun_format: raised when an older mbrun would misread a file. */
#define MB_MODEL_FILE_FORMAT "1"

typedef struct {
    const char *name;  /* as in weight_names: "dense/kernel", "dense/kernel:0" (Keras 2) */
    const char *group; /* HDF5 path of the dataset: "/model_weights/dense/dense/kernel:0" */
    mb_shape_t shape;
    int64_t elements;
    int64_t offset; /* of the bytes in the file when they are plain float32; else -1 */
    /* NULL unless stored in a format of quant/format.h that kernels read (not: rounded). What says
     * how, and where each part's bytes lie (-1: there is none). */
    const mb_encoding_t *encoding;
    /* The same of what is rounded and deflated, which only HDF5 reads: for checks and reports. */
    const mb_encoding_t *packed;
    int64_t part_offsets[MB_PART_COUNT];
    bool has_crc; /* the encoding's crc and loss are known: not in files that others wrote */
} mb_stored_tensor_t;

typedef struct {
    const char *name;
    int n_weights;
    mb_stored_tensor_t *weights; /* in weight_names order */
} mb_stored_layer_t;

/* A weight of a file that orders its weights by paths (variables.h), which only a model's graph can
 * tell the layers of. */
typedef struct {
    const char *path; /* "layers/dense/vars/0"; the tensor's name */
    int group_length; /* of the path without its number */
    int number;
    const char *owner; /* names of the layers it belongs to: "tower/dense_1"; NULL: not said */
    mb_stored_tensor_t tensor;
} mb_stored_variable_t;

typedef struct {
    const char *key, *value;
} mb_setting_t;

typedef enum { MB_SEAL_NONE, MB_SEAL_HOLDS, MB_SEAL_BROKEN } mb_seal_state_t;

#define MB_STATE_METRICS "/mbrun/state/metrics"
/* What the callbacks of a run have seen (train/callbacks.h). */
typedef struct {
    bool present;
    int64_t stop_seen, stop_wait, stopped;
    int64_t plateau_seen, plateau_wait, plateau_cooldown;
    int64_t best_seen;
    double stop_best, plateau_best, best_value;
    double rate; /* that the learning rate was lowered to; NaN: it was not */
    double loss_sum, accuracy_sum, samples; /* of the epoch so far */
} mb_callback_state_t;

typedef struct mb_run_state {
    bool present;
    int64_t step;          /* steps done */
    int64_t epoch;         /* epochs completed */
    int64_t step_in_epoch; /* steps done of the current one */
    double best_metric;    /* NaN: none yet */
    int64_t best_step;
    int64_t iterations;       /* of the optimizer; Keras' `iteration` may start above 0 */
    double loss_scale;        /* 0: the loss is not scaled */
    int64_t loss_scale_steps; /* since it last changed */
    int64_t skipped_steps;    /* whose gradients were not finite */
    int64_t n_metrics;        /* what metrics have summed up in an epoch that is not over */
    const double *metrics;    /* [n_metrics]; of a file that was read: as long as it is open */
    mb_callback_state_t callbacks;
    int64_t averaged; /* 1: the weights are averages over steps, not the last step's */
} mb_run_state_t;

typedef struct mb_model_file {
    char *path;
    char *model_config;    /* JSON text; NULL: the file has none (weights only) */
    char *training_config; /* NULL: not compiled */
    char *keras_version;   /* "3.15.1"; NULL when absent */
    char *backend;
    int n_layers;
    mb_stored_layer_t *layers; /* layer_names order (chunked attributes joined); none in a file of
                                  variables, until mb_model_arrange gives them */
    int n_variables;
    mb_stored_variable_t *variables;
    int n_optimizer;
    mb_stored_tensor_t
        *optimizer; /* optimizer_weights in weight_names order; scalars have rank 0 */
    int n_moments;
    mb_stored_tensor_t *moments; /* /mbrun/optimizer: name = "<slot>/<weight path>" */
    int n_states;
    mb_stored_tensor_t
        *states; /* /mbrun/states: name = "<layer path>/0", a row for each of a batch */
    int n_settings;
    mb_setting_t *settings; /* /mbrun/run attributes */
    mb_run_state_t state;
    bool from_mbrun;
    char *quantized;     /* the format in words, of a file that mbrun quantized; NULL: it was not */
    mb_report_t *report; /* NULL: none */
    mb_seal_state_t seal;
    bool archive;         /* a .keras file: its checksums are its seal */
    const char *left_out; /* what of the file is not taken, to be told; NULL: nothing */
    void *private_;       /* the open file and what backs the pointers */
} mb_model_file_t;

/* Opens and reads all but tensor data. Not collective. Errors name the file and what is wrong:
 * missing, not HDF5, truncated, no model_config (only refused when need_config), attributes of a
 * wrong type, weight_names that name no dataset, sizes beyond the file. With verify_seal the whole
 * file's checksums are checked and file->seal says the result; otherwise it says NONE or
 * (unchecked) HOLDS. */
mb_status_t mb_model_file_open(const char *path, bool need_config, bool verify_seal,
                               mb_model_file_t **out);
void mb_model_file_close(mb_model_file_t *file);
/* Reads a tensor as float32 (int32/int64/float64 scalars too), decoding encoded ones. values has
 * tensor->elements floats. */
mb_status_t mb_stored_tensor_read(const mb_model_file_t *file, const mb_stored_tensor_t *tensor,
                                  float *values);
/* Reads COUNT elements from FIRST on of a tensor that lies in the file as plain float32 (offset is
 * not -1). Any thread. */
mb_status_t mb_stored_tensor_read_some(const mb_model_file_t *file,
                                       const mb_stored_tensor_t *tensor, int64_t first,
                                       int64_t count, float *values);
/* Reads BYTES bytes at OFFSET, which counts as those of tensors do. Any thread. */
mb_status_t mb_model_file_read(const mb_model_file_t *file, void *data, size_t bytes,
                               int64_t offset);
/* Memory that lives as long as the file is open. */
mb_arena_t *mb_model_file_arena(const mb_model_file_t *file);
/* Reads one integer scalar (the optimizer's iteration). */
mb_status_t mb_stored_tensor_read_int(const mb_model_file_t *file, const mb_stored_tensor_t *tensor,
                                      int64_t *value);
/* Reads COUNT bytes of a part of an encoded tensor. Any thread. */
mb_status_t mb_stored_tensor_read_part(const mb_model_file_t *file,
                                       const mb_stored_tensor_t *tensor, mb_part_t part,
                                       int64_t first, int64_t count, void *bytes);
/* Checks the CRC-32C that an encoded tensor carries: MB_ERR_FORMAT names the tensor. */
mb_status_t mb_stored_tensor_check(const mb_model_file_t *file, const mb_stored_tensor_t *tensor);
const char *mb_model_file_setting(const mb_model_file_t *file, const char *key); /* NULL: none */

/* Digests: 64-bit, of weights (names, shapes, float32 bits, in file order), and of weights, moments
 * and step. Equal digests mean equal bits. */
typedef struct {
    uint64_t weights;
    uint64_t full; /* weights + moments + states of layers + step */
} mb_digest_t;
mb_status_t mb_model_file_digest(const mb_model_file_t *file, mb_digest_t *out);

#endif
