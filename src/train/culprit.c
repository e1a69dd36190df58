/* See culprit.h. Each rank keeps the first one that it meets, by the order of micro-batches and of
 * calls in the graph, whatever order its schedule has; the first of all ranks' is the answer. */
#include "train/culprit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comm/among.h"
#include "engine/feed.h"

typedef struct {
    const mb_culprit_search_t *search;
    int64_t step;
    mb_feed_t *feed;
    char *host; /* what is looked at */
    size_t capacity;
    mb_culprit_t first;
} search_t;

static const mb_graph_t *graph_of(const search_t *s)
{
    return s->search->engine->plan->graph;
}

/* ---- numbers */

/* Exponents of ones. */
static bool is_bad(mb_dtype_t type, const char *values, int64_t i, bool *infinite)
{
    uint32_t bits = 0, exponent, mantissa;
    if (type == MB_F32) {
        memcpy(&bits, values + 4 * i, 4);
        exponent = UINT32_C(0x7F800000), mantissa = UINT32_C(0x007FFFFF);
    } else {
        uint16_t narrow;
        memcpy(&narrow, values + 2 * i, 2);
        bits = narrow;
        exponent = type == MB_BF16 ? 0x7F80 : 0x7C00;
        mantissa = type == MB_BF16 ? 0x007F : 0x03FF;
    }
    *infinite = (bits & mantissa) == 0;
    return (bits & exponent) == exponent;
}

static int64_t first_bad(mb_dtype_t type, const char *values, int64_t count, bool *infinite)
{
    for (int64_t i = 0; i < count && mb_dtype_is_float(type); i++) {
        if (is_bad(type, values, i, infinite))
            return i;
    }
    return -1;
}

/* Brings BYTES to the host. */
static mb_status_t fetch(search_t *s, const void *from, size_t bytes)
{
    mb_exec_t *exec = &s->search->engine->exec;
    if (bytes > s->capacity) {
        char *host = realloc(s->host, bytes);
        if (host == NULL)
            return mb_error_memory("numbers to look at", bytes);
        s->host = host;
        s->capacity = bytes;
    }
    MB_TRY(mb_exec_copy(exec, s->host, from, bytes, MB_COPY_TO_HOST));
    return mb_exec_sync(exec);
}

/* ---- order */

static bool is_before(const mb_culprit_t *a, const mb_culprit_t *b)
{
    if (!a->found || !b->found)
        return a->found;
    if (a->backward != b->backward)
        return !a->backward;
    if (a->micro != b->micro)
        return a->micro < b->micro;
    return a->place < b->place;
}

/* Losses follow all outputs; backwards go from the last call to the first. */
static int64_t place_of(const search_t *s, const mb_seen_t *seen)
{
    int nodes = graph_of(s)->n_nodes;
    switch (seen->part) {
    case MB_LOOK_OUTPUT:
        return seen->node;
    case MB_LOOK_LOSS:
        return nodes + seen->number;
    default:
        return 2 * (int64_t)(nodes - seen->node) + (seen->part == MB_LOOK_WEIGHTS);
    }
}

static int64_t sample_of(const search_t *s, int64_t position)
{
    int64_t index;
    const mb_sampler_t *sampler = &s->search->sampler;
    mb_sampler_indices(sampler, mb_sampler_epoch(sampler, s->step),
                       mb_sampler_step_in_epoch(sampler, s->step), position, 1, &index);
    return index < 0 ? -1 : s->search->source->first + index;
}

static void keep(search_t *s, const mb_micro_t *micro, const mb_seen_t *seen, int64_t row,
                 bool infinite)
{
    const mb_engine_t *engine = s->search->engine;
    mb_comm_t *comm = engine->machine->comm;
    mb_culprit_t found = {.found = true,
                          .backward = seen->part > MB_LOOK_LOSS,
                          .micro = micro->position / engine->plan->micro_batch,
                          .place = place_of(s, seen),
                          .part = seen->part,
                          .node = seen->node,
                          .number = seen->number,
                          .infinite = infinite,
                          .param = -1,
                          .sample = -1,
                          .rank = mb_comm_rank(comm),
                          .stage = engine->grid.stage};
    if (!is_before(&found, &s->first))
        return;
    if (row >= 0 && seen->part != MB_LOOK_WEIGHTS)
        found.sample = sample_of(s, (int64_t)micro->position + row);
    snprintf(found.host, sizeof found.host, "%s", mb_comm_host(comm));
    s->first = found;
}

/* A loss may be infinite where its gradient is not: then no sample of the micro-batch is named. */
static mb_status_t see_sum(search_t *s, const mb_micro_t *micro, const mb_seen_t *seen)
{
    double sum;
    if (seen->sum == NULL)
        return MB_OK;
    MB_TRY(fetch(s, seen->sum, sizeof sum));
    memcpy(&sum, s->host, sizeof sum);
    if (!isfinite(sum))
        keep(s, micro, seen, -1, isinf(sum));
    return MB_OK;
}

