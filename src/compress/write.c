/* The quantized model's file: every rank writes the tensors that it owns. */
#include <math.h>
#include <stdlib.h>

#include "compress/quantization.h"
#include "store/checkpoint.h"
#include "store/ranks.h"
#include "train/state.h"

typedef struct {
    mb_checkpoint_layout_t layout;
    mb_tensor_spec_t *tensors;
    int n_pieces;
    mb_piece_t *pieces;
} file_t;

static mb_status_t add_piece(const mb_quantization_t *q, file_t *file, int index)
{
    const mb_target_t *target = &q->targets[index];
    mb_piece_t *piece = &file->pieces[file->n_pieces];
    float *values = NULL;
    *piece = (mb_piece_t){.tensor = index, .count = target->param->elements};
    if (target->encoded_here)
        piece->encoded = &target->encoded;
    else
        MB_TRY(mb_target_read(q, target, &values));
    piece->values = values;
    file->n_pieces++;
    return MB_OK;
}

static mb_status_t collect(mb_quantization_t *q, file_t *file)
{
    const mb_model_file_t *parent = q->model->file;
    bool quantized = false;
    file->tensors = calloc((size_t)q->n_targets + 1, sizeof *file->tensors);
    file->pieces = calloc((size_t)q->n_targets + 1, sizeof *file->pieces);
    if (file->tensors == NULL || file->pieces == NULL)
        return mb_error_memory("a model file's layout", 0);
    for (int i = 0; i < q->n_targets; i++) {
        const mb_target_t *target = &q->targets[i];
        bool plain = mb_format_is_plain(&target->format);
        file->tensors[i] = (mb_tensor_spec_t){.name = target->stored->name,
                                              .shape = target->param->shape,
                                              .encoding = plain ? NULL : &target->encoding};
        quantized = quantized || !plain;
        if (target->owner == mb_ranks_rank(q->comm))
            MB_TRY(add_piece(q, file, i));
    }
    file->layout =
        (mb_checkpoint_layout_t){.model_config = parent->model_config,
                                 .training_config = parent->training_config,
                                 .keras_version = parent->keras_version,
                                 .backend = parent->backend,
                                 .n_weights = q->n_targets,
                                 .tensors = file->tensors,
                                 .learning_rate = NAN,
                                 .n_settings = parent->n_settings,
                                 .settings = parent->settings,
                                 .report = quantized ? &q->result->report : NULL,
                                 .quantized = quantized ? q->result->report.format : NULL};
    return mb_state_list_layers(q->model->graph, q->arena, &file->layout);
}

mb_status_t mb_quantization_write(mb_quantization_t *q)
{
    file_t file = {0};
    const mb_piece_t *pieces;
    int n_pieces;
    mb_status_t status = collect(q, &file);
    pieces = file.pieces;
    n_pieces = file.n_pieces;
    if (status == MB_OK && q->keras != NULL)
        status = mb_keras_int8_convert(q->keras, q->arena, &file.layout, &pieces, &n_pieces);
    status = mb_ranks_agree(q->comm, status);
    if (status == MB_OK)
        status = mb_checkpoint_write(q->comm, q->options->output, &file.layout, pieces, n_pieces);
    for (int i = 0; i < file.n_pieces; i++)
        free((void *)(uintptr_t)file.pieces[i].values);
    free(file.tensors);
    free(file.pieces);
    return status;
}
