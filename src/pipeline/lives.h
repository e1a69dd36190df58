/* Where that stands which a chunk has for the one micro-batch it is at work on: things that are
 * never there at the same time share their places.
 *
 *     time    0 .. n-1        n        n+1 .. 2n
 *             forward         losses   backward, of the chunk's n nodes in descending order
 *
 * An output is there from its forward to the last forward that takes it, or to the last backward
 * that reads it. The gradient of a tensor comes to be with its last consumer (or with the loss, in
 * front of all nodes) and is through with its own node; what a call carries from its inputs'
 * gradients to its weights' lives with that node alone. Places are given to the largest first, each
 * the lowest that is free through its life (first fit by decreasing size, as for the dynamic
 * storage of Garey and Johnson 1979, SR2). */
#ifndef MB_PIPELINE_LIVES_H
#define MB_PIPELINE_LIVES_H

#include "pipeline/kept.h"

typedef struct {
    int first, last; /* times that it is there, both included */
} mb_life_t;

typedef struct { /* of a chunk */
    const mb_graph_t *graph;
    const int *readers; /* of each output (kept.h) */
    int first_node, end_node;
    bool training;
    bool splits; /* gradients of weights come later: what backwards read is there to the end */
} mb_span_t;

mb_span_t mb_span_of(const mb_kept_t *kept, int chunk);
int mb_span_forward(const mb_span_t *span, int node);
int mb_span_backward(const mb_span_t *span, int node);
/* The last node of the chunk that takes NODE's output; NODE itself where none does. */
int mb_span_last_consumer(const mb_span_t *span, int node);

mb_life_t mb_life_of_output(const mb_span_t *span, int node);
mb_life_t mb_life_of_saved(const mb_span_t *span, int node);
/* SCORED: a loss gives the first share of it. */
mb_life_t mb_life_of_gradient(const mb_span_t *span, int node, bool scored);

typedef struct {
    size_t bytes;
    mb_life_t life;
    int64_t *at; /* where the offset belongs; NULL: nobody asks */
    size_t begin;
} mb_tenant_t;

typedef struct {
    mb_tenant_t *tenants;
    int n, room;
    size_t bytes; /* of all, once placed */
} mb_house_t;

/* ROOM: of how many, at most. Only MB_ERR_MEMORY. */
mb_status_t mb_house_open(mb_house_t *house, int room);
void mb_house_close(mb_house_t *house);
/* Nothing where BYTES is 0. */
void mb_house_add(mb_house_t *house, size_t bytes, mb_life_t life, int64_t *at);
/* Gives all of them their places. MB_ERR_MEMORY; MB_ERR_INTERNAL where there are more than ROOM. */
mb_status_t mb_house_place(mb_house_t *house);

/* Bytes of what a chunk's forward gives and saves that is not kept, by itself. */
mb_status_t mb_lives_forward_bytes(const mb_kept_t *kept, int chunk, size_t *bytes);

#endif
