/* GPTQ. */
#include "quant/methods.h"

mb_status_t mb_encode_gptq(const mb_draft_t *draft, const float *values,
                           const mb_calibration_t *calibration, mb_method_t *used)
{
    (void)calibration;
    *used = MB_METHOD_MSE;
    return mb_encode_scaled(draft, values, true);
}
