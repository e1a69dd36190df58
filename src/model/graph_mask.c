/* Masks through the graph. Each call's class says by a rule (mb_mask_rule_t) what mask its output
 * has. That alone makes no tensor: a node for a mask stands in front of the first call that takes
 * it, and its output goes to each such call as one more input, over stages as any other. So nothing
 * below the graph knows of masks.
 *
 * Keras goes through the calls twice: when a model is built and each time it runs. What a file
 * writes beside a call is from the first time, when no call has forgotten masks yet; what a call
 * hands on is from the second. Calls run in the order of the nodes.
 *
 *     ids --> Embedding --> Dense --> LSTM        rules: NOT_ZERO, PASSED, ...
 *       |                               ^
 *       +-----> Mask -------------------+ */
#include "model/graph_insert.h"
#include "model/layers/mask.h"

#include "base/number.h"

typedef struct {
    mb_insertion_t in;
    const mb_mask_t **of;    /* [n_old] each tensor's; NULL: it has none */
    const mb_mask_t **built; /* [n_old] the same when the model was built */
    bool *needed;            /* [n_old] */
    int *nodes;              /* [masks] new ones that write them; -1: none yet */
} masking_t;

static int arguments_of(const mb_node_t *node)
{
    return node->call.n_inputs - node->call.n_masks;
}

static const mb_layer_class_t *class_of(const mb_node_t *node)
{
    return node->is_input ? NULL : node->call.layer->class_;
}

static bool has_masks(const mb_graph_t *graph)
{
    bool any = graph->detail->n_written > 0;
    for (int k = 0; k < graph->n_nodes; k++) {
        const mb_node_t *node = &graph->nodes[k];
        const mb_layer_class_t *class_ = class_of(node);
        mb_mask_kind_t kind = class_ == NULL || class_->mask == NULL
                                  ? MB_MASK_DROPPED
                                  : class_->mask(&node->call).kind;
        any = any || node->call.n_masks > 0 || kind >= MB_MASK_NOT_ZERO;
    }
    return any;
}

/* A number as TYPE holds it: what numbers of that type are compared with. */
static float rounded_to(mb_dtype_t type, float value)
{
    uint16_t narrow;
    if (type == MB_F32)
        return value;
    mb_number_encode(mb_number_of(type), 0, &value, 1, &narrow);
    mb_number_decode(mb_number_of(type), 0, &narrow, 1, &value);
    return value;
}

static mb_status_t new_mask(masking_t *m, mb_mask_rule_t rule, const mb_node_t *node, int tensor,
                            const mb_mask_t **out)
{
    mb_graph_t *graph = m->in.graph;
    mb_mask_t *mask = MB_ARENA_NEW(graph->arena, mb_mask_t);
    MB_ARENA_TRY(mask, "a mask");
    *mask = (mb_mask_t){.rule = rule, .index = graph->n_masks, .type = node->call.layer->type};
    bool merges = rule.kind == MB_MASK_EITHER || rule.kind == MB_MASK_JOINED;
    mask->n = merges ? arguments_of(node) : 1;
    mask->tensors[0] = tensor;
    for (int i = 0; merges && i < mask->n; i++) {
        mask->tensors[i] = node->inputs[i];
        mask->of[i] = m->of[mask->tensors[i]];
    }
    m->nodes[mask->index] = -1;
    graph->masks[graph->n_masks++] = mask;
    mask->rule.value = rounded_to(mask->type, rule.value);
    *out = mask;
    return MB_OK;
}

/* How many of a call's inputs have masks. */
static int count_masked(const masking_t *m, const mb_node_t *node)
{
    int n = 0;
    for (int i = 0; i < arguments_of(node); i++)
        n += m->of[node->inputs[i]] != NULL;
    return n;
}

static bool is_written(const masking_t *m, int from, const mb_mask_t *mask)
{
    return mask != NULL && mb_mask_is_written(m->in.graph->nodes, from, mask);
}

