/* What of a micro-batch is kept from its forward to its backward, and so has a place for each one
 * in flight. All else is there for the one micro-batch that a chunk is at work on, and shares its
 * places (lives.h): outputs that no backward reads, all of them where there is no backward or one
 * micro-batch in flight, and what is computed again. Unless that has to last until the backward
 * (mb_chunk_lasts), all chunks of a stage take turns in one place for it. */
#ifndef MB_PIPELINE_KEPT_H
#define MB_PIPELINE_KEPT_H

#include "pipeline/plan.h"

/* Where what is kept stands in host memory (`--offload activations`), the places that a chunk has
 * for it on the device; with as few micro-batches in flight it stays there. */
enum { MB_KEPT_ROOMS = 2 };

/* READERS[n_nodes]: of each node's output the lowest node whose backward reads it (itself among
 * them), by the classes' memory(); -1: none does. Losses are not among the readers. */
void mb_kept_readers(const mb_graph_t *graph, int64_t samples, int *readers);

typedef struct { /* of a node, and of the chunk that it is in */
    bool fixed;  /* the output is given, goes to another chunk, or is the model's */
    bool training;
    bool alone;  /* one micro-batch is in flight at most, and nothing else takes its place */
    bool again;  /* the node is computed again */
    bool starts; /* what is computed again reads the output */
    bool read;   /* a backward does */
} mb_kept_rule_t;

static inline bool mb_kept_output(const mb_kept_rule_t *r)
{
    return r->fixed || (r->training && !r->alone && !r->again && (r->read || r->starts));
}
/* What its forward writes for its backward beside the output. */
static inline bool mb_kept_saved(const mb_kept_rule_t *r)
{
    return r->training && !r->alone && !r->again;
}

/* Whether the output is one of the model's. */
bool mb_kept_is_scored(const mb_graph_t *graph, int node);
/* Whether a node of [node, END) that is computed again reads NODE's output; AGAIN: [n_nodes] or
 * NULL. */
bool mb_kept_starts(const mb_graph_t *graph, const bool *again, int node, int end);

/* The same of a plan. */
typedef struct {
    const mb_plan_t *plan;
    int *readers; /* [n_nodes] */
    bool *output; /* [n_nodes] is kept */
    bool *fixed;  /* [n_nodes] whatever backwards read: given, sent, or the model's */
    bool *saved;  /* [n_nodes] is */
} mb_kept_t;

/* Arrays are the arena's. Only MB_ERR_MEMORY. */
mb_status_t mb_kept_find(const mb_plan_t *plan, mb_arena_t *arena, mb_kept_t *out);

#endif
