/* See kept_states.h. */
#include "train/kept_states.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One array, and the rows of it that a rank has. */
typedef struct {
    int node, state;
    char name[1280];
    mb_shape_t shape;  /* with the batch */
    int64_t elements;  /* of a row */
    int64_t first, n;  /* rows in the batch */
    int64_t allocated; /* rows of all micro-batches, which may reach past it */
} array_t;

static int states_of(const mb_graph_t *graph, int node, mb_shape_t *shapes)
{
    return mb_call_states(&graph->nodes[node].call, shapes);
}

int mb_kept_count(const mb_graph_t *graph)
{
    mb_shape_t shapes[MB_MAX_STATES];
    int count = 0;
    for (int k = 0; k < graph->n_nodes && graph->keeps_states; k++)
        count += states_of(graph, k, shapes);
    return count;
}

static mb_status_t describe(const mb_graph_t *graph, int node, int state, const mb_shape_t *row,
                            array_t *out)
{
    const mb_layer_t *layer = graph->nodes[node].call.layer;
    *out = (array_t){.node = node, .state = state, .elements = mb_shape_elements(row)};
    out->shape = (mb_shape_t){.rank = row->rank + 1, .dim = {graph->batch}};
    if (row->rank == MB_MAX_RANK ||
        snprintf(out->name, sizeof out->name, "%s/%d", layer->path, state) >= (int)sizeof out->name)
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "layer '%s' (%s): its states cannot be kept in a file", layer->path,
                            layer->class_->name);
    memcpy(out->shape.dim + 1, row->dim, (size_t)row->rank * sizeof *row->dim);
    return MB_OK;
}

mb_status_t mb_kept_list(const mb_graph_t *graph, mb_arena_t *arena, mb_tensor_spec_t *out)
{
    mb_shape_t shapes[MB_MAX_STATES];
    array_t array;
    for (int k = 0; k < graph->n_nodes && graph->keeps_states; k++) {
        int n = states_of(graph, k, shapes);
        for (int s = 0; s < n; s++, out++) {
            MB_TRY(describe(graph, k, s, &shapes[s], &array));
            *out = (mb_tensor_spec_t){.name = mb_arena_strdup(arena, array.name),
                                      .shape = array.shape};
            if (out->name == NULL)
                return mb_error_memory("a checkpoint's layout", 0);
        }
    }
    return MB_OK;
}

/* The rows of this rank's group. */
static void find_rows(const mb_engine_t *engine, array_t *array)
{
    const mb_plan_t *plan = engine->plan;
    int64_t batch = plan->graph->batch, each = plan->micros_per_replica * plan->micro_batch;
    int replica, replicas;
    mb_grid_replicas(&engine->grid, engine->grid.group, &replica, &replicas);
    array->allocated = plan->micros * plan->micro_batch;
    array->first = replica * each < batch ? replica * each : batch;
    array->n = batch - array->first < array->allocated ? batch - array->first : array->allocated;
}

static bool is_here(const mb_engine_t *engine, int node)
{
    return mb_stage_has_node(engine->stage, node);
}

static size_t rows_bytes(const array_t *array)
{
    return (size_t)(array->allocated * array->elements) * sizeof(float);
}

static mb_status_t take_rows(const array_t *array, float **out)
{
    size_t bytes = rows_bytes(array);
    *out = calloc(1, bytes > 0 ? bytes : 1);
    return *out == NULL ? mb_error_memory("states of layers on their way", bytes) : MB_OK;
}

static mb_status_t read_rows(const mb_engine_t *engine, const array_t *array, float *values)
{
    const mb_plan_t *plan = engine->plan;
    int64_t micro = plan->micro_batch * array->elements;
    for (int i = 0; i < plan->micros; i++)
        MB_TRY(
            mb_stage_read_state(engine->stage, array->node, array->state, i, values + i * micro));
    return MB_OK;
}

static mb_status_t write_rows(const mb_engine_t *engine, const array_t *array, const float *values)
{
    const mb_plan_t *plan = engine->plan;
    int64_t micro = plan->micro_batch * array->elements;
    for (int i = 0; i < plan->micros; i++)
        MB_TRY(
            mb_stage_write_state(engine->stage, array->node, array->state, i, values + i * micro));
    return MB_OK;
}

typedef struct {
    const mb_engine_t *engine;
    const mb_model_file_t *file;
    int first, *n_pieces;
    mb_piece_t *pieces;
    char *room; /* NULL: each array gets memory of its own */
    size_t *used;
} task_t;

/* Calls ACT for each array whose layer is on this rank's stage; INDEX: among those of all layers.
 */
