/* Writing model files: layout by one rank, bytes by all, then the commit.
 *
 *     rank 0   create PATH.tmp-<nonce> with HDF5 (every object; early allocation, no fill,
 * contiguous), close it, reserve its space             -> offsets of all tensors to everyone all
 * write own byte ranges, checksum, fsync rank 0   the seal by one write, fsync, rename to PATH,
 * fsync of the directory
 *

 * Where an encoded tensor's parts lie:
 *
 *     float formats       /model_weights/<layer>/<name> with a float type of HDF5 that decodes to
 it
 *     rounded             the same, float32, one chunk, shuffled and deflated
 *     formats with scales /quantized/<name>/{q,scale,zero,row_scale}; weight_names of the layer
 still
 *                         lists the name, so that the order of weights is known and a plain loader
 fails
 *                         instead of reading unscaled codes
 *     moments with scales /quantized/optimizer/<slot>/<path>/{q,scale}
 *     states of layers    /mbrun/states/<layer path>/<number>
 *
 * q has the matrix's shape [rows, columns] (4-bit: uint8 [rows, ceil(columns / 2)]), scale that of
 ONNX
 * QuantizeLinear. Attributes of the dataset (float formats) or of q: format, shape, method, rmse,
 * max_abs_err, max_rel_err, sqnr_db, crc32c; of q also block_rows, block_columns, bits, signed.
 *
 * A file that has its final name is complete: its seal holds. On any failure the temporary file
 * is removed and every rank returns the same error. */
#ifndef MB_STORE_CHECKPOINT_H
#define MB_STORE_CHECKPOINT_H

#include "comm/comm.h"
#include "quant/encode.h"
#include "store/io_options.h"
#include "store/model_file.h"
#include "store/report.h"

typedef struct {
    const char *name; /* weight name: "dense/kernel" */
    mb_shape_t shape;
    const mb_encoding_t *encoding; /* NULL: float32. The same on all ranks */
    bool codes_only; /* int8:channel without its scales: int8 at the weight's own place */
} mb_tensor_spec_t;

typedef struct {
    const char *name; /* layer name: a group of /model_weights with a weight_names attribute */
    int n_weights;
    const int *weights; /* indices into tensors */
} mb_layer_spec_t;

/* The file that rank 0 laid out last, in memory: where the next one has the same objects, only the
 * numbers of /mbrun/state are written anew (checkpoint_stencil.c). */
typedef struct mb_stencil mb_stencil_t;
mb_stencil_t *mb_stencil_create(void); /* NULL: no memory */
void mb_stencil_destroy(mb_stencil_t *stencil);

typedef struct {
    const char *model_config, *training_config; /* text; NULL: weights alone; not compiled */
    const char *keras_version;                  /* NULL: a current one ("3.8.0") */
    const char *backend;                        /* NULL: "torch" */
    int n_layers;
    const mb_layer_spec_t *layers;
    int n_weights; /* tensors 0 .. n_weights - 1 are the model's weights, in parameter order */
    int n_moments; /* the next n_moments are moments: name "<slot>/<weight path>" */
    int n_states;  /* the next n_states are what layers keep from batch to batch: name "<layer
                      path>/0",  a row for each of the batch */
    const mb_tensor_spec_t *tensors;
    bool keras_optimizer; /* moments go to /optimizer_weights in Keras' names and order instead of
                             /mbrun/optimizer */
    const char *optimizer_name; /* "adam": for Keras' names */
    double learning_rate; /* Keras' optimizer_weights/<name>/learning_rate; NaN: a schedule, none */
    const char *keras_scalar; /* a number behind all moments of optimizer_weights; NULL: none */
    double keras_scalar_value;
    int n_settings;
    const mb_setting_t *settings; /* /mbrun/run; none when exporting */
    mb_run_state_t state;         /* present: /mbrun/state is written */
    const mb_report_t *report;    /* /mbrun/report; NULL: none */
    mb_io_options_t *io;          /* how ranks write it; NULL: each by itself */
    int64_t align;         /* tensors' data stands apart: mb_h5_image_spread. 0: it does not */
    const char *quantized; /* the root attribute mbrun_quantized: the format in words; NULL: none */
    mb_stencil_t *stencil; /* NULL: every file is laid out anew */
    mb_status_t (*may_commit)(void *user); /* asked on rank 0 when all is written, before the file
                                              gets its name: mb_run_dir_check; may be NULL */
    void *may_commit_user;
} mb_checkpoint_layout_t;

/* A piece of a tensor's bytes that this rank writes: host memory, valid until the call returns. Of
 * an encoded tensor one rank writes every part whole, from `encoded`; first, count and values are
 * not looked at. */
typedef struct {
    int tensor;
    int64_t first; /* element */
    int64_t count; /* elements */
    const float *values;
    const mb_encoded_t *encoded;
} mb_piece_t;

/* Lays out what a file of LAYOUT has into its stencil, so that the first one is not waited for
 * either. Rank 0; without memory for it nothing is done. */
void mb_checkpoint_foresee(const mb_checkpoint_layout_t *layout);

/* Collective over COMM (NULL: one process alone). Every element of every tensor must be in exactly
 * one rank's piece. LAYOUT is the same on all ranks (only rank 0's is used for texts). An existing
 * file at PATH is replaced atomically. */
mb_status_t mb_checkpoint_write(mb_comm_t *comm, const char *path,
                                const mb_checkpoint_layout_t *layout, const mb_piece_t *pieces,
                                int n_pieces);

/* The same in parts, of which the two long ones may run on another thread beside the caller's:
 *
 *     begin    collective: the file is laid out, and every rank has it open
 *     put      this rank's bytes, on disk. Any thread: neither HDF5 nor MPI is entered; but with
 *              MPI-IO it is collective
 *     gather   collective, when all have put theirs: rank 0 gets the checksums
 *     commit   rank 0: the seal, on disk, and the name. Any thread, as above
 *     end      frees; without a commit before, the file is gone. Not collective
 *
 * What BEGIN is given lives until the end. A failure is the rank's own, except that of begin and
 * gather. */
typedef struct mb_checkpoint_file mb_checkpoint_file_t;
mb_status_t mb_checkpoint_begin(mb_comm_t *comm, const char *path,
                                const mb_checkpoint_layout_t *layout, const mb_piece_t *pieces,
                                int n_pieces, mb_checkpoint_file_t **out);
mb_status_t mb_checkpoint_put(mb_checkpoint_file_t *file);
/* From another thread: put gives up soon, with MB_ERR_STOPPED. */
void mb_checkpoint_cancel(mb_checkpoint_file_t *file);
/* Before put: it rests between its parts, so that what computes beside it loses little at a time.
 * It takes no longer than SECONDS by that. Hurry, from another thread: from now on it does not
 * rest. */
void mb_checkpoint_pace(mb_checkpoint_file_t *file, double seconds);
void mb_checkpoint_hurry(mb_checkpoint_file_t *file);
/* Behind put: seconds that it rested. */
double mb_checkpoint_rested(const mb_checkpoint_file_t *file);
mb_status_t mb_checkpoint_gather(mb_checkpoint_file_t *file);
mb_status_t mb_checkpoint_commit(mb_checkpoint_file_t *file);
void mb_checkpoint_end(mb_checkpoint_file_t *file); /* NULL: nothing */

#endif
