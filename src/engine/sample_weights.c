/* Sample and class weights: which outputs have some, and whether they fit. */
#include "engine/model.h"

#include <string.h>

/* A model's own input or output of that name is what the dataset is for. */
static bool is_taken(const mb_graph_t *graph, const char *name)
{
    for (int i = 0; i < graph->n_inputs; i++) {
        if (strcmp(graph->input_names[i], name) == 0)
            return true;
    }
    for (int o = 0; o < graph->n_outputs; o++) {
        if (strcmp(graph->outputs[o].name, name) == 0)
            return true;
    }
    return false;
}

int mb_model_weights_field(const mb_model_t *model, const mb_source_t *source, int output)
{
    int field = mb_source_weights(source, model->graph->outputs[output].name);
    return field >= 0 && is_taken(model->graph, source->fields[field].name) ? -1 : field;
}

/* Whether a list or dict holds anything, however deep. */
static bool names_any(const json_t *value)
{
    /* jansson's iterator wants a pointer to non-const, but changes nothing. */
    json_t *object = (json_t *)(uintptr_t)value;
    for (size_t i = 0; i < json_array_size(value); i++) {
        if (names_any(json_array_get(value, i)))
            return true;
    }
    for (void *at = json_object_iter(object); at != NULL; at = json_object_iter_next(object, at)) {
        if (names_any(json_object_iter_value(at)))
            return true;
    }
    return json_is_string(value);
}

static mb_status_t check_metrics(const mb_model_t *model, const char *what)
{
    if (!names_any(json_object_get(model->training, "weighted_metrics")))
        return MB_OK;
    return mb_error_set(MB_ERR_UNSUPPORTED,
                        "%s: key 'weighted_metrics' of its training_config beside %s: metrics are "
                        "counted without weights here; compile the model with them as 'metrics'",
                        model->file->path, what);
}

static mb_status_t check_field(const mb_model_t *model, const mb_source_t *source, int output,
                               const mb_field_t *field)
{
    const mb_loss_t *loss = &model->losses[output];
    int64_t elements = mb_shape_elements(&field->shape);
    char shape[MB_SHAPE_TEXT];
    if (loss->compares)
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "%s: dataset '%s': loss %s of output '%s' compares samples with one "
                            "another, and is computed without weights of samples",
                            source->path, field->name, loss->name,
                            model->graph->outputs[output].name);
    if (loss->whole)
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "%s: dataset '%s': loss %s of output '%s' is one number of a batch, in "
                            "which samples have no weights; give it the axes of a sample",
                            source->path, field->name, loss->name,
                            model->graph->outputs[output].name);
    if (elements == 1 || elements == mb_loss_values(loss))
        return check_metrics(model, "a dataset 'sample_weight'");
    return mb_error_set(MB_ERR_SHAPE,
                        "%s: dataset '%s' has weights of shape %s a sample; loss %s of output '%s' "
                        "takes one, or one for each of a sample's %lld values",
                        source->path, field->name,
                        mb_shape_text(&field->shape, shape, sizeof(shape)), loss->name,
                        model->graph->outputs[output].name, (long long)mb_loss_values(loss));
}

mb_status_t mb_model_weigh(mb_model_t *model, const mb_source_t *source)
{
    for (int o = 0; o < model->graph->n_outputs; o++) {
        int field = mb_model_weights_field(model, source, o);
        if (field < 0)
            continue;
        MB_TRY(check_field(model, source, o, &source->fields[field]));
        model->losses[o].weighted = true;
    }
    return MB_OK;
}

mb_status_t mb_model_weigh_classes(mb_model_t *model, const char *text, const mb_source_t *source)
{
    if (text == NULL)
        return MB_OK;
    if (model->graph->n_outputs != 1)
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "class-weight=%s: the model has %d outputs, and weights of classes are "
                            "for one; use datasets 'sample_weight_OUTPUT'",
                            text, model->graph->n_outputs);
    if (mb_model_weights_field(model, source, 0) >= 0)
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "class-weight=%s: %s has sample weights; use one of them", text,
                            source->path);
    MB_TRY(mb_class_weights_parse(text, &model->losses[0], model->graph->arena,
                                  &model->class_weights));
    model->losses[0].weighted = true;
    return check_metrics(model, "class-weight");
}

mb_status_t mb_model_check_micro(const mb_model_t *model, int64_t batch, int64_t micro_batch)
{
    for (int o = 0; o < model->graph->n_outputs; o++)
        MB_TRY(mb_loss_check_micro(&model->losses[o], model->graph->outputs[o].name, batch,
                                   micro_batch));
    return MB_OK;
}
