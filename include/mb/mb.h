/* libmb: training of Keras HDF5 models over MPI, inside a program of your own.
 *
 *     mb_context_create(MPI_COMM_WORLD, &context);
 *     mb_model_create_preset(context, "mlp", "input=2 hidden=32 classes=2", "model.h5");
 *     mb_trainer_create(context, "model.h5", &trainer);
 *     mb_trainer_set(trainer, "epochs", "10");
 *     mb_trainer_set_array(trainer, "x", MB_FLOAT32, 2, x_shape, x);
 *     mb_trainer_set_array(trainer, "y", MB_INT32, 1, y_shape, y);
 *     mb_trainer_run(trainer);
 *     mb_trainer_save(trainer, "trained.h5", 1);
 *
 * Conventions
 *
 * Every call that can fail returns an mb_status_t: MB_OK, or a negative status, and then
 * mb_error_message() tells what was wrong and what to do about it. Outputs come last and are set
 * only on success. A null pointer where something is wanted, and a call in the wrong order, are
 * MB_ERR_ARGUMENT. MB_ERR_MEMORY may come from any call.
 *
 * "Collective" means: all ranks of the context's communicator make the call, with the same
 * arguments unless the comment says otherwise. When one rank fails in it, all of them return an
 * error: the rank itself its own, the others the same one or MB_ERR_PEER with that rank's message;
 * or MB_ERR_TIMEOUT when nothing came from a rank within the deadline (300 seconds unless the
 * setting `deadline` says otherwise). After MB_ERR_PEER, MB_ERR_TIMEOUT, MB_ERR_MPI, MB_ERR_NUMERIC
 * and MB_ERR_DATA from a step the context is of no further use than to be destroyed, with what was
 * made from it.
 *
 * The library never prints, exits, aborts, forks or installs signal handlers. It uses MPI on copies
 * of the given communicator only, and leaves the program's OpenMP settings, MPI error handlers,
 * HDF5 error reporting and processor binding as they are. A write that fails (a full disk) leaves
 * no HDF5 object behind on which HDF5's exit handler would crash. MPI must have been started, with
 * MPI_THREAD_FUNNELED or more since it computes in threads; all calls for one context are made by
 * the thread that started MPI. Nothing is shared between contexts but the message of the last
 * error, which each thread has of its own.
 *
 * Text is UTF-8. Arrays are C-ordered (the last index runs fastest). */
#ifndef MB_MB_H
#define MB_MB_H

/* MPI's old C++ bindings would ask every C++ program for one more library. A program that uses them
 * includes mpi.h first. */
#ifdef __cplusplus
#ifndef OMPI_SKIP_MPICXX
#define OMPI_SKIP_MPICXX 1
#endif
#ifndef MPICH_SKIP_MPICXX
#define MPICH_SKIP_MPICXX 1
#endif
#endif
#include <mpi.h>
#include <stdint.h>

#include <mb/status.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mb_context mb_context_t;     /* the ranks that work together */
typedef struct mb_model mb_model_t;         /* a model of a file, or built layer by layer */
typedef struct mb_trainer mb_trainer_t;     /* a training run */
typedef struct mb_predictor mb_predictor_t; /* a model put to use */
typedef struct mb_quantizer mb_quantizer_t; /* a model file stored smaller */
typedef struct mb_reservoir mb_reservoir_t; /* a bounded choice of a stream of samples */
typedef struct mb_planner mb_planner_t;     /* what a run on so many ranks would do */

/* Types of an array's elements. */
typedef enum { MB_FLOAT32 = 0, MB_FLOAT64 = 1, MB_INT32 = 2, MB_INT64 = 3, MB_UINT8 = 4 } mb_type_t;

/* Where an array lies: in memory that the processor reads, or in that of a GPU. */
typedef enum { MB_HOST = 0, MB_DEVICE = 1 } mb_where_t;

/* How much a line of the log matters. */
typedef enum { MB_LEVEL_DEBUG = 0, MB_LEVEL_INFO = 1, MB_LEVEL_WARNING = 2 } mb_level_t;

/* No array has more dimensions than this, the one that counts samples not included. */
#define MB_MAX_DIMS 8

/* Errors and version */

/* The message of this thread's last failure; "" when there was none. Not collective. Valid until
 * the thread's next call of the library. */
const char *mb_error_message(void);

/* Where this thread's last failure arose: the rank in the communicator of the context, its own or
 * another; -1 where there was none, or where no rank but this one can know. Not collective. */
int mb_error_rank(void);

/* What a status means, in a few words; never NULL. Not collective. */
const char *mb_status_name(mb_status_t status);

/* The library's version, "MAJOR.MINOR.PATCH". Not collective. */
const char *mb_version(void);

/* The version of this header, which a program is compiled with. */
#define MB_VERSION_MAJOR 0
#define MB_VERSION_MINOR 1
#define MB_VERSION_PATCH 0

/* Whether this header is of a version or a later one: #if MB_VERSION_AT_LEAST(0, 2, 0) */
#define MB_VERSION_AT_LEAST(major, minor, patch)                                                   \
    (MB_VERSION_MAJOR * 1000000 + MB_VERSION_MINOR * 1000 + MB_VERSION_PATCH >=                    \
     (major)*1000000 + (minor)*1000 + (patch))

/* Context */

/* Makes a context of the ranks of COMM. Collective over COMM.
 *   comm      an intra-communicator; it is copied, and may be freed after the call
 *   context   the new context; mb_context_destroy ends it
 * MB_ERR_ARGUMENT when MPI is not running or COMM is MPI_COMM_NULL; MB_ERR_MPI. */
mb_status_t mb_context_create(MPI_Comm comm, mb_context_t **context);
/* The same for a communicator of Fortran's. */
mb_status_t mb_context_create_f(MPI_Fint comm, mb_context_t **context);

/* Sets where the library's lines go: warnings, and notes on how a run is laid out. Not collective.
 *   write     called with USER by the thread that is in a call of the library, on the rank that has
 *             something to say, with a line without its end; NULL: nowhere, as at first
 *   least     lines below this level are left out */
