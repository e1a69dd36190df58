/* What the files of a draft share. */
#ifndef MB_MODEL_DRAFT_PRIVATE_H
#define MB_MODEL_DRAFT_PRIVATE_H

#include "model/draft.h"

/* What a call gives, or an input of the model. */
typedef struct {
    const char *name;  /* "dense", "dense:1" */
    const char *layer; /* "dense" */
    int call;          /* 1 */
    bool is_input, used;
    mb_shape_t shape; /* of a sample */
    const char *dtype;
} mb_draft_tensor_t;

struct mb_draft {
    mb_arena_t *arena;
    const char *name;
    json_t *layers; /* as in a functional model: class_name, config, name, inbound_nodes */
    int n_tensors, room;
    mb_draft_tensor_t *tensors; /* in the order in which they were added */
    int n_outputs;              /* as set; 0: not */
    int outputs[MB_MAX_INPUTS];
    bool chain; /* one input, and each layer took what was there last */
};

/* A call that is being added. */
typedef struct {
    const char *class_name;
    int n_inputs;
    int inputs[MB_MAX_INPUTS]; /* tensors */
    json_t *kwargs;            /* NULL: none */
} mb_draft_call_t;

/* draft_config.c: the layer's config with its name first, and what it had under `call`. New
 * references; *kwargs NULL: nothing. */
mb_status_t mb_draft_read_config(const char *text, const char *name, const char *where,
                                 json_t **config, json_t **kwargs);

/* draft_infer.c: shape and type of what LAYER, whose config is there, gives for the call. */
mb_status_t mb_draft_infer(const mb_draft_t *draft, const json_t *layer,
                           const mb_draft_call_t *call, mb_draft_tensor_t *out);

/* draft_write.c: an entry of inbound_nodes. TENSORS: what the call's inputs count. A new
 * reference; NULL: no memory. */
json_t *mb_draft_node(const mb_draft_tensor_t *tensors, const mb_draft_call_t *call);
json_t *mb_draft_input_layer(const mb_draft_tensor_t *tensor);

#endif
