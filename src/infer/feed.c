/* See feed.h. Micro-batches are asked for in the order of the step's forwards, so that batch number
 * i of the prefetcher is micro-batch i % each of step first_step + i / each. Those past a step's
 * batch are asked for only in training; an epoch's last step, which may have more of them, ends a
 * pass without it. */
#include "infer/feed.h"
#include "infer/upload.h"

#include <stdlib.h>
#include <string.h>

enum { DEPTH = 4, MAX_ITEMS = 2 * MB_MAX_INPUTS };

struct mb_feed {
    mb_engine_t *engine;
    mb_feed_span_t span;
    int64_t steps_per_epoch;
    int first_replica;
    int64_t each; /* micro-batches of a step that are asked for */
    mb_prefetch_t *prefetch;
    mb_upload_t *upload; /* NULL: the host writes into the device's memory */
    int n_items;
    mb_prefetch_item_t items[MAX_ITEMS];
    int places[MAX_ITEMS]; /* an input's node, or an output place of the stage */
    bool is_label[MAX_ITEMS];
};

/* Called from the worker: arithmetic only. */
static int64_t next_samples(void *user, int64_t i, int64_t *indices)
{
    const mb_feed_t *feed = user;
    const mb_plan_t *plan = feed->engine->plan;
    if (feed->each == 0)
        return -1;
    int64_t step = feed->span.first_step + i / feed->each, micro = i % feed->each;
    if (feed->span.end_step >= 0 && step >= feed->span.end_step)
        return -1;
    int64_t position =
        ((int64_t)feed->first_replica * plan->micros_per_replica + micro) * plan->micro_batch;
    mb_sampler_indices(&feed->span.sampler, step / feed->steps_per_epoch,
                       step % feed->steps_per_epoch, position, plan->micro_batch, indices);
    return plan->micro_batch;
}

/* Rows of the embedding table that an input's integers choose from; 0: it is not an embedding's. */
static int64_t vocabulary_of(const mb_graph_t *graph, int node)
{
    int64_t least = 0;
    for (int u = 0; u < graph->nodes[node].n_uses; u++) {
        const mb_layer_t *layer =
            graph->layers[graph->nodes[graph->nodes[node].uses[u].node].layer];
        if (strcmp(layer->class_->name, "Embedding") != 0 || layer->n_params == 0)
            continue;
        int64_t rows = graph->params[layer->params[0]].shape.dim[0];
        least = least == 0 || rows < least ? rows : least;
    }
    return least;
}

static void add_input(mb_feed_t *feed, const mb_model_t *model, int input, int field)
{
    const mb_graph_t *graph = model->graph;
    int node = graph->inputs[input];
    feed->places[feed->n_items] = node;
    feed->is_label[feed->n_items] = false;
    feed->items[feed->n_items++] =
        (mb_prefetch_item_t){.field = field,
                             .as_int = !mb_dtype_is_float(graph->nodes[node].call.output_type),
                             .elements = mb_shape_elements(&graph->nodes[node].call.output),
                             .classes = vocabulary_of(graph, node),
                             .what = graph->input_names[input]};
}

/* Classes that are known by name are spread where the loss compares with a row a class. */
static bool wants_one_hot(const mb_field_t *field, const mb_loss_t *loss, int64_t elements)
{
    return !loss->sparse && elements > 1 && field->classes == elements &&
           mb_shape_elements(&field->shape) == 1;
}

/* Rows of the output are classes; binary ones have one for two. */
static mb_status_t check_classes(const mb_model_t *model, const mb_source_t *source, int output,
                                 int field)
{
    const mb_loss_t *loss = &model->losses[output];
    int64_t classes = source->fields[field].classes;
    int64_t rows = loss->sparse ? loss->columns : mb_shape_elements(&loss->label_shape);
    bool fits = loss->sparse ? classes <= rows : classes == rows;
    if (loss->binary && classes > 2)
        rows = 2;
    else if (classes == 0 || loss->binary || rows == 1 || fits)
        return MB_OK;
    return mb_error_set(MB_ERR_SHAPE,
                        "%s: labels '%s' have %lld classes, but output '%s' with loss %s has %lld",
                        source->path, source->fields[field].name, (long long)classes,
                        model->graph->outputs[output].name, loss->name, (long long)rows);
}

static mb_status_t add_labels(mb_feed_t *feed, const mb_model_t *model, const mb_source_t *source,
                              int place, int field)
{
    int output = feed->engine->stage->outputs[place].output;
    const mb_loss_t *loss = &model->losses[output];
    char wanted[MB_SHAPE_TEXT], found[MB_SHAPE_TEXT];
    int64_t elements = mb_shape_elements(&loss->label_shape);
    MB_TRY(check_classes(model, source, output, field));
    bool one_hot = wants_one_hot(&source->fields[field], loss, elements);
    if (mb_shape_elements(&source->fields[field].shape) != elements && !one_hot)
        return mb_error_set(MB_ERR_SHAPE,
                            "%s: labels '%s' have shape %s a sample where output '%s' with loss %s "
                            "asks for %s",
                            source->path, source->fields[field].name,
                            mb_shape_text(&source->fields[field].shape, found, sizeof found),
                            model->graph->outputs[output].name, loss->name,
                            mb_shape_text(&loss->label_shape, wanted, sizeof wanted));
    feed->places[feed->n_items] = place;
    feed->is_label[feed->n_items] = true;
    feed->items[feed->n_items++] =
        (mb_prefetch_item_t){.field = field,
                             .as_int = loss->sparse,
                             .elements = elements,
                             .classes = loss->sparse && !loss->binary ? loss->columns : 0,
                             .has_ignore = loss->has_ignore,
                             .ignore = loss->ignore_label,
                             .one_hot = one_hot,
                             .what = model->graph->outputs[output].name};
    return MB_OK;
}

