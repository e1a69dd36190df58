/* What the matrices are multiplied by: X^T X over the rows that data brings to each, for gptq and
 * awq. */
#ifndef MB_COMPRESS_CALIBRATE_H
#define MB_COMPRESS_CALIBRATE_H

#include "compress/quantization.h"

/* Whether the tensor's encoding depends on data. */
bool mb_target_wants_calibration(const mb_quantization_t *q, const mb_target_t *target);

/* Collective: encodes the tensors that want calibration, in node order, some nodes at a time; each
 * lot sees its inputs as the quantized nodes in front of it make them. Which nodes form a lot
 * depends on the model alone, so that the result does not depend on the ranks. */
mb_status_t mb_calibrate_and_encode(mb_quantization_t *q);

#endif