static mb_status_t see(void *user, const mb_micro_t *micro, const mb_seen_t *seen)
{
    search_t *s = user;
    bool infinite = false;
    int64_t count = seen->rows * seen->elements, bad = -1;
    if (seen->values != NULL) {
        MB_TRY(fetch(s, seen->values, (size_t)count * mb_dtype_bytes(seen->type)));
        bad = first_bad(seen->type, s->host, count, &infinite);
    }
    if (bad < 0)
        return see_sum(s, micro, seen);
    keep(s, micro, seen, seen->rows > 1 ? bad / seen->elements : 0, infinite);
    return MB_OK;
}

/* ---- the search */

static mb_status_t feed_micro(void *user, const mb_micro_t *micro, int index)
{
    search_t *s = user;
    return mb_feed_micro(s->feed, micro, index);
}

/* Whether the call's weights are to blame. */
static mb_status_t look_at_weights(search_t *s)
{
    const mb_stage_t *stage = s->search->engine->stage;
    const mb_graph_t *graph = graph_of(s);
    if (!s->first.found || s->first.part != MB_LOOK_OUTPUT)
        return MB_OK;
    const mb_layer_t *layer = graph->layers[graph->nodes[s->first.node].layer];
    for (int k = 0; k < layer->n_params && s->first.param < 0; k++) {
        int p = layer->params[k];
        bool infinite;
        int64_t elements = graph->params[p].elements;
        if (stage->values[p] == NULL)
            continue;
        MB_TRY(fetch(s, stage->values[p], (size_t)elements * sizeof(float)));
        if (first_bad(MB_F32, s->host, elements, &infinite) >= 0)
            s->first.param = p;
    }
    return MB_OK;
}

static mb_status_t compute_again(search_t *s, const mb_step_info_t *info)
{
    const mb_culprit_search_t *search = s->search;
    const mb_look_t look = {.user = s, .apart = true, .see = see};
    const mb_again_t again = {
        .info = *info, .only = -1, .look = &look, .user = s, .feed = feed_micro};
    const mb_feed_span_t span = {
        .sampler = search->sampler, .first_step = info->step, .end_step = info->step + 1};
    MB_TRY(mb_feed_create(search->engine, search->model, search->source, &span, &s->feed));
    mb_status_t status = mb_executor_plan_again(search->engine->executor, &look);
    if (status == MB_OK)
        status = mb_executor_run_again(search->engine->executor, &again);
    if (status == MB_OK)
        status = look_at_weights(s);
    mb_feed_destroy(s->feed);
    return status;
}

static void keep_first(void *into, const void *from)
{
    if (is_before(from, into))
        memcpy(into, from, sizeof(mb_culprit_t));
}

mb_status_t mb_culprit_find(const mb_culprit_search_t *search, const mb_step_info_t *info,
                            mb_culprit_t *out)
{
    mb_culprit_t arriving;
    const mb_engine_t *engine = search->engine;
    search_t s = {.search = search, .step = info->step};
    mb_status_t status = compute_again(&s, info);
    free(s.host);
    *out = s.first;
    const mb_comm_among_t among = {.ranks = engine->grid.stages * engine->grid.groups,
                                   .token = out,
                                   .arriving = &arriving,
                                   .bytes = sizeof arriving,
                                   .merge = keep_first,
                                   .tag = MB_TAG_JUDGE + 1,
                                   .action = "finding the first number that is not finite"};
    return status == MB_OK ? mb_comm_among(engine->machine->comm, &among) : status;
}

/* ---- words */

static void say_part(const mb_culprit_t *culprit, const mb_graph_t *graph, char *text,
                     size_t capacity)
{
    const mb_layer_t *layer = graph->layers[graph->nodes[culprit->node].layer];
    const char *path = layer->path, *class_ = layer->class_->name;
    switch (culprit->part) {
    case MB_LOOK_OUTPUT:
        snprintf(text, capacity, "the output of layer '%s' (%s)", path, class_);
        break;
    case MB_LOOK_LOSS:
        snprintf(text, capacity, "the loss of output '%s'", graph->outputs[culprit->number].name);
        break;
    case MB_LOOK_GRADIENT:
        snprintf(text, capacity, "the gradient that layer '%s' (%s) gives its input", path, class_);
        break;
    default:
        snprintf(text, capacity, "the gradient of weight '%s'",
                 graph->params[layer->params[culprit->number]].path);
    }
}

char *mb_culprit_text(const mb_culprit_t *culprit, const mb_graph_t *graph, const char *data,
                      char *text, size_t capacity)
{
    char part[320], weight[320] = "", sample[320] = "";
    if (!culprit->found) {
        snprintf(text, capacity,
                 "computed again it is finite, so that a processor or a memory must have erred; "
                 "--check-every tells which");
        return text;
    }
    say_part(culprit, graph, part, sizeof part);
    if (culprit->param >= 0)
        snprintf(weight, sizeof weight, ", whose weight '%s' is not finite",
                 graph->params[culprit->param].path);
    if (culprit->sample >= 0)
        snprintf(sample, sizeof sample, ", sample %lld of %s", (long long)culprit->sample, data);
    snprintf(text, capacity,
             "the first %s is in %s%s, micro-batch %lld%s, on rank %d (%s, stage %d)",
             culprit->infinite ? "infinity" : "NaN", part, weight, (long long)culprit->micro,
             sample, culprit->rank, culprit->host, culprit->stage);
    return text;
}