typedef void (*mb_log_callback_t)(void *user, mb_level_t level, const char *line);
mb_status_t mb_context_set_log(mb_context_t *context, mb_log_callback_t write, void *user,
                               mb_level_t least);

/* Loads a plugin: a shared object with layers, losses and sources of its own (mb/plugin.h), which
 * from then on, and for every context of the process, are found like those that are built in.
 * Collective: the file is the same on all ranks.
 *   path      of the object; one that is loaded already is left as it is
 * MB_ERR_IO: it cannot be loaded; MB_ERR_UNSUPPORTED: it is no plugin, or was built for another
 * version of the interface; MB_ERR_ARGUMENT: a name that it brings is taken, or ranks have
 * different files; what the plugin itself fails with. */
mb_status_t mb_context_load_plugin(mb_context_t *context, const char *path);

/* Registers layers, losses and sources of the program's own: what a plugin brings, without a shared
 * object. From then on, and for every context of the process, they are found like those that are
 * built in. Collective: every rank registers the same names.
 *   entry     called once in a process with the host's functions and the place to register at,
 *             which <mb/plugin.h> declares: it calls host->add_layer, add_loss and add_source. The
 *             structs that it registers, and host, live as long as the program. An entry that has
 *             registered already, by any context, is not called again
 * MB_ERR_ARGUMENT: a name that is taken, a struct without what it needs (then nothing is
 * registered), or ranks that differ; what the entry itself returns. */
struct mb_plugin_host;
struct mb_plugin;
typedef mb_status_t (*mb_register_callback_t)(const struct mb_plugin_host *host,
                                              struct mb_plugin *plugin);
mb_status_t mb_context_register(mb_context_t *context, mb_register_callback_t entry);

/* Ends a context. Collective, before MPI_Finalize. NULL does nothing. MB_ERR_ARGUMENT, and nothing
 * is ended, while a trainer or predictor made from it lives. */
mb_status_t mb_context_destroy(mb_context_t *context);

/* Model */

/* Writes a model file with initial values, compiled with Adam and a cross-entropy loss of integer
 * labels. Collective: rank 0 writes.
 *   context   NULL: this process alone writes, and nothing is collective
 *   preset    "mlp", "cnn" or "gpt"
 *   settings  "key=value key=value" with the preset's keys (doc/library.md) and `seed`; NULL: none
 *   path      of the file, which is replaced if it exists
 * MB_ERR_ARGUMENT for a preset or key that is not known, with the nearest one; MB_ERR_IO. */
mb_status_t mb_model_create_preset(mb_context_t *context, const char *preset, const char *settings,
                                   const char *path);

/* Reads what a Keras HDF5 file says of its model; values stay in the file. Not collective.
 *   model     the new model; mb_model_destroy ends it
 * MB_ERR_IO, MB_ERR_FORMAT: no such file, or no model in it; MB_ERR_UNSUPPORTED: a layer or key
 * that this build does not have; MB_ERR_SHAPE: weights that do not fit their layers. */
mb_status_t mb_model_load(const char *path, mb_model_t **model);

/* How many inputs, outputs and numbers in its weights a model has. Not collective. */
mb_status_t mb_model_count_inputs(const mb_model_t *model, int *count);
mb_status_t mb_model_count_outputs(const mb_model_t *model, int *count);
mb_status_t mb_model_count_parameters(const mb_model_t *model, int64_t *count);

/* Name and shape of one input or output. Not collective.
 *   index     from 0, in the model's order
 *   name      lives as long as the model
 *   rank      dimensions of one sample, at most MB_MAX_DIMS
 *   shape     [MB_MAX_DIMS], of which rank are set: of one sample, without the axis that counts
 *             samples; -1 where the model leaves the size to the data
 * MB_ERR_ARGUMENT: no such input or output; MB_ERR_SHAPE: the shape of an output that depends on an
 * input's open dimension. */
mb_status_t mb_model_describe_input(const mb_model_t *model, int index, const char **name,
                                    int *rank, int64_t *shape);
mb_status_t mb_model_describe_output(const mb_model_t *model, int index, const char **name,
                                     int *rank, int64_t *shape);

/* Begins a model that is built layer by layer: inputs, then layers, each checked as it is added.
 * Not collective, as all calls that build.
 *   name      letters, digits, '_', '-' and '.'
 *   model     the new model; mb_model_destroy ends it
 * A chain whose layers name no inputs is written as Keras' Sequential, whose weights' names begin
 * with the model's: "NAME/dense/kernel". Any other model is Functional: "dense/kernel". */
mb_status_t mb_model_create(const char *name, mb_model_t **model);

/* Adds an input to a model of mb_model_create.
 *   type      MB_FLOAT32, MB_INT32, MB_INT64 or MB_UINT8, as Keras is told; arrays of every type
 *             are taken where the model is fed
 *   rank      dimensions of one sample, 1 to MB_MAX_DIMS
 *   shape     [rank]: without the axis that counts samples; -1: the data tells
 * MB_ERR_ARGUMENT: a name that is taken, a model that was read. */
mb_status_t mb_model_add_input(mb_model_t *model, const char *name, mb_type_t type, int rank,
                               const int64_t *shape);

/* Adds a layer and calls it.
 *   class_name  Keras' name of its class ("Dense"), or that of a layer of your own
 *   name        NULL: as Keras would name it, "dense", "dense_1"
 *   config      the keys of the layer's constructor: "units=64 activation=relu", lists as
 *               "kernel_size=3,3", or a JSON object, which may hold whatever Keras serializes.
 *               Arguments of the call: "call.use_causal_mask=true", or an object `call`. What
 *               is left out is as by default; a key that has none here is named. NULL: none
 *   count       tensors that it takes; 0: what was added last
 *   inputs      [count] names of inputs or layers; "dense:1" is what the second call of `dense`
 *               gave. NULL with a count of 0
 * MB_ERR_UNSUPPORTED: a class or key that this build does not have; MB_ERR_SHAPE: inputs that the
 * layer cannot take; MB_ERR_FORMAT: JSON that is none, a key of a wrong kind; MB_ERR_ARGUMENT: a
 * name that is taken or not known. After an error the model is as before. */
