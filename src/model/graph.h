/* The model as a graph of calls.
 *
 * Layers (with their parameters) and nodes (calls of layers) are separate: a layer may be called
 * more than once, and a model inside a model is opened into its nodes. Nodes are in one
 * topological order that the model file alone decides: everything "in node order" means it.
 *
 *     tensor 0 --> node 0 (InputLayer) --> tensor 0 ... node k reads tensors, writes tensor k
 *
 * Node i writes tensor i. An InputLayer is a node without inputs whose tensor is given. */
#ifndef MB_MODEL_GRAPH_H
#define MB_MODEL_GRAPH_H

#include "model/layer.h"

/* A model that opens into more calls than this is refused: models nested in models that are called
 * over and over grow without bound from a small file. */
#define MB_MAX_NODES 65536
/* No tensor and no parameter has more elements (2^48); a byte count of it still fits. */
#define MB_MAX_ELEMENTS (INT64_C(1) << 48)

typedef struct {
    int node;  /* consumer */
    int input; /* which of its inputs */
} mb_use_t;

typedef struct mb_node {
    int layer;                 /* index into graph->layers */
    int call_index;            /* which call of that layer, from 0 */
    int inputs[MB_MAX_INPUTS]; /* tensors = nodes that write them */
    mb_call_t call;
    bool is_input;
    int n_uses;
    mb_use_t *uses;      /* consumers in node order */
    bool needs_gradient; /* a trainable parameter lies upstream or in the node itself: its output's
                            gradient is wanted. False where no output of the model depends on
                            the node (an output of a nested model that nobody uses). */
    bool trains;         /* has trainable parameters itself */
} mb_node_t;

/* How a mask comes about. For what is told to losses before a step: see engine/mask_values.h. */
typedef struct mb_mask {
    mb_mask_rule_t rule;
    int index;                               /* in graph->masks */
    int n;                                   /* of what it is made */
    const struct mb_mask *of[MB_MAX_INPUTS]; /* of JOINED NULL: all ones, as long as the tensor */
    int tensors[MB_MAX_INPUTS];              /* nodes: what it looks at, or what is joined */
    mb_dtype_t type;                         /* numbers are compared in */
    mb_shape_t shape;                        /* of a sample, once the graph is bound */
} mb_mask_t;

typedef struct {
    const char *name; /* Keras' name of the output (its layer's name) */
    int node;
    const mb_mask_t *mask; /* NULL: it has none. Set by mb_graph_bind */
} mb_output_t;

struct mb_graph_detail; /* the models and layers as the file nests them; graph_private.h */

typedef struct mb_graph {
    mb_arena_t *arena;
    struct mb_graph_detail *detail;
    const char *name; /* the model's */
    bool sequential;
    int n_layers;
    mb_layer_t **layers; /* in the order their first node has; InputLayers are among them, with
                            a class that has only its name */
    int n_nodes;
    mb_node_t *nodes;
    int n_params;
    mb_param_t *params; /* parameter order: Keras' model.weights order by layer; all of them.
                           Set by mb_graph_bind */
    int n_inputs;
    int *inputs; /* nodes, in the order of the model's inputs */
    const char **input_names;
    int64_t batch;     /* samples of a batch, where the inputs' shapes say so; 0: any */
    bool keeps_states; /* calls keep some from batch to batch, so that it must have that many. Set
                          by mb_graph_bind */
    int n_outputs;
    mb_output_t *outputs;
    int n_masks; /* in the order of the nodes whose outputs have them; one may serve many */
    mb_mask_t **masks;
    json_t *config; /* model_config as read, kept for writing */
    /* The file's layout: layer_names of the top-level model, and the parameters of each in Keras'
     * order of weight_names (trainable ones first; nested models' weights flattened in their
     * order). */
    int n_file_layers;
    const char **file_layers;
    int *file_layer_n_params;
    int **file_layer_params;
    /* weight_names of each: params[i].path as Keras 3 writes it, e.g. "sequential/dense/kernel" in
     * a Sequential model, "dense/kernel" in a functional one; the model a layer stands in counts,
     * those around it do not. Where Keras would give two parameters one path, the later one gets
     * the names of all models around it, and a number if that is taken too. When a file is read,
     * its own weight_names win. */
} mb_graph_t;

/* Builds the graph from model_config's text (Sequential or Functional/Model, Keras 2 and 3
 * dialects). WHERE names the file. Input shapes may stay open; an input that the file says nothing
 * about has rank -1. Not collective. */
mb_status_t mb_graph_create(const char *model_config, const char *where, mb_graph_t **out);
void mb_graph_destroy(mb_graph_t *graph);

/* Before mb_graph_bind: all layers compute in TYPE (float32, bfloat16 or float16), whatever the
 * file's policies say; but where those differ, layers that the file keeps in float32 stay so. */
void mb_graph_compute_in(mb_graph_t *graph, mb_dtype_t type);

/* Fixes open input dimensions (samples' shapes, one per model input) and infers every shape.
 * A dimension that is given in the model must agree; as in Keras, a last dimension of 1 may be
 * missing or too many. Must be called once, before sizes are used, also when nothing is open
 * (input_shapes NULL then). Declares all parameters. */
mb_status_t mb_graph_bind(mb_graph_t *graph, const mb_shape_t *input_shapes);

/* Tokens in a sample of a bound graph: the ids in the first input that an Embedding looks up, where
 * they are more than one; else 0. */
int64_t mb_graph_tokens(const mb_graph_t *graph);

/* The parameter with this path, the layer with this path; -1 if none. */
int mb_graph_param(const mb_graph_t *graph, const char *path);
int mb_graph_layer(const mb_graph_t *graph, const char *path);

/* What whole numbers must be below that stand in a node's output, by the calls that take them; 0:
 * any. Once the graph is bound. */
int64_t mb_graph_vocabulary(const mb_graph_t *graph, int node);

/* Initial values of a parameter for a seed: a function of (seed, path) only. Writes
 * param->elements floats to host memory. */
mb_status_t mb_param_initialize(const mb_param_t *param, uint64_t seed, float *values);

#endif
