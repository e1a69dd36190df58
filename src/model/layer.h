/* The layer class: everything the system knows about a kind of layer.
 *
 * A layer class is a struct of function pointers that begins with its size. A layer knows nothing
 * of ranks, stages or micro-batch order: it is given one micro-batch's tensors and puts operations
 * on a device stream. Forward, backward for the input and backward for the weights are separate
 * calls, so that schedules may split them; what the second backward call needs of the first goes
 * through `carry`.
 *
 * A layer is shared by its calls: each call is a node of the graph (graph.h) with shapes of its
 * own.
 *
 * Samples of weight zero (past the end of the data) come last in a micro-batch: `valid` counts the
 * leading ones that count. A layer that works sample by sample need not look at it; one that mixes
 * samples (batch normalization) must.
 *
 * All functions put operations on run->exec and also run at plan time, when pointers may be NULL
 * and nothing is computed (device/device.h). */
#ifndef MB_MODEL_LAYER_H
#define MB_MODEL_LAYER_H

#include "base/arena.h"
#include "base/config.h"
#include "base/types.h"
#include "device/device.h"

typedef struct mb_layer mb_layer_t;
typedef struct mb_layer_class mb_layer_class_t;

#define MB_MAX_INPUTS 16       /* tensors one call may take */
#define MB_MAX_LAYER_PARAMS 24 /* parameters one layer may have */
#define MB_MAX_STATES 16       /* arrays that a call may keep from batch to batch */

/* Initial values (Keras' initializers). fan_in and fan_out are set by the layer. */
typedef enum {
    MB_INIT_ZEROS,
    MB_INIT_ONES,
    MB_INIT_CONSTANT,
    MB_INIT_UNIFORM,          /* [a, b) */
    MB_INIT_NORMAL,           /* mean a, deviation b */
    MB_INIT_TRUNCATED_NORMAL, /* the same, drawn again outside two deviations */
    MB_INIT_VARIANCE_SCALING, /* Glorot, He, LeCun: see initializer.h */
    MB_INIT_ORTHOGONAL,       /* orthogonal rows or columns, times a */
    MB_INIT_IDENTITY          /* a on the diagonal */
} mb_init_kind_t;

typedef struct {
    mb_init_kind_t kind;
    double a, b;
    double scale; /* variance scaling */
    enum { MB_FAN_IN, MB_FAN_OUT, MB_FAN_AVG } mode;
    enum { MB_DIST_UNIFORM, MB_DIST_NORMAL, MB_DIST_TRUNCATED } distribution;
    int64_t ones_from, ones_to; /* elements that are one whatever the kind; none where equal */
} mb_initializer_t;

typedef struct { /* l1 sum|w| + l2 sum w^2; both zero: none */
    float l1, l2;
} mb_regularizer_t;

typedef struct {
    bool present;
    mb_limit_t limit;
    float low, high, rate;
    int n_axes;
    int64_t axes[MB_MAX_RANK]; /* the norm runs over these; consecutive after sorting */
} mb_constraint_t;

/* How a weight is used: where its matrix's columns begin. */
typedef enum {
    MB_VIEW_VECTOR = 0, /* not as a matrix */
    MB_VIEW_FIRST, /* rows: the first axis; columns: the others (Dense, projections to heads) */
    MB_VIEW_LAST,  /* columns: the last axis; rows: the others (convolution, projection from heads)
                    */
    MB_VIEW_LOOKUP /* a table [rows, columns] looked up by row */
} mb_view_kind_t;

typedef struct mb_param {
    const char *name; /* within its layer: "kernel", "query/bias" */
    const char *path; /* Keras' weight name in files: "dense/kernel", "sequential/dense/kernel" */
    const char *variable; /* Keras 3's place for it in files: "layers/dense/vars/0" */
    const char *owner;    /* of the variable, as Keras calls it: "dense", "query" */
    mb_shape_t shape;
    int64_t elements;
    int64_t fan_in, fan_out;
    mb_initializer_t initializer;
    mb_regularizer_t regularizer;
    mb_constraint_t constraint;
    bool trainable; /* has a gradient and moments: false for moving statistics and frozen layers */
    bool weight;    /* declared trainable by the class: false for moving statistics. Keras lists a
                       layer's trainable weights before its others. */
    int layer;      /* index in the graph */
    int index;      /* index in the graph's params: the parameter order */
    mb_view_kind_t view;
    bool operand; /* a product takes it in the call's type, rounded from float32 once a step */
    const mb_matrix_t *stored; /* how its values are kept in memory; NULL: as float32. Only a layer
                                  class that reads the weight through a stored_ operation declares a
                                  view, and only such weights are kept so */
} mb_param_t;

/* The rows and columns of a weight that is used as a matrix. */
void mb_param_matrix(const mb_param_t *param, int64_t *rows, int64_t *columns);

