/* A model in the layout that Keras' own model.quantize("int8") saves and load_model reads.
 *
 *     model_config   the dtype policy of a quantized layer is QuantizedDTypePolicy
 *     Dense          kernel int8 [in, out], kernel_scale float32 [out]
 *     Embedding      embeddings int8 [tokens, width], embeddings_scale float32 [tokens]
 *
 * value = code / scale: the reciprocal of what mb_matrix_t has. A layer lists what may be trained
 * first, so the bias comes before the kernel. Keras has no such form of convolutions, and does not
 * load that of an attention layer or of layers within layers; these stay as they are. Keras rounds
 * what flows into a quantized layer to 8 bits as well, row by row. */
#ifndef MB_STORE_KERAS_INT8_H
#define MB_STORE_KERAS_INT8_H

#include "base/arena.h"
#include "store/checkpoint.h"

typedef struct mb_keras_int8 mb_keras_int8_t;

/* Finds the layers in MODEL_CONFIG; PATH is for messages. Lives in the arena. */
mb_status_t mb_keras_int8_open(const char *model_config, const char *path, mb_arena_t *arena,
                               mb_keras_int8_t **out);
/* Whether Keras holds WEIGHT (a name as in weight_names) of a layer in 8 bits. */
bool mb_keras_int8_takes(const mb_keras_int8_t *keras, const char *layer, const char *weight);

/* Turns a layout and this rank's pieces, which are replaced: of weights that Keras takes, those
 * encoded as int8:channel get Keras' form, with the layers' policies in model_config. The layout
 * has no moments. Any method but awq. MB_ERR_ARGUMENT names a tensor in another format with scales.
 * Not collective; what it makes lives in the arena and refers to what it was given. */
mb_status_t mb_keras_int8_convert(const mb_keras_int8_t *keras, mb_arena_t *arena,
                                  mb_checkpoint_layout_t *layout, const mb_piece_t **pieces,
                                  int *n_pieces);

#endif