mb_status_t mb_model_add(mb_model_t *model, const char *class_name, const char *name,
                         const char *config, int count, const char *const *inputs);

/* Calls a layer of the model again, with the same weights. `inputs` as above; what it gives is
 * named "NAME:1", at the next call "NAME:2". MB_ERR_ARGUMENT, MB_ERR_SHAPE. */
mb_status_t mb_model_call(mb_model_t *model, const char *name, int count,
                          const char *const *inputs);

/* Says what the model gives. Without this call: all that no layer takes, in its order.
 *   names     [count] as the inputs of mb_model_add; count is at least 1 */
mb_status_t mb_model_set_outputs(mb_model_t *model, int count, const char *const *names);

/* Says what a model is compiled with, or with what seed it begins; also of a model that was read,
 * whose own settings then give way. Not collective. Settings are held against the model when it is
 * saved.
 *   key       loss, loss-weights, metrics, weighted-metrics: names as Keras has them, with keys of
 *             their configuration ("sparse_categorical_crossentropy:from_logits=true"; spaces stand
 *             between metrics), or JSON as in Keras' training_config: lists, or objects by output.
 *             optimizer, lr, lr-schedule, weight-decay, clip: as for mb_trainer_set; Adam unless
 *             set. seed: of the initial values; 0 unless set
 * MB_ERR_ARGUMENT: no such key. */
mb_status_t mb_model_set(mb_model_t *model, const char *key, const char *value);

/* How many weights a model has; and the name and shape of one, for rank and shape see
 * mb_model_describe_input. Not collective. Names live until a layer is added.
 *   name      as in files: "dense/kernel"
 * MB_ERR_ARGUMENT: no such weight; of a model that is being built also what mb_model_save says. */
mb_status_t mb_model_count_weights(const mb_model_t *model, int *count);
mb_status_t mb_model_describe_weight(const mb_model_t *model, int index, const char **name,
                                     int *rank, int64_t *shape);

/* The values of a weight, C-ordered: those set, those in the file (of encoded ones: decoded), or
 * the initial ones. Not collective.
 *   count     numbers of the weight
 *   values    [count]
 * MB_ERR_ARGUMENT: no such weight, with the nearest one; MB_ERR_SHAPE: another count; MB_ERR_IO. */
mb_status_t mb_model_get_weight(const mb_model_t *model, const char *name, int64_t count,
                                float *values);
/* Sets them, in memory: mb_model_save writes them. The array is copied. */
mb_status_t mb_model_set_weight(mb_model_t *model, const char *name, int64_t count,
                                const float *values);

/* A table for people: a line for each call, its output's shape and its parameters. Not collective.
 *   text      lives until the next call of this function for the model */
mb_status_t mb_model_summary(const mb_model_t *model, const char **text);

/* Writes a model file, which Keras loads too: layers, what it is compiled with, values; no moments
 * and no state of a run. Collective: rank 0 writes.
 *   context   NULL: this process alone writes, and nothing is collective
 *   path      .h5, .keras or .weights.h5; replaced as a whole if it exists
 * MB_ERR_ARGUMENT: a model without layers, one whose input or layer nothing comes of, settings
 * that do not fit it; MB_ERR_SHAPE: a layer whose calls do not fit together; MB_ERR_IO. */
mb_status_t mb_model_save(const mb_model_t *model, mb_context_t *context, const char *path);

/* Ends a model. Not collective. NULL does nothing. */
mb_status_t mb_model_destroy(mb_model_t *model);

/* Trainer */

/* Makes a trainer of a model file, which is read when training starts and never changed. Not
 * collective, but every rank of the context needs one.
 *   path      a Keras HDF5 file or a checkpoint; a checkpoint's moments are gone on with
 *   trainer   the new trainer; mb_trainer_destroy ends it */
mb_status_t mb_trainer_create(mb_context_t *context, const char *path, mb_trainer_t **trainer);

/* Sets one setting. Not collective, but all ranks must say the same, before the start; only
 * `threads`, `bind` and `device` may differ.
 *   key       as the options of `mbrun train`: data, val, val-split, epochs, steps, batch,
 *             micro-batch, replicas, stages, schedule, shuffle, seed, optimizer, lr, ... (all in
 *             doc/library.md). Not set: what the model file records, then what Keras recorded,
 *             then the defaults. Two differ from the program's: `bind` is `keep`, so that the
 *             program's threads stay where they are, and `threads` is OpenMP's number. With `run`
 *             checkpoints are written to that directory, and a run that is there is gone on with;
 *             without it nothing is written but what mb_trainer_save is asked for. Two the library
 *             alone has: `share` (mb_trainer_run_for), and `ranks`, which lists the context's ranks
 *             that compute ("0-3,6"; all of them unless set). The others call create, set and
 *             set_samples, start, and destroy; each other call of the trainer returns at once there
 *             and does nothing, with MB_OK, a loss that is NaN, and done 1. "Collective" means
 *             those that compute from the start on.
 *   value     "32", "0.001", "10min", "yes"
 * MB_ERR_ARGUMENT for a key that is not known, with the nearest one, for a value that is not of
 * its kind, and after the start. */
mb_status_t mb_trainer_set(mb_trainer_t *trainer, const char *key, const char *value);

/* Gives an array to train from, instead of the setting `data`. Not collective, but every rank gives
 * all samples, before the start. The array is not copied: it must stay as it is until the trainer
 * is destroyed (threads read ahead in it).
 *   name      of a model input or output; or "x" for the only input, "y" for the labels of the
 *             only output; or "sample_weight". A name given before is given anew.
 *   rank      number of dimensions, 1 to MB_MAX_DIMS + 1
 *   shape     [rank]: shape[0] is the number of samples, the same for all arrays; the rest is the
 *             shape of one sample
 *   data      [product of shape] elements of TYPE, C-ordered. Labels of a sparse loss are integers.
 * MB_ERR_ARGUMENT, MB_ERR_SHAPE. What does not fit the model is said at the start. */
mb_status_t mb_trainer_set_array(mb_trainer_t *trainer, const char *name, mb_type_t type, int rank,
                                 const int64_t *shape, const void *data);

