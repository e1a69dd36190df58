/* --keras-int8: the weights that Keras itself holds in 8 bits, and the file in its layout. */
#include "compress/quantization.h"

static const char *layer_of(const mb_model_file_t *file, const mb_stored_tensor_t *weight)
{
    for (int i = 0; i < file->n_layers; i++) {
        const mb_stored_layer_t *layer = &file->layers[i];
        for (int k = 0; k < layer->n_weights; k++) {
            if (&layer->weights[k] == weight)
                return layer->name;
        }
    }
    return "";
}

static bool takes(const mb_quantization_t *q, const mb_target_t *target)
{
    const char *layer = layer_of(q->model->weights, target->stored);
    return mb_keras_int8_takes(q->keras, layer, target->stored->name);
}

mb_status_t mb_keras_form_open(mb_quantization_t *q)
{
    const mb_model_file_t *file = q->model->file;
    MB_TRY(mb_keras_int8_open(file->model_config, file->path, q->arena, &q->keras));
    for (int i = 0; i < q->n_targets; i++) {
        mb_target_t *target = &q->targets[i];
        if (!takes(q, target))
            target->format = (mb_format_t){.number = MB_NUMBER_F32};
    }
    return MB_OK;
}

mb_status_t mb_keras_form_check(const mb_quantization_t *q)
{
    static const mb_format_t int8 = {.number = MB_NUMBER_I8, .grain = MB_GRAIN_CHANNEL};
    for (int i = 0; i < q->n_targets; i++) {
        const mb_target_t *target = &q->targets[i];
        char text[MB_FORMAT_TEXT];
        bool right = takes(q, target) && mb_format_equal(&target->format, &int8);
        if (!right && !mb_format_is_float(&target->format))
            return mb_error_set(MB_ERR_ARGUMENT,
                                "%s: tensor '%s' is to be %s, and --keras-int8 has int8 kernels of "
                                "Dense and tables of Embedding only",
                                q->options->model, target->stored->name,
                                mb_format_text(&target->format, text, sizeof text));
    }
    return MB_OK;
}
