/* Parameters: declared by layers, put into Keras' order, named as Keras names them, and laid out as
 * the file holds them. */
#include "model/graph_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static mb_status_t check_shape(const mb_layer_t *layer, const mb_param_spec_t *spec)
{
    int64_t elements = 1;
    for (int i = 0; i < spec->shape.rank; i++) {
        int64_t dim = spec->shape.dim[i];
        if (dim == MB_OPEN)
            return mb_error_set(MB_ERR_SHAPE,
                                "layer '%s' (%s): dimension %d of its weight '%s' follows from an "
                                "input dimension that the model leaves open",
                                layer->path, layer->class_->name, i, spec->name);
        if (dim < 1 || __builtin_mul_overflow(elements, dim, &elements) ||
            elements > MB_MAX_ELEMENTS)
            return mb_error_set(MB_ERR_SHAPE,
                                "layer '%s' (%s): its weight '%s' would have a dimension below 1 "
                                "or more than 2^48 elements",
                                layer->path, layer->class_->name, spec->name);
    }
    return MB_OK;
}

/* Axes count from the end when negative; the norm's must lie side by side. */
static mb_status_t fit_axes(const mb_layer_t *layer, mb_param_spec_t *spec)
{
    mb_constraint_t *constraint = &spec->constraint;
    int rank = spec->shape.rank;
    if (!constraint->present || constraint->limit == MB_LIMIT_NONNEG)
        return MB_OK;
    bool there[MB_MAX_RANK] = {false};
    for (int i = 0; i < constraint->n_axes; i++) {
        int64_t axis = constraint->axes[i];
        if (axis < -rank || axis >= rank || there[axis < 0 ? axis + rank : axis])
            return mb_error_set(MB_ERR_ARGUMENT,
                                "layer '%s' (%s): axis %" PRId64 " of the constraint on its weight "
                                "'%s' does not exist or stands twice",
                                layer->path, layer->class_->name, axis, spec->name);
        there[axis < 0 ? axis + rank : axis] = true;
    }
    int n = 0;
    for (int i = 0; i < rank; i++) {
        if (!there[i])
            continue;
        if (n > 0 && constraint->axes[n - 1] != i - 1)
            return mb_error_set(MB_ERR_UNSUPPORTED,
                                "layer '%s' (%s): the axes of the constraint on its weight '%s' do "
                                "not lie side by side",
                                layer->path, layer->class_->name, spec->name);
        constraint->axes[n++] = i;
    }
    return MB_OK;
}

mb_status_t mb_param_add(mb_param_list_t *list, const mb_param_spec_t *spec)
{
    mb_layer_specs_t *specs = list->specs;
    if (specs->n == MB_MAX_LAYER_PARAMS)
        return mb_error_set(MB_ERR_INTERNAL, "layer '%s' (%s) declares more than %d weights",
                            list->layer->path, list->layer->class_->name, MB_MAX_LAYER_PARAMS);
    MB_TRY(check_shape(list->layer, spec));
    mb_param_spec_t *copy = MB_ARENA_NEW(list->arena, mb_param_spec_t);
    MB_ARENA_TRY(copy, "a weight");
    *copy = *spec;
    copy->name =
        mb_arena_format(list->arena, "%s%s", list->prefix == NULL ? "" : list->prefix, spec->name);
    MB_ARENA_TRY(copy->name, "a weight's name");
    MB_TRY(fit_axes(list->layer, copy));
    specs->specs[specs->n++] = copy;
    return MB_OK;
}

mb_status_t mb_param_list_enter(mb_param_list_t *list, const char *prefix, const char **around)
{
    *around = list->prefix;
    list->prefix = mb_arena_format(list->arena, "%s%s", *around == NULL ? "" : *around, prefix);
    MB_ARENA_TRY(list->prefix, "a weight's name");
    return MB_OK;
}

void mb_param_list_leave(mb_param_list_t *list, const char *around)
{
    list->prefix = around;
}

/* Keras 3 puts the name of a Sequential model before those of its layers' weights; a functional
 * model is made of layers that exist before it, and puts nothing. */
static const char *keras_path(mb_arena_t *arena, const mb_module_t *module, const char *name)
{
    const mb_module_t *model = module->parent;
    const char *called = model->distributed ? model->inside : model->name;
    if (model->sequential)
        return mb_arena_format(arena, "%s/%s/%s", called, module->name, name);
    return mb_arena_format(arena, "%s/%s", module->name, name);
}

/* As many ways as it takes to a path that no other parameter has. */
static mb_status_t claim_path(mb_graph_t *graph, const mb_module_t *module, const char *name,
                              int index, const char **out)
{
    const char *path = keras_path(graph->arena, module, name);
    for (int n = 1; path != NULL && !mb_names_put(&graph->detail->params, path, index); n++) {
        path = n == 1 ? mb_arena_format(graph->arena, "%s/%s", module->path, name)
                      : mb_arena_format(graph->arena, "%s_%d/%s", module->path, n, name);
    }
    MB_ARENA_TRY(path, "a weight's path");
    *out = path;
    return MB_OK;
}