/* The mask of a call's argument: that which is written beside it, if there is one. */
static mb_status_t mask_of(masking_t *m, const mb_node_t *node, int argument, const mb_mask_t **out)
{
    int written = node->call.masks[argument], tensor = node->inputs[argument];
    *out = m->of[tensor];
    if (written == 0 || is_written(m, node->inputs[written], *out))
        return MB_OK;
    *out = m->built[tensor];
    if (is_written(m, node->inputs[written], *out))
        return MB_OK;
    return new_mask(m, (mb_mask_rule_t){.kind = MB_MASK_GIVEN}, node, node->inputs[written], out);
}

/* Whether the mask of call K is made of the same as when the model was built. */
static bool is_as_built(const masking_t *m, int k)
{
    const mb_node_t *node = &m->in.graph->nodes[k];
    bool same = m->of != m->built;
    for (int i = 0; i < arguments_of(node); i++)
        same = same && m->of[node->inputs[i]] == m->built[node->inputs[i]];
    return same;
}

/* Keras 3 looks for the masks of a call with several arguments under the arguments' names, which
 * recurrent layers have none for: beside initial states only a mask that is written is heeded. */
static bool overlooks(const mb_node_t *node)
{
    const mb_layer_class_t *class_ = class_of(node);
    return class_ != NULL && class_->takes_states && !node->call.layer->keras2 &&
           arguments_of(node) > 1 && node->call.masks[0] == 0;
}

/* FIRST: the mask of the first argument. */
static mb_status_t follow_rule(masking_t *m, int k, const mb_mask_t *first)
{
    const mb_node_t *node = &m->in.graph->nodes[k];
    const mb_mask_t **out = &m->of[k];
    const mb_layer_class_t *class_ = class_of(node);
    *out = NULL;
    if (class_ == NULL || class_->mask == NULL)
        return MB_OK;
    mb_mask_rule_t rule = class_->mask(&node->call);
    if (rule.kind == MB_MASK_PASSED)
        *out = first;
    if (rule.kind == MB_MASK_DROPPED || rule.kind == MB_MASK_PASSED ||
        (rule.kind == MB_MASK_EITHER && count_masked(m, node) < arguments_of(node)) ||
        (rule.kind == MB_MASK_JOINED && count_masked(m, node) == 0))
        return MB_OK;
    if (is_as_built(m, k)) {
        *out = m->built[k];
        return MB_OK;
    }
    return new_mask(m, rule, node, node->inputs[0], out);
}

/* The new node that writes a mask, and those it is made of before it. */
static mb_status_t place_mask(masking_t *m, const mb_mask_t *mask, int *out)
{
    mb_graph_t *graph = m->in.graph;
    int inputs[MB_MAX_INPUTS];
    *out = m->nodes[mask->index];
    if (*out >= 0)
        return MB_OK;
    for (int i = 0; i < mask->n; i++) {
        inputs[i] = m->in.places[mask->tensors[i]];
        if (mask->of[i] != NULL)
            MB_TRY(place_mask(m, mask->of[i], &inputs[i]));
    }
    if (mask->rule.kind == MB_MASK_GIVEN) {
        *out = m->nodes[mask->index] = inputs[0];
        return MB_OK;
    }
    mb_layer_t *layer = MB_ARENA_NEW(graph->arena, mb_layer_t);
    MB_ARENA_TRY(layer, "a mask");
    *layer = (mb_layer_t){.class_ = &mb_layer_mask,
                          .config = graph->masks[mask->index],
                          .type = mask->type,
                          .implied = true};
    const char *path = m->in.old[mask->tensors[0]].call.layer->path;
    layer->name = layer->path = mb_arena_format(graph->arena, "mask of %s", path);
    MB_ARENA_TRY(layer->path, "a mask");
    *out = m->nodes[mask->index] = mb_insertion_add(&m->in, layer, inputs, mask->n);
    return MB_OK;
}

static mb_status_t take_mask(masking_t *m, mb_node_t *node, int input, const mb_mask_t *mask)
{
    mb_call_t *call = &node->call;
    int from;
    if (mask == NULL)
        return MB_OK;
    MB_TRY(place_mask(m, mask, &from));
    for (int i = arguments_of(node); i < call->n_inputs; i++) {
        if (node->inputs[i] == from)
            call->masks[input] = i;
    }
    if (call->masks[input] > 0)
        return MB_OK;
    if (call->n_inputs == MB_MAX_INPUTS)
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "layer '%s' (%s): called with more than %d tensors and masks",
                            call->layer->path, call->layer->class_->name, MB_MAX_INPUTS);
    call->masks[input] = call->n_inputs;
    node->inputs[call->n_inputs++] = from;
    call->n_masks++;
    return MB_OK;
}