/* Gives this rank's samples to train from, instead of the setting `data` or whole arrays. Not
 * collective, but every rank of the context names the same ones, before the start, with as many
 * samples as it has, or none. All ranks' together are the training data, in the order of the ranks
 * and then of each one's own; results are those of a file with the samples in that order, whoever
 * holds them. Ranks that compute (the setting `ranks`) read each other's while they train: their
 * arrays are not copied and stay as they are until the trainer is destroyed, or renewed with
 * others. They send what is asked for from inside the calls that train, which all of them are in;
 * that needs no progress of MPI's own between calls. Those of the others have gone to ranks that
 * compute when mb_trainer_start returns, and are the program's again.
 *   name      as for mb_trainer_set_array. A name given before is given anew.
 *   rank      number of dimensions, 1 to MB_MAX_DIMS + 1
 *   shape     [rank]: shape[0] is the number of this rank's samples, 0 or more, the same for all
 *             names; the rest is the shape of one sample, the same on all ranks, as is TYPE
 *   strides   [rank]: bytes from one index to the next along each dimension, any; NULL: C order.
 *             Samples with gaps in them are brought together one by one when they are read.
 *   data      where index 0 of all dimensions is; NULL when there are no samples
 *   where     MB_HOST; MB_DEVICE: in the memory of a GPU, on which nothing writes them any more and
 *             where the elements of one sample stand side by side. They come through the host.
 * MB_ERR_ARGUMENT, MB_ERR_SHAPE. At the start: MB_ERR_SHAPE where ranks differ; MB_ERR_DATA: no
 * rank has samples; MB_ERR_UNSUPPORTED: MB_DEVICE where this build or node has no such device. */
mb_status_t mb_trainer_set_samples(mb_trainer_t *trainer, const char *name, mb_type_t type,
                                   int rank, const int64_t *shape, const int64_t *strides,
                                   const void *data, mb_where_t where);

/* Gives what a reservoir of the same context keeps to train from, instead of the above. Not
 * collective, but on every rank, before the start, which takes in what was added (as
 * mb_reservoir_update does). The reservoir is destroyed after the trainer. MB_ERR_ARGUMENT. */
mb_status_t mb_trainer_set_reservoir(mb_trainer_t *trainer, mb_reservoir_t *reservoir);

/* Goes on with other samples: those that mb_trainer_set_samples, called again since, gives by the
 * same names, or the reservoir's once what was added is taken in. Collective over the context, the
 * ranks that do not compute included, which serve nobody in between. With them an epoch begins, and
 * `epochs` and `steps` count from here, in mb_trainer_run as in `done`; weights, moments, the
 * number of the step and so the learning rate's schedule go on in memory. Arrays given before are
 * the program's again. Not with the setting `run`. MB_ERR_ARGUMENT before the start or on data that
 * do not change; MB_ERR_UNSUPPORTED with `run`; MB_ERR_DATA: no rank has samples. After an error
 * that comes from the samples the trainer has none, until it is renewed. */
mb_status_t mb_trainer_renew(mb_trainer_t *trainer);

/* Called on rank 0 after each step; mb_trainer_get tells the step's numbers. Not collective, nor
 * may the callback make a collective call. It may call mb_trainer_stop. NULL: none. */
typedef void (*mb_step_callback_t)(void *user, const mb_trainer_t *trainer);
mb_status_t mb_trainer_set_callback(mb_trainer_t *trainer, mb_step_callback_t callback, void *user);

/* Called on rank 0 after each validation; mb_trainer_get tells val_loss, val_accuracy and, by its
 * own name with "val_" in front, each metric. As the callback of steps in all else. */
typedef void (*mb_evaluation_callback_t)(void *user, const mb_trainer_t *trainer);
mb_status_t mb_trainer_set_evaluation_callback(mb_trainer_t *trainer,
                                               mb_evaluation_callback_t callback, void *user);

/* Called on rank 0 when a file of a run with the setting `run` is complete: a checkpoint, best.h5
 * or final.h5. As the callback of steps in all else; path lives until it returns. */
typedef void (*mb_save_callback_t)(void *user, const mb_trainer_t *trainer, const char *path);
mb_status_t mb_trainer_set_save_callback(mb_trainer_t *trainer, mb_save_callback_t callback,
                                         void *user);

/* Reads model and data, chooses the layout, takes all memory. Collective. The first step does it
 * where the program does not; with the setting `ranks` the ranks that do not compute make the call,
 * too, and have what they hold taken from them meanwhile. Any status: this is where model, data and
 * settings are checked against each other. It may be tried again. */
mb_status_t mb_trainer_start(mb_trainer_t *trainer);

/* One optimizer step over one global batch. Collective. No validation and no checkpoints are made.
 *   loss      of the batch, regularizers included; the same on all ranks. May be NULL.
 *   done      1 when the total of epochs or steps is reached, else 0; then, and when it was reached
 *             before, nothing more is computed, and loss is that of the last step. May be NULL.
 * Those of mb_trainer_start; MB_ERR_NUMERIC: the loss is not finite; MB_ERR_DATA: samples that the
 * model cannot take. */
mb_status_t mb_trainer_step(mb_trainer_t *trainer, double *loss, int *done);

/* Steps until the total of epochs or steps is reached, with validation after each epoch.
 * Collective. With the setting `run` it writes checkpoints, and final.h5 at the end. As
 * mb_trainer_step; MB_ERR_STOPPED: a stop was asked for, and with `run` there is a complete
 * checkpoint; calling again goes on. MB_ERR_BUSY: the run directory is another process's. */
mb_status_t mb_trainer_run(mb_trainer_t *trainer);