static mb_status_t add_param(mb_graph_t *graph, const mb_module_t *module,
                             const mb_param_spec_t *spec)
{
    mb_layer_t *layer = module->layer;
    int index = graph->n_params;
    mb_param_t *param = &graph->params[index];
    *param = (mb_param_t){.name = spec->name,
                          .shape = spec->shape,
                          .elements = mb_shape_elements(&spec->shape),
                          .fan_in = spec->fan_in,
                          .fan_out = spec->fan_out,
                          .initializer = spec->initializer,
                          .regularizer = spec->regularizer,
                          .constraint = spec->constraint,
                          .trainable = spec->weight && layer->trainable,
                          .weight = spec->weight,
                          .operand = spec->operand,
                          .layer = layer->index,
                          .index = index,
                          .view = spec->view};
    MB_TRY(claim_path(graph, module, spec->name, index, &param->path));
    layer->params[layer->n_params++] = index;
    graph->n_params++;
    return MB_OK;
}

/* Keras' model.weights: the layers of a model in the file's order, models where they stand. */
static mb_status_t walk(mb_graph_t *graph, const mb_module_t *module)
{
    for (int i = 0; i < module->n_members; i++)
        MB_TRY(walk(graph, module->members[i]));
    if (module->kind != MB_MODULE_LAYER)
        return MB_OK;
    const mb_layer_specs_t *specs = &graph->detail->specs[module->layer->index];
    for (int i = 0; i < specs->n; i++)
        MB_TRY(add_param(graph, module, specs->specs[i]));
    return MB_OK;
}

/* Appends the module's parameters that are trainable, or those that are not. */
static void collect(const mb_graph_t *graph, const mb_module_t *module, bool trainable, int *out,
                    int *n)
{
    for (int i = 0; i < module->n_members; i++)
        collect(graph, module->members[i], trainable, out, n);
    for (int i = 0; module->layer != NULL && i < module->layer->n_params; i++) {
        int index = module->layer->params[i];
        if (graph->params[index].trainable == trainable)
            out[(*n)++] = index;
    }
}

/* Keras' legacy format: for each layer of the outermost model the trainable weights, then the
 * others. */
static mb_status_t lay_out_file(mb_graph_t *graph)
{
    const mb_module_t *root = graph->detail->root;
    int first = root->sequential ? 1 : 0;
    int n = root->n_members - first;
    graph->file_layers = MB_ARENA_ARRAY(graph->arena, const char *, n);
    graph->file_layer_n_params = MB_ARENA_ARRAY(graph->arena, int, n);
    graph->file_layer_params = MB_ARENA_ARRAY(graph->arena, int *, n);
    int *params = MB_ARENA_ARRAY(graph->arena, int, graph->n_params);
    MB_ARENA_TRY(graph->file_layers, "a file's layout");
    MB_ARENA_TRY(graph->file_layer_n_params, "a file's layout");
    MB_ARENA_TRY(graph->file_layer_params, "a file's layout");
    MB_ARENA_TRY(params, "a file's layout");
    graph->n_file_layers = n;
    for (int i = 0; i < n; i++) {
        const mb_module_t *member = root->members[first + i];
        graph->file_layers[i] = member->name;
        graph->file_layer_params[i] = params;
        collect(graph, member, true, params, &graph->file_layer_n_params[i]);
        collect(graph, member, false, params, &graph->file_layer_n_params[i]);
        params += graph->file_layer_n_params[i];
    }
    return MB_OK;
}

mb_status_t mb_graph_order_params(mb_graph_t *graph)
{
    size_t count = 0;
    for (int i = 0; i < graph->n_layers; i++)
        count += (size_t)graph->detail->specs[i].n;
    graph->params = MB_ARENA_ARRAY(graph->arena, mb_param_t, count);
    MB_ARENA_TRY(graph->params, "a graph's parameters");
    MB_TRY(mb_names_create(graph->arena, count, &graph->detail->params));
    MB_TRY(walk(graph, graph->detail->root));
    MB_TRY(mb_graph_name_variables(graph));
    return lay_out_file(graph);
}

void mb_param_matrix(const mb_param_t *param, int64_t *rows, int64_t *columns)
{
    int last = param->shape.rank - 1;
    *rows = 1;
    *columns = 1;
    for (int i = 0; i <= last; i++) {
        bool row = param->view == MB_VIEW_FIRST ? i == 0 : i < last;
        *(row ? rows : columns) *= param->shape.dim[i];
    }
}