struct mb_layer {
    const mb_layer_class_t *class_;
    const char *name; /* Keras' layer name */
    const char *path; /* with the models it is nested in: "tower/dense_21" */
    void *config;     /* the class's own, from parse */
    mb_dtype_t type;  /* that its calls compute in */
    bool implied;     /* not in the file: changes the type of a tensor, is a mask, or is one
                         output of several */
    bool keras2;      /* written in that dialect */
    bool follows;     /* computes in the widest type of its inputs */
    bool trainable;   /* its own and all its parents' flag */
    mb_regularizer_t activity; /* activity regularizer on every call's output */
    int index;
    bool built;
    int n_params;
    int params[MB_MAX_LAYER_PARAMS]; /* indices into graph->params, in the order of the class */
};

/* What Keras' compute_mask says of a call's output. A mask has one value, 0 or 1, for each position
 * of a sample: for all its axes but the last. It is a tensor of its own (graph_mask.c). */
typedef enum {
    MB_MASK_DROPPED = 0, /* the output has none */
    MB_MASK_PASSED,      /* it has the first input's */
    MB_MASK_EITHER,      /* 1 where one of the inputs' is; none unless each has one */
    MB_MASK_JOINED,      /* those of inputs that are joined along `axis` */
    MB_MASK_NOT_ZERO,    /* 1 where the input, of ids, is not 0 */
    MB_MASK_DIFFERS,     /* 1 where the input has another number than `value` in the last axis */
    MB_MASK_GIVEN        /* a tensor of the model */
} mb_mask_kind_t;

typedef struct {
    mb_mask_kind_t kind;
    int64_t axis; /* counts the samples as 0, from behind where negative */
    float value;
    bool ignored; /* whatever the class takes, the call takes none */
    bool forgets; /* its inputs have no masks for the calls behind it */
} mb_mask_rule_t;

/* One call, as its layer sees it. Shapes are without the sample axis and never open once the
 * graph is bound to data. */
typedef struct {
    const mb_layer_t *layer;
    const void *call_config; /* from parse_call; NULL without one */
    int n_inputs;
    int n_masks;              /* of the inputs, the last ones: masks, which no gradient flows to */
    int masks[MB_MAX_INPUTS]; /* which input is the mask of input i; 0: it has none */
    int given;                /* which is the call's attention_mask; 0: none */
    mb_shape_t inputs[MB_MAX_INPUTS];
    mb_dtype_t input_types[MB_MAX_INPUTS];
    mb_shape_t output;
    mb_dtype_t output_type;
    int part;      /* which of its layer's outputs this is, where each is a call of its own */
    int64_t first; /* element of a sample that it begins at, where it is taken out of the tensor
                      that has them all */
} mb_call_t;

/* What a call keeps from its forward to its backward, for `samples` samples. */
typedef struct {
    bool keeps_input[MB_MAX_INPUTS]; /* backward reads the input */
    bool keeps_output;               /* backward reads the output */
    size_t saved_bytes;              /* written by forward, read by backward */
    size_t carry_bytes;              /* written by backward_input, read by backward_weights */
    int64_t sums;                    /* doubles accumulated over the step (batch statistics) */
    size_t constant_bytes;           /* what the class's constants writes once */
} mb_memory_t;

/* Sees what the weights are multiplied by: calibration of quantization. Forward calls it in front
 * of the operation; ROWS are those of samples that count. PARAM: index in the layer. Everything is
 * device memory; not called while planning. */
struct mb_run;
typedef struct mb_observer {
    void *user;
    mb_status_t (*rows)(void *user, const struct mb_run *run, int param, const float *x,
                        int64_t rows, int64_t columns);
    mb_status_t (*window)(void *user, const struct mb_run *run, int param,
                          const mb_window_t *window, const float *x);
} mb_observer_t;

/* What the numbers mean that a call takes and gives. */
typedef struct {
    bool takes_ids;     /* whole numbers that stand for something: int32 where the data has them */
    int64_t vocabulary; /* they are below; 0: any */
    bool takes_floats;  /* integers become floats in front of it */
    bool as_given;      /* float inputs are not brought to the type of the call */
    bool gives_ids;     /* int32 */
    int64_t below;      /* which are below; 0: some are negative */
    mb_dtype_t type;    /* of floats that it gives: the layer's, unless the class says otherwise */
} mb_roles_t;