static bool forgets(const mb_node_t *node)
{
    const mb_layer_class_t *class_ = class_of(node);
    return class_ != NULL && class_->mask != NULL && class_->mask(&node->call).forgets;
}

/* What calls take and hand on, into m->of. */
static mb_status_t go_through(masking_t *m, bool forgetting,
                              const mb_mask_t *(*taken)[MB_MAX_INPUTS])
{
    mb_graph_t *graph = m->in.graph;
    for (int k = 0; k < graph->n_nodes; k++) {
        const mb_node_t *node = &graph->nodes[k];
        for (int i = 0; i < arguments_of(node); i++)
            MB_TRY(mask_of(m, node, i, &taken[k][i]));
        MB_TRY(follow_rule(m, k, taken[k][0]));
        if (overlooks(node))
            taken[k][0] = NULL;
        for (int i = 0; forgetting && forgets(node) && i < arguments_of(node); i++)
            m->of[node->inputs[i]] = NULL;
    }
    return MB_OK;
}

/* A second time only where the first would not do. Those that are written are as good as gone
 * then. */
static mb_status_t find_masks(masking_t *m, const mb_mask_t *(*taken)[MB_MAX_INPUTS])
{
    bool again = false;
    m->of = m->built;
    MB_TRY(go_through(m, false, taken));
    for (int k = 0; k < m->in.graph->n_nodes; k++)
        again = again || forgets(&m->in.graph->nodes[k]);
    if (!again)
        return MB_OK;
    m->of = MB_ARENA_ARRAY(m->in.graph->arena, const mb_mask_t *, m->in.graph->n_nodes);
    MB_ARENA_TRY(m->of, "a graph's masks");
    return go_through(m, true, taken);
}

/* A nested model's inputs have the masks of what it is called with, and a file repeats them. */
static mb_status_t check_written(const masking_t *m)
{
    const mb_graph_detail_t *detail = m->in.graph->detail;
    for (int i = 0; i < detail->n_written; i++) {
        const mb_written_mask_t *written = &detail->written[i];
        if (!is_written(m, written->mask, m->built[written->tensor]))
            return mb_error_set(MB_ERR_UNSUPPORTED,
                                "model '%s': called with a 'mask' that is not its input's own; "
                                "give the mask to the layers that take it",
                                written->model->path);
    }
    return MB_OK;
}

static bool is_given(const mb_mask_t *mask)
{
    return mask != NULL && mask->rule.kind == MB_MASK_GIVEN;
}

/* Of what calls read besides their arguments only the attention_mask stays, and given masks. */
static void drop_written(mb_graph_t *graph, const mb_mask_t *const (*taken)[MB_MAX_INPUTS])
{
    for (int k = 0; k < graph->n_nodes; k++) {
        mb_node_t *node = &graph->nodes[k];
        int n = arguments_of(node), given = node->call.given;
        int attention = given > 0 ? node->inputs[given] : -1;
        node->call.n_inputs = n;
        for (int i = 0; i < n; i++)
            node->call.masks[i] = 0;
        node->call.given = given > 0 ? node->call.n_inputs : 0;
        if (given > 0)
            node->inputs[node->call.n_inputs++] = attention;
        for (int i = 0; i < n; i++) {
            if (is_given(taken[k][i]) && node->call.n_inputs < MB_MAX_INPUTS)
                node->inputs[node->call.n_inputs++] = taken[k][i]->tensors[0];
        }
        node->call.n_masks = node->call.n_inputs - n;
    }
}

static bool takes_masks(const mb_node_t *node)
{
    const mb_layer_class_t *class_ = class_of(node);
    if (class_ == NULL || class_->takes_masks != MB_TAKES_MASKS)
        return false;
    return class_->mask == NULL || !class_->mask(&node->call).ignored;
}

