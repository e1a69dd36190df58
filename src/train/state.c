/* See state.h. */
#include "train/state.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train/kept_states.h"
#include "train/state_private.h"

static int slot_count(const mb_state_t *state)
{
    return state->with_state && !state->without_moments ? state->optimizer->n_slots : 0;
}

/* What layers keep goes with the moments: a run goes on with both. */
static int kept_count(const mb_state_t *state)
{
    bool whole = state->with_state && !state->without_moments;
    return whole ? mb_kept_count(state->model->graph) : 0;
}

static int trainable_count(const mb_graph_t *graph)
{
    int count = 0;
    for (int p = 0; p < graph->n_params; p++)
        count += graph->params[p].trainable;
    return count;
}

/* Whether the file has a moment of the parameter in that slot. */
static bool has_moment(const mb_state_t *state, int param, int slot, mb_shape_t *shape)
{
    const mb_param_t *p = &state->model->graph->params[param];
    return p->trainable && mb_optimizer_slot(state->optimizer, p, slot, shape);
}

mb_status_t mb_state_list_layers(const mb_graph_t *graph, mb_arena_t *arena,
                                 mb_checkpoint_layout_t *layout)
{
    mb_layer_spec_t *layers = MB_ARENA_ARRAY(arena, mb_layer_spec_t, graph->n_file_layers + 1);
    if (layers == NULL)
        return mb_error_memory("a model file's layout", 0);
    for (int i = 0; i < graph->n_file_layers; i++)
        layers[i] = (mb_layer_spec_t){.name = graph->file_layers[i],
                                      .n_weights = graph->file_layer_n_params[i],
                                      .weights = graph->file_layer_params[i]};
    layout->n_layers = graph->n_file_layers;
    layout->layers = layers;
    return MB_OK;
}

static mb_status_t list_moment(mb_state_writer_t *writer, int param, int slot, int *n)
{
    const mb_state_t *state = writer->state;
    mb_shape_t shape;
    if (!has_moment(state, param, slot, &shape))
        return MB_OK;
    char *name = mb_arena_format(writer->arena, "%s/%s", state->optimizer->slot_names[slot],
                                 state->model->graph->params[param].path);
    if (name == NULL)
        return mb_error_memory("a checkpoint's layout", 0);
    writer->places[*n] = (mb_state_place_t){.param = param, .slot = slot};
    writer->tensors[(*n)++] = (mb_tensor_spec_t){.name = name, .shape = shape};
    return MB_OK;
}

/* Weights in parameter order, then moments: of each trainable parameter, slot by slot; then what
 * layers keep. */
static mb_status_t list_tensors(mb_state_writer_t *writer)
{
    const mb_state_t *state = writer->state;
    const mb_graph_t *graph = state->model->graph;
    int slots = slot_count(state);
    int kept = kept_count(state), n = graph->n_params;
    int count = graph->n_params + slots * trainable_count(graph) + kept;
    writer->tensors = MB_ARENA_ARRAY(writer->arena, mb_tensor_spec_t, count + 1);
    writer->places = MB_ARENA_ARRAY(writer->arena, mb_state_place_t, count + 1);
    if (writer->tensors == NULL || writer->places == NULL)
        return mb_error_memory("a checkpoint's layout", 0);
    for (int p = 0; p < graph->n_params; p++) {
        const mb_param_t *param = &graph->params[p];
        const mb_stored_tensor_t *stored = state->model->stored[p];
        writer->tensors[p] = (mb_tensor_spec_t){.name = stored != NULL ? stored->name : param->path,
                                                .shape = param->shape};
        writer->places[p] = (mb_state_place_t){.param = p, .slot = -1};
        for (int s = 0; s < slots; s++)
            MB_TRY(list_moment(writer, p, s, &n));
    }
    writer->layout.n_weights = graph->n_params;
    writer->layout.n_moments = n - graph->n_params;
    writer->layout.n_states = kept;
    writer->layout.tensors = writer->tensors;
    for (int i = 0; i < kept; i++)
        writer->places[n + i] = (mb_state_place_t){.param = -1, .slot = -1};
    return kept == 0 ? MB_OK : mb_kept_list(graph, writer->arena, writer->tensors + n);
}

/* Training stands still: what the host sees is written from where it stands. NULL: it does not. */
static const float *seen(const mb_state_t *state, int param, int slot)
{
    mb_device_t *device = state->engine->exec.device;
    if (!device->class_->host_visible(device))
        return NULL;
    return slot < 0 ? state->engine->stage->values[param] : state->update->slots[param][slot];
}

/* Host memory for values that the device keeps apart. */
static mb_status_t take_place(mb_state_writer_t *writer, int tensor, size_t bytes, float **out)
{
    const mb_snapshot_t *snapshot = writer->snapshot;
    const mb_state_place_t *place = &writer->places[tensor];
    *out = snapshot == NULL ? NULL : mb_snapshot_place(snapshot, place->param, place->slot);
    if (*out != NULL) {
        writer->homes[writer->n_pieces] = MB_VALUES_COPIED;
        return MB_OK;
    }
    *out = malloc(bytes > 0 ? bytes : 1);
    return *out == NULL ? mb_error_memory("a tensor on its way to the file", bytes) : MB_OK;
}

