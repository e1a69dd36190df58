/* What the parts of quantization share: every tensor of the model with what becomes of it, and the
 * passes over data, where there is some. */
#ifndef MB_COMPRESS_QUANTIZATION_H
#define MB_COMPRESS_QUANTIZATION_H

#include "compress/passes.h"
#include "compress/quantize.h"
#include "store/keras_int8.h"

typedef struct {
    const mb_param_t *param;
    const mb_stored_tensor_t *stored; /* where its values are read */
    mb_view_t view;
    bool is_matrix; /* used as one; others are stored as floats only */
    bool fixed;     /* a rule decided its format */
    mb_format_t format;
    int owner;   /* the rank that encodes and writes it */
    bool here;   /* this rank encodes it or computes with it */
    bool shared; /* more than one rank computes with it */
    bool in_use; /* the stage computes with what is encoded */
    bool encoded_here;
    mb_encoded_t encoded;
    mb_encoding_t encoding; /* on all ranks, once exchanged */
} mb_target_t;

typedef struct mb_quantization {
    const mb_quantize_options_t *options;
    mb_comm_t *comm; /* NULL: one process alone, without MPI */
    mb_arena_t *arena;
    mb_model_t *model;
    mb_source_t *whole, *source; /* of all the data; of the samples wanted */
    mb_passes_t *passes;         /* NULL without data */
    bool without_calibration;    /* mse in the place of gptq and awq, while searching */
    mb_keras_int8_t *keras;      /* NULL: mbrun's own layout */
    int n_targets;
    mb_target_t *targets; /* in parameter order */
    mb_quantize_result_t *result;
} mb_quantization_t;

/* Whether a format is float32 as it is. */
static inline bool mb_format_is_plain(const mb_format_t *format)
{
    return format->number == MB_NUMBER_F32 && format->kept_bits == 0;
}

/* targets.c: lists the tensors with the formats that rules and --format give. Not collective. */
mb_status_t mb_targets_list(mb_quantization_t *q);
/* keras_form.c: float32 for what Keras does not hold in 8 bits; afterwards, whether rules changed
 * that. Not collective. */
mb_status_t mb_keras_form_open(mb_quantization_t *q);
mb_status_t mb_keras_form_check(const mb_quantization_t *q);
/* ownership.c: who encodes what. Collective. */
mb_status_t mb_targets_deal(mb_quantization_t *q);

/* target.c. Not collective; they do nothing where the tensor is not. The method may be one that the
 * format has no use for. */
mb_status_t mb_target_encode(const mb_quantization_t *q, mb_target_t *target,
                             const mb_calibration_t *calibration);
/* Lets the stage compute with what is encoded, or with the floats again; the engine must be
 * prepared before its next pass. */
mb_status_t mb_target_use(const mb_quantization_t *q, mb_target_t *target);
mb_status_t mb_target_restore(const mb_quantization_t *q, mb_target_t *target);
void mb_target_forget(mb_target_t *target);
/* All its numbers, malloc'ed. */
mb_status_t mb_target_read(const mb_quantization_t *q, const mb_target_t *target, float **values);
int64_t mb_target_bytes(const mb_target_t *target, const mb_format_t *format);

/* encode.c. Collective: encodes every tensor in its format and puts it into use; afterwards all
 * ranks know every encoding. */
mb_status_t mb_targets_encode(mb_quantization_t *q);
/* Collective: the owner's encoding for the other ranks that compute with the tensor. */
mb_status_t mb_target_share(mb_quantization_t *q, mb_target_t *target);
/* Takes all of it back. Not collective. */
mb_status_t mb_targets_restore(mb_quantization_t *q);

/* summary.c: the report's lines and sizes. Not collective. */
mb_status_t mb_quantization_summarize(mb_quantization_t *q);
/* write.c. Collective. */
mb_status_t mb_quantization_write(mb_quantization_t *q);

/* Rank 0's caller is told. */
void mb_quantization_progress(const mb_quantization_t *q, const char *what, int64_t done,
                              int64_t all);

#endif