static mb_status_t for_each(const task_t *task,
                            mb_status_t (*act)(const task_t *, const array_t *, int index))
{
    const mb_graph_t *graph = task->engine->plan->graph;
    mb_shape_t shapes[MB_MAX_STATES];
    array_t array;
    int index = 0;
    for (int k = 0; k < graph->n_nodes && graph->keeps_states; k++) {
        int n = states_of(graph, k, shapes);
        for (int s = 0; s < n; s++, index++) {
            if (!is_here(task->engine, k))
                continue;
            MB_TRY(describe(graph, k, s, &shapes[s], &array));
            find_rows(task->engine, &array);
            MB_TRY(act(task, &array, index));
        }
    }
    return MB_OK;
}

static mb_status_t count_rows(const task_t *task, const array_t *array, int index)
{
    (void)index;
    *task->used += (rows_bytes(array) + 63) / 64 * 64;
    return MB_OK;
}

/* What cannot be described takes nothing here, and is refused where it is collected. */
size_t mb_kept_bytes(const mb_engine_t *engine)
{
    size_t used = 0;
    task_t task = {.engine = engine, .used = &used};
    if (!mb_engine_idle(engine))
        for_each(&task, count_rows);
    return used;
}

static mb_status_t place_rows(const task_t *task, const array_t *array, float **out)
{
    if (task->room == NULL)
        return take_rows(array, out);
    *out = (float *)(void *)(task->room + *task->used);
    return count_rows(task, array, 0);
}

static mb_status_t collect(const task_t *task, const array_t *array, int index)
{
    float *values;
    MB_TRY(place_rows(task, array, &values));
    task->pieces[(*task->n_pieces)++] = (mb_piece_t){.tensor = task->first + index,
                                                     .first = array->first * array->elements,
                                                     .count = array->n * array->elements,
                                                     .values = values};
    return read_rows(task->engine, array, values);
}

mb_status_t mb_kept_collect(const mb_engine_t *engine, int first, char *room, mb_piece_t *pieces,
                            int *n_pieces)
{
    size_t used = 0;
    task_t task = {.engine = engine,
                   .first = first,
                   .pieces = pieces,
                   .n_pieces = n_pieces,
                   .room = room,
                   .used = &used};
    return mb_engine_idle(engine) ? MB_OK : for_each(&task, collect);
}

static const mb_stored_tensor_t *find(const mb_model_file_t *file, const char *name)
{
    for (int i = 0; i < file->n_states; i++) {
        if (strcmp(file->states[i].name, name) == 0)
            return &file->states[i];
    }
    return NULL;
}

static mb_status_t check_shape(const mb_model_file_t *file, const mb_stored_tensor_t *tensor,
                               const mb_shape_t *shape)
{
    char found[MB_SHAPE_TEXT], wanted[MB_SHAPE_TEXT];
    if (mb_shape_equal(&tensor->shape, shape))
        return MB_OK;
    return mb_error_set(MB_ERR_SHAPE, "%s: state '%s' has shape %s where the model has %s",
                        file->path, tensor->name,
                        mb_shape_text(&tensor->shape, found, sizeof found),
                        mb_shape_text(shape, wanted, sizeof wanted));
}

/* All rows, of which the first of VALUES become this rank's. */
static mb_status_t load_rows(const mb_model_file_t *file, const mb_stored_tensor_t *tensor,
                             const array_t *array, float *values)
{
    size_t bytes = (size_t)tensor->elements * sizeof(float);
    float *all = malloc(bytes > 0 ? bytes : 1);
    if (all == NULL)
        return mb_error_memory("states of layers on their way from the file", bytes);
    mb_status_t status = mb_stored_tensor_read(file, tensor, all);
    if (status == MB_OK)
        memcpy(values, all + array->first * array->elements,
               (size_t)(array->n * array->elements) * sizeof(float));
    free(all);
    return status;
}

static mb_status_t restore(const task_t *task, const array_t *array, int index)
{
    const mb_stored_tensor_t *tensor = find(task->file, array->name);
    float *values;
    (void)index;
    if (tensor == NULL)
        return MB_OK;
    MB_TRY(check_shape(task->file, tensor, &array->shape));
    MB_TRY(take_rows(array, &values));
    mb_status_t status = load_rows(task->file, tensor, array, values);
    if (status == MB_OK)
        status = write_rows(task->engine, array, values);
    free(values);
    return status;
}

mb_status_t mb_kept_read(const mb_model_file_t *file, const mb_engine_t *engine)
{
    task_t task = {.engine = engine, .file = file};
    return mb_engine_idle(engine) ? MB_OK : for_each(&task, restore);
}
