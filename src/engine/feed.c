/* See feed.h. Micro-batches are asked for in the order of the step's forwards, so that batch number
 * i of the prefetcher is micro-batch i % each of step first_step + i / each. Those past a step's
 * batch are asked for only in training; an epoch's last step, which may have more of them, ends a
 * pass without it. */
#include "engine/feed.h"
#include "engine/hinge_labels.h"
#include "engine/row_weights.h"
#include "engine/upload.h"

#include <stdlib.h>
#include <string.h>

enum { DEPTH = 4, LEAST_DEPTH = 2, READ_AHEAD = 64 << 20, MAX_ITEMS = 4 * MB_MAX_INPUTS };

/* What is made of an output's labels and weights before its loss: see row_weights.h and
 * hinge_labels.h. */
typedef struct {
    int place;
    int labels, given;         /* items; given -1: the data has no weights */
    int64_t values;            /* of the loss, a sample */
    int64_t batch;             /* that was begun; -1: none */
    mb_row_weights_t *weights; /* NULL: all one */
    mb_mask_values_t *mask;    /* NULL: none */
    int masked[MB_MAX_INPUTS]; /* items of what it follows from */
    mb_hinge_labels_t *hinge;  /* NULL: another loss */
} weighing_t;

typedef enum { INPUT, LABELS, WEIGHTS, MASKED } part_t;

/* Of one of the stage's chunks; each is fed at its own pace. */
struct mb_feed {
    int chunk;
    mb_feed_t *next; /* of the next chunk that wants data */
    mb_engine_t *engine;
    mb_feed_span_t span;
    int first_replica;
    int64_t each; /* micro-batches of a step that are asked for */
    mb_prefetch_t *prefetch;
    mb_upload_t *upload; /* NULL: the host writes into the device's memory */
    int n_items;
    mb_prefetch_item_t items[MAX_ITEMS];
    int places[MAX_ITEMS]; /* an input's node, or an output place of the stage */
    part_t parts[MAX_ITEMS];
    int n_weighings;
    weighing_t weighings[MB_MAX_INPUTS];
    int64_t taken;          /* micro-batches */
    int64_t *samples;       /* [micro_batch] of one */
    int64_t *batch_samples; /* of a whole batch */
    float *row_weights;     /* of a micro-batch's values */
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
    if (feed->span.alone && i > 0)
        return -1;
    position = feed->span.alone ? feed->span.position : position;
    mb_sampler_indices(&feed->span.sampler, mb_sampler_epoch(&feed->span.sampler, step),
                       mb_sampler_step_in_epoch(&feed->span.sampler, step), position,
                       plan->micro_batch, indices);
    return plan->micro_batch;
}

static void add_input(mb_feed_t *feed, const mb_model_t *model, int input, int field)
{
    const mb_graph_t *graph = model->graph;
    int node = graph->inputs[input];
    feed->places[feed->n_items] = node;
    feed->parts[feed->n_items] = INPUT;
    feed->items[feed->n_items++] =
        (mb_prefetch_item_t){.field = field,
                             .as_int = !mb_dtype_is_float(graph->nodes[node].call.output_type),
                             .elements = mb_shape_elements(&graph->nodes[node].call.output),
                             .classes = mb_graph_vocabulary(graph, node),
                             .what = graph->input_names[input]};
}

/* Whether a label is the number of a column. */
static bool names_columns(const mb_loss_t *loss)
{
    return loss->sparse && !loss->binary && !loss->compares;
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
    else if (classes == 0 || loss->binary || loss->compares || rows == 1 || fits)
        return MB_OK;
    return mb_error_set(MB_ERR_SHAPE,
                        "%s: labels '%s' have %lld classes, but output '%s' with loss %s has %lld",
                        source->path, source->fields[field].name, (long long)classes,
                        model->graph->outputs[output].name, loss->name, (long long)rows);
}

/* An input that a loss's mask follows from is read where the loss is. */
static mb_status_t add_mask(mb_feed_t *feed, const mb_model_t *model, int output, const int *fields,
                            weighing_t *w)
{
    if (!model->losses[output].masked)
        return MB_OK;
    MB_TRY(mb_mask_values_create(model->graph, output, &w->mask));
    for (int i = 0; i < w->mask->n; i++) {
        mb_mask_input_t *input = &w->mask->inputs[i];
        input->field = fields[input->input];
        if (input->field < 0 || feed->n_items == MAX_ITEMS)
            return mb_error_set(
                MB_ERR_UNSUPPORTED, "input '%s' has no data of its own for the mask of output '%s'",
                model->graph->input_names[input->input], model->graph->outputs[output].name);
        w->masked[i] = feed->n_items;
        feed->parts[feed->n_items] = MASKED;
        feed->items[feed->n_items++] =
            (mb_prefetch_item_t){.field = input->field,
                                 .as_int = input->as_int,
                                 .elements = input->elements,
                                 .what = model->graph->input_names[input->input]};
    }
    return MB_OK;
}