static mb_status_t list_items(mb_feed_t *feed, const mb_model_t *model, const mb_source_t *source)
{
    const mb_stage_t *stage = feed->engine->stage;
    const mb_graph_t *graph = model->graph;
    mb_shape_t shapes[MB_MAX_INPUTS];
    const char *names[MB_MAX_INPUTS];
    int inputs[MB_MAX_INPUTS], outputs[MB_MAX_INPUTS];
    mb_source_wants_t wants = mb_model_wants(model, shapes);
    for (int o = 0; o < graph->n_outputs; o++)
        names[o] = graph->outputs[o].name;
    wants.output_names = names;
    wants.n_outputs = model->losses != NULL && stage->losses != NULL ? graph->n_outputs : 0;
    MB_TRY(mb_source_match(source, &wants, inputs, outputs));
    for (int i = 0; i < graph->n_inputs; i++) {
        if (graph->inputs[i] >= stage->first_node && graph->inputs[i] < stage->end_node)
            add_input(feed, model, i, inputs[i]);
    }
    for (int p = 0; p < stage->n_outputs && stage->losses != NULL; p++)
        MB_TRY(add_labels(feed, model, source, p, outputs[stage->outputs[p].output]));
    return MB_OK;
}

static size_t item_bytes(const mb_feed_t *feed, int item)
{
    return (size_t)(feed->items[item].elements * feed->engine->plan->micro_batch) * sizeof(float);
}

static mb_status_t open_way(mb_feed_t *feed)
{
    mb_exec_t *exec = &feed->engine->exec;
    size_t bytes = 0;
    if (exec->device->class_->host_visible(exec->device))
        return MB_OK;
    for (int i = 0; i < feed->n_items; i++)
        bytes += item_bytes(feed, i);
    return mb_upload_create(exec, bytes, feed->n_items, &feed->upload);
}

static int64_t count_asked(const mb_feed_t *feed)
{
    const mb_plan_t *plan = feed->engine->plan;
    int64_t all = (feed->span.sampler.batch + plan->micro_batch - 1) / plan->micro_batch;
    int64_t own = all - (int64_t)feed->first_replica * plan->micros_per_replica;
    if (plan->training || own > plan->micros)
        return plan->micros;
    return own > 0 ? own : 0;
}

mb_status_t mb_feed_create(mb_engine_t *engine, const mb_model_t *model, mb_source_t *source,
                           const mb_feed_span_t *span, mb_feed_t **out)
{
    int replicas;
    mb_status_t status;
    *out = NULL;
    if (mb_engine_idle(engine))
        return MB_OK;
    mb_feed_t *feed = calloc(1, sizeof *feed);
    if (feed == NULL)
        return mb_error_memory("a feed", sizeof *feed);
    feed->engine = engine;
    feed->span = *span;
    feed->steps_per_epoch = mb_sampler_steps(&span->sampler);
    mb_grid_replicas(&engine->grid, engine->grid.group, &feed->first_replica, &replicas);
    feed->each = count_asked(feed);
    MB_TRY_GOTO(list_items(feed, model, source), status, err_feed);
    if (feed->n_items == 0) {
        free(feed);
        return MB_OK;
    }
    MB_TRY_GOTO(open_way(feed), status, err_feed);
    MB_TRY_GOTO(mb_prefetch_create(source, feed->items, feed->n_items, engine->plan->micro_batch,
                                   DEPTH, next_samples, feed, &feed->prefetch),
                status, err_feed);
    *out = feed;
    return MB_OK;

err_feed:
    mb_feed_destroy(feed);
    return status;
}

void mb_feed_destroy(mb_feed_t *feed)
{
    if (feed == NULL)
        return;
    if (feed->prefetch != NULL)
        mb_prefetch_destroy(feed->prefetch);
    mb_upload_destroy(feed->upload);
    free(feed);
}

static mb_status_t put_item(mb_feed_t *feed, const mb_micro_t *micro, int item, const void *from)
{
    mb_engine_t *engine = feed->engine;
    void *to = feed->is_label[item]
                   ? mb_stage_labels(engine->stage, micro->slot, feed->places[item])
                   : mb_stage_tensor(engine->stage, micro->slot, feed->places[item]);
    if (feed->upload != NULL)
        return mb_upload_add(feed->upload, to, from, item_bytes(feed, item));
    return mb_exec_copy(&engine->exec, to, from, item_bytes(feed, item), MB_COPY_TO_DEVICE);
}

mb_status_t mb_feed_micro(void *user, const mb_micro_t *micro, int index)
{
    mb_feed_t *feed = user;
    const void *const *buffers;
    int64_t count;
    (void)index;
    if (feed == NULL)
        return MB_OK;
    MB_TRY(mb_prefetch_take(feed->prefetch, &buffers, &count));
    if (count < 0)
        return mb_error_set(MB_ERR_INTERNAL, "the data ended before its steps did");
    if (feed->upload != NULL)
        MB_TRY(mb_upload_begin(feed->upload));
    for (int i = 0; i < feed->n_items; i++)
        MB_TRY(put_item(feed, micro, i, buffers[i]));
    return feed->upload == NULL ? MB_OK : mb_upload_end(feed->upload);
}