/* Steps for as long as SECONDS, within a share of the time if one is set. Collective. The ranks
 * agree before each step, or before as many short ones as take 2 ms: it is begun when, by the
 * median of the last 7 on the slowest rank, it ends in time; the first three, by which that is
 * measured, when there is any time left. Ranks may have different seconds and come at different
 * times: those of the rank with the least count, from when all have come. So no call lasts longer
 * than SECONDS by more than one step, or 2 ms of steps, is longer than the median. No validation
 * and no checkpoints are made. Nothing is under way between calls, so that FUNNELED and the
 * program's own communication need nothing more.
 *   seconds   0 or more; INFINITY: what the share allows
 *   steps     done in this call; 0 where none fits. When the total of epochs or steps is reached,
 *             fewer than fit
 * The setting `share`, "20%" or "0.2", on every rank: over the run, calls take at most this part of
 * the time that the program takes between them, so that training slows it down by no more than
 * that. mb_trainer_renew, and mb_reservoir_add to the trainer's reservoir, count as calls: their
 * time is training's. What is not used is kept for later calls, and what a step takes beyond it is
 * owed; the first call has earned nothing yet. The rank that can spare least counts. Reading model
 * and data, in the first call or mb_trainer_start, is not counted.
 * As mb_trainer_step; mb_trainer_stop ends it, too, which is no error. */
mb_status_t mb_trainer_run_for(mb_trainer_t *trainer, double seconds, int64_t *steps);

/* Begins so many steps, fewer where the total comes first, which go on beside the program, and
 * returns; mb_trainer_wait ends them, with the losses and weights that as many calls of
 * mb_trainer_step come to. Collective: the same number on all ranks; the ranks need not be at it at
 * one time.
 *
 * What needs progress: with MPI_THREAD_MULTIPLE, or where the context has one rank, a thread of the
 * library makes the steps, and nothing does, unless HDF5 itself reads the samples (chunked or
 * compressed datasets). It computes beside the program: leave it processors (the setting
 * `threads`). With MPI_THREAD_FUNNELED or SERIALIZED, and with such files, the program's thread
 * makes them, inside mb_trainer_test and mb_trainer_wait and nowhere else. Every rank has to come
 * there again and again: a rank that stays away longer than the deadline ends the training of all
 * (MB_ERR_TIMEOUT).
 *
 * Until mb_trainer_wait the context is busy: calls of what was made from it that are collective or
 * tell of the training return MB_ERR_BUSY, but for mb_trainer_test, mb_trainer_stop,
 * mb_trainer_wait and mb_trainer_destroy. Independent predictors are free. Callbacks, those for the
 * log and plugins' functions among them, may be called by the library's thread.
 *   steps     1 or more
 * Those of mb_trainer_start; MB_ERR_ARGUMENT; MB_ERR_BUSY: steps are under way already. */
mb_status_t mb_trainer_submit(mb_trainer_t *trainer, int64_t steps);

/* Lets submitted steps go on in this thread, where no thread of the library makes them, for
 * SECONDS; and tells whether they have ended. Not collective. Returns at the first wait for another
 * rank, or end of a step, behind that time: it may last as long as the rank's own part of one step.
 * 0: what can be done without waiting, up to there.
 *   done      1: mb_trainer_wait returns at once; also when nothing was submitted
 * MB_ERR_ARGUMENT. What the steps fail with is told by mb_trainer_wait. */
mb_status_t mb_trainer_test(mb_trainer_t *trainer, double seconds, int *done);

/* Until the submitted steps have ended. Collective, in that they end only when every rank lets them
 * go on; each rank returns by itself. Nothing where none were submitted.
 * As mb_trainer_step, on all ranks: what failed on one is MB_ERR_PEER on the others;
 * MB_ERR_STOPPED: mb_trainer_stop was called on any rank, and all stopped behind the same step. */
mb_status_t mb_trainer_wait(mb_trainer_t *trainer);

/* Asks mb_trainer_run, and steps that are under way, to stop at the next step. Not collective: any
 * rank may ask, and all stop. May be called from a signal handler. */
mb_status_t mb_trainer_stop(mb_trainer_t *trainer);

/* A number of the last step, by name. Not collective; the same on all ranks, between calls.
 *   name      step, total_steps, epoch (from 1), step_in_epoch, steps_per_epoch, loss, accuracy,
 *             lr, samples_per_second, seconds_left; val_loss, val_accuracy (of the last
 *             validation); of the layout parameters, samples, stages, groups, replicas, idle,
 *             micro_batch; and each metric that the model asks for, by Keras' name, over the epoch
 *             so far, and with "val_" in front of the last validation ("f1_score[0]" where it is of
 *             several values); of this rank's samples (mb_trainer_set_samples) bytes_copied: of its
 *             own that were brought together before they were read, which contiguous ones of the
 *             host never are; bytes_sent to and bytes_received from other ranks
 *   value     NaN where there is none (no accuracy for this loss, no step yet; of steps, where
 *             this rank does not compute)
 * MB_ERR_ARGUMENT: no such name, or not started. */
mb_status_t mb_trainer_get(const mb_trainer_t *trainer, const char *name, double *value);

/* Writes a complete model file, which Keras loads too. Collective.
 *   path      replaced as a whole if it exists; the same file for all ranks
 *   state     1: with moments and counters, so that a trainer made of it goes on exactly; 0:
 *             without
 * MB_ERR_ARGUMENT before the start; MB_ERR_IO, and then an existing file is as it was. */
mb_status_t mb_trainer_save(mb_trainer_t *trainer, const char *path, int state);

/* Ends a trainer. Collective if it was started; a rank that does not compute waits for nobody. NULL
 * does nothing. Submitted steps are stopped, as by mb_trainer_stop, and waited for. */
mb_status_t mb_trainer_destroy(mb_trainer_t *trainer);

/* Reservoir */

/* Makes a reservoir: of a stream of samples, which come up on all ranks, it keeps a bounded number
 * to train from. Not collective, but every rank of the context makes one with the same arguments.
 *   policy    "uniform": each sample of the stream so far is kept with the same chance, those kept
 *             being a uniform sample without replacement; or "newest": the last ones
 *   capacity  samples that all ranks together keep; each rank has room for an equal part of them
 *   seed      that a uniform choice follows from
 *   reservoir the new reservoir; mb_reservoir_destroy ends it
 * What is kept is a function of the stream, whose order is by update, then by rank, then by index,
 * and not of which rank had what (keys by Philox; Vitter, ACM TOMS 11, 1985; Efraimidis and
 * Spirakis, IPL 97, 2006). MB_ERR_ARGUMENT. */