/* Of the parameter's values, where SLOT is negative, or of that moment of it. */
static mb_status_t add_piece(mb_state_writer_t *writer, int tensor, int param, int slot)
{
    const mb_state_t *state = writer->state;
    int64_t elements = mb_shape_elements(&writer->tensors[tensor].shape);
    size_t bytes = (size_t)elements * sizeof(float);
    const float *lent = seen(state, param, slot);
    float *values = NULL;
    if (lent != NULL)
        writer->homes[writer->n_pieces] = MB_VALUES_LENT;
    else
        MB_TRY(take_place(writer, tensor, bytes, &values));
    writer->pieces[writer->n_pieces++] = (mb_piece_t){
        .tensor = tensor, .first = 0, .count = elements, .values = lent != NULL ? lent : values};
    if (lent != NULL)
        return MB_OK;
    return slot >= 0 ? mb_update_read_slot(state->update, param, slot, values, bytes)
                     : mb_exec_copy(&state->engine->exec, values,
                                    state->engine->stage->values[param], bytes, MB_COPY_TO_HOST);
}

/* The slot that has what is written as the weight; -1: its values. */
static int weight_of(const mb_state_t *state, int param)
{
    return state->averaged && state->model->graph->params[param].trainable
               ? mb_optimizer_average_slot(state->optimizer)
               : -1;
}

/* What layers keep changes with the next forward already, and so is copied at once. */
static mb_status_t collect_states(mb_state_writer_t *writer, int first)
{
    char *room = writer->snapshot == NULL ? NULL : writer->snapshot->states;
    int before = writer->n_pieces;
    MB_TRY(mb_kept_collect(writer->state->engine, first, room, writer->pieces, &writer->n_pieces));
    for (int i = before; i < writer->n_pieces && room != NULL; i++)
        writer->homes[i] = MB_VALUES_COPIED;
    return MB_OK;
}

static mb_status_t collect(mb_state_writer_t *writer)
{
    const mb_state_t *state = writer->state;
    const mb_graph_t *graph = state->model->graph;
    int slots = slot_count(state), n = graph->n_params;
    mb_shape_t shape;
    writer->pieces = MB_ARENA_ARRAY(writer->arena, mb_piece_t, mb_state_tensors(writer) + 1);
    writer->homes = MB_ARENA_ARRAY(writer->arena, mb_values_home_t, mb_state_tensors(writer) + 1);
    if (writer->pieces == NULL || writer->homes == NULL)
        return mb_error_memory("a checkpoint's pieces", 0);
    for (int p = 0; p < graph->n_params; p++) {
        bool mine = mb_snapshot_writes(state->engine, state->update, p);
        if (mine)
            MB_TRY(add_piece(writer, p, p, weight_of(state, p)));
        for (int s = 0; s < slots; s++) {
            if (!has_moment(state, p, s, &shape))
                continue;
            if (mine)
                MB_TRY(add_piece(writer, n, p, s));
            n++;
        }
    }
    if (writer->layout.n_states > 0)
        MB_TRY(collect_states(writer, n));
    return mb_engine_idle(state->engine) ? MB_OK : mb_exec_sync(&state->engine->exec);
}

static void fill_layout(mb_state_writer_t *writer)
{
    const mb_state_t *state = writer->state;
    mb_checkpoint_layout_t *layout = &writer->layout;
    layout->model_config = state->model->file->model_config;
    layout->training_config = state->training_config;
    layout->keras_version = state->model->file->keras_version;
    layout->backend = state->model->file->backend;
    layout->keras_optimizer = slot_count(state) > 0 && state->keras_optimizer;
    if (state->optimizer != NULL) {
        layout->optimizer_name = state->optimizer->name;
        layout->learning_rate =
            state->optimizer->schedule == NULL ? state->optimizer->learning_rate : NAN;
        layout->keras_scalar = mb_optimizer_scalar(
            state->optimizer, mb_optimizer_updates(state->optimizer, state->state.iterations),
            &layout->keras_scalar_value);
    }
    layout->io = state->io;
    layout->align = state->io == NULL ? 0 : state->io->align;
    layout->n_settings = state->n_settings;
    layout->settings = state->settings;
    layout->state = state->state;
    layout->state.present = state->with_state;
    layout->stencil = state->stencil;
    if (state->lease != NULL) {
        layout->may_commit = mb_run_dir_check;
        layout->may_commit_user = state->lease;
    }
}

static mb_status_t list_pieces(mb_state_writer_t *writer)
{
    mb_comm_t *comm = writer->state->engine->machine->comm;
    mb_status_t status =
        mb_state_list_layers(writer->state->model->graph, writer->arena, &writer->layout);
    if (status == MB_OK)
        status = list_tensors(writer);
    if (status == MB_OK)
        status = collect(writer);
    return mb_comm_agree(comm, status);
}

