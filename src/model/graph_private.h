/* The model file as it nests: modules (layers, inputs and models) and the calls inside each model.
 * graph_read.c makes them from JSON, graph_calls.c and graph_resolve.c read how they are connected,
 * graph_open.c opens them into the nodes of graph.h, graph_bind.c and graph_params.c give sizes to
 * those. */
#ifndef MB_MODEL_GRAPH_PRIVATE_H
#define MB_MODEL_GRAPH_PRIVATE_H

#include "model/graph.h"
#include "model/graph_names.h"

/* The whole graph may come out of a model nested this deep. */
#define MB_MAX_NESTING 32
#define MB_RANK_UNKNOWN (-1)

typedef struct mb_module mb_module_t;

/* What a call takes: an output of another call in the same model. */
typedef struct {
    int call;
    int output;
} mb_source_t;

/* The same as the file writes it: [layer name, call of that layer, output]. */
typedef struct {
    const char *layer;
    int64_t call;
    int64_t output;
} mb_reference_t;

/* One call of a member of a model. */
typedef struct {
    int member;
    int n_inputs;
    mb_reference_t *references; /* [n_inputs] */
    mb_source_t *inputs;        /* [n_inputs], what the references mean */
    int n_masks;                /* of them, the last ones */
    int masks[MB_MAX_INPUTS];   /* which is the mask of input i; 0: none is written */
    int given;                  /* which is the attention_mask; 0: none */
    uint64_t used;              /* bit i: output i is */
    const void *config;         /* from the class's parse_call */
} mb_module_call_t;

typedef enum { MB_MODULE_INPUT, MB_MODULE_LAYER, MB_MODULE_MODEL } mb_module_kind_t;

struct mb_module {
    mb_module_kind_t kind;
    const char *class_name;
    const char *name;
    const char *path; /* names of the models it stands in, without the outermost, and its own */
    const mb_module_t *parent; /* NULL: the outermost model */
    bool trainable;            /* its own flag and those of all models around it */
    mb_dtype_t type;           /* that it computes in, by its policy */
    bool operation;            /* of keras.ops, rather than a layer */
    bool distributed;          /* models: a TimeDistributed around one, */
    const char *inside;        /* which has this name */
    const json_t *inbound;     /* its calls as the file has them; NULL in a Sequential model */

    mb_layer_t *layer; /* inputs and layers */
    int n_opened;      /* nodes made of it so far */

    mb_shape_t shape; /* inputs: of a sample; rank MB_RANK_UNKNOWN: nothing is said */
    int64_t batch;    /* inputs: samples of a batch; MB_OPEN: any */
    bool integer;     /* inputs: declared with an integer type */

    /* models */
    bool sequential;
    int n_members;
    mb_module_t **members; /* in the file's order */
    int *first_call;       /* [n_members + 1]: the calls of member i are first_call[i] and on */
    int n_calls;
    mb_module_call_t *calls;
    int *order; /* [n_calls]: the calls, each behind those it depends on */
    int n_inputs;
    int *inputs; /* the calls of its InputLayers, in the order of the model's arguments */
    int n_outputs;
    mb_source_t *outputs;
    int64_t total_nodes; /* nodes one call of it opens into */
    int64_t total_calls; /* the same with calls of models counted */
};

/* A tensor that enters a nested model must have the shape its InputLayer declares. */
typedef struct {
    int node;   /* checked before this node */
    int tensor; /* the node that writes it */
    const mb_module_t *input;
} mb_entry_t;

/* A nested model is called with a mask for one of its inputs. */
typedef struct {
    int tensor, mask; /* nodes */
    const mb_module_t *model;
} mb_written_mask_t;

typedef struct {
    int n;
    mb_param_spec_t *specs[MB_MAX_LAYER_PARAMS];
} mb_layer_specs_t;

typedef struct mb_graph_detail {
    const char *where;
    json_t *kept; /* JSON made here that classes may point into */
    mb_module_t *root;
    int n_entries;
    mb_entry_t *entries;
    int n_written; /* at most one for each input of a call of a nested model */
    mb_written_mask_t *written;
    bool bound;
    mb_layer_specs_t *specs; /* [n_layers] */
    mb_names_t params;       /* path to index */
} mb_graph_detail_t;

/* What reading passes around. */
typedef struct {
    mb_arena_t *arena;
    json_t *kept; /* a list */
    bool keras2;  /* the dialect */
    int steps;    /* TimeDistributed around what is being read */
} mb_reader_t;

struct mb_param_list {
    mb_arena_t *arena;
    const mb_layer_t *layer;
    mb_layer_specs_t *specs;
    const char *prefix; /* of names; NULL: none */
};

#define MB_ARENA_TRY(pointer, what)                                                                \
    do {                                                                                           \
        if ((pointer) == NULL)                                                                     \
            return mb_error_memory((what), 0);                                                     \
    } while (0)

extern const mb_layer_class_t mb_input_class;

/* graph_open.c: from the inputs of all nodes. */
mb_status_t mb_graph_link_uses(mb_graph_t *graph);
/* graph_mask.c: once, before shapes are inferred and types are looked at; then what masks have for
 * shapes. */