static const mb_class_weights_t no_classes;

static mb_status_t add_row_weights(mb_feed_t *feed, const mb_model_t *model, mb_source_t *source,
                                   int output, weighing_t *w)
{
    int field = mb_model_weights_field(model, source, output);
    if (field >= 0) {
        w->given = feed->n_items;
        feed->places[feed->n_items] = w->place;
        feed->parts[feed->n_items] = WEIGHTS;
        feed->items[feed->n_items++] =
            (mb_prefetch_item_t){.field = field,
                                 .elements = mb_shape_elements(&source->fields[field].shape),
                                 .what = "sample weights"};
    }
    return mb_row_weights_create(
        &model->losses[output], source, feed->items[w->labels].field, field,
        feed->engine->plan->training ? &model->class_weights : &no_classes, w->mask, &w->weights);
}

/* What the labels that were added last need beside them. */
static mb_status_t add_weighing(mb_feed_t *feed, const mb_model_t *model, mb_source_t *source,
                                const int *fields, int place)
{
    int output = feed->engine->stage->outputs[place].output;
    const mb_loss_t *loss = &model->losses[output];
    weighing_t *w = &feed->weighings[feed->n_weighings];
    *w = (weighing_t){.place = place, .labels = feed->n_items - 1, .given = -1, .batch = -1};
    w->values = mb_loss_values(loss);
    MB_TRY(mb_hinge_labels_create(loss, source, feed->items[w->labels].field, &w->hinge));
    feed->n_weighings += loss->weighted || w->hinge != NULL;
    MB_TRY(add_mask(feed, model, output, fields, w));
    return loss->weighted ? add_row_weights(feed, model, source, output, w) : MB_OK;
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
    feed->parts[feed->n_items] = LABELS;
    feed->items[feed->n_items++] =
        (mb_prefetch_item_t){.field = field,
                             .as_int = loss->sparse,
                             .elements = elements,
                             .classes = names_columns(loss) ? loss->columns : 0,
                             .has_ignore = loss->has_ignore,
                             .ignore = loss->ignore_label,
                             .one_hot = one_hot,
                             .what = model->graph->outputs[output].name};
    return MB_OK;
}

static mb_status_t list_items(mb_feed_t *feed, const mb_model_t *model, mb_source_t *source)
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
        if (feed->engine->plan->chunk_of_node[graph->inputs[i]] == feed->chunk)
            add_input(feed, model, i, inputs[i]);
    }
    for (int p = 0; p < stage->n_outputs && stage->losses != NULL; p++) {
        if (stage->outputs[p].chunk != feed->chunk)
            continue;
        MB_TRY(add_labels(feed, model, source, p, outputs[stage->outputs[p].output]));
        MB_TRY(add_weighing(feed, model, source, inputs, p));
    }
    return MB_OK;
}

static size_t item_bytes(const mb_feed_t *feed, int item)
{
    return (size_t)(feed->items[item].elements * feed->engine->plan->micro_batch) * sizeof(float);
}

/* Weights, and behind them the mask. */
static size_t weights_bytes(const mb_feed_t *feed, const weighing_t *w)
{
    int64_t values = w->values * feed->engine->plan->micro_batch;
    return (size_t)(w->mask == NULL ? values : 2 * values) * sizeof(float);
}

static mb_status_t make_lists(mb_feed_t *feed)
{
    int64_t sampled = feed->span.sampler.batch, batch = feed->span.batch;
    size_t most = 1, micro = (size_t)feed->engine->plan->micro_batch + 1;
    size_t whole = (size_t)(batch > sampled ? batch : sampled) + 1;
    for (int i = 0; i < feed->n_weighings; i++) {
        size_t bytes = weights_bytes(feed, &feed->weighings[i]);
        most = bytes > most ? bytes : most;
    }
    if (feed->n_weighings == 0)
        return MB_OK;
    feed->samples = malloc(micro * sizeof(int64_t));
    feed->batch_samples = malloc(whole * sizeof(int64_t));
    feed->row_weights = malloc(most);
    if (feed->samples == NULL || feed->batch_samples == NULL || feed->row_weights == NULL)
        return mb_error_memory("the weights of a batch", most);
    return MB_OK;
}

static mb_status_t open_way(mb_feed_t *feed)
{
    mb_exec_t *exec = &feed->engine->exec;
    size_t bytes = 0;
    if (exec->device->class_->host_visible(exec->device))
        return MB_OK;
    for (int i = 0; i < feed->n_items; i++)
        bytes += item_bytes(feed, i);
    for (int i = 0; i < feed->n_weighings; i++)
        bytes += weights_bytes(feed, &feed->weighings[i]);
    return mb_upload_create(exec, bytes, feed->n_items + feed->n_weighings, &feed->upload);
}

