/* Whole numbers that stand for something, from where they arise to where they choose rows of a
 * table: what they may be is known there, so that no lookup goes past its table's end. */
#include "model/graph_private.h"

#include <inttypes.h>

static int64_t smaller(int64_t a, int64_t b)
{
    return a == 0 || (b > 0 && b < a) ? b : a;
}

/* Numbers go on through a call that only moves them. */
static bool passes_on(const mb_call_t *call, const mb_roles_t *roles)
{
    return !roles->takes_ids && !roles->gives_ids && call->output_type == MB_I32;
}

int64_t mb_graph_vocabulary(const mb_graph_t *graph, int node)
{
    int64_t least = 0;
    for (int u = 0; u < graph->nodes[node].n_uses; u++) {
        int user = graph->nodes[node].uses[u].node;
        const mb_call_t *call = &graph->nodes[user].call;
        mb_roles_t roles = mb_call_roles(call);
        least = smaller(least, roles.vocabulary);
        if (passes_on(call, &roles))
            least = smaller(least, mb_graph_vocabulary(graph, user));
    }
    return least;
}

/* What calls give; that of the data is checked when it is read (engine/feed.c). */
mb_status_t mb_graph_check_ids(const mb_graph_t *graph)
{
    for (int k = 0; k < graph->n_nodes; k++) {
        const mb_call_t *call = &graph->nodes[k].call;
        mb_roles_t roles = {0};
        if (!graph->nodes[k].is_input)
            roles = mb_call_roles(call);
        int64_t rows = roles.gives_ids ? mb_graph_vocabulary(graph, k) : 0;
        if (rows > 0 && (roles.below == 0 || roles.below > rows))
            return mb_error_set(MB_ERR_SHAPE,
                                "layer '%s' (%s) gives numbers %s %" PRId64
                                ", but a layer that takes them has %" PRId64 " rows for them",
                                call->layer->path, call->layer->class_->name,
                                roles.below == 0 ? "below" : "up to",
                                roles.below == 0 ? 0 : roles.below - 1, rows);
    }
    return MB_OK;
}
