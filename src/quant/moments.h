/* An optimizer's moments in 8 bits, one scale for 128 values in the order of the tensor (block-wise
 * as in Dettmers et al., 8-bit Optimizers via Block-wise Quantization, ICLR 2022).
 *
 *     averages of gradients            x = scale * code,       code -127 .. 127
 *     averages of squared gradients    v = (scale * code)^2,   code 0 .. 255
 *
 * The root of a square spans half its decades. What an optimizer divides by is never rounded to
 * zero: the code of v > 0 is at least 1, that of 0 is 0, and where v is 0 so is the average of the
 * gradients. */
#ifndef MB_QUANT_MOMENTS_H
#define MB_QUANT_MOMENTS_H

#include "quant/encode.h"

/* Of 64, 128 and 256 values the longest block before the error of m / (sqrt(v) + epsilon) grows: on
 * Adam's moments of a CNN and of a transformer 38.7 and 18.8 dB, 37.8 and 18.8, 34.1 and 13.7. */
#define MB_MOMENT_BLOCK 128

typedef enum {
    MB_MOMENT_SIGNED = 0,
    MB_MOMENT_SIGNED_INWARD, /* never larger in magnitude: RMSprop's average gradient, whose square
                                is taken from the average square */
    MB_MOMENT_SQUARE,
    MB_MOMENT_SQUARE_OUTWARD /* never smaller: the average square that it is taken from */
} mb_moment_kind_t;

mb_format_t mb_moment_format(mb_moment_kind_t kind);

/* Encodes COUNT values, one or more. DIVISOR: the squares that go with a signed moment; NULL: none.
 * WHERE names the tensor ("run/step-00000100.h5: moment 'velocity/dense/kernel'"). MB_ERR_NUMERIC
 * names it and the place of a value that is not finite, or of a negative square. */
mb_status_t mb_moment_encode(mb_moment_kind_t kind, const float *values, const float *divisor,
                             int64_t count, const char *where, mb_encoded_t *out);

#endif