/* A micro-batch passing through a call. Everything is device memory. */
typedef struct mb_run {
    mb_exec_t *exec;
    const mb_call_t *call;
    int64_t samples, valid;
    bool training;
    mb_random_key_t
        random; /* seed, step, position of the first sample, node; the layer sets purpose */
    void *const *params;  /* one per parameter of the layer: of the call's type where the class
                             declares it an operand, else float32 */
    float *const *values; /* the same, all float32 */
    const void *const *inputs;
    void *output;
    void *saved, *carry;
    const void *constants;            /* [constant_bytes] */
    double *sums;                     /* [sums], += by forward in training; NULL: not wanted */
    const mb_matrix_t *const *stored; /* one per parameter: instead of params where not NULL; NULL:
                                         none at all */
    bool integer;                     /* activations may be quantized (ops.h) */
    const mb_observer_t *observer;    /* NULL: nobody looks */
    void *const
        *states; /* what the call keeps from batch to batch (the class's `states`), an array each
                    of these samples': forward reads them and writes them anew. NULL: none */

    /* backward */
    const void *grad_output;
    void *const *grad_inputs;  /* NULL entries are not wanted */
    float *const *grad_params; /* backward_weights: NULL entries are not wanted */
    bool accumulate;           /* backward_weights adds to grad_params instead of writing them */
    bool is_cut;     /* grad_output has been multiplied by the slope of the call's own relu */
    bool cuts_input; /* backward_input also multiplies by that of the relu that gave the input */
} mb_run_t;

typedef enum {
    MB_RELU_ALL = 1,  /* forward is the relu of the input, element by element */
    MB_RELU_LAST = 2, /* it ends in one, in place */
    MB_RELU_CUTS = 4  /* backward_input can multiply by the slope of the one that gave the input
                         (graph_cut.h) */
} mb_relu_t;

typedef enum { MB_TAIL_NONE = 0, MB_TAIL_RELU, MB_TAIL_SUM_AND_RELU } mb_tail_kind_t;

/* What runs with a call: + residual (NULL: none), then relu, into y. */
typedef struct {
    const void *residual;
    bool relu;
    void *y;
} mb_tail_t;

typedef struct { /* of one sample */
    double forward_flops, backward_input_flops, backward_weights_flops;
} mb_cost_t;

/* What declare sees to add parameters; in graph.c. */
typedef struct mb_param_list mb_param_list_t;

struct mb_layer_class {
    size_t size;
    const char *name; /* Keras' class_name; also matches "Package>Name" registrations exactly */

    bool whole;       /* its policy may be an integer type, which says nothing more */
    const void *kind; /* what tells classes apart that share their functions; NULL: nothing does */