/* A copy of the piece, unless the update has made it. */
static mb_status_t plan_copy(mb_state_writer_t *writer, mb_piece_t *piece)
{
    const mb_state_place_t *place = &writer->places[piece->tensor];
    const mb_snapshot_t *snapshot = writer->snapshot;
    float *to = mb_snapshot_place(snapshot, place->param, place->slot);
    if (to == NULL)
        return mb_error_set(MB_ERR_INTERNAL, "the copy of a checkpoint has no room for '%s'",
                            writer->tensors[piece->tensor].name);
    if (!writer->state->update->copied || !mb_snapshot_has(snapshot, place->param, place->slot))
        writer->copies[writer->n_copies++] =
            (mb_state_copy_t){to, piece->values, (size_t)piece->count * sizeof(float)};
    piece->values = to;
    return MB_OK;
}

/* What is lent, and not written in another form, goes through the snapshot. */
static mb_status_t plan_copies(mb_state_writer_t *writer)
{
    writer->copies = MB_ARENA_ARRAY(writer->arena, mb_state_copy_t, writer->n_pieces + 1);
    if (writer->copies == NULL)
        return mb_error_memory("a checkpoint's pieces", 0);
    for (int i = 0; i < writer->n_pieces; i++) {
        if (writer->homes[i] != MB_VALUES_LENT || writer->pieces[i].encoded != NULL ||
            writer->pieces[i].count == 0)
            continue;
        MB_TRY(plan_copy(writer, &writer->pieces[i]));
        writer->homes[i] = MB_VALUES_COPIED;
    }
    return MB_OK;
}

static mb_status_t open_writer(mb_state_writer_t *writer)
{
    writer->arena = mb_arena_create();
    mb_status_t status = writer->arena == NULL ? mb_error_memory("a checkpoint", 0) : MB_OK;
    return mb_comm_agree(writer->state->engine->machine->comm, status);
}

mb_status_t mb_state_prepare(mb_state_writer_t *writer)
{
    mb_comm_t *comm = writer->state->engine->machine->comm;
    MB_TRY(open_writer(writer));
    MB_TRY(list_pieces(writer));
    fill_layout(writer);
    if (mb_state_is_small(writer->state) || writer->state->moments_in_8_bits)
        MB_TRY(mb_state_encode(writer));
    if (mb_state_is_small(writer->state))
        MB_TRY(mb_state_report(writer));
    return writer->snapshot == NULL ? MB_OK : mb_comm_agree(comm, plan_copies(writer));
}

void mb_state_clear(mb_state_writer_t *writer)
{
    for (int i = 0; i < writer->n_pieces; i++) {
        if (writer->encoded != NULL)
            mb_encoded_free(&writer->encoded[i]);
        if (writer->homes[i] == MB_VALUES_OWN)
            free((void *)(uintptr_t)writer->pieces[i].values);
    }
    mb_arena_destroy(writer->arena);
}

int64_t mb_state_bytes(const mb_state_t *state)
{
    const mb_graph_t *graph = state->model->graph;
    int64_t elements = 0;
    mb_shape_t shape;
    for (int p = 0; p < graph->n_params; p++) {
        elements += graph->params[p].elements;
        for (int s = 0; s < slot_count(state); s++)
            elements += has_moment(state, p, s, &shape) ? mb_shape_elements(&shape) : 0;
    }
    return elements * (int64_t)sizeof(float);
}

mb_status_t mb_state_write(const mb_state_t *state, const char *path)
{
    mb_state_writer_t writer = {.state = state, .path = path};
    mb_status_t status = mb_state_prepare(&writer);
    if (status == MB_OK)
        status = mb_checkpoint_write(state->engine->machine->comm, path, &writer.layout,
                                     writer.pieces, writer.n_pieces);
    mb_state_clear(&writer);
    return status;
}

void mb_state_foresee(const mb_state_t *state)
{
    mb_state_writer_t writer = {.state = state, .arena = mb_arena_create()};
    mb_status_t status = writer.arena == NULL ? MB_ERR_MEMORY : MB_OK;
    if (status == MB_OK)
        status = mb_state_list_layers(state->model->graph, writer.arena, &writer.layout);
    if (status == MB_OK)
        status = list_tensors(&writer);
    if (status == MB_OK) {
        fill_layout(&writer);
        mb_checkpoint_foresee(&writer.layout);
    }
    mb_arena_destroy(writer.arena);
}

mb_status_t mb_state_visit(const mb_state_t *state, mb_state_visit_t visit, void *user)
{
    mb_state_writer_t writer = {.state = state};
    mb_status_t status = open_writer(&writer);
    if (status == MB_OK)
        status = list_pieces(&writer);
    if (status == MB_OK) {
        fill_layout(&writer);
        status = visit(user, &writer.layout, writer.pieces, writer.n_pieces);
    }
    mb_state_clear(&writer);
    return status;
}

mb_status_t mb_state_digest(const mb_state_t *state, uint64_t *digest)
{
    mb_state_writer_t writer = {.state = state};
    mb_status_t status = open_writer(&writer);
    if (status == MB_OK)
        status = list_pieces(&writer);
    if (status == MB_OK)
        status = mb_state_hash(&writer, digest);
    mb_state_clear(&writer);
    return status;
}
