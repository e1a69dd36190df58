/* Rows of exponentials with what every processor of the kind has. */
#include "device/cpu/softmax_rows.h"

#if defined(__FP_FAST_FMAF)
#define MB_V_FMA
#endif
#include "device/cpu/softmax_rows_body.h"

const mb_softmax_rows_t *mb_softmax_rows_plain(void)
{
    return &rows;
}