    /* Reads the layer's config. `name`, `trainable`, `dtype`, `activity_regularizer` and
     * `batch_input_shape` are taken before by the graph; every other key must be obeyed or
     * refused. *out is allocated from the arena. */
    mb_status_t (*parse)(mb_config_t *config, mb_arena_t *arena, void **out);
    /* The same of classes that share it and are told apart by KIND; then there is no parse. */
    mb_status_t (*parse_kind)(const void *kind, mb_config_t *config, mb_arena_t *arena, void **out);
    /* The activity regularizer that its own config gives; NULL: none but that of the key. */
    const mb_regularizer_t *(*activity)(const mb_layer_t *layer);
    /* Reads a call's keyword arguments ("use_causal_mask"). NULL: takes none. Arguments that are
     * null or equal to their harmless default ("training", "mask": null) are dropped before. */
    mb_status_t (*parse_call)(mb_config_t *kwargs, mb_arena_t *arena, void **out);
    /* Sets call->output and output_type from the inputs. Open dimensions may be there: an output
     * dimension that follows from an open one is open. MB_ERR_SHAPE says what does not fit. */
    mb_status_t (*infer)(mb_call_t *call);
    /* Declares the parameters, in Keras' order of layer.weights, from the first call's input
     * shapes: mb_param_add for each. Called once per layer; dimensions that a weight's shape
     * needs must not be open. NULL: no parameters. */
    mb_status_t (*declare)(const mb_call_t *call, mb_param_list_t *list);
    /* MB_OK, or MB_ERR_SHAPE where a further call's inputs do not fit the parameters. */
    mb_status_t (*check)(const mb_call_t *call); /* NULL: nothing to check */
    void (*memory)(const mb_call_t *call, int64_t samples, mb_memory_t *out);
    /* Numbers of the config that runs read, for memory's constant_bytes on the host; they are
     * copied to the device once. NULL: none. */
    void (*constants)(const mb_call_t *call, void *out);
    mb_status_t (*forward)(const mb_run_t *run);
    /* Writes grad_inputs and carry. Reached also when no grad_input is wanted but weights are. */
    mb_status_t (*backward_input)(const mb_run_t *run);
    mb_status_t (*backward_weights)(const mb_run_t *run); /* NULL: no parameters */
    /* After the step: new moving statistics from sums over count samples. NULL: none. */
    mb_status_t (*update_statistics)(const mb_run_t *run, double count);
    void (*cost)(const mb_call_t *call, mb_cost_t *out);
    /* True when the output of this call must be float (all) and its gradient flows to input i;
     * NULL: flows to every float input. Embedding: to none. */
    bool (*differentiable)(const mb_call_t *call, int input);
    /* Changes what stands in OUT: numbers in and out. Shapes are not known yet. NULL: numbers, or
     * int32 where all inputs are. */
    void (*roles)(const mb_call_t *call, mb_roles_t *out);
    /* How many layers it wraps around the one whose weights it has: their names stand in front of
     * the weights', and Keras keeps each under the attribute `layer`. NULL: none. */
    int (*wrapped)(const mb_layer_t *layer);
    /* With update_statistics: whether the call mixes samples. NULL: it does. */
    bool (*has_statistics)(const mb_call_t *call);
    /* The rule for the mask of its calls' output; NULL: it has none. */
    mb_mask_rule_t (*mask)(const mb_call_t *call);
    /* Calls get the masks of their inputs, or what the rule gives, as input 0's. */
    enum { MB_TAKES_NO_MASK = 0, MB_TAKES_MASKS, MB_TAKES_OWN_MASK } takes_masks;
    /* How many outputs a call has; 0: as many as are used. NULL: one. */
    int (*outputs)(const mb_layer_t *layer);
    /* Of a call with several: the shape of one in a sample of the call's tensor, where all stand,
     * and the element it begins at. NULL: each output is a call of its own. */
    void (*part)(const mb_call_t *call, int index, mb_shape_t *shape, int64_t *first);
    /* How many of a call's outputs, from the first on, have the mask of the call. NULL: one. */
    int (*masked)(const mb_layer_t *layer);
    /* The attribute under which Keras keeps a PART of it, of which the weights' names speak; NULL:
     * as for all layers. */
    const char *(*attribute)(const mb_layer_t *layer, const char *part, size_t length);
    /* The second argument of its calls are states to begin with: inputs behind the first. */
    bool takes_states;
    /* What a call keeps of each sample's place in the batch for the sample there in the next batch:
     * how many arrays, of the type of the output, and their shapes. No gradient flows through them.
     * NULL: nothing. */
    int (*states)(const mb_call_t *call, mb_shape_t shapes[MB_MAX_STATES]);
    /* Forward is the sum of the inputs, where all are of the output's shape and type. */
    bool is_sum;
    /* The forward of SUM, a call of such a class on two inputs, and of RUN, whose only input is its
     * output: one operation with the bits of both. NULL: there is none. */
    mb_status_t (*forward_of_sum)(const mb_run_t *run, const mb_run_t *sum);
    /* What a call has to do with relus, flags of mb_relu_t. NULL: nothing. */
    unsigned (*relus)(const mb_call_t *call);
    /* What may run with a call (graph_tail.h), and that: the call's forward with it behind, into
     * tail->y; run->output is not written. NULL: nothing may. */
    mb_tail_kind_t (*tail)(const mb_call_t *call);
    mb_status_t (*forward_with_tail)(const mb_run_t *run, const mb_tail_t *tail);
};

/* From declare. Takes the initializer, regularizer and constraint objects (JSON, may be NULL:
 * Zeros, none, none). weight: trainable by nature. */
typedef struct {
    const char *name;
    mb_shape_t shape;
    int64_t fan_in, fan_out;
    mb_initializer_t initializer;
    mb_regularizer_t regularizer;
    mb_constraint_t constraint;
    bool weight;
    bool operand;
    mb_view_kind_t view;
} mb_param_spec_t;
mb_status_t mb_param_add(mb_param_list_t *list, const mb_param_spec_t *spec);
/* Names of what is added from now on stand behind PREFIX, and that behind the one before, *AROUND,
 * which mb_param_list_leave puts back. */
mb_status_t mb_param_list_enter(mb_param_list_t *list, const char *prefix, const char **around);
void mb_param_list_leave(mb_param_list_t *list, const char *around);

/* The roles of a call by its class. */
mb_roles_t mb_call_roles(const mb_call_t *call);
/* Whether moving statistics follow from the call's samples. */
bool mb_call_has_statistics(const mb_call_t *call);
/* What it keeps from batch to batch, by its class. */
int mb_call_states(const mb_call_t *call, mb_shape_t shapes[MB_MAX_STATES]);

/* Built-in classes, and those of plugins, by Keras class name; NULL if unknown. */
const mb_layer_class_t *mb_layer_class_find(const char *name);
/* Adds a class, which lives as long as the program. Of the process, not of a thread.
 * MB_ERR_ARGUMENT: the name is taken, or there is no more room. */
mb_status_t mb_layer_class_add(const mb_layer_class_t *class_);
/* The class's own part of a config; nothing where it has none. */
mb_status_t mb_layer_class_parse(const mb_layer_class_t *class_, mb_config_t *config,
                                 mb_arena_t *arena, void **out);

#endif
