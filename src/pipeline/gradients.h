/* Which gradients are one: a sum's is that of each of its terms, which take it over where it stands
 * instead of a copy; so is that of a relu whose slope it comes with (model/graph_cut.h). What comes
 * to a term's gradient later is added in that place, so that only terms share it of which none is
 * written while another one is yet to be read. Along a residual stream all gradients so stand in
 * one place. No bit depends on it: contributions come in the same order. */
#ifndef MB_PIPELINE_GRADIENTS_H
#define MB_PIPELINE_GRADIENTS_H

#include "pipeline/lives.h"

/* Whether NODE adds its input K as it is, a tensor of its chunk that it adds once, or its gradient
 * needs nothing more: the gradient of the node is that of the input, or is added to it. */
bool mb_sum_hands_on(const mb_span_t *span, int node, int k);
/* OWNER, [nodes of the span]: the node whose gradient's place that of each node takes; itself,
 * where it has its own. */
void mb_gradient_owners(const mb_span_t *span, int *owner);

#endif
