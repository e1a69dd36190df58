/* Which nodes are computed again in front of their backward, so that what they give and save need
 * be kept for one micro-batch only: all (Chen et al. 2016), or those of layers whose names match
 * patterns, as of what is large and cheap (Korthikanti et al. 2022, section 5). */
#ifndef MB_PIPELINE_RECOMPUTE_H
#define MB_PIPELINE_RECOMPUTE_H

#include "model/graph.h"
#include "pipeline/schedule.h"

/* "none", "full", "full:SEGMENTS" (chunks in so many segments), "auto" (as none: who knows a limit
 * chooses), or patterns with commas between,
 * `*` for anything; TEXT stays the caller's. */
void mb_recompute_read(const char *text, mb_schedule_choice_t *out);
/* NULL or "auto": the planner's to choose. */
bool mb_recompute_is_open(const char *text);
/* Layers that a choice which recomputes is about; LAYERS: [n_layers]. MB_ERR_ARGUMENT: a pattern
 * that no layer's name matches. */
mb_status_t mb_recompute_layers(const mb_graph_t *graph, const mb_schedule_choice_t *choice,
                                bool *layers);
/* Their nodes; AGAIN: [n_nodes]. */
mb_status_t mb_recompute_nodes(const mb_graph_t *graph, const mb_schedule_choice_t *choice,
                               bool *again);
/* MB_ERR_ARGUMENT or MB_ERR_UNSUPPORTED, before a plan is made: patterns that match nothing, or
 * forwards that cannot be computed twice. FILE: the model's, to be named. */
mb_status_t mb_recompute_check(const mb_graph_t *graph, const mb_schedule_choice_t *choice,
                               const char *file);
/* The same of a schedule from FILE that has R's. */
mb_status_t mb_recompute_refuse_states(const char *file);
/* "full", or "full:SEGMENTS"; gives BUFFER. */
const char *mb_recompute_full(int segments, char *buffer, size_t size);
/* Patterns that name exactly these layers, in the arena; NULL: no memory. */
const char *mb_recompute_text(const mb_graph_t *graph, const bool *layers, mb_arena_t *arena);
/* Whether a pattern can name the layer. */
bool mb_recompute_can_name(const mb_layer_t *layer);

#endif