mb_status_t mb_graph_insert_masks(mb_graph_t *graph);
/* graph_written.c: whether the operations behind tensor FROM of NODES say what MASK says. */
bool mb_mask_is_written(const mb_node_t *nodes, int from, const mb_mask_t *mask);
/* NEEDED: [n_nodes] all nodes but operations of masks whose results nothing reads. */
void mb_mask_mark_needed(const mb_graph_t *graph, bool *needed);
void mb_graph_size_masks(mb_graph_t *graph);
/* graph_parts.c: how many outputs a call of MODULE has; 0: as many as are used. */
int mb_module_outputs(const mb_module_t *module);
/* A layer that takes output INDEX of a call of OF out of its tensor. */
mb_status_t mb_part_layer(mb_arena_t *arena, const mb_layer_t *of, int index, mb_layer_t **out);
bool mb_part_is(const mb_layer_t *layer);
/* Shape and place of a call of such a layer. */
void mb_part_place(mb_call_t *part, const mb_call_t *whole);
/* graph_cast.c: once, before shapes are inferred. */
mb_status_t mb_graph_insert_casts(mb_graph_t *graph);

/* graph_read.c: the outermost model from its wrapper {"class_name", "config", ...}. */
mb_status_t mb_module_read(mb_reader_t *reader, const json_t *wrapper, mb_module_t **out);

/* graph_layer.c: fills MODULE (name, path and parent are set) from a layer's config. */
mb_status_t mb_module_read_layer(mb_reader_t *reader, const json_t *config, mb_module_t *module);
/* TimeDistributed around a model: its keys but the model, *INNER; shape and batch of MODULE are
 * those that it says. */
mb_status_t mb_module_read_distributed(const json_t *config, mb_module_t *module,
                                       const json_t **inner);
/* The same for an operation. */
mb_status_t mb_module_read_operation(mb_reader_t *reader, const json_t *config,
                                     mb_module_t *module);
/* The same for an InputLayer. */
mb_status_t mb_module_read_input(mb_reader_t *reader, const json_t *config, mb_module_t *module);
/* An InputLayer that a Sequential model leaves out. */
mb_status_t mb_module_imply_input(mb_reader_t *reader, mb_module_t *model,
                                  const json_t *build_shape, mb_module_t **out);
/* What a policy computes in; refuses those whose weights are not float32. */
mb_status_t mb_dtype_policy_read(const json_t *dtype, const char *where, mb_dtype_t *out);

/* graph_calls.c: the calls, inputs and outputs of a functional model; a chain for a Sequential one.
 */
mb_status_t mb_calls_read(mb_reader_t *reader, mb_module_t *model, const json_t *input_layers,
                          const json_t *output_layers);
mb_status_t mb_calls_chain(mb_reader_t *reader, mb_module_t *model);

/* graph_resolve.c: turns the references of calls into inputs, and input_layers and output_layers
 * into the model's. */
mb_status_t mb_calls_resolve(mb_reader_t *reader, mb_module_t *model, bool keras2,
                             const json_t *input_layers, const json_t *output_layers);

/* graph_references.c: the tensors of one call in the order of the layer's arguments; other
 * arguments that say something are put into KWARGS. */
#define MB_MAX_REFERENCES 64
typedef struct {
    int n;
    int n_masks; /* as in mb_module_call_t */
    int masks[MB_MAX_INPUTS];
    int given;
    mb_reference_t items[MB_MAX_REFERENCES];
} mb_references_t;
mb_status_t mb_references_of_call(const json_t *node, const mb_module_t *module, const char *where,
                                  mb_references_t *out, json_t *kwargs);
/* graph_arguments.c: the same of a call of an operation (model/layers/operators.h). */
mb_status_t mb_arguments_of_call(const json_t *node, const char *where, mb_references_t *out,
                                 json_t *kwargs);
/* graph_lambda.c: Keras 2's operations. The rewriting sets module's class, calls and *CONFIG to
 * those of the operation it stands for. */
bool mb_is_lambda(const char *class_name);
mb_status_t mb_lambda_rewrite(mb_reader_t *reader, mb_module_t *module, const json_t **config);
/* The leaves of input_layers or output_layers: [name, 0, 0], lists or objects of them. */
mb_status_t mb_references_flatten(const json_t *value, const char *where, mb_references_t *out);

/* graph_order.c: sets model->order and the totals; refuses cycles and calls that no output needs.
 */
mb_status_t mb_calls_order(mb_arena_t *arena, mb_module_t *model);

/* graph_open.c: layers, nodes, inputs, outputs and uses of GRAPH from detail->root. */
mb_status_t mb_graph_open(mb_graph_t *graph);

/* graph_ids.c: MB_ERR_SHAPE where a call gives numbers that a table has no rows for. */
mb_status_t mb_graph_check_ids(const mb_graph_t *graph);

/* graph_states.c: whether calls keep states, and MB_ERR_UNSUPPORTED where they cannot. */
mb_status_t mb_graph_check_states(mb_graph_t *graph);

/* graph_params.c: params, paths and the file's layout from detail->specs. */
mb_status_t mb_graph_order_params(mb_graph_t *graph);

/* graph_variables.c: the variables of params. */
mb_status_t mb_graph_name_variables(mb_graph_t *graph);

#endif
