/* Places among categories as a layer's output: as they are, or as rows of marks or counts. What
 * Keras calls output_mode. */
#ifndef MB_MODEL_LAYERS_ENCODING_H
#define MB_MODEL_LAYERS_ENCODING_H

#include "model/layers/view.h"

typedef enum {
    MB_ENCODING_INT = 0,
    MB_ENCODING_ONE_HOT,
    MB_ENCODING_MULTI_HOT,
    MB_ENCODING_COUNT,
    MB_ENCODING_TF_IDF /* counts times a weight for each category */
} mb_output_mode_t;

/* Takes output_mode and sparse. */
mb_status_t mb_encoding_take(mb_config_t *config, const char *otherwise, mb_output_mode_t *out);
/* The same of a layer without weights of categories; "int" is the default. */
mb_status_t mb_encoding_take_unweighted(mb_config_t *config, mb_output_mode_t *out);
/* The output's shape and type, of DEPTH categories. */
mb_status_t mb_encoding_infer(mb_call_t *call, mb_output_mode_t encoding, int64_t depth);
/* What places take before they are encoded: bytes of the saved block. */
size_t mb_encoding_bytes(const mb_call_t *call, mb_output_mode_t encoding, int64_t samples);
/* Where places are to be written, and their encoding from there into the output. WEIGHTS is for
 * TF_IDF, in the output's type. */
int32_t *mb_encoding_places(const mb_run_t *run, mb_output_mode_t encoding);
mb_status_t mb_encoding_run(const mb_run_t *run, mb_output_mode_t encoding, const int32_t *places,
                            const void *weights);

/* backward_input, differentiable and cost of layers that gradients stop at. */
mb_status_t mb_no_backward(const mb_run_t *run);
bool mb_not_differentiable(const mb_call_t *call, int input);
void mb_traffic_cost(const mb_call_t *call, mb_cost_t *out);

#endif
