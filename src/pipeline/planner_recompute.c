/* Which layers are computed again, where keeping all does not fit: those first that cost the least
 * time for each byte that they free, as the selective recomputation of Korthikanti et al. 2022
 * (section 5) does by hand for attention; Chen et al. 2016 choose where the graph is cut instead,
 * and keep one of many layers alike. A layer frees its bytes of all micro-batches in flight but
 * one. Behind the greedy choice each layer is given up again, the costliest first, that the stages
 * turn out to do without. */
#include "pipeline/kept.h"
#include "pipeline/planner_private.h"
#include "pipeline/recompute.h"

#include <stdlib.h>
#include <string.h>

typedef struct { /* of a node */
    int node, stage;
    double seconds, bytes; /* of a micro-batch's forward; freed */
} offer_t;

typedef struct {
    const mb_graph_t *graph;
    offer_t *offers; /* the cheapest first */
    int n;
    double *memory; /* [stages] */
    int stages;
    double limit;
    bool *layers; /* [n_layers] chosen */
} choice_t;

static int by_price(const void *a, const void *b)
{
    const offer_t *x = a, *y = b;
    double px = x->seconds * y->bytes, py = y->seconds * x->bytes;
    return px != py ? (px < py ? -1 : 1) : x->node - y->node;
}

static mb_status_t list_offers(choice_t *choice, const mb_node_cost_t *costs,
                               const int *chunk_of_node, const mb_candidate_t *c)
{
    int *readers = calloc((size_t)choice->graph->n_nodes + 1, sizeof *readers);
    if (readers == NULL)
        return mb_error_memory("a plan", (size_t)choice->graph->n_nodes * sizeof *readers);
    mb_kept_readers(choice->graph, c->micro_batch, readers);
    for (int i = 0; i < choice->graph->n_nodes; i++) {
        const mb_node_t *n = &choice->graph->nodes[i];
        int stage = mb_planner_stage_of(c, chunk_of_node[i]);
        double spared = mb_planner_in_flight(c, stage) - 1;
        mb_planner_node_t node = mb_planner_node(choice->graph, chunk_of_node, c, i, readers);
        double bytes = spared * (node.saved + (node.read && !node.fixed ? node.output : 0));
        if (bytes > 0 && !n->is_input && mb_recompute_can_name(choice->graph->layers[n->layer]))
            choice->offers[choice->n++] = (offer_t){i, stage, costs[i].forward, bytes};
    }
    free(readers);
    qsort(choice->offers, (size_t)choice->n, sizeof *choice->offers, by_price);
    return MB_OK;
}

/* A layer is computed again in all its calls, or in none. */
static void set(choice_t *choice, int layer, bool again)
{
    choice->layers[layer] = again;
    for (int i = 0; i < choice->n; i++) {
        const offer_t *offer = &choice->offers[i];
        if (choice->graph->nodes[offer->node].layer == layer)
            choice->memory[offer->stage] += again ? -offer->bytes : offer->bytes;
    }
}

static bool all_fit(const choice_t *choice)
{
    for (int s = 0; s < choice->stages; s++) {
        if (choice->memory[s] > choice->limit)
            return false;
    }
    return true;
}

static void choose(choice_t *choice)
{
    for (int i = 0; i < choice->n; i++) {
        int layer = choice->graph->nodes[choice->offers[i].node].layer;
        if (!choice->layers[layer] && choice->memory[choice->offers[i].stage] > choice->limit)
            set(choice, layer, true);
    }
}

static int by_time(const void *a, const void *b)
{
    const offer_t *x = a, *y = b;
    return x->seconds != y->seconds ? (x->seconds > y->seconds ? -1 : 1) : x->node - y->node;
}

static void give_up(choice_t *choice)
{
    qsort(choice->offers, (size_t)choice->n, sizeof *choice->offers, by_time);
    for (int i = 0; i < choice->n; i++) {
        int layer = choice->graph->nodes[choice->offers[i].node].layer;
        if (!choice->layers[layer])
            continue;
        set(choice, layer, false);
        if (!all_fit(choice))
            set(choice, layer, true);
    }
}

static mb_status_t search(choice_t *choice, const mb_planner_options_t *options,
                          const mb_node_cost_t *nodes, const int *chunk_of_node, mb_candidate_t *c)
{
    memset(choice->layers, 0, (size_t)choice->graph->n_layers * sizeof *choice->layers);
    c->schedule.recomputes = true;
    c->schedule.layers = NULL;
    c->layers = choice->layers;
    MB_TRY(mb_planner_estimate_stages(options, nodes, chunk_of_node, c, choice->memory));
    MB_TRY(list_offers(choice, nodes, chunk_of_node, c));
    choose(choice);
    if (all_fit(choice))
        give_up(choice);
    return mb_planner_estimate_stages(options, nodes, chunk_of_node, c, choice->memory);
}

mb_status_t mb_planner_choose_layers(const mb_planner_options_t *options,
                                     const mb_node_cost_t *nodes, const int *chunk_of_node,
                                     double limit, mb_arena_t *arena, mb_candidate_t *c, bool *fits)
{
    const mb_graph_t *graph = options->graph;
    choice_t choice = {.graph = graph, .stages = c->stages, .limit = limit};
    choice.layers = MB_ARENA_ARRAY(arena, bool, graph->n_layers);
    choice.offers = calloc((size_t)graph->n_nodes, sizeof *choice.offers);
    choice.memory = calloc((size_t)c->stages, sizeof *choice.memory);
    mb_status_t status =
        choice.layers == NULL || choice.offers == NULL || choice.memory == NULL
            ? mb_error_memory("a plan", (size_t)graph->n_nodes * sizeof *choice.offers)
            : search(&choice, options, nodes, chunk_of_node, c);
    *fits = status == MB_OK && c->memory <= limit;
    free(choice.offers);
    free(choice.memory);
    return status;
}
