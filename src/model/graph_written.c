/* Masks that a file writes. Keras 3 saves, beside a layer that takes a mask, the operations that
 * made it when the model was built, and the mask as an argument; so a file says twice what the
 * layers' rules say (graph_mask.c). What is made of the same comparisons by those operations alone
 * is the same mask; then the operations are dropped, unless something else needs them. */
#include "model/graph_private.h"
#include "model/layers/operators.h"

#include <string.h>

/* HDF5 files do not say whether the operation or the layer is meant. */
static bool is_joined_by_layer(const mb_node_t *node)
{
    return strcmp(node->call.layer->class_->name, "Concatenate") == 0;
}

/* Those of which no result depends on the comparisons otherwise than by "or" and "where". */
static bool joins_masks(const mb_node_t *node)
{
    static const char *const names[] = {"Any",     "LogicalOr",   "Concatenate",    "ExpandDims",
                                        "Squeeze", "BroadcastTo", "ConvertToTensor"};
    bool found = false;
    for (size_t i = 0; !node->is_input && i < sizeof(names) / sizeof(names[0]); i++)
        found = found || strcmp(node->call.layer->class_->name, names[i]) == 0;
    return found && (node->call.layer->follows || is_joined_by_layer(node));
}

static bool is_constant(const mb_node_t *node)
{
    const char *name = node->is_input ? "" : node->call.layer->class_->name;
    return strcmp(name, "ZerosLike") == 0 || strcmp(name, "OnesLike") == 0;
}

/* Numbers that are written alike. */
static bool is_same(float a, float b)
{
    return memcmp(&a, &b, sizeof a) == 0 || a == b;
}

/* Whether MASK is made of the comparison of TENSOR with VALUE, or, COMPARES false, of TENSOR. */
static bool is_leaf_of(const mb_mask_t *mask, bool compares, int tensor, float value)
{
    float own = mask->rule.kind == MB_MASK_DIFFERS ? mask->rule.value : 0.0F;
    bool found = false;
    if (mask->rule.kind >= MB_MASK_NOT_ZERO)
        return compares == (mask->rule.kind != MB_MASK_GIVEN) && mask->tensors[0] == tensor &&
               (!compares || is_same(own, value));
    for (int i = 0; i < mask->n; i++)
        found = found || (mask->of[i] != NULL && is_leaf_of(mask->of[i], compares, tensor, value));
    return found;
}

/* What one tensor is made of: how many of the mask's leaves, and whether there are others. */
static bool visit(const mb_node_t *nodes, int tensor, const mb_mask_t *mask, int depth, int *leaves)
{
    const mb_node_t *node = &nodes[tensor];
    float value = 0.0F;
    bool good = depth < MB_MAX_INPUTS;
    if (is_leaf_of(mask, false, tensor, 0.0F)) {
        ++*leaves;
        return true;
    }
    if (!node->is_input && mb_operator_compares(&node->call, &value)) {
        ++*leaves;
        return is_leaf_of(mask, true, node->inputs[0], value);
    }
    if (is_constant(node))
        return true;
    for (int i = 0; good && joins_masks(node) && i < node->call.n_inputs; i++)
        good = visit(nodes, node->inputs[i], mask, depth + 1, leaves);
    return good && joins_masks(node);
}

static int count_leaves(const mb_mask_t *mask)
{
    int n = 0;
    if (mask->rule.kind >= MB_MASK_NOT_ZERO)
        return 1;
    for (int i = 0; i < mask->n; i++)
        n += mask->of[i] == NULL ? 0 : count_leaves(mask->of[i]);
    return n;
}

bool mb_mask_is_written(const mb_node_t *nodes, int from, const mb_mask_t *mask)
{
    int leaves = 0;
    return visit(nodes, from, mask, 0, &leaves) && leaves == count_leaves(mask);
}

static bool serves_masks(const mb_node_t *node)
{
    float value;
    return joins_masks(node) || is_constant(node) ||
           (!node->is_input && mb_operator_compares(&node->call, &value));
}

void mb_mask_mark_needed(const mb_graph_t *graph, bool *needed)
{
    for (int k = 0; k < graph->n_nodes; k++)
        needed[k] = !serves_masks(&graph->nodes[k]);
    for (int i = 0; i < graph->n_outputs; i++)
        needed[graph->outputs[i].node] = true;
    for (int k = graph->n_nodes - 1; k >= 0; k--) {
        for (int i = 0; needed[k] && i < graph->nodes[k].call.n_inputs; i++)
            needed[graph->nodes[k].inputs[i]] = true;
    }
}
