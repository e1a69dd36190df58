/* Weights of classes, which a sample gets by its label: Keras' class_weight of fit(). */
#ifndef MB_ENGINE_CLASS_WEIGHTS_H
#define MB_ENGINE_CLASS_WEIGHTS_H

#include "model/loss.h"

typedef struct {
    int64_t n;      /* 0: none are set */
    float *weights; /* [n] by class; those that were not named have 1 */
} mb_class_weights_t;

/* "0=1,1=5" for an output with this loss, in the arena. MB_ERR_ARGUMENT for what is not of that
 * form, MB_ERR_UNSUPPORTED for labels that are no classes of samples. */
mb_status_t mb_class_weights_parse(const char *text, const mb_loss_t *loss, mb_arena_t *arena,
                                   mb_class_weights_t *out);

/* Of a sample with these labels. Source:
 * keras/src/trainers/data_adapters/data_adapter_utils.py, class_weight_to_sample_weights. */
float mb_class_weights_of(const mb_class_weights_t *classes, const mb_loss_t *loss,
                          const void *labels);

#endif
