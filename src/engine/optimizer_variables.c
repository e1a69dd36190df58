/* The variables of an optimizer have numbers for names. Which moment each is follows from the
 * optimizer that the model was compiled with, as Keras makes them (store/keras_optimizer.h):
 *
 *     iteration, learning rate unless it is a schedule, moments
 *
 * and a LossScaleOptimizer's own four come before those of the one inside. */
#include <math.h>
#include <string.h>

#include "engine/optimizer_variables.h"
#include "model/optimizer.h"
#include "store/keras_optimizer.h"

#define GROUP "optimizer/vars"

typedef struct {
    mb_model_file_t *file;
    const mb_graph_t *graph;
    mb_arena_t *arena; /* the file's */
    const mb_stored_variable_t *first;
    int count;
} optimizer_t;

static mb_status_t no_memory(void)
{
    return mb_error_memory("an optimizer's state", 0);
}

/* They stand together, by number. */
static void find(optimizer_t *o)
{
    for (int i = 0; i < o->file->n_variables; i++) {
        const mb_stored_variable_t *variable = &o->file->variables[i];
        if (variable->group_length != (int)strlen(GROUP) ||
            strncmp(variable->path, GROUP, strlen(GROUP)) != 0)
            continue;
        o->first = o->count == 0 ? variable : o->first;
        o->count++;
    }
}

static mb_status_t list_moments(const optimizer_t *o, const mb_optimizer_t *optimizer,
                                mb_checkpoint_layout_t *layout)
{
    const mb_graph_t *graph = o->graph;
    int most = graph->n_params * optimizer->n_slots;
    mb_tensor_spec_t *moments = MB_ARENA_ARRAY(o->arena, mb_tensor_spec_t, most + 1);
    if (moments == NULL)
        return no_memory();
    for (int p = 0; p < graph->n_params; p++) {
        for (int s = 0; s < optimizer->n_slots && graph->params[p].trainable; s++) {
            char *name =
                mb_arena_format(o->arena, "%s/%s", optimizer->slot_names[s], graph->params[p].path);
            if (name == NULL)
                return no_memory();
            moments[layout->n_moments++] = (mb_tensor_spec_t){.name = name};
        }
    }
    layout->tensors = moments;
    return MB_OK;
}

mb_status_t mb_optimizer_name_variables(const mb_graph_t *graph, const mb_optimizer_t *optimizer,
                                        mb_arena_t *arena, mb_keras_optimizer_t *out)
{
    const optimizer_t o = {.graph = graph, .arena = arena};
    mb_checkpoint_layout_t layout = {
        .optimizer_name = optimizer->name,
        .learning_rate = optimizer->schedule == NULL ? optimizer->learning_rate : NAN};
    MB_TRY(list_moments(&o, optimizer, &layout));
    return mb_keras_optimizer_name(&layout, arena, out);
}

static mb_status_t add(optimizer_t *o, const char *name)
{
    mb_stored_tensor_t *tensor = &o->file->optimizer[o->file->n_optimizer];
    *tensor = o->first[o->file->n_optimizer++].tensor;
    tensor->name = mb_arena_strdup(o->arena, name);
    return tensor->name == NULL ? no_memory() : MB_OK;
}

static mb_status_t name_all(optimizer_t *o, const mb_optimizer_t *optimizer)
{
    static const char *const scaling[] = {
        "loss_scale_optimizer/iteration", "loss_scale_optimizer/learning_rate",
        "loss_scale_optimizer/step_counter", "loss_scale_optimizer/dynamic_scale"};
    enum { N_SCALING = sizeof scaling / sizeof scaling[0] };
    mb_keras_optimizer_t names;
    MB_TRY(mb_optimizer_name_variables(o->graph, optimizer, o->arena, &names));
    int own = optimizer->scales_loss ? N_SCALING : 0;
    int plain = optimizer->schedule == NULL ? 2 : 1;
    bool unbuilt = o->count == plain && own == 0;
    if (o->count != own + names.count && !unbuilt) {
        o->file->left_out = mb_arena_format(
            o->arena,
            "the optimizer's state is left out, as Keras does: %s of this model has %d variables, "
            "and the file %d",
            optimizer->class_name, own + names.count, o->count);
        return o->file->left_out == NULL ? no_memory() : MB_OK;
    }
    o->file->optimizer = MB_ARENA_ARRAY(o->arena, mb_stored_tensor_t, o->count + 1);
    if (o->file->optimizer == NULL)
        return no_memory();
    for (int i = 0; i < o->count; i++)
        MB_TRY(add(o, i < own ? scaling[i] : names.names[i - own]));
    return MB_OK;
}

/* An optimizer that is not known is refused where it is needed, not here. */
mb_status_t mb_variables_name_optimizer(mb_model_file_t *file, const mb_graph_t *graph,
                                        const json_t *training)
{
    optimizer_t o = {.file = file, .graph = graph, .arena = mb_model_file_arena(file)};
    mb_optimizer_t *optimizer = NULL;
    const json_t *config = json_object_get(training, "optimizer_config");
    find(&o);
    if (o.count == 0 || config == NULL ||
        mb_optimizer_create(config, NULL, file->path, o.arena, &optimizer) != MB_OK)
        return MB_OK;
    mb_status_t status = name_all(&o, optimizer);
    mb_optimizer_destroy(optimizer);
    return status;
}