static mb_status_t copy_node(masking_t *m, int k, const mb_mask_t *const *taken)
{
    const mb_node_t *old = &m->in.old[k];
    const mb_layer_class_t *class_ = class_of(old);
    mb_node_t node = *old;
    for (int i = 0; i < node.call.n_inputs; i++)
        node.inputs[i] = m->in.places[old->inputs[i]];
    node.call.n_inputs = arguments_of(old) + (old->call.given > 0);
    node.call.n_masks = old->call.given > 0;
    if (class_ != NULL && class_->takes_masks == MB_TAKES_OWN_MASK)
        MB_TRY(take_mask(m, &node, 0, m->built[k]));
    for (int i = 0; takes_masks(old) && i < arguments_of(old); i++)
        MB_TRY(take_mask(m, &node, i, taken[i]));
    mb_insertion_keep(&m->in, k, &node);
    return MB_OK;
}

static mb_status_t copy_nodes(masking_t *m, const mb_mask_t *const (*taken)[MB_MAX_INPUTS])
{
    for (int k = 0; k < m->in.n_old; k++) {
        if (m->needed[k])
            MB_TRY(copy_node(m, k, taken[k]));
        else
            mb_insertion_drop(&m->in, k);
    }
    return MB_OK;
}

mb_status_t mb_graph_insert_masks(mb_graph_t *graph)
{
    masking_t m = {.in = {.graph = graph}};
    if (!has_masks(graph))
        return MB_OK;
    int most = 1;
    for (int k = 0; k < graph->n_nodes; k++) /* twice a call's own, and those that are written */
        most += 2 + 2 * graph->nodes[k].call.n_masks;
    const mb_mask_t *(*taken)[MB_MAX_INPUTS] =
        mb_arena_alloc(graph->arena, (size_t)graph->n_nodes * sizeof *taken);
    graph->masks = MB_ARENA_ARRAY(graph->arena, mb_mask_t *, most);
    m.built = MB_ARENA_ARRAY(graph->arena, const mb_mask_t *, graph->n_nodes);
    m.nodes = MB_ARENA_ARRAY(graph->arena, int, most);
    m.needed = MB_ARENA_ARRAY(graph->arena, bool, graph->n_nodes);
    if (graph->masks == NULL || m.built == NULL || m.nodes == NULL || m.needed == NULL ||
        taken == NULL)
        return mb_error_memory("a graph's masks", 0);
    MB_TRY(find_masks(&m, taken));
    MB_TRY(check_written(&m));
    drop_written(graph, (const mb_mask_t *const(*)[MB_MAX_INPUTS])taken);
    mb_mask_mark_needed(graph, m.needed);
    MB_TRY(mb_insertion_begin(&m.in, graph, most));
    MB_TRY(copy_nodes(&m, (const mb_mask_t *const(*)[MB_MAX_INPUTS])taken));
    for (int i = 0; i < graph->n_outputs; i++)
        graph->outputs[i].mask = m.of[graph->outputs[i].node];
    return mb_insertion_end(&m.in);
}

/* Masks that are merged may be broadcast to one another. */
static mb_shape_t merged_shape(const mb_mask_t *mask)
{
    mb_shape_t shape = mask->of[0]->shape;
    for (int i = 1; i < mask->n; i++) {
        for (int d = 0; d < shape.rank && d < mask->of[i]->shape.rank; d++)
            shape.dim[d] = shape.dim[d] == 1 ? mask->of[i]->shape.dim[d] : shape.dim[d];
    }
    return shape;
}

static mb_shape_t shape_of(const mb_graph_t *graph, const mb_mask_t *mask)
{
    mb_shape_t first = graph->nodes[mask->tensors[0]].call.output;
    int axis = mb_mask_axis(mask, first.rank);
    if (mask->rule.kind == MB_MASK_EITHER)
        return merged_shape(mask);
    first.rank -= mask->rule.kind == MB_MASK_DIFFERS || mask->rule.kind == MB_MASK_JOINED;
    for (int i = 1;
         mask->rule.kind == MB_MASK_JOINED && i < mask->n && axis >= 0 && axis < first.rank; i++)
        first.dim[axis] += graph->nodes[mask->tensors[i]].call.output.dim[axis];
    return first;
}

void mb_graph_size_masks(mb_graph_t *graph)
{
    for (int i = 0; i < graph->n_masks; i++)
        graph->masks[i]->shape = shape_of(graph, graph->masks[i]);
}
