/* What a plugin is written against: a shared object with layers, losses and data sources of its
 * own, which `mbrun --plugin FILE.so` and mb_context_load_plugin take in. doc/plugins.md tells why
 * it is as it is, examples/plugin/ shows one of each.
 *
 *     #include <mb/plugin.h>
 *
 *     static const mb_plugin_host_t *mb;
 *
 *     MB_PLUGIN_REGISTER(host, plugin)
 *     {
 *         mb = host;
 *         return mb->add_layer(plugin, &swish);
 *     }
 *
 * A program that links libmb registers the same without a shared object: mb_context_register takes
 * such a function.
 *
 * A plugin links nothing: all that it calls is in the mb_plugin_host_t it is given, whose functions
 * it may call in the callbacks that the comments name. What it registers are structs of function
 * pointers that begin with their size and live as long as the program. Callbacks return MB_OK, or
 * the status of mb->error, whose message is then what the user reads behind the layer's name.
 *
 * Shapes are of one sample: without the axis that counts samples. Arrays are C-ordered. */
#ifndef MB_PLUGIN_H
#define MB_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#include <mb/status.h>

#ifdef __cplusplus
extern "C" {
#define MB_PLUGIN_LINKAGE extern "C"
#else
#define MB_PLUGIN_LINKAGE
#endif

/* Raised when a struct here changes its meaning. A plugin of another number is refused. */
#define MB_PLUGIN_ABI 1

#if defined(__GNUC__)
#define MB_PLUGIN_VISIBLE __attribute__((visibility("default")))
#else
#define MB_PLUGIN_VISIBLE
#endif

/* Heads the one function that a plugin must have; see above. */
#define MB_PLUGIN_REGISTER(host, plugin)                                                           \
    MB_PLUGIN_LINKAGE MB_PLUGIN_VISIBLE int mb_plugin_abi(void);                                   \
    MB_PLUGIN_LINKAGE MB_PLUGIN_VISIBLE int mb_plugin_abi(void)                                    \
    {                                                                                              \
        return MB_PLUGIN_ABI;                                                                      \
    }                                                                                              \
    MB_PLUGIN_LINKAGE MB_PLUGIN_VISIBLE mb_status_t mb_plugin_register(                            \
        const mb_plugin_host_t *host, mb_plugin_t *plugin);                                        \
    MB_PLUGIN_LINKAGE MB_PLUGIN_VISIBLE mb_status_t mb_plugin_register(                            \
        const mb_plugin_host_t *host, mb_plugin_t *plugin)

#define MB_PLUGIN_DIMS 8    /* dimensions of a sample */
#define MB_PLUGIN_INPUTS 16 /* tensors that a layer takes */
#define MB_PLUGIN_WEIGHTS 8 /* weights of a layer */
#define MB_PLUGIN_PARTS 4   /* arrays that a call keeps */

#define MB_PLUGIN_OPEN (-1) /* a dimension that the model leaves to the data */

typedef struct mb_plugin mb_plugin_t;                 /* the plugin that is being registered */
typedef struct mb_plugin_config mb_plugin_config_t;   /* a config that is being read */
typedef struct mb_plugin_weights mb_plugin_weights_t; /* weights that are being declared */

/* The shape of one sample, or of a weight. */
typedef struct {
    int rank;                    /* dimensions */
    int64_t dim[MB_PLUGIN_DIMS]; /* [rank]; MB_PLUGIN_OPEN: the data tells */
} mb_plugin_shape_t;

/* Layers */

/* One call of a layer. Its inputs are tensors of floats, in the type that the layer computes in. */
typedef struct {
    const void *settings;                      /* from parse; NULL without it */
    int inputs;                                /* tensors that it takes */
    mb_plugin_shape_t input[MB_PLUGIN_INPUTS]; /* [inputs] */
    mb_plugin_shape_t output;                  /* of one sample */
} mb_plugin_call_t;

/* What a call keeps for its backward calls. */
typedef struct {
    int keeps_input[MB_PLUGIN_INPUTS]; /* 1: a backward call reads this input */
    int keeps_output;                  /* 1: ... the output */
    int64_t saved[MB_PLUGIN_PARTS];    /* elements of arrays that forward writes for them */
    int64_t carried[MB_PLUGIN_PARTS];  /* ... that backward_input writes for backward_weights */
} mb_plugin_memory_t;

/* A micro-batch passing through a call. Addresses are the device's: they are for the host's
 * operations, not to be followed. Those that are NULL are not there, or not wanted; while a run is
 * planned all are. Operations take NULL as it comes. */
typedef struct {
    const mb_plugin_call_t *call;        /* what passes through it */
    int64_t samples;                     /* of the micro-batch */
    int training;                        /* 1: a step of a training; 0: evaluation or prediction */
    const void *input[MB_PLUGIN_INPUTS]; /* [call->inputs] */
    void *output;                        /* written by forward */
    const float *weight[MB_PLUGIN_WEIGHTS];                   /* in the order of take_weight */
    const mb_plugin_shape_t *weight_shape[MB_PLUGIN_WEIGHTS]; /* of each */
    void *saved[MB_PLUGIN_PARTS];             /* written by forward for the backward calls */
    void *carried[MB_PLUGIN_PARTS];           /* written by backward_input for backward_weights */
    const void *grad_output;                  /* in the backward calls */
    void *grad_input[MB_PLUGIN_INPUTS];       /* in backward_input */
    float *grad_weight[MB_PLUGIN_WEIGHTS];    /* in backward_weights */
    int accumulate;                           /* ... adds to them instead of writing them */
    const struct mb_plugin_inside *internals; /* the host's */
} mb_plugin_run_t;

/* A class of layers. */
typedef struct {
    size_t size;      /* sizeof(mb_plugin_layer_t) */
    const char *name; /* Keras' class name, or the name it is registered by: "my_package>Swish2" */
    /* Reads the layer's keys by integer, real, ..., take_weight. A key that is not taken is refused
     * by name. `name`, `trainable`, `dtype` and `activity_regularizer` are the host's. *settings
     * comes from allocate, or is static. NULL: no keys. */
    mb_status_t (*parse)(mb_plugin_config_t *config, void **settings);
    /* Sets call->output, whose open dimensions follow from open ones. NULL: one input, and the
     * output is shaped as it. */
    mb_status_t (*infer)(mb_plugin_call_t *call);
    /* Gives the weights taken in parse their shapes, by shape_weight. NULL: none were taken. */
    mb_status_t (*declare)(const mb_plugin_call_t *call, mb_plugin_weights_t *weights);
    /* Fills *memory, which is zero, for a call of SAMPLES samples. NULL: nothing is kept. */
    void (*memory)(const mb_plugin_call_t *call, int64_t samples, mb_plugin_memory_t *memory);
    /* Writes output and saved. */
    mb_status_t (*forward)(const mb_plugin_run_t *run);
    /* Writes grad_input and carried. */
    mb_status_t (*backward_input)(const mb_plugin_run_t *run);
    /* Writes grad_weight, or adds to it. NULL: no weights. */
    mb_status_t (*backward_weights)(const mb_plugin_run_t *run);
    /* Operations of one sample, forward and in both backward calls: what the model is cut into
     * stages by. NULL: 4 an element of the output. */
    void (*cost)(const mb_plugin_call_t *call, double flops[3]);
} mb_plugin_layer_t;

/* Operands of map: a tensor of SAMPLES samples, a weight (the same for all samples, float32), or a
 * number. Shapes are broadcast as numpy does it. */
typedef enum { MB_PLUGIN_TENSOR = 0, MB_PLUGIN_WEIGHT = 1, MB_PLUGIN_NUMBER = 2 } mb_plugin_kind_t;

/* What map reads. */
typedef struct {
    mb_plugin_kind_t kind;          /* which of the below are read */
    const void *data;               /* a tensor's or a weight's */
    const mb_plugin_shape_t *shape; /* of one sample, or of the weight */
    float number;                   /* of MB_PLUGIN_NUMBER */
} mb_plugin_operand_t;

/* How map brings several values to one. */
typedef enum {
    MB_PLUGIN_SUM = 0,
    MB_PLUGIN_PROD = 1,
    MB_PLUGIN_MAX = 2,
    MB_PLUGIN_MIN = 3
} mb_plugin_reduction_t;

/* What map writes: along axes that it has not, or has one element of, the values are reduced (a
 * weight's gradient: over the samples). */
typedef struct {
    mb_plugin_kind_t kind; /* MB_PLUGIN_TENSOR, or MB_PLUGIN_WEIGHT for a weight's gradient */
    void *data;            /* where it stands */
    const mb_plugin_shape_t *shape;  /* of one sample, or of the weight */
    int add;                         /* 1: adds to what is there */
    mb_plugin_reduction_t reduction; /* along the axes that it has not */
    double scale;                    /* of a sum; 0: one */
} mb_plugin_result_t;

/* x W + b over rows: x [rows, in], W [in, out]. */
typedef struct {
    int64_t rows; /* of x, over all samples */
    int64_t in;   /* columns of x */
    int64_t out;  /* columns of the result */
    int kernel;   /* the index of the weight W */
    int bias;     /* that of b; -1: none */
} mb_plugin_linear_t;

/* Rows [rows, columns] of an array that a function of rows reads or writes. 0 columns: one array
 * for all rows, a weight. */
typedef struct {
    const void *data; /* [rows, columns] */
    int64_t columns;  /* 0: a weight */
} mb_plugin_read_t;

/* The same of an array that is written. */
typedef struct {
    void *data;      /* [rows, columns] */
    int64_t columns; /* numbers in a row */
} mb_plugin_write_t;

#define MB_PLUGIN_READS 6  /* arrays that a function of rows reads */
#define MB_PLUGIN_WRITES 2 /* ... writes */
#define MB_PLUGIN_SUMS 2   /* sums over all rows that it makes */

/* Some of the rows, in the host's memory. */
typedef struct {
    int64_t rows;                       /* in this tile */
    int64_t columns[MB_PLUGIN_READS];   /* of the reads; 0: a weight */
    const float *read[MB_PLUGIN_READS]; /* [rows, columns] each */
    float *write[MB_PLUGIN_WRITES];     /* NULL: not wanted */
    double *sum[MB_PLUGIN_SUMS]; /* zero at first; the host adds those of all tiles in order */
} mb_plugin_tile_t;

/* A function of rows: plain C on the host. What it computes of a row may depend on that row alone;
 * it is called by several threads at once. */
typedef struct {
    /* Computes the rows of TILE. */
    void (*function)(const void *settings, const mb_plugin_tile_t *tile);
    int reads;  /* arrays of each kind */
    int writes; /* ... */
    int sums;   /* ... */
} mb_plugin_rows_t;

/* Losses */

/* A class of losses. */
typedef struct {
    size_t size;       /* sizeof(mb_plugin_loss_t) */
    const char *name;  /* the class's, or the name it is registered by; --loss takes it too */
    const char *alias; /* another name; NULL: none */
    int sparse; /* 1: a row's label is one integer; 0: floats, as many as a row has columns */
    /* As a layer's; `name`, `reduction` and `dtype` are the host's. */
    mb_status_t (*parse)(mb_plugin_config_t *config, void **settings);
    /* The loss of one row of the output (its last axis), and the gradient by x into GRADIENT
     * [columns], NULL: not wanted; x may stand in the same place. labels: [columns], NULL where
     * sparse. Called by several threads at once; weights and means are the host's. */
    double (*row)(const void *settings, int64_t columns, const float *x, const float *labels,
                  int32_t label, float *gradient);
} mb_plugin_loss_t;

/* Sources of data */

/* One array of the samples in a file. */
typedef struct {
    const char *name;        /* "x", "y", or that of a model's input or output; lives until close */
    mb_plugin_shape_t shape; /* of one sample */
    int whole;               /* 1: int32 elements, 0: float32 */
} mb_plugin_field_t;

/* What a file holds. */
typedef struct {
    int64_t samples;                /* how many */
    int fields;                     /* arrays */
    const mb_plugin_field_t *field; /* [fields]; lives until close */
} mb_plugin_contents_t;

/* A kind of data files. */
typedef struct {
    size_t size;        /* sizeof(mb_plugin_source_t) */
    const char *ending; /* of the files that are its: ".sine" */
    int threads;        /* 1: read may be called by several threads at once */
    /* Opens a file; *data is handed to the calls below. */
    mb_status_t (*open)(const char *path, void **data, mb_plugin_contents_t *contents);
    /* Sample INDEX of a field, the same at every call, into TO: float32, or int32 where whole. */
    mb_status_t (*read)(void *data, int field, int64_t index, void *to);
    void (*close)(void *data); /* NULL: nothing to do */
} mb_plugin_source_t;

/* The host */

/* What the host offers a plugin. */
typedef struct mb_plugin_host {
    size_t size;         /* of this struct in the host */
    int abi;             /* MB_PLUGIN_ABI of the host */
    const char *version; /* of mbrun */

    /* While registering. MB_ERR_ARGUMENT: the name is taken, or a member is missing. Nothing is
     * registered unless mb_plugin_register returns MB_OK. */
    mb_status_t (*add_layer)(mb_plugin_t *plugin, const mb_plugin_layer_t *layer);
    mb_status_t (*add_loss)(mb_plugin_t *plugin, const mb_plugin_loss_t *loss);
    mb_status_t (*add_source)(mb_plugin_t *plugin, const mb_plugin_source_t *source);

    /* Records what printf makes of FORMAT as the message of a failure, and returns STATUS. */
    mb_status_t (*error)(mb_status_t status, const char *format, ...);

    /* While parsing. Keys that are absent or null give OTHERWISE; texts live as long as the model.
     * allocate: zeroed memory that does too; NULL: there is none. */
    mb_status_t (*integer)(mb_plugin_config_t *config, const char *key, int64_t otherwise,
                           int64_t *out);
    mb_status_t (*real)(mb_plugin_config_t *config, const char *key, double otherwise, double *out);
    mb_status_t (*boolean)(mb_plugin_config_t *config, const char *key, int otherwise, int *out);
    mb_status_t (*text)(mb_plugin_config_t *config, const char *key, const char *otherwise,
                        const char **out);
    void *(*allocate)(mb_plugin_config_t *config, size_t bytes);
    /* Adds a weight: the layer's next, in the order of Keras' layer.weights. Takes the keys
     * NAME_initializer, NAME_regularizer and NAME_constraint. initializer: Keras' name of the one
     * that is meant where the key is absent: "zeros", "glorot_uniform". product: 1 where linear
     * multiplies by it. */
    mb_status_t (*take_weight)(mb_plugin_config_t *config, const char *name,
                               const char *initializer, int product);

    /* While declaring: for each weight once, in order. No dimension may be open. */
    mb_status_t (*shape_weight)(mb_plugin_weights_t *weights, const mb_plugin_shape_t *shape);

    /* In forward and the backward calls: operations of the device, whichever it is, in the type
     * that the layer computes in. A result with the address NULL is not computed.
     *
     * map: y (+)= the reduction of FUNCTION over N operands, element by element; doc/plugins.md
     * lists the functions. */
    mb_status_t (*map)(const mb_plugin_run_t *run, const char *function, int n,
                       const mb_plugin_operand_t *operands, const mb_plugin_result_t *y);
    /* y = x W + b */
    mb_status_t (*linear)(const mb_plugin_run_t *run, const mb_plugin_linear_t *linear,
                          const void *x, void *y);
    /* dx = dy W^T */
    mb_status_t (*linear_input)(const mb_plugin_run_t *run, const mb_plugin_linear_t *linear,
                                const void *dy, void *dx);
    /* grad_weight (+)= x^T dy, and the sums of dy for the bias */
    mb_status_t (*linear_weights)(const mb_plugin_run_t *run, const mb_plugin_linear_t *linear,
                                  const void *x, const void *dy);
    /* Calls a function of rows for all ROWS rows: on the CPU alone, MB_ERR_UNSUPPORTED elsewhere.
     * sums: gradients of weights, which are written, or added to as run->accumulate says. */
    mb_status_t (*rows)(const mb_plugin_run_t *run, const mb_plugin_rows_t *work, int64_t rows,
                        const mb_plugin_read_t *reads, const mb_plugin_write_t *writes,
                        const mb_plugin_write_t *sums);
} mb_plugin_host_t;

#ifdef __cplusplus
}
#endif

#endif