mb_status_t mb_reservoir_create(mb_context_t *context, const char *policy, int64_t capacity,
                                uint64_t seed, mb_reservoir_t **reservoir);

/* Names an array of the samples. Not collective, but every rank names the same ones in the same
 * order, before the first sample.
 *   name      as for mb_trainer_set_array. A name given before is given anew.
 *   rank      dimensions of one sample, 0 to MB_MAX_DIMS
 *   shape     [rank]: of one sample, without the axis that counts samples; NULL for rank 0
 * MB_ERR_ARGUMENT. */
mb_status_t mb_reservoir_set_shape(mb_reservoir_t *reservoir, const char *name, mb_type_t type,
                                   int rank, const int64_t *shape);

/* Adds samples of this rank to the stream. Not collective; they are copied, and stand here until
 * the next update takes them in or forgets them: memory is that of a rank's part of the capacity,
 * and of what was added since the last update.
 *   count     samples, 0 or more
 *   data      [names]: for each name, in the order in which they were named, [count, shape of one
 *             sample] elements, C-ordered, in the host's memory
 * MB_ERR_ARGUMENT. */
mb_status_t mb_reservoir_add(mb_reservoir_t *reservoir, int64_t count, const void *const *data);

/* Takes in what all ranks added since the last update. Collective; ranks exchange counts and the
 * samples whose place is on another rank. mb_trainer_start and mb_trainer_renew do it for a trainer
 * that reads the reservoir. MB_ERR_ARGUMENT: ranks made it differently, or a trainer reads it. */
mb_status_t mb_reservoir_update(mb_reservoir_t *reservoir);

/* How many samples are kept since the last update: by this rank, by all; and how many the stream
 * had until then. Not collective. Each may be NULL. */
mb_status_t mb_reservoir_count(const mb_reservoir_t *reservoir, int64_t *own, int64_t *all,
                               int64_t *stream);

/* What this rank keeps of an array. Not collective.
 *   count     samples
 *   data      [count, shape of one sample], C-ordered; the reservoir's, until the next update
 * MB_ERR_ARGUMENT: no such name. */
mb_status_t mb_reservoir_get(const mb_reservoir_t *reservoir, const char *name, int64_t *count,
                             const void **data);

/* Ends a reservoir. Not collective. NULL does nothing. MB_ERR_ARGUMENT while a trainer reads it. */
mb_status_t mb_reservoir_destroy(mb_reservoir_t *reservoir);

/* Predictor */

/* Makes a predictor of a model file. mb_predictor_run reads the file once and keeps the model in
 * memory; the calls on files and evaluations read it each time. Not collective, but every rank of
 * the context needs one.
 *   predictor the new predictor; mb_predictor_destroy ends it */
mb_status_t mb_predictor_create(mb_context_t *context, const char *path,
                                mb_predictor_t **predictor);

/* Sets one of batch, micro-batch, replicas, stages, threads, bind, device, share-device, transport,
 * deadline, loss, weights, weights-by, skip-mismatch, independent. As mb_trainer_set, but possible
 * at any time; the next run then starts anew.
 *   batch         samples that are computed together (128 when not set): runs of any number are cut
 *                 into so many, the last of them filled up with zeros. Results depend on it, by
 *                 rounding at most, and not on the number of a run. What runs are to be quick with
 *                 is the number of samples that they come with: 1 for one sample a call
 *   independent   yes: each rank predicts for itself, with arrays of its own, when it likes. None
 *                 of the predictor's calls is collective then, but mb_predictor_load_trainer, and
 *                 none sends a message. Before the start. no, as at first: the ranks of the context
 *                 predict together
 *   threads       1 where a call computes little: then none has to be woken */
mb_status_t mb_predictor_set(mb_predictor_t *predictor, const char *key, const char *value);

/* Gives the array of an input, or the labels of an output for mb_predictor_evaluate. Arguments and
 * errors as mb_trainer_set_array; possible at any time. It must stay as it is while a call uses it.
 * Another pointer or number of samples for an array of the same type and shape of a sample costs
 * next to nothing. A float32 array at an address that is a multiple of 4 is read where it lies by a
 * rank that predicts alone, on the CPU (mb_predictor_get tells "copied_bytes"). */
mb_status_t mb_predictor_set_array(mb_predictor_t *predictor, const char *name, mb_type_t type,
                                   int rank, const int64_t *shape, const void *data);
/* The same of float32 in the memory of the device that the predictor computes on: of its GPU where
 * the setting `device` names one (the rank's own, see doc/gpu.md), else of the host. Complete when
 * mb_predictor_run is called: the device's streams are not the library's. It is read where it lies
 * if its address is a multiple of 64 and whole batches come, and copied inside the device
 * otherwise; numbers that are not finite are not looked for. Only mb_predictor_run takes it, of one
 * rank or an independent predictor: MB_ERR_UNSUPPORTED from there otherwise. */
mb_status_t mb_predictor_set_device_array(mb_predictor_t *predictor, const char *name, int rank,
                                          const int64_t *shape, const float *data);

/* Gives the memory that an output's values are written to. Not collective, but every rank gives its
 * own; possible at any time.
 *   name      of a model output; or "y" for the only one
 *   count     numbers there is room for: samples times the numbers of one sample's output
 *   values    [count]; mb_predictor_run fills [samples, shape of the output], C-ordered. No array
 *             of an input may lie in it */
mb_status_t mb_predictor_set_output(mb_predictor_t *predictor, const char *name, int64_t count,
                                    float *values);
/* The same in the memory of the device, as mb_predictor_set_device_array; complete when
 * mb_predictor_run returns. */
mb_status_t mb_predictor_set_device_output(mb_predictor_t *predictor, const char *name,
                                           int64_t count, float *values);

/* Reads the model, plans, takes all memory: for samples like those of the arrays that have been
 * given. Collective unless independent. The first run does it where the program does not; here it
 * is done anew, so that a file that has changed is read again. A model from whose layers states go
 * on from batch to batch begins each run with zeros.
 * MB_ERR_ARGUMENT: no arrays; MB_ERR_SHAPE: an array that does not fit the model; those of
 * mb_model_load. */
mb_status_t mb_predictor_start(mb_predictor_t *predictor);