/* Batches that are there at a time, the one in use among them: fewer where they are large. Ranks of
 * one process have no threads. */
static int depth_of(const mb_feed_t *feed)
{
    size_t bytes = 1;
    for (int i = 0; i < feed->n_items; i++)
        bytes += item_bytes(feed, i);
    size_t depth = READ_AHEAD / bytes;
    if (feed->engine->machine->borrows)
        return 1;
    return depth >= DEPTH ? DEPTH : depth <= LEAST_DEPTH ? LEAST_DEPTH : (int)depth;
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

static mb_status_t create(mb_engine_t *engine, int chunk, const mb_model_t *model,
                          mb_source_t *source, const mb_feed_span_t *span, mb_feed_t **out)
{
    int replicas;
    mb_status_t status;
    mb_feed_t *feed = calloc(1, sizeof *feed);
    if (feed == NULL)
        return mb_error_memory("a feed", sizeof *feed);
    feed->chunk = chunk;
    feed->engine = engine;
    feed->span = *span;
    mb_grid_replicas(&engine->grid, engine->grid.group, &feed->first_replica, &replicas);
    feed->each = count_asked(feed);
    MB_TRY_GOTO(list_items(feed, model, source), status, err_feed);
    if (feed->n_items == 0) {
        mb_feed_destroy(feed);
        return MB_OK;
    }
    MB_TRY_GOTO(make_lists(feed), status, err_feed);
    MB_TRY_GOTO(open_way(feed), status, err_feed);
    MB_TRY_GOTO(mb_prefetch_create(source, feed->items, feed->n_items, engine->plan->micro_batch,
                                   depth_of(feed), next_samples, feed, &feed->prefetch),
                status, err_feed);
    *out = feed;
    return MB_OK;

err_feed:
    mb_feed_destroy(feed);
    return status;
}

mb_status_t mb_feed_create(mb_engine_t *engine, const mb_model_t *model, mb_source_t *source,
                           const mb_feed_span_t *span, mb_feed_t **out)
{
    *out = NULL;
    if (mb_engine_idle(engine))
        return MB_OK;
    for (int i = engine->stage->n_chunks - 1; i >= 0; i--) {
        mb_feed_t *feed = NULL;
        mb_status_t status =
            create(engine, engine->stage->chunks[i].chunk, model, source, span, &feed);
        if (status != MB_OK) {
            mb_feed_destroy(*out);
            *out = NULL;
            return status;
        }
        if (feed == NULL)
            continue;
        feed->next = *out;
        *out = feed;
    }
    return MB_OK;
}

void mb_feed_destroy(mb_feed_t *feed)
{
    if (feed == NULL)
        return;
    mb_feed_destroy(feed->next);
    if (feed->prefetch != NULL)
        mb_prefetch_destroy(feed->prefetch);
    mb_upload_destroy(feed->upload);
    for (int i = 0; i < feed->n_weighings; i++) {
        mb_row_weights_destroy(feed->weighings[i].weights);
        mb_hinge_labels_destroy(feed->weighings[i].hinge);
        mb_mask_values_destroy(feed->weighings[i].mask);
    }
    free(feed->samples);
    free(feed->batch_samples);
    free(feed->row_weights);
    free(feed);
}

static mb_status_t put(mb_feed_t *feed, void *to, const void *from, size_t bytes)
{
    if (feed->upload != NULL)
        return mb_upload_add(feed->upload, to, from, bytes);
    return mb_exec_copy(&feed->engine->exec, to, from, bytes, MB_COPY_TO_DEVICE);
}

static mb_status_t put_item(mb_feed_t *feed, const mb_micro_t *micro, int item, const void *from)
{
    const mb_stage_t *stage = feed->engine->stage;
    if (feed->parts[item] == WEIGHTS || feed->parts[item] == MASKED)
        return MB_OK;
    void *to = feed->parts[item] == LABELS
                   ? mb_stage_labels(stage, micro->index, feed->places[item])
                   : mb_stage_tensor(stage, micro->index, feed->places[item]);
    return put(feed, to, from, item_bytes(feed, item));
}

/* The samples of the batch whose mean SAMPLE is in: a step's, or a stretch of the source. */
static int64_t batch_of(const mb_feed_t *feed, int64_t sample)
{
    if (feed->span.batch > 0)
        return sample / feed->span.batch;
    return feed->span.first_step + feed->taken / feed->each;
}

static int64_t list_batch(mb_feed_t *feed, int64_t batch)
{
    const mb_sampler_t *sampler = &feed->span.sampler;
    if (feed->span.batch == 0) {
        mb_sampler_indices(sampler, mb_sampler_epoch(sampler, batch),
                           mb_sampler_step_in_epoch(sampler, batch), 0, sampler->batch,
                           feed->batch_samples);
        return sampler->batch;
    }
    for (int64_t i = 0; i < feed->span.batch; i++) {
        int64_t sample = batch * feed->span.batch + i;
        feed->batch_samples[i] = sample < sampler->samples ? sample : -1;
    }
    return feed->span.batch;
}

static mb_status_t begin_batch(mb_feed_t *feed, weighing_t *w, int64_t batch)
{
    if (w->batch == batch)
        return MB_OK;
    int64_t count = list_batch(feed, batch);
    MB_TRY(mb_hinge_labels_check(w->hinge, feed->batch_samples, count));
    if (w->weights != NULL)
        MB_TRY(mb_row_weights_begin(w->weights, feed->batch_samples, count));
    w->batch = batch;
    return MB_OK;
}

/* A sample's part of an item. */
static const void *part_of(const mb_feed_t *feed, const void *const *buffers, int item,
                           int64_t sample)
{
    if (item < 0)
        return NULL;
    return (const char *)buffers[item] + 4 * sample * feed->items[item].elements;
}

/* NULL: the loss has no mask. */
static const float *mask_of(const mb_feed_t *feed, const weighing_t *w, const void *const *buffers,
                            int64_t sample)
{
    const void *inputs[MB_MAX_INPUTS];
    if (w->mask == NULL)
        return NULL;
    for (int i = 0; i < w->mask->n; i++)
        inputs[i] = part_of(feed, buffers, w->masked[i], sample);
    return mb_mask_values_of(w->mask, inputs);
}

static void weigh_sample(mb_feed_t *feed, const weighing_t *w, const void *const *buffers,
                         int64_t sample)
{
    const float *mask = mask_of(feed, w, buffers, sample);
    float *weights = feed->row_weights + sample * w->values;
    float *masks = feed->row_weights + feed->engine->plan->micro_batch * w->values;
    mb_row_weights_of(w->weights, part_of(feed, buffers, w->labels, sample),
                      part_of(feed, buffers, w->given, sample), mask, weights);
    if (mask != NULL)
        memcpy(masks + sample * w->values, mask, (size_t)w->values * sizeof(float));
}

static mb_status_t weigh(mb_feed_t *feed, const mb_micro_t *micro, weighing_t *w,
                         const void *const *buffers)
{
    memset(feed->row_weights, 0, weights_bytes(feed, w));
    for (int64_t i = 0; i < feed->engine->plan->micro_batch; i++) {
        if (feed->samples[i] < 0)
            continue;
        MB_TRY(begin_batch(feed, w, batch_of(feed, feed->samples[i])));
        if (w->weights != NULL)
            weigh_sample(feed, w, buffers, i);
    }
    if (w->weights == NULL)
        return MB_OK;
    return put(feed, mb_stage_weights(feed->engine->stage, micro->index, w->place),
               feed->row_weights, weights_bytes(feed, w));
}

static mb_status_t put_all(mb_feed_t *feed, const mb_micro_t *micro, const void *const *buffers)
{
    for (int i = 0; i < feed->n_items; i++)
        MB_TRY(put_item(feed, micro, i, buffers[i]));
    if (feed->n_weighings > 0)
        next_samples(feed, feed->taken, feed->samples);
    for (int i = 0; i < feed->n_weighings; i++)
        MB_TRY(weigh(feed, micro, &feed->weighings[i], buffers));
    feed->taken++;
    return MB_OK;
}

double mb_feed_waited(const mb_feed_t *feed)
{
    double seconds = 0.0;
    for (; feed != NULL; feed = feed->next)
        seconds += mb_prefetch_waited(feed->prefetch);
    return seconds;
}

int64_t mb_feed_bytes(const mb_feed_t *feed)
{
    int64_t bytes = 0;
    for (; feed != NULL; feed = feed->next)
        bytes += mb_prefetch_bytes(feed->prefetch);
    return bytes;
}

mb_status_t mb_feed_micro(void *user, const mb_micro_t *micro, int index)
{
    mb_feed_t *feed = user;
    const void *const *buffers;
    int64_t count;
    (void)index;
    while (feed != NULL && feed->chunk != micro->chunk)
        feed = feed->next;
    if (feed == NULL)
        return MB_OK;
    MB_TRY(mb_prefetch_take(feed->prefetch, &buffers, &count));
    if (count < 0)
        return mb_error_set(MB_ERR_INTERNAL, "the data ended before its steps did");
    if (feed->upload != NULL)
        MB_TRY(mb_upload_begin(feed->upload));
    MB_TRY(put_all(feed, micro, buffers));
    return feed->upload == NULL ? MB_OK : mb_upload_end(feed->upload);
}
