/* A draft as Keras 3 serializes it. */
#include "model/draft_private.h"

#include <string.h>

/* These take their tensors one by one, all others as one list. */
static bool takes_each(const char *class_name)
{
    return strcmp(class_name, "MultiHeadAttention") == 0 ||
           strcmp(class_name, "GroupedQueryAttention") == 0 ||
           strcmp(class_name, "GroupQueryAttention") == 0;
}

/* [null, 28, null, 3] */
static json_t *batch_shape(const mb_shape_t *sample)
{
    json_t *shape = json_pack("[n]");
    for (int i = 0; i < sample->rank; i++)
        json_array_append_new(shape, sample->dim[i] == MB_OPEN
                                         ? json_null()
                                         : json_integer((json_int_t)sample->dim[i]));
    return shape;
}

json_t *mb_draft_input_layer(const mb_draft_tensor_t *tensor)
{
    return json_pack("{s:s, s:{s:o, s:s, s:b, s:s}, s:s, s:[]}", "class_name", "InputLayer",
                     "config", "batch_shape", batch_shape(&tensor->shape), "dtype", tensor->dtype,
                     "sparse", 0, "name", tensor->layer, "name", tensor->layer, "inbound_nodes");
}

static json_t *keras_tensor(const mb_draft_tensor_t *tensor)
{
    return json_pack("{s:s, s:{s:o, s:s, s:[sii]}}", "class_name", "__keras_tensor__", "config",
                     "shape", batch_shape(&tensor->shape), "dtype", tensor->dtype, "keras_history",
                     tensor->layer, tensor->call, 0);
}

json_t *mb_draft_node(const mb_draft_tensor_t *tensors, const mb_draft_call_t *call)
{
    json_t *args = json_array();
    for (int i = 0; i < call->n_inputs; i++)
        json_array_append_new(args, keras_tensor(&tensors[call->inputs[i]]));
    if (call->n_inputs > 1 && !takes_each(call->class_name))
        args = json_pack("[o]", args);
    json_t *kwargs = call->kwargs == NULL ? json_object() : json_deep_copy(call->kwargs);
    return json_pack("{s:o, s:o}", "args", args, "kwargs", kwargs);
}

/* ---- the whole model */

static bool gives(const mb_draft_t *draft, int tensor)
{
    for (int i = 0; i < draft->n_outputs; i++) {
        if (draft->outputs[i] == tensor)
            return true;
    }
    return draft->n_outputs == 0 && !draft->tensors[tensor].used;
}

static bool is_chain(const mb_draft_t *draft)
{
    return draft->chain && draft->n_tensors > 1 &&
           (draft->n_outputs == 0 ||
            (draft->n_outputs == 1 && draft->outputs[0] == draft->n_tensors - 1));
}

static json_t *sequential(const mb_draft_t *draft)
{
    size_t at;
    json_t *layer;
    json_t *layers = json_array();
    json_array_foreach(draft->layers, at, layer)
    {
        json_array_append_new(layers, json_pack("{s:O, s:O}", "class_name",
                                                json_object_get(layer, "class_name"), "config",
                                                json_object_get(layer, "config")));
    }
    return json_pack("{s:s, s:{s:s, s:b, s:o, s:o}}", "class_name", "Sequential", "config", "name",
                     draft->name, "trainable", 1, "layers", layers, "build_input_shape",
                     batch_shape(&draft->tensors[0].shape));
}

static void append_entry(json_t *list, const mb_draft_tensor_t *tensor)
{
    json_array_append_new(list, json_pack("[sii]", tensor->layer, tensor->call, 0));
}

/* One input and one output stand without a list around them, as Keras writes them. */
static json_t *entries(json_t *list)
{
    if (json_array_size(list) != 1)
        return list;
    json_t *only = json_incref(json_array_get(list, 0));
    json_decref(list);
    return only;
}

static json_t *functional(const mb_draft_t *draft)
{
    json_t *inputs = json_array(), *outputs = json_array();
    for (int i = 0; i < draft->n_tensors; i++) {
        if (draft->tensors[i].is_input)
            append_entry(inputs, &draft->tensors[i]);
        else if (draft->n_outputs == 0 && gives(draft, i))
            append_entry(outputs, &draft->tensors[i]);
    }
    for (int i = 0; i < draft->n_outputs; i++)
        append_entry(outputs, &draft->tensors[draft->outputs[i]]);
    return json_pack("{s:s, s:{s:s, s:b, s:O, s:o, s:o}}", "class_name", "Functional", "config",
                     "name", draft->name, "trainable", 1, "layers", draft->layers, "input_layers",
                     entries(inputs), "output_layers", entries(outputs));
}

/* A layer that nothing comes of would be lost without a word. */
static mb_status_t check_used(const mb_draft_t *draft)
{
    for (int i = 0; i < draft->n_tensors; i++) {
        const mb_draft_tensor_t *tensor = &draft->tensors[i];
        if (!tensor->used && (tensor->is_input || !gives(draft, i)))
            return mb_error_set(MB_ERR_ARGUMENT,
                                "model '%s': nothing comes of %s '%s': no call takes it%s",
                                draft->name, tensor->is_input ? "input" : "layer", tensor->name,
                                tensor->is_input ? "" : ", and it is no output");
    }
    return MB_OK;
}

mb_status_t mb_draft_config(const mb_draft_t *draft, json_t **out)
{
    if (draft->n_tensors == 0)
        return mb_error_set(MB_ERR_ARGUMENT, "model '%s' has no layers yet", draft->name);
    MB_TRY(check_used(draft));
    json_t *config = is_chain(draft) ? sequential(draft) : functional(draft);
    if (config == NULL)
        return mb_error_memory("a model's config", 0);
    *out = config;
    return MB_OK;
}