/* Takes the weights of a trainer as they are between its steps, from memory to memory, instead of
 * the file's; starts the predictor where it has not started. Collective over the trainer's context,
 * which is the predictor's, for an independent predictor, too. Until mb_predictor_start.
 * MB_ERR_ARGUMENT: the trainer has not started, or is of another context; MB_ERR_SHAPE: its model
 * is another one; MB_ERR_UNSUPPORTED: the predictor's file is quantized; those of
 * mb_predictor_start. MB_ERR_BUSY: steps are under way. */
mb_status_t mb_predictor_load_trainer(mb_predictor_t *predictor, mb_trainer_t *trainer);

/* Predicts the samples of the given arrays. Collective unless independent. Every output that memory
 * was given for is filled, on every rank.
 * MB_ERR_ARGUMENT: no arrays or no outputs; MB_ERR_SHAPE: an array that does not fit the model, or
 * too little room for an output; MB_ERR_DATA: a sample that the model cannot take, after which an
 * independent predictor, and one of one rank, can be used on; those of mb_predictor_start. */
mb_status_t mb_predictor_run(mb_predictor_t *predictor);

/* Predicts the samples of a file. Collective unless independent; then each rank names a file of its
 * own to write.
 *   data      HDF5, IDX(.gz), or a folder of IDX files
 *   output    HDF5 file to write: one float32 dataset [samples, shape] for each output, by name;
 *             appears as a whole, replaces an existing file
 * As mb_predictor_run; MB_ERR_IO; MB_ERR_UNSUPPORTED: the weights are a trainer's. */
mb_status_t mb_predictor_run_file(mb_predictor_t *predictor, const char *data, const char *output);

/* Loss and metrics on the given arrays, or on the samples of a file. Collective unless independent.
 * mb_predictor_get tells the results. Errors as for mb_predictor_run_file. */
mb_status_t mb_predictor_evaluate(mb_predictor_t *predictor);
mb_status_t mb_predictor_evaluate_file(mb_predictor_t *predictor, const char *data);

/* A number of the last successful call, by name. Not collective; the same on all ranks.
 *   name      samples, seconds; of an evaluation loss, accuracy and each metric that the model asks
 *             for, by Keras' name ("mae"; of several values "f1_score[0]", "f1_score[1]" ...); of
 *             mb_predictor_run on one rank copied_bytes: of arrays and outputs that were not read
 *             or written where they lie
 *   value     NaN where there is none
 * MB_ERR_ARGUMENT: no such name, or nothing was computed yet. */
mb_status_t mb_predictor_get(const mb_predictor_t *predictor, const char *name, double *value);

/* Ends a predictor. Collective if it was started, unless it is independent. NULL does nothing. */
mb_status_t mb_predictor_destroy(mb_predictor_t *predictor);

/* Quantizer */

/* Makes a quantizer of a model file. Not collective, but every rank of the context needs one.
 *   path        any Keras HDF5 file; read by mb_quantizer_run
 *   quantizer   the new quantizer; mb_quantizer_destroy ends it */
mb_status_t mb_quantizer_create(mb_context_t *context, const char *path,
                                mb_quantizer_t **quantizer);

/* Sets an option of mbrun quantize, by its name without dashes. Not collective, but every rank says
 * the same.
 *   key       format, method, rule (each time one more), data, samples, target-size, max-drop,
 *             again, keras-int8 (yes or no), batch, loss, threads, bind, device, deadline
 * MB_ERR_ARGUMENT names the key, the value and what is accepted. */
mb_status_t mb_quantizer_set(mb_quantizer_t *quantizer, const char *key, const char *value);

/* Quantizes. Collective. An existing file is replaced when the new one is complete.
 *   output    the file to write, which is not the model; NULL: everything but the file
 * MB_ERR_ARGUMENT: settings that do not go together, or a model that is quantized already;
 * MB_ERR_NUMERIC: a weight that is NaN or infinite; those of mb_model_load; MB_ERR_DATA. */
mb_status_t mb_quantizer_run(mb_quantizer_t *quantizer, const char *output);

/* A number of the last successful run, by name. Not collective; the same on all ranks.
 *   name      bytes_before, bytes_after (of all tensors), bits_per_weight, seconds; on data
 *             loss_before, loss_after, accuracy_before, accuracy_after, agreement (a fraction),
 *             mean_kl, max_kl (nats)
 *   value     NaN where there is none
 * MB_ERR_ARGUMENT: no such name, or nothing was quantized yet. */
mb_status_t mb_quantizer_get(const mb_quantizer_t *quantizer, const char *name, double *value);

/* Ends a quantizer. Not collective. NULL does nothing. */
mb_status_t mb_quantizer_destroy(mb_quantizer_t *quantizer);

/* Planner */

/* Makes a planner of a model file, which is read by each run. It needs neither a context nor MPI,
 * nor the ranks it plans for. Not collective, as all of its calls.
 *   planner   the new planner; mb_planner_destroy ends it */
mb_status_t mb_planner_create(const char *path, mb_planner_t **planner);

/* Sets an option of mbrun plan or mbrun simulate, by its name without dashes. Possible at any time;
 * mb_planner_run goes by it.
 *   key       ranks; memory (a rank's: "16G"), hardware and profile (files: doc/planning.md); data,
 *             batch, micro-batch, replicas, stages, schedule, recompute, zero, bucket, offload,
 *             dtype, partition, optimizer, loss, threads, moments, checkpoint-every,
 *             checkpoint-mode; of simulations steps, jitter ("5%"), straggler ("3:1.5"), lose
 *             ("5@3"), seed
 * MB_ERR_ARGUMENT names the key, the value and what is accepted. */
mb_status_t mb_planner_set(mb_planner_t *planner, const char *key, const char *value);

/* Chooses the layout as a run would, and looks ahead at its steps.
 * Those of mb_model_load; MB_ERR_ARGUMENT: what is given fits no layout; MB_ERR_MEMORY: none keeps
 * within the memory, with the least that would. */
mb_status_t mb_planner_run(mb_planner_t *planner);

/* Runs the plan's ranks in virtual time, with their messages; plans first where nothing was
 * planned.
 * As mb_planner_run; MB_ERR_TIMEOUT: from some time on nothing moves, as where a rank is lost; the
 * message says who waits for what. */
mb_status_t mb_planner_simulate(mb_planner_t *planner);

/* A number of the last plan, by name.
 *   name      ranks, stages, groups, replicas, idle (ranks), batch, micro_batch, micro_batches
 *             (of a pipeline in a step), chunks; predicted: seconds (of a step), efficiency (the
 *             part of all ranks' time that computes), memory (bytes that a rank takes at most),
 *             least_memory (of any layout); of the last simulation simulated_seconds (of a step,
 *             virtual), simulated_idle (a part), simulated_messages, simulated_bytes (between
 *             stages)
 *   value     NaN where there is none
 * MB_ERR_ARGUMENT: no such name, or nothing was planned yet. */
mb_status_t mb_planner_get(const mb_planner_t *planner, const char *name, double *value);
/* The same of one stage.
 *   stage     from 0
 *   name      work (its part of all stages' work), idle (a part of its time between its first
 *             action and its last), activation_bytes (at most), host_bytes (of those that are
 *             offloaded), bytes_sent (in a step) */
mb_status_t mb_planner_get_stage(const mb_planner_t *planner, int stage, const char *name,
                                 double *value);

/* All of the last plan, as `mbrun plan --json` prints it: other schedules and layouts, too.
 *   json      lives until the next plan */
mb_status_t mb_planner_text(const mb_planner_t *planner, const char **json);

/* Ends a planner. NULL does nothing. */
mb_status_t mb_planner_destroy(mb_planner_t *planner);

/* Checkpoint */

/* Digests of a model file: equal digests mean equal bits. Not collective.
 *   weights   of names, shapes and values of the weights
 *   full      of weights, moments and step
 * MB_ERR_IO, MB_ERR_FORMAT. */
mb_status_t mb_checkpoint_digest(const char *path, uint64_t *weights, uint64_t *full);

/* Reads a whole file and compares it with its seal. Not collective.
 *   sealed    1: the seal holds; 0: the file has none (Keras wrote it)
 * MB_ERR_FORMAT when the seal is broken: the file was damaged or edited. */
mb_status_t mb_checkpoint_verify(const char *path, int *sealed);

/* A counter of a checkpoint's state. Not collective.
 *   name      step, epoch, step_in_epoch, best_step, iterations, skipped_steps (left out because
 *             their gradients were not finite under a loss scale)
 * MB_ERR_ARGUMENT: no such name; MB_ERR_FORMAT: the file has no state. */
mb_status_t mb_checkpoint_get(const char *path, const char *name, int64_t *value);

/* Files
 *
 * What the commands of these names do. Not collective: one process alone calls them. Options are
 * lists of keys and values, [count]; both lists may be NULL where count is 0. Files that are
 * written appear as a whole and replace existing ones. Texts that are given out (JSON) are freed by
 * mb_text_free. Errors: those of mb_model_load; MB_ERR_ARGUMENT: an option that is not known, with
 * the nearest one; MB_ERR_IO. */

/* mbrun inspect --json: layers, weights, settings and state of a file. */
mb_status_t mb_checkpoint_inspect(const char *path, char **json);

/* mbrun diff: what two files do not have in common.
 *   tolerance   elements within it, absolutely or relative to the larger, are equal; 0: their bits
 *   equal       1: nothing differs; 0: something does
 *   json        NULL: not wanted */
mb_status_t mb_checkpoint_compare(const char *a, const char *b, double tolerance, int *equal,
                                  char **json);

/* mbrun ls --json: the checkpoints of a run's directory, whether their seals hold, who runs there,
 * and what a start would go on from. */
mb_status_t mb_checkpoint_list(const char *run, char **json);

/* mbrun average: the mean of the weights of files of one architecture, summed in double precision
 * in their order.
 *   paths     [count], 1 to 1024
 *   weights   how many were written; NULL: not wanted
 * MB_ERR_SHAPE, MB_ERR_FORMAT: a file that is not of the others' architecture. */
mb_status_t mb_checkpoint_average(int count, const char *const *paths, const char *output,
                                  int *weights);

/* mbrun export: a part of a file, under other names or narrower, as HDF5.
 *   keys      weights, moments (yes, no; weights alone unless set), only, except (a pattern of
 *             names each time), rename (FROM=TO each time), dtype (fp32, bf16, fp16, e3m4)
 *   weights   how many were written, as moments; NULL: not wanted
 *   model     1: a model; 0: tensors alone, which go into a model by the setting `weights`;
 *             NULL: not wanted */
mb_status_t mb_checkpoint_export(const char *path, int count, const char *const *keys,
                                 const char *const *values, const char *output, int *weights,
                                 int *moments, int *model);

/* mbrun convert: a model in the form that OUTPUT's name says: .h5, .keras, .weights.h5.
 *   keys      weights (of another file), weights-by, skip-mismatch */
mb_status_t mb_checkpoint_convert(const char *path, int count, const char *const *keys,
                                  const char *const *values, const char *output);

/* mbrun configure: records settings of runs inside a model file.
 *   keys      those of mb_trainer_set, but deadline; at least one
 *   values    NULL: the setting is no longer recorded
 *   output    a copy to write; NULL: the file itself is changed */
mb_status_t mb_checkpoint_configure(const char *path, int count, const char *const *keys,
                                    const char *const *values, const char *output);

/* mbrun data: an HDF5 data file from tables, arrays, images or text.
 *   inputs    [count] of one kind, as for the command
 *   keys      [n] label, like, size (HxW or HxWxC), and columns, normalize, text (yes, no)
 *   json      what the file has; NULL: not wanted
 * MB_ERR_FORMAT, MB_ERR_DATA, MB_ERR_SHAPE: inputs that are not what they should be. */
mb_status_t mb_data_build(int count, const char *const *inputs, int n, const char *const *keys,
                          const char *const *values, const char *output, char **json);

/* Frees a text that a call has given out. NULL does nothing. */
mb_status_t mb_text_free(char *text);

#ifdef __cplusplus
}
#endif

#endif
